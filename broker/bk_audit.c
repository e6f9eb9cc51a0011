/* The audit log (bk_audit.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_audit.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bk_access.h"
#include "bk_audit_file.h"
#include "bk_broker.h"
#include "bk_client.h"
#include "bk_login.h"
#include "bk_options.h"
#include "bk_session.h"
#include "bk_worker.h"
#include "clock.h"
#include "err.h"
#include "mqtt_reason.h"

struct bk_audit {
    struct bk_audit_file *file;
    struct log_limit refusals; /* of publications */
};

/* --- A line. A member that is not there (NULL: memory is short, or there is nothing to say) is left out. */

static void bk_audit_put(json_t *line, const char *name, json_t *value)
{
    if (value)
        json_object_set_new(line, name, value);
}

static void bk_audit_put_bytes(json_t *line, const char *name, struct mqtt_bytes bytes)
{
    if (bytes.ptr)
        bk_audit_put(line, name, json_stringn((const char *)bytes.ptr, bytes.len));
}

/* A code that is not 0, as its number and what the standard calls it. */
static void bk_audit_put_reason(json_t *line, uint8_t type, uint8_t reason)
{
    char code[8];
    if (reason == MQTT_REASON_SUCCESS)
        return;
    snprintf(code, sizeof code, "0x%02X", reason);
    bk_audit_put(line, "code", json_string(code));
    bk_audit_put(line, "reason", json_string(mqtt_reason_text(type, reason)));
}

static json_t *bk_audit_begin(const char *event)
{
    char time[25];
    json_t *line = json_object();
    clock_format_wall(time);
    bk_audit_put(line, "time", json_string(time));
    bk_audit_put(line, "event", json_string(event));
    return line;
}

static struct mqtt_bytes bk_audit_user(const struct bk_client *c, const struct mqtt_packet *connect)
{
    if (connect)
        return bk_login_user(c, connect);
    const char *user = c->session && c->session->grant ? c->session->grant->user : NULL;
    return (struct mqtt_bytes){(const uint8_t *)user, user ? (uint32_t)strlen(user) : 0};
}

/* CONNECT where it says who C wants to be, NULL where C's session says who it is. */
static json_t *bk_audit_begin_client(const struct bk_client *c, const char *event, const struct mqtt_packet *connect)
{
    json_t *line = bk_audit_begin(event);
    bk_audit_put(line, "client", json_integer((json_int_t)c->number));
    if (connect)
        bk_audit_put_bytes(line, "client_id", connect->connect.client_id);
    else if (c->session)
        bk_audit_put_bytes(line, "client_id", bk_session_id(c->session));
    bk_audit_put_bytes(line, "user", bk_audit_user(c, connect));
    if (c->conn)
        bk_audit_put(line, "address", json_string(conn_peer(c->conn)->text));
    return line;
}

/* LINE is written and gone. */
static void bk_audit_end(struct bk_audit *a, json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);
    const size_t len = text ? strlen(text) : 0;
    json_decref(line);
    if (!text)
        return;
    text[len] = '\n'; /* in place of its NUL */
    bk_audit_file_add(a->file, text, len + 1);
    free(text);
}

static struct bk_audit *bk_audit_of(const struct bk_client *c)
{
    return broker_audit(c->worker->broker);
}

/* --- Life */

static struct bk_audit_file_params bk_audit_params(const struct bk_options *o)
{
    return (struct bk_audit_file_params){
        .path = o->audit_log, .max_bytes = o->audit_log_max_bytes, .keep = (unsigned)o->audit_log_keep};
}

int bk_audit_new(const struct bk_options *options, struct metrics_registry *registry, struct bk_audit **ret_audit)
{
    *ret_audit = NULL;
    if (!options->audit_log)
        return 0;
    const struct bk_audit_file_params params = bk_audit_params(options);
    struct bk_audit *a = calloc(1, sizeof *a);
    const int e = a ? bk_audit_file_open(&params, registry, &a->file) : err_set(-ENOMEM, "out of memory");
    if (e < 0) {
        free(a);
        return err_context(e, "audit-log");
    }
    a->refusals = (struct log_limit)LOG_LIMIT(100, 1000);
    *ret_audit = a;
    return 0;
}

struct bk_audit *bk_audit_free(struct bk_audit *a)
{
    if (!a)
        return NULL;
    bk_audit_file_close(a->file);
    free(a);
    return NULL;
}

void bk_audit_reload(struct bk_audit *a, const struct bk_options *fresh)
{
    if (!a != !fresh->audit_log)
        log_warn(NULL, "audit-log is turned on and off at the next start only");
    if (!a || !fresh->audit_log)
        return;
    const struct bk_audit_file_params params = bk_audit_params(fresh);
    bk_audit_file_reopen(a->file, &params);
    bk_audit_event(a, "reloaded");
}

void bk_audit_event(struct bk_audit *a, const char *event)
{
    if (a)
        bk_audit_end(a, bk_audit_begin(event));
}

/* --- Clients */

void bk_audit_connected(const struct bk_client *c, bool is_session_present)
{
    struct bk_audit *a = bk_audit_of(c);
    if (!a)
        return;
    json_t *line = bk_audit_begin_client(c, "connected", NULL);
    bk_audit_put(line, "version", json_string(mqtt_version_name(c->version)));
    bk_audit_put(line, "session_present", json_boolean(is_session_present));
    bk_audit_end(a, line);
}

void bk_audit_ended(const struct bk_client *c, const struct mqtt_packet *connect, uint8_t reason, const char *text)
{
    struct bk_audit *a = bk_audit_of(c);
    const bool has_spoken = c->state != BK_CLIENT_WAIT_CONNECT ||
                            (reason != MQTT_REASON_SUCCESS && reason != MQTT_REASON_SERVER_UNAVAILABLE);
    if (!a || !has_spoken)
        return;
    const bool was_live = bk_client_is_live(c);
    json_t *line = bk_audit_begin_client(c, was_live ? "disconnected" : "refused", was_live ? NULL : connect);
    bk_audit_put_reason(line, was_live ? MQTT_DISCONNECT : MQTT_CONNACK, reason);
    bk_audit_put(line, "text", json_string(text));
    bk_audit_end(a, line);
}

void bk_audit_subscribed(const struct bk_client *c, const struct mqtt_subscription *subscription, uint8_t code)
{
    struct bk_audit *a = bk_audit_of(c);
    const bool is_refused = code >= MQTT_REASON_UNSPECIFIED;
    if (!a)
        return;
    json_t *line = bk_audit_begin_client(c, is_refused ? "subscribe_refused" : "subscribed", NULL);
    bk_audit_put_bytes(line, "filter", subscription->filter);
    bk_audit_put(line, "qos", json_integer(subscription->qos));
    if (is_refused)
        bk_audit_put_reason(line, MQTT_SUBACK, code);
    bk_audit_end(a, line);
}

void bk_audit_unsubscribed(const struct bk_client *c, struct mqtt_bytes filter)
{
    struct bk_audit *a = bk_audit_of(c);
    if (!a)
        return;
    json_t *line = bk_audit_begin_client(c, "unsubscribed", NULL);
    bk_audit_put_bytes(line, "filter", filter);
    bk_audit_end(a, line);
}

void bk_audit_publish_refused(const struct bk_client *c, struct mqtt_bytes topic, uint8_t reason)
{
    struct bk_audit *a = bk_audit_of(c);
    uint32_t n_left_out;
    if (!a || !log_limit_pass(&a->refusals, clock_now_ms(), &n_left_out))
        return;
    json_t *line = bk_audit_begin_client(c, "publish_refused", NULL);
    bk_audit_put_bytes(line, "topic", topic);
    bk_audit_put_reason(line, MQTT_PUBACK, reason);
    if (n_left_out > 0)
        bk_audit_put(line, "left_out", json_integer(n_left_out));
    bk_audit_end(a, line);
}
