/* Texts from which the mount point and the client id prefix of a client are made: "site/%u", "%n:".
 *
 *   %u   its user name       %c   its client id, as it says it       %n   the name in its certificate       %%   %
 *
 * A value that is empty or holds "/", "+", "#" or the character that follows it in the template is refused: so two
 * clients with different values never get the same text, and none gets one that begins with another's. Pure. */
#ifndef TENANT_TEMPLATE_H
#define TENANT_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt_packet.h"

enum tenant_value {
    TENANT_USER = 0,
    TENANT_CLIENT_ID,
    TENANT_CERTIFICATE,
    TENANT_VALUES,
};

struct tenant_values {
    struct mqtt_bytes of[TENANT_VALUES]; /* empty: there is none */
};

/* Whether TEXT is a template. IS_PATH: a slash follows it, else nothing that ends a value does. 0 or -EINVAL with
 * err_text(). */
int tenant_template_check(const char *text, bool is_path);

enum {
    TENANT_TEMPLATE_LONG = 1, /* more than MQTT_STRING_MAX bytes */
    TENANT_TEMPLATE_BAD = 2,  /* + enum tenant_value: that value will not do */
};
/* What a checked TEXT becomes with VALUES. 0 with its length, or one of the above. DST has room for MQTT_STRING_MAX
 * bytes; NULL: only its length is asked for. */
int tenant_template_fill(const char *text, const struct tenant_values *values, uint8_t *dst, size_t *ret_len);

#endif
