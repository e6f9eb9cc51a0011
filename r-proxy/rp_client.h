/* One MQTT client connection of r-proxy, accept to close.
 *
 *                   CONNECT              CONNACK 0x00
 *   WAIT_CONNECT ----------> CONNECTING --------------> LIVE
 *        | time-out, no MQTT     | refused, no way there  | DISCONNECT, lost, keep-alive, bad packet, session ended,
 * drain
 *        `-----------------------+------------------------+--> rp_client_close(): freed, the session goes on without it
 *
 * It owns the connection and the protocol rules towards the client; what a session is stands in rp_session.h, packets
 * towards s-proxy go through rp_uplink.c, packets from there come through rp_downlink.c. Everything on the worker's
 * loop. */
#ifndef RP_CLIENT_H
#define RP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "byte_budget.h"
#include "front_admission.h"
#include "lane.h"
#include "list.h"
#include "log.h"
#include "loop.h"
#include "mqtt_io.h"
#include "mqtt_server_rules.h"

struct front_listener_options;
struct front_pace;
struct rp_arrival;
struct rp_limits;
struct rp_session;
struct rp_worker;

enum rp_client_state {
    RP_CLIENT_WAIT_CONNECT = 0,
    RP_CLIENT_CONNECTING,
    RP_CLIENT_LIVE,
};

/* Reasons for which the client's socket is not read (mqtt_io_pause()). */
enum {
    RP_PAUSE_CREDIT = 1,    /* the lane takes no more */
    RP_PAUSE_BUDGET = 2,    /* the process holds too many bytes */
    RP_PAUSE_LEAVING = 4,   /* it has sent DISCONNECT */
    RP_PAUSE_PACE = 8,      /* it sends faster than it may */
    RP_PAUSE_INFLIGHT = 16, /* as many PUBACKs are due as receive-maximum allows */
};

enum { RP_CLIENT_ID_SHOWN = 32 };

struct rp_client {
    struct list link; /* in worker->clients */
    struct rp_worker *worker;
    const struct front_listener_options *options; /* of its listener */
    struct mqtt_io *io;
    struct rp_session *session; /* NULL until CONNECT */
    struct loop_timer timer;    /* until CONNECT, until CONNACK, then keep-alive */
    struct mqtt_server_rules rules;
    struct byte_budget_holder budget;
    struct front_ticket ticket;
    struct front_pace *pace;  /* NULL: as fast as it can */
    struct rp_limits *limits; /* NULL: there are none behind CONNECT */
    struct log_object log;
    uint64_t number;        /* for people: counts up in the process */
    uint32_t keep_alive_ms; /* 1.5 times what was agreed; 0 = none */
    uint16_t keep_alive_s;  /* as CONNECT asked for it */
    uint8_t state;          /* enum rp_client_state: changed by rp_client_enter() alone */
    bool is_leaving;        /* DISCONNECT has passed */
    uint8_t id_len;
    uint8_t id[RP_CLIENT_ID_SHOWN]; /* the beginning of the client id, for the log */
};

/* A connection has come to this worker. Takes over what ARRIVAL holds. The client ends by itself and tells the worker.
 */
void rp_client_new(struct rp_worker *w, struct rp_arrival *arrival);
void rp_client_enter(struct rp_client *c, enum rp_client_state next);

/* The broker has accepted: CONNACK as it goes to the client. */
void rp_client_accepted(struct rp_client *c, const struct mqtt_packet *connack);

/* The one way a client connection ends by our decision. The client hears REASON where its version and state have a word
 * for it (MQTT_REASON_SUCCESS: nothing is said); the session hears that the client is gone. C is gone afterwards. */
void rp_client_close(struct rp_client *c, uint8_t reason, const char *text);
/* The client has sent DISCONNECT, and it has gone into the lane. The connection closes when the other side says that
 * the broker has heard it: a client that comes back at once then finds its old session ended. What the broker still
 * sends passes. */
void rp_client_goodbye(struct rp_client *c);
/* The session has ended at the other side. C is gone afterwards. */
void rp_client_session_ended(struct rp_client *c, enum lane_end why, const char *text);

/* Begin no new exchange; close when the open ones are done. C may be gone afterwards. */
void rp_client_drain(struct rp_client *c);
/* Whether a draining client has nothing open any more; then it is closed, C is gone and the result is true. */
bool rp_client_check_drained(struct rp_client *c);
/* Tell the byte budget what is held now. */
void rp_client_account(struct rp_client *c);

extern const struct byte_budget_calls rp_client_budget_calls;

#endif
