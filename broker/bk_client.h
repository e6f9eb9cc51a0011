/* One connection of an MQTT client, accept to close.
 *
 *                   CONNECT                     CONNACK 0x00
 *   WAIT_CONNECT ----------> CONNECTING (AUTH ...) -----------> LIVE
 *        | time-out, no MQTT     | refused                        | DISCONNECT, lost, keep-alive, bad packet, taken
 * over, |                       |                                | drain
 *        `-----------------------+--------------------------------+--> bk_client_close(): freed, its session goes on
 *
 * It owns the connection and the protocol rules; what outlives it is the session (bk_session.h). CONNECT is answered in
 * bk_connect.c, PUBLISH comes in through bk_publish.c, messages go out through bk_deliver.c. A CONNECT whose client id
 * belongs to another worker takes the connection there. */
#ifndef BK_CLIENT_H
#define BK_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "byte_budget.h"
#include "conn.h"
#include "front_admission.h"
#include "list.h"
#include "log.h"
#include "loop.h"
#include "map.h"
#include "mqtt_io.h"
#include "mqtt_server_rules.h"

struct bk_account;
struct bk_aliases_in;
struct bk_behind;
struct bk_aliases_out;
struct bk_connack;
struct bk_full_wait;
struct bk_login;
struct bk_move;
struct bk_session;
struct bk_worker;
struct front_listener_options;
struct front_pace;
struct mqtt_broker_question;
struct tenant;

enum bk_client_state {
    BK_CLIENT_WAIT_CONNECT = 0,
    BK_CLIENT_CONNECTING,
    BK_CLIENT_LIVE,
};

/* Reasons for which the client's socket is not read (mqtt_io_pause()). */
enum {
    BK_PAUSE_BUDGET = 1,   /* the process holds too many bytes */
    BK_PAUSE_SLOW = 2,     /* a subscriber of what it publishes is slow (--slow-consumer pace) */
    BK_PAUSE_PEER = 4,     /* another worker is slow to take what it publishes */
    BK_PAUSE_FAR = 8,      /* as BK_PAUSE_SLOW: of a subscriber at another worker */
    BK_PAUSE_PACE = 16,    /* it sends faster than it may */
    BK_PAUSE_ANSWERS = 32, /* as many answers wait for the journal as receive-maximum allows */
};

struct bk_client {
    struct list link; /* in worker->clients */
    struct bk_worker *worker;
    struct mqtt_io *io;
    struct conn *conn;                             /* of io */
    const struct front_listener_options *listener; /* where it has come */
    struct front_ticket ticket;
    struct tenant *tenant;      /* NULL: none; it sees topics and its client id without what it lives below */
    struct front_pace *pace;    /* NULL: as fast as it can */
    struct bk_session *session; /* NULL until CONNECT has been accepted */
    struct loop_timer timer;    /* until CONNECT, until CONNACK or AUTH, then keep-alive */
    struct mqtt_server_rules rules;
    struct byte_budget_holder budget;
    struct log_object log;
    struct bk_aliases_in *aliases_in;      /* NULL until the client has set one */
    struct bk_aliases_out *aliases_out;    /* NULL: none may be used */
    struct list paced;                     /* publishers that wait for this slow one */
    struct list paced_link;                /* in the list of the one that this one waits for */
    struct list peer_link;                 /* in the list of the peer that it waits for */
    struct map_node by_number;             /* in worker->paced, once a peer knows its number; hash = number */
    uint64_t paced_bytes;                  /* conn_written_bytes() when paced_ms was */
    uint64_t paced_ms;                     /* when its output moved last while others waited */
    struct bk_login *login;                /* NULL: nothing is under way, nor is there a token that expires */
    struct bk_connack *connack;            /* while it waits for the journal; owned */
    struct gate_wait *connect_wait;        /* likewise */
    struct bk_account *account;            /* that it counts for as a connection; one reference; NULL: none */
    struct mqtt_broker_question *question; /* to hooks; NULL: none */
    struct bk_move *move;                  /* it is about to go to another worker; NULL: it is not */
    struct bk_full_wait *full_wait;        /* its PUBLISH that waits for room in the store; NULL: none does */
    struct bk_behind *behind;              /* an answer that waits for other workers; NULL: none does */
    uint64_t journal_mark;                 /* bk_journal_changes() when the present packet came */
    uint32_t n_waiting;                    /* answers that wait for the journal */
    uint64_t broker;                       /* of bk_session */
    uint64_t number;                       /* for people: counts up in the process */
    uint32_t keep_alive_ms;                /* 1.5 times what was agreed; 0 = none */
    uint32_t n_far_holds;                  /* subscribers' workers that hold it back */
    uint32_t send_limit;                   /* its Maximum Packet Size; 0 = none */
    uint16_t receive_max;                  /* its Receive Maximum */
    uint8_t state;                         /* enum bk_client_state: changed by bk_client_enter() alone */
    uint8_t version;                       /* enum mqtt_version, once CONNECT has come */
    bool has_reasons;                      /* it wants Reason Strings (Request Problem Information) */
    bool has_method;                       /* CONNECT has an Authentication Method */
    bool is_bridge;                        /* mosquitto's bridge bit */
    bool is_proved;                        /* TLS says who it is: --tls-identity */
    bool is_auth_due;                      /* while it connects: its AUTH is waited for */
    bool is_inner;                         /* a bridge of this process: it may do everything (bk_bridge.h) */
    bool is_far_slow;                      /* publishers of other workers wait for it, see bk_pace.c */
    bool is_far_known;                     /* in worker->paced */
    bool is_will_kept;                     /* DISCONNECT has not dropped the Will */
    bool is_stalled;                       /* it stood still while others waited for it: not waited for any more */
};

/* A connection on its way to a worker. */
struct bk_arrival {
    struct conn_parcel parcel;
    struct front_ticket ticket;
    const struct front_listener_options *listener; /* they live as long as the program's */
    struct mqtt_packet *connect;    /* a copy, owned, where another worker has read it; NULL: the client is new */
    struct tenant *tenant;          /* of CONNECT, owned; NULL: none */
    struct mqtt_server_rules rules; /* and the rest is as CONNECT has left it there */
    uint64_t number;
    uint32_t send_limit;
    uint8_t version;
    bool is_proved;
    bool is_inner; /* see bk_client */
};

/* It does not arrive: the connection is closed. CONNECT stays. */
void bk_arrival_drop(struct bk_arrival *arrival);

/* A connection has come to this worker. Takes over what ARRIVAL holds but CONNECT. The client ends by itself and tells
 * the worker. */
void bk_client_new(struct bk_worker *w, struct bk_arrival *arrival);
/* C, which has sent CONNECT, goes to worker TO at the end of the turn; nothing passes until then. False: out of memory.
 */
bool bk_client_move(struct bk_client *c, const struct mqtt_packet *connect, unsigned to);
void bk_client_enter(struct bk_client *c, enum bk_client_state next);
static inline bool bk_client_is_live(const struct bk_client *c)
{
    return c->state == BK_CLIENT_LIVE;
}

/* CONNECT has been accepted and answered: keep-alive runs. */
void bk_client_go_live(struct bk_client *c, uint16_t keep_alive_s);

/* The one way a connection ends by our decision. The client hears REASON where its version and state have a word for it
 * (MQTT_REASON_SUCCESS: nothing is said); its session hears that it is gone. C is gone afterwards. */
void bk_client_close(struct bk_client *c, uint8_t reason, const char *text);
/* The same of one that has sent CONNECT and does not come in. */
void bk_client_refuse(struct bk_client *c, const struct mqtt_packet *connect, uint8_t reason, const char *text);

/* PUBACK, PUBREC, PUBREL or PUBCOMP to the client, with REASON where its version has one. */
void bk_client_send_ack(struct bk_client *c, uint8_t type, uint16_t id, uint8_t reason);
/* The same, when what the present packet has changed is with the disk. */
void bk_client_answer(struct bk_client *c, uint8_t type, uint16_t id, uint8_t reason);
/* One more answer waits for the journal; or one has come. As many as --receive-maximum: C is not read meanwhile, which
 * is all that a client of 3.x can be told, and bounds what waits for a slow disk. */
void bk_client_wait(struct bk_client *c);
void bk_client_waited(struct bk_client *c);
/* Any packet; one that is too large for the client goes without its Reason String. */
void bk_client_send(struct bk_client *c, struct mqtt_packet *packet);

/* Tell the byte budget what is held now. */
void bk_client_account(struct bk_client *c);

/* The broker ends: C is told and closed. One that has not sent CONNECT yet is told when it has, if there is a
 * --server-reference. */
void bk_client_drain(struct bk_client *c);

extern const struct byte_budget_calls bk_client_budget_calls;

#endif
