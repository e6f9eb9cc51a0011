/* Which broker a new session goes to: the first of the configured ones that is healthy. Several brokers are
 * alternatives of one another (fail over); spreading clients over the nodes of a cluster is for a name or balancer in
 * front of it.
 *
 *   healthy --could not connect--> backing off (1 s .. 30 s, doubled each time, with jitter) --time is over--> one
 * probe
 *      ^------------------------------- connected ----------------------------------------------------------------/
 *
 * When none is healthy they are tried all the same, the one whose back-off ends first before the others: a client's
 * CONNECT deserves the truth of this moment. One object per worker, on its loop. */
#ifndef SP_BROKER_PICK_H
#define SP_BROKER_PICK_H

#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "url.h"

enum { SP_BROKER_MAX = 64 };

struct sp_broker {
    struct url url;
    const char *name;     /* as configured, for logs; lives with the options */
    uint64_t retry_at_ms; /* 0 = healthy */
    uint32_t backoff_ms;  /* of the last failure */
    bool is_probing;      /* a session is trying whether it is back */

    /* sp_broker_turn.c */
    bool is_dealing_turns;
    unsigned turns, turns_max;
    struct list waiting; /* of struct sp_broker_turn */
};

struct sp_broker_pick {
    struct sp_broker *brokers;
    unsigned count;
};

/* Brokers already tried for one session. */
struct sp_broker_tries {
    uint64_t tried; /* bit per index */
};

/* URLS: COUNT (1..SP_BROKER_MAX) texts that live as long as the pick. At each broker TURNS sessions at a time may wait
 * for their answer (sp_broker_turn.h). 0 or negative errno with err_text(). */
int sp_broker_pick_init(struct sp_broker_pick *pick, const char *const *urls, unsigned count, unsigned turns);
void sp_broker_pick_deinit(struct sp_broker_pick *pick);
/* The next broker for a session, NULL when all have been tried. */
struct sp_broker *sp_broker_pick_next(struct sp_broker_pick *pick, struct sp_broker_tries *tries, uint64_t now_ms);
void sp_broker_has_answered(struct sp_broker *b);
/* Returns whether it was healthy before: then it is worth a line in the log. */
bool sp_broker_has_failed(struct sp_broker *b, uint64_t now_ms);

#endif
