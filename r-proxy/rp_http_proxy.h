/* The HTTP proxy that trunks go through (CONNECT, RFC 9110): the one of --trunk-http-proxy, for all targets but Unix
 * sockets; without that option what the environment says, as libgrpc and curl know it: grpc_proxy, https_proxy or
 * http_proxy, the first that is set, but not for hosts in no_grpc_proxy or no_proxy, nor for this machine.
 *
 * The proxy looks the target's name up, so that it need not be known here. */
#ifndef RP_HTTP_PROXY_H
#define RP_HTTP_PROXY_H

#include <stdbool.h>
#include <stdint.h>

enum { RP_HTTP_LOGIN_MAX = 512 };

struct rp_http_proxy {
    char host[256]; /* name or address, without brackets */
    uint16_t port;
    char login[RP_HTTP_LOGIN_MAX + 1]; /* "user:password", "" without */
};

/* "http://[USER[:PASSWORD]@]HOST[:PORT]", port 80 unless given; in user and password %XX is a byte. 0, or -EINVAL with
 * err_text(), which shows neither user nor password. */
int rp_http_proxy_parse(const char *url, struct rp_http_proxy *ret_proxy);

/* The proxy for HOST (a name, or an address). OPTION: the URL of --trunk-http-proxy, checked, or NULL. True with
 * *RET_PROXY; false: there is none. */
bool rp_http_proxy_find(const char *option, const char *host, struct rp_http_proxy *ret_proxy);

/* Whether LIST, of no_proxy, has HOST: itself, a domain it is in (with or without a dot before it), or *. */
bool rp_http_proxy_is_excepted(const char *list, const char *host);

#endif
