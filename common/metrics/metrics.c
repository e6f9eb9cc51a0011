/* Sums of counters over all workers, as text (metrics.h). */
#include "metrics.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "list.h"

/* Everything added under one prefix. */
struct metrics_family {
    struct list link; /* in registry->families */
    struct list sets;
    const char *prefix;
    const struct metric_info *infos;
    size_t count;
    int64_t gone[]; /* sums of structs that have been removed */
};

struct metrics_set {
    struct list link; /* in family->sets */
    const char *values;
};

struct metrics_registry {
    pthread_mutex_t mutex; /* over everything below */
    struct list families;
};

int metrics_registry_new(struct metrics_registry **ret_registry)
{
    struct metrics_registry *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(-ENOMEM, "metrics: out of memory");
    pthread_mutex_init(&r->mutex, NULL);
    list_init(&r->families);
    *ret_registry = r;
    return 0;
}

static void metrics_family_free(struct metrics_family *f)
{
    list_for_each_safe (it, tmp, &f->sets)
        free(list_entry(it, struct metrics_set, link));
    free(f);
}

struct metrics_registry *metrics_registry_free(struct metrics_registry *r)
{
    if (!r)
        return NULL;
    list_for_each_safe (it, tmp, &r->families)
        metrics_family_free(list_entry(it, struct metrics_family, link));
    pthread_mutex_destroy(&r->mutex);
    free(r);
    return NULL;
}

static struct metrics_family *metrics_family_get(struct metrics_registry *r, const char *prefix,
                                                 const struct metric_info *infos, size_t count)
{
    list_for_each (it, &r->families) {
        struct metrics_family *known = list_entry(it, struct metrics_family, link);
        if (known->infos == infos && strcmp(known->prefix, prefix) == 0)
            return known;
    }
    struct metrics_family *f = calloc(1, sizeof *f + count * sizeof f->gone[0]);
    if (!f)
        return NULL;
    f->prefix = prefix;
    f->infos = infos;
    f->count = count;
    list_init(&f->sets);
    list_add_tail(&r->families, &f->link);
    return f;
}

int metrics_add(struct metrics_registry *r, const char *prefix, const struct metric_info *infos, size_t count,
                const void *values)
{
    struct metrics_set *set = malloc(sizeof *set);
    pthread_mutex_lock(&r->mutex);
    struct metrics_family *f = set ? metrics_family_get(r, prefix, infos, count) : NULL;
    if (f) {
        set->values = values;
        list_add_tail(&f->sets, &set->link);
    }
    pthread_mutex_unlock(&r->mutex);
    if (f)
        return 0;
    free(set);
    return err_set(-ENOMEM, "metrics: out of memory");
}

static int64_t metrics_value(const struct metrics_set *set, const struct metric_info *info)
{
    return metric_get((const metric *)(const void *)(set->values + info->offset));
}

static struct metrics_set *metrics_find(struct metrics_registry *r, const void *values,
                                        struct metrics_family **ret_family)
{
    list_for_each (family, &r->families) {
        *ret_family = list_entry(family, struct metrics_family, link);
        list_for_each (it, &(*ret_family)->sets) {
            struct metrics_set *set = list_entry(it, struct metrics_set, link);
            if (set->values == values)
                return set;
        }
    }
    return NULL;
}

void metrics_remove(struct metrics_registry *r, const void *values)
{
    struct metrics_family *f;
    pthread_mutex_lock(&r->mutex);
    struct metrics_set *set = metrics_find(r, values, &f);
    if (set) {
        for (size_t i = 0; i < f->count; i++)
            f->gone[i] += metrics_value(set, &f->infos[i]);
        list_del(&set->link);
        free(set);
    }
    pthread_mutex_unlock(&r->mutex);
}

static void metrics_family_print(const struct metrics_family *f, FILE *out)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct metric_info *info = &f->infos[i];
        const char *suffix = info->kind == METRIC_COUNTER ? "_total" : "";
        int64_t sum = f->gone[i];
        list_for_each (it, &f->sets)
            sum += metrics_value(list_entry(it, struct metrics_set, link), info);
        fprintf(out, "# HELP %s_%s%s %s\n", f->prefix, info->name, suffix, info->help);
        fprintf(out, "# TYPE %s_%s%s %s\n", f->prefix, info->name, suffix,
                info->kind == METRIC_COUNTER ? "counter" : "gauge");
        fprintf(out, "%s_%s%s %lld\n", f->prefix, info->name, suffix, (long long)sum);
    }
}

char *metrics_format(struct metrics_registry *r)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    pthread_mutex_lock(&r->mutex);
    list_for_each (it, &r->families)
        metrics_family_print(list_entry(it, struct metrics_family, link), out);
    pthread_mutex_unlock(&r->mutex);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}
