/* Where a topic's messages go: the entries of the index that match it, one target for each session.
 *
 *   topic --hash--> [ route kept from before, same generation ]  or  topic_index_match() --> merged --> [ kept ]
 *
 * A session with several matching filters is one target, with the highest QoS and the identifiers of all (MQTT-3.3.4-2,
 * -4). Subscriptions with No Local and without stay apart. A topic that is published for the second time has its route
 * kept; any change of subscriptions makes all kept routes stale at once (`generation`), so a route never names what is
 * gone. A peer (bk_peers.h) is one target too, whatever its subscribers' filters. One loop. */
#ifndef BK_ROUTE_H
#define BK_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt_packet.h"
#include "topic_index.h"

struct bk_peer;
struct bk_publication;
struct bk_tag;
struct bk_worker;

/* What an entry of the index says in its options. */
enum {
    BK_ENTRY_QOS = 3,
    BK_ENTRY_NO_LOCAL = 1 << 2,
    BK_ENTRY_RETAIN_AS_PUBLISHED = 1 << 3,
    BK_ENTRY_GUARDED = 1 << 5, /* the ACL does not allow all that the filter matches: ask for each message */
    BK_ENTRY_SHARE = 1 << 4,   /* the owner is a struct bk_share */
    BK_ENTRY_PEER = 1 << 6,    /* the owner is a struct bk_peer; with neither: a struct bk_session */
};

struct bk_target {
    void *owner;        /* by BK_ENTRY_SHARE and BK_ENTRY_PEER */
    struct bk_tag *tag; /* one reference; NULL: no identifiers */
    uint32_t options;   /* as above */
};

struct bk_route {
    struct bk_target *targets;
    size_t n, room;
    uint64_t generation;
    uint64_t hash; /* of the topic */
    uint16_t topic_len;
    uint8_t topic[];
};

enum { BK_ROUTES = 4096 };

struct bk_routes {
    struct bk_route **kept; /* BK_ROUTES places, by hash */
    uint64_t *seen;         /* hash of the topic that was published last and has no kept route, by hash */
    struct bk_route *spare; /* of a topic that is not kept */
    struct topic_matches matches;
    uint64_t generation; /* of the subscriptions */
    uint64_t mark;       /* counts merges, see bk_session.route_mark */
};

/* 0 or -ENOMEM. */
int bk_routes_init(struct bk_routes *r);
void bk_routes_deinit(struct bk_routes *r);
/* Subscriptions have changed. */
static inline void bk_routes_change(struct bk_routes *r)
{
    r->generation++;
}

/* Deliver P to all that have subscribed to its topic. False: nobody has. No session ends meanwhile. OWNER, the worker
 * of what is retained under its topic, is to retain it; NULL: none has to. */
bool bk_route_publish(struct bk_worker *w, struct bk_publication *p, struct bk_peer *owner);
/* P has come from a peer: to the sessions of this worker alone. Shared subscriptions are the business of where it comes
 * from. */
void bk_route_publish_here(struct bk_worker *w, struct bk_publication *p);

#endif
