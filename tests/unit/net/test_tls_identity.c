/* The name that a TLS connection proves. */
#include "tls_identity.h"

#include "conn_tls.h"
#include "test_main.h"

START_TEST(a_certificate_has_the_name_that_was_asked_for)
{
    const char *names[] = {"DNS:pump-3.example", "URI:spiffe://site/pump-3"};
    const char *uri[] = {"URI:spiffe://site/pump-3"};
    struct conn_tls_facts facts = {
        .subject = "CN=pump-3", .common_name = "pump-3", .alt_names = names, .n_alt_names = 2};
    ck_assert_str_eq(tls_identity_name(&facts, TLS_IDENTITY_CN), "pump-3");
    ck_assert_str_eq(tls_identity_name(&facts, TLS_IDENTITY_SAN), "pump-3.example");
    facts.alt_names = uri;
    ck_assert_str_eq(tls_identity_name(&facts, TLS_IDENTITY_SAN), "spiffe://site/pump-3");
}
END_TEST

START_TEST(what_it_has_not_is_not_made_up)
{
    const char *names[] = {"DNS:"};
    const struct conn_tls_facts nameless = {.subject = "O=site"},
                                empty = {.subject = "CN=", .common_name = "", .alt_names = names, .n_alt_names = 1};
    ck_assert_ptr_null(tls_identity_name(&nameless, TLS_IDENTITY_CN));
    ck_assert_ptr_null(tls_identity_name(&nameless, TLS_IDENTITY_SAN));
    ck_assert_ptr_null(tls_identity_name(&empty, TLS_IDENTITY_CN));
    ck_assert_ptr_null(tls_identity_name(&empty, TLS_IDENTITY_SAN));
    ck_assert_ptr_null(tls_identity_name(NULL, TLS_IDENTITY_CN));
}
END_TEST

START_TEST(a_pre_shared_key_has_its_identity_and_only_without_a_certificate)
{
    const struct conn_tls_facts psk = {.psk = "pump-3"}, both = {.psk = "pump-3", .subject = "O=site"},
                                neither = {.version = "TLSv1.3"};
    ck_assert_str_eq(tls_identity_name(&psk, TLS_IDENTITY_CN), "pump-3");
    ck_assert_str_eq(tls_identity_name(&psk, TLS_IDENTITY_SAN), "pump-3");
    ck_assert_ptr_null(tls_identity_name(&both, TLS_IDENTITY_CN));
    ck_assert_ptr_null(tls_identity_name(&neither, TLS_IDENTITY_CN));
}
END_TEST

static Suite *tls_identity_suite(void)
{
    TCase *tcase;
    Suite *suite = test_suite("tls_identity", &tcase);
    tcase_add_test(tcase, a_certificate_has_the_name_that_was_asked_for);
    tcase_add_test(tcase, what_it_has_not_is_not_made_up);
    tcase_add_test(tcase, a_pre_shared_key_has_its_identity_and_only_without_a_certificate);
    return suite;
}

TEST_MAIN(tls_identity_suite)
