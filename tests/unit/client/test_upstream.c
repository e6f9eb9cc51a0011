/* upstream: connects, passes packets, and tells its end once. The broker is a socket of the test. */
#include "upstream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "loop_support.h"
#include "net.h"
#include "socket_support.h"
#include "test_main.h"

static const uint8_t pingreq[] = {0xC0, 0}, connack[] = {0x20, 2, 0, 0}, rubbish[] = {0x00, 0};

static struct loop *loop;
static int listening, broker; /* descriptors; -1 = none */
static struct upstream *up;
static struct {
    int connected, failed, packets, bad, ends;
    enum conn_end why;
    uint8_t last_type;
    char text[200];
} seen;

static void on_connected(struct upstream *u, void *arg)
{
    seen.connected++;
}

static void on_failed(struct upstream *u, const char *text, void *arg)
{
    seen.failed++;
    snprintf(seen.text, sizeof(seen.text), "%s", text);
}

static enum gate_answer on_packet(struct upstream *u, const struct mqtt_packet *packet, void *arg)
{
    seen.packets++;
    seen.last_type = packet->type;
    return GATE_PASS;
}

static void on_bad_packet(struct upstream *u, uint8_t reason, const char *text, void *arg)
{
    seen.bad++;
}

static void on_end(struct upstream *u, enum conn_end why, const char *text, void *arg)
{
    seen.ends++;
    seen.why = why;
}

static void ignore(struct upstream *u, void *arg)
{
}

static const struct upstream_cbs cbs = {
    .on_connected = on_connected,
    .on_failed = on_failed,
    .on_packet = on_packet,
    .on_bad_packet = on_bad_packet,
    .on_drain = ignore,
    .on_progress = ignore,
    .on_end = on_end,
};

static struct url listen_somewhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    listening = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listening, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(listen(listening, 1), 0);
    ck_assert_int_eq(getsockname(listening, (struct sockaddr *)&address, &size), 0);
    struct url url = {.scheme = "mqtt", .host = "127.0.0.1", .port = ntohs(address.sin_port), .has_port = true};
    return url;
}

static void open_upstream(const struct url *url)
{
    const struct upstream_params params = {
        .url = url,
        .timeout_ms = 5000,
        .max_packet_bytes = MQTT_PACKET_MAX,
        .version = MQTT_V311,
        .cbs = &cbs,
    };
    ck_assert_int_eq(upstream_open(loop, &params, &up), 0);
    ck_assert_ptr_null(upstream_io(up));
}

/* True once the counter has moved. */
static bool has_come(void *arg)
{
    return *(int *)arg > 0;
}

static void connect_to_broker(void)
{
    const struct url url = listen_somewhere();
    open_upstream(&url);
    loop_support_until(loop, has_come, &seen.connected);
    broker = accept(listening, NULL, NULL);
    ck_assert_int_ge(broker, 0);
}

static void setup(void)
{
    memset(&seen, 0, sizeof(seen));
    listening = broker = -1;
    up = NULL;
    ck_assert_int_eq(loop_new(&loop), 0);
}

static void teardown(void)
{
    up = upstream_close(up, 0);
    loop_support_to_end(loop);
    ck_assert_uint_eq(net_conn_count(loop), 0);
    loop = loop_free(loop);
    if (broker >= 0)
        close(broker);
    if (listening >= 0)
        close(listening);
}

START_TEST(packets_pass_both_ways)
{
    uint8_t got[2];
    connect_to_broker();
    const struct mqtt_packet ping = {.type = MQTT_PINGREQ, .version = MQTT_V311};
    ck_assert_int_eq(upstream_send(up, &ping, NULL), 0);
    socket_support_write(broker, connack, sizeof(connack));
    loop_support_until(loop, has_come, &seen.packets);
    ck_assert_uint_eq(seen.last_type, MQTT_CONNACK);
    ck_assert_int_eq(recv(broker, got, sizeof(got), MSG_WAITALL), sizeof(got));
    ck_assert_mem_eq(got, pingreq, sizeof(pingreq));
    ck_assert_int_eq(seen.ends + seen.failed + seen.bad, 0);
}
END_TEST

START_TEST(a_refused_connection_says_which_address)
{
    const struct url url = listen_somewhere();
    char want[32];
    close(listening);
    listening = -1;
    snprintf(want, sizeof(want), ":%u", url.port);
    open_upstream(&url);
    loop_support_until(loop, has_come, &seen.failed);
    ck_assert_ptr_nonnull(strstr(seen.text, want));
    ck_assert_ptr_nonnull(strstr(seen.text, "refused"));
    ck_assert_int_eq(seen.connected + seen.ends, 0);
}
END_TEST

START_TEST(what_came_before_the_end_is_passed_before_it)
{
    connect_to_broker();
    socket_support_write(broker, connack, sizeof(connack));
    close(broker);
    broker = -1;
    loop_support_until(loop, has_come, &seen.ends);
    ck_assert_int_eq(seen.packets, 1);
    ck_assert_int_eq(seen.why, CONN_END_EOF);
    loop_support_turns(loop, 3);
    ck_assert_int_eq(seen.ends, 1);
}
END_TEST

START_TEST(what_is_no_packet_is_told_once)
{
    connect_to_broker();
    socket_support_write(broker, rubbish, sizeof(rubbish));
    loop_support_until(loop, has_come, &seen.bad);
    socket_support_write(broker, connack, sizeof(connack));
    loop_support_turns(loop, 3);
    ck_assert_int_eq(seen.bad, 1);
    ck_assert_int_eq(seen.packets, 0);
}
END_TEST

START_TEST(closing_lets_the_broker_have_what_is_queued)
{
    uint8_t got[3];
    connect_to_broker();
    const struct mqtt_packet ping = {.type = MQTT_PINGREQ, .version = MQTT_V311};
    ck_assert_int_eq(upstream_send(up, &ping, NULL), 0);
    up = upstream_close(up, 5000);
    loop_support_turns(loop, 2);
    ck_assert_int_eq(recv(broker, got, sizeof(got), MSG_WAITALL), sizeof(pingreq));
    close(broker);
    broker = -1;
    loop_support_to_end(loop);
    ck_assert_int_eq(seen.ends, 0);
}
END_TEST

START_TEST(closing_while_it_dials_calls_nobody)
{
    const struct url url = listen_somewhere();
    open_upstream(&url);
    up = upstream_close(up, 0);
    loop_support_to_end(loop);
    ck_assert_int_eq(seen.connected + seen.failed + seen.ends, 0);
}
END_TEST

static Suite *upstream_suite(void)
{
    TCase *t;
    Suite *s = test_suite("upstream", &t);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, packets_pass_both_ways);
    tcase_add_test(t, a_refused_connection_says_which_address);
    tcase_add_test(t, what_came_before_the_end_is_passed_before_it);
    tcase_add_test(t, what_is_no_packet_is_told_once);
    tcase_add_test(t, closing_lets_the_broker_have_what_is_queued);
    tcase_add_test(t, closing_while_it_dials_calls_nobody);
    return s;
}

TEST_MAIN(upstream_suite)
