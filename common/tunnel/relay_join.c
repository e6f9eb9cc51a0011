/* Pieces -> frame (proto/mqtt_relay.proto section 4). Memory follows the bytes that have come, never what was
 * announced. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "relay_internal.h"

enum {
    JOIN_FIRST_ROOM = 64 * 1024,
    JOIN_MAX = MQTT_PACKET_MAX * 2, /* a frame may be longer than its packet: lists grow in protobuf */
};

static int make_room(struct relay_join *j, size_t len)
{
    if (len <= j->room)
        return 0;
    size_t room = j->room ? j->room * 2 : JOIN_FIRST_ROOM;
    room = room < len ? len : room;
    room = room > j->total ? j->total : room;
    uint8_t *bytes = realloc(j->bytes, room);
    if (!bytes)
        return -ENOMEM;
    j->bytes = bytes;
    j->room = room;
    return 0;
}

int relay_join_add(struct relay_join *j, uint32_t total_bytes, struct mqtt_bytes data)
{
    bool is_first = j->total == 0;
    if (is_first != (total_bytes != 0))
        return RELAY_JOIN_BROKEN;
    if (total_bytes > JOIN_MAX)
        return RELAY_JOIN_TOO_LARGE;
    if (is_first)
        j->total = total_bytes;
    if (data.len > j->total - j->len)
        return RELAY_JOIN_BROKEN;
    int r = make_room(j, j->len + data.len);
    if (r < 0)
        return r;
    memcpy(j->bytes + j->len, data.ptr, data.len);
    j->len += data.len;
    return j->len == j->total ? RELAY_JOIN_DONE : RELAY_JOIN_MORE;
}

void relay_join_clear(struct relay_join *j)
{
    free(j->bytes);
    *j = (struct relay_join){.bytes = NULL};
}
