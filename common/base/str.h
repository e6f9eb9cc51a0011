/* Text of people into numbers, and bytes into text that is safe to show. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "10k", "16M", "2G", "1234": powers of 1024. 0 or -EINVAL/-ERANGE with err_text(). */
int str_parse_size(const char *text, uint64_t *ret_bytes);
/* "500ms", "3s", "10m", "1h"; "0". A number without unit is refused (only 0 may stand alone). */
int str_parse_duration(const char *text, uint64_t *ret_ms);
/* Decimal, MIN..MAX. */
int str_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret_value);
/* true/false, yes/no, on/off, 1/0. */
int str_parse_bool(const char *text, bool *ret_value);
/* Bytes of a stranger for a log line: printable UTF-8 stays, everything else becomes \xNN, quotes and backslashes too
 * (so that it may stand between quotes); cut to fit with "...". Always ends with NUL. Returns DST. */
char *str_quote(char *dst, size_t dst_size, const void *bytes, size_t n);
/* Length of the UTF-8 character at BYTES (N >= 1 bytes), its code point in *RET_CODE; 0 if it is none (RFC 3629:
 * shortest form, no surrogates, up to U+10FFFF). */
size_t str_utf8_next(const uint8_t *bytes, size_t n, uint32_t *ret_code);
/* Whether a character may stand in a line that people read: no control, no invisible or direction mark. */
bool str_is_printable(uint32_t code);
/* Lower-case hex, 2*N + 1 bytes. */
char *str_hex(char *dst, const void *bytes, size_t n);

#endif
