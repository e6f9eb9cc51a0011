/* Facts of a peer: copies that stand alone, and texts that may go into a log line and nothing else. */
#include "conn_facts.h"

#include <string.h>

#include "proxy_header.h"
#include "test_main.h"

static struct proxy_text text_of(const char *text)
{
    return (struct proxy_text){(const uint8_t *)text, strlen(text)};
}

START_TEST(a_copy_stands_alone)
{
    char via[] = "10.0.0.2:40112", version[] = "TLSv1.3", cipher[] = "TLS_AES_256_GCM_SHA384";
    char name[] = "broker.example", common[] = "pump-3 Z\xc3\xbcrich";
    struct conn_facts *f = conn_facts_copy(&(struct conn_facts){.via = via,
                                                                .tls_version = version,
                                                                .tls_cipher = cipher,
                                                                .tls_server_name = name,
                                                                .common_name = common,
                                                                .is_tls = true,
                                                                .has_certificate = true});
    ck_assert_ptr_nonnull(f);
    via[0] = version[0] = cipher[0] = name[0] = common[0] = '!';
    ck_assert_str_eq(f->via, "10.0.0.2:40112");
    ck_assert_str_eq(f->tls_version, "TLSv1.3");
    ck_assert_str_eq(f->tls_cipher, "TLS_AES_256_GCM_SHA384");
    ck_assert_str_eq(f->tls_server_name, "broker.example");
    ck_assert_str_eq(f->common_name, "pump-3 Z\xc3\xbcrich");
    ck_assert(f->is_tls && f->has_certificate);
    conn_facts_free(f);
}
END_TEST

START_TEST(nothing_known_is_nothing_said)
{
    struct conn_facts *f = conn_facts_copy(&(struct conn_facts){.via = NULL});
    ck_assert_ptr_nonnull(f);
    ck_assert(!f->via && !f->tls_version && !f->tls_cipher && !f->tls_server_name && !f->common_name);
    ck_assert(!f->is_tls && !f->has_certificate);
    conn_facts_free(f);
    ck_assert_ptr_null(conn_facts_free(NULL));
}
END_TEST

/* A line of its own, a colour, a NUL's escape, a direction mark, Latin-1, a surrogate, an overlong slash. */
static const char *const unfit[] = {"",
                                    "a\nclosed: all is well",
                                    "\033[31mred",
                                    "tab\tbed",
                                    "\x7f",
                                    "\u202eevil",
                                    "caf\xe9",
                                    "\xed\xa0\x80",
                                    "\xc0\xaf",
                                    "cut \xe2\x82",
                                    "\xf5\x80\x80\x80"};

START_TEST(a_text_that_is_not_fit_to_be_shown_is_left_out)
{
    const char *bad = unfit[_i];
    struct conn_facts *f = conn_facts_copy(&(struct conn_facts){.via = "10.0.0.2:1",
                                                                .tls_version = bad,
                                                                .tls_cipher = bad,
                                                                .tls_server_name = bad,
                                                                .common_name = bad,
                                                                .is_tls = true,
                                                                .has_certificate = true});
    ck_assert_ptr_nonnull(f);
    ck_assert_str_eq(f->via, "10.0.0.2:1");
    ck_assert(!f->tls_version && !f->tls_cipher && !f->tls_server_name && !f->common_name);
    ck_assert(f->is_tls && f->has_certificate); /* that there is one is known all the same */
    conn_facts_free(f);
}
END_TEST

START_TEST(a_header_says_what_its_proxy_knows)
{
    const struct proxy_header h = {.is_tls = true,
                                   .has_certificate = true,
                                   .authority = text_of("broker.example"),
                                   .tls_version = text_of("TLSv1.2"),
                                   .tls_cipher = text_of("ECDHE"),
                                   .common_name = text_of("pump-3")};
    struct conn_facts *f = conn_facts_from_header(&h, "10.0.0.2:40112");
    ck_assert_ptr_nonnull(f);
    ck_assert_str_eq(f->via, "10.0.0.2:40112");
    ck_assert_str_eq(f->tls_server_name, "broker.example");
    ck_assert_str_eq(f->tls_version, "TLSv1.2");
    ck_assert_str_eq(f->tls_cipher, "ECDHE");
    ck_assert_str_eq(f->common_name, "pump-3");
    ck_assert(f->is_tls && f->has_certificate);
    conn_facts_free(f);
    f = conn_facts_from_header(&(struct proxy_header){.is_tls = false}, NULL);
    ck_assert_ptr_nonnull(f);
    ck_assert(!f->via && !f->common_name && !f->is_tls && !f->has_certificate);
    conn_facts_free(f);
}
END_TEST

START_TEST(a_name_that_goes_on_behind_a_nul_is_nobodys)
{
    struct conn_facts *f =
        conn_facts_from_header(&(struct proxy_header){.common_name = {(const uint8_t *)"alice\0.example", 14}}, NULL);
    ck_assert_ptr_nonnull(f);
    ck_assert_ptr_null(f->common_name);
    conn_facts_free(f);
}
END_TEST

START_TEST(the_longest_text_of_a_header_is_kept_and_a_longer_one_is_not)
{
    char text[PROXY_HEADER_TEXT_MAX + 1];
    memset(text, 'x', sizeof(text));
    for (unsigned more = 0; more < 2; more++) {
        const struct proxy_text name = {(const uint8_t *)text, PROXY_HEADER_TEXT_MAX + more};
        struct conn_facts *f =
            conn_facts_from_header(&(struct proxy_header){.common_name = name, .authority = name}, NULL);
        ck_assert_ptr_nonnull(f);
        ck_assert_int_eq(f->common_name != NULL, more == 0);
        ck_assert(more > 0 || strlen(f->common_name) == PROXY_HEADER_TEXT_MAX);
        ck_assert_int_eq(f->tls_server_name != NULL, more == 0);
        conn_facts_free(f);
    }
}
END_TEST

static Suite *conn_facts_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("conn_facts", &tc);
    tcase_add_test(tc, a_copy_stands_alone);
    tcase_add_test(tc, nothing_known_is_nothing_said);
    tcase_add_loop_test(tc, a_text_that_is_not_fit_to_be_shown_is_left_out, 0, TEST_COUNT(unfit));
    tcase_add_test(tc, a_header_says_what_its_proxy_knows);
    tcase_add_test(tc, a_name_that_goes_on_behind_a_nul_is_nobodys);
    tcase_add_test(tc, the_longest_text_of_a_header_is_kept_and_a_longer_one_is_not);
    return suite;
}

TEST_MAIN(conn_facts_suite)
