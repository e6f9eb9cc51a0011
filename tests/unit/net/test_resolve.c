/* Names into addresses, on the loop. No test asks a name server: names are numeric, from /etc/hosts, or cannot exist.
 */
#include "resolve.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "address.h"
#include "loop.h"
#include "loop_support.h"
#include "resolver_support.h"
#include "test_main.h"

struct result {
    int n_calls;
    size_t n;
    union conn_address addresses[RESOLVE_MAX];
    char text[100];
};

static struct loop *loop;
static struct result result;

static void setup(void)
{
    ck_assert_int_eq(loop_new(&loop), 0);
    result = (struct result){.n_calls = 0};
}

static void teardown(void)
{
    loop_support_to_end(loop);
    loop = loop_free(loop);
}

static void on_result(struct resolve *r, const union conn_address *addresses, size_t n, const char *text, void *arg)
{
    struct result *res = arg;
    res->n_calls++;
    res->n = n;
    memcpy(res->addresses, addresses, n * sizeof(addresses[0]));
    snprintf(res->text, sizeof(res->text), "%s", text);
    resolve_cancel(r);
}

static void look_up(const char *host)
{
    struct resolve *r = NULL;
    ck_assert_int_eq(resolve_start(loop, host, 1883, on_result, &result, &r), 0);
    ck_assert_int_eq(result.n_calls, 0);
    loop_support_to_end(loop);
    ck_assert_int_eq(result.n_calls, 1);
}

START_TEST(a_numeric_address_is_answered_as_it_is)
{
    const char *const hosts[] = {"127.0.0.1", "::1"};
    const char *const texts[] = {"127.0.0.1:1883", "[::1]:1883"};
    char text[ADDRESS_TEXT_MAX];
    look_up(hosts[_i]);
    ck_assert_uint_eq(result.n, 1);
    ck_assert_str_eq(address_format(&result.addresses[0], text), texts[_i]);
}
END_TEST

START_TEST(a_name_has_its_addresses_in_order_with_the_port)
{
    const char *const texts[] = {"[::1]:1883", "127.0.0.1:1883", "10.0.0.8:1883"};
    char text[ADDRESS_TEXT_MAX];
    resolver_support_set("host", "::1 127.0.0.1 ::1 10.0.0.8");
    look_up("host");
    ck_assert_uint_eq(result.n, TEST_COUNT(texts));
    for (size_t i = 0; i < TEST_COUNT(texts); i++)
        ck_assert_str_eq(address_format(&result.addresses[i], text), texts[i]);
}
END_TEST

START_TEST(a_name_without_address_is_a_failure_with_a_reason)
{
    look_up("nobody");
    ck_assert_uint_eq(result.n, 0);
    ck_assert_uint_gt(strlen(result.text), 0);
}
END_TEST

START_TEST(a_cancelled_look_up_never_answers)
{
    const char *const hosts[] = {"127.0.0.1", "host"};
    struct resolve *r = NULL;
    ck_assert_int_eq(resolve_start(loop, hosts[_i], 1883, on_result, &result, &r), 0);
    r = resolve_cancel(r);
    ck_assert_ptr_null(resolve_cancel(r));
    loop_support_to_end(loop);
    ck_assert_int_eq(result.n_calls, 0);
}
END_TEST

START_TEST(an_address_named_twice_is_used_once)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, b = a;
    b.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    struct addrinfo third = {.ai_addr = (struct sockaddr *)&a};
    struct addrinfo second = {.ai_addr = (struct sockaddr *)&b, .ai_next = &third};
    struct addrinfo first = {.ai_addr = (struct sockaddr *)&a, .ai_next = &second};
    ck_assert_uint_eq(resolve_collect(&first, 5, result.addresses), 2);
    ck_assert_uint_eq(address_port(&result.addresses[1]), 5);
}
END_TEST

static Suite *resolve_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("resolve", &tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_numeric_address_is_answered_as_it_is, 0, 2);
    tcase_add_test(tc, a_name_has_its_addresses_in_order_with_the_port);
    tcase_add_test(tc, a_name_without_address_is_a_failure_with_a_reason);
    tcase_add_loop_test(tc, a_cancelled_look_up_never_answers, 0, 2);
    tcase_add_test(tc, an_address_named_twice_is_used_once);
    return suite;
}

TEST_MAIN(resolve_suite)
