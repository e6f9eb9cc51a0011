/* Well-formed UTF-8 after table 3-7 of the Unicode standard. */
#include "mqtt_utf8.h"

#include "mqtt_swar.h"

/* What a lead byte asks of the bytes behind it. Only the second byte has a range that differs: it rules out overlong
 * forms (E0, F0), surrogates (ED) and what is above U+10FFFF (F4). */
struct sequence {
    size_t len; /* 0: not a lead byte */
    uint8_t second_min, second_max;
};

static struct sequence sequence_of(uint8_t lead)
{
    if (lead < 0xC2)
        return (struct sequence){0}; /* continuation, or the overlong C0 and C1 */
    if (lead < 0xE0)
        return (struct sequence){2, 0x80, 0xBF};
    if (lead < 0xF0)
        return (struct sequence){3, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF};
    if (lead < 0xF5)
        return (struct sequence){4, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF};
    return (struct sequence){0};
}

/* Length of the character of several bytes at TEXT; 0 if it is not well-formed. */
static size_t sequence_check(const uint8_t *text, size_t len)
{
    struct sequence s = sequence_of(text[0]);
    if (s.len == 0 || s.len > len || text[1] < s.second_min || text[1] > s.second_max)
        return 0;
    for (size_t i = 2; i < s.len; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    return s.len;
}

enum mqtt_utf8_result mqtt_utf8_check(const uint8_t *text, size_t len)
{
    size_t i = 0;
    while (i < len) {
        if (len - i >= 8 && !(swar_not_plain(swar_load(text + i)) & SWAR_HIGHS)) {
            i += 8;
        } else if (text[i] == 0) {
            return MQTT_UTF8_NUL;
        } else if (text[i] < 0x80) {
            i++;
        } else {
            size_t n = sequence_check(text + i, len - i);
            if (n == 0)
                return MQTT_UTF8_BAD;
            i += n;
        }
    }
    return MQTT_UTF8_OK;
}
