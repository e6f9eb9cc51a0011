/* See load_telemetry.h. */
#include "load_telemetry.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    MODELS = 3,
    SITES = 20,
};

static uint64_t next_random(struct load_telemetry *t)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return t->random;
}

static double between(struct load_telemetry *t, double low, double high)
{
    return low + (high - low) * (double)(next_random(t) >> 11) * 0x1p-53;
}

void load_telemetry_init(struct load_telemetry *t, uint32_t index)
{
    *t = (struct load_telemetry){.random = UINT64_C(0x9e3779b97f4a7c15) * (index + 1)};
    for (int i = 0; i < 8; i++)
        next_random(t); /* neighbours begin alike */
    t->model = (unsigned)(next_random(t) % MODELS);
    t->site = (unsigned)(next_random(t) % SITES);
    t->clock_ms = UINT64_C(1718031234567) + next_random(t) % 2000;
    t->uptime_ms = next_random(t) % 5000000000;
    t->temperature = between(t, 10, 30);
    t->humidity = between(t, 30, 70);
    t->pressure = between(t, 990, 1030);
    t->battery = between(t, 3.3, 4.1);
    t->vibration = between(t, 0.01, 0.2);
    t->latitude = between(t, 52.3, 52.7);
    t->longitude = between(t, 13.1, 13.8);
    t->altitude = between(t, 30, 120);
    t->rssi = -90 + (int)(next_random(t) % 40);
}

static double drift(struct load_telemetry *t, double value, double by, double low, double high)
{
    value += between(t, -by, by);
    return value < low ? low : value > high ? high : value;
}

static void live_on(struct load_telemetry *t)
{
    t->temperature = drift(t, t->temperature, 0.2, -20, 60);
    t->humidity = drift(t, t->humidity, 0.5, 5, 99);
    t->pressure = drift(t, t->pressure, 0.1, 950, 1050);
    t->battery = drift(t, t->battery, 0.003, 3.1, 4.2);
    t->vibration = drift(t, t->vibration, 0.01, 0, 2);
    t->rssi = (int)drift(t, t->rssi, 2, -99, -30);
}

static const char *status(struct load_telemetry *t)
{
    return next_random(t) % 100 == 0 ? "degraded" : "ok";
}

__attribute__((format(printf, 3, 4))) static void add(char *out, size_t *len, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    *len += (size_t)vsnprintf(out + *len, LOAD_TELEMETRY_MAX + 1 - *len, fmt, args);
    va_end(args);
}

size_t load_telemetry_put(struct load_telemetry *t, char *out, const struct load_wire_stamp *stamp)
{
    uint64_t ms = stamp->sent_ns / 1000000;
    size_t len = 0;

    live_on(t);
    add(out, &len, "{\"device\":\"sensor-%04u\",\"seq\":%u,\"us\":%" PRIu64 ",\"ts\":%" PRIu64, stamp->publisher,
        stamp->number, stamp->sent_ns / 1000, t->clock_ms + ms);
    add(out, &len, ",\"temperature\":%.2f,\"humidity\":%.1f,\"pressure\":%.2f,\"battery\":%.3f,\"rssi\":%d",
        t->temperature, t->humidity, t->pressure, t->battery, t->rssi);
    add(out, &len, ",\"status\":\"%s\",\"firmware\":\"2.%u.1\",\"uptime\":%" PRIu64 ",\"site\":\"berlin-%02u\"",
        status(t), t->model, (t->uptime_ms + ms) / 1000, t->site);
    if (t->model > 0)
        add(out, &len, ",\"location\":{\"latitude\":%.5f,\"longitude\":%.5f,\"altitude\":%.1f}", t->latitude,
            t->longitude, t->altitude);
    if (t->model > 1)
        add(out, &len, ",\"vibration\":[%.3f,%.3f,%.3f],\"alarms\":{\"over_temperature\":%s,\"tamper\":false}",
            t->vibration, between(t, 0, 0.1), between(t, 0.97, 0.99), t->temperature > 40 ? "true" : "false");
    add(out, &len, "}");
    return len;
}

/* TEXT, then a number. */
static bool read_number(const uint8_t **at, const uint8_t *end, const char *text, uint64_t *ret)
{
    size_t len = strlen(text);
    uint64_t number = 0;

    if ((size_t)(end - *at) <= len || memcmp(*at, text, len) != 0)
        return false;
    const uint8_t *first = *at + len, *p = first;
    for (; p < end && *p >= '0' && *p <= '9'; p++)
        number = number * 10 + (uint64_t)(*p - '0');
    *at = p;
    *ret = number;
    return p > first && p < end;
}

bool load_telemetry_read_stamp(const uint8_t *payload, size_t len, struct load_wire_stamp *ret)
{
    const uint8_t *at = payload, *end = payload + len;
    uint64_t publisher, number, us;

    if (!read_number(&at, end, "{\"device\":\"sensor-", &publisher) || !read_number(&at, end, "\",\"seq\":", &number) ||
        !read_number(&at, end, ",\"us\":", &us))
        return false;
    *ret = (struct load_wire_stamp){.publisher = (uint32_t)publisher, .number = (uint32_t)number, .sent_ns = us * 1000};
    return true;
}
