/* See bk_tag.h. */
#include "bk_tag.h"

#include <string.h>

#include "bk_share.h"

struct bk_tag *bk_tag_new(struct bk_share *share, const uint32_t *ids, uint32_t n_ids)
{
    if (!share && n_ids == 0)
        return NULL;
    struct bk_tag *t = malloc(sizeof *t + n_ids * sizeof *ids);
    if (!t)
        return NULL;
    *t = (struct bk_tag){.refs = 1, .n_ids = n_ids, .share = share ? bk_share_ref(share) : NULL};
    if (n_ids > 0)
        memcpy(t->ids, ids, n_ids * sizeof *ids);
    return t;
}

struct bk_tag *bk_tag_ref(struct bk_tag *t)
{
    if (t)
        t->refs++;
    return t;
}

struct bk_tag *bk_tag_unref(struct bk_tag *t)
{
    if (!t || --t->refs > 0)
        return NULL;
    bk_share_unref(t->share);
    free(t);
    return NULL;
}
