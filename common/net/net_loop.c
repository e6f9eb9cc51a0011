/* See net_loop.h. It hangs on uv_loop_t.data, which belongs to net. */
#include "net_loop.h"

#include <stdlib.h>
#include <uv.h>

#include "clock.h"
#include "net.h"
#include "tls_check.h"

struct net_loop *net_loop_get(struct loop *loop)
{
    struct net_loop *n = loop_uv(loop)->data;
    if (!n) {
        n = malloc(sizeof(*n)); /* the scratch stays uninitialised, and untouched until somebody reads */
        if (!n)
            return NULL;
        n->loop = loop;
        n->refs = n->conns = 0;
        n->n_asking = 0;
        n->handshakes_turn_ms = n->handshakes_us = 0;
        list_init(&n->listeners);
        list_init(&n->checks);
        loop_task_init(&n->next_check, tls_check_on_turn);
        loop_uv(loop)->data = n;
    }
    n->refs++;
    return n;
}

struct net_loop *net_loop_put(struct net_loop *n)
{
    if (--n->refs == 0) {
        loop_uv(n->loop)->data = NULL;
        loop_task_cancel(&n->next_check);
        free(n);
    }
    return NULL;
}

size_t net_conn_count(struct loop *loop)
{
    const struct net_loop *n = loop_uv(loop)->data;
    return n ? n->conns : 0;
}

bool net_loop_may_shake_hands(struct net_loop *n)
{
    const uint64_t turn_ms = loop_now_ms(n->loop);
    if (n->handshakes_turn_ms != turn_ms) {
        n->handshakes_turn_ms = turn_ms;
        n->handshakes_us = 0;
    }
    return n->handshakes_us < NET_HANDSHAKES_US;
}

void net_loop_shook_hands(struct net_loop *n, uint64_t since_us)
{
    n->handshakes_us += clock_now_us() - since_us;
}
