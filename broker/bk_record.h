/* The broker's records in the store, as bytes. Version 1 (BK_RECORD_FORMAT); numbers are big-endian, `varint` has 7
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
 *   'r' topic, or 'R' SHA-256    message                                  retained; 'R' where the topic is too long
 *   'm' loop u16 number u64      { message, n u32 { session u64, number u64, flags u8, n varint, identifier varint... }
 * } a segment; flags: QoS, 4 = RETAIN message                      flags u8 (QoS, 4 = RETAIN) | expires u64 | topic
 * bytes | properties bytes | payload bytes
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

enum { BK_RECORD_FORMAT = 1, BK_RECORD_BAD = 1 };
enum { BK_FLAG_RETAIN = 4 }; /* in flags, beside the QoS */

enum bk_record_kind {
    BK_RECORD_SESSION = 's',
    BK_RECORD_SUBSCRIPTION = 'u',
    BK_RECORD_WINDOW = 'w',
    BK_RECORD_INBOUND = 'i',
    BK_RECORD_RETAINED = 'r',
    BK_RECORD_RETAINED_LONG = 'R',
    BK_RECORD_SEGMENT = 'm',
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

/* --- Reading: 0 or BK_RECORD_BAD. */
int bk_get_u64(struct cursor *c, uint64_t *ret_value);
int bk_get_varint(struct cursor *c, uint64_t *ret_value);
int bk_get_bytes(struct cursor *c, struct mqtt_bytes *ret_bytes);
/* One reference; -ENOMEM besides. What has expired meanwhile comes with a time that is over. */
int bk_get_message(struct cursor *c, uint64_t now_ms, uint64_t wall_ms, struct bk_message **ret_message);

/* --- Keys */
enum { BK_KEY_MAX = 511 };
struct bk_key {
    uint8_t bytes[BK_KEY_MAX];
    size_t len;
};
struct bk_key bk_key_of_session(enum bk_record_kind kind, uint64_t session);
struct bk_key bk_key_of_subscription(uint64_t session, uint32_t serial);
struct bk_key bk_key_of_inbound(uint64_t session, uint16_t id);
struct bk_key bk_key_of_topic(struct mqtt_bytes topic);
struct bk_key bk_key_of_segment(uint16_t loop, uint64_t number);

#endif
