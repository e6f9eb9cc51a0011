/* What the options say of bridges, ready to be used: addresses parsed, files read, filters and Will in the form in
 * which they are sent.
 *
 *   struct bk_bridge_plan    of one bridge: never changes once made; its references are counted, on any thread
 *   struct bk_bridge_plans   of all, with a look at the files of TLS now and then: main thread
 *
 * After SIGHUP a bridge of which nothing has changed has the same plan as before. */
#ifndef BK_BRIDGE_PLAN_H
#define BK_BRIDGE_PLAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bk_bridge_topics.h"
#include "mqtt_link.h"
#include "url.h"

struct bk_bridge_options;
struct bk_bridge_plans;
struct config_items;
struct loop;

/* Client ids here that begin so are bridges': no client may have one. */
#define BK_BRIDGE_ID "$bridge/"

struct bk_bridge_plan {
    char *name;
    char *local_id;     /* BK_BRIDGE_ID and the name: of its session here */
    char *status_topic; /* NULL: none */
    bool has_guard;     /* messages say which brokers they have passed */
    struct bk_bridge_topics topics;
    struct mqtt_link_config far; /* of its session there; points into what is below */
    _Atomic unsigned refs;
    struct url url;
    char *client_id, *username;
    char *password; /* wiped with password_len before it is freed */
    size_t password_len;
    struct mqtt_will will;
    struct mqtt_subscription *subscriptions;
    struct mqtt_bytes *gone; /* of the plan before, each owned */
    uint8_t *options;        /* all that they say, as bytes, for comparing */
    size_t options_len;
};

/* BROKER_ID, of this broker, lives as long as the plan. One reference. 0 or negative errno with err_text(). */
int bk_bridge_plan_new(const struct bk_bridge_options *options, const char *broker_id,
                       struct bk_bridge_plan **ret_plan);
struct bk_bridge_plan *bk_bridge_plan_ref(struct bk_bridge_plan *p);
/* NULL is fine. Returns NULL. */
struct bk_bridge_plan *bk_bridge_plan_unref(struct bk_bridge_plan *p);
/* Whether A and B are about the same session of the same far broker. */
bool bk_bridge_plan_has_same_session(const struct bk_bridge_plan *a, const struct bk_bridge_plan *b);

/* Of BRIDGES (struct bk_bridge_options); what has not changed is taken over from BEFORE (NULL: there is nothing), and
 * its TLS files are read again. 0 or negative errno with err_text(). */
int bk_bridge_plans_new(struct loop *loop, const char *broker_id, const struct config_items *bridges,
                        const struct bk_bridge_plans *before, struct bk_bridge_plans **ret_plans);
/* NULL is fine. Returns NULL. */
struct bk_bridge_plans *bk_bridge_plans_free(struct bk_bridge_plans *p);
/* Any thread, while nobody frees them. */
size_t bk_bridge_plans_count(const struct bk_bridge_plans *p);
struct bk_bridge_plan *bk_bridge_plans_get(const struct bk_bridge_plans *p, size_t index);

#endif
