/* A segment (bk_record.h) without the messages that nobody needs any more. No I/O, no state. */
#ifndef BK_COMPACT_H
#define BK_COMPACT_H

#include <stdbool.h>
#include <stdint.h>

#include "mqtt_packet.h"

struct bk_writer;

/* Whether delivery NUMBER of SESSION is due and its message is here. */
typedef bool bk_compact_is_due_fn(void *arg, uint64_t session, uint64_t number);

/* What of SEGMENT is due to anybody goes behind what OUT has, whole messages with all their targets. *RET_N: how many
 * that are. 0, or BK_RECORD_BAD: it is no segment. */
int bk_compact(struct mqtt_bytes segment, bk_compact_is_due_fn *is_due, void *arg, struct bk_writer *out,
               uint32_t *ret_n);

#endif
