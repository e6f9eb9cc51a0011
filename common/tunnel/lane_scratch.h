/* Memory for frame_to_packet(), in which lists of a packet are rebuilt. */
#ifndef LANE_SCRATCH_H
#define LANE_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lane_scratch {
    uint8_t *bytes;
    size_t size;
};

/* At least SIZE bytes; false when memory is short. A small one is kept per thread, so most packets cost no allocation.
 */
bool lane_scratch_take(struct lane_scratch *s, size_t size);
/* Empty afterwards. */
void lane_scratch_give_back(struct lane_scratch *s);

#endif
