/* Base64 (RFC 4648), strictly: no blanks, no bits left over. For hashes and keys in text; tokens use the other
 * alphabet. Pure. */
#ifndef AUTH_BASE64_H
#define AUTH_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters for N bytes, with padding and without NUL. */
#define BASE64_LEN(n) (((n) + 2) / 3 * 4)

enum base64_form {
    BASE64_PADDED,   /* "+/", the padding must be there: SCRAM */
    BASE64_UNPADDED, /* "+/", the padding may be there: hashes of passwords */
    BASE64_URL,      /* "-_", no padding: tokens */
};

/* N bytes as text with padding (PADDED) or without (UNPADDED), and a NUL. Returns DST. */
char *base64_encode(enum base64_form form, const void *bytes, size_t n, char *dst);
/* LEN characters into at most SIZE bytes. False: not base64 of this form, or more than SIZE bytes. */
bool base64_decode(enum base64_form form, const char *text, size_t len, void *dst, size_t size, size_t *ret_len);

#endif
