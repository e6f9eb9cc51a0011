/* See lane_join.h. */
#include "lane_join.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    JOIN_FIRST_ROOM = 64 * 1024,
    JOIN_MAX = MQTT_PACKET_MAX * 2, /* a frame may be longer than its packet: lists grow in protobuf */
};

static int make_room(struct lane_join *j, uint32_t len)
{
    if (len <= j->room)
        return 0;
    uint32_t room = j->room ? j->room * 2 : JOIN_FIRST_ROOM;
    room = room < len ? len : room;
    room = room > j->total ? j->total : room;
    uint8_t *bytes = realloc(j->bytes, room);
    if (!bytes)
        return -ENOMEM;
    j->bytes = bytes;
    j->room = room;
    return 0;
}

int lane_join_add(struct lane_join *j, uint32_t total_bytes, struct mqtt_bytes data)
{
    bool is_first = j->total == 0;
    if (is_first != (total_bytes != 0))
        return LANE_JOIN_BROKEN;
    if (total_bytes > JOIN_MAX)
        return LANE_JOIN_TOO_LARGE;
    if (is_first)
        j->total = total_bytes;
    if (data.len > j->total - j->len)
        return LANE_JOIN_BROKEN;
    int r = make_room(j, j->len + data.len);
    if (r < 0)
        return r;
    memcpy(j->bytes + j->len, data.ptr, data.len);
    j->len += data.len;
    return j->len == j->total ? LANE_JOIN_DONE : LANE_JOIN_MORE;
}

void lane_join_clear(struct lane_join *j)
{
    free(j->bytes);
    *j = (struct lane_join){.bytes = NULL};
}
