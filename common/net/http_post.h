/* One POST over HTTP/1.1 in clear text, and its answer, on the loop. Made for OCSP: a connection of its own, no
 * redirect is followed, everything is bounded. Private to net. */
#ifndef HTTP_POST_H
#define HTTP_POST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_post;
struct loop;
struct url;

struct http_post_params {
    const struct url *url; /* http:// */
    const char *type;      /* Content-Type of BODY */
    const char *accept;    /* what the answer is to be */
    const void *body;
    size_t body_len;
    size_t answer_max;   /* of the answer's body */
    uint32_t timeout_ms; /* for all of it */
};

struct http_post_end {
    const uint8_t *body; /* of an answer with status 200 */
    size_t len;
    const char
        *text; /* NULL, or which host and why there is no such answer: "a.example:80: it answered 404 Not Found" */
    bool is_silence; /* it could not be reached, or has not answered in time */
};

/* END is valid during the call. The post is gone afterwards. */
typedef void http_post_fn(struct http_post *p, const struct http_post_end *end, void *arg);

/* PARAMS are used during the call only. FN runs later, never from inside this call. 0 or negative errno with
 * err_text(). */
int http_post_start(struct loop *loop, const struct http_post_params *params, http_post_fn *fn, void *arg,
                    struct http_post **ret_post);
/* FN does not run any more. NULL is fine. Returns NULL. */
struct http_post *http_post_cancel(struct http_post *p);

#endif
