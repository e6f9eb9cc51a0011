/* Who may publish and subscribe to what. Lines of a file, in the words that mosquitto's users know:
 *
 *   topic [read|write|readwrite|deny] FILTER      everybody, as long as no `user` line came; then that user
 *   user NAME                                     the topic and deny lines below are about NAME
 *   deny [publish|subscribe] FILTER               the same as `topic deny`, for one of both
 *   pattern [read|write|readwrite|deny] FILTER    every client, wherever it stands; %c is its client id, %u its user
 *
 * read is subscribe, write is publish, and these words may be used as well; readwrite is meant where none stands. A
 * line that begins with # is a comment, and so is what follows a blank and #. Of the lines about a client the first one
 * that matches decides; when none does, the answer is no. (mosquitto lets `deny` win wherever it stands. A deny line
 * that can never be reached because an earlier line allows all of it is therefore an error here.)
 *
 *   publish     the topic is matched
 *   delivery    the topic is matched
 *   subscribe   the filter must be covered: a line matches if it matches every topic that the filter matches. What a
 *               deny line takes out of it is refused when it is to be delivered.
 *
 * A user or client id that is empty or holds "/", "+" or "#" never matches a pattern that has it (CVE-2017-7650), nor
 * does one that begins with "$" at the beginning of a pattern. Wildcards do not match topics that begin with "$".
 * $share/GROUP/FILTER is checked as FILTER.
 *
 * A `struct acl` is never changed once made; reading the file again makes another one. Any thread. Checks allocate
 * nothing; their cost grows with the levels of the topic, hardly with the number of lines. */
#ifndef AUTH_ACL_H
#define AUTH_ACL_H

#include <stdbool.h>
#include <stddef.h>

#include "mqtt_packet.h"

struct acl;

enum { ACL_LEVELS_MAX = 128 }; /* of a filter in a line */

/* One reference. 0, or negative errno with err_text(): file, line, reason. An empty file refuses everything
 * (CVE-2018-12550). */
int acl_load(const char *file, struct acl **ret_acl);
struct acl *acl_ref(struct acl *a);
/* NULL is fine. Returns NULL. */
struct acl *acl_unref(struct acl *a);

/* --- Without a file (claims of a token): an acl without any line, which may be added to as long as nobody else has it.
 */
enum acl_access {
    ACL_PUBLISH = 1,
    ACL_SUBSCRIBE = 2, /* subscribe, and get what the subscription brings */
};
int acl_new(struct acl **ret_acl);
/* A line `pattern`: ACCESS is one of enum acl_access or both. 0, -ENOMEM, or -EINVAL with err_text(): not a filter. */
int acl_add_pattern(struct acl *a, unsigned access, struct mqtt_bytes filter);

/* --- What one client may do: a few words, to be kept in its session. A client without an acl may do all. */
struct acl_view {
    struct acl *file;                  /* NULL: no ACL file; one reference */
    struct acl *claims;                /* NULL: no token with an acl claim; one reference */
    struct mqtt_bytes user, client_id; /* the session's own memory; len 0: none, or of no use in a pattern */
    uint32_t file_user;                /* where the lines of this user begin; 0: there are none */
};

/* Takes references of its own; USER (len 0: anonymous) and CLIENT_ID live as long as the view. With CLAIMS these are
 * what the client may do, and of FILE only the deny lines hold. After a reload: deinit, and init with the fresh one. */
void acl_view_init(struct acl_view *v, struct acl *file, struct acl *claims, struct mqtt_bytes user,
                   struct mqtt_bytes client_id);
void acl_view_deinit(struct acl_view *v);

/* TOPIC is a valid topic name. */
bool acl_may_publish(const struct acl_view *v, struct mqtt_bytes topic);
bool acl_may_receive(const struct acl_view *v, struct mqtt_bytes topic);

enum acl_subscription {
    ACL_SUBSCRIPTION_REFUSED = 0,
    ACL_SUBSCRIPTION_OPEN,    /* whatever it matches may be delivered: acl_may_receive() need not be asked */
    ACL_SUBSCRIPTION_GUARDED, /* some of it may not: ask for each message */
};
/* FILTER is a valid filter, shared or not. The answer holds as long as the view does: ask again after a reload. */
enum acl_subscription acl_may_subscribe(const struct acl_view *v, struct mqtt_bytes filter);

#endif
