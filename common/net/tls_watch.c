/* See tls_watch.h. */
#include "tls_watch.h"

#include <errno.h>
#include <stdlib.h>

#include "err.h"
#include "loop.h"
#include "tls.h"

enum { TLS_WATCH_MS = 2000 };

struct tls_watch_item {
    const char *name;
    struct tls *tls; /* one reference */
};

struct tls_watch {
    struct loop_timer timer;
    tls_watch_fn *fn;
    void *arg;
    struct tls_watch_item *items;
    size_t count;
};

static void tls_watch_on_timer(struct loop_timer *timer)
{
    struct tls_watch *w = container_of(timer, struct tls_watch, timer);
    for (size_t i = 0; i < w->count; i++) {
        struct tls_watch_item *item = &w->items[i];
        if (tls_has_changed(item->tls))
            w->fn(item->name, item->tls, tls_reload(item->tls, NULL), w->arg);
    }
    loop_timer_start(&w->timer, TLS_WATCH_MS);
}

int tls_watch_new(struct loop *loop, tls_watch_fn *fn, void *arg, struct tls_watch **ret_watch)
{
    struct tls_watch *w = calloc(1, sizeof(*w));
    if (!w)
        return err_set(-ENOMEM, "TLS: out of memory");
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
    for (size_t i = 0; i < w->count; i++)
        tls_unref(w->items[i].tls);
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
    items[w->count++] = (struct tls_watch_item){name, tls_ref(t)};
    loop_timer_start(&w->timer, TLS_WATCH_MS);
    return 0;
}

void tls_watch_reload(struct tls_watch *w, struct tls *t, const struct tls_options *options)
{
    for (size_t i = 0; i < w->count; i++) {
        if (w->items[i].tls == t)
            w->fn(w->items[i].name, t, tls_reload(t, options), w->arg);
    }
}
