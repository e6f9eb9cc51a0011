/* See http_post.h. */
#include "http_post.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn.h"
#include "dial.h"
#include "err.h"
#include "http_answer.h"
#include "loop.h"
#include "url.h"

enum { HTTP_POST_PORT = 80, HTTP_POST_HEAD_MAX = 1024, HTTP_POST_TEXT_MAX = 600 };

struct http_post {
    struct loop *loop;
    http_post_fn *fn;
    void *arg;
    struct loop_timer timer; /* for all of it */
    struct dial *dial;       /* NULL: not under way */
    struct conn *conn;       /* NULL: not connected yet */
    struct http_answer *answer;
    struct buf *request;
    char name[300]; /* "ocsp.example:80" */
};

static void http_post_free(struct http_post *p)
{
    loop_timer_stop(&p->timer);
    dial_cancel(p->dial);
    conn_close(p->conn, 0);
    http_answer_free(p->answer);
    buf_unref(p->request);
    free(p);
}

/* --- The end. P is gone afterwards. */

static void http_post_end(struct http_post *p, const struct http_post_end *end)
{
    loop_timer_stop(&p->timer);
    p->fn(p, end, p->arg);
    http_post_free(p);
}

static void http_post_fail(struct http_post *p, bool is_silence, const char *why)
{
    char text[HTTP_POST_TEXT_MAX];
    snprintf(text, sizeof(text), "%s: %s", p->name, why);
    http_post_end(p, &(struct http_post_end){.text = text, .is_silence = is_silence});
}

/* R: of http_answer. */
static void http_post_settle(struct http_post *p, int r)
{
    struct http_post_end end = {.text = NULL};
    if (r == HTTP_ANSWER_MORE)
        return;
    if (r != HTTP_ANSWER_DONE) {
        http_post_fail(p, false, r < 0 ? strerror(-r) : http_answer_text(p->answer));
        return;
    }
    end.body = http_answer_body(p->answer, &end.len);
    http_post_end(p, &end);
}

static void http_post_on_timer(struct loop_timer *timer)
{
    http_post_fail(container_of(timer, struct http_post, timer), true, "no answer in time");
}

/* --- Connected */

static void http_post_on_input(struct conn *c, struct cursor *input, void *arg)
{
    struct http_post *p = arg;
    http_post_settle(p, http_answer_feed(p->answer, input));
}

static void http_post_on_end(struct conn *c, enum conn_end why, const char *text, void *arg)
{
    struct http_post *p = arg;
    if (why == CONN_END_EOF)
        http_post_settle(p, http_answer_end(p->answer));
    else
        http_post_fail(p, false, text);
}

static const struct conn_cbs http_post_conn_cbs = {.on_input = http_post_on_input, .on_end = http_post_on_end};

static void http_post_on_connected(struct dial *d, struct conn_parcel *parcel, void *arg)
{
    struct http_post *p = arg;
    struct buf *request = p->request;
    p->dial = NULL;
    p->request = NULL;
    int r = conn_attach(p->loop, parcel, &http_post_conn_cbs, p, &p->conn);
    if (r < 0) {
        buf_unref(request);
        http_post_fail(p, false, err_text());
        return;
    }
    r = conn_write_buf(p->conn, request, 0);
    if (r < 0)
        http_post_fail(p, false, strerror(-r));
}

static void http_post_on_dial_failed(struct dial *d, const char *text, void *arg)
{
    struct http_post *p = arg;
    p->dial = NULL;
    http_post_end(p, &(struct http_post_end){.text = text, .is_silence = true});
}

static const struct dial_cbs http_post_dial_cbs = {.on_connected = http_post_on_connected,
                                                   .on_failed = http_post_on_dial_failed};

/* --- The beginning */

static int http_post_write_request(struct http_post *p, const struct http_post_params *params, uint16_t port)
{
    const struct url *url = params->url;
    const bool is_v6 = strchr(url->host, ':');
    const char *open = is_v6 ? "[" : "", *close = is_v6 ? "]" : "";
    char head[HTTP_POST_HEAD_MAX], port_text[8] = "";
    snprintf(p->name, sizeof(p->name), "%s%s%s:%u", open, url->host, close, port);
    if (port != HTTP_POST_PORT)
        snprintf(port_text, sizeof(port_text), ":%u", port);
    int n = snprintf(head, sizeof(head),
                     "POST %s HTTP/1.1\r\nHost: %s%s%s%s\r\nContent-Type: %s\r\nAccept: %s\r\n"
                     "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                     url->path[0] ? url->path : "/", open, url->host, close, port_text, params->type, params->accept,
                     params->body_len);
    if (n >= (int)sizeof(head))
        return err_set(-EINVAL, "%s: the request is too long", p->name);
    p->request = buf_new((size_t)n + params->body_len, SIZE_MAX);
    if (!p->request || buf_append(p->request, head, (size_t)n) < 0 ||
        buf_append(p->request, params->body, params->body_len) < 0)
        return err_errno(-ENOMEM, "%s", p->name);
    return 0;
}

static int http_post_open(struct http_post *p, const struct http_post_params *params)
{
    const struct url *url = params->url;
    int r = http_post_write_request(p, params, url->has_port ? url->port : HTTP_POST_PORT);
    if (r < 0)
        return r;
    p->answer = http_answer_new(params->answer_max);
    if (!p->answer)
        return err_errno(-ENOMEM, "%s", p->name);
    const struct dial_params dial = {.url = url, .default_port = HTTP_POST_PORT, .timeout_ms = params->timeout_ms};
    return dial_start(p->loop, &dial, &http_post_dial_cbs, p, &p->dial);
}

int http_post_start(struct loop *loop, const struct http_post_params *params, http_post_fn *fn, void *arg,
                    struct http_post **ret_post)
{
    struct http_post *p = calloc(1, sizeof(*p));
    if (!p)
        return err_errno(-ENOMEM, "HTTP");
    p->loop = loop;
    p->fn = fn;
    p->arg = arg;
    loop_timer_init(&p->timer, loop, http_post_on_timer);
    int r = http_post_open(p, params);
    if (r < 0) {
        http_post_free(p);
        return r;
    }
    loop_timer_start(&p->timer, params->timeout_ms);
    *ret_post = p;
    return 0;
}

struct http_post *http_post_cancel(struct http_post *p)
{
    if (p)
        http_post_free(p);
    return NULL;
}
