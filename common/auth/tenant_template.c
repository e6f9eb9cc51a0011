/* See tenant_template.h. */
#include "tenant_template.h"

#include <errno.h>
#include <string.h>

#include "err.h"
#include "mqtt_utf8.h"
#include "str.h"

/* One piece of a template: a byte, or a value. */
struct piece {
    bool is_value;
    uint8_t byte;
    enum tenant_value value;
};

enum { PIECE_BAD = -1 };

/* Takes the piece at the front. Its length; 0 at the end; PIECE_BAD. */
static int next_piece(const char *text, struct piece *ret)
{
    static const char letters[TENANT_VALUES] = {'u', 'c', 'n'};
    *ret = (struct piece){.byte = (uint8_t)*text};
    if (*text != '%')
        return *text != '\0';
    if (text[1] == '%')
        return 2;
    ret->is_value = true;
    for (ret->value = 0; ret->value < TENANT_VALUES; ret->value++)
        if (text[1] == letters[ret->value])
            return 2;
    return PIECE_BAD;
}

/* The character behind a value, with which it ends. */
static struct mqtt_bytes end_of_value(const char *rest)
{
    uint32_t code;
    const uint8_t *bytes = (const uint8_t *)(*rest ? rest : "/"); /* "%%" is a percent sign: no value follows another */
    return (struct mqtt_bytes){bytes, (uint32_t)str_utf8_next(bytes, strlen((const char *)bytes), &code)};
}

static int check_value_ends(const char *text, const char *rest, bool is_path)
{
    struct piece next;
    if (*rest == '\0' && !is_path)
        return err_set(-EINVAL, "\"%.80s\": a character has to follow that ends the value: %.2s-", text, rest - 2);
    if (next_piece(rest, &next) > 0 && next.is_value)
        return err_set(-EINVAL, "\"%.80s\": a character has to stand between two values", text);
    return 0;
}

int tenant_template_check(const char *text, bool is_path)
{
    struct piece piece;
    int n, r = 0;
    if (*text == '\0')
        return err_set(-EINVAL, "nothing is given");
    if (strlen(text) > MQTT_STRING_MAX || mqtt_utf8_check((const uint8_t *)text, strlen(text)) != MQTT_UTF8_OK)
        return err_set(-EINVAL, "not a text of UTF-8, or too long");
    for (const char *at = text; r == 0 && (n = next_piece(at, &piece)) != 0; at += n) {
        if (n == PIECE_BAD)
            return err_set(-EINVAL, "\"%.80s\": %.2s is none of %%u, %%c, %%n, %%%%", text, at);
        if (piece.is_value)
            r = check_value_ends(text, at + n, is_path);
    }
    return r;
}

static bool is_good_value(struct mqtt_bytes value, struct mqtt_bytes end)
{
    if (value.len == 0 || mqtt_utf8_check(value.ptr, value.len) != MQTT_UTF8_OK)
        return false;
    return !memchr(value.ptr, '/', value.len) && !memchr(value.ptr, '+', value.len) &&
           !memchr(value.ptr, '#', value.len) && !memmem(value.ptr, value.len, end.ptr, end.len);
}

int tenant_template_fill(const char *text, const struct tenant_values *values, uint8_t *dst, size_t *ret_len)
{
    struct piece piece;
    size_t len = 0;
    int n;
    for (const char *at = text; (n = next_piece(at, &piece)) > 0; at += n) {
        struct mqtt_bytes bytes = {&piece.byte, 1};
        if (piece.is_value) {
            bytes = values->of[piece.value];
            if (!is_good_value(bytes, end_of_value(at + n)))
                return TENANT_TEMPLATE_BAD + (int)piece.value;
        }
        if (bytes.len > MQTT_STRING_MAX - len)
            return TENANT_TEMPLATE_LONG;
        if (dst)
            memcpy(dst + len, bytes.ptr, bytes.len);
        len += bytes.len;
    }
    *ret_len = len;
    return 0;
}
