/* Ranges of addresses: what is one, and what lies in it. */
#include "cidr.h"

#include <errno.h>
#include <string.h>

#include "address.h"
#include "test_main.h"

struct sample {
    const char *range, *address;
    bool is_inside;
};

static const struct sample samples[] = {
    {"10.0.0.0/8", "10.255.255.255", true},
    {"10.0.0.0/8", "11.0.0.0", false},
    {"10.0.0.8", "10.0.0.8", true},
    {"10.0.0.8", "10.0.0.9", false},
    {"10.0.0.8/32", "10.0.0.8", true},
    {"192.168.4.0/22", "192.168.7.255", true},
    {"192.168.4.0/22", "192.168.8.0", false},
    {"192.168.4.0/22", "192.168.3.255", false},
    {"128.0.0.0/1", "255.0.0.1", true},
    {"128.0.0.0/1", "127.0.0.1", false},
    {"0.0.0.0/0", "1.2.3.4", true},
    {"0.0.0.0/0", "::1", false},
    {"::/0", "2001:db8::1", true},
    {"::/0", "1.2.3.4", false},
    {"::1", "::1", true},
    {"::1", "::2", false},
    {"2001:db8::/33", "2001:db8:7fff::1", true},
    {"2001:db8::/33", "2001:db8:8000::1", false},
    {"2001:db8::2/127", "2001:db8::3", true},
    {"2001:db8::2/127", "2001:db8::4", false},
    {"fe80::/10", "fe80::1%1", true},
    {"::ffff:10.0.0.0/104", "10.1.2.3", true},
    {"::ffff:10.0.0.0/104", "11.1.2.3", false},
    {"10.0.0.0/8", "::ffff:10.1.2.3", true},
};

static const char *const bads[] = {
    "",
    "host",
    "10.0.0.0/33",
    "10.0.0.0/-1",
    "10.0.0.0/",
    "10.0.0.0/8 ",
    "10.0.0.0/8/8",
    "/8",
    "10.0.0.8/8",
    "::1/64",
    "::/129",
    "fe80::1%1",
    "10.0.0.0/8,",
    ",",
    "10.0.0.0/8,,::1",
    "10.0.0.1:80",
    "10.0.0.0/0x8",
    "10.0.0",
    "11111111111111111111111111111111111111111111111111111111111111111111111111111/8",
};

START_TEST(a_range_holds_its_addresses)
{
    struct cidr cidr;
    union conn_address address;
    ck_assert_int_eq(cidr_parse(samples[_i].range, &cidr), 0);
    ck_assert(address_parse(samples[_i].address, 1883, &address));
    ck_assert_int_eq(cidr_matches(&cidr, &address), samples[_i].is_inside);
}
END_TEST

START_TEST(anything_else_is_no_range)
{
    ck_assert_int_eq(cidr_list_check(bads[_i]), -EINVAL);
}
END_TEST

START_TEST(a_single_range_has_no_comma)
{
    struct cidr cidr;
    ck_assert_int_eq(cidr_parse("10.0.0.0/8,::1", &cidr), -EINVAL);
}
END_TEST

START_TEST(a_list_is_all_of_its_texts)
{
    char *texts[] = {"10.0.0.0/8,192.168.0.0/16", "::1"};
    const char *const inside[] = {"10.1.1.1", "192.168.1.1", "::1"};
    const char *const outside[] = {"172.16.0.1", "::2"};
    struct cidr_list list;
    union conn_address address;
    ck_assert_int_eq(cidr_list_init(&list, texts, TEST_COUNT(texts)), 0);
    ck_assert_uint_eq(list.count, 3);
    for (size_t i = 0; i < TEST_COUNT(inside); i++) {
        ck_assert(address_parse(inside[i], 1, &address));
        ck_assert(cidr_list_matches(&list, &address));
    }
    for (size_t i = 0; i < TEST_COUNT(outside); i++) {
        ck_assert(address_parse(outside[i], 1, &address));
        ck_assert(!cidr_list_matches(&list, &address));
    }
    cidr_list_deinit(&list);
    ck_assert(!cidr_list_matches(&list, &address));
}
END_TEST

START_TEST(a_bad_text_spoils_the_list)
{
    char *texts[] = {"10.0.0.0/8", "10.0.0.0/99"};
    struct cidr_list list = {.count = 7};
    ck_assert_int_eq(cidr_list_init(&list, texts, TEST_COUNT(texts)), -EINVAL);
    ck_assert_uint_eq(list.count, 7);
}
END_TEST

START_TEST(a_unix_peer_is_in_no_range)
{
    struct cidr cidr;
    const union conn_address address = {.any.sa_family = AF_UNIX};
    ck_assert_int_eq(cidr_parse("0.0.0.0/0", &cidr), 0);
    ck_assert(!cidr_matches(&cidr, &address));
}
END_TEST

static Suite *cidr_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("cidr", &tc);
    tcase_add_loop_test(tc, a_range_holds_its_addresses, 0, TEST_COUNT(samples));
    tcase_add_loop_test(tc, anything_else_is_no_range, 0, TEST_COUNT(bads));
    tcase_add_test(tc, a_single_range_has_no_comma);
    tcase_add_test(tc, a_list_is_all_of_its_texts);
    tcase_add_test(tc, a_bad_text_spoils_the_list);
    tcase_add_test(tc, a_unix_peer_is_in_no_range);
    return suite;
}

TEST_MAIN(cidr_suite)
