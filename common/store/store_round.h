/* A round: what a loop has asked of the store since the store thread last took its requests, and the memory of all
 * that.
 *
 *   requests   batches and scans, a chain in order
 *   entries    puts and deletes, in groups of a fixed size, so that a ticket (the serial number of its entry) finds its
 *              entry by arithmetic
 *   blocks     memory for both, and for keys and heads; given back all at once
 *
 * Belongs to the loop, to the store thread while that works on it (the lock of the store lies between), never to both.
 * Nothing here locks. */
#ifndef STORE_ROUND_H
#define STORE_ROUND_H

#include "mailbox.h"
#include "store_driver.h"

/* A scan, as a request. */
struct store_scan_request {
    struct store_request request;
    struct store_range range; /* in the memory of the round */
    size_t max_items, max_bytes;
    store_scan_fn *fn;
    void *arg;
    struct store_page_items *page; /* from the store thread; NULL: failed */
    int result;
};

struct store_block;
struct store_round {
    struct mail mail; /* back to the loop */
    struct store_client *client;
    struct store_round *next; /* behind it with the store thread */
    struct store_request *first, **end;
    struct store_request *next_undone; /* those before it are done; may be done itself */
    uint64_t first_serial;
    uint32_t n_entries;
    uint32_t n_group_slots;
    struct store_entry **groups;
    struct store_block *blocks; /* the newest first */
    struct store_block *spare;  /* empty ones of the usual size */
    size_t spare_bytes;
    size_t bytes; /* of keys and values */
    uint32_t n_undone;
    uint32_t n_scans;
    uint32_t n_writes;   /* entries that are still to be written */
    uint32_t n_requires; /* preconditions to be answered */
    char reason[256];    /* why those with a negative result failed */
};

/* Empty. NULL if memory is short. */
struct store_round *store_round_new(struct store_client *client);
/* Frees it; bodies must have been released. NULL is fine. Returns NULL. */
struct store_round *store_round_free(struct store_round *r);
/* As new, with a little of its memory kept. The next serial is FIRST_SERIAL. */
void store_round_reset(struct store_round *r, uint64_t first_serial);
/* N bytes, aligned for a struct; NULL if memory is short. */
void *store_round_alloc(struct store_round *r, size_t n);
/* A new entry of B, at its end. NULL if memory is short. */
struct store_entry *store_round_add_entry(struct store_round *r, struct store_batch *b, uint64_t *ret_serial);
/* NULL if it is not of this round. */
struct store_entry *store_round_find_entry(const struct store_round *r, uint64_t serial);
void store_round_add_request(struct store_round *r, struct store_request *request);
/* The database must be asked: a write, a precondition or a scan. */
static inline bool store_round_has_work(const struct store_round *r)
{
    return r->n_writes > 0 || r->n_requires > 0 || r->n_scans > 0;
}

#endif
