/* One run from start to end: workers, phases, time limits, and the report that comes out. */
#ifndef LOAD_RUN_H
#define LOAD_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "load_hist.h"
#include "load_options.h"
#include "load_proc.h"
#include "load_relay.h"
#include "load_worker.h"

enum load_end {
    LOAD_END_COMPLETE,      /* all that was due has come */
    LOAD_END_SILENCE,       /* nothing came for --drain: the rest is lost */
    LOAD_END_TIMEOUT,       /* --timeout, or --connect-timeout */
    LOAD_END_NOT_CONNECTED, /* some clients could not connect: nothing was measured */
};

struct load_report {
    enum load_end end;
    struct load_counts counts;
    uint32_t clients, ready, failed;
    double connect_s;          /* first connect() to last client ready */
    double seconds;            /* measured window: to the last delivery */
    uint64_t delivered;        /* first arrivals of the whole run */
    uint64_t window_delivered; /* of the window: what CPU is divided by */
    struct load_hist latency, connect, lag;
    struct load_proc processes[LOAD_PROCESSES_MAX];
    uint32_t process_count;
    struct load_relay relay;
    double own_user_s, own_system_s; /* of the generator, whole run */
    char first_trouble[160];
    char tls[80]; /* what the clients' handshakes have agreed on; "" = none */
};

/* 0 with a filled report, or a negative errno with a message on stderr. The report is large: not for the stack. */
int load_run(const struct load_options *o, struct load_report *ret_report);
/* Nothing was lost, repeated, disordered, spoiled or cut, and all who tried are connected. */
bool load_run_is_clean(const struct load_report *report);

#endif
