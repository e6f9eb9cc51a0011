/* The URLs of options: scheme://host:port/path, IPv6 in brackets, unix:/path (also unix:///path). Also bare HOST:PORT,
 * HOST and PORT, for which the default scheme is taken. */
#ifndef URL_H
#define URL_H

#include <stdbool.h>
#include <stdint.h>

struct url {
    char scheme[8]; /* "mqtt", "unix", ... */
    char host[256]; /* name or address without brackets; empty: unix, or every address (bare PORT, ":PORT") */
    uint16_t port;  /* 0 = not given (HAS_PORT tells it from a given 0) */
    bool has_port;
    char path[108]; /* unix: the socket's path; else the path with its slash, empty = not given */
};

/* SCHEMES: those allowed, separated by spaces; the first is taken where TEXT has none. 0 or -EINVAL with err_text(). */
int url_parse(const char *text, const char *schemes, struct url *ret_url);
/* The port that its scheme stands for: mqtt 1883, mqtts 8883, ws 80, wss 443; 0 for any other. */
uint16_t url_default_port(const struct url *url);
/* Whether its scheme says TLS. */
bool url_is_tls(const struct url *url);
/* Whether its scheme says WebSocket. */
bool url_is_ws(const struct url *url);

#endif
