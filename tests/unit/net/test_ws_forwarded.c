/* Whom X-Forwarded-For names, and that nobody but proxies of ours is believed. */
#include "ws_forwarded.h"

#include <string.h>

#include "address.h"
#include "cidr.h"
#include "test_main.h"

static const struct {
    const char *list;
    const char *client; /* NULL: none */
} cases[] = {
    {"203.0.113.7", "203.0.113.7:0"},
    {" 203.0.113.7 ", "203.0.113.7:0"},
    {"203.0.113.7, 10.0.0.1", "203.0.113.7:0"},
    {"203.0.113.7,10.0.0.1,10.0.0.2", "203.0.113.7:0"},
    {"198.51.100.1, 203.0.113.7", "203.0.113.7:0"}, /* the left one is only the client's word */
    {"198.51.100.1, 203.0.113.7, 10.0.0.1", "203.0.113.7:0"},
    {"10.0.0.3, 10.0.0.2", "10.0.0.3:0"},
    {"unknown, 203.0.113.7, 10.0.0.1", "203.0.113.7:0"},
    {"unknown, 10.0.0.1", "10.0.0.1:0"},
    {"203.0.113.7, nonsense, 10.0.0.1", "10.0.0.1:0"},
    {"203.0.113.7:50122", "203.0.113.7:50122"},
    {"2001:db8::7", "[2001:db8::7]:0"},
    {"[2001:db8::7]:50122, 10.0.0.1", "[2001:db8::7]:50122"},
    {"", NULL},
    {"unknown", NULL},
    {"203.0.113.7,", NULL},
    {"203.0.113.7, _hidden", NULL},
    {"50122", NULL},
    {"203.0.113.7/8", NULL},
    {"a.very.long.name.that.is.no.address.at.all.and.does.not.fit.into.anything.example", NULL},
};

START_TEST(the_last_one_that_is_no_proxy_of_ours_is_the_client)
{
    char *trusted_text[] = {"10.0.0.0/8"};
    char text[ADDRESS_TEXT_MAX];
    struct cidr_list trusted;
    union conn_address client;
    ck_assert_int_eq(cidr_list_init(&trusted, trusted_text, 1), 0);
    const bool is_found = ws_forwarded_client(cases[_i].list, &trusted, &client);
    ck_assert_msg(is_found == (cases[_i].client != NULL), "%s", cases[_i].list);
    if (is_found)
        ck_assert_str_eq(address_format(&client, text), cases[_i].client);
    cidr_list_deinit(&trusted);
}
END_TEST

static Suite *ws_forwarded_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("ws_forwarded", &tc);
    tcase_add_loop_test(tc, the_last_one_that_is_no_proxy_of_ours_is_the_client, 0, TEST_COUNT(cases));
    return suite;
}

TEST_MAIN(ws_forwarded_suite)
