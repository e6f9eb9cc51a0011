/* What the files of the relay know of a lane.
 *
 *   relay.c          open, accept, end, and the functions of lane.h
 *   relay_send.c     packet -> message or pieces, as the window allows        (sender's half of sections 4 and 5)
 *   relay_collect.c  packets of a turn -> one message                         (section 6)
 *   relay_receive.c  message -> packets -> lane_inbox; credit                 (receiver's half of all three)
 *
 * Sections are those of proto/mqtt_relay.proto. */
#ifndef RELAY_INTERNAL_H
#define RELAY_INTERNAL_H

#include "lane_inbox.h"
#include "lane_internal.h"
#include "lane_join.h"
#include "lane_outbox.h"
#include "loop.h"
#include "relay.h"
#include "relay_frame.h"
#include "rpc_stream.h"

/* Packets that leave at the end of the turn. */
struct relay_collection {
    struct rpc_message *message; /* NULL: none */
    size_t len;                  /* of what is in it so far */
    bool is_batch;
    struct loop_task task;
};

/* Owned by the session until lane_free(); REFS keep it in memory while a function of ours is on the stack. */
struct relay {
    struct lane lane;
    struct rpc_stream *stream;
    struct loop *loop;
    unsigned refs;
    bool is_freed;
    bool is_failed;    /* cancelled by us: nothing is taken or sent any more, on_end follows */
    bool is_finishing; /* lane_finish() was called */
    bool is_finish_sent;
    bool is_paused;       /* lane_pause() */
    bool is_half_closed;  /* the peer has finished in order */
    bool is_finished_due; /* on_finished, behind the packets that wait */
    bool is_end_due;      /* on_end, likewise */
    bool is_ended;

    /* relay_send.c, relay_collect.c */
    struct relay_collection collected;
    struct lane_outbox outbox;
    int64_t window; /* what the peer still takes; may be negative by one message */
    uint64_t next_sequence;
    enum lane_end finish_why;
    char *finish_text;

    /* relay_receive.c */
    struct lane_inbox inbox; /* family: server: 0 until ESTABLISH */
    struct lane_join join;
    uint64_t received_bytes, allowed_bytes; /* since the beginning; extended peers */
    enum lane_end end_why;
    char *end_text;
};

static inline struct relay *relay_of(const struct lane *l)
{
    return (struct relay *)l;
}

static inline enum relay_direction relay_direction_of(const struct relay *r)
{
    return r->inbox.is_server ? RELAY_BROKER_TO_CLIENT : RELAY_CLIENT_TO_BROKER;
}

void relay_ref(struct relay *r);
void relay_unref(struct relay *r);
/* The peer broke the rules, or a limit: end the stream now. on_end comes from the stream. */
void relay_fail(struct relay *r, enum lane_end why, const char *text);
/* The peer is known: tell the session. R may be gone afterwards, unless referenced. */
void relay_opened(struct relay *r, bool is_extended);

/* --- relay_send.c */

enum { RELAY_QUEUE_LOW = 32 * 1024 }; /* the stream's low mark; see relay_send.c for the others */
/* M is the stream's; on_drain comes if it makes the queue longer than the low mark. */
void relay_pass_on(struct relay *r, struct rpc_message *m);
int relay_send_establish(struct relay *r, const char *client_id);
int relay_send_connect(struct relay *r, const struct mqtt_packet *connect);
/* Not counted by the window. */
void relay_send_credit(struct relay *r, uint64_t bytes);
void relay_send_heartbeat(struct relay *r);
/* Send what waits, as far as window and queue allow; then the end, if that was wanted. */
void relay_send_on(struct relay *r);
void relay_add_window(struct relay *r, uint64_t bytes);
/* Packets that have not left: collected, or in the outbox. */
void relay_drop_unsent(struct relay *r);

int relay_send(struct lane *l, const struct mqtt_packet *packet);
bool relay_may_send(const struct lane *l);

/* --- relay_collect.c */

void relay_collect_init(struct relay *r);
/* Send it at the end of the turn, with what else comes until then. The window is charged now. */
int relay_collect(struct relay *r, const struct packet_frame *f);
/* Send what is collected now: something else follows it. */
void relay_flush(struct relay *r);
void relay_collect_drop(struct relay *r);

/* --- relay_receive.c */

void relay_receive_init(struct relay *r, bool is_server);
enum gate_answer relay_on_message(struct rpc_stream *s, const uint8_t *bytes, size_t n, void *arg);
/* The peer has finished: half-close or TERMINATE. */
void relay_half_closed(struct relay *r);
/* Let the session see what waits. */
void relay_deliver(struct relay *r);
/* Receiving goes on, stops, or is credited, by what the session holds. */
void relay_update_credit(struct relay *r);
/* Packets that have not been passed on. */
void relay_drop_received(struct relay *r);

#endif
