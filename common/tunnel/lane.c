/* See lane.h. The carrier does the work. */
#include "lane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lane_internal.h"
#include "trunk_frame.h"

const char *lane_end_name(enum lane_end end)
{
    switch (end) {
    case LANE_END_OK:
        return "ok";
    case LANE_END_UNAVAILABLE:
        return "unavailable";
    case LANE_END_LIMIT:
        return "limit";
    case LANE_END_PROTOCOL:
        return "protocol";
    case LANE_END_UNAUTHENTICATED:
        return "unauthenticated";
    case LANE_END_DENIED:
        return "denied";
    case LANE_END_LOST:
        return "lost";
    }
    return "unknown";
}

int lane_send(struct lane *l, const struct mqtt_packet *packet)
{
    return l->ops->send(l, packet);
}

bool lane_may_send(const struct lane *l)
{
    return l->ops->may_send(l);
}

void lane_consumed(struct lane *l, size_t bytes)
{
    l->ops->consumed(l, bytes);
}

size_t lane_packet_charge(const struct lane *l)
{
    return l->ops->packet_charge(l);
}

struct gate_wait *lane_hold(struct lane *l)
{
    return l->ops->hold(l);
}

bool lane_is_open(const struct lane *l)
{
    return l->is_open;
}

const char *lane_session_id(const struct lane *l)
{
    return l->ops->session_id(l);
}

static size_t lane_client_text_bytes(struct mqtt_bytes text)
{
    return text.len <= LANE_CLIENT_TEXT_MAX ? text.len : 0;
}

/* TEXT at *AT, which moves behind it. */
static struct mqtt_bytes lane_client_keep(struct mqtt_bytes text, uint8_t **at)
{
    const size_t n = lane_client_text_bytes(text);
    if (n == 0)
        return (struct mqtt_bytes){.len = 0};
    const struct mqtt_bytes kept = {memcpy(*at, text.ptr, n), (uint32_t)n};
    *at += n;
    return kept;
}

int lane_set_client(struct lane *l, const struct trunk_client *client)
{
    const size_t n = lane_client_text_bytes(client->source) + lane_client_text_bytes(client->tls_version) +
                     lane_client_text_bytes(client->tls_cipher) + lane_client_text_bytes(client->server_name) +
                     lane_client_text_bytes(client->common_name);
    if (n == 0 && !client->is_tls)
        return 0;
    l->client = malloc(sizeof(*l->client) + n);
    if (!l->client)
        return -ENOMEM;
    uint8_t *at = (uint8_t *)(l->client + 1);
    *l->client = (struct trunk_client){
        .source = lane_client_keep(client->source, &at),
        .tls_version = lane_client_keep(client->tls_version, &at),
        .tls_cipher = lane_client_keep(client->tls_cipher, &at),
        .server_name = lane_client_keep(client->server_name, &at),
        .common_name = lane_client_keep(client->common_name, &at),
        .is_tls = client->is_tls,
        .has_certificate = client->has_certificate,
    };
    return 0;
}

const struct trunk_client *lane_client(const struct lane *l)
{
    return l->client;
}

void lane_set_callbacks(struct lane *l, const struct lane_cbs *cbs, void *arg)
{
    l->cbs = cbs;
    l->arg = arg;
}

const struct lane_peer *lane_peer(const struct lane *l)
{
    return &l->peer;
}

size_t lane_buffered_bytes(const struct lane *l)
{
    return l->ops->buffered_bytes(l);
}

void lane_pause(struct lane *l, bool is_paused)
{
    l->ops->pause(l, is_paused);
}

void lane_finish(struct lane *l, enum lane_end why, const char *text)
{
    l->ops->finish(l, why, text);
}

struct lane *lane_free(struct lane *l)
{
    if (l)
        l->ops->free(l);
    return NULL;
}
