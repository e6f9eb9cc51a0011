/* See tls_watch.h. */
#include "tls_watch.h"

#include <errno.h>
#include <stdlib.h>

#include "err.h"
#include "loop.h"
#include "tls.h"
#include "tls_staple.h"

enum { TLS_WATCH_MS = 1000 };

struct tls_watch_item {
    const char *name;
    struct tls *tls; /* one reference */
    struct tls_staple *staple;
};

struct tls_watch {
    struct loop *loop;
    struct loop_timer timer;
    tls_watch_fn *fn;
    void *arg;
    struct tls_watch_item *items;
    size_t count;
};

static void tls_watch_read(const struct tls_watch *w, const struct tls_watch_item *item,
                           const struct tls_options *options)
{
    int r = tls_reload(item->tls, options);
    if (r == 0)
        tls_staple_renew(item->staple);
    w->fn(item->name, item->tls, r, w->arg);
}

static void tls_watch_on_timer(struct loop_timer *timer)
{
    struct tls_watch *w = container_of(timer, struct tls_watch, timer);
    for (size_t i = 0; i < w->count; i++) {
        if (tls_has_changed(w->items[i].tls))
            tls_watch_read(w, &w->items[i], NULL);
    }
    loop_timer_start(&w->timer, TLS_WATCH_MS);
}

int tls_watch_new(struct loop *loop, tls_watch_fn *fn, void *arg, struct tls_watch **ret_watch)
{
    struct tls_watch *w = calloc(1, sizeof(*w));
    if (!w)
        return err_set(-ENOMEM, "TLS: out of memory");
    w->loop = loop;
    w->fn = fn;
    w->arg = arg;
    loop_timer_init(&w->timer, loop, tls_watch_on_timer);
    *ret_watch = w;
    return 0;
}

struct tls_watch *tls_watch_free(struct tls_watch *w)
{
    if (!w)
        return NULL;
    loop_timer_stop(&w->timer);
    for (size_t i = 0; i < w->count; i++) {
        tls_staple_free(w->items[i].staple);
        tls_unref(w->items[i].tls);
    }
    free(w->items);
    free(w);
    return NULL;
}

int tls_watch_add(struct tls_watch *w, const char *name, struct tls *t)
{
    struct tls_watch_item *items = realloc(w->items, (w->count + 1) * sizeof(*items));
    if (!items)
        return err_set(-ENOMEM, "TLS: out of memory");
    w->items = items;
    struct tls_staple *staple = tls_staple_new(w->loop, t);
    if (!staple)
        return err_set(-ENOMEM, "TLS: out of memory");
    items[w->count++] = (struct tls_watch_item){name, tls_ref(t), staple};
    loop_timer_start(&w->timer, TLS_WATCH_MS);
    return 0;
}

void tls_watch_reload(struct tls_watch *w, struct tls *t, const struct tls_options *options)
{
    for (size_t i = 0; i < w->count; i++) {
        if (w->items[i].tls == t)
            tls_watch_read(w, &w->items[i], options);
    }
}
