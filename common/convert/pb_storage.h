/* Where a field of a protobuf-c struct is kept, by its number: so that one function serves mqttv3 and mqttv5, whose
 * structs are different types with the same numbers. Private to convert. */
#ifndef PB_STORAGE_H
#define PB_STORAGE_H

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

/* NULL, and *RET_FIELD too, if the message of this version does not have the field. */
static inline void *pb_storage(const ProtobufCMessage *m, unsigned number, const ProtobufCFieldDescriptor **ret_field)
{
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(m->descriptor, number);
    *ret_field = field;
    return field ? (uint8_t *)m + field->offset : NULL;
}

/* The count of a repeated field; the case of a oneof. */
static inline void *pb_quantifier(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *field)
{
    return (uint8_t *)m + field->quantifier_offset;
}

#endif
