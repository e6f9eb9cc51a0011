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
    int64_t gone[]; /* sums of structs that have been removed, the values of all infos one after the other */
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
    size_t n_values = 0;
    for (size_t i = 0; i < count; i++)
        n_values += infos[i].n_values;
    struct metrics_family *f = calloc(1, sizeof *f + n_values * sizeof f->gone[0]);
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

static int64_t metrics_value(const struct metrics_set *set, const struct metric_info *info, size_t index)
{
    return metric_get((const metric *)(const void *)(set->values + info->offset) + index);
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

static void metrics_keep_sums(struct metrics_family *f, const struct metrics_set *set)
{
    int64_t *gone = f->gone;
    for (size_t i = 0; i < f->count; i++) {
        for (size_t j = 0; j < f->infos[i].n_values; j++)
            *gone++ += metrics_value(set, &f->infos[i], j);
    }
}

void metrics_remove(struct metrics_registry *r, const void *values)
{
    struct metrics_family *f;
    pthread_mutex_lock(&r->mutex);
    struct metrics_set *set = metrics_find(r, values, &f);
    if (set) {
        metrics_keep_sums(f, set);
        list_del(&set->link);
        free(set);
    }
    pthread_mutex_unlock(&r->mutex);
}

/* One value over all structs, of which GONE is the share of those that have been removed. */
static int64_t metrics_sum(const struct metrics_family *f, const struct metric_info *info, size_t index,
                           const int64_t *gone)
{
    int64_t sum = gone[index];
    list_for_each (it, &f->sets)
        sum += metrics_value(list_entry(it, struct metrics_set, link), info, index);
    return sum;
}

static void metrics_print_histogram(const struct metrics_family *f, const struct metric_info *info, const int64_t *gone,
                                    FILE *out)
{
    long long count = 0, bound = 1;
    for (size_t i = 0; i < METRIC_BUCKETS - 1; i++, bound *= 4) {
        count += metrics_sum(f, info, i, gone);
        fprintf(out, "%s_%s_bucket{le=\"%lld\"} %lld\n", f->prefix, info->name, bound, count);
    }
    count += metrics_sum(f, info, METRIC_BUCKETS - 1, gone);
    fprintf(out, "%s_%s_bucket{le=\"+Inf\"} %lld\n", f->prefix, info->name, count);
    fprintf(out, "%s_%s_sum %lld\n", f->prefix, info->name, (long long)metrics_sum(f, info, METRIC_BUCKETS, gone));
    fprintf(out, "%s_%s_count %lld\n", f->prefix, info->name, count);
}

static void metrics_print(const struct metrics_family *f, const struct metric_info *info, const int64_t *gone,
                          FILE *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    const char *suffix = info->kind == METRIC_COUNTER ? "_total" : "";
    fprintf(out, "# HELP %s_%s%s %s\n", f->prefix, info->name, suffix, info->help);
    fprintf(out, "# TYPE %s_%s%s %s\n", f->prefix, info->name, suffix, types[info->kind]);
    if (info->kind == METRIC_HISTOGRAM)
        metrics_print_histogram(f, info, gone, out);
    else
        fprintf(out, "%s_%s%s %lld\n", f->prefix, info->name, suffix, (long long)metrics_sum(f, info, 0, gone));
}

static void metrics_print_short(const struct metrics_family *f, const struct metric_info *info, const int64_t *gone,
                                FILE *out)
{
    long long value = 0;
    const size_t n = info->kind == METRIC_HISTOGRAM ? METRIC_BUCKETS : 1;
    for (size_t i = 0; i < n; i++)
        value += metrics_sum(f, info, i, gone);
    if (value != 0)
        fprintf(out, "%s%s_%s=%lld", ftell(out) > 0 ? " " : "", f->prefix, info->name, value);
}

typedef void metrics_print_fn(const struct metrics_family *f, const struct metric_info *info, const int64_t *gone,
                              FILE *out);

/* All metrics through PRINT into one text. */
static char *metrics_text(struct metrics_registry *r, metrics_print_fn *print)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    pthread_mutex_lock(&r->mutex);
    list_for_each (it, &r->families) {
        const struct metrics_family *f = list_entry(it, struct metrics_family, link);
        const int64_t *gone = f->gone;
        for (size_t i = 0; i < f->count; gone += f->infos[i].n_values, i++)
            print(f, &f->infos[i], gone, out);
    }
    pthread_mutex_unlock(&r->mutex);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

char *metrics_format(struct metrics_registry *r)
{
    return metrics_text(r, metrics_print);
}

char *metrics_summary(struct metrics_registry *r)
{
    return metrics_text(r, metrics_print_short);
}
