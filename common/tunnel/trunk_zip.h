/* Compression of a trunk's direction: one zstd stream, flushed per message, so that similar messages of different
 * clients compress against each other (proto/mqtt_trunk.proto section 8, RFC 8878). One thread.
 *
 * Memory, with W = 2^window_log bytes. Before the first message there is none but the struct; then the windows become
 * resident as they fill, and nothing is allocated per message.
 *   zip     W + 1 MB at levels 1 and 2, above at most 3.1 W + 1.6 MB
 *   unzip   W + 0.5 MB, and twice the longest message that has come (at least 32 KB, at most max_bytes) */
#ifndef TRUNK_ZIP_H
#define TRUNK_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trunk_zip;
struct trunk_unzip;

enum {
    TRUNK_ZIP_WINDOW_LOG_MIN = 10,
    TRUNK_ZIP_WINDOW_LOG_MAX = 27,
    TRUNK_ZIP_WINDOW_LOG_DEFAULT = 20, /* saves 20-45 % over 17 */
    TRUNK_ZIP_LEVEL_MAX = 19,          /* above it memory and time are out of proportion */
    /* JSON telemetry of 500 devices, 25 messages of 289 bytes at a time: 1.5 us and 42 bytes for each at level 2; 1.4
     * and 47 at 1, 2.5 and 47 at 3, 4.9 and 45 at 5, 7 and 37 at 9. Levels 3 to 5 look for short matches close by,
     * which is not where telemetry repeats itself. */
    TRUNK_ZIP_LEVEL_DEFAULT = 2,
};

/* LEVEL as zstd's, from 1. 0 or -ENOMEM / -EINVAL with err_text(). */
int trunk_zip_new(int level, unsigned window_log, struct trunk_zip **ret_zip);
struct trunk_zip *trunk_zip_free(struct trunk_zip *z);
/* The most that LEN bytes become. */
size_t trunk_zip_bound(size_t len);
/* SRC -> DST, which has room for trunk_zip_bound(len); flushed. Returns how long it became, or 0: send this message in
 * the clear (it is expected not to compress: recent ones did not; one in a while is tried anyway, so that a change is
 * noticed; nothing of it went into the stream). Negative errno: the stream is broken, send everything in the clear from
 * here on. */
int64_t trunk_zip_pack(struct trunk_zip *z, const uint8_t *src, size_t len, uint8_t *dst);

/* WINDOW_LOG: larger ones are refused. MAX_BYTES: what one message may become. */
int trunk_unzip_new(unsigned window_log, size_t max_bytes, struct trunk_unzip **ret_unzip);
struct trunk_unzip *trunk_unzip_free(struct trunk_unzip *u);
/* The next part of the stream. *RET points into memory of U, valid until the next call. 0; -EMSGSIZE: larger than
 * max_bytes (a bomb); -EBADMSG: not what zstd makes, a window too large, or a part that does not end at a flush;
 * -ENOMEM. With err_text(). */
int trunk_unzip_unpack(struct trunk_unzip *u, const uint8_t *src, size_t len, const uint8_t **ret, size_t *ret_len);

#endif
