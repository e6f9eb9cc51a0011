/* A session: what the broker keeps of a client whether it is connected or not (MQTT 5.0 section 4.1).
 *
 *          CONNECT            the connection ends                       expiry is over, or Clean Start
 *   (none) -------> with a client <---------------> without -----------------------------------------> (none)
 *                                       CONNECT                 '-- its Will, when its delay is over
 *
 * It has subscriptions, deliveries of QoS 1 and 2 (bk_queue), the ids of QoS 2 publications whose PUBREL is due, and a
 * Will. It belongs to the loop that the hash of its client id names (bk_worker.h). */
#ifndef BK_SESSION_H
#define BK_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "bk_queue.h"
#include "loop.h"
#include "map.h"
#include "mqtt_inflight.h"
#include "mqtt_packet.h"

struct bk_bridge;
struct bk_client;
struct bk_cut_exchange;
struct bk_grant;
struct bk_publication;
struct bk_share;
struct bk_will;
struct bk_worker;
struct topic_filter;

/* One subscription of a session: of a filter, or of a shared one. */
struct bk_subscription {
    struct topic_filter *filter; /* NULL: shared */
    struct bk_share *share;      /* one reference; NULL: not shared */
    uint32_t serial;             /* names it in the store */
};

enum { BK_EXPIRY_NEVER = UINT32_MAX };

struct bk_session {
    struct map_node node; /* in the worker's sessions */
    struct bk_worker *worker;
    struct bk_client *client; /* NULL while nobody is connected */
    struct bk_queue queue;
    struct mqtt_inflight inbound; /* PUBLISH of QoS 2 whose PUBREL is due; PUBREL_ALONE: of an earlier connection */
    struct bk_cut_exchange *cut_exchanges; /* see bk_marks.h; NULL: none */
    struct bk_subscription *subscriptions;
    struct bk_grant *grant;         /* who it is and what it may do; NULL: everything (a bridge; until CONNECT) */
    struct bk_will *will;           /* NULL: none */
    struct bk_bridge *bridge;       /* whose side here it is (bk_bridge.h); NULL: a client's */
    struct loop_timer timer;        /* while nobody is connected: the Will's delay, then the expiry */
    struct list retain_walks;       /* retained messages that it still has to get, see bk_retain.c */
    struct loop_timer retain_timer; /* they go on with the next turn */
    struct map_node by_number;      /* in the journal's table; hash = number */
    struct list dirty_link;         /* in the journal's list, while a record of it is to be written */
    struct list waiting_link;       /* likewise, while a QoS 2 message of it waits for the disk */
    struct list growing_link;       /* likewise, while what waits has to be paged out (bk_page.h) */
    uint64_t broker;                /* hash of the id of the broker behind it (bk_bridge.h); 0: none */
    uint64_t number;                /* never used twice, after a restart neither; from 1 */
    uint64_t expires_ms;            /* loop_now_ms(); 0 while a client is connected, or never */
    uint64_t route_mark;            /* for merging, see bk_route.c */
    uint32_t route_at;
    uint32_t n_unsent; /* open exchanges that are to be repeated on this connection */
    uint32_t n_subscriptions, subscriptions_room, last_serial;
    uint32_t expiry_s; /* Session Expiry Interval; BK_EXPIRY_NEVER */
    uint16_t id_len;
    bool is_in_journal;       /* the journal's table knows it */
    bool is_record_dirty;     /* its record is to be written with the next batch */
    bool is_window_dirty;     /* likewise the window */
    bool has_inbound_records; /* some ids of `inbound` may have records of their own */
    bool is_paging;           /* a segment is being read for it */
    bool is_full_told;        /* that its queue has overflowed: once each time */
    char id[];
};

struct bk_session *bk_session_find(struct bk_worker *w, struct mqtt_bytes id);
/* A new one, without client. NULL if memory is short. */
struct bk_session *bk_session_new(struct bk_worker *w, struct mqtt_bytes id);
/* The end: subscriptions go, unacknowledged shared deliveries to other members, the Will is published if it is due. It
 * has no client. */
void bk_session_end(struct bk_session *s);
/* The time of S, which has no client, may be over though its timer has not run yet: then it ends. False: it goes on. */
bool bk_session_end_if_over(struct bk_session *s);

/* A client has connected: C is its connection from now on. */
void bk_session_join(struct bk_session *s, struct bk_client *c);
/* Its connection has ended. S may be gone afterwards (expiry 0). */
void bk_session_leave(struct bk_session *s);

/* The other side has forgotten which QoS 2 exchanges it has begun: their ids may come again for others. */
void bk_session_forget_inbound(struct bk_session *s);

struct mqtt_bytes bk_session_id(const struct bk_session *s);

/* --- Subscriptions */

struct bk_subscribe_result {
    uint8_t reason_code; /* of the SUBACK */
    bool is_new;         /* there was none of this filter before */
};

/* SUBSCRIPTION with IDENTIFIER (0 = none), which is valid; refused if the ACL does not allow it. */
struct bk_subscribe_result bk_session_subscribe(struct bk_session *s, const struct mqtt_subscription *subscription,
                                                uint32_t identifier);
/* So long may a session of W outlive its connection whose client asks for WANTED_S (--max-session-expiry). */
uint32_t bk_session_agreed_expiry(const struct bk_worker *w, uint32_t wanted_s);
/* Who is connected now is G, which is taken over: it lives on S's client id, and what S has counts for its account. */
void bk_session_set_grant(struct bk_session *s, struct bk_grant *g);
/* S's account hears how many bytes are queued now. */
void bk_session_charge(struct bk_session *s);
/* The rules have been read again: what is subscribed to stays, but only what is allowed now is delivered. */
void bk_session_renew_grant(struct bk_session *s);
/* Whether any of its subscriptions is a shared one. */
bool bk_session_has_shares(const struct bk_session *s);
/* False: there is no such subscription. */
bool bk_session_unsubscribe(struct bk_session *s, struct mqtt_bytes filter);

/* --- After a restart, see bk_recover.c */

/* As it was: the reason code of a SUBACK. */
uint8_t bk_session_restore_subscription(struct bk_session *s, const struct mqtt_subscription *subscription,
                                        uint32_t identifier, uint32_t serial);
/* All of it has been read: its time without a client runs. */
void bk_session_restored(struct bk_session *s);

#endif
