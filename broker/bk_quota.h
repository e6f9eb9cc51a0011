/* What one user may have, whatever its clients, its sessions and their workers: connections, subscriptions, bytes in
 * queues, retained messages, messages and bytes in a second (--max-user-...); and how many retained messages there may
 * be in all (--max-retained).
 *
 *   struct bk_quotas    of the process; none of these options: there is none, and every function here takes NULL
 *   struct bk_account   one user's; those without a user name are one user together
 *
 * A session's account is its grant's (bk_access.h): that of who connected last. Numbers are exact with any number of
 * workers: a place is taken before what needs it is made. What the limits do not know:
 *
 *   - After a restart a session counts for its user again once its client has connected; a retained message counts for
 *     nobody, only in all, until it is published anew.
 *   - Two clients that publish to the same retained topic through different workers in the same moment, one of them
 *     deleting it, may leave the number wrong by one until the topic's next message.
 *
 * Any thread. */
#ifndef BK_QUOTA_H
#define BK_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "mqtt_packet.h"

struct bk_account;
struct bk_options;
struct bk_quotas;

enum bk_quota {
    BK_QUOTA_CONNECTIONS = 0,
    BK_QUOTA_SUBSCRIPTIONS,
    BK_QUOTA_QUEUED_BYTES,
    BK_QUOTA_RETAINED,
    BK_QUOTAS,
};

/* *RET_QUOTAS is NULL where OPTIONS limit none of it. 0 or -ENOMEM with err_text(). */
int bk_quotas_new(const struct bk_options *options, struct bk_quotas **ret_quotas);
/* No account is in use any more. NULL is fine. Returns NULL. */
struct bk_quotas *bk_quotas_free(struct bk_quotas *q);

/* USER's (ptr NULL: of those without a name). One reference. NULL where there are no quotas, or memory is short: then
 * nothing is limited. */
struct bk_account *bk_account_get(struct bk_quotas *q, struct mqtt_bytes user);
/* NULL is fine, in all functions below too. */
struct bk_account *bk_account_ref(struct bk_account *a);
struct bk_account *bk_account_unref(struct bk_account *a);

/* N more, if that is allowed. */
bool bk_account_take(struct bk_account *a, enum bk_quota what, int64_t n);
/* N more (below 0: fewer), which cannot be refused. */
void bk_account_charge(struct bk_account *a, enum bk_quota what, int64_t n);
/* Whether N more would be allowed. */
bool bk_account_has_room(const struct bk_account *a, enum bk_quota what, int64_t n);

/* Whether rates are limited: --max-user-message-rate, --max-user-byte-rate. NULL: they are not. */
bool bk_quotas_have_rates(const struct bk_quotas *q);
/* A client of A has sent PACKET. Returns for how many ms that client should send nothing more: all that A's clients
 * have sent, with whatever workers, counts. NOW_MS: loop_now_ms(). */
uint64_t bk_account_spend(struct bk_account *a, const struct mqtt_packet *packet, uint64_t now_ms);

/* A client of A publishes to TOPIC with RETAIN: from now on the topic's message is one of A's; EMPTY: there is none any
 * more. False: that would be one too many, nothing has changed. */
bool bk_quota_retain(struct bk_quotas *q, struct bk_account *a, struct mqtt_bytes topic, bool is_empty);
/* TOPIC's retained message has expired. */
void bk_quota_retained_expired(struct bk_quotas *q, struct mqtt_bytes topic);
/* It was there before the start. */
void bk_quota_retained_restored(struct bk_quotas *q, struct mqtt_bytes topic);

#endif
