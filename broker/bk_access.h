/* Who may connect, publish and subscribe: what the files of users, keys and rules say (common/auth).
 *
 *   struct bk_access   of the process: password checker, keys of tokens, SCRAM users, ACL; read again on SIGHUP
 *   struct bk_login    one CONNECT or re-authentication under way (bk_login.h)
 *   struct bk_grant    of a session: its user, and what that one may do
 *
 * Without any file, --allow-anonymous alone decides. */
#ifndef BK_ACCESS_H
#define BK_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "acl.h"
#include "mqtt_packet.h"

struct acl;
struct bk_access;
struct bk_account;
struct bk_options;
struct jwt_verifier;
struct password_checker;
struct scram_file;

/* Reads all files of OPTIONS. 0 or negative errno with err_text(). Main thread, as all but the questions below. */
int bk_access_new(const struct bk_options *options, struct bk_access **ret_access);
/* No worker is left. NULL is fine. Returns NULL. */
struct bk_access *bk_access_free(struct bk_access *a);
/* Read again what FRESH names; a file that cannot be read changes nothing and is an error in the log. */
void bk_access_reload(struct bk_access *a, const struct bk_options *fresh);

/* --- Any thread. */
bool bk_access_allows_anonymous(const struct bk_access *a);
/* NULL: there is none. */
struct password_checker *bk_access_passwords(const struct bk_access *a);
struct jwt_verifier *bk_access_tokens(const struct bk_access *a);
/* One reference, the caller's; NULL: there is none. */
struct scram_file *bk_access_scram(struct bk_access *a);
struct acl *bk_access_acl(struct bk_access *a);

/* --- Of a session, on its loop. */

struct bk_grant {
    struct acl_view view;       /* points to USER and to the session's client id */
    char *user;                 /* NULL: anonymous */
    struct bk_account *account; /* one reference; NULL: no quotas */
    int64_t queued_bytes;       /* that the account knows of */
};

/* USER (len 0 and ptr NULL: anonymous) is copied; CLIENT_ID lives until bk_session_set_grant(); CLAIMS (NULL: none) is
 * referenced, and so is ACCOUNT (NULL: none). NULL: out of memory. */
struct bk_grant *bk_grant_new(struct bk_access *a, struct mqtt_bytes user, struct mqtt_bytes client_id,
                              struct acl *claims, struct bk_account *account);
/* NULL is fine. Returns NULL. */
struct bk_grant *bk_grant_free(struct bk_grant *g);
/* The rules have been read again. */
void bk_grant_renew(struct bk_grant *g, struct bk_access *a);

#endif
