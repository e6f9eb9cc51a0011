/* See trunk_zip.h. zstd appears only here. */
#include "trunk_zip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "err.h"

enum {
    ZIP_BYTES_MIN = 64, /* shorter ones, acknowledgements mostly, would win a dozen bytes for a microsecond */
    /* What comes out is judged by at least so many bytes: not all messages that travel together are alike. */
    ZIP_JUDGED_BYTES = 64 * 1024,
    ZIP_USELESS_PERCENT = 97,
    ZIP_SKIP_MIN = 8, /* messages in the clear before the next attempt; doubled each time that it fails */
    ZIP_SKIP_MAX = 64,
    ZIP_SMALL_TABLES_LEVEL = 2, /* and below: zstd's own tables take 256 KB or less */

    UNZIP_ROOM_MIN = 32 * 1024,
    UNZIP_BLOCK_HEADER_BYTES = 3,
};

struct trunk_zip {
    ZSTD_CCtx *cctx; /* NULL before the first message */
    int level;
    unsigned window_log;
    int broken;                  /* negative errno */
    uint64_t judged_in;          /* bytes since the last judgement */
    uint64_t judged_out;         /* what they became */
    unsigned skip_left;          /* messages */
    unsigned skipped_last_round; /* 0: it compresses; else the message now is an attempt */
};

struct trunk_unzip {
    ZSTD_DCtx *dctx; /* NULL before the first part */
    unsigned window_log;
    int broken; /* negative errno */
    size_t max_bytes;
    uint8_t *bytes; /* the last message */
    size_t room;    /* up to max_bytes + 1: the one more shows that it is too long */
};

static int zstd_error(size_t result, int otherwise)
{
    int r = ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation ? -ENOMEM : otherwise;
    return err_set(r, "zstd: %s", ZSTD_getErrorName(result));
}

static int set_parameter(ZSTD_CCtx *cctx, ZSTD_cParameter parameter, int value)
{
    size_t result = ZSTD_CCtx_setParameter(cctx, parameter, value);
    return ZSTD_isError(result) ? zstd_error(result, -EINVAL) : 0;
}

/* The tables of high levels take up to 80 MB, made for files that are larger than their window. One entry, four bytes,
 * for each four bytes of the window is nearly as good (0.128 for 0.125 at level 9). */
static int set_tables(ZSTD_CCtx *cctx, int level, unsigned window_log)
{
    if (level <= ZIP_SMALL_TABLES_LEVEL)
        return 0;
    int r = set_parameter(cctx, ZSTD_c_hashLog, (int)window_log - 2);
    return r < 0 ? r : set_parameter(cctx, ZSTD_c_chainLog, (int)window_log - 2);
}

static int set_parameters(ZSTD_CCtx *cctx, int level, unsigned window_log)
{
    int r = set_parameter(cctx, ZSTD_c_compressionLevel, level);
    if (r == 0)
        r = set_parameter(cctx, ZSTD_c_windowLog, (int)window_log);
    return r < 0 ? r : set_tables(cctx, level, window_log);
}

int trunk_zip_new(int level, unsigned window_log, struct trunk_zip **ret_zip)
{
    if (level < 1 || level > TRUNK_ZIP_LEVEL_MAX)
        return err_set(-EINVAL, "zstd level %d is not between 1 and %d", level, TRUNK_ZIP_LEVEL_MAX);
    if (window_log < TRUNK_ZIP_WINDOW_LOG_MIN || window_log > TRUNK_ZIP_WINDOW_LOG_MAX)
        return err_set(-EINVAL, "zstd window 2^%u is not between 2^%d and 2^%d", window_log, TRUNK_ZIP_WINDOW_LOG_MIN,
                       TRUNK_ZIP_WINDOW_LOG_MAX);
    struct trunk_zip *z = calloc(1, sizeof(*z));
    if (!z)
        return err_set(-ENOMEM, "no memory for a compressor");
    z->level = level;
    z->window_log = window_log;
    *ret_zip = z;
    return 0;
}

struct trunk_zip *trunk_zip_free(struct trunk_zip *z)
{
    if (!z)
        return NULL;
    ZSTD_freeCCtx(z->cctx);
    free(z);
    return NULL;
}

size_t trunk_zip_bound(size_t len)
{
    return ZSTD_compressBound(len);
}

/* When there is a first message: an idle trunk has no tables. */
static int begin_stream(struct trunk_zip *z)
{
    z->cctx = ZSTD_createCCtx();
    if (!z->cctx)
        return err_set(-ENOMEM, "no memory for a compressor");
    return set_parameters(z->cctx, z->level, z->window_log);
}

static int64_t compress(struct trunk_zip *z, const uint8_t *src, size_t len, void *dst)
{
    if (!z->cctx) {
        int r = begin_stream(z);
        if (r < 0)
            return r;
    }
    ZSTD_inBuffer in = {.src = src, .size = len};
    ZSTD_outBuffer out = {.dst = dst, .size = trunk_zip_bound(len)};
    size_t unflushed = ZSTD_compressStream2(z->cctx, &out, &in, ZSTD_e_flush);
    if (ZSTD_isError(unflushed))
        return zstd_error(unflushed, -EIO);
    if (unflushed > 0)
        return err_set(-EIO, "zstd: %zu bytes became longer than they can", len);
    return (int64_t)out.pos;
}

static bool is_useless(uint64_t in, uint64_t out)
{
    return out * 100 > in * ZIP_USELESS_PERCENT;
}

/* What has gone into the stream must be sent, so the only way to know beforehand is by those before. */
static void judge(struct trunk_zip *z, size_t len, int64_t became)
{
    z->judged_in += len;
    z->judged_out += (uint64_t)became;
    bool is_attempt = z->skipped_last_round > 0;
    if (!is_attempt && z->judged_in < ZIP_JUDGED_BYTES)
        return;
    if (!is_useless(z->judged_in, z->judged_out))
        z->skipped_last_round = 0;
    else if (!is_attempt)
        z->skipped_last_round = ZIP_SKIP_MIN;
    else if (z->skipped_last_round < ZIP_SKIP_MAX)
        z->skipped_last_round *= 2;
    z->skip_left = z->skipped_last_round;
    z->judged_in = z->judged_out = 0;
}

int64_t trunk_zip_pack(struct trunk_zip *z, const uint8_t *src, size_t len, uint8_t *dst)
{
    if (z->broken < 0)
        return err_set(z->broken, "zstd: broken by an earlier message");
    if (len < ZIP_BYTES_MIN)
        return 0;
    if (z->skip_left > 0) {
        z->skip_left--;
        return 0;
    }
    int64_t became = compress(z, src, len, dst);
    if (became < 0)
        z->broken = (int)became;
    else
        judge(z, len, became);
    return became;
}

int trunk_unzip_new(unsigned window_log, size_t max_bytes, struct trunk_unzip **ret_unzip)
{
    if (window_log < TRUNK_ZIP_WINDOW_LOG_MIN || window_log > TRUNK_ZIP_WINDOW_LOG_MAX)
        return err_set(-EINVAL, "zstd window 2^%u is not between 2^%d and 2^%d", window_log, TRUNK_ZIP_WINDOW_LOG_MIN,
                       TRUNK_ZIP_WINDOW_LOG_MAX);
    struct trunk_unzip *u = calloc(1, sizeof(*u));
    if (!u)
        return err_set(-ENOMEM, "no memory for a decompressor");
    u->window_log = window_log;
    u->max_bytes = max_bytes;
    *ret_unzip = u;
    return 0;
}

struct trunk_unzip *trunk_unzip_free(struct trunk_unzip *u)
{
    if (!u)
        return NULL;
    ZSTD_freeDCtx(u->dctx);
    free(u->bytes);
    free(u);
    return NULL;
}

static int grow(struct trunk_unzip *u)
{
    size_t room = u->room ? 2 * u->room : UNZIP_ROOM_MIN;
    if (room > u->max_bytes)
        room = u->max_bytes + 1;
    uint8_t *bytes = realloc(u->bytes, room);
    if (!bytes)
        return err_set(-ENOMEM, "no memory for a message of %zu bytes", room);
    u->bytes = bytes;
    u->room = room;
    return 0;
}

/* zstd would also take frames to be skipped, and those of its early versions, for which it keeps no limit of the
 * window: the stream begins with a frame of today. It has no end (see inflate()), so no other frame can follow. */
static int begin_unpacking(struct trunk_unzip *u, const uint8_t *src, size_t len)
{
    static const uint8_t magic[4] = {0x28, 0xB5, 0x2F, 0xFD};
    if (len < sizeof(magic) || memcmp(src, magic, sizeof(magic)) != 0)
        return err_set(-EBADMSG, "zstd: this is not how a stream begins");
    if (!u->bytes) {
        int r = grow(u);
        if (r < 0)
            return r;
    }
    u->dctx = ZSTD_createDCtx();
    if (!u->dctx)
        return err_set(-ENOMEM, "no memory for a decompressor");
    size_t result = ZSTD_DCtx_setParameter(u->dctx, ZSTD_d_windowLogMax, (int)u->window_log);
    return ZSTD_isError(result) ? zstd_error(result, -EINVAL) : 0;
}

/* zstd asks for a block header next, and nothing else, exactly where a flush has ended. */
static int inflate(struct trunk_unzip *u, const uint8_t *src, size_t len, size_t *ret_len)
{
    ZSTD_inBuffer in = {.src = src, .size = len};
    ZSTD_outBuffer out = {.dst = u->bytes, .size = u->room};
    for (;;) {
        size_t wanted = ZSTD_decompressStream(u->dctx, &out, &in);
        if (ZSTD_isError(wanted))
            return zstd_error(wanted, -EBADMSG);
        if (out.pos > u->max_bytes)
            return err_set(-EMSGSIZE, "zstd: %zu bytes become more than %zu", len, u->max_bytes);
        if (wanted == 0)
            return err_set(-EBADMSG, "zstd: the stream ends before the trunk");
        if (out.pos < out.size) {
            *ret_len = out.pos;
            return wanted == UNZIP_BLOCK_HEADER_BYTES ? 0 : err_set(-EBADMSG, "zstd: a part that is not whole");
        }
        int r = grow(u);
        if (r < 0)
            return r;
        out.dst = u->bytes;
        out.size = u->room;
    }
}

int trunk_unzip_unpack(struct trunk_unzip *u, const uint8_t *src, size_t len, const uint8_t **ret, size_t *ret_len)
{
    if (u->broken < 0)
        return err_set(u->broken, "zstd: broken by an earlier part");
    size_t became = 0;
    int r = u->dctx ? 0 : begin_unpacking(u, src, len);
    if (r == 0)
        r = inflate(u, src, len, &became);
    if (r < 0) {
        u->broken = r;
        return r;
    }
    *ret = u->bytes;
    *ret_len = became;
    return 0;
}
