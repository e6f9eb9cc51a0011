/* The chain of hooks (broker_hooks.h): who is asked about a packet, and what becomes of it when the last has answered.
 *
 *   bk_hooks_ask() --all answer at once--> the packet goes on: bk_connect_login(), bk_publish_go_on(), ...
 *        '--one wants to think: GATE_HOLD, a copy of the packet --mqtt_broker_answer(), mail--> it goes on
 *
 * One question at a time for each client, since the gate is held. A broker without hooks has no chain, and a kind of
 * packet that no hook asks about passes by; either costs one look at struct bk_worker. */
#ifndef BK_HOOKS_H
#define BK_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "bk_client.h"
#include "bk_worker.h"
#include "broker_hooks.h"
#include "gate.h"

struct bk_client;
struct bk_hooks;
struct bk_session;
struct bk_worker;
struct gate_wait;
struct mqtt_packet;

enum bk_hook_kind {
    BK_HOOK_CONNECT = 1,
    BK_HOOK_PUBLISH = 2,
    BK_HOOK_SUBSCRIBE = 4,
    BK_HOOK_UNSUBSCRIBE = 8,
    BK_HOOK_DISCONNECT = 16,
    BK_HOOK_SESSION_END = 32,
};

/* One reference. NULL: out of memory. */
struct bk_hooks *bk_hooks_new(void);
/* NULL is fine. Returns NULL. Questions that are still with their hooks keep it alive. */
struct bk_hooks *bk_hooks_unref(struct bk_hooks *h);
/* HOOK is copied, and asked behind those that are there. Before any worker runs. 0 or -ENOMEM. */
int bk_hooks_add(struct bk_hooks *h, const struct mqtt_broker_hook *hook);
/* What any of them asks about: enum bk_hook_kind, or-ed. NULL: nothing. */
unsigned bk_hooks_kinds(const struct bk_hooks *h);

/* --- Of a worker, on its loop. */

/* Whether any of its hooks asks about KIND, and C is no bridge of this process, which may do everything. */
static inline bool bk_hooks_concern(const struct bk_client *c, enum bk_hook_kind kind)
{
    return (c->worker->hook_kinds & kind) != 0 && !c->is_inner;
}

/* Its hooks are asked about PACKET of C, which then goes on or is refused. KIND is what concerns C. */
enum gate_answer bk_hooks_ask(struct bk_client *c, enum bk_hook_kind kind, const struct mqtt_packet *packet);
/* C's gate, for what has to wait next: held by the question that has just been answered, or from now on. NULL: out of
 * memory. */
struct gate_wait *bk_hooks_hold(struct bk_client *c);
/* The CONNECT of C that hooks think about; NULL: none is. */
const struct mqtt_packet *bk_hooks_connect(const struct bk_client *c);
/* C goes: what is answered later concerns nobody. Behind mqtt_io_close(). */
void bk_hooks_forget(struct bk_client *c);
/* The worker ends, its clients are gone: answers find nobody. */
void bk_hooks_end(struct bk_worker *w);

/* C, which was live, goes. */
void bk_hooks_disconnected(const struct bk_client *c, uint8_t reason, const char *text);
void bk_hooks_session_ended(const struct bk_session *s);

#endif
