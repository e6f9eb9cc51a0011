/* The broker's records in the store, as bytes. Version 2 (BK_RECORD_FORMAT); numbers are big-endian, `varint` has 7
 * bits in each byte, lowest first; `bytes` are a varint length and so many bytes; times are wall-clock milliseconds
 * since 1970, 0 = never.
 *
 *   key                          value
 *   's' session u64              client id bytes | expiry u32 s | expires u64 | Will u8 0 or 1
 *                                [ message | delay u32 s | has expiry u8 | expiry u32 s | due u64 ]
 *   'u' session u64 serial u32   filter bytes ("$share/..." too) | options u32 (bk_route.h) | identifier u32
 *   'w' session u64              next u64 | last packet id u16 | n varint { number u64, packet id u16, state u8 }
 *                                | n varint { packet id u16 }             open exchanges; inbound QoS 2 ids
 *   'i' session u64 packet id u16  u8 0                               as an inbound id of 'w'; written by the worker
 *                                                                     that got the message, with it
 *   'i' session u64 packet id u16 number u64                          who has had the message while its exchange is
 *                                { 0 u8 session u64 | 1 u8 text bytes }  not known for good: sessions, "$share/..."
 *   'r' topic, or 'R' SHA-256    message                                  retained; 'R' where the topic is too long
 *   'q' number u64 loop u16      a segment: { message, n u32 { session u64, number u64, flags u8, n varint,
 *                                identifier varint... [ text bytes ] } }; flags: QoS, 4 = RETAIN, 8 = shared:
 * "$share/..." message                      flags u8 (QoS, 4 = RETAIN) | expires u64 | topic bytes | properties bytes |
 * payload bytes
 *
 * Version 1 had neither marks nor flag 8, and segments as 'm' loop u16 number u64.
 *
 * Whatever does not read as this is an error, never a guess. No function here knows a session or a store. */
#ifndef BK_RECORD_H
#define BK_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cursor.h"
#include "mqtt_packet.h"

struct bk_message;

enum { BK_RECORD_FORMAT = 2, BK_RECORD_BAD = 1 };
enum { BK_FLAG_RETAIN = 4, BK_FLAG_SHARED = 8 }; /* in flags, beside the QoS */

enum bk_record_kind {
    BK_RECORD_SESSION = 's',
    BK_RECORD_SUBSCRIPTION = 'u',
    BK_RECORD_WINDOW = 'w',
    BK_RECORD_INBOUND = 'i',
    BK_RECORD_RETAINED = 'r',
    BK_RECORD_RETAINED_LONG = 'R',
    BK_RECORD_SEGMENT = 'q',
    BK_RECORD_SEGMENT_1 = 'm', /* of version 1 */
};

/* --- Writing: a growing run of bytes. What fails for memory is said once, at the end. */
struct bk_writer {
    uint8_t *bytes; /* owned by the user: free() */
    size_t len, cap;
    bool has_failed;
};

void bk_put_u8(struct bk_writer *w, uint8_t value);
void bk_put_u16(struct bk_writer *w, uint16_t value);
void bk_put_u32(struct bk_writer *w, uint32_t value);
void bk_put_u64(struct bk_writer *w, uint64_t value);
void bk_put_varint(struct bk_writer *w, uint64_t value);
void bk_put_bytes(struct bk_writer *w, const void *bytes, size_t len);
/* Without a length before them. */
void bk_put_raw(struct bk_writer *w, const void *bytes, size_t len);
/* NOW_MS and WALL_MS are the same moment, in loop_now_ms() and as wall-clock time. */
void bk_put_message(struct bk_writer *w, const struct bk_message *m, uint64_t now_ms, uint64_t wall_ms);
/* N bytes at OFFSET are these. */
void bk_set_u32(struct bk_writer *w, size_t offset, uint32_t value);
void bk_set_u8(struct bk_writer *w, size_t offset, uint8_t value);

/* --- Reading: 0 or BK_RECORD_BAD. */
int bk_get_u64(struct cursor *c, uint64_t *ret_value);
int bk_get_varint(struct cursor *c, uint64_t *ret_value);
int bk_get_bytes(struct cursor *c, struct mqtt_bytes *ret_bytes);
/* One reference; -ENOMEM besides. What has expired meanwhile comes with a time that is over. */
int bk_get_message(struct cursor *c, uint64_t now_ms, uint64_t wall_ms, struct bk_message **ret_message);
/* Past a message of a segment, and past a target behind it: whose it is. */
int bk_skip_message(struct cursor *c);
int bk_skip_target(struct cursor *c, uint64_t *ret_session, uint64_t *ret_number);

/* --- Keys */
enum { BK_KEY_MAX = 511 };
struct bk_key {
    uint8_t bytes[BK_KEY_MAX];
    size_t len;
};
struct bk_key bk_key_of_session(enum bk_record_kind kind, uint64_t session);
struct bk_key bk_key_of_subscription(uint64_t session, uint32_t serial);
struct bk_key bk_key_of_inbound(uint64_t session, uint16_t id);
/* NUMBER is new with each. */
struct bk_key bk_key_of_marks(uint64_t session, uint16_t id, uint64_t number);
/* The end of all keys that begin with KEY, which is none of retained messages. */
struct bk_key bk_key_behind(const struct bk_key *key);
struct bk_key bk_key_of_topic(struct mqtt_bytes topic);
/* Of two segments with deliveries to one session the later one has the higher NUMBER, whichever loops wrote them. */
struct bk_key bk_key_of_segment(uint64_t number, uint16_t loop);
/* A segment of version 1, by its key. False: it is none. */
bool bk_key_of_segment_1(const void *old, size_t old_len, struct bk_key *ret_key);

#endif
