/* Opening and closing; the record of the format and upgrades; recovery. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "err.h"
#include "store_internal.h"

static const struct store_driver_ops *const store_drivers[] = {&store_memory_ops, &store_lmdb_ops};

/* --- What drivers and the store share. */

struct store_batch *store_batch_to_write(struct store_request *request)
{
    for (struct store_request *q = request; q; q = q->next) {
        struct store_batch *b = (struct store_batch *)q;
        if (!q->is_scan && !b->error && (b->n_writes > 0 || b->n_requires > 0))
            return b;
    }
    return NULL;
}

struct store_range store_entry_range(const struct store_entry *e)
{
    return (struct store_range){store_entry_key(e), store_entry_head(e), e->is_after_first};
}

void store_entry_copy_value(const struct store_entry *e, uint8_t *dst)
{
    if (e->head_len)
        memcpy(dst, e->key + e->key_len, e->head_len);
    if (e->body_len)
        memcpy(dst + e->head_len, e->body, e->body_len);
}

int store_bytes_compare(struct store_bytes a, struct store_bytes b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.bytes, b.bytes, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

bool store_range_has(const struct store_range *range, struct store_bytes key)
{
    return range->end.len == 0 || store_bytes_compare(key, range->end) < 0;
}

struct store_range store_range_of_caller(const struct store_range *range)
{
    static const uint8_t first_of_caller = STORE_OWN_KEY_END;
    const struct store_bytes first = {&first_of_caller, 1};
    struct store_range r = *range;
    if (store_bytes_compare(r.first, first) < 0) {
        r.first = first;
        r.is_after_first = false;
    }
    return r;
}

bool store_key_is_good(struct store_bytes key)
{
    return key.len > 0 && key.len <= STORE_KEY_MAX && *(const uint8_t *)key.bytes >= STORE_OWN_KEY_END;
}

/* --- The record of the format: the first key of all. */

enum {
    STORE_LAYOUT = 1, /* of what this module itself adds to the caller's records */
    STORE_FORMAT_BYTES = 12,
};
static const char store_format_name[] = "\0format";
static const struct store_bytes store_format_key = {store_format_name, sizeof store_format_name - 1};
static const uint8_t store_format_magic[4] = {'m', 'q', 't', 'S'};

static void store_write_u32(uint8_t *dst, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        dst[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t store_read_u32(const uint8_t *src)
{
    return (uint32_t)src[0] << 24 | (uint32_t)src[1] << 16 | (uint32_t)src[2] << 8 | src[3];
}

struct store_format {
    bool is_there;
    bool is_good;
    bool has_other; /* something else is in the store */
    uint32_t layout, format;
};

static int store_format_on_entry(void *arg, struct store_bytes key, struct store_bytes value)
{
    struct store_format *f = arg;
    if (store_bytes_compare(key, store_format_key) != 0) {
        f->has_other = true;
        return -ECANCELED;
    }
    f->is_there = true;
    f->is_good = value.len == STORE_FORMAT_BYTES && memcmp(value.bytes, store_format_magic, 4) == 0;
    if (f->is_good) {
        f->layout = store_read_u32((const uint8_t *)value.bytes + 4);
        f->format = store_read_u32((const uint8_t *)value.bytes + 8);
    }
    return 0;
}

static int store_format_read(struct store_driver *d, struct store_format *ret_format)
{
    static const struct store_range all = {0};
    *ret_format = (struct store_format){0};
    int r = d->ops->load(d, &all, store_format_on_entry, ret_format);
    return r == -ECANCELED && ret_format->has_other ? 0 : r;
}

static int store_format_write(struct store_driver *d, uint32_t format)
{
    uint8_t record[STORE_FORMAT_BYTES];
    memcpy(record, store_format_magic, 4);
    store_write_u32(record + 4, STORE_LAYOUT);
    store_write_u32(record + 8, format);
    return d->ops->put(d, store_format_key, (struct store_bytes){record, sizeof record});
}

/* --- Upgrades. */

struct store_upgrade_access {
    struct store_driver *driver;
};

int store_upgrade_put(struct store_upgrade_access *a, struct store_bytes key, struct store_bytes value)
{
    if (!store_key_is_good(key) || value.len > STORE_VALUE_MAX)
        return err_set(-EINVAL, "upgrade: a key or a value of a length that no store takes");
    return a->driver->ops->put(a->driver, key, value);
}

int store_upgrade_delete(struct store_upgrade_access *a, struct store_bytes key)
{
    return a->driver->ops->remove(a->driver, key);
}

static int store_upgrade_page(struct store_upgrade_access *a, const struct store_page *page, store_load_fn *fn,
                              void *arg)
{
    for (size_t i = 0; i < page->n_items; i++) {
        int r = fn(arg, page->items[i].key, page->items[i].value);
        if (r < 0)
            return r;
    }
    return 0;
}

/* By copies: FN may change what it is shown. */
int store_upgrade_each(struct store_upgrade_access *a, const struct store_range *range, store_load_fn *fn, void *arg)
{
    struct store_range rest = store_range_of_caller(range);
    uint8_t first[STORE_KEY_MAX];
    for (bool is_end = false; !is_end;) {
        struct store_page_items *items = store_page_new(0, 0);
        int r = items ? a->driver->ops->read(a->driver, &rest, items) : err_set(-ENOMEM, "out of memory");
        const struct store_page *page = r < 0 ? NULL : store_page_finish(items, &rest);
        if (r >= 0)
            r = page ? store_upgrade_page(a, page, fn, arg) : err_set(-ENOMEM, "out of memory");
        is_end = r < 0 || page->is_end;
        if (!is_end) {
            rest = page->rest;
            memcpy(first, rest.first.bytes, rest.first.len);
            rest.first.bytes = first;
        }
        store_page_free(items);
        if (r < 0)
            return r;
    }
    return 0;
}

static const struct store_upgrade *store_upgrade_find(const struct store_options *options, uint32_t from)
{
    for (size_t i = 0; i < options->n_upgrades; i++) {
        if (options->upgrades[i].from == from)
            return &options->upgrades[i];
    }
    return NULL;
}

static int store_upgrade_steps(struct store_driver *d, const struct store_options *options, uint32_t from)
{
    struct store_upgrade_access access = {.driver = d};
    for (uint32_t format = from; format < options->format; format++) {
        const struct store_upgrade *step = store_upgrade_find(options, format);
        if (!step)
            return err_set(-ENOTSUP, "its records have format %u, and there is no way from there to %u", format,
                           options->format);
        int r = step->run(&access);
        if (r < 0)
            return err_context(r, "upgrade from format %u", format);
    }
    return 0;
}

/* The records become those of OPTIONS (FROM 0: there are none yet), and the store says so: all in one transaction. */
static int store_upgrade_run(struct store_driver *d, const struct store_options *options, uint32_t from)
{
    int r = d->ops->begin(d);
    if (r < 0)
        return r;
    if (from > 0)
        r = store_upgrade_steps(d, options, from);
    if (r >= 0)
        r = store_format_write(d, options->format);
    if (r >= 0)
        return d->ops->end(d, true);
    d->ops->end(d, false);
    return r;
}

static int store_format_check(const struct store_options *options, const struct store_format *f)
{
    if (f->is_there && !f->is_good)
        return err_set(-EILSEQ, "the record of its format is damaged");
    if (!f->is_there && f->has_other)
        return err_set(-EILSEQ, "it has no record of its format: not a store of this program");
    if (f->is_there && (f->layout > STORE_LAYOUT || f->format > options->format))
        return err_set(-ENOTSUP, "written by a later version (format %u.%u, this program knows %u.%u)", f->layout,
                       f->format, (unsigned)STORE_LAYOUT, options->format);
    return 0;
}

static int store_prepare(struct store_driver *d, const struct store_options *options, struct store_report *report)
{
    struct store_format f;
    int r = store_format_read(d, &f);
    if (r < 0)
        return r;
    /* A repair may have lost the record itself; that the store is of this program was seen by it. */
    if (report->is_repaired && !f.is_there)
        return store_upgrade_run(d, options, 0);
    r = store_format_check(options, &f);
    if (r < 0)
        return r;
    report->is_new = !f.is_there;
    if (f.is_there && f.format == options->format)
        return 0;
    report->upgraded_from = f.format;
    return store_upgrade_run(d, options, f.format);
}

/* --- Life. */

static int store_init(struct store *s)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->_shared.lock, NULL);
    pthread_cond_init(&s->_shared.work, &monotonic);
    pthread_cond_init(&s->_shared.returned, &monotonic);
    pthread_condattr_destroy(&monotonic);
    list_init(&s->_shared.clients);
    return store_thread_start(s);
}

static void store_deinit(struct store *s)
{
    pthread_cond_destroy(&s->_shared.returned);
    pthread_cond_destroy(&s->_shared.work);
    pthread_mutex_destroy(&s->_shared.lock);
}

/* With a thread of its own from now on; takes DRIVER if it succeeds. */
static int store_new(struct store_driver *driver, const struct store_options *options, struct store **ret_store)
{
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(-ENOMEM, "out of memory");
    s->driver = driver;
    s->durability = options->durability;
    int r = store_init(s);
    if (r < 0) {
        store_deinit(s);
        free(s);
        return r;
    }
    *ret_store = s;
    return 0;
}

int store_open_driver(const struct store_driver_ops *ops, const char *place, const struct store_options *options,
                      struct store **ret_store, struct store_report *ret_report)
{
    struct store_report report = {0};
    struct store_driver *driver;
    int r = ops->open(place, options, &driver, &report);
    if (r < 0)
        return err_context(r, "store %s", options->url);
    if (ops->is_volatile)
        report.is_new = true;
    else
        r = store_prepare(driver, options, &report);
    if (r >= 0)
        r = store_new(driver, options, ret_store);
    if (r < 0) {
        ops->close(driver);
        return err_context(r, "store %s", options->url);
    }
    if (ret_report)
        *ret_report = report;
    return 0;
}

int store_open(const struct store_options *options, struct store **ret_store, struct store_report *ret_report)
{
    const char *url = options->url;
    size_t n = strcspn(url, ":");
    for (size_t i = 0; i < sizeof store_drivers / sizeof store_drivers[0]; i++) {
        const struct store_driver_ops *ops = store_drivers[i];
        if (strlen(ops->scheme) == n && memcmp(ops->scheme, url, n) == 0)
            return store_open_driver(ops, url[n] ? url + n + 1 : "", options, ret_store, ret_report);
    }
    return err_set(-EINVAL, "store %s: not \"memory\" nor \"lmdb:DIR\"", url);
}

struct store *store_close(struct store *s)
{
    if (!s)
        return NULL;
    assert(list_is_empty(&s->_shared.clients));
    store_thread_stop(s);
    s->driver->ops->close(s->driver);
    if (s->registry)
        metrics_remove(s->registry, &s->metrics);
    store_deinit(s);
    free(s);
    return NULL;
}

bool store_is_volatile(const struct store *s)
{
    return s->driver->ops->is_volatile;
}

int store_load(struct store *s, const struct store_range *range, store_load_fn *fn, void *arg)
{
    struct store_range all = store_range_of_caller(range);
    return s->driver->ops->load(s->driver, &all, fn, arg);
}

#define METRICS_OWNER struct store_metrics
static const struct metric_info store_metric_infos[] = {STORE_METRICS(METRIC_INFO)};

int store_metrics_add(struct store *s, struct metrics_registry *registry, const char *prefix)
{
    size_t n = sizeof store_metric_infos / sizeof store_metric_infos[0];
    int r = metrics_add(registry, prefix, store_metric_infos, n, &s->metrics);
    if (r < 0)
        return err_errno(r, "metrics of the store");
    s->registry = registry;
    return 0;
}
