/* See gate.h. The wait is a separate object because its owner and the gate end in either order. */
#include "gate.h"

#include <assert.h>
#include <stdlib.h>

struct gate_wait {
    struct gate *gate; /* NULL once the gate is closed */
};

void gate_init(struct gate *g, gate_next_fn *next, void *arg)
{
    *g = (struct gate){.next = next, .arg = arg};
}

void gate_close(struct gate *g)
{
    if (g->wait)
        g->wait->gate = NULL;
    if (g->closed_flag)
        *g->closed_flag = true;
    *g = (struct gate){.next = NULL};
}

void gate_run(struct gate *g)
{
    if (g->is_running || !g->next)
        return;
    bool is_closed = false;
    /* cppcheck-suppress autoVariables ; taken back below, or the gate is closed and forgets it */
    g->closed_flag = &is_closed;
    g->is_running = true;
    while (!g->wait) {
        enum gate_answer answer = g->next(g->arg);
        if (is_closed)
            return; /* G may be gone from here on */
        /* GATE_HOLD without a wait: it was continued inside the handler already. */
        if (answer == GATE_EMPTY || answer == GATE_CLOSED)
            break;
    }
    g->closed_flag = NULL;
    g->is_running = false;
}

bool gate_is_held(const struct gate *g)
{
    return g->wait != NULL;
}

struct gate_wait *gate_hold(struct gate *g)
{
    assert(g->next && !g->wait);
    struct gate_wait *wait = malloc(sizeof(*wait));
    if (!wait)
        return NULL;
    wait->gate = g;
    g->wait = wait;
    return wait;
}

void gate_continue(struct gate_wait *wait)
{
    if (!wait)
        return;
    struct gate *g = wait->gate;
    free(wait);
    if (!g)
        return;
    g->wait = NULL;
    gate_run(g);
}

bool gate_wait_is_alive(const struct gate_wait *wait)
{
    return wait && wait->gate;
}
