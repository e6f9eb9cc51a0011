/* See conn_ws.h.
 *
 *   read:   layer below --> the caller's memory --> payload to its front (ws_frames)     no buffer in between
 *   write:  the caller's pieces --> one frame on the stack --> layer below, or its queue */
#include "conn_ws.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "cidr.h"
#include "conn_facts.h"
#include "conn_internal.h"
#include "err.h"
#include "ws_forwarded.h"
#include "ws_frames.h"

enum {
    CONN_WS_WRITE_BYTES = 16 * 1024 - WS_FRAME_HEADER_MAX, /* with its header just a record of TLS */
    CONN_WS_HANDSHAKE_BYTES = 2048,                        /* read at once */
    CONN_WS_READS = 32,         /* of the layer below in one call: pings alone could keep it busy for ever */
    CONN_WS_READ_MIN = 1024,    /* the end of the caller's memory is not worth a system call */
    CONN_WS_PENDING_MAX = 4096, /* above that no pong is added: who pings and does not read has the last one only */
};

struct ws_service {
    atomic_uint refs;
    struct ws_server_params params; /* its texts are ours */
    char *path;
    char **origins;
    struct cidr_list trusted;
};

struct conn_ws {
    struct conn_layer layer;        /* first */
    struct ws_handshake *handshake; /* NULL once it is over and what it has told has been taken */
    struct ws_service *service;     /* one reference, as long as the handshake; NULL: we are the client */
    struct buf *early;              /* what came behind the handshake; NULL: nothing */
    struct ws_frames frames;
    int ended; /* enum ws_frames_result of the last piece of input */
    bool is_request_sent;
    bool is_going_away; /* see conn_ws_set_going_away() */
};

/* --- What a listener serves */

static void ws_service_free(struct ws_service *s)
{
    for (size_t i = 0; i < s->params.n_origins; i++)
        free(s->origins[i]);
    free(s->origins);
    free(s->path);
    cidr_list_deinit(&s->trusted);
    free(s);
}

static int ws_service_add_origin(struct ws_service *s, const char *text, size_t n)
{
    char **grown = realloc(s->origins, (s->params.n_origins + 1) * sizeof(s->origins[0]));
    if (!grown)
        return -ENOMEM;
    s->origins = grown;
    s->origins[s->params.n_origins] = strndup(text, n);
    return s->origins[s->params.n_origins++] ? 0 : -ENOMEM;
}

/* One, or several with commas between. */
static int ws_service_add_origins(struct ws_service *s, const char *text)
{
    int r = 0;
    while (r == 0 && *(text += strspn(text, ", "))) {
        const size_t n = strcspn(text, ", ");
        r = ws_service_add_origin(s, text, n);
        text += n;
    }
    return r;
}

static int ws_service_copy_texts(struct ws_service *s, const struct ws_service_options *o)
{
    s->path = strdup(o->path && o->path[0] ? o->path : WS_DEFAULT_PATH);
    int r = s->path ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < o->n_origins; i++)
        r = ws_service_add_origins(s, o->origins[i]);
    s->params.path = s->path;
    s->params.origins = s->origins;
    return r < 0 ? err_errno(r, "WebSocket") : 0;
}

int ws_service_new(const struct ws_service_options *options, struct ws_service **ret_service)
{
    struct ws_service *s = calloc(1, sizeof(*s));
    if (!s)
        return err_errno(-ENOMEM, "WebSocket");
    atomic_init(&s->refs, 1);
    int r = ws_service_copy_texts(s, options);
    if (r == 0)
        r = cidr_list_init(&s->trusted, options->trusted, options->n_trusted);
    if (r < 0) {
        ws_service_free(s);
        return r;
    }
    *ret_service = s;
    return 0;
}

struct ws_service *ws_service_ref(struct ws_service *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

struct ws_service *ws_service_unref(struct ws_service *s)
{
    if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        ws_service_free(s);
    return NULL;
}

/* --- The handshake */

static int conn_ws_send_handshake(struct conn_ws *w)
{
    size_t len;
    const char *output = ws_handshake_output(w->handshake, &len);
    return conn_layer_send(&w->layer, output, len);
}

/* REST: what follows the handshake. */
static int conn_ws_opened(struct conn_ws *w, const struct cursor *rest)
{
    if (rest->len > 0) {
        w->early = buf_new(rest->len, rest->len);
        if (!w->early || buf_append(w->early, rest->ptr, rest->len) < 0)
            return -ENOMEM;
    }
    if (w->service)
        return conn_ws_send_handshake(w);
    w->handshake = ws_handshake_free(w->handshake);
    return 0;
}

static int conn_ws_refused(struct conn_ws *w)
{
    const char *text = ws_handshake_text(w->handshake);
    if (!w->service)
        return conn_layer_fail(&w->layer, -EPROTO, "WebSocket: %s", text);
    int r = conn_ws_send_handshake(w);
    return r < 0 ? r
                 : conn_layer_fail(&w->layer, -EPROTO, "WebSocket refused with %u: %s",
                                   ws_handshake_status(w->handshake), text);
}

static int conn_ws_feed(struct conn_ws *w, const uint8_t *bytes, size_t n)
{
    struct cursor input = cursor_make(bytes, n);
    int r = ws_handshake_feed(w->handshake, &input);
    switch (r) {
    case WS_HANDSHAKE_DONE:
        return conn_ws_opened(w, &input);
    case WS_HANDSHAKE_REFUSED:
        return conn_ws_refused(w);
    default:
        return r == WS_HANDSHAKE_MORE ? -EAGAIN : r;
    }
}

static int conn_ws_open(struct conn_layer *l)
{
    struct conn_ws *w = (struct conn_ws *)l;
    uint8_t bytes[CONN_WS_HANDSHAKE_BYTES];
    int r = w->service || w->is_request_sent ? 0 : conn_ws_send_handshake(w);
    w->is_request_sent = true;
    if (r < 0)
        return r;
    do {
        ssize_t n = conn_layer_read_below(l, bytes, sizeof(bytes));
        if (n == 0)
            return conn_layer_fail(l, -EPROTO, "WebSocket: closed by the peer during the handshake");
        r = n < 0 ? (int)n : conn_ws_feed(w, bytes, (size_t)n);
        if (n < (ssize_t)sizeof(bytes))
            return r;
    } while (r == -EAGAIN);
    return r;
}

/* Behind a proxy of ours the client is whom it names. */
static void conn_ws_believe(const struct conn_ws *w, struct conn_peer *peer)
{
    const char *list = ws_handshake_forwarded_for(w->handshake);
    union conn_address client;
    if (!list || !cidr_list_matches(&w->service->trusted, &peer->address) ||
        !ws_forwarded_client(list, &w->service->trusted, &client))
        return;
    const struct conn_facts via = {.via = peer->text};
    if (!peer->facts)
        peer->facts = conn_facts_copy(&via);
    peer->address = client;
    if (address_port(&client) != 0)
        address_format(&client, peer->text);
    else
        address_format_host(&client, peer->text);
}

/* Nobody asks the handshake any more after that. */
static void conn_ws_tell(struct conn_layer *l, struct conn_peer *peer)
{
    struct conn_ws *w = (struct conn_ws *)l;
    if (!w->service)
        return;
    conn_ws_believe(w, peer);
    w->handshake = ws_handshake_free(w->handshake);
    w->service = ws_service_unref(w->service);
}

/* --- The way in */

static int conn_ws_send_due(struct conn_ws *w)
{
    uint8_t due[WS_DUE_MAX];
    size_t len;
    int r = ws_frames_encode_due(&w->frames, due, &len);
    return r < 0 ? r : conn_layer_send(&w->layer, due, len);
}

/* What is due while the stream goes on. Pongs wait for room. The answer to the peer's close frame waits for finish():
 * what is queued goes before it, as before a FIN. */
static int conn_ws_send_answer(struct conn_ws *w)
{
    if (w->ended == WS_FRAMES_CLOSED || conn_layer_pending_bytes(&w->layer) > CONN_WS_PENDING_MAX)
        return 0;
    return conn_ws_send_due(w);
}

/* As the layer below, with what has been read before first. */
static ssize_t conn_ws_read_raw(struct conn_ws *w, uint8_t *dst, size_t n)
{
    if (!w->early)
        return conn_layer_read_below(&w->layer, dst, n);
    const size_t have = buf_len(w->early), take = have < n ? have : n;
    memcpy(dst, buf_bytes(w->early), take);
    buf_consume(w->early, take);
    if (take == have)
        w->early = buf_unref(w->early);
    return (ssize_t)take;
}

/* The stream is over for W->ended. */
static int conn_ws_read_end(struct conn_ws *w)
{
    if (w->ended == WS_FRAMES_REFUSED)
        return conn_layer_fail(&w->layer, -EPROTO, "WebSocket closed with %u: %s", ws_frames_code(&w->frames),
                               ws_frames_text(&w->frames));
    w->layer.has_ended = w->ended == WS_FRAMES_CLOSED;
    return w->ended < 0 ? w->ended : 0;
}

/* One piece of input to the N bytes at DST, whose payload is *RET_LEN. 1: there may be more; 0: there is not, or the
 * stream has ended; negative errno. */
static int conn_ws_read_piece(struct conn_ws *w, uint8_t *dst, size_t n, size_t *ret_len)
{
    const bool is_early = w->early;
    const ssize_t got = conn_ws_read_raw(w, dst, n);
    *ret_len = 0;
    if (got <= 0) {
        w->layer.has_ended = got == 0;
        return (int)got;
    }
    w->ended = ws_frames_decode(&w->frames, dst, (size_t)got, ret_len);
    int r = w->ended == WS_FRAMES_REFUSED ? conn_ws_send_due(w) : conn_ws_send_answer(w);
    if (r < 0)
        return r;
    return w->ended != WS_FRAMES_OK ? conn_ws_read_end(w) : is_early || got == (ssize_t)n;
}

static ssize_t conn_ws_read(struct conn_layer *l, void *dst, size_t n)
{
    struct conn_ws *w = (struct conn_ws *)l;
    size_t out = 0;
    int r = 1;
    for (int i = 0; r > 0 && out < n && !l->has_ended; i++) {
        size_t len;
        l->is_input_left = i == CONN_WS_READS || (out > 0 && n - out < CONN_WS_READ_MIN);
        if (l->is_input_left)
            break;
        r = conn_ws_read_piece(w, (uint8_t *)dst + out, n - out, &len);
        out += len;
    }
    if (r < 0 && r != -EAGAIN)
        l->error = r; /* behind what has come before it */
    if (out > 0 || l->has_ended)
        return (ssize_t)out;
    return r < 0 ? r : -EAGAIN;
}

/* --- The way out */

static ssize_t conn_ws_write(struct conn_layer *l, const struct iovec *iov, int n)
{
    struct conn_ws *w = (struct conn_ws *)l;
    uint8_t frame[CONN_WS_WRITE_BYTES + WS_FRAME_HEADER_MAX];
    size_t bytes = 0, len;
    for (int i = 0; i < n && bytes < CONN_WS_WRITE_BYTES; i++)
        bytes += iov[i].iov_len;
    if (bytes > CONN_WS_WRITE_BYTES)
        bytes = CONN_WS_WRITE_BYTES;
    int r = conn_ws_send_answer(w);
    if (r == 0)
        r = ws_frames_encode(&w->frames, iov, bytes, frame, &len);
    if (r == 0)
        r = conn_layer_send(l, frame, len);
    return r < 0 ? r : (ssize_t)bytes;
}

static void conn_ws_finish(struct conn_layer *l)
{
    struct conn_ws *w = (struct conn_ws *)l;
    ws_frames_close(&w->frames, w->is_going_away ? WS_CLOSE_GOING_AWAY : WS_CLOSE_NORMAL);
    conn_ws_send_due(w);
}

static void conn_ws_free(struct conn_layer *l)
{
    struct conn_ws *w = (struct conn_ws *)l;
    ws_handshake_free(w->handshake);
    ws_service_unref(w->service);
    buf_unref(w->early);
    ws_frames_deinit(&w->frames);
    free(w);
}

static const struct conn_layer_ops conn_ws_ops = {
    .open = conn_ws_open,
    .tell = conn_ws_tell,
    .read = conn_ws_read,
    .write = conn_ws_write,
    .finish = conn_ws_finish,
    .free = conn_ws_free,
};

/* NULL if C has none. It is always the top layer. */
static struct conn_ws *conn_ws_of(const struct conn *c)
{
    return c->layer && c->layer->ops == &conn_ws_ops ? (struct conn_ws *)c->layer : NULL;
}

void conn_ws_set_going_away(struct conn *c)
{
    struct conn_ws *w = conn_ws_of(c);
    if (w)
        w->is_going_away = true;
}

enum conn_ws_fault conn_ws_fault(const struct conn *c)
{
    const struct conn_ws *w = conn_ws_of(c);
    if (!w || w->layer.error == 0)
        return CONN_WS_NO_FAULT;
    if (!w->layer.is_open)
        return w->handshake && ws_handshake_status(w->handshake) >= 400 ? CONN_WS_REFUSED : CONN_WS_NO_FAULT;
    return w->ended == WS_FRAMES_REFUSED ? CONN_WS_BROKEN : CONN_WS_NO_FAULT;
}

/* --- Life */

/* Takes over HANDSHAKE, which may be NULL. */
static struct conn_ws *conn_ws_new(struct ws_handshake *handshake, bool is_server)
{
    struct conn_ws *w = handshake ? calloc(1, sizeof(*w)) : NULL;
    if (!w) {
        ws_handshake_free(handshake);
        return NULL;
    }
    w->layer.ops = &conn_ws_ops;
    w->handshake = handshake;
    ws_frames_init(&w->frames, is_server, CONN_WS_MESSAGE_MAX);
    return w;
}

int conn_ws_push_server(struct conn_layer **top, int fd, struct ws_service *service)
{
    struct conn_ws *w = conn_ws_new(ws_handshake_new_server(&service->params), true);
    if (!w)
        return -ENOMEM;
    w->service = ws_service_ref(service);
    conn_layer_push(top, fd, &w->layer);
    return 0;
}

int conn_ws_push_client(struct conn_layer **top, int fd, const struct ws_client_params *params)
{
    struct ws_handshake *handshake = ws_handshake_new_client(params);
    if (!handshake)
        return -ENOMEM;
    struct conn_ws *w = conn_ws_new(handshake, false);
    if (!w)
        return err_errno(-ENOMEM, "WebSocket");
    conn_layer_push(top, fd, &w->layer);
    return 0;
}
