/* The other workers of the process, as one worker sees them: who of them wants which messages, and what is sent to
 * them.
 *
 *   worker A   frames --> [ outbox to B ] --end of the turn, one mail--> worker B: frames, in order
 *                 A's holds wait <------------ CONFIRM n ------------- what batch n has changed is with the store
 *
 * A frame is an interest in a filter (B has subscribers of it, so A's index has an entry with BK_ENTRY_PEER), a
 * message, a question for retained messages, a share's members, ... (bk_peers.c lists them). The outbox keeps the order
 * of what one worker sends, so the order of each publisher's messages too. Payloads above BK_PAYLOAD_INLINE cross as
 * references of a buf, all else as bytes.
 *
 * Batches that promise something are numbered: those with an interest (SUBACK waits until all know of it), those with
 * messages that have to survive (PUBACK and PUBREC wait until they do), and every now and then one for its bytes: too
 * many that B has not taken yet pause who publishes to B. Commits never wait for peers, only answers do: so two workers
 * cannot wait for each other.
 *
 * With one worker there are no peers: worker->peers is NULL, and every function takes that. On the worker's loop. */
#ifndef BK_PEERS_H
#define BK_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "mqtt_packet.h"

struct bk_client;
struct bk_message;
struct bk_peer;
struct bk_peers;
struct bk_publication;
struct bk_share_count;
struct bk_worker;
struct topic_filter;

enum { BK_WORKERS_MAX = 256 }; /* as --workers has it */

/* Which workers have been asked already. */
struct bk_workers_set {
    uint64_t bits[BK_WORKERS_MAX / 64];
};
static inline bool bk_workers_set_has(const struct bk_workers_set *set, unsigned worker)
{
    return set->bits[worker / 64] >> (worker % 64) & 1;
}
static inline void bk_workers_set_add(struct bk_workers_set *set, unsigned worker)
{
    set->bits[worker / 64] |= 1ull << (worker % 64);
}

/* W's view of the others, N workers in all; *ret_peers NULL for one. Frames collect until bk_peers_open(). 0 or
 * -ENOMEM. */
int bk_peers_new(struct bk_worker *w, unsigned n, struct bk_peers **ret_peers);
/* All workers are there: what has collected leaves. */
void bk_peers_open(struct bk_peers *p);
/* What has collected leaves, what comes later is dropped: the other workers may be gone from here on. */
void bk_peers_shut(struct bk_peers *p);
/* Returns NULL. */
struct bk_peers *bk_peers_free(struct bk_peers *p);

/* The other worker INDEX. */
struct bk_peer *bk_peers_get(const struct bk_peers *p, unsigned index);
unsigned bk_peer_index(const struct bk_peer *peer);
/* Marks for merging routes, see bk_route.c. */
bool bk_peer_mark(struct bk_peer *peer, uint64_t mark);

/* --- Interests. FILTER has its first subscriber here, or is about to lose its last one: the others hear of it if so.
 */
void bk_peers_interest(struct bk_worker *w, const struct topic_filter *filter);
void bk_peers_interest_ends(struct bk_worker *w, const struct topic_filter *filter);
/* The members of a shared subscription that this worker has now. */
void bk_peers_share(struct bk_worker *w, struct mqtt_bytes text, uint32_t filter_at,
                    const struct bk_share_count *count);

/* --- Messages */

/* To its subscribers; IS_OWNER: and to be retained, it owns what is under the topic. */
void bk_peer_publish(struct bk_peer *peer, struct bk_publication *p, bool is_owner);
/* The one peer that P has been sent to writes, with P, that its exchange has got so far (bk_journal.h). */
void bk_peer_publish_whole(const struct bk_publication *p);
/* One of the members of shared subscription TEXT is to get P: TRIED have nobody for it; SLOT is where looking begins. A
 * PEER that has nobody either returns it (P->far is PEER then): only who has been promised to wait for it may hand it
 * on. */
void bk_peer_publish_shared(struct bk_peer *peer, struct bk_publication *p, struct mqtt_bytes text,
                            const struct bk_workers_set *tried, uint32_t slot);

/* --- Retained messages: the asking side names a question ID; the answers are items and, once, the end. */
void bk_peer_ask_retained(struct bk_peer *peer, uint32_t id, struct mqtt_bytes filter);
/* All items up to now have been taken: more may come. */
void bk_peer_ask_more(struct bk_peer *peer, uint32_t id);
void bk_peer_ask_no_more(struct bk_peer *peer, uint32_t id);
void bk_peer_answer_retained(struct bk_peer *peer, uint32_t id, struct bk_publication *p);
/* No item is left; or (!IS_END) no more now, until it is asked for more. */
void bk_peer_answer_pause(struct bk_peer *peer, uint32_t id, bool is_end);

/* --- --slow-consumer pace: its client NUMBER sends too much (or no longer) for one of our subscribers. */
void bk_peer_pace(struct bk_peer *peer, uint64_t number, bool is_held);

/* --- Waiting for confirmation */

/* FN(ARG) runs when all peers have confirmed what has been sent to them so far, in the order of the calls: never from
 * inside the call. False: they have already, FN does not run. Out of memory is fatal. At the end of the worker holds
 * are dropped, FN does not run. */
typedef void bk_peers_hold_fn(void *arg);
bool bk_peers_hold(struct bk_worker *w, bk_peers_hold_fn *fn, void *arg);
/* The hold with ARG is dropped; harmless where there is none. */
void bk_peers_unhold(struct bk_worker *w, const void *arg);
/* What batch NUMBER of PEER has changed is with the store (bk_journal.c says so). */
void bk_peer_committed(struct bk_peer *peer, uint64_t number);
/* What PEER had returned is with the store; batch NUMBER of ours, that it has confirmed meanwhile, is confirmed now (0:
 * none). */
void bk_peer_return_committed(struct bk_peer *peer, uint64_t number);

#endif
