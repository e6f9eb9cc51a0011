/* See lane.h. The carrier does the work. */
#include "lane.h"

#include "lane_internal.h"

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
