/* See address.h. */
#include "address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "str.h"

static bool address_parse_v6(const char *text, uint16_t port, union conn_address *ret_address)
{
    char host[INET6_ADDRSTRLEN];
    const char *scope = strchr(text, '%');
    size_t len = scope ? (size_t)(scope - text) : strlen(text);
    if (len >= sizeof(host))
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET6, host, &in6.sin6_addr) != 1)
        return false;
    if (scope) {
        in6.sin6_scope_id = if_nametoindex(scope + 1);
        if (in6.sin6_scope_id == 0)
            in6.sin6_scope_id = (uint32_t)strtoul(scope + 1, NULL, 10);
        if (in6.sin6_scope_id == 0)
            return false;
    }
    ret_address->in6 = in6;
    return true;
}

bool address_parse(const char *text, uint16_t port, union conn_address *ret_address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, text, &in.sin_addr) != 1)
        return address_parse_v6(text, port, ret_address);
    memset(ret_address, 0, sizeof(*ret_address));
    ret_address->in = in;
    return true;
}

bool address_parse_with_port(const char *text, size_t len, union conn_address *ret_address)
{
    char copy[ADDRESS_TEXT_MAX];
    char *host = copy;
    int64_t port;
    if (len == 0 || len >= sizeof(copy) || memchr(text, '\0', len))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    char *colon = strrchr(copy, ':');
    if (!colon || str_parse_int(colon + 1, 0, UINT16_MAX, &port) < 0)
        return false;
    *colon = '\0';
    const bool is_v6 = copy[0] == '[';
    if (is_v6) {
        if (colon[-1] != ']')
            return false;
        colon[-1] = '\0';
        host++;
    }
    return is_v6 == (strchr(host, ':') != NULL) && address_parse(host, (uint16_t)port, ret_address);
}

char *address_format_host(const union conn_address *address, char *text)
{
    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->in.sin_addr, text, ADDRESS_TEXT_MAX);
    } else if (address->any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address->in6.sin6_addr, text, ADDRESS_TEXT_MAX);
        size_t n = strlen(text);
        if (address->in6.sin6_scope_id != 0)
            snprintf(text + n, ADDRESS_TEXT_MAX - n, "%%%u", address->in6.sin6_scope_id);
    } else {
        snprintf(text, ADDRESS_TEXT_MAX, "unknown");
    }
    return text;
}

char *address_format(const union conn_address *address, char *text)
{
    char host[ADDRESS_TEXT_MAX];
    address_format_host(address, host);
    if (address->any.sa_family == AF_INET)
        snprintf(text, ADDRESS_TEXT_MAX, "%.46s:%u", host, address_port(address));
    else if (address->any.sa_family == AF_INET6)
        snprintf(text, ADDRESS_TEXT_MAX, "[%.54s]:%u", host, address_port(address));
    else
        snprintf(text, ADDRESS_TEXT_MAX, "%s", host);
    return text;
}

uint16_t address_port(const union conn_address *address)
{
    if (address->any.sa_family == AF_INET)
        return ntohs(address->in.sin_port);
    return address->any.sa_family == AF_INET6 ? ntohs(address->in6.sin6_port) : 0;
}

void address_set_port(union conn_address *address, uint16_t port)
{
    if (address->any.sa_family == AF_INET)
        address->in.sin_port = htons(port);
    else if (address->any.sa_family == AF_INET6)
        address->in6.sin6_port = htons(port);
}

socklen_t address_len(const union conn_address *address)
{
    return address->any.sa_family == AF_INET ? sizeof(address->in) : sizeof(address->in6);
}

bool address_equal(const union conn_address *a, const union conn_address *b)
{
    if (a->any.sa_family != b->any.sa_family || address_port(a) != address_port(b))
        return false;
    if (a->any.sa_family == AF_INET)
        return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
    return a->any.sa_family != AF_INET6 ||
           (memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0 &&
            a->in6.sin6_scope_id == b->in6.sin6_scope_id);
}

void address_from_sockaddr(const struct sockaddr *from, union conn_address *ret_address)
{
    memset(ret_address, 0, sizeof(*ret_address));
    ret_address->any.sa_family = from->sa_family;
    if (from->sa_family == AF_INET) {
        memcpy(&ret_address->in, from, sizeof(ret_address->in));
    } else if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, from, sizeof(in6));
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
            ret_address->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = in6.sin6_port};
            memcpy(&ret_address->in.sin_addr, in6.sin6_addr.s6_addr + 12, 4);
        } else {
            ret_address->in6 = in6;
        }
    }
}

static void address_fill_unix_peer(int fd, struct conn_peer *peer)
{
    struct ucred who = {.pid = 0};
    socklen_t len = sizeof(who);
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len);
    peer->address.any.sa_family = AF_UNIX;
    snprintf(peer->text, sizeof(peer->text), "unix:pid %d", (int)who.pid);
}

void address_fill_peer(int fd, const struct sockaddr *from, struct conn_peer *ret_peer)
{
    struct sockaddr_storage asked = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(asked);
    memset(ret_peer, 0, sizeof(*ret_peer));
    if (getsockname(fd, (struct sockaddr *)&asked, &len) == 0)
        address_from_sockaddr((struct sockaddr *)&asked, &ret_peer->local);
    if (ret_peer->local.any.sa_family == AF_UNIX) {
        address_fill_unix_peer(fd, ret_peer);
        return;
    }
    len = sizeof(asked);
    asked.ss_family = AF_UNSPEC;
    if (!from && getpeername(fd, (struct sockaddr *)&asked, &len) == 0)
        from = (struct sockaddr *)&asked;
    if (from)
        address_from_sockaddr(from, &ret_peer->address);
    address_format(&ret_peer->address, ret_peer->text);
}
