/* One POST and its answer, on a loop, with a real socket on the other side. */
#include "http_post.h"

#include <stdio.h>
#include <string.h>

#include "err.h"
#include "loop_support.h"
#include "ocsp_support.h"
#include "test_main.h"
#include "tls_rig.h"
#include "url.h"

enum { ANSWER_MAX = 64 * 1024 };

static struct ocsp_support responder;
static struct http_post *post; /* NULL: it has ended */
static char text[400];
static size_t n_body;
static bool is_silence;

static void on_done(struct http_post *p, const struct http_post_end *end, void *arg)
{
    ck_assert_ptr_eq(p, post);
    ck_assert_ptr_eq(arg, &responder);
    post = NULL;
    n_body = end->len;
    is_silence = end->is_silence;
    snprintf(text, sizeof(text), "%s", end->text ? end->text : "");
}

static bool is_over(void *arg)
{
    return !post;
}

static bool has_been_asked(void *arg)
{
    return responder.n_questions > 0;
}

static int start(const char *to, const void *body, size_t n, uint32_t timeout_ms)
{
    struct url url;
    ck_assert_msg(url_parse(to, "http", &url) == 0, "%s", err_text());
    const struct http_post_params params = {
        .url = &url,
        .type = "application/ocsp-request",
        .accept = "application/ocsp-response",
        .body = body,
        .body_len = n,
        .answer_max = ANSWER_MAX,
        .timeout_ms = timeout_ms,
    };
    return http_post_start(rig.loop, &params, on_done, &responder, &post);
}

/* A good question, about whatever. */
static void ask(uint32_t timeout_ms)
{
    X509 *cert = ocsp_support_load("server.pem"), *issuer = ocsp_support_load("ca.pem");
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    unsigned char *der = NULL;
    OCSP_request_add0_id(request, OCSP_cert_to_id(NULL, cert, issuer));
    const int n = i2d_OCSP_REQUEST(request, &der);
    ck_assert_int_eq(start(responder.url, der, (size_t)n, timeout_ms), 0);
    OPENSSL_free(der);
    OCSP_REQUEST_free(request);
    X509_free(cert);
    X509_free(issuer);
}

static void setup(void)
{
    tls_rig_setup();
    ocsp_support_start(&responder, rig.loop);
    text[0] = '\0';
    n_body = 0;
}

static void teardown(void)
{
    post = http_post_cancel(post);
    ocsp_support_stop(&responder);
    tls_rig_teardown();
}

START_TEST(a_question_is_http_and_its_answer_comes_back)
{
    ask(5000);
    loop_support_until(rig.loop, is_over, NULL);
    ck_assert_str_eq(text, "");
    ck_assert_uint_gt(n_body, 100);
    ck_assert_msg(strncmp(responder.head, "POST /ocsp HTTP/1.1\r\nHost: 127.0.0.1:", 37) == 0, "%s", responder.head);
    ck_assert_ptr_nonnull(strstr(responder.head, "\r\nContent-Type: application/ocsp-request\r\n"));
    ck_assert_ptr_nonnull(strstr(responder.head, "\r\nAccept: application/ocsp-response\r\n"));
    ck_assert_ptr_nonnull(strstr(responder.head, "\r\nConnection: close\r\n"));
}
END_TEST

static const struct {
    enum ocsp_support_mood mood;
    const char *text;
} moods[] = {
    {OCSP_SUPPORT_REFUSES, ": it answered 404 Not Found"},
    {OCSP_SUPPORT_MOVES, ": it answered 302 Found"},
    {OCSP_SUPPORT_FLOODS, ": its answer is longer than 65536 bytes"},
    {OCSP_SUPPORT_HANGS_UP, ": it closed before its answer was whole"},
};

START_TEST(what_is_no_answer_is_told_with_the_hosts_name)
{
    responder.mood = moods[_i].mood;
    ask(5000);
    loop_support_until(rig.loop, is_over, NULL);
    ck_assert_msg(strncmp(text, "127.0.0.1:", 10) == 0 && strstr(text, moods[_i].text), "%s", text);
    ck_assert(!is_silence);
}
END_TEST

START_TEST(time_is_limited)
{
    responder.mood = OCSP_SUPPORT_WAITS;
    ask(50);
    loop_support_until(rig.loop, is_over, NULL);
    ck_assert_msg(strstr(text, ": no answer in time") != NULL, "%s", text);
    ck_assert(is_silence);
    ck_assert_uint_eq(responder.n_questions, 1);
}
END_TEST

START_TEST(nobody_there_is_told)
{
    char url[sizeof(responder.url)];
    memcpy(url, responder.url, sizeof(url));
    ocsp_support_stop(&responder);
    ck_assert_int_eq(start(url, "x", 1, 5000), 0);
    loop_support_until(rig.loop, is_over, NULL);
    ck_assert_msg(strstr(text, ": Connection refused") != NULL, "%s", text);
    ck_assert(is_silence);
}
END_TEST

START_TEST(a_post_can_be_given_up)
{
    responder.mood = OCSP_SUPPORT_WAITS;
    ask(5000);
    if (_i == 1)
        loop_support_until(rig.loop, has_been_asked, NULL);
    post = http_post_cancel(post);
    responder.mood = OCSP_SUPPORT_ANSWERS;
    loop_support_turns(rig.loop, 5);
    ck_assert_str_eq(text, "");
    ck_assert_uint_eq(n_body, 0);
}
END_TEST

static Suite *http_post_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("http_post", &tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_question_is_http_and_its_answer_comes_back);
    tcase_add_loop_test(tc, what_is_no_answer_is_told_with_the_hosts_name, 0, TEST_COUNT(moods));
    tcase_add_test(tc, time_is_limited);
    tcase_add_test(tc, nobody_there_is_told);
    tcase_add_loop_test(tc, a_post_can_be_given_up, 0, 2);
    return suite;
}

TEST_MAIN(http_post_suite)
