/* Strings of MQTT (MQTT 5.0 section 1.5.4): well-formed UTF-8 without U+0000. U+FEFF is a character like any other and
 * stays. Control characters and non-characters "SHOULD NOT" be sent; they are passed on, as brokers do. */
#ifndef MQTT_UTF8_H
#define MQTT_UTF8_H

#include <stddef.h>
#include <stdint.h>

enum mqtt_utf8_result {
    MQTT_UTF8_OK = 0,
    MQTT_UTF8_BAD, /* surrogate, overlong, above U+10FFFF, cut, stray byte: MQTT-1.5.4-1 */
    MQTT_UTF8_NUL, /* holds U+0000: MQTT-1.5.4-2 */
};

/* The first thing wrong from the front decides. Eight bytes at a time while they are ASCII. */
enum mqtt_utf8_result mqtt_utf8_check(const uint8_t *text, size_t len);

#endif
