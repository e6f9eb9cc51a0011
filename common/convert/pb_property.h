/* One property of MQTT 5.0 <-> one mqttv5.Property: the table of numbers, and the message by hand. Private to convert.
 */
#ifndef PB_PROPERTY_H
#define PB_PROPERTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt_property.h"

enum { PB_PROPERTY_NUMBER_END = 28 }; /* one above the highest field number in mqttv5.Property */

/* Field number in mqttv5.Property of an MQTT property id, and back; 0 if there is none. */
unsigned pb_property_number(unsigned id);
unsigned pb_property_id(unsigned number);
/* Whether the field is a bool (in MQTT a byte that is 0 or 1). */
bool pb_property_is_bool(unsigned id);

/* Length of the message Property. */
size_t pb_property_size(const struct mqtt_property *prop);
/* Write it. Returns the byte behind. */
uint8_t *pb_property_write(uint8_t *dst, const struct mqtt_property *prop);

/* Read it. 0, or PB_BAD if it is not well-formed. What is well-formed and no property (none at all, a number that does
 * not fit) sets *RET_FAULT, whose text is NULL otherwise. */
int pb_property_read(struct mqtt_bytes message, struct mqtt_property *ret, struct mqtt_fault *ret_fault);
/* Why PROP can't be written as its type says, as a constant text; NULL if it can. */
const char *pb_property_misfit(const struct mqtt_property *prop);

#endif
