/* One event loop of the load generator, with its share of the clients: connects them, publishes on time, counts what
 * comes.
 *
 *   phase (set by load_run.c, seen by all)   what a worker does
 *   CONNECT   connects and subscribes, a few at a time
 *   PUBLISH   publishers send
 *   STOP      no new messages; what is under way is waited for
 *   FENCE     subscribers ping: with the answer, all that was sent to them before has been counted, duplicates too
 *   END       DISCONNECT from all, then the thread returns
 *
 * A worker's own counters are read after its thread has ended; what the run must know before is in struct load_shared.
 */
#ifndef LOAD_WORKER_H
#define LOAD_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "load_client.h"
#include "load_hist.h"
#include "load_options.h"
#include "load_publisher.h"

enum load_phase {
    LOAD_PHASE_CONNECT,
    LOAD_PHASE_PUBLISH,
    LOAD_PHASE_STOP,
    LOAD_PHASE_FENCE,
    LOAD_PHASE_END,
};

/* Written by workers, read by the run; each change that may end a phase is told through notify_fd (an eventfd). */
struct load_shared {
    const struct load_options *options;
    SSL_CTX *tls;      /* NULL: nobody needs it */
    char run_name[16]; /* in topics and client ids, so that two runs do not meet */
    int notify_fd;
    _Atomic int phase;
    _Atomic bool is_stalled; /* subscribers read nothing */
    _Atomic uint64_t publish_start_ns;
    _Atomic uint64_t
        window_start_ns;     /* messages sent before it are not in the latency histogram; UINT64_MAX = none yet */
    _Atomic uint32_t ready;  /* clients connected and subscribed */
    _Atomic uint32_t failed; /* clients that never became ready */
    _Atomic uint32_t publishers_done;
    _Atomic uint32_t fenced;    /* subscribers whose PINGRESP has come, or whose connection is gone */
    _Atomic uint64_t issued;    /* numbers issued by the publishers that are done */
    _Atomic uint64_t delivered; /* first arrivals, at all subscribers */
    _Atomic uint64_t packets;   /* everything received: as long as it grows, something happens */
    _Atomic uint64_t last_delivery_ns;
};

/* Sums of one worker, or of all. */
struct load_counts {
    uint64_t published;
    uint64_t unsent;   /* due, but neither sent nor on its way when time was up */
    uint64_t expected; /* arrivals */
    uint64_t lost;
    uint64_t duplicates;
    uint64_t late;
    uint64_t spoiled; /* arrived, but not as sent: wrong size, wrong topic */
    uint64_t refused;
    uint64_t strange_acks;
    uint32_t cut;       /* connections ended by the other side after they were ready */
    uint32_t bad_pairs; /* pairs with a loss, a duplicate or a late message */
};

struct load_worker {
    struct load_shared *shared;
    pthread_t thread;
    uint32_t number;
    int epoll_fd;
    int wake_fd; /* eventfd: the phase has changed */
    uint8_t *scratch;
    enum load_phase phase; /* as last seen */
    bool is_stalled;       /* the same */

    struct load_client *clients;
    uint32_t client_count;
    uint32_t dial_next; /* clients before it have been dialled */
    uint32_t dialing;
    struct load_publisher *publishers;
    uint32_t publisher_count;
    struct load_pace pace;
    struct load_client *ready_head, **ready_tail; /* clients with something to do now */

    uint64_t now_ns;
    uint64_t turn_delivered, turn_packets; /* not yet added to the shared ones */
    struct load_counts counts;
    struct load_hist latency; /* publisher to subscriber */
    struct load_hist connect; /* connect() to CONNACK, or to SUBACK of subscribers */
    struct load_hist lag;     /* how late the generator itself sent */
    char first_trouble[160];  /* why the first connection failed or was cut; "" = none did */
    char tls[80];             /* what the first handshake has agreed on; "" = there was none */
};

uint64_t load_worker_clock_ns(void);
void load_worker_init(struct load_worker *w, struct load_shared *shared, uint32_t number);
void load_worker_deinit(struct load_worker *w);
/* 0 or a negative errno. */
int load_worker_start(struct load_worker *w);
/* Tell the worker that shared->phase has changed. */
void load_worker_wake(struct load_worker *w);
void load_worker_join(struct load_worker *w);
/* After all workers have been joined: losses of this worker's subscribers. ISSUED[i] is what publisher i has issued. */
void load_worker_account(struct load_worker *w, const uint32_t *issued);

#endif
