/* The insides of store.h: the store, and a client of it. For store*.c of this folder, not for drivers. */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "list.h"
#include "loop.h"
#include "store_round.h"

enum {
    STORE_LAZY_BYTES = 8 * 1024 * 1024,      /* of a round with STORE_NONE: then it is written at once */
    STORE_LAZY_MAX_BYTES = 32 * 1024 * 1024, /* of all that waits of a client: then it is acknowledged when written */
    STORE_OWN_KEY_END = 1,                   /* keys that begin with a smaller byte are the store's own */
};

struct store {
    struct store_driver *driver;
    enum store_durability durability;
    pthread_t thread;
    struct store_metrics metrics; /* of the store thread */
    struct metrics_registry *registry;
    uint64_t sync_due_ms; /* store thread: when to sync() next; 0 = nothing to sync */
    /* Something acknowledged with STORE_NONE could not be written, and nothing since: acknowledge late. */
    _Atomic bool has_lost;
    struct {
        pthread_mutex_t lock;
        pthread_cond_t work;     /* the store thread waits for it */
        pthread_cond_t returned; /* store_detach() waits for it */
        struct list clients;
        uint64_t work_since_ms; /* 0 = none waits */
        bool is_urgent;         /* it does not wait any longer */
        bool is_waiting;        /* the store thread does, in `work` */
        bool is_stopping;
    } _shared; /* only under the lock */
};

struct store_client {
    struct list link; /* in the store's, under its lock */
    struct store *store;
    struct mailbox *mailbox;
    struct loop *loop;
    struct loop_task turn;
    struct store_round *held; /* of this turn; the store thread does not see it */
    bool has_looked;          /* this turn: what waited is held */
    bool goes_on;             /* some of it may be done without the store thread, in the next turn of `turn` */
    struct store_round *spare;
    struct store_batch *early; /* done at the end of this turn */
    uint64_t next_serial;
    unsigned n_out; /* rounds that wait, are with the store thread, or on their way back */
    size_t n_undone;
    size_t waiting_bytes;
    struct store_client_metrics metrics;
    struct metrics_registry *registry;
    struct {
        struct store_round *waiting; /* what the store thread takes next */
        bool is_detaching;           /* rounds come back by `returned`, not by mail */
        struct store_round *returned, **returned_end;
    } _shared; /* only under the store's lock */
};

/* --- store_thread.c */

/* The lock is there; the thread starts. 0 or negative errno. */
int store_thread_start(struct store *s);
/* After all that waits. */
void store_thread_stop(struct store *s);
/* R is what waits of C from now on; under the lock of the store. */
void store_thread_offer(struct store_client *c, struct store_round *r, bool is_urgent);

/* --- store_client.c */

/* The round that this turn adds to: taken back from the store thread, or a new one. */
struct store_round *store_client_hold(struct store_client *c);
/* The same, but NULL if there is none. */
struct store_round *store_client_look(struct store_client *c);
/* Nothing of B is to be written: it is done at the end of this turn. */
void store_client_finish_early(struct store_client *c, struct store_batch *b);
/* R is back from the store thread: runs callbacks; R is gone. */
void store_client_take_back(struct store_round *r);

/* --- store_batch.c */

/* Its bodies are not needed any more. */
void store_batch_release(struct store_batch *b);

/* --- store_page.c */

/* NULL if memory is short. 0 = the usual limits. */
struct store_page_items *store_page_new(size_t max_items, size_t max_bytes);
struct store_page_items *store_page_free(struct store_page_items *p);
/* All that was added, of RANGE; lasts as long as P and RANGE. NULL if memory was short. */
const struct store_page *store_page_finish(struct store_page_items *p, const struct store_range *range);

/* --- store.c */

bool store_key_is_good(struct store_bytes key);
/* RANGE without the store's own keys. */
struct store_range store_range_of_caller(const struct store_range *range);

#endif
