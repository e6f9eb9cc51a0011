/* What a database has to do to stand behind store.h. Only drivers and the store itself include this.
 *
 * All calls come from one thread at a time: the caller of store_open() and store_close(), the store thread in between;
 * load() may come from several. Each may block. Results as in store.h: 0, a positive outcome where said, or negative
 * errno with err_text(). */
#ifndef STORE_DRIVER_H
#define STORE_DRIVER_H

#include "store.h"

/* --- What is to be written, as it lies in a round. Read only for drivers, but for `result`. */

enum store_entry_kind {
    STORE_ENTRY_CANCELLED = 0,
    STORE_ENTRY_PUT,
    STORE_ENTRY_DELETE,
    STORE_ENTRY_DELETE_RANGE,
    STORE_ENTRY_REQUIRE_VALUE, /* the value in `head` */
    STORE_ENTRY_REQUIRE_ABSENT,
};

struct store_entry {
    struct store_entry *next; /* in its batch */
    struct store_batch *batch;
    const uint8_t *key;  /* of a range: its first; behind it `head`, of a range its end */
    const uint8_t *body; /* the caller's, until release() */
    void (*release)(void *owner);
    void *owner;
    uint32_t head_len, body_len;
    uint16_t key_len;
    uint8_t kind;
    bool is_after_first; /* of a range */
};

/* A batch or a scan, in the order in which the loop asked for them. */
struct store_request {
    struct store_request *next;
    bool is_scan;
    bool is_done; /* its callback has run, or runs with this turn */
};

struct store_batch {
    struct store_request request;
    struct store_round *round;
    struct store_batch *next_early; /* done with this turn, whatever is before it */
    struct store_entry *first, *last;
    store_done_fn *done;
    void *arg;
    int error;         /* what went wrong while it was filled: nothing of it is written; 0 = nothing */
    int result;        /* of the driver */
    uint32_t n_writes; /* entries that are still to be written; cancelled ones have been taken off */
    uint32_t n_puts;   /* of those */
    uint32_t n_requires;
    bool has_body; /* something is to be released */
    bool is_committed;
    uint8_t flags; /* enum store_batch_flags */
};

/* The first batch from REQUEST on with which a driver has something to do; NULL: none. */
struct store_batch *store_batch_to_write(struct store_request *request);
static inline struct store_batch *store_batch_next(const struct store_batch *b)
{
    return store_batch_to_write(b->request.next);
}
/* It may use what is kept for freeing space. */
static inline bool store_batch_may_use_reserve(const struct store_batch *b)
{
    return b->n_puts == 0 || (b->flags & STORE_FREES_SPACE);
}

static inline struct store_bytes store_entry_key(const struct store_entry *e)
{
    return (struct store_bytes){e->key, e->key_len};
}
static inline struct store_bytes store_entry_head(const struct store_entry *e)
{
    return (struct store_bytes){e->key + e->key_len, e->head_len};
}
struct store_range store_entry_range(const struct store_entry *e);
static inline size_t store_entry_value_len(const struct store_entry *e)
{
    return (size_t)e->head_len + e->body_len;
}
/* HEAD and BODY one behind the other, to DST. */
void store_entry_copy_value(const struct store_entry *e, uint8_t *dst);

int store_bytes_compare(struct store_bytes a, struct store_bytes b);
/* KEY lies before its end. */
bool store_range_has(const struct store_range *range, struct store_bytes key);

/* --- A page of a scan, while it is being filled. */

struct store_page_items;
/* Add an item, copied. False if the page is full: it does not belong to it any more. Out of memory ends it too
 * (is_short). */
bool store_page_add(struct store_page_items *p, struct store_bytes key, struct store_bytes value);
/* The range has been read to its end. */
void store_page_end(struct store_page_items *p);

/* --- The driver. */

struct store_driver_ops;
struct store_driver {
    const struct store_driver_ops *ops;
};

struct store_driver_ops {
    const char *scheme;
    bool is_volatile;
    /* PLACE: what follows the scheme in the URL. Recovers, checks and repairs what is there; of RET_REPORT it fills in
     * that. */
    int (*open)(const char *place, const struct store_options *options, struct store_driver **ret_driver,
                struct store_report *ret_report);
    /* Everything written is with the disk. Frees the driver. */
    void (*close)(struct store_driver *d);
    /* Write all batches from FIRST on (store_batch_next()), in order, and set the `result` of each: 0, STORE_CONFLICT,
     * STORE_FULL, STORE_UNKNOWN, or negative. 0, or negative with the text that explains the negative ones. With
     * STORE_SYNC durable when it returns. */
    int (*commit)(struct store_driver *d, struct store_batch *first);
    /* Everything committed so far is with the disk when it returns; NULL if commit() always does that. Called about
     * every STORE_SYNC_MS while there is something to sync, and not with STORE_SYNC. */
    int (*sync)(struct store_driver *d);
    /* Items of RANGE until store_page_add() says no, or its end. */
    int (*read)(struct store_driver *d, const struct store_range *range, struct store_page_items *page);
    int (*load)(struct store_driver *d, const struct store_range *range, store_load_fn *fn, void *arg);
    uint64_t (*used_bytes)(struct store_driver *d);

    /* One transaction of the thread of store_open(), for the record of the format and upgrades. While it is open read()
     * sees what was put. NULL if the driver is volatile: then there is nothing to upgrade. */
    int (*begin)(struct store_driver *d);
    int (*put)(struct store_driver *d, struct store_bytes key, struct store_bytes value);
    int (*remove)(struct store_driver *d, struct store_bytes key);
    /* Keep it (durably), or drop it: then always 0. */
    int (*end)(struct store_driver *d, bool keep);
};

extern const struct store_driver_ops store_memory_ops;
extern const struct store_driver_ops store_lmdb_ops;

/* store_open() with a driver that is not in its table: for tests. */
int store_open_driver(const struct store_driver_ops *ops, const char *place, const struct store_options *options,
                      struct store **ret_store, struct store_report *ret_report);

#endif
