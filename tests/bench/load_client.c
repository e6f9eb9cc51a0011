/* Sockets, TLS and buffers of one client. */
#include "load_client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "load_mem.h"
#include "load_tls.h"

void load_client_init(struct load_client *c, enum load_client_role role, uint32_t index, int version)
{
    *c = (struct load_client){.role = role, .index = index, .version = version, .fd = -1};
}

void load_client_deinit(struct load_client *c)
{
    load_client_close(c);
    free(c->cut);
    free(c->out);
    c->cut = c->out = NULL;
}

static int lose(struct load_client *c, int error)
{
    c->error = error;
    c->reason = error == EPROTO ? load_tls_reason() : NULL;
    return LOAD_CLIENT_GONE;
}

int load_client_dial(struct load_client *c, const struct load_address *address)
{
    const int on = 1;

    c->fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return -errno;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(c->fd, (const struct sockaddr *)&address->socket, address->len) < 0 && errno != EINPROGRESS)
        return -errno;
    c->state = LOAD_CLIENT_DIALING;
    return 0;
}

int load_client_secure(struct load_client *c, SSL_CTX *tls)
{
    bool wants_write = false;

    if (!c->ssl)
        c->ssl = load_mem_check(load_tls_open(tls, c->fd), 0);
    c->state = LOAD_CLIENT_SECURING;
    if (load_tls_handshake(c->ssl, &wants_write) == 0)
        return LOAD_CLIENT_SECURED;
    if (errno != EAGAIN)
        return lose(c, errno);
    *(wants_write ? &c->may_write : &c->may_read) = false;
    return LOAD_CLIENT_OK;
}

void load_client_leave(struct load_client *c)
{
    c->state = LOAD_CLIENT_LEAVING;
    if (c->ssl)
        SSL_shutdown(c->ssl);
    shutdown(c->fd, SHUT_WR);
}

const char *load_client_trouble(const struct load_client *c)
{
    if (c->reason)
        return c->reason;
    return c->error ? strerror(c->error) : "closed by the other side";
}

uint8_t *load_client_room(struct load_client *c, size_t len)
{
    if (c->out_len + len > c->out_room) {
        c->out_room = 2 * (c->out_len + len);
        c->out = load_mem_resize(c->out, c->out_room);
    }
    return c->out + c->out_len;
}

void load_client_wrote(struct load_client *c, size_t len)
{
    c->out_len += len;
}

int load_client_flush(struct load_client *c)
{
    while (c->out_sent < c->out_len && c->may_write) {
        const uint8_t *bytes = c->out + c->out_sent;
        size_t len = c->out_len - c->out_sent;
        ssize_t n = c->ssl ? load_tls_send(c->ssl, bytes, len) : send(c->fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            c->may_write = false;
            return LOAD_CLIENT_OK;
        }
        if (n < 0)
            return lose(c, errno);
        c->out_sent += (size_t)n;
    }
    if (c->out_sent == c->out_len)
        c->out_sent = c->out_len = 0;
    return LOAD_CLIENT_OK;
}

static void keep_cut(struct load_client *c, const uint8_t *ptr, size_t len)
{
    if (!c->cut)
        c->cut = load_mem_resize(NULL, LOAD_WIRE_HEAD_MAX);
    memcpy(c->cut, ptr, len);
    c->cut_len = len;
}

/* All packets of LEN bytes; the rest is kept. */
static int take_packets(struct load_client *c, const uint8_t *ptr, size_t len, load_client_packet_fn *fn, void *arg)
{
    struct load_wire_packet packet;

    if (c->skip_len > 0) {
        size_t n = len < c->skip_len ? len : c->skip_len;
        c->skip_len -= n;
        ptr += n;
        len -= n;
        if (c->skip_len > 0)
            return LOAD_CLIENT_OK;
        fn(c, &c->skipped, arg);
    }
    while (len > 0 && c->fd >= 0) {
        int r = load_wire_read(ptr, len, c->version, &packet);
        if (r == LOAD_WIRE_BAD)
            return LOAD_CLIENT_GONE;
        if (r == LOAD_WIRE_MORE) {
            keep_cut(c, ptr, len);
            return LOAD_CLIENT_OK;
        }
        if (packet.len > len) {
            c->skipped = packet;
            c->skip_len = packet.len - len;
            return LOAD_CLIENT_OK;
        }
        fn(c, &packet, arg);
        ptr += packet.len;
        len -= packet.len;
    }
    return LOAD_CLIENT_OK;
}

int load_client_read(struct load_client *c, uint8_t *scratch, load_client_packet_fn *fn, void *arg)
{
    size_t kept = c->cut_len;

    size_t room = LOAD_CLIENT_READ_SIZE - kept;
    ssize_t n = c->ssl ? load_tls_recv(c->ssl, scratch + kept, room) : recv(c->fd, scratch + kept, room, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        c->may_read = errno == EINTR;
        return LOAD_CLIENT_OK;
    }
    if (n <= 0)
        return lose(c, n < 0 ? errno : 0);
    if ((size_t)n < room && !c->is_hung_up)
        c->may_read = false; /* the socket is empty: what comes later, a FIN too, is a new edge */
    if (kept > 0)
        memcpy(scratch, c->cut, kept);
    c->cut_len = 0;
    return take_packets(c, scratch, kept + (size_t)n, fn, arg);
}

uint32_t load_client_unsent(const struct load_client *c)
{
    uint32_t count = 0;
    size_t at = 0;

    while (at < c->out_len) {
        size_t len = 0, i = 1;
        for (unsigned shift = 0;; shift += 7) {
            len |= (size_t)(c->out[at + i] & 0x7f) << shift;
            if (!(c->out[at + i++] & 0x80))
                break;
        }
        if (at >= c->out_sent && c->out[at] >> 4 == LOAD_WIRE_PUBLISH)
            count++;
        at += i + len;
    }
    return count;
}

void load_client_close(struct load_client *c)
{
    SSL_free(c->ssl);
    c->ssl = NULL;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->state = LOAD_CLIENT_CLOSED;
    c->out_len = c->out_sent = 0;
    c->cut_len = 0;
}
