/* Who has had a QoS 2 message whose exchange the end of the process has cut: if its receivers are at several workers
 * some of them may have it in the store and others not (bk_journal.h). When it comes again those that have it are
 * passed over.
 *
 * Marks are bytes (bk_record.h, the value of 'i'): sessions by number, shared subscriptions by their text. */
#ifndef BK_MARKS_H
#define BK_MARKS_H

#include <stdbool.h>
#include <stdint.h>

#include "mqtt_packet.h"

struct bk_session;
struct bk_writer;

void bk_marks_put_session(struct bk_writer *marks, uint64_t number);
void bk_marks_put_share(struct bk_writer *marks, struct mqtt_bytes text);

/* False too for what is no mark. */
bool bk_marks_has_session(struct mqtt_bytes marks, uint64_t number);
bool bk_marks_has_share(struct mqtt_bytes marks, struct mqtt_bytes text);
/* Whether all of it can be read. */
bool bk_marks_is_good(struct mqtt_bytes marks);

/* --- Of the exchanges of one session, after a restart. */

/* MARKS (copied) belong to exchange ID of S, perhaps besides others. 0 or -ENOMEM. */
int bk_marks_keep(struct bk_session *s, uint16_t id, struct mqtt_bytes marks);
/* Nothing where there are none. They last until they are dropped. */
struct mqtt_bytes bk_marks_find(const struct bk_session *s, uint16_t id);
/* Exchange ID has begun again. */
void bk_marks_drop(struct bk_session *s, uint16_t id);
void bk_marks_drop_all(struct bk_session *s);

#endif
