/* Which messages a bridge carries, and what their topics are called on the other side. Pure.
 *
 *   here   local-prefix  FILTER         out: local name, its prefix replaced --> remote name
 *   there  remote-prefix FILTER         in:  remote name, its prefix replaced --> local name
 *
 * Of several lines that match a topic the first one decides, as with mosquitto. */
#ifndef BK_BRIDGE_TOPICS_H
#define BK_BRIDGE_TOPICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt_packet.h"

enum bk_bridge_way {
    BK_BRIDGE_OUT = 1, /* from here to the far broker */
    BK_BRIDGE_IN = 2,
    BK_BRIDGE_BOTH = BK_BRIDGE_OUT | BK_BRIDGE_IN,
};

struct bk_bridge_topic {
    char *local, *remote; /* prefix and filter; owned */
    uint32_t local_prefix_len, remote_prefix_len;
    uint8_t ways; /* enum bk_bridge_way */
    uint8_t qos;  /* at most this */
};

struct bk_bridge_topics {
    struct bk_bridge_topic *list; /* owned */
    size_t n;
};

/* One more line; prefixes may be NULL. 0 or -ENOMEM. */
int bk_bridge_topics_add(struct bk_bridge_topics *t, const char *filter, const char *local_prefix,
                         const char *remote_prefix, enum bk_bridge_way ways, uint8_t qos);
void bk_bridge_topics_deinit(struct bk_bridge_topics *t);

/* PREFIX (may be NULL) and TEXT as one, owned by the caller. NULL: out of memory. */
char *bk_bridge_join(const char *prefix, const char *text);

/* A name in two parts. */
struct bk_bridge_name {
    struct mqtt_bytes prefix; /* of the line */
    struct mqtt_bytes rest;   /* of the topic */
};

/* What TOPIC, a name on the side that WAY begins at, is called on the other side. False: no line carries it that way.
 */
bool bk_bridge_topics_map(const struct bk_bridge_topics *t, enum bk_bridge_way way, struct mqtt_bytes topic,
                          struct bk_bridge_name *ret_name);

#endif
