/* See dial.h.
 *
 *   resolve --> attempt 1 --> attempt 2 ... [--> handshake] --> on_connected        one timer: each attempt has an
 * equal share of the time left
 *           \__ failed     \__ failed      \__ on_failed */
#include "dial.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "address.h"
#include "conn_layer.h"
#include "conn_tls.h"
#include "conn_ws.h"
#include "err.h"
#include "loop.h"
#include "resolve.h"
#include "tls.h"
#include "url.h"

enum {
    DIAL_ADDRESSES_MAX = 16,
    DIAL_UNIX_RETRY_MS =
        10, /* connect() to a Unix socket whose backlog is full says EAGAIN; poll does not tell when it is not */
    DIAL_TEXT_MAX = 512,
};

/* A socket that is being connected; an object of its own, since libuv lets go of it later than the dial does. */
struct dial_attempt {
    uv_poll_t poll;
    struct dial *dial;
    int fd;
};

struct dial {
    struct loop *loop;
    struct dial_cbs cbs;
    void *arg;
    struct resolve *resolve;      /* NULL unless under way */
    struct dial_attempt *attempt; /* NULL unless under way */
    struct tls *tls;              /* one reference; NULL: in clear text */
    struct conn_layer *layer;     /* the attempt is connected, and its handshake goes on */
    struct loop_timer timer;
    struct loop_task start; /* of a Unix socket */
    uint64_t deadline_ms;
    uint32_t user_timeout_ms;
    bool is_done;   /* the last callback is running */
    bool was_short; /* no descriptor or no memory */
    size_t n_addresses, next;
    union conn_address addresses[DIAL_ADDRESSES_MAX];
    struct sockaddr_un unix_address; /* sun_family 0 unless a Unix socket */
    struct url url;                  /* its host is expected in a certificate */
    char name[300];
    char failures[DIAL_TEXT_MAX]; /* what has gone wrong so far */
};

static void dial_next(struct dial *d);
static void dial_on_wake(void *arg);
static void dial_on_poll(uv_poll_t *poll, int status, int events);

/* --- The end of an attempt and of the whole */

static void dial_on_attempt_closed(uv_handle_t *poll)
{
    free(poll->data);
}

/* The descriptor, which is the caller's now. */
static int dial_end_attempt(struct dial *d)
{
    int fd = d->attempt->fd;
    uv_close((uv_handle_t *)&d->attempt->poll, dial_on_attempt_closed);
    d->attempt = NULL;
    return fd;
}

static void dial_free(struct dial *d)
{
    loop_timer_stop(&d->timer);
    loop_task_cancel(&d->start);
    resolve_cancel(d->resolve);
    if (d->attempt)
        close(dial_end_attempt(d));
    d->layer = conn_layer_free(d->layer);
    tls_unref(d->tls);
    free(d);
}

static void dial_finish_failed(struct dial *d)
{
    d->is_done = true;
    d->cbs.on_failed(d, d->failures, d->arg);
    dial_free(d);
}

static void dial_finish_connected(struct dial *d, struct conn_parcel *parcel)
{
    d->is_done = true;
    loop_timer_stop(&d->timer);
    d->cbs.on_connected(d, parcel, d->arg);
    dial_free(d);
}

/* "broker:1883 (10.0.0.8): Connection refused", and behind it "; (10.0.0.9): ..." for each further address. */
static void dial_note_failure(struct dial *d, const char *text)
{
    char host[ADDRESS_TEXT_MAX] = "", where[ADDRESS_TEXT_MAX + 4] = "";
    if (d->next > 0)
        address_format_host(&d->addresses[d->next - 1], host);
    if (host[0] && !strstr(d->name, host))
        snprintf(where, sizeof(where), " (%s)", host);
    size_t n = strlen(d->failures);
    snprintf(d->failures + n, sizeof(d->failures) - n, "%s%s: %s", n == 0 ? d->name : ";", where, text);
}

/* --- Attempts */

static void dial_set_options(const struct dial *d, int fd)
{
    const int on = 1;
    const unsigned user_timeout_ms = d->user_timeout_ms;
    if (d->unix_address.sun_family == AF_UNIX)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (user_timeout_ms > 0)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
}

static int dial_wait(struct dial *d, int fd, int events);

/* Takes over FD and the layers. */
static void dial_hand_over(struct dial *d, int fd)
{
    struct conn_parcel parcel = {.fd = fd, .layer = d->layer};
    conn_layer_drive(d->layer, NULL, NULL, NULL);
    d->layer = NULL;
    address_fill_peer(fd, NULL, &parcel.peer);
    dial_finish_connected(d, &parcel);
}

static void dial_end_handshake(struct dial *d, int err)
{
    const char *text = conn_layer_text(d->layer);
    dial_note_failure(d, text ? text : strerror(-err));
    d->layer = conn_layer_free(d->layer);
}

static void dial_poll(struct dial *d, int events)
{
    if (events != 0)
        uv_poll_start(&d->attempt->poll, events, dial_on_poll);
    else
        uv_poll_stop(&d->attempt->poll);
}

/* True if the dial now waits or has come to its good end; false: it is to try the next address. */
static bool dial_go_on_with_handshake(struct dial *d)
{
    int r = conn_layer_open(d->layer);
    if (r == 0) {
        dial_hand_over(d, dial_end_attempt(d));
        return true; /* D is gone */
    }
    const bool is_going_on = r == -EAGAIN || r == -EINPROGRESS;
    int flushed = conn_layer_flush(d->layer);
    if (is_going_on && (flushed == 0 || flushed == -EAGAIN)) {
        dial_poll(d, (r == -EAGAIN ? UV_READABLE : 0) | (flushed == -EAGAIN ? UV_WRITABLE : 0));
        return true;
    }
    if (is_going_on)
        r = flushed;
    dial_end_handshake(d, r);
    close(dial_end_attempt(d));
    return false;
}

static int dial_push_tls(struct dial *d, int fd)
{
    return conn_tls_push_client(&d->layer, fd, d->tls, d->url.host, url_is_ws(&d->url) ? "http/1.1" : "mqtt");
}

static int dial_push_ws(struct dial *d, int fd)
{
    const bool is_usual = !d->url.has_port || d->url.port == url_default_port(&d->url);
    const struct ws_client_params params = {
        .host = d->url.host,
        .port = is_usual ? 0 : d->url.port,
        .path = d->url.path[0] ? d->url.path : WS_DEFAULT_PATH,
    };
    return conn_ws_push_client(&d->layer, fd, &params);
}

/* Takes over FD. Results as above. */
static bool dial_start_handshake(struct dial *d, int fd)
{
    int r = d->tls ? dial_push_tls(d, fd) : 0;
    if (r == 0 && url_is_ws(&d->url))
        r = dial_push_ws(d, fd);
    if (r == 0)
        r = dial_wait(d, fd, UV_READABLE);
    if (r == 0) {
        conn_layer_drive(d->layer, d->loop, dial_on_wake, d);
        return dial_go_on_with_handshake(d);
    }
    dial_end_handshake(d, r);
    close(fd);
    return false;
}

/* A socket that has just been connected has room for it. 0 or a negative errno. */
static int dial_send_preface(const struct dial *d, int fd, const struct conn_peer *peer)
{
    uint8_t bytes[DIAL_PREFACE_MAX];
    const size_t n = d->cbs.write_preface ? d->cbs.write_preface(peer, bytes, d->arg) : 0;
    if (n == 0)
        return 0;
    const ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
    if (sent == (ssize_t)n)
        return 0;
    return sent < 0 ? -errno : -ENOBUFS;
}

/* True if the dial now waits or has come to its good end. False: the socket has met itself, because a dial to a local
 * port of the ephemeral range that nobody listens at may be given that very port as its own (simultaneous open). */
static bool dial_take_connected(struct dial *d, int fd)
{
    struct conn_peer peer;
    address_fill_peer(fd, NULL, &peer);
    if (peer.address.any.sa_family != AF_UNIX && address_equal(&peer.address, &peer.local)) {
        close(fd);
        dial_note_failure(d, strerror(ECONNREFUSED));
        return false;
    }
    dial_set_options(d, fd);
    int r = dial_send_preface(d, fd, &peer);
    if (r < 0) {
        close(fd);
        dial_note_failure(d, strerror(-r));
        return false;
    }
    if (d->tls || url_is_ws(&d->url))
        return dial_start_handshake(d, fd);
    dial_hand_over(d, fd);
    return true;
}

/* A handshake can go on. D may be gone afterwards. */
static void dial_on_wake(void *arg)
{
    struct dial *d = arg;
    if (!dial_go_on_with_handshake(d))
        dial_next(d);
}

static void dial_on_poll(uv_poll_t *poll, int status, int events)
{
    struct dial *d = ((struct dial_attempt *)poll->data)->dial;
    if (d->layer) {
        dial_on_wake(d);
        return;
    }
    int err = 0;
    socklen_t len = sizeof(err);
    int fd = dial_end_attempt(d);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
    if (err == 0) {
        if (dial_take_connected(d, fd))
            return; /* D is gone */
    } else {
        close(fd);
        dial_note_failure(d, strerror(err));
    }
    dial_next(d);
}

static int dial_wait(struct dial *d, int fd, int events)
{
    struct dial_attempt *a = calloc(1, sizeof(*a));
    int r = a ? uv_poll_init(loop_uv(d->loop), &a->poll, fd) : -ENOMEM;
    if (r < 0) {
        free(a);
        return r;
    }
    a->poll.data = a;
    a->dial = d;
    a->fd = fd;
    d->attempt = a;
    uv_poll_start(&a->poll, events, dial_on_poll);
    return 0;
}

static int dial_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    int r;
    do {
        r = connect(fd, address, len);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

/* One address. True if the dial now waits or has ended; false: try the next. */
static bool dial_try(struct dial *d, const struct sockaddr *address, socklen_t len)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int r = fd >= 0 ? dial_connect(fd, address, len) : -errno;
    d->was_short |= fd < 0;
    if (r == 0)
        return dial_take_connected(d, fd);
    if (r == -EINPROGRESS) {
        r = dial_wait(d, fd, UV_WRITABLE);
        if (r == 0)
            return true;
    }
    if (fd >= 0)
        close(fd);
    if (r == -EAGAIN && address->sa_family == AF_UNIX && loop_now_ms(d->loop) < d->deadline_ms) {
        loop_timer_start(&d->timer, DIAL_UNIX_RETRY_MS);
        return true;
    }
    dial_note_failure(d, strerror(-r));
    return false;
}

static void dial_next(struct dial *d)
{
    while (d->next < d->n_addresses) {
        const union conn_address *address = &d->addresses[d->next];
        uint64_t now_ms = loop_now_ms(d->loop);
        uint64_t left_ms = d->deadline_ms > now_ms ? d->deadline_ms - now_ms : 0;
        loop_timer_start(&d->timer, left_ms / (d->n_addresses - d->next));
        d->next++;
        if (dial_try(d, &address->any, address_len(address)))
            return; /* D may be gone */
    }
    dial_finish_failed(d);
}

static void dial_start_unix(struct dial *d)
{
    if (!dial_try(d, (struct sockaddr *)&d->unix_address, sizeof(d->unix_address)))
        dial_finish_failed(d);
}

static void dial_on_start(struct loop_task *task)
{
    dial_start_unix(container_of(task, struct dial, start));
}

static void dial_on_timer(struct loop_timer *timer)
{
    struct dial *d = container_of(timer, struct dial, timer);
    if (d->unix_address.sun_family == AF_UNIX) {
        dial_start_unix(d);
        return;
    }
    if (d->attempt)
        close(dial_end_attempt(d));
    if (d->layer)
        dial_note_failure(d, "the handshake was not done in time");
    else
        dial_note_failure(d, d->resolve ? "no answer about this name in time" : strerror(ETIMEDOUT));
    d->layer = conn_layer_free(d->layer);
    dial_next(d);
}

static void dial_on_resolved(struct resolve *r, const union conn_address *addresses, size_t n, const char *text,
                             void *arg)
{
    struct dial *d = arg;
    d->resolve = NULL;
    if (n == 0) {
        dial_note_failure(d, text);
        dial_finish_failed(d);
        return;
    }
    d->n_addresses = n < DIAL_ADDRESSES_MAX ? n : DIAL_ADDRESSES_MAX;
    memcpy(d->addresses, addresses, d->n_addresses * sizeof(addresses[0]));
    dial_next(d);
}

/* --- Life */

static int dial_begin(struct dial *d, const struct url *url, uint16_t port)
{
    if (strcmp(url->scheme, "unix") == 0) {
        d->unix_address.sun_family = AF_UNIX;
        memcpy(d->unix_address.sun_path, url->path, sizeof(d->unix_address.sun_path));
        snprintf(d->name, sizeof(d->name), "unix:%s", url->path);
        loop_defer(d->loop, &d->start);
        return 0;
    }
    const bool is_v6 = strchr(url->host, ':') != NULL;
    snprintf(d->name, sizeof(d->name), "%s%s%s:%u", is_v6 ? "[" : "", url->host, is_v6 ? "]" : "", port);
    if (url->host[0] == '\0' || port == 0)
        return err_set(-EINVAL, "%s: a host and a port are needed", d->name);
    return resolve_start(d->loop, url->host, port, dial_on_resolved, d, &d->resolve);
}

int dial_start(struct loop *loop, const struct dial_params *params, const struct dial_cbs *cbs, void *arg,
               struct dial **ret_dial)
{
    const struct url *url = params->url;
    struct dial *d = calloc(1, sizeof(*d));
    if (!d)
        return err_errno(-ENOMEM, "dial %s", url->host);
    d->loop = loop;
    d->cbs = *cbs;
    d->arg = arg;
    assert(url_is_tls(url) == (params->tls != NULL));
    d->tls = params->tls ? tls_ref(params->tls) : NULL;
    d->url = *url;
    d->user_timeout_ms = params->user_timeout_ms;
    d->deadline_ms = loop_now_ms(loop) + params->timeout_ms;
    loop_timer_init(&d->timer, loop, dial_on_timer);
    loop_task_init(&d->start, dial_on_start);
    int r = dial_begin(d, url, url->has_port ? url->port : params->default_port);
    if (r < 0) {
        dial_free(d);
        return r;
    }
    if (d->resolve)
        loop_timer_start(&d->timer, params->timeout_ms);
    *ret_dial = d;
    return 0;
}

bool dial_was_short(const struct dial *d)
{
    return d->was_short;
}

struct dial *dial_cancel(struct dial *d)
{
    if (d && !d->is_done)
        dial_free(d);
    return NULL;
}
