/* A file of users for SCRAM: lines in the form that PostgreSQL keeps (pg_authid.rolpassword), with the user in front:
 *
 *   USER:SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY       (the last three in base64)
 *
 * Who has the file can neither read the passwords nor log in with it, but can play the server to a client: mode 0600.
 * Never changed once read; reading again makes another one. Any thread. */
#ifndef AUTH_SCRAM_FILE_H
#define AUTH_SCRAM_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "mqtt_packet.h"

enum {
    SCRAM_KEY_LEN = 32, /* SHA-256 */
    SCRAM_SALT_MAX = 64,
    SCRAM_ITERATIONS_MIN = 4096, /* RFC 7677, section 4 */
    SCRAM_ITERATIONS_MAX = 10000000,
    SCRAM_LINE_MAX = 256, /* what follows the user's colon, with the NUL */
};

struct scram_secret {
    uint32_t iterations;
    uint8_t salt_len;
    uint8_t salt[SCRAM_SALT_MAX];
    uint8_t stored_key[SCRAM_KEY_LEN], server_key[SCRAM_KEY_LEN];
};

struct scram_file;

/* One reference. 0 or negative errno with err_text(): file, line, reason, never a key. */
int scram_file_load(const char *file, struct scram_file **ret_file);
struct scram_file *scram_file_ref(struct scram_file *f);
/* NULL is fine. Returns NULL. */
struct scram_file *scram_file_unref(struct scram_file *f);

/* USER's secret. For a user whom the file does not know: a secret that nobody's password opens, with a salt and a count
 * that look like all others and stay the same for the name as long as the file's first line does (RFC 5802, section
 * 5.1: an exchange does not tell who exists). */
void scram_file_find(const struct scram_file *f, const void *user, size_t len, struct scram_secret *ret_secret);

/* The secret of PASSWORD with a random salt, as the text behind "USER:". LINE takes SCRAM_LINE_MAX bytes. 0 or negative
 * errno with err_text(). */
int scram_secret_make(const void *password, size_t len, uint32_t iterations, char *line);

#endif
