/* An HTTP/1.x answer to one request, read by http-parser: a body of bounded length, and nothing of its header but the
 * status. Pure: no sockets; time is the caller's. Bytes may come in any pieces; memory grows with what has come. One
 * thread. Private to net. */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "cursor.h"

struct http_answer;

enum { HTTP_ANSWER_HEAD_MAX = 16 * 1024 }; /* bytes that are not the body: header, sizes of chunks */

enum http_answer_result {
    HTTP_ANSWER_DONE = 0, /* status 200, and the body is whole; INPUT is behind it */
    HTTP_ANSWER_MORE,     /* INPUT is used up and the answer is not whole */
    HTTP_ANSWER_REFUSED,  /* another status, too long, or no HTTP: http_answer_text() */
};

/* BODY_MAX: a longer body is refused, as soon as its length is known. NULL if memory is short. */
struct http_answer *http_answer_new(size_t body_max);
/* NULL is fine. Returns NULL. */
struct http_answer *http_answer_free(struct http_answer *a);

/* An enum http_answer_result or -ENOMEM. Not after anything but MORE. */
int http_answer_feed(struct http_answer *a, struct cursor *input);
/* The connection has ended in order, which may be the end of the body. DONE or REFUSED. */
int http_answer_end(struct http_answer *a);

/* Once DONE; valid as long as A. */
const uint8_t *http_answer_body(const struct http_answer *a, size_t *ret_len);
/* Why it was REFUSED, in words without a stranger's control characters. */
const char *http_answer_text(const struct http_answer *a);

#endif
