/* libmqtt-broker, hooks: a program that has a broker inside decides who may connect, subscribe and publish, and hears
 * who has gone. Public, part of broker.h.
 *
 *   CONNECT, PUBLISH, each filter of SUBSCRIBE and UNSUBSCRIBE
 *      --> hook 1 --NEXT--> hook 2 --NEXT--> ... --> the broker's own rules: passwords, tokens, ACL, limits
 *             '--ALLOW, REFUSE: the other hooks are not asked
 *
 * A question is answered by mqtt_broker_answer(), inside the hook's function or later, on any thread, exactly once;
 * until then nothing else of that client passes, so that the order of what it publishes stays. Other clients go on.
 * What a question is about (strings, payloads) lives until the hook's function returns: keep a copy for later. The
 * client may have gone when the answer comes (a CONNECT waits for 60 s, then the client hears 0x88, "server
 * unavailable"), and the broker too: that is no mistake, the answer is ignored.
 *
 * ALLOW of a CONNECT says who the client is: no password, token or certificate is asked for any more. All else that
 * hooks allow the ACL and the limits may still refuse. A CONNECT with an Authentication Method (SCRAM) has to prove
 * itself all the same. What hooks are not asked about: Wills when they are published (on_connect shows them), $SYS,
 * what mqtt_broker_publish() sends, and the bridges of this broker.
 *
 * Hooks run on the broker's threads, several at the same time: they do not wait for anything, and do not call
 * mqtt_broker_stop() or mqtt_broker_free(). mqtt_broker_publish() and mqtt_broker_answer() they may call. */
#ifndef MQTT_BROKER_HOOKS_H
#define MQTT_BROKER_HOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes, not ended by NUL. ptr NULL: there is none. */
struct mqtt_broker_text {
    const char *ptr;
    size_t len;
};

/* Whom it is about. */
struct mqtt_broker_client {
    uint64_t number;                   /* of the connection; never given twice by one broker */
    struct mqtt_broker_text client_id; /* len 0 in on_connect: the broker is going to give it one */
    struct mqtt_broker_text user;      /* in on_connect: what CONNECT claims */
    const char *address;               /* "10.0.0.8:50122" */
    int version;                       /* 3: MQTT 3.1, 4: 3.1.1, 5: 5.0 */
};

struct mqtt_broker_connect {
    struct mqtt_broker_text password;
    bool is_clean; /* Clean Start, Clean Session */
    bool has_will;
    struct mqtt_broker_text will_topic;
};

struct mqtt_broker_publication {
    struct mqtt_broker_text topic; /* of an alias: what it stands for */
    struct mqtt_broker_text payload;
    int qos;
    bool retain;
};

struct mqtt_broker_filter {
    struct mqtt_broker_text filter; /* "$share/..." too */
    int qos;                        /* 0 in on_unsubscribe */
};

enum mqtt_broker_verdict {
    MQTT_BROKER_NEXT = 0, /* no opinion */
    MQTT_BROKER_ALLOW,
    MQTT_BROKER_REFUSE,
};

struct mqtt_broker_reply {
    enum mqtt_broker_verdict verdict;
    /* REFUSE: the reason code of MQTT 5.0 that the client hears (3.x: what comes closest). 0, or one that the answer's
     * packet cannot carry: 0x87, not authorized. */
    uint8_t reason;
    /* ALLOW of a CONNECT: who the client is from now on. NULL: who it claims to be. Copied. */
    const char *user;
};

struct mqtt_broker_question;
/* QUESTION is gone afterwards. Any thread. */
void mqtt_broker_answer(struct mqtt_broker_question *question, const struct mqtt_broker_reply *reply);

/* A function that is NULL is not asked. */
struct mqtt_broker_hook {
    void *arg; /* handed to each of them */
    void (*on_connect)(void *arg, const struct mqtt_broker_client *client, const struct mqtt_broker_connect *connect,
                       struct mqtt_broker_question *question);
    void (*on_publish)(void *arg, const struct mqtt_broker_client *client,
                       const struct mqtt_broker_publication *publication, struct mqtt_broker_question *question);
    /* Each filter is a question of its own. */
    void (*on_subscribe)(void *arg, const struct mqtt_broker_client *client, const struct mqtt_broker_filter *filter,
                         struct mqtt_broker_question *question);
    void (*on_unsubscribe)(void *arg, const struct mqtt_broker_client *client, const struct mqtt_broker_filter *filter,
                           struct mqtt_broker_question *question);
    /* A client that was connected is not any more. REASON: the code of 5.0, 0 where it went by itself; TEXT says why.
     */
    void (*on_disconnect)(void *arg, const struct mqtt_broker_client *client, uint8_t reason, const char *text);
    /* A session is over: it has expired, or was to end with its connection. Not when the broker stops. */
    void (*on_session_end)(void *arg, struct mqtt_broker_text client_id);
};

#ifdef __cplusplus
}
#endif

#endif
