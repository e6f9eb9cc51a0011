/* Addresses from text and as text. */
#include "address.h"

#include <arpa/inet.h>
#include <string.h>

#include "test_main.h"

struct sample {
    const char *text, *formatted;
};

static const struct sample samples[] = {
    {"10.0.0.8", "10.0.0.8:1883"},
    {"::1", "[::1]:1883"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.254", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:1883"},
    {"fe80::1%1", "[fe80::1%1]:1883"},
    {"fe80::1%lo", "[fe80::1%1]:1883"},
};

static const char *const bads[] = {
    "",           "host",         "10.0.0",
    "10.0.0.256", "10.0.0.8:1",   "::g",
    "fe80::1%",   "fe80::1%nope", "1111111111111111111111111111111111111111111111111111111111111111"};

START_TEST(a_numeric_address_is_read_and_shown)
{
    union conn_address address;
    char text[ADDRESS_TEXT_MAX];
    ck_assert(address_parse(samples[_i].text, 1883, &address));
    ck_assert_str_eq(address_format(&address, text), samples[_i].formatted);
    ck_assert_uint_eq(address_port(&address), 1883);
}
END_TEST

START_TEST(anything_else_is_no_address)
{
    union conn_address address;
    ck_assert(!address_parse(bads[_i], 1, &address));
}
END_TEST

START_TEST(ipv4_inside_ipv6_is_shown_as_ipv4)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(7)};
    union conn_address address;
    char text[ADDRESS_TEXT_MAX];
    ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:10.0.0.8", &in6.sin6_addr), 1);
    address_from_sockaddr((struct sockaddr *)&in6, &address);
    ck_assert_str_eq(address_format(&address, text), "10.0.0.8:7");
}
END_TEST

START_TEST(equal_means_host_port_and_scope)
{
    const char *const texts[] = {"10.0.0.8", "10.0.0.9", "::1", "fe80::1%1", "fe80::1%2"};
    union conn_address a, b;
    for (size_t i = 0; i < TEST_COUNT(texts); i++) {
        for (size_t j = 0; j < TEST_COUNT(texts); j++) {
            ck_assert(address_parse(texts[i], 1, &a) && address_parse(texts[j], 1, &b));
            ck_assert_int_eq(address_equal(&a, &b), i == j);
        }
        address_set_port(&a, 2);
        address_parse(texts[i], 1, &b);
        ck_assert(!address_equal(&a, &b));
    }
}
END_TEST

START_TEST(a_family_without_text_is_unknown)
{
    union conn_address address = {.any.sa_family = AF_UNSPEC};
    char text[ADDRESS_TEXT_MAX];
    ck_assert_str_eq(address_format(&address, text), "unknown");
    ck_assert_uint_eq(address_port(&address), 0);
}
END_TEST

static Suite *address_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("address", &tc);
    tcase_add_loop_test(tc, a_numeric_address_is_read_and_shown, 0, TEST_COUNT(samples));
    tcase_add_loop_test(tc, anything_else_is_no_address, 0, TEST_COUNT(bads));
    tcase_add_test(tc, ipv4_inside_ipv6_is_shown_as_ipv4);
    tcase_add_test(tc, equal_means_host_port_and_scope);
    tcase_add_test(tc, a_family_without_text_is_unknown);
    return suite;
}

TEST_MAIN(address_suite)
