/* A store in a test: opened in a directory that goes with it, asked and waited for. */
#ifndef STORE_SUPPORT_H
#define STORE_SUPPORT_H

#include "store.h"

struct loop;

/* A new directory below TMPDIR; its name lasts until the next call. */
const char *store_support_make_dir(void);
/* With everything in it. */
void store_support_remove_dir(const char *dir);

/* Text as bytes. */
static inline struct store_bytes store_text(const char *text)
{
    return (struct store_bytes){text, __builtin_strlen(text)};
}

/* Results of commits that have not come yet are this. */
enum { STORE_SUPPORT_WAITING = 1000 };
/* A store_done_fn; ARG is an int. */
void store_support_done(void *arg, int result);
/* Turns LOOP until *RESULT is not STORE_SUPPORT_WAITING any more; gives it. */
int store_support_wait(struct loop *loop, const int *result);

void store_support_put(struct store_batch *b, const char *key, const char *value);
/* One batch with one put, waited for. */
int store_support_put_now(struct loop *loop, struct store_client *c, const char *key, const char *value);
int store_support_delete_now(struct loop *loop, struct store_client *c, const char *key);

/* All of a range (END "" = to the end) as "key=value key=value", through pages of MAX_ITEMS; lasts until the next call.
 */
const char *store_support_scan(struct loop *loop, struct store_client *c, const char *first, const char *end,
                               size_t max_items);

#endif
