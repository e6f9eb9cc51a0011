/* Answers that wait for other workers (bk_behind.h). */
#include "bk_behind.h"

#include <stdlib.h>

#include "bk_client.h"
#include "bk_hooks.h"
#include "bk_peers.h"
#include "bk_retain.h"
#include "bk_worker.h"
#include "mqtt_encode.h"

struct bk_behind {
    struct bk_client *client;
    struct gate_wait *wait;
    uint32_t len;
    uint8_t packet[];
};

static void bk_behind_leave(void *arg)
{
    struct bk_behind *b = arg;
    struct bk_client *c = b->client;
    c->behind = NULL;
    conn_write(c->conn, b->packet, b->len);
    bk_retain_continue(c->session);
    gate_continue(b->wait); /* C may be gone from here on */
    free(b);
}

void bk_behind_forget(struct bk_client *c)
{
    struct bk_behind *b = c->behind;
    if (!b)
        return;
    c->behind = NULL;
    bk_peers_unhold(c->worker, b);
    gate_continue(b->wait);
    free(b);
}

bool bk_behind_answer(struct bk_client *c, const struct mqtt_packet *answer)
{
    const uint32_t len = (uint32_t)mqtt_encode_size(answer);
    struct bk_behind *b = c->worker->peers ? malloc(sizeof *b + len) : NULL;
    if (!b || !bk_peers_hold(c->worker, bk_behind_leave, b)) {
        free(b);
        return false;
    }
    *b = (struct bk_behind){.client = c, .wait = bk_hooks_hold(c), .len = len};
    mqtt_encode(answer, b->packet);
    c->behind = b;
    return true;
}
