/* libmqtt-broker: brokers begin and end inside a process, several at a time, and say in words what they cannot do. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker.h"
#include "test_main.h"

static void quiet(void *arg, const char *line, size_t len)
{
}

static struct mqtt_broker *made(const char *listen)
{
    const struct mqtt_broker_option options[] = {
        {"listen", listen}, {"store", "memory"}, {"workers", "2"}, {"allow-anonymous", "true"}, {"sys-interval", "0"}};
    struct mqtt_broker *b = NULL;
    ck_assert_msg(mqtt_broker_new(options, TEST_COUNT(options), &b) == 0, "%s", mqtt_broker_error_text());
    return b;
}

static struct mqtt_broker *started(void)
{
    struct mqtt_broker *b = made("mqtt://127.0.0.1:0");
    ck_assert_msg(mqtt_broker_start(b) == 0, "%s", mqtt_broker_error_text());
    return b;
}

/* A socket connected to B. */
static int connected(const struct mqtt_broker *b)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned port;
    ck_assert_int_eq(sscanf(mqtt_broker_listener(b, 0), "mqtt://127.0.0.1:%u", &port), 1);
    to.sin_port = htons((uint16_t)port);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Sends BYTES, and the answer is WANTED. */
static void exchange(int fd, const void *bytes, size_t n, const void *wanted, size_t n_wanted)
{
    uint8_t got[64];
    ck_assert_int_eq(send(fd, bytes, n, 0), (ssize_t)n);
    ck_assert_int_eq(recv(fd, got, n_wanted, MSG_WAITALL), (ssize_t)n_wanted);
    ck_assert_int_eq(memcmp(got, wanted, n_wanted), 0);
}

/* A client of B that has subscribed to "t". */
static int subscribed(const struct mqtt_broker *b)
{
    const int fd = connected(b);
    exchange(fd, "\x10\x0d\0\4MQTT\4\2\0\0\0\1c", 15, "\x20\2\0\0", 4);
    exchange(fd, "\x82\x06\0\1\0\1t\0", 8, "\x90\x03\0\1\0", 5);
    return fd;
}

static void publish(struct mqtt_broker *b, const char *payload)
{
    const struct mqtt_broker_message m = {{"t", 1}, {payload, strlen(payload)}, 1, true};
    ck_assert_int_eq(mqtt_broker_publish(b, &m), 0);
}

START_TEST(two_brokers_in_one_process_know_nothing_of_each_other)
{
    struct mqtt_broker *a = started(), *b = started();
    ck_assert_str_ne(mqtt_broker_listener(a, 0), mqtt_broker_listener(b, 0));
    ck_assert_ptr_null(mqtt_broker_listener(a, 1));
    const int at_a = subscribed(a), at_b = subscribed(b);
    publish(a, "a");
    publish(b, "b");
    exchange(at_a, NULL, 0, "\x30\x04\0\1ta", 6);
    close(at_a);
    mqtt_broker_stop(a);
    exchange(at_b, NULL, 0, "\x30\x04\0\1tb", 6);
    exchange(at_b, "\xc0\0", 2, "\xd0\0", 2);
    char *text = mqtt_broker_metrics(b);
    ck_assert_ptr_nonnull(text);
    ck_assert_ptr_nonnull(strstr(text, "\nbroker_connects_total 1\n"));
    free(text);
    close(at_b);
    mqtt_broker_free(a);
    mqtt_broker_free(b);
}
END_TEST

START_TEST(what_comes_too_early_or_too_late_is_refused)
{
    const struct mqtt_broker_message m = {{"t", 1}, {NULL, 0}, 0, false};
    const struct mqtt_broker_hook hook = {.arg = NULL};
    struct mqtt_broker *b = made("mqtt://127.0.0.1:0");
    ck_assert_int_eq(mqtt_broker_publish(b, &m), -ESHUTDOWN);
    ck_assert_int_eq(mqtt_broker_reload(b), -ESHUTDOWN);
    ck_assert_ptr_null(mqtt_broker_listener(b, 0));
    ck_assert_int_eq(mqtt_broker_start(b), 0);
    ck_assert_int_eq(mqtt_broker_start(b), -EBUSY);
    ck_assert_int_eq(mqtt_broker_add_hook(b, &hook), -EBUSY);
    ck_assert_int_eq(mqtt_broker_reload(b), 0);
    mqtt_broker_stop(b);
    mqtt_broker_stop(b);
    ck_assert_int_eq(mqtt_broker_publish(b, &m), -ESHUTDOWN);
    ck_assert_ptr_null(mqtt_broker_metrics(b));
    ck_assert_int_eq(mqtt_broker_start(b), -EBUSY);
    mqtt_broker_free(b);
    mqtt_broker_free(NULL);
    mqtt_broker_free(made("mqtt://127.0.0.1:0"));
}
END_TEST

START_TEST(messages_that_cannot_be_are_refused)
{
    static const struct mqtt_broker_message bad[] = {
        {{NULL, 0}, {NULL, 0}, 0, false},    {{"", 0}, {NULL, 0}, 0, false},      {{"a/#", 3}, {NULL, 0}, 0, false},
        {{"a\xff", 2}, {NULL, 0}, 0, false}, {{"a\0b", 3}, {NULL, 0}, 0, false},  {{"a", 1}, {NULL, 0}, 3, false},
        {{"a", 1}, {NULL, 0}, -1, false},    {{"a", 1}, {"", SIZE_MAX}, 0, false}};
    struct mqtt_broker *b = started();
    for (size_t i = 0; i < TEST_COUNT(bad); i++)
        ck_assert_msg(mqtt_broker_publish(b, &bad[i]) == -EINVAL, "%zu", i);
    mqtt_broker_free(b);
}
END_TEST

START_TEST(what_is_wrong_is_said)
{
    static const struct mqtt_broker_option bad[] = {{"nonsense", "1"}, {"workers", "-1"}, {"config", "/nonexistent"},
                                                    {"help", "true"},  {"listen", NULL},  {"version", "true"}};
    struct mqtt_broker *b = NULL;
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        ck_assert_msg(mqtt_broker_new(&bad[i], 1, &b) < 0, "%zu", i);
        ck_assert_ptr_null(b);
        ck_assert_ptr_nonnull(strstr(mqtt_broker_error_text(),
                                     bad[i].value ? bad[i].name[0] == 'c' ? bad[i].value : bad[i].name : "option"));
    }
    struct mqtt_broker *first = started();
    b = made(mqtt_broker_listener(first, 0));
    ck_assert_int_eq(mqtt_broker_start(b), -EADDRINUSE);
    ck_assert_ptr_nonnull(strstr(mqtt_broker_error_text(), mqtt_broker_listener(first, 0)));
    mqtt_broker_free(b);
    mqtt_broker_free(first);
}
END_TEST

START_TEST(the_process_stays_as_it_was)
{
    struct rlimit before, after;
    struct sigaction pipe[2], term[2];
    sigaction(SIGPIPE, NULL, &pipe[0]);
    sigaction(SIGTERM, NULL, &term[0]);
    getrlimit(RLIMIT_NOFILE, &before);
    setenv("BROKER_WORKERS", "nonsense", 1);
    struct mqtt_broker *b = started();
    unsetenv("BROKER_WORKERS");
    getrlimit(RLIMIT_NOFILE, &after);
    ck_assert_uint_eq(before.rlim_cur, after.rlim_cur);
    sigaction(SIGPIPE, NULL, &pipe[1]);
    sigaction(SIGTERM, NULL, &term[1]);
    ck_assert(pipe[0].sa_handler == pipe[1].sa_handler && term[0].sa_handler == term[1].sa_handler);
    mqtt_broker_free(b);
    ck_assert_str_eq(mqtt_broker_version(), PROJECT_VERSION);
}
END_TEST

static void begin(void)
{
    mqtt_broker_set_log(quiet, NULL);
}

static void end(void)
{
    mqtt_broker_set_log(NULL, NULL);
}

static Suite *suite(void)
{
    TCase *tc;
    Suite *s = test_suite("mqtt_broker", &tc);
    tcase_add_checked_fixture(tc, begin, end);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, two_brokers_in_one_process_know_nothing_of_each_other);
    tcase_add_test(tc, what_comes_too_early_or_too_late_is_refused);
    tcase_add_test(tc, messages_that_cannot_be_are_refused);
    tcase_add_test(tc, what_is_wrong_is_said);
    tcase_add_test(tc, the_process_stays_as_it_was);
    return s;
}

TEST_MAIN(suite)
