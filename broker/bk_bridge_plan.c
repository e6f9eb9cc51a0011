/* Plans of bridges (bk_bridge_plan.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_bridge_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bk_bridge_options.h"
#include "bk_record.h"
#include "err.h"
#include "log.h"
#include "mqtt_property.h"
#include "secret_file.h"
#include "tls.h"
#include "tls_watch.h"

enum { BK_BRIDGE_PASSWORD_MAX = 65536 };

struct bk_bridge_plans {
    struct bk_bridge_plan **list; /* a reference each */
    size_t n;
    struct tls_watch *watch;
};

static int bk_bridge_no_memory(void)
{
    return err_set(-ENOMEM, "out of memory");
}

/* --- Comparing */

static void bk_bridge_put_text(struct bk_writer *w, const char *text)
{
    bk_put_u8(w, text != NULL);
    bk_put_bytes(w, text, text ? strlen(text) : 0);
}

static void bk_bridge_put_topics(struct bk_writer *w, const struct config_items *topics)
{
    const struct bk_bridge_topic_options *t = topics->items;
    for (size_t i = 0; i < topics->count; i++) {
        bk_bridge_put_text(w, t[i].filter);
        bk_bridge_put_text(w, t[i].local_prefix);
        bk_bridge_put_text(w, t[i].remote_prefix);
        bk_put_u8(w, (uint8_t)t[i].direction);
        bk_put_u8(w, (uint8_t)t[i].qos);
    }
}

static int bk_bridge_keep_options(struct bk_bridge_plan *p, const struct bk_bridge_options *o)
{
    struct bk_writer w = {0};
    const char *const texts[] = {o->name,    o->url,      o->client_id, o->username,        o->status_topic, o->tls.ca,
                                 o->tls.crl, o->tls.cert, o->tls.key,   o->tls.server_name, o->password_file};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        bk_bridge_put_text(&w, texts[i]);
    bk_put_bytes(&w, p->password, p->password_len);
    bk_put_u8(&w, (uint8_t)o->version);
    bk_put_u8(&w, (uint8_t)o->tls.ocsp);
    bk_put_u64(&w, o->keep_alive_ms);
    bk_put_u64(&w, (uint64_t)o->max_inflight);
    bk_put_u8(&w, o->loop_guard);
    bk_bridge_put_topics(&w, &o->topics);
    p->options = w.bytes;
    p->options_len = w.len;
    return w.has_failed ? bk_bridge_no_memory() : 0;
}

static bool bk_bridge_plan_is_same(const struct bk_bridge_plan *a, const struct bk_bridge_plan *b)
{
    return a->options_len == b->options_len && memcmp(a->options, b->options, a->options_len) == 0;
}

bool bk_bridge_plan_has_same_session(const struct bk_bridge_plan *a, const struct bk_bridge_plan *b)
{
    return strcmp(a->client_id, b->client_id) == 0 && strcmp(a->url.scheme, b->url.scheme) == 0 &&
           strcmp(a->url.host, b->url.host) == 0 && strcmp(a->url.path, b->url.path) == 0 && a->url.port == b->url.port;
}

/* --- Making one */

/* NULL of NULL. */
static char *bk_bridge_copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

static int bk_bridge_read_password(struct bk_bridge_plan *p, const char *file)
{
    char warning[300];
    if (!file)
        return 0;
    int r = secret_file_read(file, BK_BRIDGE_PASSWORD_MAX, &p->password, &p->password_len);
    if (r < 0)
        return err_context(r, "password-file");
    if (secret_file_is_exposed(file, warning, sizeof warning))
        log_warn(NULL, "bridge %s: password-file: %s", p->name, warning);
    const size_t len = strcspn(p->password, "\r\n");
    if (len == 0 || len > MQTT_STRING_MAX)
        return err_set(-EINVAL, "password-file: %s: no password in the first line", file);
    p->far.password = (struct mqtt_bytes){(const uint8_t *)p->password, (uint32_t)len};
    return 0;
}

static int bk_bridge_make_topics(struct bk_bridge_plan *p, const struct config_items *topics)
{
    const struct bk_bridge_topic_options *t = topics->items;
    for (size_t i = 0; i < topics->count; i++)
        if (bk_bridge_topics_add(&p->topics, t[i].filter, t[i].local_prefix, t[i].remote_prefix,
                                 (enum bk_bridge_way)t[i].direction, (uint8_t)t[i].qos) < 0)
            return bk_bridge_no_memory();
    return 0;
}

/* There: no message of its own comes back, RETAIN stays what it was, retained messages come once. */
static int bk_bridge_make_subscriptions(struct bk_bridge_plan *p)
{
    p->subscriptions = calloc(p->topics.n, sizeof *p->subscriptions);
    if (!p->subscriptions)
        return bk_bridge_no_memory();
    for (size_t i = 0; i < p->topics.n; i++) {
        const struct bk_bridge_topic *line = &p->topics.list[i];
        if (line->ways & BK_BRIDGE_IN)
            p->subscriptions[p->far.n_subscriptions++] = (struct mqtt_subscription){
                .filter = {(const uint8_t *)line->remote, (uint32_t)strlen(line->remote)},
                .qos = line->qos,
                .no_local = true,
                .retain_as_published = true,
                .retain_handling = 1,
            };
    }
    p->far.subscriptions = p->subscriptions;
    return 0;
}

static void bk_bridge_make_will(struct bk_bridge_plan *p)
{
    if (!p->status_topic)
        return;
    p->will = (struct mqtt_will){
        .topic = {(const uint8_t *)p->status_topic, (uint32_t)strlen(p->status_topic)},
        .payload = {(const uint8_t *)"0", 1},
        .qos = 1,
        .retain = true,
    };
    p->far.will = &p->will;
}

static int bk_bridge_make_far(struct bk_bridge_plan *p, const struct bk_bridge_options *o)
{
    int r = url_parse(o->url, BK_BRIDGE_SCHEMES, &p->url);
    if (r == 0 && url_is_tls(&p->url)) {
        const struct tls_options tls = tls_options_of_client(&o->tls);
        r = tls_new(&tls, &p->far.tls);
    }
    p->far.url = &p->url;
    p->far.client_id = p->client_id;
    p->far.username = p->username;
    p->far.session_expiry_s = MQTT_LINK_EXPIRY_NEVER;
    p->far.keep_alive_s = (uint16_t)(o->keep_alive_ms / 1000);
    p->far.version = (uint8_t)o->version;
    p->far.send_max = (uint16_t)o->max_inflight;
    p->has_guard = o->loop_guard && o->version == MQTT_V5;
    p->far.is_bridge = true;
    return r;
}

static int bk_bridge_plan_make(struct bk_bridge_plan *p, const struct bk_bridge_options *o)
{
    p->name = strdup(o->name);
    p->local_id = bk_bridge_join(BK_BRIDGE_ID, o->name);
    p->client_id = o->client_id ? strdup(o->client_id) : bk_bridge_join("bridge-", o->name);
    p->username = bk_bridge_copy(o->username);
    p->status_topic = bk_bridge_copy(o->status_topic);
    const bool is_short = (o->username && !p->username) || (o->status_topic && !p->status_topic);
    if (!p->name || !p->local_id || !p->client_id || is_short)
        return bk_bridge_no_memory();
    bk_bridge_make_will(p);
    int r = bk_bridge_make_far(p, o);
    if (r == 0)
        r = bk_bridge_read_password(p, o->password_file);
    if (r == 0)
        r = bk_bridge_make_topics(p, &o->topics);
    if (r == 0)
        r = bk_bridge_make_subscriptions(p);
    return r == 0 ? bk_bridge_keep_options(p, o) : r;
}

int bk_bridge_plan_new(const struct bk_bridge_options *options, const char *broker_id, struct bk_bridge_plan **ret_plan)
{
    struct bk_bridge_plan *p = calloc(1, sizeof *p);
    if (!p)
        return bk_bridge_no_memory();
    atomic_init(&p->refs, 1);
    p->far.broker_id = (struct mqtt_bytes){(const uint8_t *)broker_id, (uint32_t)strlen(broker_id)};
    int r = bk_bridge_plan_make(p, options);
    if (r < 0) {
        bk_bridge_plan_unref(p);
        return r;
    }
    *ret_plan = p;
    return 0;
}

struct bk_bridge_plan *bk_bridge_plan_ref(struct bk_bridge_plan *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

struct bk_bridge_plan *bk_bridge_plan_unref(struct bk_bridge_plan *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    tls_unref(p->far.tls);
    bk_bridge_topics_deinit(&p->topics);
    secret_file_wipe(p->password, p->password_len);
    secret_file_wipe((char *)p->options, p->options_len);
    for (uint32_t i = 0; i < p->far.n_gone; i++)
        free((void *)(uintptr_t)p->gone[i].ptr);
    free(p->gone);
    free(p->subscriptions);
    free(p->name);
    free(p->local_id);
    free(p->client_id);
    free(p->username);
    free(p->status_topic);
    free(p);
    return NULL;
}

/* --- All of them */

static void bk_bridge_on_files(const char *name, struct tls *tls, int r, void *arg)
{
    if (r < 0)
        log_error(NULL, "bridge %s: the files of TLS cannot be used, those of before stay in use: %s", name,
                  err_text());
    else
        log_info(NULL, "bridge %s: files of TLS read again", name);
    if (tls_warning(tls)[0])
        log_warn(NULL, "bridge %s: %s", name, tls_warning(tls));
}

static struct bk_bridge_plan *bk_bridge_plans_find(const struct bk_bridge_plans *p, const struct bk_bridge_plan *same)
{
    for (size_t i = 0; p && i < p->n; i++)
        if (bk_bridge_plan_is_same(p->list[i], same))
            return p->list[i];
    return NULL;
}

static const struct bk_bridge_plan *bk_bridge_plans_named(const struct bk_bridge_plans *p, const char *name)
{
    for (size_t i = 0; p && i < p->n; i++)
        if (strcmp(p->list[i]->name, name) == 0)
            return p->list[i];
    return NULL;
}

static bool bk_bridge_plan_subscribes(const struct bk_bridge_plan *p, struct mqtt_bytes filter)
{
    for (uint32_t i = 0; i < p->far.n_subscriptions; i++)
        if (p->subscriptions[i].filter.len == filter.len &&
            memcmp(p->subscriptions[i].filter.ptr, filter.ptr, filter.len) == 0)
            return true;
    return false;
}

/* What the session there has by plan BEFORE and not by P. */
static int bk_bridge_plan_succeed(struct bk_bridge_plan *p, const struct bk_bridge_plan *before)
{
    if (!before || !bk_bridge_plan_has_same_session(p, before) || before->far.n_subscriptions == 0)
        return 0;
    p->gone = calloc(before->far.n_subscriptions, sizeof *p->gone);
    if (!p->gone)
        return bk_bridge_no_memory();
    p->far.gone = p->gone;
    for (uint32_t i = 0; i < before->far.n_subscriptions; i++) {
        const struct mqtt_bytes filter = before->subscriptions[i].filter;
        if (bk_bridge_plan_subscribes(p, filter))
            continue;
        const char *copy = strndup((const char *)filter.ptr, filter.len);
        if (!copy)
            return bk_bridge_no_memory();
        p->gone[p->far.n_gone++] = (struct mqtt_bytes){(const uint8_t *)copy, filter.len};
    }
    return 0;
}

static int bk_bridge_plans_add(struct bk_bridge_plans *p, const struct bk_bridge_options *o, const char *broker_id,
                               const struct bk_bridge_plans *before)
{
    struct bk_bridge_plan *fresh;
    int r = bk_bridge_plan_new(o, broker_id, &fresh);
    if (r < 0)
        return err_context(r, "bridge %s", o->name);
    struct bk_bridge_plan *old = bk_bridge_plans_find(before, fresh);
    if (old) {
        bk_bridge_plan_unref(fresh);
        fresh = bk_bridge_plan_ref(old);
    }
    p->list[p->n++] = fresh;
    if (!old)
        r = bk_bridge_plan_succeed(fresh, bk_bridge_plans_named(before, fresh->name));
    if (r < 0)
        return r;
    r = fresh->far.tls ? tls_watch_add(p->watch, fresh->name, fresh->far.tls) : 0;
    if (r == 0 && old && old->far.tls)
        tls_watch_reload(p->watch, old->far.tls, NULL);
    return r;
}

int bk_bridge_plans_new(struct loop *loop, const char *broker_id, const struct config_items *bridges,
                        const struct bk_bridge_plans *before, struct bk_bridge_plans **ret_plans)
{
    const struct bk_bridge_options *items = bridges->items;
    struct bk_bridge_plans *p = calloc(1, sizeof *p);
    if (!p)
        return bk_bridge_no_memory();
    p->list = calloc(bridges->count + 1, sizeof(struct bk_bridge_plan *));
    int r = p->list ? tls_watch_new(loop, bk_bridge_on_files, NULL, &p->watch) : bk_bridge_no_memory();
    for (size_t i = 0; r == 0 && i < bridges->count; i++)
        r = bk_bridge_plans_add(p, &items[i], broker_id, before);
    if (r < 0) {
        bk_bridge_plans_free(p);
        return r;
    }
    *ret_plans = p;
    return 0;
}

struct bk_bridge_plans *bk_bridge_plans_free(struct bk_bridge_plans *p)
{
    if (!p)
        return NULL;
    tls_watch_free(p->watch);
    for (size_t i = 0; i < p->n; i++)
        bk_bridge_plan_unref(p->list[i]);
    free(p->list);
    free(p);
    return NULL;
}

size_t bk_bridge_plans_count(const struct bk_bridge_plans *p)
{
    return p->n;
}

struct bk_bridge_plan *bk_bridge_plans_get(const struct bk_bridge_plans *p, size_t index)
{
    return p->list[index];
}
