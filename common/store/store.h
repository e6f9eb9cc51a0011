/* The durable store: ordered keys and values as bytes, written behind the loops by one store thread.
 *
 *   loop: begin, put, delete, commit --> [ round of this client ] --end of the turn--> store thread: one transaction of
 *         all rounds that wait --> mailbox of each loop: done(), in order
 *
 * Group commit without a timer: a commit starts as soon as the last has ended and takes every round that waits; while
 * it runs the next rounds grow. A round is the loop's own during a turn and lies open to the store thread between
 * turns, so put and cancel are plain memory operations: one lock for a turn, none for an operation.
 *
 * What is put and cancelled while it waits costs no I/O at all: store_cancel().
 *
 * Drivers (a database behind this header, see store_driver.h):
 *   memory     an ordered map in this process, gone with it. The reference in tests; a program whose working copy is in
 *              memory too need not write to it at all (store_is_volatile())
 *   lmdb:DIR   LMDB in a directory of its own
 *
 * Each driver runs on the store thread, which may block in it: a database behind a network fits in as it is, with one
 * pipelined exchange for each round and STORE_UNKNOWN for what was on its way when the connection broke.
 *
 * Threads: a client and its batches belong to the loop it was attached to. store_open(), store_load(), store_attach()
 * and store_close(): any thread, as said there. No callback runs inside the call that asked for it, but for
 * store_detach().
 *
 * Results: 0; negative errno = failed, with err_text(); positive = an outcome of enum store_result. */
#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics.h"

struct loop;
struct store;
struct store_client;
struct store_batch;

enum {
    /* LMDB's limit in Debian, kept by all drivers. Keys that strangers choose (topics) must be shortened to it. A key
     * has at least one byte, and the first one is not 0: those keys are the store's own. */
    STORE_KEY_MAX = 511,
    STORE_VALUE_MAX = 512 * 1024 * 1024,
};

enum store_result {
    STORE_CONFLICT = 1, /* a store_require() of the batch does not hold: nothing of the batch has been written */
    STORE_FULL,         /* no space: nothing of the batch has been written; another time it may fit again */
    STORE_UNKNOWN,      /* the connection or the disk failed in mid-commit: the whole batch is written or nothing of it,
                         * and nobody can tell. A program that has its working copy in memory writes it again */
};

/* When done() says 0, and what then survives:
 *
 *                                              process killed   power lost, kernel crashed
 *   STORE_SYNC   the disk has confirmed it           yes              yes
 *   STORE_ASYNC  it is with the kernel               yes              up to STORE_SYNC_MS before the loss: the
 *                                                                     store opens as it was at the last sync
 *   STORE_NONE   it has been taken over; written      up to           as above, and that
 *                within STORE_LAZY_MS                STORE_LAZY_MS
 *
 * What survives is always a prefix of what each client committed, whole batches, in order; an orderly store_close()
 * loses nothing. In STORE_NONE done() says 0 before the disk could be full. Batches with a store_require() wait for
 * their commit; others do so too while much waits (32 MiB of a client), and once a lazy write has failed, until one
 * succeeds again. */
enum store_durability { STORE_SYNC = 0, STORE_ASYNC, STORE_NONE };
enum { STORE_SYNC_MS = 1000, STORE_LAZY_MS = 200 };

/* Bytes of somebody else. */
struct store_bytes {
    const void *bytes;
    size_t len;
};

/* Keys FIRST <= key < END in the order of memcmp(), a prefix before what it begins. An empty FIRST: from the beginning;
 * an empty END: to the end. */
struct store_range {
    struct store_bytes first;
    struct store_bytes end;
    bool is_after_first; /* FIRST itself is not meant */
};

/* --- Opening. The driver's own threads and files, recovery, check and upgrade of what lies there. */

struct store_upgrade_access;
/* Brings records of format FROM to FROM + 1, in one transaction for all steps: it is done or has not happened. */
struct store_upgrade {
    uint32_t from;
    int (*run)(struct store_upgrade_access *a);
};

struct store_options {
    const char *url; /* "memory", "lmdb:DIR" */
    enum store_durability durability;
    uint64_t max_bytes; /* on disk, 4 MiB at least; then STORE_FULL. 0 = as long as the disk has space */
    uint32_t format;    /* of the caller's records, from 1. A store of a later one is refused */
    const struct store_upgrade *upgrades; /* in rising order of FROM, without a gap up to FORMAT; NULL: none */
    size_t n_upgrades;
    /* A store that is torn or corrupt: false = refused, with what and where. True = what is readable goes into a new
     * one, and the old one is kept beside it. */
    bool repair;
};

/* What opening has found and done. */
struct store_report {
    bool is_new;
    bool is_rolled_back; /* power was lost under STORE_ASYNC or STORE_NONE: it is as it was at the last sync. Repaired:
                          * as it was before the last transaction, of which more was damaged */
    uint32_t upgraded_from; /* 0 = it was of this format */
    bool is_repaired;       /* the rest is of the repair */
    uint64_t kept_entries;
    uint64_t lost_entries; /* seen, and not readable */
    uint64_t lost_pages;   /* what stood in them cannot be said */
    char kept_aside[256];  /* where the damaged store is now; cut to fit */
};

/* Owned by the caller, ended with store_close(). The directory is made (0700) if only its last part is missing; one
 * that others may enter, that somebody else owns, or that another process uses is refused. RET_REPORT may be NULL. Any
 * thread. 0 or negative errno with err_text(). */
int store_open(const struct store_options *options, struct store **ret_store, struct store_report *ret_report);
/* All clients detached. Waits until everything is with the disk. NULL is fine. Returns NULL. */
struct store *store_close(struct store *s);
/* Everything is gone with the process: there is nothing to recover, and what is only written need not be. */
bool store_is_volatile(const struct store *s);

/* --- Recovery: everything of a range, straight from the database, before the first store_attach(). Any thread, several
 * at once (each worker its own part). FN: 0, or negative to stop with that; KEY and VALUE last during the call. */
typedef int store_load_fn(void *arg, struct store_bytes key, struct store_bytes value);
int store_load(struct store *s, const struct store_range *range, store_load_fn *fn, void *arg);

/* --- Clients: the store as one loop sees it. */

/* On LOOP's thread; owned by the caller, ended with store_detach(). 0 or negative errno. */
int store_attach(struct store *s, struct loop *loop, struct store_client **ret_client);
/* Waits for what is not done yet and runs its callbacks (which may commit more). NULL is fine. Returns NULL. */
struct store_client *store_detach(struct store_client *c);
/* Bytes that are held for what is not written yet (of cancelled puts the key and the head): who feeds the store must be
 * paused when this grows beyond his measure. */
size_t store_waiting_bytes(const struct store_client *c);

/* --- Writing. */

/* A value in two parts, so that a header can stand before a payload that is shared: HEAD is copied; BODY is only
 * referred to, until RELEASE(OWNER) is called: once, on the client's loop, when it has been written or is not needed
 * any more (also from inside store_cancel(), and from inside store_put() if that fails). */
struct store_value {
    struct store_bytes head;
    struct store_bytes body;
    void (*release)(void *owner); /* may be NULL */
    void *owner;
};

/* Names one put, to take it back; 0 names none. A number, so nobody has to forget it: a put that is written or gone is
 * "too late". Never used twice by a client. */
typedef uint64_t store_ticket;

/* 0, STORE_..., or negative errno with err_text() (which lasts during the call). The batch is gone. */
typedef void store_done_fn(void *arg, int result);

/* A batch of changes that become durable together or not at all. Begun, filled and committed in one turn of the loop;
 * several may be open at once. What goes wrong while it is filled (memory short, a key too long) comes with done(): the
 * filling functions need no answer. (Memory for the batch itself is fatal when short, as it is for timers.) */
struct store_batch *store_begin(struct store_client *c);
/* KEY has this value from now on. Gives the ticket; 0 if it failed. */
store_ticket store_put(struct store_batch *b, struct store_bytes key, const struct store_value *value);
/* KEY is gone; harmless if it was not there. */
void store_delete(struct store_batch *b, struct store_bytes key);
/* Costs time in proportion to what is deleted, and other commits wait for it: large ranges in pieces. */
void store_delete_range(struct store_batch *b, const struct store_range *range);
/* The batch only counts if KEY now has the value EXPECTED (copied), or, NULL, does not exist: as earlier batches, of
 * other clients too, have left it. */
void store_require(struct store_batch *b, struct store_bytes key, const struct store_bytes *expected);

enum store_batch_flags {
    /* Of use in the end to free space: may go into the last part of the disk or of max_bytes, which is kept for this.
     * So may, without it, a batch that only deletes. */
    STORE_FREES_SPACE = 1 << 0,
    /* When cancelling has left nothing of it to be written it is done at the end of that turn, and does not wait for
     * the batches before it. (Without this flag it is done in its place, without I/O.) */
    STORE_MAY_OVERTAKE = 1 << 1,
};
/* The batch leaves with the turn. DONE (may be NULL) runs once, on the client's loop, in the order of the commits of
 * this client. FLAGS: enum store_batch_flags. */
void store_commit(struct store_batch *b, unsigned flags, store_done_fn *done, void *arg);

/* Take a put back as if it had never been made, while it waits for the store thread: nothing is written, its BODY is
 * released now. False if it is too late (being written, written, failed): then it must be deleted as any other key.
 *
 * Only for a key that is new with that put, and only where nothing else takes the put's place: what is put instead may
 * fail where this one would not have. A batch with a store_require() still waits for its answer. */
bool store_cancel(struct store_client *c, store_ticket ticket);

/* --- Reading: some of a range, in order of the keys. */

struct store_item {
    struct store_bytes key;
    struct store_bytes value;
};

/* Lasts during the callback. */
struct store_page {
    const struct store_item *items;
    size_t n_items;
    bool is_end;             /* nothing follows in the range; a page that ends exactly at the last may say no */
    struct store_range rest; /* where to go on: now, or much later with a copy of its keys */
};

/* RESULT 0, or negative with err_text() and an empty page. */
typedef void store_scan_fn(void *arg, int result, const struct store_page *page);

/* At most MAX_ITEMS, and MAX_BYTES of keys and values (but always one item); 0 = STORE_SCAN_ITEMS, STORE_SCAN_BYTES.
 * RANGE is copied. It sees the result of every batch that this client committed before it, and perhaps of later ones
 * and of other clients; always whole batches. Each page is a look of its own at the database, so that slow readers hold
 * nothing back. FN runs once, on the client's loop, in order with the batches; a page costs the copy of its bytes. */
enum { STORE_SCAN_ITEMS = 1000, STORE_SCAN_BYTES = 256 * 1024 };
void store_scan(struct store_client *c, const struct store_range *range, size_t max_items, size_t max_bytes,
                store_scan_fn *fn, void *arg);

/* --- Inside an upgrade: on the thread of store_open(), what was put is seen at once. 0 or negative errno. */
int store_upgrade_each(struct store_upgrade_access *a, const struct store_range *range, store_load_fn *fn, void *arg);
int store_upgrade_put(struct store_upgrade_access *a, struct store_bytes key, struct store_bytes value);
int store_upgrade_delete(struct store_upgrade_access *a, struct store_bytes key);

/* --- Metrics: of the store thread, and of each client (its loop's). */
#define STORE_METRICS(X)                                                                 \
    X(commits, COUNTER, "transactions committed")                                        \
    X(commit_us, HISTOGRAM, "microseconds that a commit took, with its sync")            \
    X(commit_batches, HISTOGRAM, "batches in a commit")                                  \
    X(written_entries, COUNTER, "puts and deletes written")                              \
    X(conflicts, COUNTER, "batches whose precondition did not hold")                     \
    X(refused_full, COUNTER, "batches refused because the store was full")               \
    X(failed, COUNTER, "batches that failed otherwise or with an unknown result")        \
    X(lost_lazily, COUNTER, "batches acknowledged with durability none and not written") \
    X(failed_syncs, COUNTER, "syncs of the lazy durabilities that failed")               \
    X(scans, COUNTER, "pages read")                                                      \
    X(used_bytes, GAUGE, "bytes in use on disk")
struct store_metrics {
    STORE_METRICS(METRIC_FIELD)
};
#define STORE_CLIENT_METRICS(X)                                       \
    X(puts, COUNTER, "puts")                                          \
    X(cancelled, COUNTER, "puts taken back before they were written") \
    X(waiting_bytes, GAUGE, "bytes of keys and values not yet written")
struct store_client_metrics {
    STORE_CLIENT_METRICS(METRIC_FIELD)
};
/* Have them shown by REGISTRY (metrics_add()) as PREFIX_commits and so on, until the store is closed or the client
 * detached. 0 or negative errno. */
int store_metrics_add(struct store *s, struct metrics_registry *registry, const char *prefix);
int store_client_metrics_add(struct store_client *c, struct metrics_registry *registry, const char *prefix);

#endif
