/* A shared subscription: "$share/GROUP/FILTER" and the sessions that have it; each message goes to one of them
 * (MQTT 5.0 section 4.8.2).
 *
 * Chosen is a member that is there and can take the message now; if none can, one that is there; if none is, one that
 * is away and keeps its queue. The policy decides among equals. A QoS 1 message that a member has not acknowledged when
 * its connection ends goes to another member (bk_handover.h); QoS 2, once sent, stays (MQTT-4.8.2-4, -5); a PUBACK or
 * PUBREC of 0x80 and above discards it (MQTT-4.8.2-6).
 *
 * Policies look at all members of all workers: round robin and the hashes count them in one order; sticky is the one
 * that has been connected for longest; least in flight knows other workers' numbers only roughly (bk_share_tell()).
 *
 * Members may be at several workers. Each knows its own, and how many the others have; the worker of the publisher
 * chooses a worker, which chooses a member, or returns the message if nobody there can take it now: then it goes to one
 * that has not had it yet. So whoever answers the publisher waits for the one worker that keeps the message.
 *
 * Counted references: the members' subscriptions have one each, tags of deliveries too, members elsewhere one together.
 * One loop. */
#ifndef BK_SHARE_H
#define BK_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map.h"
#include "mqtt_packet.h"

struct bk_publication;
struct bk_workers_set;
struct bk_session;
struct bk_worker;
struct topic_filter;

/* --shared-policy */
enum bk_share_policy {
    BK_SHARE_ROUND_ROBIN = 0,
    BK_SHARE_LEAST_INFLIGHT,
    BK_SHARE_STICKY,
    BK_SHARE_HASH_CLIENT,
    BK_SHARE_HASH_TOPIC,
};

struct bk_member {
    struct bk_session *session;
    struct bk_tag *tag; /* of what it gets by this subscription; one reference */
    uint32_t options;   /* bk_route.h */
};

/* Members of one worker, as far as others need to know to choose it. */
struct bk_share_count {
    uint32_t here; /* connected */
    uint32_t away;
    uint32_t in_flight; /* least in flight: at the connected member that has least, roughly */
    uint64_t oldest;    /* sticky: number of the client that has been connected for longest */
};

struct bk_share {
    struct map_node node; /* in the worker's shares, by its whole filter */
    struct bk_worker *worker;
    struct topic_filter *filter; /* what it is an entry of, while it has members anywhere */
    struct bk_member *members;
    size_t n_members, room;
    struct bk_share_count
        *workers;   /* by worker, of this one what the others have been told; NULL: it is the only one */
    uint32_t n_far; /* members at other workers */
    size_t turn;    /* who is next; among equals, where the policy has any */
    uint32_t refs;
    uint16_t text_len, filter_at;
    char text[]; /* "$share/GROUP/FILTER" */
};

struct bk_share *bk_share_ref(struct bk_share *s);
/* NULL is fine. Returns NULL. */
struct bk_share *bk_share_unref(struct bk_share *s);

/* The shared subscription TEXT ("$share/GROUP/FILTER", valid; FILTER is the part behind the group), found or made with
 * its entry in the index. The reference is the caller's. 0 or -ENOMEM. */
int bk_share_get(struct bk_worker *w, struct mqtt_bytes text, struct mqtt_bytes filter, struct bk_share **ret_share);
/* NULL if there is none. No reference. */
struct bk_share *bk_share_find(struct bk_worker *w, struct mqtt_bytes text);
bool bk_share_has(const struct bk_share *s, const struct bk_session *session);
/* Whether a member other than SESSION is connected, anywhere. */
bool bk_share_has_other(const struct bk_share *s, const struct bk_session *session);
/* MEMBER, whose tag is taken over, is one from now on, perhaps with other options than before. 0 or -ENOMEM. */
int bk_share_join(struct bk_share *s, const struct bk_member *member, bool *ret_was_member);
/* BK_ENTRY_GUARDED or 0, for SESSION's deliveries from now on. */
void bk_share_guard(struct bk_share *s, const struct bk_session *session, uint32_t guard);
/* And none any more. The last one takes the entry out of the index; what was chosen before stays with who has it. */
void bk_share_leave(struct bk_share *s, const struct bk_session *session);

/* Give P to one of the members, but not to EXCEPT (which may be NULL). False: nobody is there to take it. */
bool bk_share_publish(struct bk_share *s, struct bk_publication *p, const struct bk_session *except);
/* The same for the shared subscription TEXT of a P that comes from another worker: TRIED have nobody, SLOT is where
 * looking begins. */
void bk_share_publish_far(struct bk_worker *w, struct mqtt_bytes text, struct bk_publication *p,
                          struct bk_workers_set *tried, uint32_t slot);

/* Members have come, gone, connected or disconnected: the other workers hear it. */
void bk_share_tell(struct bk_share *s);
/* A delivery to a member has begun or ended: with the policy least in flight the others hear it if it makes much of a
 * difference. NULL is fine. */
void bk_share_delivered(struct bk_share *s);
/* And this one hears it of WORKER. FILTER_AT is where the filter begins in TEXT. 0 or -ENOMEM. */
int bk_share_set_far(struct bk_worker *w, struct mqtt_bytes text, uint32_t filter_at, unsigned worker,
                     const struct bk_share_count *count);

/* The worker ends, no session is left: what others have is forgotten. */
void bk_share_forget_all(struct bk_worker *w);

#endif
