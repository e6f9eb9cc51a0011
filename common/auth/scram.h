/* SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side, as MQTT 5 carries it in Authentication Data (section 4.12):
 *
 *   client-first  n,,n=USER,r=NONCE                            CONNECT (or AUTH 0x19)
 *   server-first  r=NONCE+OURS,s=SALT,i=COUNT                  AUTH 0x18
 *   client-final  c=biws,r=NONCE+OURS,p=PROOF                  AUTH 0x18
 *   server-final  v=SIGNATURE                                  CONNACK (or AUTH 0x00)
 *
 * Pure and cheap (some HMACs): the costly part is the client's. Channel binding is not offered; an authorization
 * identity is not taken. User names are compared as they come: SASLprep is the client's. One exchange, one thread. */
#ifndef AUTH_SCRAM_H
#define AUTH_SCRAM_H

#include "mqtt_packet.h"

struct scram_file;
struct scram_server;

#define SCRAM_METHOD "SCRAM-SHA-256"

enum {
    SCRAM_MESSAGE_MAX = 2048, /* bytes of a client's message */
    SCRAM_NONCE_LEN = 32,     /* characters of ours */
};

enum scram_result {
    SCRAM_DONE = 0, /* the client has proved who it is; the answer goes into CONNACK */
    SCRAM_CONTINUE, /* the answer goes into AUTH 0x18 */
    SCRAM_REFUSED,  /* err_text() says why, for the log; the client hears 0x87 and nothing else */
};

/* FILE is referenced. NONCE: our part, SCRAM_NONCE_LEN characters at most, for tests; NULL: random. 0 or negative errno
 * with err_text(). */
int scram_server_new(struct scram_file *file, const char *nonce, struct scram_server **ret_server);
/* Wipes. NULL is fine. Returns NULL. */
struct scram_server *scram_server_free(struct scram_server *s);
/* The client's next message. *RET_ANSWER lives until the next call on S; nothing may follow DONE and REFUSED. */
enum scram_result scram_server_step(struct scram_server *s, struct mqtt_bytes message, struct mqtt_bytes *ret_answer);
/* Whom the client says to be; proved after SCRAM_DONE. Lives as long as S; len 0 before the first message. */
struct mqtt_bytes scram_server_user(const struct scram_server *s);

#endif
