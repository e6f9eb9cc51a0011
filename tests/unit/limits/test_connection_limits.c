/* connection_limits: who is let in, and what a place is once it is left. */
#include "connection_limits.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "test_main.h"

static struct connection_limits limits;
static uint64_t now_ms;

static void start(uint64_t max_connections, uint64_t max_per_address, uint64_t rate)
{
    const struct connection_limits_options options = {max_connections, max_per_address, rate};
    now_ms = 1000;
    connection_limits_init(&limits, &options, now_ms);
}

static enum connection_verdict enter(const char *host, struct connection_place *place)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    const struct sockaddr none = {.sa_family = AF_UNIX};
    if (!host)
        return connection_limits_enter(&limits, &none, now_ms, place);
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1)
        return connection_limits_enter(&limits, (struct sockaddr *)&in, now_ms, place);
    ck_assert_int_eq(inet_pton(AF_INET6, host, &in6.sin6_addr), 1);
    return connection_limits_enter(&limits, (struct sockaddr *)&in6, now_ms, place);
}

START_TEST(so_many_in_all)
{
    struct connection_place a, b, c;
    start(2, 0, 0);
    ck_assert_int_eq(enter("10.0.0.1", &a), CONNECTION_WELCOME);
    ck_assert_int_eq(enter(NULL, &b), CONNECTION_WELCOME);
    ck_assert_int_eq(enter("10.0.0.2", &c), CONNECTION_TOO_MANY);
    connection_limits_leave(&c); /* it has none */
    ck_assert_int_eq(enter("10.0.0.2", &c), CONNECTION_TOO_MANY);
    connection_limits_leave(&a);
    connection_limits_leave(&a); /* once is enough */
    ck_assert_int_eq(enter("10.0.0.2", &c), CONNECTION_WELCOME);
    ck_assert_int_eq(enter("10.0.0.3", &a), CONNECTION_TOO_MANY);
    connection_limits_deinit(&limits);
}
END_TEST

START_TEST(so_many_of_an_address)
{
    struct connection_place places[2], other;
    start(0, 2, 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(enter("10.0.0.1", &places[i]), CONNECTION_WELCOME);
    ck_assert_int_eq(enter("10.0.0.1", &other), CONNECTION_TOO_MANY_OF_ADDRESS);
    ck_assert_int_eq(enter("10.0.0.2", &other), CONNECTION_WELCOME);
    ck_assert_uint_eq(limits.addresses.count, 2);
    connection_limits_leave(&other);
    connection_limits_leave(&places[0]);
    ck_assert_uint_eq(limits.addresses.count, 1);
    ck_assert_int_eq(enter("10.0.0.1", &places[0]), CONNECTION_WELCOME);
    for (int i = 0; i < 2; i++)
        connection_limits_leave(&places[i]);
    ck_assert_uint_eq(limits.addresses.count, 0);
    connection_limits_deinit(&limits);
}
END_TEST

START_TEST(ipv6_counts_by_64_bits)
{
    struct connection_place place;
    start(0, 1, 0);
    ck_assert_int_eq(enter("2001:db8:0:1::1", &place), CONNECTION_WELCOME);
    ck_assert_int_eq(enter("2001:db8:0:1:ffff::2", &place), CONNECTION_TOO_MANY_OF_ADDRESS);
    ck_assert_int_eq(enter("2001:db8:0:2::1", &place), CONNECTION_WELCOME);
    connection_limits_deinit(&limits);
}
END_TEST

START_TEST(unix_sockets_have_no_address)
{
    struct connection_place place;
    start(0, 1, 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(enter(NULL, &place), CONNECTION_WELCOME);
    connection_limits_deinit(&limits);
}
END_TEST

START_TEST(so_many_in_a_second)
{
    struct connection_place place;
    start(0, 1, 2);
    ck_assert_int_eq(enter("10.0.0.1", &place), CONNECTION_WELCOME);
    ck_assert_int_eq(enter("10.0.0.1", &place), CONNECTION_TOO_MANY_OF_ADDRESS); /* costs no token */
    ck_assert_int_eq(enter("10.0.0.2", &place), CONNECTION_WELCOME);
    ck_assert_int_eq(enter("10.0.0.3", &place), CONNECTION_TOO_FAST);
    now_ms += 500;
    ck_assert_int_eq(enter("10.0.0.3", &place), CONNECTION_WELCOME);
    ck_assert_int_eq(enter("10.0.0.4", &place), CONNECTION_TOO_FAST);
    connection_limits_deinit(&limits);
}
END_TEST

static Suite *connection_limits_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("connection_limits", &tc);
    tcase_add_test(tc, so_many_in_all);
    tcase_add_test(tc, so_many_of_an_address);
    tcase_add_test(tc, ipv6_counts_by_64_bits);
    tcase_add_test(tc, unix_sockets_have_no_address);
    tcase_add_test(tc, so_many_in_a_second);
    return suite;
}

TEST_MAIN(connection_limits_suite)
