#include "scripted_broker.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop_support.h"
#include "mqtt_decode.h"
#include "mqtt_encode.h"
#include "mqtt_link.h"
#include "socket_support.h"

enum { TURNS = 5 };

static struct loop *turned;
static int listening = -1, connection = -1;
static struct mqtt_decoder decoder;
static uint8_t received[4096];
static size_t n_received;
static struct mqtt_packet *got; /* the last packet */
static uint8_t version;

struct url scripted_listen(struct loop *loop)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    turned = loop;
    listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listening, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(listen(listening, 4), 0);
    ck_assert_int_eq(getsockname(listening, (struct sockaddr *)&address, &size), 0);
    return (struct url){.scheme = "mqtt", .host = "127.0.0.1", .port = ntohs(address.sin_port), .has_port = true};
}

void scripted_deafen(void)
{
    if (listening >= 0)
        close(listening);
    listening = -1;
}

void scripted_hang_up(void)
{
    if (connection >= 0)
        close(connection);
    connection = -1;
}

void scripted_close(void)
{
    scripted_deafen();
    scripted_hang_up();
    free(got);
    got = NULL;
}

/* --- Reading */

static bool can_accept(void *arg)
{
    connection = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return connection >= 0;
}

static bool has_packet(void *arg)
{
    struct mqtt_packet packet;
    const long n = socket_support_read(connection, received + n_received, sizeof received - n_received);
    n_received += n > 0 ? (size_t)n : 0;
    struct cursor c = cursor_make(received, n_received);
    const int r = mqtt_decoder_feed(&decoder, &c, &packet);
    ck_assert_int_le(r, MQTT_DECODE_MORE);
    if (r != MQTT_DECODE_OK)
        return false;
    free(got);
    got = mqtt_packet_store(&packet);
    n_received = c.len;
    memmove(received, c.ptr, c.len);
    return true;
}

const struct mqtt_packet *scripted_expect(enum mqtt_type type)
{
    loop_support_until(turned, has_packet, NULL);
    ck_assert_uint_eq(got->type, type);
    return got;
}

const struct mqtt_packet *scripted_expect_connect(void)
{
    scripted_hang_up();
    n_received = 0;
    mqtt_decoder_init(&decoder, 0, 0);
    loop_support_until(turned, can_accept, NULL);
    scripted_expect(MQTT_CONNECT);
    version = got->version;
    return got;
}

void scripted_expect_nothing(void)
{
    loop_support_turns(turned, TURNS);
    ck_assert(!has_packet(NULL));
}

/* --- Writing */

void scripted_send(struct mqtt_packet packet)
{
    uint8_t bytes[512];
    packet.version = version;
    ck_assert_uint_le(mqtt_encode_size(&packet), sizeof bytes);
    socket_support_write(connection, bytes, mqtt_encode(&packet, bytes));
}

void scripted_connack(uint8_t reason, bool is_session_present, struct mqtt_bytes properties)
{
    scripted_send((struct mqtt_packet){.type = MQTT_CONNACK,
                                       .reason_code = reason,
                                       .properties = {properties},
                                       .connack = {.session_present = is_session_present}});
}

void scripted_suback(const uint8_t *codes, uint32_t n)
{
    scripted_send(
        (struct mqtt_packet){.type = MQTT_SUBACK, .packet_id = MQTT_LINK_SUBSCRIBE_ID, .reason_codes = {codes, n}});
}

void scripted_ack(enum mqtt_type type, uint16_t id, uint8_t reason)
{
    scripted_send((struct mqtt_packet){.type = (uint8_t)type, .packet_id = id, .reason_code = reason});
}
