/* What a delivery carries beside its message: the identifiers of the subscriptions that it is for, and the shared
 * subscription that chose its session. Counted references, one loop. */
#ifndef BK_TAG_H
#define BK_TAG_H

#include <stdint.h>
#include <stdlib.h>

struct bk_share;

struct bk_tag {
    uint32_t refs;
    uint32_t n_ids;
    struct bk_share *share; /* one reference; NULL: not of a shared subscription */
    uint32_t ids[];         /* Subscription Identifiers, in the order of the subscriptions */
};

/* NULL where there is neither, or memory is short. */
struct bk_tag *bk_tag_new(struct bk_share *share, const uint32_t *ids, uint32_t n_ids);
/* NULL is fine, for both. */
struct bk_tag *bk_tag_ref(struct bk_tag *t);
struct bk_tag *bk_tag_unref(struct bk_tag *t);

#endif
