/* See http_answer.h. */
#include "http_answer.h"

#include <errno.h>
#include <http_parser.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "buf.h"

enum { HTTP_ANSWER_TEXT_MAX = 120, HTTP_ANSWER_FIRST_BYTES = 512 };

struct http_answer {
    http_parser parser;
    struct buf *body;
    size_t body_max;
    size_t total; /* bytes taken */
    int result;   /* enum http_answer_result, or -ENOMEM */
    char text[HTTP_ANSWER_TEXT_MAX];
};

static void http_answer_refuse(struct http_answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void http_answer_refuse(struct http_answer *a, const char *fmt, ...)
{
    va_list args;
    a->result = HTTP_ANSWER_REFUSED;
    va_start(args, fmt);
    vsnprintf(a->text, sizeof(a->text), fmt, args);
    va_end(args);
}

static void http_answer_refuse_length(struct http_answer *a)
{
    http_answer_refuse(a, "its answer is longer than %zu bytes", a->body_max);
}

/* --- What http-parser tells; -1 ends it */

static int http_answer_on_headers_complete(http_parser *parser)
{
    struct http_answer *a = parser->data;
    if (parser->status_code != HTTP_STATUS_OK) {
        http_answer_refuse(a, "it answered %u %s", parser->status_code,
                           http_status_str((enum http_status)parser->status_code));
        return -1;
    }
    if (parser->content_length != UINT64_MAX && parser->content_length > a->body_max) {
        http_answer_refuse_length(a);
        return -1;
    }
    return 0;
}

static int http_answer_on_body(http_parser *parser, const char *bytes, size_t n)
{
    struct http_answer *a = parser->data;
    int r = buf_append(a->body, bytes, n);
    if (r == -ENOBUFS)
        http_answer_refuse_length(a);
    else if (r < 0)
        a->result = r;
    return r < 0 ? -1 : 0;
}

/* Nothing behind it is read. */
static int http_answer_on_message_complete(http_parser *parser)
{
    struct http_answer *a = parser->data;
    a->result = HTTP_ANSWER_DONE;
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings http_answer_settings = {
    .on_headers_complete = http_answer_on_headers_complete,
    .on_body = http_answer_on_body,
    .on_message_complete = http_answer_on_message_complete,
};

/* --- Reading */

static size_t http_answer_parse(struct http_answer *a, const char *bytes, size_t n)
{
    size_t used = http_parser_execute(&a->parser, &http_answer_settings, bytes, n);
    enum http_errno e = HTTP_PARSER_ERRNO(&a->parser);
    if (a->result == HTTP_ANSWER_MORE && e != HPE_OK)
        http_answer_refuse(a, "its answer is no HTTP: %s", http_errno_description(e));
    return used < n ? used : n;
}

int http_answer_feed(struct http_answer *a, struct cursor *input)
{
    if (input->len == 0) /* to http-parser that is the end */
        return a->result;
    size_t used = http_answer_parse(a, (const char *)input->ptr, input->len);
    cursor_skip(input, used);
    a->total += used;
    if (a->result == HTTP_ANSWER_MORE && a->total - buf_len(a->body) > HTTP_ANSWER_HEAD_MAX)
        http_answer_refuse(a, "its answer has a header longer than %d bytes", HTTP_ANSWER_HEAD_MAX);
    return a->result;
}

int http_answer_end(struct http_answer *a)
{
    http_answer_parse(a, NULL, 0);
    if (a->result == HTTP_ANSWER_MORE)
        http_answer_refuse(a, "it closed before its answer was whole");
    return a->result;
}

/* --- Life */

struct http_answer *http_answer_new(size_t body_max)
{
    struct http_answer *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->body = buf_new(body_max < HTTP_ANSWER_FIRST_BYTES ? body_max : HTTP_ANSWER_FIRST_BYTES, body_max);
    if (!a->body) {
        free(a);
        return NULL;
    }
    a->body_max = body_max;
    a->result = HTTP_ANSWER_MORE;
    http_parser_init(&a->parser, HTTP_RESPONSE);
    a->parser.data = a;
    return a;
}

struct http_answer *http_answer_free(struct http_answer *a)
{
    if (!a)
        return NULL;
    buf_unref(a->body);
    free(a);
    return NULL;
}

const uint8_t *http_answer_body(const struct http_answer *a, size_t *ret_len)
{
    *ret_len = buf_len(a->body);
    return buf_bytes(a->body);
}

const char *http_answer_text(const struct http_answer *a)
{
    return a->text;
}
