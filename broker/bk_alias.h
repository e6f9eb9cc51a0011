/* Topic aliases of one connection (MQTT 5.0 section 3.3.2.3.4), both ways. */
#ifndef BK_ALIAS_H
#define BK_ALIAS_H

#include <stdbool.h>
#include <stdint.h>

#include "mqtt_packet.h"

struct bk_aliases_in;
struct bk_aliases_out;

/* --- Set by the client. ALIAS is from 1 to the maximum that it was told. */

/* From now on ALIAS means TOPIC, which is copied. *TABLE is made at need. 0 or -ENOMEM. */
int bk_aliases_in_set(struct bk_aliases_in **table, uint16_t max, uint16_t alias, struct mqtt_bytes topic);
/* Empty if the client has not set it. Valid until it is set again. */
struct mqtt_bytes bk_aliases_in_get(const struct bk_aliases_in *table, uint16_t alias);
/* NULL is fine. Returns NULL. */
struct bk_aliases_in *bk_aliases_in_free(struct bk_aliases_in *table);

/* --- Set by us: the topics that the client gets most of. The one used longest ago makes room. */

enum { BK_ALIASES_OUT_MAX = 32 };

/* Up to MAX, the client's Topic Alias Maximum. NULL: MAX is 0, or memory is short: none are used. */
struct bk_aliases_out *bk_aliases_out_new(uint16_t max);
struct bk_aliases_out *bk_aliases_out_free(struct bk_aliases_out *table);
/* The alias for TOPIC; 0: none. *RET_IS_KNOWN: the client knows it, the topic can be left out. */
uint16_t bk_aliases_out_use(struct bk_aliases_out *table, struct mqtt_bytes topic, bool *ret_is_known);

#endif
