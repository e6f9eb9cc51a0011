/* One session of s-proxy: opened over a lane by an r-proxy, owns one upstream connection to a broker.
 *
 *            lane: CONNECT                 connected             CONNACK 0x00
 *   NEW ---------------------> DIALLING -----------> ASKING ---------------------> LIVE
 *    |                          |  ^ the next broker  | AUTH goes to and fro        |
 *    | time-out, bad frame      v  '------------------+ no answer, closed           | DISCONNECT, half-close, broker
 * gone, drain
 *    `------------------------> ENDING <--------------+-- refused ------------------'
 *                                 `-- lane on_end --> freed
 *
 * While the broker has not answered, packets behind CONNECT wait in the lane (lane_hold()), so that fail-over is only
 * the sending of CONNECT to the next broker. The upstream half of the work is in sp_uplink.c (frames -> broker) and
 * sp_downlink.c (packets -> lane). Everything runs on the worker's loop. */
#ifndef SP_SESSION_H
#define SP_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "byte_budget.h"
#include "lane.h"
#include "list.h"
#include "log.h"
#include "loop.h"
#include "mqtt_client_rules.h"
#include "mqtt_dropped.h"
#include "mqtt_exchanges.h"
#include "mqtt_server_rules.h"
#include "sp_broker_pick.h"
#include "sp_broker_turn.h"
#include "upstream.h"

struct rpc_stream;
struct sp_identity;
struct sp_worker;
struct tenant;
struct trunk_client;

enum sp_session_state {
    SP_SESSION_NEW = 0,
    SP_SESSION_DIALLING,
    SP_SESSION_ASKING,
    SP_SESSION_LIVE,
    SP_SESSION_ENDING,
};

/* Reasons for which the upstream socket is not read (mqtt_io_pause()). */
enum {
    SP_PAUSE_CREDIT = 1, /* the lane takes no more */
    SP_PAUSE_BUDGET = 2, /* the process holds too many bytes */
};

enum { SP_CLIENT_ID_SHOWN = 32 };

struct sp_session {
    struct list link; /* in worker->sessions */
    struct sp_worker *worker;
    struct lane *lane;
    struct upstream *upstream; /* NULL while there is none */
    struct mqtt_packet
        *connect; /* what to say to the next broker; NULL before CONNECT and once a broker has answered */
    struct gate_wait *connect_wait; /* holds the lane meanwhile */
    struct loop_task go_on_task;    /* lets the lane go on, at the end of the turn */
    struct sp_broker *broker;       /* in use, or the last one tried */
    struct sp_broker_tries tries;
    struct sp_broker_turn turn; /* DIALLING: waits, or has its turn; ASKING: has it */
    struct loop_timer
        timer; /* NEW: until CONNECT; ASKING: until the broker answers; after DISCONNECT: until it closes */
    struct mqtt_client_rules rules;        /* what the broker may say next */
    struct mqtt_server_rules client_rules; /* what the client may say next: an r-proxy need not be one of ours */
    struct mqtt_exchanges exchanges;
    struct mqtt_dropped dropped;  /* deliveries that could not pass and are acknowledged by us */
    struct sp_identity *identity; /* of its r-proxy: one reference; NULL: there is no list */
    struct tenant *tenant;        /* NULL: none, packets pass as they are */
    struct byte_budget_holder budget;
    struct log_object log;
    uint32_t client_packet_max; /* Maximum Packet Size of CONNECT; UINT32_MAX = none */
    size_t owed_bytes;          /* delivered by the lane, credit not returned yet */
    uint64_t number;            /* for people: counts up in the process */
    uint8_t state;              /* enum sp_session_state: changed by sp_session_enter() alone */
    uint8_t version;            /* enum mqtt_version; 0 before CONNECT */
    uint8_t id_len;
    uint8_t id[SP_CLIENT_ID_SHOWN]; /* the beginning of the client id, for the log */
    bool has_said_goodbye;          /* the client sent DISCONNECT */
    bool was_snubbed;               /* a broker took CONNECT and closed without an answer */
    bool was_told;                  /* the client has a refusing CONNACK or a DISCONNECT already */
};

/* A stream of the relay service has come, or a lane of a trunk (new, without callbacks), from the r-proxy IDENTITY (may
 * be NULL), whose reference is taken over. The session owns itself: it ends by itself and tells the worker. */
void sp_session_on_stream(struct sp_worker *w, struct rpc_stream *stream, struct sp_identity *identity);
void sp_session_on_lane(struct sp_worker *w, struct lane *lane, struct sp_identity *identity);
/* What is known of the client, as far as the r-proxy is believed; views of the lane's. False: nothing. */
bool sp_session_client(const struct sp_session *s, struct trunk_client *ret_client);
void sp_session_enter(struct sp_session *s, enum sp_session_state next);

/* Dial the next broker for CONNECT. */
void sp_session_open_upstream(struct sp_session *s);
/* The broker has answered CONNECT: what waited behind it goes on at the end of the turn. */
void sp_session_broker_answered(struct sp_session *s);
/* The broker in use is no good (TEXT says why): the next one, or the client is told that there is none. */
void sp_session_broker_failed(struct sp_session *s, const char *text);

/* The one way a session ends by our decision. The client hears REASON (CONNACK before it is live, DISCONNECT of v5
 * after; unless it was told already), then the lane ends with HOW. LINGER_MS: how long the broker may take what is
 * queued for it. */
void sp_session_end(struct sp_session *s, enum lane_end how, uint8_t reason, const char *text, uint32_t linger_ms);
/* DISCONNECT has gone to the broker, which closes when it has heard it; until then its last packets still pass. */
void sp_session_goodbye(struct sp_session *s);
/* Let go of the broker, which gets what is queued first; the lane ends in order. After DISCONNECT or half-close. */
void sp_session_finish(struct sp_session *s);

/* Begin no new exchange, end when the open ones are done. */
void sp_session_drain(struct sp_session *s);
/* Called when an exchange may have ended. */
void sp_session_check_drained(struct sp_session *s);
/* Tell the byte budget what is held now. */
void sp_session_account(struct sp_session *s);
/* Drop everything at once: the process ends. */
void sp_session_kill(struct sp_session *s);

extern const struct byte_budget_calls sp_session_budget_calls;

#endif
