/* See base64.h. */
#include "base64.h"

#include <openssl/evp.h>

char *base64_encode(enum base64_form form, const void *bytes, size_t n, char *dst)
{
    size_t len = (size_t)EVP_EncodeBlock((unsigned char *)dst, bytes, (int)n);
    while (form != BASE64_PADDED && len > 0 && dst[len - 1] == '=')
        dst[--len] = '\0';
    return dst;
}

static int base64_digit(enum base64_form form, char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (form == BASE64_URL ? '-' : '+'))
        return 62;
    return c == (form == BASE64_URL ? '_' : '/') ? 63 : -1;
}

/* Length without a padding that is right; SIZE_MAX: it is not. */
static size_t base64_strip(enum base64_form form, const char *text, size_t len)
{
    size_t n_padding = 0;
    while (n_padding < 2 && n_padding < len && text[len - 1 - n_padding] == '=')
        n_padding++;
    const bool is_whole = len % 4 == 0;
    if (n_padding > 0 && (!is_whole || form == BASE64_URL))
        return SIZE_MAX;
    if (form == BASE64_PADDED && !is_whole)
        return SIZE_MAX;
    return len - n_padding;
}

bool base64_decode(enum base64_form form, const char *text, size_t len, void *dst, size_t size, size_t *ret_len)
{
    uint8_t *to = dst;
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;
    const size_t n_digits = base64_strip(form, text, len);
    if (n_digits == SIZE_MAX || n_digits % 4 == 1 || n_digits / 4 * 3 + (n_digits % 4) * 3 / 4 > size)
        return false;
    for (size_t i = 0; i < n_digits; i++) {
        const int digit = base64_digit(form, text[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            to[n++] = (uint8_t)(bits >> n_bits);
        }
    }
    if (bits & ((1U << n_bits) - 1))
        return false;
    *ret_len = n;
    return true;
}
