/* What a carrier of lanes implements. The session code sees lane.h only. */
#ifndef LANE_INTERNAL_H
#define LANE_INTERNAL_H

#include "lane.h"

/* Each as the function of that name in lane.h says. */
struct lane_ops {
    int (*send)(struct lane *l, const struct mqtt_packet *packet);
    bool (*may_send)(const struct lane *l);
    void (*consumed)(struct lane *l, size_t bytes);
    size_t (*packet_charge)(const struct lane *l);
    struct gate_wait *(*hold)(struct lane *l);
    const char *(*session_id)(const struct lane *l);
    size_t (*buffered_bytes)(const struct lane *l);
    void (*pause)(struct lane *l, bool is_paused);
    void (*finish)(struct lane *l, enum lane_end why, const char *text);
    void (*free)(struct lane *l);
};

/* First member of the carrier's own struct. */
struct lane {
    const struct lane_ops *ops;
    const struct lane_cbs *cbs;
    void *arg;
    struct lane_peer peer;
    struct trunk_client *client; /* NULL: nothing is known of it; owned, free() */
    bool is_open;                /* the peer is known */
};

enum { LANE_CLIENT_TEXT_MAX = 255 }; /* of each text: what is longer is left out */

/* Keep a copy of what the peer has said of the client. 0 or -ENOMEM. */
int lane_set_client(struct lane *l, const struct trunk_client *client);

#endif
