/* The Will of a session, from CONNECT until it is published or dropped (MQTT 5.0 section 3.1.2.5). */
#ifndef BK_WILL_H
#define BK_WILL_H

#include <stdbool.h>
#include <stdint.h>

struct bk_message;
struct bk_session;
struct mqtt_packet;

struct bk_will {
    struct bk_message *message; /* one reference; its expiry begins when it is published */
    uint64_t due_ms;            /* loop_now_ms(), once the connection has ended; 0 before */
    uint32_t delay_s;
    uint32_t expiry_s; /* Message Expiry Interval */
    bool has_expiry;
};

/* What CONNECT says is S's Will from now on: none if it has none. 0 or -ENOMEM. */
int bk_will_set(struct bk_session *s, const struct mqtt_packet *connect);
/* It is not published. */
void bk_will_drop(struct bk_session *s);
/* It is published now. */
void bk_will_publish(struct bk_session *s);

#endif
