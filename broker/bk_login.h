/* A client proves who it is: by password, token or SCRAM, at CONNECT, or once more while it is connected (AUTH 0x19;
 * MQTT 5.0 section 4.12).
 *
 *   bk_login_begin() --ALLOWED, REFUSED--------------------------------> at once
 *        '--WAITS--> [ the checker's threads, or AUTH packets ] --------> bk_connect_allowed() or bk_client_close()
 */
#ifndef BK_LOGIN_H
#define BK_LOGIN_H

#include <stdint.h>

#include "gate.h"
#include "mqtt_packet.h"

struct acl;
struct bk_client;
struct bk_login;

enum bk_login_result {
    BK_LOGIN_ALLOWED = 0,
    BK_LOGIN_REFUSED,
    BK_LOGIN_WAITS_HELD, /* until then no packet of the client passes */
    BK_LOGIN_WAITS_AUTH, /* for its AUTH */
};

/* Why not, for the client (CONNACK) and the log. */
struct bk_login_fault {
    uint8_t reason;
    const char *text;
};

/* CONNECT of C. While it waits, a copy of CONNECT is kept, see bk_login_connect(). */
enum bk_login_result bk_login_begin(struct bk_client *c, const struct mqtt_packet *connect,
                                    struct bk_login_fault *ret_fault);
/* A hook has said who C is. 0 or -ENOMEM. */
int bk_login_set_user(struct bk_client *c, const char *user);
/* AUTH of C. */
enum gate_answer bk_login_auth(struct bk_client *c, const struct mqtt_packet *auth);
/* C is allowed in; what was found out about it lasts as long as the login. */
const struct mqtt_packet *bk_login_connect(const struct bk_login *l);
/* ptr NULL: anonymous. */
struct mqtt_bytes bk_login_user(const struct bk_client *c, const struct mqtt_packet *connect);
/* NULL: none. */
struct acl *bk_login_claims(const struct bk_login *l);
/* What CONNACK is to carry: method and data; both empty where CONNECT had no method. */
void bk_login_answer(const struct bk_login *l, struct mqtt_bytes *ret_method, struct mqtt_bytes *ret_data);
/* C is connected: what is not needed any more goes. */
void bk_login_settle(struct bk_client *c);
/* NULL is fine. Returns NULL. */
struct bk_login *bk_login_free(struct bk_login *l);

#endif
