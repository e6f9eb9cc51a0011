/* The inside of a relay lane, for the files relay*.c only.
 *
 *   relay.c          life: opening, accepting, ending; what the carrier offers as lane_ops
 *   relay_send.c     packets -> frames, pieces, what waits for credit
 *   relay_receive.c  frames -> packets, joining pieces, granting credit */
#ifndef RELAY_INTERNAL_H
#define RELAY_INTERNAL_H

#include "lane_internal.h"
#include "list.h"
#include "packet_to_frame.h"
#include "relay_frame.h"
#include "rpc_stream.h"

enum { RELAY_SESSION_ID_MAX = 64 };

/* A frame that waits for credit, the peer's abilities, or the frames in front of it. */
struct relay_frame_out {
    struct list link;
    size_t len;
    size_t sent; /* of it, in pieces */
    uint8_t bytes[];
};

struct relay {
    struct lane lane; /* first */
    struct rpc_stream *stream;
    bool is_client;    /* r-proxy's side */
    bool is_open;      /* the peer's abilities are known */
    bool is_finishing; /* lane_finish(): the end follows behind what waits */
    bool is_end_sent;
    bool is_failed;    /* the peer broke the contract: nothing of it is passed on any more */
    bool is_told_full; /* lane_may_send() has said no: on_writable is due when it says yes */
    bool is_paused;    /* by the budget */
    bool is_stream_paused;

    /* What the session may say next: server only. */
    uint8_t family;  /* enum frame_family; 0 = before ESTABLISH */
    uint8_t version; /* of the session; 0 = before CONNECT */

    /* Sending */
    uint64_t sequence;
    int64_t send_credit; /* bytes; may fall below zero by the last message */
    struct list waiting; /* struct relay_frame_out */
    size_t waiting_bytes;

    /* Receiving. All in bytes of messages that carry a packet or a piece. */
    uint64_t received_bytes; /* since the beginning */
    uint64_t granted_bytes;  /* what the peer has been allowed since the beginning */
    size_t held_bytes;       /* of whole packets: passed on and not yet consumed */
    uint8_t *joined;         /* a frame whose pieces are coming; NULL = none */
    size_t joined_len, joined_cap, joined_total, joined_charge;

    enum lane_end end; /* of our own making, for on_end: meaningful if is_failed or is_finishing */
    char *end_text;    /* likewise */
    char session_id[RELAY_SESSION_ID_MAX + 1];
};

static inline enum relay_direction relay_own_direction(const struct relay *r)
{
    return r->is_client ? RELAY_CLIENT_TO_BROKER : RELAY_BROKER_TO_CLIENT;
}

/* relay.c */
/* The peer broke the contract, or a limit: end the stream with that. */
void relay_fail(struct relay *r, enum lane_end why, const char *text);
/* enum rpc_status. */
int relay_status(enum lane_end end);

/* relay_send.c */
int relay_send(struct lane *l, const struct mqtt_packet *packet);
bool relay_may_send(const struct lane *l);
/* Something has changed that waiting frames wait for: send what may be sent, then the end if it is due. */
void relay_flush(struct relay *r);
/* If lane_may_send() has said no and says yes now, tell the session. It may be gone afterwards. */
void relay_tell_writable(struct relay *r);
void relay_send_control(struct relay *r, enum relay_frame_kind kind);
void relay_send_credit(struct relay *r, uint64_t bytes);
void relay_drop_waiting(struct relay *r);

/* relay_receive.c */
enum gate_answer relay_on_message(struct rpc_stream *s, const uint8_t *bytes, size_t n, void *arg);
void relay_consumed(struct lane *l, size_t bytes);
/* Grant what can be granted now; stop or start the stream of a peer that knows no credit. */
void relay_update_window(struct relay *r);

#endif
