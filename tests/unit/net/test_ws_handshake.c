/* The opening handshake of WebSocket: RFC 6455's own examples, each reason to refuse, any pieces. */
#include "ws_handshake.h"

#include <stdio.h>
#include <string.h>

#include "err.h"
#include "test_main.h"

static const struct ws_server_params any_origin = {.path = "/mqtt"};

/* The example of RFC 6455 1.3 with MQTT's path and subprotocol. */
#define REQUEST_BEGIN "GET /mqtt HTTP/1.1\r\nHost: server.example.com\r\n"
#define UPGRADE       "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEY           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION       "Sec-WebSocket-Version: 13\r\n"
#define PROTOCOL      "Sec-WebSocket-Protocol: mqtt\r\n"
#define REQUEST       REQUEST_BEGIN UPGRADE KEY "Origin: http://example.com\r\n" PROTOCOL VERSION "\r\n"
#define ACCEPT        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static struct ws_handshake *feed_server(const struct ws_server_params *params, const char *request, int *ret_result)
{
    struct ws_handshake *h = ws_handshake_new_server(params);
    struct cursor input = cursor_make(request, strlen(request));
    *ret_result = ws_handshake_feed(h, &input);
    return h;
}

static bool output_has(const struct ws_handshake *h, const char *text)
{
    size_t len;
    const char *output = ws_handshake_output(h, &len);
    return memmem(output, len, text, strlen(text));
}

static bool output_ends(const struct ws_handshake *h)
{
    size_t len;
    const char *output = ws_handshake_output(h, &len);
    return len > 4 && memcmp(output + len - 4, "\r\n\r\n", 4) == 0;
}

START_TEST(the_example_of_the_rfc_is_answered_as_there)
{
    int r;
    struct ws_handshake *h = feed_server(&any_origin, REQUEST, &r);
    ck_assert_int_eq(r, WS_HANDSHAKE_DONE);
    ck_assert_uint_eq(ws_handshake_status(h), 101);
    ck_assert(output_has(h, "HTTP/1.1 101 Switching Protocols\r\n"));
    ck_assert(output_has(h, "\r\nSec-WebSocket-Accept: " ACCEPT "\r\n"));
    ck_assert(output_has(h, "\r\nUpgrade: websocket\r\n"));
    ck_assert(output_has(h, "\r\nConnection: Upgrade\r\n"));
    ck_assert(output_has(h, "\r\nSec-WebSocket-Protocol: mqtt\r\n"));
    ck_assert(output_ends(h));
    ck_assert_ptr_null(ws_handshake_forwarded_for(h));
    ws_handshake_free(h);
}
END_TEST

START_TEST(a_request_may_be_cut_anywhere)
{
    const char *request = REQUEST;
    const size_t cut = (size_t)_i;
    struct ws_handshake *h = ws_handshake_new_server(&any_origin);
    struct cursor input = cursor_make(request, cut);
    ck_assert_int_eq(ws_handshake_feed(h, &input), WS_HANDSHAKE_MORE);
    ck_assert_uint_eq(input.len, 0);
    input = cursor_make(request + cut, strlen(request) - cut);
    ck_assert_int_eq(ws_handshake_feed(h, &input), WS_HANDSHAKE_DONE);
    ck_assert(output_has(h, ACCEPT));
    ws_handshake_free(h);
}
END_TEST

START_TEST(a_request_may_come_byte_by_byte)
{
    struct ws_handshake *h = ws_handshake_new_server(&any_origin);
    int r = WS_HANDSHAKE_MORE;
    for (const char *at = REQUEST; *at; at++) {
        struct cursor input = cursor_make(at, 1);
        ck_assert_int_eq(r, WS_HANDSHAKE_MORE);
        r = ws_handshake_feed(h, &input);
    }
    ck_assert_int_eq(r, WS_HANDSHAKE_DONE);
    ck_assert(output_has(h, ACCEPT));
    ws_handshake_free(h);
}
END_TEST

START_TEST(what_follows_the_request_is_left)
{
    struct ws_handshake *h = ws_handshake_new_server(&any_origin);
    struct cursor input = cursor_make(REQUEST "\x82\x80", strlen(REQUEST) + 2);
    ck_assert_int_eq(ws_handshake_feed(h, &input), WS_HANDSHAKE_DONE);
    ck_assert_uint_eq(input.len, 2);
    ck_assert_uint_eq(input.ptr[0], 0x82);
    ws_handshake_free(h);
}
END_TEST

static const struct {
    const char *offer, *answer;
} protocols[] = {
    {"Sec-WebSocket-Protocol: mqtt\r\n", "mqtt"},
    {"Sec-WebSocket-Protocol: mqttv3.1\r\n", "mqttv3.1"},
    {"Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n", "mqttv3.1"},
    {"Sec-WebSocket-Protocol: chat ,, mqtt\t,mqttv3.1\r\n", "mqtt"},
    {"Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: mqtt\r\n", "mqtt"},
    {"sec-websocket-protocol:mqtt\r\n", "mqtt"},
};

START_TEST(a_subprotocol_of_mqtt_is_chosen)
{
    char request[512], line[64];
    int r;
    snprintf(request, sizeof(request), REQUEST_BEGIN UPGRADE KEY VERSION "%s\r\n", protocols[_i].offer);
    snprintf(line, sizeof(line), "\r\nSec-WebSocket-Protocol: %s\r\n", protocols[_i].answer);
    struct ws_handshake *h = feed_server(&any_origin, request, &r);
    ck_assert_int_eq(r, WS_HANDSHAKE_DONE);
    ck_assert_msg(output_has(h, line), "%s", line);
    ws_handshake_free(h);
}
END_TEST

static const char *const unusual_but_right[] = {
    "GET /mqtt?token=1 HTTP/1.1\r\nHost: h\r\n" UPGRADE KEY VERSION PROTOCOL "\r\n",
    "GET http://h:8080/mqtt HTTP/1.1\r\nHost: h:8080\r\n" UPGRADE KEY VERSION PROTOCOL "\r\n",
    REQUEST_BEGIN "Upgrade: WebSocket\r\nConnection: keep-alive, UPGRADE\r\n" KEY VERSION PROTOCOL "\r\n",
    REQUEST_BEGIN
    "Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: keep-alive\r\nConnection: upgrade\r\n" KEY VERSION PROTOCOL
    "\r\n",
    REQUEST_BEGIN UPGRADE KEY VERSION PROTOCOL "Content-Length: 0\r\nX-Empty:\r\nCookie: a=b\r\n\r\n",
    "\r\n" REQUEST,
};

START_TEST(what_is_unusual_but_right_is_accepted)
{
    int r;
    struct ws_handshake *h = feed_server(&any_origin, unusual_but_right[_i], &r);
    ck_assert_msg(r == WS_HANDSHAKE_DONE, "%s: %s", unusual_but_right[_i], ws_handshake_text(h));
    ws_handshake_free(h);
}
END_TEST

static const struct {
    unsigned status;
    const char *text, *request;
} refusals[] = {
    {400, "method", "\x10\x0c\x00\x04MQTT\x04\x02\r\n\r\n"},
    {400, "method", "\x16\x03\x01\x02\x00\r\n"},
    {400, "", "GET /mqtt\r\n\r\n"},
    {400, "", REQUEST_BEGIN "Bad\x01Name: x\r\n\r\n"},
    {400, "", REQUEST_BEGIN "X: folded\r\n over two lines\r\n" UPGRADE KEY VERSION PROTOCOL "\r\n"},
    {400, "1.1", "GET /mqtt HTTP/1.0\r\nHost: h\r\n" UPGRADE KEY VERSION PROTOCOL "\r\n"},
    {400, "1.1", "GET /mqtt HTTP/2.0\r\nHost: h\r\n" UPGRADE KEY VERSION PROTOCOL "\r\n"},
    {400, "Host", "GET /mqtt HTTP/1.1\r\n" UPGRADE KEY VERSION PROTOCOL "\r\n"},
    {400, "Host", REQUEST_BEGIN "Host: other\r\n" UPGRADE KEY VERSION PROTOCOL "\r\n"},
    {400, "Connection", REQUEST_BEGIN "Upgrade: websocket\r\nConnection: close\r\n" KEY VERSION PROTOCOL "\r\n"},
    {400, "Key", REQUEST_BEGIN UPGRADE VERSION PROTOCOL "\r\n"},
    {400, "Key", REQUEST_BEGIN UPGRADE KEY KEY VERSION PROTOCOL "\r\n"},
    {400, "Key", REQUEST_BEGIN UPGRADE "Sec-WebSocket-Key: c2hvcnQ=\r\n" VERSION PROTOCOL "\r\n"},
    {400, "Key", REQUEST_BEGIN UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j*Q==\r\n" VERSION PROTOCOL "\r\n"},
    {400, "Key", REQUEST_BEGIN UPGRADE "Sec-WebSocket-Key:\r\n" VERSION PROTOCOL "\r\n"},
    {400, "subprotocol", REQUEST_BEGIN UPGRADE KEY VERSION "\r\n"},
    {400, "subprotocol", REQUEST_BEGIN UPGRADE KEY VERSION "Sec-WebSocket-Protocol: MQTT, chat\r\n\r\n"},
    {400, "Origin", REQUEST_BEGIN UPGRADE KEY VERSION PROTOCOL "Origin: http://a\r\nOrigin: http://b\r\n\r\n"},
    {400, "body", REQUEST_BEGIN UPGRADE KEY VERSION PROTOCOL "Content-Length: 5\r\n\r\nhello"},
    {400, "body", REQUEST_BEGIN UPGRADE KEY VERSION PROTOCOL "Transfer-Encoding: chunked\r\n\r\n"},
    {404, "'/other', not '/mqtt'", "GET /other HTTP/1.1\r\nHost: h\r\n" UPGRADE KEY VERSION PROTOCOL "\r\n"},
    {404, "'/mqtt/'", "GET /mqtt/ HTTP/1.1\r\nHost: h\r\n" UPGRADE KEY VERSION PROTOCOL "\r\n"},
    {404, "'/'", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
    {404, "'*'", "GET * HTTP/1.1\r\nHost: h\r\n\r\n"},
    {405, "GET", "POST /mqtt HTTP/1.1\r\nHost: h\r\n" UPGRADE KEY VERSION PROTOCOL "\r\n"},
    {405, "GET", "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n"},
    {426, "Upgrade", REQUEST_BEGIN "\r\n"},
    {426, "Version", REQUEST_BEGIN UPGRADE KEY PROTOCOL "\r\n"},
    {426, "Version", REQUEST_BEGIN UPGRADE KEY PROTOCOL "Sec-WebSocket-Version: 8\r\n\r\n"},
    {426, "Version",
     REQUEST_BEGIN UPGRADE KEY PROTOCOL "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8\r\n\r\n"},
};

START_TEST(what_is_wrong_is_refused_with_its_status_and_reason)
{
    char line[32];
    int r;
    struct ws_handshake *h = feed_server(&any_origin, refusals[_i].request, &r);
    ck_assert_msg(r == WS_HANDSHAKE_REFUSED, "%s", refusals[_i].request);
    ck_assert_msg(ws_handshake_status(h) == refusals[_i].status, "%s: %u %s", refusals[_i].request,
                  ws_handshake_status(h), ws_handshake_text(h));
    ck_assert_msg(strstr(ws_handshake_text(h), refusals[_i].text), "%s: %s", refusals[_i].request,
                  ws_handshake_text(h));
    snprintf(line, sizeof(line), "HTTP/1.1 %u ", refusals[_i].status);
    ck_assert(output_has(h, line) && output_has(h, "close") && output_ends(h));
    ck_assert_int_eq(output_has(h, "Sec-WebSocket-Version: 13\r\n"), refusals[_i].status == 426);
    ck_assert_int_eq(output_has(h, "Allow: GET\r\n"), refusals[_i].status == 405);
    ws_handshake_free(h);
}
END_TEST

static void feed_header_of(size_t n, int expected, unsigned status)
{
    struct ws_handshake *h = ws_handshake_new_server(&any_origin);
    struct cursor input = cursor_make(REQUEST_BEGIN "X: ", strlen(REQUEST_BEGIN "X: "));
    int r = ws_handshake_feed(h, &input);
    for (size_t i = 0; i < n && r == WS_HANDSHAKE_MORE; i++) {
        input = cursor_make("a", 1);
        r = ws_handshake_feed(h, &input);
    }
    input = cursor_make("\r\n" UPGRADE KEY VERSION PROTOCOL "\r\n", strlen("\r\n" UPGRADE KEY VERSION PROTOCOL "\r\n"));
    if (r == WS_HANDSHAKE_MORE)
        r = ws_handshake_feed(h, &input);
    ck_assert_int_eq(r, expected);
    ck_assert_uint_eq(ws_handshake_status(h), status);
    ws_handshake_free(h);
}

START_TEST(a_header_ends_at_its_limit)
{
    const size_t others = strlen(REQUEST_BEGIN "X: \r\n" UPGRADE KEY VERSION PROTOCOL "\r\n");
    feed_header_of(WS_HANDSHAKE_MAX - others, WS_HANDSHAKE_DONE, 101);
    feed_header_of(WS_HANDSHAKE_MAX - others + 1, WS_HANDSHAKE_REFUSED, 431);
    feed_header_of(1000000, WS_HANDSHAKE_REFUSED, 431);
}
END_TEST

START_TEST(a_request_line_without_end_is_too_long)
{
    char line[10000];
    int r;
    memset(line, 'a', sizeof(line));
    memcpy(line, "GET /", 5);
    line[sizeof(line) - 1] = '\0';
    struct ws_handshake *h = feed_server(&any_origin, line, &r);
    ck_assert_int_eq(r, WS_HANDSHAKE_REFUSED);
    ck_assert_uint_eq(ws_handshake_status(h), 431);
    ws_handshake_free(h);
}
END_TEST

static const struct {
    const char *line;
    bool is_allowed;
} origins[] = {
    {"", true}, /* no browser */
    {"Origin: https://one.example\r\n", true},
    {"Origin: HTTPS://Two.example:8443\r\n", true},
    {"Origin: https://one.example.evil\r\n", false},
    {"Origin: http://one.example\r\n", false},
    {"Origin: null\r\n", false},
    {"Origin:\r\n", false},
};

START_TEST(only_origins_of_the_list_are_allowed)
{
    char *list[] = {"https://one.example", "https://two.example:8443"};
    const struct ws_server_params params = {.path = "/mqtt", .origins = list, .n_origins = 2};
    char request[512];
    int r;
    snprintf(request, sizeof(request), REQUEST_BEGIN UPGRADE KEY VERSION PROTOCOL "%s\r\n", origins[_i].line);
    struct ws_handshake *h = feed_server(&params, request, &r);
    ck_assert_int_eq(r, origins[_i].is_allowed ? WS_HANDSHAKE_DONE : WS_HANDSHAKE_REFUSED);
    ck_assert_uint_eq(ws_handshake_status(h), origins[_i].is_allowed ? 101 : 403);
    ws_handshake_free(h);
}
END_TEST

START_TEST(forwarded_addresses_are_collected_in_order)
{
    int r;
    struct ws_handshake *h = feed_server(&any_origin,
                                         REQUEST_BEGIN "X-Forwarded-For: 203.0.113.7, 10.0.0.1\r\n" UPGRADE KEY VERSION
                                                       "x-forwarded-for: 10.0.0.2 \r\n" PROTOCOL "\r\n",
                                         &r);
    ck_assert_int_eq(r, WS_HANDSHAKE_DONE);
    ck_assert_str_eq(ws_handshake_forwarded_for(h), "203.0.113.7, 10.0.0.1,10.0.0.2");
    ws_handshake_free(h);
}
END_TEST

START_TEST(a_stranger_cannot_write_into_the_log)
{
    int r;
    struct ws_handshake *h =
        feed_server(&any_origin, "GET /\xff'quoted' HTTP/1.1\r\nHost: h\r\n" UPGRADE KEY VERSION PROTOCOL "\r\n", &r);
    ck_assert_int_eq(r, WS_HANDSHAKE_REFUSED);
    for (const char *at = ws_handshake_text(h); *at; at++)
        ck_assert(*at >= ' ' && *at < 0x7f);
    ws_handshake_free(h);
}
END_TEST

/* --- As client */

static const struct ws_client_params broker = {.host = "broker.example", .port = 8080, .path = "/mqtt"};

/* The value of the request's line NAME, at DST. */
static void request_value(const struct ws_handshake *h, const char *name, char *dst, size_t size)
{
    size_t len;
    const char *output = ws_handshake_output(h, &len);
    const char *line = memmem(output, len, name, strlen(name));
    ck_assert_ptr_nonnull(line);
    line += strlen(name);
    snprintf(dst, size, "%.*s", (int)(strchr(line, '\r') - line), line);
}

/* What our own server makes of the request of our own client. */
static void answer(const struct ws_handshake *client, char *dst, size_t size)
{
    size_t len;
    const char *output = ws_handshake_output(client, &len);
    struct ws_handshake *server = ws_handshake_new_server(&any_origin);
    struct cursor input = cursor_make(output, len);
    ck_assert_msg(ws_handshake_feed(server, &input) == WS_HANDSHAKE_DONE, "%s", ws_handshake_text(server));
    output = ws_handshake_output(server, &len);
    ck_assert_uint_lt(len, size);
    memcpy(dst, output, len);
    dst[len] = '\0';
    ws_handshake_free(server);
}

START_TEST(our_client_and_our_server_agree)
{
    char text[1024];
    struct ws_handshake *h = ws_handshake_new_client(&broker);
    answer(h, text, sizeof(text) - 2);
    strcat(text, "\x82\x7e");
    for (const char *at = text;; at++) {
        struct cursor input = cursor_make(at, *at == '\n' && at[1] == '\x82' ? 3 : 1);
        int r = ws_handshake_feed(h, &input);
        if (r == WS_HANDSHAKE_MORE)
            continue;
        ck_assert_msg(r == WS_HANDSHAKE_DONE, "%s", ws_handshake_text(h));
        ck_assert_uint_eq(input.len, 2);
        break;
    }
    ws_handshake_free(h);
}
END_TEST

START_TEST(a_request_names_its_host_as_http_wants_it)
{
    static const struct {
        struct ws_client_params params;
        const char *host;
    } cases[] = {
        {{"broker.example", 8080, "/mqtt"}, "broker.example:8080"},
        {{"broker.example", 0, "/mqtt"}, "broker.example"},
        {{"::1", 8080, "/mqtt"}, "[::1]:8080"},
    };
    char value[64];
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct ws_handshake *h = ws_handshake_new_client(&cases[i].params);
        request_value(h, "\r\nHost: ", value, sizeof(value));
        ck_assert_str_eq(value, cases[i].host);
        ws_handshake_free(h);
    }
}
END_TEST

START_TEST(each_request_has_a_key_of_its_own)
{
    char first[64], second[64];
    struct ws_handshake *h = ws_handshake_new_client(&broker);
    request_value(h, "Sec-WebSocket-Key: ", first, sizeof(first));
    ws_handshake_free(h);
    h = ws_handshake_new_client(&broker);
    request_value(h, "Sec-WebSocket-Key: ", second, sizeof(second));
    ws_handshake_free(h);
    ck_assert_uint_eq(strlen(first), 24);
    ck_assert_str_ne(first, second);
}
END_TEST

START_TEST(a_path_that_does_not_fit_is_an_error)
{
    char path[1000];
    memset(path, 'a', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    const struct ws_client_params params = {.host = "h", .path = path};
    ck_assert_ptr_null(ws_handshake_new_client(&params));
    ck_assert_ptr_nonnull(strstr(err_text(), "too long"));
}
END_TEST

/* What is put in place of a part of the right answer. */
static const struct {
    const char *part, *instead, *text;
} wrong_answers[] = {
    {"HTTP/1.1 101 Switching Protocols", "HTTP/1.1 403 Forbidden", "403 Forbidden"},
    {"HTTP/1.1 101 Switching Protocols", "HTTP/1.1 302 Found", "302 Found"},
    {"HTTP/1.1 101 Switching Protocols", "\x20\x02\x01\x05", "no HTTP"},
    {"Upgrade: websocket", "Upgrade: h2c", "something else"},
    {"Connection: Upgrade", "Connection: close", "something else"},
    {"Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x", "Accept"},
    {"Sec-WebSocket-Accept: ", "X: ", "Accept"},
    {"Sec-WebSocket-Protocol: mqtt", "X: mqtt", "no subprotocol"},
    {"Sec-WebSocket-Protocol: mqtt", "Sec-WebSocket-Protocol: chat", "'chat'"},
    {"Sec-WebSocket-Protocol: mqtt", "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Protocol: mqtt", "'mqtt'"},
    {"Upgrade: websocket", "Upgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate", "extension"},
};

START_TEST(an_answer_that_does_not_fit_is_refused)
{
    char right[1024], text[2048];
    struct ws_handshake *h = ws_handshake_new_client(&broker);
    answer(h, right, sizeof(right));
    const char *part = strstr(right, wrong_answers[_i].part);
    ck_assert_ptr_nonnull(part);
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(part - right), right, wrong_answers[_i].instead,
             part + strlen(wrong_answers[_i].part));
    struct cursor input = cursor_make(text, strlen(text));
    ck_assert_int_eq(ws_handshake_feed(h, &input), WS_HANDSHAKE_REFUSED);
    ck_assert_msg(strstr(ws_handshake_text(h), wrong_answers[_i].text), "%s", ws_handshake_text(h));
    ws_handshake_free(h);
}
END_TEST

START_TEST(an_endless_answer_is_refused)
{
    char line[10000];
    struct ws_handshake *h = ws_handshake_new_client(&broker);
    struct cursor input = cursor_make("HTTP/1.1 101 X\r\nX: ", 19);
    ck_assert_int_eq(ws_handshake_feed(h, &input), WS_HANDSHAKE_MORE);
    memset(line, 'a', sizeof(line));
    input = cursor_make(line, sizeof(line));
    ck_assert_int_eq(ws_handshake_feed(h, &input), WS_HANDSHAKE_REFUSED);
    ck_assert_ptr_nonnull(strstr(ws_handshake_text(h), "too long"));
    ws_handshake_free(h);
}
END_TEST

static Suite *ws_handshake_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("ws_handshake", &tc);
    tcase_add_test(tc, the_example_of_the_rfc_is_answered_as_there);
    tcase_add_loop_test(tc, a_request_may_be_cut_anywhere, 0, (int)strlen(REQUEST));
    tcase_add_test(tc, a_request_may_come_byte_by_byte);
    tcase_add_test(tc, what_follows_the_request_is_left);
    tcase_add_loop_test(tc, a_subprotocol_of_mqtt_is_chosen, 0, TEST_COUNT(protocols));
    tcase_add_loop_test(tc, what_is_unusual_but_right_is_accepted, 0, TEST_COUNT(unusual_but_right));
    tcase_add_loop_test(tc, what_is_wrong_is_refused_with_its_status_and_reason, 0, TEST_COUNT(refusals));
    tcase_add_test(tc, a_header_ends_at_its_limit);
    tcase_add_test(tc, a_request_line_without_end_is_too_long);
    tcase_add_loop_test(tc, only_origins_of_the_list_are_allowed, 0, TEST_COUNT(origins));
    tcase_add_test(tc, forwarded_addresses_are_collected_in_order);
    tcase_add_test(tc, a_stranger_cannot_write_into_the_log);
    tcase_add_test(tc, our_client_and_our_server_agree);
    tcase_add_test(tc, a_request_names_its_host_as_http_wants_it);
    tcase_add_test(tc, each_request_has_a_key_of_its_own);
    tcase_add_test(tc, a_path_that_does_not_fit_is_an_error);
    tcase_add_loop_test(tc, an_answer_that_does_not_fit_is_refused, 0, TEST_COUNT(wrong_answers));
    tcase_add_test(tc, an_endless_answer_is_refused);
    return suite;
}

TEST_MAIN(ws_handshake_suite)
