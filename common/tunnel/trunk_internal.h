/* What the files of the trunk know of it.
 *
 *   trunk.c          open, accept, hello, end
 *   trunk_lane.c     a lane's life: open, credit, close, and the functions of lane.h
 *   trunk_send.c     packets of lanes -> frames: at once, or in turns                     (proto sections 5 and 6)
 *   trunk_batch.c    frames and controls -> messages of the stream                        (section 2)
 *   trunk_receive.c  messages -> frames -> lanes                                          (sections 2 to 6)
 *   trunk_link.c     how much may be under way                                            (section 4, taken)
 *   trunk_pulse.c    heartbeat, round trip, the end of a silent peer                      (section 7)
 *   trunk_zip.c      zstd                                                                 (section 8)
 *
 * Sections are those of proto/mqtt_trunk.proto. */
#ifndef TRUNK_INTERNAL_H
#define TRUNK_INTERNAL_H

#include "lane_inbox.h"
#include "lane_join.h"
#include "lane_outbox.h"
#include "log.h"
#include "loop.h"
#include "rpc_stream.h"
#include "trunk.h"
#include "trunk_zip.h"

enum {
    TRUNK_VERSION = 1,
    TRUNK_BATCH_BYTES = 16 * 1000,   /* frames of one message */
    TRUNK_PIECE_BYTES = 4 * 1000,    /* what a lane sends before others have their turn */
    TRUNK_MESSAGE_MAX = 1024 * 1024, /* that we take */
    TRUNK_TEXT_MAX = 200,            /* of a close, on the wire */
};

/* LaneClose.Reason. */
enum trunk_close_reason {
    TRUNK_CLOSE_OK = 0,
    TRUNK_CLOSE_UNAVAILABLE = 1,
    TRUNK_CLOSE_LIMIT = 2,
    TRUNK_CLOSE_PROTOCOL = 3,
    TRUNK_CLOSE_UNAUTHENTICATED = 4,
    TRUNK_CLOSE_DENIED = 5,
    TRUNK_CLOSE_LOST = 6,
};

/* --- A lane. Referenced by the trunk's table until both closes have passed, by the session until lane_free(), and by
 * functions of ours on the stack. */
struct trunk_lane {
    struct lane lane;
    struct trunk *trunk; /* NULL: the trunk has gone */
    struct lane_inbox inbox;
    struct lane_outbox outbox;
    struct list ready;      /* in trunk->ready: waits for its turn; or in ending or leaving: on_end is due */
    struct lane_join *join; /* a packet whose pieces come; NULL: none */
    uint64_t sent_sequence, received_sequence;
    int64_t send_window;    /* what the peer still takes; may be negative by one packet */
    int64_t receive_window; /* what the peer may still send */
    uint32_t id;
    uint32_t refs;
    char session_id[2 * TRUNK_SESSION_ID_BYTES + 1];
    uint8_t finish_why, end_why; /* enum lane_end */
    uint8_t join_family;         /* enum frame_family of the packet in `join` */
    bool is_server : 1;
    bool is_paused : 1;
    bool is_blocked : 1;        /* lane_may_send() has said no: on_writable is due */
    bool is_finishing : 1;      /* lane_finish() was called */
    bool is_close_sent : 1;     /* nothing of ours follows */
    bool is_close_received : 1; /* nothing of the peer's follows */
    bool is_finished_due : 1;   /* on_finished, behind the packets that wait */
    bool is_end_due : 1;        /* on_end, likewise */
    bool is_ended : 1;
    bool is_freed : 1;
    bool is_in_table : 1;
    char *finish_text, *end_text;
};

static inline struct trunk_lane *trunk_lane_of(const struct lane *l)
{
    return (struct trunk_lane *)l;
}

/* --- What is under way (trunk_link.c) */
struct trunk_link {
    uint64_t sent_bytes, taken_bytes; /* of messages with frames, since the beginning */
    uint64_t limit_bytes;
    uint64_t window_start_ms;    /* in which throughput is measured */
    uint64_t window_taken_bytes; /* at its start */
    uint64_t full_ms;            /* when it was full last */
    uint64_t progress_ms;        /* when the peer last took something, or had taken all */
    bool is_measuring;           /* the window is open */
    bool is_awaited;             /* somebody waits because it is full */
};

struct trunk {
    struct rpc_stream *stream;
    struct loop *loop;
    const struct trunk_options *options;
    struct trunk_metrics *metrics;
    const struct trunk_cbs *cbs;
    void *arg;
    struct log_object log;
    unsigned refs;
    bool is_server;
    bool is_ready;  /* the peer's hello has come */
    bool is_failed; /* ended by us; on_end follows */
    bool is_ended;
    bool is_freed;
    bool is_peer_draining;
    bool is_draining;
    char id[TRUNK_ID_TEXT];
    struct trunk_hello peer; /* software points to peer_software */
    char peer_software[64];
    const char *fail_text; /* why is_failed; NULL: not */
    int fail_status;

    /* Lanes: id - 1 is the index. */
    struct trunk_lane **lanes;
    uint32_t n_slots;
    uint32_t n_lanes;
    uint32_t first_free; /* no slot below this is free */
    struct list ready;   /* of struct trunk_lane: something to send, or to be told that it may */
    struct list ending;  /* likewise: on_end comes at the end of the turn */
    struct list leaving; /* likewise: on_end comes behind a packet that is held */

    /* trunk_batch.c */
    struct rpc_message *batch; /* frames that have not left; NULL: no memory kept */
    size_t batch_len;
    uint32_t batch_frames;
    struct loop_task flush_task;
    struct loop_timer linger_timer;
    struct trunk_controls due; /* controls that have not left */
    bool is_urgent;            /* one of them goes without waiting for frames */
    uint64_t untold_bytes;     /* taken and not said */
    uint64_t told_ms;          /* when it was said last */

    struct trunk_link link;

    /* trunk_pulse.c */
    struct loop_timer pulse_timer;
    uint64_t received_ms; /* when the last message came */
    uint64_t ping;        /* of ours, not answered; 0: none */
    uint32_t rtt_us;
    bool was_late; /* the loop itself had slept at the last tick */

    struct trunk_zip *zip;
    struct trunk_unzip *unzip;
};

/* --- trunk.c */
void trunk_ref(struct trunk *t);
void trunk_unref(struct trunk *t);
/* End the trunk now; on_end comes from the stream. STATUS: enum rpc_status. TEXT is a literal, or lives as long as the
 * trunk. */
void trunk_fail(struct trunk *t, int status, const char *text);
/* Server, draining: no lane is left, the peer knows of it and has been sent everything: end the stream in order. */
void trunk_end_if_drained(struct trunk *t);
/* The peer's hello. */
void trunk_receive_hello(struct trunk *t, const struct trunk_hello *hello);
bool trunk_is_over(const struct trunk *t);

/* --- trunk_lane.c */
/* The lane of a frame, or NULL. */
struct trunk_lane *trunk_find_lane(const struct trunk *t, uint32_t id);
/* Server: an open frame. */
void trunk_receive_open(struct trunk *t, const struct trunk_frame *frame);
void trunk_lane_ref(struct trunk_lane *l);
void trunk_lane_unref(struct trunk_lane *l);
/* A fault of the peer's, or a limit: close it to the peer, end it to the session. */
void trunk_lane_fail(struct trunk_lane *l, enum lane_end why, const char *text);
void trunk_lane_receive_close(struct trunk_lane *l, const struct trunk_frame *frame);
/* Give credit for what the session holds no longer. */
void trunk_lane_update_credit(struct trunk_lane *l);
/* The close that is due, if nothing is to be sent before it. */
void trunk_lane_send_close_if_due(struct trunk_lane *l);
/* on_end of the lanes that have ended in this turn. */
void trunk_pass_ends(struct trunk *t);
/* The trunk goes; sessions keep their lanes. */
void trunk_forget_lanes(struct trunk *t);
/* All lanes end, because the trunk has. */
void trunk_end_lanes(struct trunk *t, const char *text);

/* --- trunk_send.c */
int trunk_lane_send(struct lane *l, const struct mqtt_packet *packet);
bool trunk_lane_may_send(const struct lane *l);
/* There is credit, or a packet to be sent: take part in the turns. */
void trunk_lane_make_ready(struct trunk_lane *l);
/* Let lanes that wait take turns, as far as the link allows. */
void trunk_send_on(struct trunk *t);
void trunk_lane_drop_unsent(struct trunk_lane *l);
/* The peer has closed: what waits for credit is dropped, and whoever waits for it is told. */
void trunk_lane_no_more_credit(struct trunk_lane *l);

/* --- trunk_batch.c */
void trunk_batch_init(struct trunk *t);
void trunk_batch_deinit(struct trunk *t);
/* Room for N bytes (at most TRUNK_BATCH_BYTES) of one frame; to be followed by trunk_batch_add() with what was written.
 * NULL: the trunk is over, perhaps just now because memory is short. */
uint8_t *trunk_batch_room(struct trunk *t, size_t n);
void trunk_batch_add(struct trunk *t, const uint8_t *end);
/* A control in t->due is to leave; frames need not be there. */
void trunk_batch_control(struct trunk *t);
/* The message that is there leaves now, if anything is in it. */
void trunk_batch_close(struct trunk *t);
/* As much as may be queued in the stream is queued there. */
bool trunk_batch_is_backed_up(const struct trunk *t);
/* trunk_send_on() shall be called when that is no longer so. */
void trunk_batch_wait(struct trunk *t);
/* The stream's on_drain. */
void trunk_on_drain(struct rpc_stream *s, void *arg);

/* --- trunk_receive.c */
enum gate_answer trunk_on_message(struct rpc_stream *s, const uint8_t *bytes, size_t n, void *arg);

/* --- trunk_link.c */
void trunk_link_init(struct trunk_link *k, uint64_t now_ms);
void trunk_link_sent(struct trunk_link *k, size_t bytes, uint64_t now_ms);
/* False: more than was sent. */
bool trunk_link_taken(struct trunk_link *k, uint64_t bytes, uint64_t now_ms);
bool trunk_link_is_full(const struct trunk_link *k);
/* Somebody waits because it is full. True: nobody did before. */
bool trunk_link_stalled(struct trunk_link *k, uint64_t now_ms);
/* Something is under way, and nothing of it has been taken for longer than MS. */
bool trunk_link_is_stuck(const struct trunk_link *k, uint64_t now_ms, uint64_t ms);

/* --- trunk_pulse.c */
void trunk_pulse_init(struct trunk *t);
/* Before the peer's hello: wait for it. After: heartbeats. */
void trunk_pulse_start(struct trunk *t);
void trunk_pulse_stop(struct trunk *t);
void trunk_pulse_received(struct trunk *t, const struct trunk_controls *controls);

#endif
