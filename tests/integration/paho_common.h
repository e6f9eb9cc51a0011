/* What the two Paho C programs share: the messages they publish to themselves and how they print what arrives. Each
 * links one of Paho's libraries; both in one program would share their globals. */
#ifndef PAHO_COMMON_H
#define PAHO_COMMON_H

#include <MQTTProperties.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 40000, BIG_LEN = 300000, MESSAGES = 4 };

struct sample {
    int qos;
    int len;
};

/* one of each QoS, and one that needs many reads */
static const struct sample samples[MESSAGES] = {{0, 5}, {1, 0}, {2, 300}, {1, BIG_LEN}};
static char big[BIG_LEN];

static inline void check(const char *what, int rc)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s: %d\n", what, rc);
    exit(1);
}

static inline void print_message(const char *topic, int qos, int retained, const char *payload, int len)
{
    unsigned sum = 0;

    for (int i = 0; i < len; i++)
        sum = sum * 31 + (unsigned char)payload[i];
    printf("%s qos %d retained %d, %d bytes, sum %08x\n", topic, qos, retained, len, sum);
}

static inline void print_properties(const MQTTProperties *properties)
{
    for (int i = 0; i < properties->count; i++)
        if (properties->array[i].identifier == MQTTPROPERTY_CODE_USER_PROPERTY)
            printf("    %.*s = %.*s\n", properties->array[i].value.data.len, properties->array[i].value.data.data,
                   properties->array[i].value.value.len, properties->array[i].value.value.data);
}

static inline void add_user_property(MQTTProperties *properties, const char *name, const char *value)
{
    MQTTProperty p = {.identifier = MQTTPROPERTY_CODE_USER_PROPERTY};

    p.value.data = (MQTTLenString){(int)strlen(name), (char *)name};
    p.value.value = (MQTTLenString){(int)strlen(value), (char *)value};
    check("property", MQTTProperties_add(properties, &p));
}

struct paho_arguments {
    char uri[128];
    int version;
    const char *topic;
};

static inline void parse_arguments(int argc, char **argv, struct paho_arguments *ret_arguments)
{
    if (argc != 5) {
        fprintf(stderr, "usage: %s HOST PORT VERSION TOPIC, VERSION 3 (MQTT 3.1), 4 (3.1.1) or 5\n", argv[0]);
        exit(2);
    }
    for (int i = 0; i < BIG_LEN; i++)
        big[i] = (char)i;
    snprintf(ret_arguments->uri, sizeof(ret_arguments->uri), "tcp://%s:%s", argv[1], argv[2]);
    ret_arguments->version = atoi(argv[3]);
    ret_arguments->topic = argv[4];
}

#endif
