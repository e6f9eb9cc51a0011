/* A packet may wait: the one mechanism by which the packets of one direction pass a function that may answer later.
 *
 *     source (decoder, frames received)                 handler (session, hook, store, credit)
 *        gate_run() --> next(): is there a packet? ---> GATE_PASS    next packet
 *                                                       GATE_HOLD    nothing passes until gate_continue()
 *                                                       GATE_CLOSED  the owner is gone; touch nothing
 *
 * A held packet has been taken (it is the handler's business); the ones behind it stay undecoded with the source, in
 * order. The source stops reading when its own byte limit is reached; the gate does not count bytes.
 *
 * The answer may come from elsewhere and late, so whoever will answer owns a `struct gate_wait`. It stays valid when
 * the gate has been closed meanwhile: gate_continue() is then only the freeing of it. gate_continue() inside the
 * handler itself, before it has returned GATE_HOLD, is right too: the gate then goes on without recursion.
 *
 * One thread (the loop of the owner). */
#ifndef BASE_GATE_H
#define BASE_GATE_H

#include <stdbool.h>

enum gate_answer {
    GATE_PASS = 0, /* done with this packet */
    GATE_HOLD,     /* the packet waits: the handler called gate_hold() */
    GATE_EMPTY,    /* `next` only: no whole packet there at present */
    GATE_CLOSED,   /* the owner of the gate has closed it or is gone */
};

struct gate_wait;

/* Take the next packet, hand it to the handler and return what that answered. */
typedef enum gate_answer gate_next_fn(void *arg);

struct gate {
    gate_next_fn *next;
    void *arg;
    struct gate_wait *wait; /* NULL unless a packet waits */
    bool *closed_flag;      /* set while gate_run() is on the stack: tells it that the gate is gone */
    bool is_running;
};

void gate_init(struct gate *g, gate_next_fn *next, void *arg);
/* Nothing passes from here on; outstanding waits become harmless. Storage may be freed at once, also from inside
 * `next`. */
void gate_close(struct gate *g);
/* Let packets pass until the source is empty, one is held, or the gate is closed. A call from inside `next` returns at
 * once. */
void gate_run(struct gate *g);
bool gate_is_held(const struct gate *g);

/* The packet now in the handler waits. One wait at a time. The result is owned by the caller until gate_continue().
 * NULL when memory is short (the handler then ends its connection). */
struct gate_wait *gate_hold(struct gate *g);
/* Go on behind the held packet (if the gate is still open) and free WAIT. NULL is allowed. */
void gate_continue(struct gate_wait *wait);
/* Whether the gate that WAIT belongs to is still there. */
bool gate_wait_is_alive(const struct gate_wait *wait);

#endif
