/* Which answers by OCSP count, and what is said of those that do not. */
#include "ocsp.h"

#include <string.h>

#include "ocsp_support.h"
#include "test_main.h"
#include "tls_support.h"

enum { HOUR_S = 3600 };

static struct ocsp_answer read_bytes(const unsigned char *der, size_t n, OCSP_REQUEST *request)
{
    struct ocsp_answer answer;
    X509 *cert = ocsp_support_load("server.pem"), *issuer = ocsp_support_load("ca.pem");
    ocsp_read_answer(der, n, cert, issuer, request, &answer);
    X509_free(cert);
    X509_free(issuer);
    return answer;
}

/* What is said of server.pem by an answer that is about ABOUT. */
static struct ocsp_answer read_answer(const struct ocsp_support_answer *a, const char *about)
{
    size_t n;
    X509 *cert = ocsp_support_load("server.pem"), *issuer = ocsp_support_load("ca.pem");
    OCSP_REQUEST *request = ocsp_make_request(cert, issuer, true);
    unsigned char *der = ocsp_support_make(a, about, request, &n);
    const struct ocsp_answer answer = read_bytes(der, n, request);
    OPENSSL_free(der);
    OCSP_REQUEST_free(request);
    X509_free(cert);
    X509_free(issuer);
    return answer;
}

static const struct {
    struct ocsp_support_answer answer;
    enum ocsp_status status;
    const char *text; /* beginning; NULL: none */
} cases[] = {
    {{.status = V_OCSP_CERTSTATUS_GOOD}, OCSP_STATUS_GOOD, NULL},
    {{.to_s = HOUR_S}, OCSP_STATUS_GOOD, NULL},
    {{.signer = "responder.pem"}, OCSP_STATUS_GOOD, NULL},
    {{.has_no_certs = true}, OCSP_STATUS_GOOD, NULL},
    {{.has_sha256_id = true}, OCSP_STATUS_GOOD, NULL},
    {{.has_no_nonce = true}, OCSP_STATUS_GOOD, NULL},
    {{.from_s = 200, .to_s = HOUR_S}, OCSP_STATUS_GOOD, NULL}, /* clocks differ */
    {{.from_s = -HOUR_S, .to_s = -200}, OCSP_STATUS_GOOD, NULL},
    {{.status = V_OCSP_CERTSTATUS_REVOKED}, OCSP_STATUS_REVOKED, "revoked since 20"},
    {{.status = V_OCSP_CERTSTATUS_UNKNOWN}, OCSP_STATUS_UNKNOWN, NULL},

    {{.signer = "client.pem"}, OCSP_STATUS_NONE, "the answer is not signed by who may do so: "},
    {{.signer = "server.pem"}, OCSP_STATUS_NONE, "the answer is not signed by who may do so: "},
    {{.signer = "other-ca.pem"}, OCSP_STATUS_NONE, "the answer is not signed by who may do so: "},
    {{.signer = "other-responder.pem"}, OCSP_STATUS_NONE, "the answer is not signed by who may do so: "},
    {{.signer = "responder.pem", .has_no_certs = true},
     OCSP_STATUS_NONE,
     "the answer is not signed by who may do so: "},
    {{.issuer = "other-ca.pem"}, OCSP_STATUS_NONE, "the answer is not signed by who may do so: "},
    {{.from_s = HOUR_S, .to_s = 2 * HOUR_S}, OCSP_STATUS_NONE, "the answer is not of this time: status not yet valid"},
    {{.from_s = -2 * HOUR_S, .to_s = -HOUR_S}, OCSP_STATUS_NONE, "the answer is not of this time: status expired"},
    {{.from_s = -HOUR_S}, OCSP_STATUS_NONE, "the answer is not of this time: status too old"},
    {{.from_s = -100, .to_s = -200}, OCSP_STATUS_NONE, "the answer is not of this time: nextupdate before thisupdate"},
    {{.has_other_nonce = true}, OCSP_STATUS_NONE, "the answer has another nonce"},
    {{.error = OCSP_RESPONSE_STATUS_TRYLATER}, OCSP_STATUS_NONE, "the answer is \"trylater\""},
    {{.error = OCSP_RESPONSE_STATUS_UNAUTHORIZED}, OCSP_STATUS_NONE, "the answer is \"unauthorized\""},
};

START_TEST(an_answer_counts_or_says_why_not)
{
    const struct ocsp_answer answer = read_answer(&cases[_i].answer, "server.pem");
    ck_assert_int_eq((int)answer.status, (int)cases[_i].status);
    if (cases[_i].text)
        ck_assert_msg(strncmp(answer.text, cases[_i].text, strlen(cases[_i].text)) == 0, "%s", answer.text);
    else
        ck_assert_str_eq(answer.text, "");
}
END_TEST

START_TEST(a_revocation_tells_since_when_and_why)
{
    const struct ocsp_support_answer revoked = {.status = V_OCSP_CERTSTATUS_REVOKED};
    const struct ocsp_answer answer = read_answer(&revoked, "server.pem");
    ck_assert_msg(strstr(answer.text, " UTC (keyCompromise)") != NULL, "%s", answer.text);
}
END_TEST

START_TEST(an_answer_about_another_certificate_is_none)
{
    const struct ocsp_support_answer good = {.to_s = HOUR_S};
    const struct ocsp_answer answer = read_answer(&good, "server2.pem");
    ck_assert_int_eq((int)answer.status, OCSP_STATUS_NONE);
    ck_assert_str_eq(answer.text, "the answer is about another certificate");
}
END_TEST

START_TEST(an_answer_counts_until_its_next_update)
{
    const struct ocsp_support_answer dated = {.to_s = HOUR_S}, undated = {.to_s = 0};
    const time_t now = time(NULL);
    const time_t until = read_answer(&dated, "server.pem").until;
    ck_assert_int_ge(until, now + HOUR_S + OCSP_CLOCK_SKEW_S);
    ck_assert_int_le(until, now + HOUR_S + OCSP_CLOCK_SKEW_S + 10);
    const time_t undated_until = read_answer(&undated, "server.pem").until;
    ck_assert_int_ge(undated_until, now + OCSP_UNDATED_S + OCSP_CLOCK_SKEW_S);
    ck_assert_int_le(undated_until, now + OCSP_UNDATED_S + OCSP_CLOCK_SKEW_S + 10);
}
END_TEST

START_TEST(no_byte_of_an_answer_can_be_changed_or_missing)
{
    const struct ocsp_support_answer good = {.to_s = HOUR_S};
    size_t n;
    unsigned char *der = ocsp_support_make(&good, "server.pem", NULL, &n);
    ck_assert_int_eq((int)read_bytes(der, n, NULL).status, OCSP_STATUS_GOOD);
    for (size_t i = 0; i < n; i += 7) {
        der[i] ^= 1;
        const struct ocsp_answer answer = read_bytes(der, n, NULL);
        ck_assert_msg(answer.status != OCSP_STATUS_REVOKED && answer.status != OCSP_STATUS_UNKNOWN, "byte %zu", i);
        der[i] ^= 1;
        ck_assert_int_eq((int)read_bytes(der, i, NULL).status, OCSP_STATUS_NONE);
    }
    ck_assert_str_eq(read_bytes(der, 0, NULL).text, "the answer is no OCSP response");
    ck_assert_str_eq(read_bytes(der, (size_t)OCSP_ANSWER_MAX + 1, NULL).text, "the answer is no OCSP response");
    OPENSSL_free(der);
}
END_TEST

static const struct {
    const char *names, *responder; /* NULL: none that can be asked */
} responders[] = {
    {NULL, NULL},
    {"http://ocsp.example", "http://ocsp.example"},
    {"http://ocsp.example:8080/a/b", "http://ocsp.example:8080/a/b"},
    {"https://ocsp.example", NULL},
    {"ldap://ocsp.example", NULL},
    {"http://0123456789.0123456789.0123456789.example/", NULL}, /* longer than there is room */
};

START_TEST(the_responder_is_the_one_that_the_certificate_names)
{
    char url[40] = "";
    tls_support_issue("new.pem", "new", responders[_i].names);
    X509 *cert = ocsp_support_load("new.pem");
    ck_assert(ocsp_get_responder(cert, url, sizeof(url)) == (responders[_i].responder != NULL));
    ck_assert_str_eq(url, responders[_i].responder ? responders[_i].responder : "");
    X509_free(cert);
}
END_TEST

static Suite *ocsp_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("ocsp", &tc);
    tcase_add_loop_test(tc, an_answer_counts_or_says_why_not, 0, TEST_COUNT(cases));
    tcase_add_test(tc, a_revocation_tells_since_when_and_why);
    tcase_add_test(tc, an_answer_about_another_certificate_is_none);
    tcase_add_test(tc, an_answer_counts_until_its_next_update);
    tcase_add_test(tc, no_byte_of_an_answer_can_be_changed_or_missing);
    tcase_add_loop_test(tc, the_responder_is_the_one_that_the_certificate_names, 0, TEST_COUNT(responders));
    return suite;
}

TEST_MAIN(ocsp_suite)
