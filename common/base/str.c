/* See str.h. */
#include "str.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "err.h"

/* Digits at the start of TEXT. 0, -EINVAL (no digit) or -ERANGE. */
static int str_parse_digits(const char *text, uint64_t *ret_value, const char **ret_rest)
{
    uint64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        const uint64_t digit = (uint64_t)(*at - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return err_set(-ERANGE, "\"%s\" is too large", text);
        value = value * 10 + digit;
    }
    if (at == text)
        return err_set(-EINVAL, "\"%s\" is not a number", text);
    *ret_value = value;
    *ret_rest = at;
    return 0;
}

struct str_unit {
    const char *name;
    uint64_t factor;
};

static const struct str_unit *str_find_unit(const struct str_unit *units, const char *name)
{
    for (const struct str_unit *unit = units; unit->name; unit++) {
        if (strcmp(unit->name, name) == 0)
            return unit;
    }
    return NULL;
}

static int str_scale(const char *text, uint64_t value, uint64_t factor, uint64_t *ret_value)
{
    if (value > UINT64_MAX / factor)
        return err_set(-ERANGE, "\"%s\" is too large", text);
    *ret_value = value * factor;
    return 0;
}

int str_parse_size(const char *text, uint64_t *ret_bytes)
{
    static const struct str_unit units[] = {{"", 1},        {"k", 1 << 10}, {"K", 1 << 10},
                                            {"M", 1 << 20}, {"G", 1 << 30}, {NULL, 0}};
    uint64_t value;
    const char *rest;
    int r = str_parse_digits(text, &value, &rest);
    if (r < 0)
        return r;
    const struct str_unit *unit = str_find_unit(units, rest);
    if (!unit)
        return err_set(-EINVAL, "\"%s\" is not a size (a number with k, M, G or nothing behind it)", text);
    return str_scale(text, value, unit->factor, ret_bytes);
}

int str_parse_duration(const char *text, uint64_t *ret_ms)
{
    static const struct str_unit units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {NULL, 0}};
    uint64_t value;
    const char *rest;
    int r = str_parse_digits(text, &value, &rest);
    if (r < 0)
        return r;
    if (value == 0 && *rest == '\0')
        return str_scale(text, 0, 1, ret_ms);
    if (*rest == '\0')
        return err_set(-EINVAL, "\"%s\" has no unit (ms, s, m, h)", text);
    const struct str_unit *unit = str_find_unit(units, rest);
    if (!unit)
        return err_set(-EINVAL, "\"%s\" is not a duration (a number with ms, s, m or h behind it)", text);
    return str_scale(text, value, unit->factor, ret_ms);
}

int str_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret_value)
{
    const bool is_negative = *text == '-';
    uint64_t value;
    const char *rest;
    int r = str_parse_digits(text + is_negative, &value, &rest);
    if (r == -EINVAL || (r == 0 && *rest != '\0'))
        return err_set(-EINVAL, "\"%s\" is not a whole number", text);
    const bool fits = r == 0 && value <= (uint64_t)INT64_MAX;
    const int64_t signed_value = !fits ? 0 : is_negative ? -(int64_t)value : (int64_t)value;
    if (!fits || signed_value < min || signed_value > max)
        return err_set(-ERANGE, "%s is outside %lld..%lld", text, (long long)min, (long long)max);
    *ret_value = signed_value;
    return 0;
}

int str_parse_bool(const char *text, bool *ret_value)
{
    static const char *const names[][2] = {{"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (int value = 0; value < 2; value++) {
            if (strcasecmp(text, names[i][value]) == 0) {
                *ret_value = value;
                return 0;
            }
        }
    }
    return err_set(-EINVAL, "\"%s\" is neither true nor false", text);
}

size_t str_utf8_next(const uint8_t *bytes, size_t n, uint32_t *ret_code)
{
    static const struct {
        uint8_t mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t len = 1; len <= 4 && len <= n; len++) {
        if ((bytes[0] & forms[len - 1].mask) != forms[len - 1].lead)
            continue;
        uint32_t code = bytes[0] & (uint8_t)~forms[len - 1].mask;
        for (size_t i = 1; i < len; i++) {
            if ((bytes[i] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | (bytes[i] & 0x3f);
        }
        if (code < forms[len - 1].least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
            return 0;
        *ret_code = code;
        return len;
    }
    return 0;
}

/* Control characters could drive a terminal; invisible and direction marks make a line read as another one. */
bool str_is_printable(uint32_t code)
{
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f))
        return false;
    if ((code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f))
        return false;
    return code != 0xad && code != 0x61c && code != 0xfeff && (code & 0xfffe) != 0xfffe &&
           !(code >= 0xfdd0 && code <= 0xfdef) && !(code >= 0xfff9 && code <= 0xfffb);
}

/* Quotes and backslashes of the stranger could be taken for ours. */
static bool str_may_stand_in_quotes(uint32_t code)
{
    return str_is_printable(code) && code != '\'' && code != '"' && code != '\\';
}

/* What stands for the bytes at AT, in PIECE of at least 5 bytes; *RET_TAKEN is how many bytes it stands for. */
static size_t str_quote_piece(char *piece, const uint8_t *at, size_t n, size_t *ret_taken)
{
    uint32_t code;
    size_t len = str_utf8_next(at, n, &code);
    if (len > 0 && str_may_stand_in_quotes(code)) {
        memcpy(piece, at, len);
        *ret_taken = len;
        return len;
    }
    piece[0] = '\\';
    piece[1] = 'x';
    str_hex(piece + 2, at, 1);
    *ret_taken = 1;
    return 4;
}

char *str_quote(char *dst, size_t dst_size, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    size_t used = 0, keep = 0; /* KEEP: as far as there is room for "..." behind it */
    if (dst_size == 0)
        return dst;
    while (n > 0) {
        char piece[8];
        size_t taken, len = str_quote_piece(piece, at, n, &taken);
        if (used + len >= dst_size) {
            const size_t dots = dst_size - 1 - keep < 3 ? dst_size - 1 - keep : 3;
            memcpy(dst + keep, "...", dots);
            used = keep + dots;
            break;
        }
        memcpy(dst + used, piece, len);
        used += len;
        if (used + 3 < dst_size)
            keep = used;
        at += taken;
        n -= taken;
    }
    dst[used] = '\0';
    return dst;
}

char *str_hex(char *dst, const void *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *at = bytes;
    for (size_t i = 0; i < n; i++) {
        dst[2 * i] = digits[at[i] >> 4];
        dst[2 * i + 1] = digits[at[i] & 15];
    }
    dst[2 * n] = '\0';
    return dst;
}
