/* Tenants: whatever a client and its names say, what it sends stays below its mount point and comes back as it was; and
 * what a broker sends is handled. Input: lengths and texts of the template, user name and client id; flags; then MQTT
 * bytes of the client, and of the broker. */
#include <stdlib.h>
#include <string.h>

#include "ensure.h"
#include "input.h"
#include "mqtt_check.h"
#include "mqtt_decode.h"
#include "mqtt_topic.h"
#include "tenant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tenant_metrics metrics;
static struct mqtt_dropped dropped;
static struct mqtt_bytes mount; /* as the first topic showed it; a view of `mount_text` */
static uint8_t mount_text[MQTT_STRING_MAX];

static bool is_sys(struct mqtt_bytes topic)
{
    return topic.len >= 4 && memcmp(topic.ptr, "$SYS", 4) == 0 && (topic.len == 4 || topic.ptr[4] == '/');
}

static void ensure_inside(struct mqtt_bytes topic)
{
    ensure(is_sys(topic) || (topic.len > mount.len && memcmp(topic.ptr, mount.ptr, mount.len) == 0));
}

static void ensure_filters_inside(const struct mqtt_packet *p)
{
    struct mqtt_bytes iter = p->subscriptions.wire, group, inner;
    struct mqtt_subscription s;
    while (p->type == MQTT_SUBSCRIBE ? mqtt_subscription_next(&iter, &s) : mqtt_filter_next(&iter, &s.filter)) {
        if (!mqtt_topic_is_shared(s.filter))
            ensure_inside(s.filter);
        else if (mqtt_topic_split_shared(s.filter, &group, &inner))
            ensure_inside(inner);
    }
}

/* Where the mount point is: what stands before "x". */
static void learn_mount(struct tenant *t)
{
    struct mqtt_packet p = {.type = MQTT_PUBLISH, .version = MQTT_V311};
    struct mqtt_fault fault;
    struct tenant_scratch scratch;
    p.publish.topic = (struct mqtt_bytes){(const uint8_t *)"x", 1};
    mount = (struct mqtt_bytes){mount_text, 0};
    tenant_scratch_init(&scratch);
    if (tenant_mount(t, &p, &scratch, &fault) == 0) {
        mount.len = p.publish.topic.len - 1;
        memcpy(mount_text, p.publish.topic.ptr, mount.len);
        ensure(mount.len > 0 && mount.ptr[0] != '$' && mount.ptr[mount.len - 1] == '/');
        ensure(mqtt_topic_name_is_valid(mount));
    }
    tenant_scratch_deinit(&scratch);
}

static void send_back(struct tenant *t, const struct mqtt_packet *mounted, const struct mqtt_packet *said)
{
    struct mqtt_packet p = *mounted;
    struct mqtt_reply answer;
    struct tenant_scratch scratch;
    tenant_scratch_init(&scratch);
    ensure(tenant_unmount(t, &p, &scratch, &dropped, &answer) == 0);
    ensure(mqtt_packet_equal(&p, said));
    tenant_scratch_deinit(&scratch);
}

static void from_client(struct tenant *t, const struct mqtt_packet *said)
{
    struct mqtt_packet p = *said;
    struct mqtt_fault fault;
    struct tenant_scratch scratch;
    tenant_scratch_init(&scratch);
    if (mount.len > 0 && tenant_mount(t, &p, &scratch, &fault) == 0) {
        ensure(mqtt_packet_check(&p, &fault) == 0);
        if (p.type == MQTT_SUBSCRIBE || p.type == MQTT_UNSUBSCRIBE)
            ensure_filters_inside(&p);
        if (p.type == MQTT_PUBLISH && p.publish.topic.len > 0)
            ensure_inside(p.publish.topic);
        if (p.type == MQTT_PUBLISH && !dropped.list)
            send_back(t, &p, said);
    }
    tenant_scratch_deinit(&scratch);
}

static void from_broker(struct tenant *t, const struct mqtt_packet *said)
{
    struct mqtt_packet p = *said;
    struct mqtt_fault fault;
    struct mqtt_reply answer;
    struct tenant_scratch scratch;
    tenant_scratch_init(&scratch);
    int r = tenant_unmount(t, &p, &scratch, &dropped, &answer);
    ensure(r != 0 || mqtt_packet_check(&p, &fault) == 0);
    ensure(r != MQTT_DROPPED_ANSWER || mqtt_packet_check(&answer.packet, &fault) == 0);
    tenant_scratch_deinit(&scratch);
}

static void each_packet(struct tenant *t, uint8_t version, bool is_client, struct mqtt_bytes bytes)
{
    struct mqtt_decoder decoder;
    struct mqtt_packet p;
    struct cursor input = cursor_make(bytes.ptr, bytes.len);
    mqtt_decoder_init(&decoder, version, 1 << 20);
    while (mqtt_decoder_feed(&decoder, &input, &p) == MQTT_DECODE_OK) {
        if (is_client && p.type != MQTT_CONNECT)
            from_client(t, &p);
        else if (!is_client)
            from_broker(t, &p);
    }
}

static char *text_of(struct mqtt_bytes bytes)
{
    char *text = malloc(bytes.len + 1u);
    memcpy(text, bytes.ptr, bytes.len);
    text[bytes.len] = '\0';
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_make(data, size);
    char *template = text_of(take_bytes(&c));
    struct mqtt_packet connect = {.type = MQTT_CONNECT, .version = take_u8(&c) % 3 + MQTT_V31};
    struct mqtt_fault fault;
    struct tenant_scratch scratch;
    struct tenant *t = NULL;
    connect.connect.protocol_level = connect.version;
    connect.connect.clean_start = true;
    connect.connect.has_username = true;
    connect.connect.username = take_bytes(&c);
    connect.connect.client_id = take_bytes(&c);
    struct tenant_params params = {.rules = {.mount_point = template, .client_id_prefix = "%n:"}, .metrics = &metrics};
    params.certificate = take_bytes(&c);
    const struct mqtt_bytes up = take_bytes(&c), down = {c.ptr, (uint32_t)c.len};

    tenant_scratch_init(&scratch);
    mqtt_dropped_init(&dropped);
    const bool is_legal = mqtt_packet_check(&connect, &fault) == 0 && tenant_check_mount_point(template) == 0;
    if (is_legal && tenant_open(&params, &connect, &scratch, &t, &fault) == 0) {
        ensure(mqtt_packet_check(&connect, &fault) == 0);
        learn_mount(t);
        each_packet(t, connect.version, true, up);
        each_packet(t, connect.version, false, down);
    }
    tenant_scratch_deinit(&scratch);
    mqtt_dropped_clear(&dropped);
    tenant_close(t);
    free(template);
    return 0;
}
