/* A tenant's texts, made when its client connects (tenant.h). */
#include "tenant.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "mqtt_property.h"
#include "mqtt_topic.h"
#include "random.h"
#include "str.h"
#include "tenant_internal.h"
#include "tenant_template.h"

enum {
    MADE_ID_BYTES = 16, /* random: nobody guesses it, and no two are the same */
    MADE_ID_LEN = 2 * MADE_ID_BYTES,
};

/* --- Options */

int tenant_check_mount_point(const char *text)
{
    const struct mqtt_bytes topic = {(const uint8_t *)text, (uint32_t)strlen(text)};
    int r = tenant_template_check(text, true);
    if (r == 0 && mqtt_topic_has_wildcard(topic))
        return err_set(-EINVAL, "\"%.80s\": no place for wildcards", text);
    if (r == 0 && *text == '$')
        return err_set(-EINVAL, "\"%.80s\": topics that begin with $ are the broker's", text);
    return r;
}

int tenant_check_client_id_prefix(const char *text)
{
    return tenant_template_check(text, false);
}

bool tenant_needs_certificate(const char *text)
{
    for (; text && *text; text++) {
        if (*text == '%' && *++text == 'n')
            return true;
    }
    return false;
}

/* --- Texts */

/* Why a template could not be filled. */
static int refuse(int r, struct mqtt_fault *fault)
{
    if (r == TENANT_TEMPLATE_LONG)
        return mqtt_fault_set(fault, MQTT_REASON_NOT_AUTHORIZED, "its mount point or client id prefix is too long");
    switch ((enum tenant_value)(r - TENANT_TEMPLATE_BAD)) {
    case TENANT_USER:
        return mqtt_fault_set(fault, MQTT_REASON_NOT_AUTHORIZED,
                              "no mount point or client id prefix can be made of its user name");
    case TENANT_CLIENT_ID:
        return mqtt_fault_set(fault, MQTT_REASON_CLIENT_ID_NOT_VALID,
                              "no mount point or client id prefix can be made of its client id");
    case TENANT_CERTIFICATE:
    case TENANT_VALUES:
        break;
    }
    return mqtt_fault_set(fault, MQTT_REASON_NOT_AUTHORIZED,
                          "no mount point or client id prefix can be made of the name in its certificate");
}

/* Lengths of both texts, without the slash behind the mount point. */
static int measure(const struct tenant_rules *rules, const struct tenant_values *values, size_t *ret_mount,
                   size_t *ret_prefix)
{
    int r = rules->mount_point ? tenant_template_fill(rules->mount_point, values, NULL, ret_mount) : 0;
    if (r == 0 && *ret_mount == MQTT_STRING_MAX)
        r = TENANT_TEMPLATE_LONG; /* there is a slash to come */
    if (r == 0 && rules->client_id_prefix)
        r = tenant_template_fill(rules->client_id_prefix, values, NULL, ret_prefix);
    return r;
}

static struct mqtt_bytes fill(const char *template, const struct tenant_values *values, uint8_t *dst)
{
    size_t len = 0;
    if (template)
        tenant_template_fill(template, values, dst, &len);
    return (struct mqtt_bytes){dst, (uint32_t)len};
}

static void fill_mount(struct tenant *t, const char *template, const struct tenant_values *values)
{
    t->mount = fill(template, values, t->text);
    if (t->mount.len > 0 && t->mount.ptr[t->mount.len - 1] != '/')
        t->text[t->mount.len++] = '/';
}

static int make_id(struct tenant *t, uint8_t *dst)
{
    uint8_t bytes[MADE_ID_BYTES];
    char hex[MADE_ID_LEN + 1];
    int r = random_bytes(bytes, sizeof(bytes));
    if (r < 0)
        return r;
    memcpy(dst, str_hex(hex, bytes, sizeof(bytes)), MADE_ID_LEN);
    t->made_id = (struct mqtt_bytes){dst, MADE_ID_LEN};
    return 0;
}

/* 3.1.1 allows no client id where the session ends with the connection, and 3.1 never (MQTT 3.1.1 3.1.3-7). */
static bool may_lack_id(const struct mqtt_packet *connect)
{
    return connect->version == MQTT_V5 || (connect->version == MQTT_V311 && connect->connect.clean_start);
}

static int fill_all(struct tenant *t, const struct tenant_rules *rules, const struct mqtt_packet *connect,
                    const struct tenant_values *values, struct mqtt_fault *fault)
{
    fill_mount(t, rules->mount_point, values);
    t->id_prefix = fill(rules->client_id_prefix, values, t->text + t->mount.len);
    /* Of a value at its beginning: in $share/ or $SYS/ there would be no bounds. */
    if (t->mount.len > 0 && t->mount.ptr[0] == '$')
        return mqtt_fault_set(fault, MQTT_REASON_NOT_AUTHORIZED, "its mount point would begin with $");
    if (t->id_prefix.len == 0 || connect->connect.client_id.len > 0)
        return 0;
    if (!may_lack_id(connect))
        return mqtt_fault_set(fault, MQTT_REASON_CLIENT_ID_NOT_VALID, "MQTT 3.1.1 MQTT-3.1.3-8: no client id");
    return make_id(t, t->text + t->mount.len + t->id_prefix.len);
}

static int make(const struct tenant_params *params, const struct mqtt_packet *connect, struct tenant **ret_tenant,
                struct mqtt_fault *fault)
{
    const struct mqtt_connect *c = &connect->connect;
    const struct tenant_values values = {.of = {
                                             [TENANT_USER] = c->has_username ? c->username : (struct mqtt_bytes){0},
                                             [TENANT_CLIENT_ID] = c->client_id,
                                             [TENANT_CERTIFICATE] = params->certificate,
                                         }};
    size_t mount_len = 0, prefix_len = 0;
    int r = measure(&params->rules, &values, &mount_len, &prefix_len);
    if (r != 0)
        return refuse(r, fault);
    struct tenant *t = calloc(1, sizeof(*t) + mount_len + 1 + prefix_len + MADE_ID_LEN);
    if (!t)
        return err_set(-ENOMEM, "tenant: out of memory");
    t->metrics = params->metrics;
    t->log = params->log;
    t->client_packet_max = mqtt_property_number(&connect->properties, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, UINT32_MAX);
    t->broker_packet_max = UINT32_MAX;
    r = fill_all(t, &params->rules, connect, &values, fault);
    if (r != 0)
        tenant_close(t);
    else
        *ret_tenant = t;
    return r;
}

/* --- Life */

int tenant_open(const struct tenant_params *params, struct mqtt_packet *connect, struct tenant_scratch *s,
                struct tenant **ret_tenant, struct mqtt_fault *ret_fault)
{
    struct tenant *t = NULL;
    int r = 0;
    if (params->rules.mount_point || params->rules.client_id_prefix)
        r = make(params, connect, &t, ret_fault);
    if (r == 0 && t)
        r = tenant_mount(t, connect, s, ret_fault);
    if (r == TENANT_REFUSED)
        metric_add(&params->metrics->tenants_refused, 1);
    if (r != 0)
        tenant_close(t);
    else
        *ret_tenant = t;
    return r;
}

struct tenant *tenant_close(struct tenant *t)
{
    free(t);
    return NULL;
}

void tenant_move(struct tenant *t, struct tenant_metrics *metrics, const struct log_object *log)
{
    if (!t)
        return;
    t->metrics = metrics;
    t->log = log;
}

uint32_t tenant_levels(const struct tenant *t)
{
    uint32_t n = 0;
    for (uint32_t i = 0; t && i < t->mount.len; i++)
        n += t->mount.ptr[i] == '/';
    return n;
}

#define METRICS_OWNER struct tenant_metrics
static const struct metric_info tenant_metric_infos[] = {TENANT_METRICS(METRIC_INFO)};

int tenant_metrics_add(struct tenant_metrics *m, struct metrics_registry *registry, const char *prefix)
{
    return metrics_add(registry, prefix, tenant_metric_infos,
                       sizeof(tenant_metric_infos) / sizeof(tenant_metric_infos[0]), m);
}

/* --- For both directions */

bool tenant_is_sys(struct mqtt_bytes topic)
{
    static const char sys[4] = {'$', 'S', 'Y', 'S'};
    return topic.len >= sizeof(sys) && memcmp(topic.ptr, sys, sizeof(sys)) == 0 &&
           (topic.len == sizeof(sys) || topic.ptr[sizeof(sys)] == '/');
}

/* A topic and a Response Topic, and the lengths before them: of the packet and of its properties. */
uint32_t tenant_growth(const struct tenant *t)
{
    return t->mount.len > 0 ? 2 * t->mount.len + 2 * 3 : 0;
}

uint8_t *tenant_scratch_room(struct tenant_scratch *s, size_t n)
{
    if (n <= sizeof(s->small))
        return s->small;
    s->heap = malloc(n);
    if (!s->heap)
        err_set(-ENOMEM, "packet: out of memory");
    return s->heap;
}

void tenant_scratch_deinit(struct tenant_scratch *s)
{
    free(s->heap);
    s->heap = NULL;
}
