/* See front_listeners.h. */
#define LOG_MODULE LOG_FRONT
#include "front_listeners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cidr.h"
#include "conn.h"
#include "conn_ws.h"
#include "err.h"
#include "front_options.h"
#include "listener.h"
#include "log.h"
#include "metrics.h"
#include "tls.h"
#include "tls_ocsp.h"
#include "tls_watch.h"
#include "url.h"

/* What is counted before a worker has the connection. */
#define FRONT_LISTENERS_METRICS(X) \
    X(proxy_headers_refused, COUNTER, "connections of trusted proxies closed for want of a good PROXY header")

struct front_listeners_metrics {
    FRONT_LISTENERS_METRICS(METRIC_FIELD)
};

#define METRICS_OWNER struct front_listeners_metrics
static const struct metric_info front_listeners_metric_infos[] = {FRONT_LISTENERS_METRICS(METRIC_INFO)};

struct front_listener {
    struct front_listeners *all;
    const struct front_listener_options *options;
    struct listener *listener; /* NULL: closed */
    struct tls *tls;           /* one reference; NULL: in clear text */
    struct cidr_list proxies;  /* whose PROXY headers are believed */
    struct ws_service *ws;     /* one reference; NULL: no WebSocket */
};

struct front_listeners {
    struct front_listeners_params params;
    struct front_listeners_metrics metrics;
    struct tls_ocsp_metrics ocsp_metrics;
    struct tls_watch *watch;
    size_t count;
    struct front_listener items[];
};

static void front_listeners_on_accept(struct listener *l, struct conn_parcel *parcel, void *arg)
{
    const struct front_listener *item = arg;
    item->all->params.fn(parcel, item->options, item->all->params.arg);
}

static void front_listeners_on_trouble(struct listener *l, int err, void *arg)
{
    if (err < 0)
        log_error(NULL, "%s: accepting pauses: %s (ulimit -n)", listener_name(l), strerror(-err));
    else
        log_info(NULL, "%s: accepting goes on", listener_name(l));
}

static void front_listeners_on_bad_header(struct listener *l, const struct conn_peer *proxy, const char *why, void *arg)
{
    static struct log_limit limit = LOG_LIMIT(5, 10000);
    const struct front_listener *item = arg;
    metric_add(&item->all->metrics.proxy_headers_refused, 1);
    log_rate_limited(&limit, LOG_LEVEL_WARN, NULL, "%s: connection from %s refused, no PROXY header: %s",
                     listener_name(l), proxy->text, why);
}

static const struct listener_cbs front_listeners_cbs = {.on_accept = front_listeners_on_accept,
                                                        .on_trouble = front_listeners_on_trouble,
                                                        .on_bad_header = front_listeners_on_bad_header};

static int front_listeners_trust(struct front_listeners *ls, struct front_listener *item)
{
    const struct front_listener_options *o = item->options;
    if (o->proxy_protocol == FRONT_PROXY_PROTOCOL_OFF)
        return 0;
    int r = cidr_list_init(&item->proxies, o->trusted_proxies.items, o->trusted_proxies.count);
    if (r >= 0)
        listener_trust(item->listener, &item->proxies, (uint32_t)ls->params.options->connect_timeout_ms);
    return r;
}

/* --- TLS */

static void front_listeners_warn(const char *url, const struct tls *tls)
{
    if (tls_warning(tls)[0])
        log_warn(NULL, "%s: %s", url, tls_warning(tls));
}

static void front_listeners_on_reload(const char *url, struct tls *tls, int r, void *arg)
{
    if (r < 0) {
        log_error(NULL, "%s: the TLS files cannot be used, those of before stay in use: %s", url, err_text());
        return;
    }
    log_info(NULL, "%s: TLS files read again, certificate %s", url, tls_summary(tls));
    front_listeners_warn(url, tls);
}

/* On any worker's thread. */
static void front_listeners_on_ocsp(bool is_good, const char *text, void *arg)
{
    static struct log_limit limit = LOG_LIMIT(5, 10000);
    const struct front_listener *item = arg;
    if (is_good)
        log_info(NULL, "%s: %s", item->options->url, text);
    else
        log_rate_limited(&limit, LOG_LEVEL_WARN, NULL, "%s: %s", item->options->url, text);
}

static int front_listeners_open_tls(struct front_listeners *ls, struct front_listener *item)
{
    const struct tls_options options = tls_options_of_server(&item->options->tls);
    int r = tls_new(&options, &item->tls);
    if (r >= 0) {
        tls_ocsp_tell(item->tls, &ls->ocsp_metrics, front_listeners_on_ocsp, item);
        r = tls_watch_add(ls->watch, item->options->url, item->tls);
    }
    if (r < 0)
        return err_context(r, "listen %s", item->options->url);
    front_listeners_warn(item->options->url, item->tls);
    return 0;
}

const char *front_listeners_name(const struct front_listeners *ls, size_t index)
{
    return index < ls->count && ls->items[index].listener ? listener_name(ls->items[index].listener) : NULL;
}

static const struct front_listener_options *front_listeners_find(const struct front_options *fresh, const char *url)
{
    const struct front_listener_options *items = fresh->listeners.items;
    for (size_t i = 0; i < fresh->listeners.count; i++) {
        if (strcmp(items[i].url, url) == 0)
            return &items[i];
    }
    return NULL;
}

void front_listeners_reload(struct front_listeners *ls, const struct front_options *fresh)
{
    for (size_t i = 0; i < ls->count; i++) {
        struct front_listener *item = &ls->items[i];
        const struct front_listener_options *o = front_listeners_find(fresh, item->options->url);
        if (!item->tls || !o)
            continue;
        const struct tls_options options = tls_options_of_server(&o->tls);
        tls_watch_reload(ls->watch, item->tls, &options);
    }
}

/* --- WebSocket */

static int front_listeners_open_ws(struct front_listener *item, const struct url *url)
{
    const struct ws_service_options options = {
        .path = url->path,
        .origins = item->options->websocket_origins.items,
        .n_origins = item->options->websocket_origins.count,
        .trusted = item->options->trusted_proxies.items,
        .n_trusted = item->options->trusted_proxies.count,
    };
    return err_context(ws_service_new(&options, &item->ws), "listen %s", item->options->url);
}

/* --- Life */

static int front_listeners_open_one(struct front_listeners *ls, struct front_listener *item)
{
    struct url url;
    int r = url_parse(item->options->url, FRONT_LISTEN_SCHEMES, &url);
    if (r >= 0 && url_is_tls(&url))
        r = front_listeners_open_tls(ls, item);
    if (r >= 0 && url_is_ws(&url))
        r = front_listeners_open_ws(item, &url);
    if (r < 0)
        return r;
    const struct listener_params params = {
        .url = &url, .default_port = url_default_port(&url), .tls = item->tls, .ws = item->ws};
    r = listener_open(ls->params.loop, &params, &front_listeners_cbs, item, &item->listener);
    if (r >= 0)
        r = front_listeners_trust(ls, item);
    if (r < 0)
        return r;
    log_info(NULL, "listening on %s", listener_name(item->listener));
    if (item->tls && tls_summary(item->tls)[0])
        log_info(NULL, "%s: certificate %s", listener_name(item->listener), tls_summary(item->tls));
    return 0;
}

static int front_listeners_start(struct front_listeners *ls)
{
    const struct front_listeners_params *p = &ls->params;
    int r = metrics_add(p->metrics, p->prefix, front_listeners_metric_infos,
                        sizeof front_listeners_metric_infos / sizeof front_listeners_metric_infos[0], &ls->metrics);
    if (r >= 0)
        r = tls_ocsp_metrics_add(&ls->ocsp_metrics, p->metrics, p->prefix);
    return r >= 0 ? tls_watch_new(p->loop, front_listeners_on_reload, ls, &ls->watch) : r;
}

int front_listeners_open(const struct front_listeners_params *params, struct front_listeners **ret_listeners)
{
    const struct config_items *all = &params->options->listeners;
    const struct front_listener_options *items = all->items;
    struct front_listeners *ls = calloc(1, sizeof *ls + all->count * sizeof ls->items[0]);
    if (!ls)
        return err_set(-ENOMEM, "listen: out of memory");
    *ret_listeners = ls;
    ls->params = *params;
    int r = front_listeners_start(ls);
    while (r >= 0 && ls->count < all->count) {
        struct front_listener *item = &ls->items[ls->count];
        item->all = ls;
        item->options = &items[ls->count++];
        r = front_listeners_open_one(ls, item);
    }
    return r;
}

void front_listeners_close(struct front_listeners *ls)
{
    for (size_t i = 0; ls && i < ls->count; i++)
        ls->items[i].listener = listener_close(ls->items[i].listener);
}

struct front_listeners *front_listeners_free(struct front_listeners *ls)
{
    if (!ls)
        return NULL;
    front_listeners_close(ls);
    ls->watch = tls_watch_free(ls->watch);
    for (size_t i = 0; i < ls->count; i++) {
        tls_unref(ls->items[i].tls);
        ws_service_unref(ls->items[i].ws);
        cidr_list_deinit(&ls->items[i].proxies);
    }
    metrics_remove(ls->params.metrics, &ls->metrics);
    metrics_remove(ls->params.metrics, &ls->ocsp_metrics);
    free(ls);
    return NULL;
}
