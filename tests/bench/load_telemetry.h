/* What a device in the field would say of itself: JSON of 200 to 400 bytes, with numbers that drift from message to
 * message. The stamp of the generator is among the first fields, so that it can be found again. */
#ifndef LOAD_TELEMETRY_H
#define LOAD_TELEMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load_wire.h"

enum {
    LOAD_TELEMETRY_MIN = 200, /* bytes of a payload */
    LOAD_TELEMETRY_MAX = 400,
    LOAD_TELEMETRY_STAMP_MAX = 80, /* so far from the start the stamp may reach */
};

struct load_telemetry {
    uint64_t random; /* state */
    unsigned model;  /* which fields it has */
    unsigned site;
    uint64_t clock_ms, uptime_ms; /* the device's, minus ours */
    double temperature, humidity, pressure, battery, vibration;
    double latitude, longitude, altitude;
    int rssi;
};

/* Devices differ, but number INDEX is the same in each run. */
void load_telemetry_init(struct load_telemetry *t, uint32_t index);
/* The next message; OUT has room for LOAD_TELEMETRY_MAX bytes, and one for NUL. Returns its length. */
size_t load_telemetry_put(struct load_telemetry *t, char *out, const struct load_wire_stamp *stamp);
/* sent_ns comes back in whole microseconds. False: this is no telemetry. */
bool load_telemetry_read_stamp(const uint8_t *payload, size_t len, struct load_wire_stamp *ret);

#endif
