/* See listener.h. One listener may have several sockets:
 *
 *   mqtt://localhost:1883   one for each address of the name
 *   mqtt://[::]:1883        [::] for IPv6 only, and 0.0.0.0 unless another listener has that port for IPv4: two sockets
 * instead of one for both, so that IPv4 clients have IPv4 addresses, and an IPv4 listener that is opened later can
 *                           still take its address over (listener_make_way) */
#include "listener.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "address.h"
#include "cidr.h"
#include "conn_tls.h"
#include "conn_ws.h"
#include "err.h"
#include "loop.h"
#include "net_loop.h"
#include "proxy_wait.h"
#include "resolve.h"
#include "tls.h"
#include "url.h"

enum {
    LISTENER_BACKLOG = 4096,
    LISTENER_ACCEPTS_PER_TURN = 64,
    LISTENER_RETRY_MS = 1000,
    LISTENER_PORT_TRIES = 16, /* port 0 on several addresses: the port of the first may be taken on another */
};

struct listener_socket {
    uv_poll_t poll;
    struct list link;
    struct listener *listener;
    union conn_address address;
    int fd;
    bool is_implicit; /* the 0.0.0.0 of "[::]" */
    bool is_closed;
};

struct listener {
    struct loop *loop;
    struct net_loop *net; /* one reference */
    struct list link;     /* in net->listeners */
    struct list sockets;  /* closed ones included, until libuv lets them go */
    struct listener_cbs cbs;
    void *arg;
    struct tls *tls;                 /* one reference; NULL: in clear text */
    struct ws_service *ws;           /* one reference; NULL: no WebSocket */
    unsigned refs;                   /* the user's, and one of each socket and of each batch of accepts */
    const struct cidr_list *proxies; /* NULL: no PROXY headers */
    struct proxy_waits waits;        /* connections of theirs, until they have said whose they are */
    struct loop_timer retry;
    int trouble; /* negative errno; 0 = none */
    bool is_paused;
    bool is_closed;
    struct sockaddr_un unix_address; /* sun_family 0 unless a Unix socket */
    dev_t unix_dev;                  /* of its file, so that only our own is removed */
    ino_t unix_ino;
    char name[300];
};

static void listener_unref(struct listener *l)
{
    if (--l->refs > 0)
        return;
    net_loop_put(l->net);
    tls_unref(l->tls);
    ws_service_unref(l->ws);
    free(l);
}

/* --- Accepting */

static bool listener_is_shortage(int err)
{
    return err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM;
}

/* accept() also reports what has happened to the connection meanwhile (accept(2), "Error handling"). */
static bool listener_is_lost_connection(int err)
{
    switch (err) {
    case EINTR:
    case ECONNABORTED:
    case EPERM:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case EOPNOTSUPP:
        return true;
    default:
        return false;
    }
}

static void listener_pause(struct listener *l, int err)
{
    l->is_paused = true;
    list_for_each (it, &l->sockets)
        uv_poll_stop(&list_entry(it, struct listener_socket, link)->poll);
    loop_timer_start(&l->retry, LISTENER_RETRY_MS);
    if (l->trouble != 0)
        return;
    l->trouble = err;
    if (l->cbs.on_trouble)
        l->cbs.on_trouble(l, err, l->arg);
}

static int listener_push_layers(struct listener *l, struct conn_parcel *parcel)
{
    int r = l->tls ? conn_tls_push_server(&parcel->layer, parcel->fd, l->tls) : 0;
    if (r == 0 && l->ws)
        r = conn_ws_push_server(&parcel->layer, parcel->fd, l->ws);
    return r;
}

/* As if it had just been accepted: a header is in front of everything, TLS too. */
static void listener_pass_on(struct listener *l, struct conn_parcel *parcel)
{
    if (listener_push_layers(l, parcel) < 0)
        conn_parcel_close(parcel);
    else
        l->cbs.on_accept(l, parcel, l->arg);
}

static void listener_hand_over(struct listener *l, int fd, const struct sockaddr_storage *from)
{
    struct conn_parcel parcel = {.fd = fd, .accepted_ms = loop_now_ms(l->loop)};
    address_fill_peer(fd, (const struct sockaddr *)from, &parcel.peer);
    if (l->proxies && cidr_list_matches(l->proxies, &parcel.peer.address))
        proxy_wait_start(&l->waits, &parcel);
    else
        listener_pass_on(l, &parcel);
}

static void listener_on_header(struct conn_parcel *parcel, void *arg)
{
    listener_pass_on(arg, parcel);
}

static void listener_on_bad_header(const struct conn_peer *proxy, const char *why, void *arg)
{
    struct listener *l = arg;
    l->cbs.on_bad_header(l, proxy, why, l->arg);
}

/* False when there is nothing more to accept now. */
static bool listener_accept_one(struct listener_socket *s)
{
    struct sockaddr_storage from;
    socklen_t len = sizeof(from);
    int fd = accept4(s->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        listener_hand_over(s->listener, fd, &from);
        return true;
    }
    if (errno == EAGAIN)
        return false;
    if (listener_is_shortage(errno) || !listener_is_lost_connection(errno)) {
        listener_pause(s->listener, -errno);
        return false;
    }
    return true;
}

static void listener_accept_batch(struct listener_socket *s)
{
    struct listener *l = s->listener;
    l->refs++;
    for (int i = 0; i < LISTENER_ACCEPTS_PER_TURN && !s->is_closed && !l->is_paused; i++) {
        if (!listener_accept_one(s))
            break;
    }
    listener_unref(l);
}

static void listener_on_poll(uv_poll_t *poll, int status, int events)
{
    struct listener_socket *s = poll->data;
    if (status < 0)
        listener_pause(s->listener, status); /* libuv has stopped the poll */
    else
        listener_accept_batch(s);
}

static void listener_on_retry(struct loop_timer *timer)
{
    struct listener *l = container_of(timer, struct listener, retry);
    l->refs++;
    l->is_paused = false;
    list_for_each (it, &l->sockets) {
        struct listener_socket *s = list_entry(it, struct listener_socket, link);
        if (s->is_closed || l->is_paused)
            continue;
        uv_poll_start(&s->poll, UV_READABLE, listener_on_poll);
        listener_accept_batch(s);
    }
    if (!l->is_paused && !l->is_closed && l->trouble != 0) {
        l->trouble = 0;
        if (l->cbs.on_trouble)
            l->cbs.on_trouble(l, 0, l->arg);
    }
    listener_unref(l);
}

/* --- Sockets */

static void listener_on_socket_closed(uv_handle_t *poll)
{
    struct listener_socket *s = poll->data;
    list_del(&s->link);
    listener_unref(s->listener);
    free(s);
}

static void listener_close_socket(struct listener_socket *s)
{
    if (s->is_closed)
        return;
    s->is_closed = true;
    uv_close((uv_handle_t *)&s->poll, listener_on_socket_closed);
    close(s->fd);
}

static void listener_close_sockets(struct listener *l)
{
    list_for_each (it, &l->sockets)
        listener_close_socket(list_entry(it, struct listener_socket, link));
}

/* Takes FD over in any case. */
static int listener_add_socket(struct listener *l, int fd, const union conn_address *address, bool is_implicit)
{
    struct listener_socket *s = calloc(1, sizeof(*s));
    int r = s ? uv_poll_init(loop_uv(l->loop), &s->poll, fd) : -ENOMEM;
    if (r < 0) {
        close(fd);
        free(s);
        return r;
    }
    s->poll.data = s;
    s->listener = l;
    s->fd = fd;
    s->address = *address;
    s->is_implicit = is_implicit;
    list_add_tail(&l->sockets, &s->link);
    l->refs++;
    return uv_poll_start(&s->poll, UV_READABLE, listener_on_poll);
}

static void listener_set_option(int fd, int level, int option)
{
    const int on = 1;
    setsockopt(fd, level, option, &on, sizeof(on));
}

/* A listening socket, or a negative errno. What is set here is inherited by every accepted one. */
static int listener_bind(const struct sockaddr *address, socklen_t len)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (address->sa_family != AF_UNIX) {
        listener_set_option(fd, SOL_SOCKET, SO_REUSEADDR);
        listener_set_option(fd, SOL_SOCKET, SO_KEEPALIVE);
        listener_set_option(fd, IPPROTO_TCP, TCP_NODELAY);
    }
    if (address->sa_family == AF_INET6)
        listener_set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (bind(fd, address, len) < 0 || listen(fd, LISTENER_BACKLOG) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

/* --- IPv4 and IPv6 */

/* An open IPv4 socket of this loop with PORT; NULL if there is none. */
static struct listener_socket *listener_find_v4(struct net_loop *net, uint16_t port, bool is_implicit)
{
    list_for_each (it, &net->listeners) {
        list_for_each (it_socket, &list_entry(it, struct listener, link)->sockets) {
            struct listener_socket *s = list_entry(it_socket, struct listener_socket, link);
            if (!s->is_closed && s->is_implicit == is_implicit && s->address.any.sa_family == AF_INET &&
                address_port(&s->address) == port)
                return s;
        }
    }
    return NULL;
}

/* Whether an implicit 0.0.0.0 was in the way of ADDRESS and is not any more. */
static bool listener_make_way(struct net_loop *net, const union conn_address *address)
{
    struct listener_socket *s = NULL;
    if (address->any.sa_family == AF_INET)
        s = listener_find_v4(net, address_port(address), true);
    if (s)
        listener_close_socket(s);
    return s;
}

/* Opens ADDRESS and writes back the port it got. */
static int listener_open_address(struct listener *l, union conn_address *address, bool is_implicit)
{
    int fd = listener_bind(&address->any, address_len(address));
    if (fd == -EADDRINUSE && listener_make_way(l->net, address))
        fd = listener_bind(&address->any, address_len(address));
    if (fd < 0)
        return fd;
    socklen_t len = sizeof(*address);
    getsockname(fd, &address->any, &len);
    return listener_add_socket(l, fd, address, is_implicit);
}

static bool listener_is_family_missing(int r)
{
    return r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL;
}

/* "[::]": every address there is. *PORT: 0 becomes the real one. */
static int listener_open_every(struct listener *l, uint16_t *port)
{
    union conn_address v6 = {.in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT}};
    union conn_address v4 = {.in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)}};
    address_set_port(&v6, *port);
    int r = listener_open_address(l, &v6, false);
    const bool has_v6 = r == 0;
    if (r < 0 && !listener_is_family_missing(r))
        return r;
    if (has_v6)
        *port = address_port(&v6);
    address_set_port(&v4, *port);
    r = listener_open_address(l, &v4, has_v6);
    if (r == -EADDRINUSE && has_v6 && listener_find_v4(l->net, *port, false))
        return 0; /* another listener of ours has IPv4 */
    if (r == 0)
        *port = address_port(&v4);
    return r;
}

/* All ADDRESSES on the same port. An address of a family that this machine lacks is left out as long as another works:
 * "localhost" is ::1 too. */
static int listener_open_each(struct listener *l, const union conn_address *addresses, size_t n, uint16_t *port)
{
    char text[ADDRESS_TEXT_MAX];
    int r = 0, opened = 0, missing = 0;
    for (size_t i = 0; i < n; i++) {
        union conn_address address = addresses[i];
        address_set_port(&address, *port);
        r = listener_open_address(l, &address, false);
        if (r < 0 && !listener_is_family_missing(r))
            return err_errno(r, "%s", address_format(&address, text));
        if (r < 0) {
            missing = r;
            continue;
        }
        *port = address_port(&address);
        opened++;
    }
    return opened > 0 ? 0 : err_errno(missing, "no address can be used");
}

/* Listening starts once, before there is anything to serve: waiting for the resolver is right here. */
static int listener_resolve(const char *host, union conn_address *addresses, size_t *ret_n)
{
    if (address_parse(host, 0, &addresses[0])) {
        *ret_n = 1;
        return 0;
    }
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *info;
    int r = getaddrinfo(host, NULL, &hints, &info);
    if (r != 0)
        return err_set(r == EAI_SYSTEM ? -errno : -ENOENT, "%s", gai_strerror(r));
    *ret_n = resolve_collect(info, 0, addresses);
    freeaddrinfo(info);
    return *ret_n > 0 ? 0 : err_set(-ENOENT, "no address");
}

static bool listener_is_every(const struct url *url)
{
    union conn_address address;
    if (url->host[0] == '\0')
        return true;
    return address_parse(url->host, 0, &address) && address.any.sa_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&address.in6.sin6_addr);
}

static int listener_open_tcp_once(struct listener *l, const struct url *url, uint16_t *port)
{
    union conn_address addresses[RESOLVE_MAX];
    size_t n = 0;
    if (listener_is_every(url)) {
        int r = listener_open_every(l, port);
        return r < 0 ? err_errno(r, "port %u", *port) : 0;
    }
    int r = listener_resolve(url->host, addresses, &n);
    return r < 0 ? r : listener_open_each(l, addresses, n, port);
}

static int listener_open_tcp(struct listener *l, const struct url *url, uint16_t default_port)
{
    const uint16_t wanted = url->has_port ? url->port : default_port;
    uint16_t port = wanted;
    int r = listener_open_tcp_once(l, url, &port);
    for (int i = 1; r == -EADDRINUSE && wanted == 0 && i < LISTENER_PORT_TRIES; i++) {
        listener_close_sockets(l);
        port = 0;
        r = listener_open_tcp_once(l, url, &port);
    }
    const bool is_v6 = strchr(url->host, ':') != NULL || url->host[0] == '\0';
    snprintf(l->name, sizeof(l->name), "%s://%s%s%s:%u", url->scheme, is_v6 ? "[" : "",
             url->host[0] ? url->host : "::", is_v6 ? "]" : "", port);
    return r < 0 ? err_context(r, "listen %s", l->name) : 0;
}

/* --- Unix sockets */

/* 0 if the path is free or can be freed: what a dead listener has left behind is removed, and nothing else. */
static int listener_clear_path(const struct sockaddr_un *address)
{
    struct stat st;
    if (lstat(address->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int r = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
    close(fd);
    if (r == 0 || r == -EAGAIN)
        return -EADDRINUSE;
    if (r != -ECONNREFUSED)
        return r;
    return unlink(address->sun_path) < 0 ? -errno : 0;
}

static int listener_open_unix(struct listener *l, const struct url *url)
{
    const union conn_address unnamed = {.any.sa_family = AF_UNIX};
    struct stat st;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(l->name, sizeof(l->name), "unix:%s", url->path);
    memcpy(address.sun_path, url->path, sizeof(address.sun_path));
    int r = listener_clear_path(&address);
    int fd = r == 0 ? listener_bind((struct sockaddr *)&address, sizeof(address)) : r;
    if (fd < 0)
        return err_errno(fd, "listen %s", l->name);
    if (stat(address.sun_path, &st) == 0) {
        l->unix_dev = st.st_dev;
        l->unix_ino = st.st_ino;
    }
    l->unix_address = address;
    r = listener_add_socket(l, fd, &unnamed, false);
    return r < 0 ? err_errno(r, "listen %s", l->name) : 0;
}

static void listener_remove_file(const struct listener *l)
{
    struct stat st;
    if (l->unix_address.sun_family == AF_UNIX && lstat(l->unix_address.sun_path, &st) == 0 &&
        st.st_dev == l->unix_dev && st.st_ino == l->unix_ino)
        unlink(l->unix_address.sun_path);
}

/* --- Life */

int listener_open(struct loop *loop, const struct listener_params *params, const struct listener_cbs *cbs, void *arg,
                  struct listener **ret_listener)
{
    const struct url *url = params->url;
    assert(url_is_tls(url) == (params->tls != NULL) && url_is_ws(url) == (params->ws != NULL));
    struct listener *l = calloc(1, sizeof(*l));
    if (!l || !(l->net = net_loop_get(loop))) {
        free(l);
        return err_errno(-ENOMEM, "listen %s", url->host);
    }
    l->loop = loop;
    l->cbs = *cbs;
    l->arg = arg;
    l->tls = params->tls ? tls_ref(params->tls) : NULL;
    l->ws = params->ws ? ws_service_ref(params->ws) : NULL;
    l->refs = 1;
    list_init(&l->sockets);
    list_add_tail(&l->net->listeners, &l->link);
    list_init(&l->waits.waiting);
    loop_timer_init(&l->retry, loop, listener_on_retry);
    int r =
        strcmp(url->scheme, "unix") == 0 ? listener_open_unix(l, url) : listener_open_tcp(l, url, params->default_port);
    if (r < 0) {
        listener_close(l);
        return r;
    }
    *ret_listener = l;
    return 0;
}

void listener_trust(struct listener *l, const struct cidr_list *proxies, uint32_t timeout_ms)
{
    l->proxies = proxies;
    l->waits.loop = l->loop;
    l->waits.timeout_ms = timeout_ms;
    l->waits.on_header = listener_on_header;
    l->waits.on_refused = listener_on_bad_header;
    l->waits.arg = l;
}

struct listener *listener_close(struct listener *l)
{
    if (!l)
        return NULL;
    l->is_closed = true;
    list_del(&l->link);
    loop_timer_stop(&l->retry);
    proxy_waits_cancel(&l->waits);
    listener_remove_file(l);
    listener_close_sockets(l);
    listener_unref(l);
    return NULL;
}

const char *listener_name(const struct listener *l)
{
    return l->name;
}
