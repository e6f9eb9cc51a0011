/* Answers over HTTP: which count, which are refused and with what words, in any pieces. */
#include "http_answer.h"

#include <stdbool.h>
#include <string.h>

#include "test_main.h"

enum { BODY_MAX = 10 };

#define OK "HTTP/1.1 200 OK\r\n"

static const struct {
    const char *bytes;
    const char *body; /* NULL: refused */
    const char *text;
    bool is_until_end; /* only the end of the connection makes it whole */
} answers[] = {
    {OK "Content-Length: 5\r\n\r\nhello", "hello", NULL, false},
    {OK "Content-Length: 0\r\n\r\n", "", NULL, false},
    {OK "Content-Length: 10\r\n\r\n0123456789", "0123456789", NULL, false},
    {OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello", NULL, false},
    {"HTTP/1.0 200 OK\r\n\r\nhello", "hello", NULL, true},
    {OK "Connection: close\r\n\r\n", "", NULL, true},
    {OK "Content-Length: 11\r\n\r\n", NULL, "its answer is longer than 10 bytes", false},
    {OK "Content-Length: 99999999999999999999999\r\n\r\n", NULL, "its answer is no HTTP: ", false},
    {OK "Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n", NULL, "its answer is longer than 10 bytes", false},
    {"HTTP/1.0 200 OK\r\n\r\n0123456789a", NULL, "its answer is longer than 10 bytes", false},
    {"HTTP/1.1 301 Moved Permanently\r\nLocation: /\r\n\r\n", NULL, "it answered 301 Moved Permanently", false},
    {"HTTP/1.1 404 \x1b[31mred\r\n\r\n", NULL, "it answered 404 Not Found", false},
    {"HTTP/1.1 503 x\r\nContent-Length: 1\r\n\r\nx", NULL, "it answered 503 Service Unavailable", false},
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", NULL,
     "it answered 101 Switching Protocols", false},
    {"SSH-2.0-OpenSSH\r\n", NULL, "its answer is no HTTP: ", false},
    {"", NULL, "it closed before its answer was whole", true},
    {"HTTP/1.1 200", NULL, "its answer is no HTTP: ", true},
    {OK "Content-Length: 5\r\n\r\nhell", NULL, "its answer is no HTTP: ", true},
};

static int feed(struct http_answer *a, const char *bytes, size_t n, size_t piece)
{
    int r = HTTP_ANSWER_MORE;
    for (size_t at = 0; at < n && r == HTTP_ANSWER_MORE; at += piece) {
        struct cursor input = cursor_make(bytes + at, n - at < piece ? n - at : piece);
        r = http_answer_feed(a, &input);
        ck_assert(r != HTTP_ANSWER_MORE || input.len == 0);
    }
    return r;
}

static void assert_body(const struct http_answer *a, const char *wanted)
{
    size_t n;
    const uint8_t *body = http_answer_body(a, &n);
    ck_assert_uint_eq(n, strlen(wanted));
    ck_assert_mem_eq(body, wanted, n);
}

static void check_answer(size_t index, size_t piece)
{
    const char *bytes = answers[index].bytes;
    struct http_answer *a = http_answer_new(BODY_MAX);
    int r = feed(a, bytes, strlen(bytes), piece);
    ck_assert(!answers[index].is_until_end == (r != HTTP_ANSWER_MORE));
    if (answers[index].is_until_end)
        r = http_answer_end(a);
    ck_assert_int_eq(r, answers[index].body ? HTTP_ANSWER_DONE : HTTP_ANSWER_REFUSED);
    if (answers[index].body)
        assert_body(a, answers[index].body);
    else
        ck_assert_msg(strncmp(http_answer_text(a), answers[index].text, strlen(answers[index].text)) == 0, "%s",
                      http_answer_text(a));
    http_answer_free(a);
}

START_TEST(an_answer_counts_or_is_refused_in_any_pieces)
{
    for (size_t piece = 1; piece < 40; piece += 3)
        check_answer((size_t)_i, piece);
    check_answer((size_t)_i, 1000);
}
END_TEST

START_TEST(what_follows_the_answer_is_left)
{
    static const char bytes[] = OK "Content-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n";
    struct http_answer *a = http_answer_new(BODY_MAX);
    struct cursor input = cursor_make(bytes, sizeof(bytes) - 1);
    ck_assert_int_eq(http_answer_feed(a, &input), HTTP_ANSWER_DONE);
    ck_assert_uint_eq(input.len, strlen("HTTP/1.1 200 OK\r\n"));
    assert_body(a, "hi");
    http_answer_free(a);
}
END_TEST

START_TEST(a_header_without_end_is_refused)
{
    static const char line[] = "X-Header: 0123456789\r\n";
    struct http_answer *a = http_answer_new(BODY_MAX);
    ck_assert_int_eq(feed(a, OK, strlen(OK), 100), HTTP_ANSWER_MORE);
    int r = HTTP_ANSWER_MORE;
    for (size_t n = 0; r == HTTP_ANSWER_MORE; n += strlen(line)) {
        ck_assert_uint_le(n, HTTP_ANSWER_HEAD_MAX);
        r = feed(a, line, strlen(line), 100);
    }
    ck_assert_int_eq(r, HTTP_ANSWER_REFUSED);
    ck_assert_msg(strstr(http_answer_text(a), "a header longer than") != NULL, "%s", http_answer_text(a));
    http_answer_free(a);
}
END_TEST

static Suite *http_answer_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("http_answer", &tc);
    tcase_add_loop_test(tc, an_answer_counts_or_is_refused_in_any_pieces, 0, TEST_COUNT(answers));
    tcase_add_test(tc, what_follows_the_answer_is_left);
    tcase_add_test(tc, a_header_without_end_is_refused);
    return suite;
}

TEST_MAIN(http_answer_suite)
