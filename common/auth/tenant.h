/* Tenants: clients that share a broker and shall not meet. Each lives below a mount point, with client ids of a prefix,
 * and does not see either:
 *
 *                        as the client has it        as the broker has it          mount point "acme", prefix "acme:"
 *   client id            pump-3                      acme:pump-3
 *   topic                plant/1                     acme/plant/1
 *   filter               #                           acme/#
 *   shared subscription  $share/readers/plant/+      $share/readers/acme/plant/+
 *   the broker's own     $SYS/broker/uptime          $SYS/broker/uptime
 *   any other $ topic    $queue/plant/1              acme/$queue/plant/1
 *
 *   client --tenant_mount()--> broker --tenant_unmount()--> client
 *
 * That holds wherever a topic occurs: PUBLISH (with a Topic Alias alone there is none), SUBSCRIBE, UNSUBSCRIBE, Will,
 * Response Topic, Response Information; and for the client id of CONNECT and the Assigned Client Identifier of CONNACK.
 * $SYS is "$SYS" and what begins with "$SYS/". Other topics that begin with "$" are mounted like any: to brokers that
 * give them a meaning they would lead out of the mount point ($queue/..., $delayed/...), to others they are topics that
 * tenants could meet in.
 *
 * A client that says no client id, under a prefix, gets one that is made here: one of the broker's own making would lie
 * outside the prefix, and a client that comes back with it would find another session. Clients of 5.0 learn it from
 * CONNACK as if the broker had made it; those of 3.x never do, and may not ask for a session that lasts.
 *
 * Maximum Packet Size means what each side counts with its own topics: the broker is told that the client takes so much
 * more as the mount point may add, and the client that the broker takes so much less.
 *
 * No I/O. A tenant belongs to one session and its thread. */
#ifndef TENANT_H
#define TENANT_H

#include <stdbool.h>
#include <stdint.h>

#include "metrics.h"
#include "mqtt_dropped.h"
#include "mqtt_packet.h"
#include "mqtt_reason.h"

struct log_object;
struct tenant;

/* Templates (tenant_template.h); NULL: none. Of the options of a listener, or of an r-proxy. */
struct tenant_rules {
    const char *mount_point; /* a slash follows, unless it ends with one */
    const char *client_id_prefix;
};

/* config_check_fn of the options. */
int tenant_check_mount_point(const char *text);
int tenant_check_client_id_prefix(const char *text);
/* Whether a template has %n: who has no certificate is refused. TEXT may be NULL. */
bool tenant_needs_certificate(const char *text);

#define TENANT_METRICS(X)                                                                                      \
    X(tenants_refused, COUNTER, "CONNECTs of which no mount-point or client-id-prefix can be made")            \
    X(publishes_outside_mount, COUNTER, "PUBLISHes dropped: not below the mount point of the client")          \
    X(publishes_over_client_limit, COUNTER, "PUBLISHes below a mount point dropped: too large for the client") \
    X(response_topics_removed, COUNTER, "Response Topics taken away: not below the mount point of the client")

/* Of all tenants of a worker. */
struct tenant_metrics {
    TENANT_METRICS(METRIC_FIELD)
};
/* Have M shown by REGISTRY (metrics_add()), as PREFIX_tenants_refused and so on. 0 or negative errno. */
int tenant_metrics_add(struct tenant_metrics *m, struct metrics_registry *registry, const char *prefix);

/* Where the parts of a packet lie that are not as they came: on the stack, for nearly all packets. */
struct tenant_scratch {
    uint8_t *heap; /* NULL: not needed */
    uint8_t small[512];
};
static inline void tenant_scratch_init(struct tenant_scratch *s)
{
    s->heap = NULL;
}
void tenant_scratch_deinit(struct tenant_scratch *s);

struct tenant_params {
    struct tenant_rules rules;
    struct mqtt_bytes certificate;  /* the name in the client's certificate; empty: it has none */
    struct tenant_metrics *metrics; /* this and `log` outlive the tenant */
    const struct log_object *log;   /* what lines are about; may be NULL */
};

enum {
    TENANT_REFUSED = 1, /* *ret_fault says why; CONNACK or DISCONNECT is due */
};

/* The tenant that the client of CONNECT is, which becomes what the broker shall get (as by tenant_mount()). 0, and
 * *RET_TENANT is the caller's (NULL: there are no rules, and nothing has changed); TENANT_REFUSED: a value that will
 * not do (0x85 for the client id, else 0x87), or a reason of tenant_mount(); negative errno with err_text(). */
int tenant_open(const struct tenant_params *params, struct mqtt_packet *connect, struct tenant_scratch *s,
                struct tenant **ret_tenant, struct mqtt_fault *ret_fault);
/* NULL is fine. Returns NULL. */
struct tenant *tenant_close(struct tenant *t);
/* T goes on elsewhere: on another thread, with what is there in place of the params'. NULL is fine. */
void tenant_move(struct tenant *t, struct tenant_metrics *metrics, const struct log_object *log);
/* Levels that the mount point puts before a topic. NULL is fine: 0. */
uint32_t tenant_levels(const struct tenant *t);

/* P, of the client, becomes what the broker shall get: it points into S then, besides where it pointed before. S is
 * initialized, and used once. 0; TENANT_REFUSED: a topic (0x90), filter (0x8F) or client id (0x85) is too long with
 * what stands before it, or the packet is too large (0x95); negative errno with err_text(). */
int tenant_mount(struct tenant *t, struct mqtt_packet *p, struct tenant_scratch *s, struct mqtt_fault *ret_fault);

/* P, of the broker, becomes what the client shall get, likewise. 0; MQTT_DROPPED or MQTT_DROPPED_ANSWER
 * (mqtt_dropped.h): nothing, since P is a PUBLISH
 *   - to a topic that is neither below the mount point nor the broker's own. No client is sent that but for "acme",
 *     which "acme/#" matches too (MQTT 4.7.1.2), unless the broker is at fault;
 *   - larger than the client takes, which is how brokers have it (MQTT-3.1.2-25);
 * or the PUBREL of one. Negative errno with err_text(). All is counted. A Response Topic that is
 * not below the mount point is taken away: an answer would go elsewhere. */
int tenant_unmount(struct tenant *t, struct mqtt_packet *p, struct tenant_scratch *s, struct mqtt_dropped *dropped,
                   struct mqtt_reply *ret_answer);

/* The same of a PUBLISH alone, for a broker of our own, which needs no answer. 0; TENANT_DROPPED: nothing, P is as it
 * was; negative errno with err_text(). */
enum { TENANT_DROPPED = 1 };
int tenant_unmount_publish(const struct tenant *t, struct mqtt_packet *p, struct tenant_scratch *s);

#endif
