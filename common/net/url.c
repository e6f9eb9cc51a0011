/* See url.h. */
#include "url.h"

#include <errno.h>
#include <string.h>

#include "address.h"
#include "err.h"
#include "str.h"

static int url_copy(const char *text, const char *what, const char *from, size_t n, char *dst, size_t dst_size)
{
    if (n >= dst_size)
        return err_set(-EINVAL, "'%.80s': %s is longer than %zu bytes", text, what, dst_size - 1);
    memcpy(dst, from, n);
    dst[n] = '\0';
    return 0;
}

static bool url_scheme_is_allowed(const char *schemes, const char *scheme, size_t n)
{
    while (*schemes) {
        size_t len = strcspn(schemes, " ");
        if (len == n && memcmp(schemes, scheme, n) == 0)
            return true;
        schemes += len;
        schemes += strspn(schemes, " ");
    }
    return false;
}

/* The scheme, if TEXT has one. *RET_REST: what comes behind "scheme://" ("unix:"). */
static int url_parse_scheme(const char *text, const char *schemes, struct url *url, const char **ret_rest)
{
    const char *end = strstr(text, "://");
    size_t skip = 3;
    if (strncmp(text, "unix:", 5) == 0) {
        end = text + 4;
        skip = 1;
    }
    const char *scheme = end ? text : schemes;
    size_t n = end ? (size_t)(end - text) : strcspn(schemes, " ");
    if (end && !url_scheme_is_allowed(schemes, scheme, n))
        return err_set(-EINVAL, "'%.80s': the scheme is none of: %s", text, schemes);
    *ret_rest = end ? end + skip : text;
    return url_copy(text, "the scheme", scheme, n, url->scheme, sizeof(url->scheme));
}

/* unix:/path, and gRPC's unix:///path. */
static int url_parse_unix(const char *text, const char *rest, struct url *url)
{
    if (strncmp(rest, "//", 2) == 0)
        rest += 2;
    if (*rest == '\0')
        return err_set(-EINVAL, "'%.80s': no path", text);
    return url_copy(text, "the path", rest, strlen(rest), url->path, sizeof(url->path));
}

static int url_parse_port(const char *text, const char *port, size_t n, struct url *url)
{
    char digits[8];
    int64_t value;
    if (n == 0 || n >= sizeof(digits) || strspn(port, "0123456789") < n)
        return err_set(-EINVAL, "'%.80s': '%.*s' is not a port", text, (int)(n < 20 ? n : 20), port);
    memcpy(digits, port, n);
    digits[n] = '\0';
    if (str_parse_int(digits, 0, 65535, &value) < 0)
        return err_set(-EINVAL, "'%.80s': port %s is above 65535", text, digits);
    url->port = (uint16_t)value;
    url->has_port = true;
    return 0;
}

/* "[::1]" with what may follow it; *RET_PORT points to the colon before the port or to the end. */
static int url_parse_bracketed(const char *text, const char *host, size_t n, struct url *url, const char **ret_port)
{
    union conn_address address;
    const char *close = memchr(host, ']', n);
    if (!close)
        return err_set(-EINVAL, "'%.80s': no ']'", text);
    int r = url_copy(text, "the host", host + 1, (size_t)(close - host - 1), url->host, sizeof(url->host));
    if (r < 0)
        return r;
    if (!address_parse(url->host, 0, &address) || address.any.sa_family != AF_INET6)
        return err_set(-EINVAL, "'%.80s': no IPv6 address between the brackets", text);
    if (close + 1 < host + n && close[1] != ':')
        return err_set(-EINVAL, "'%.80s': expected ':' and a port behind ']'", text);
    *ret_port = close + 1;
    return 0;
}

static int url_parse_name(const char *text, const char *host, size_t n, struct url *url, const char **ret_port)
{
    const char *colon = memchr(host, ':', n);
    *ret_port = colon ? colon : host + n;
    if (colon && memchr(colon + 1, ':', (size_t)(host + n - colon - 1)))
        return err_set(-EINVAL, "'%.80s': an IPv6 address needs brackets: [::1]:1883", text);
    size_t len = (size_t)(*ret_port - host);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)host[i] <= ' ' || strchr("@?#[]\\\x7f", host[i]))
            return err_set(-EINVAL, "'%.80s': the host name has a character that is not allowed", text);
    }
    return url_copy(text, "the host", host, len, url->host, sizeof(url->host));
}

static int url_parse_authority(const char *text, const char *host, size_t n, struct url *url)
{
    const char *port;
    int r = n > 0 && *host == '[' ? url_parse_bracketed(text, host, n, url, &port)
                                  : url_parse_name(text, host, n, url, &port);
    if (r < 0)
        return r;
    if (port < host + n)
        r = url_parse_port(text, port + 1, (size_t)(host + n - port - 1), url);
    if (r == 0 && url->host[0] == '\0' && !url->has_port)
        return err_set(-EINVAL, "'%.80s': neither host nor port", text);
    return r;
}

/* What an HTTP request may ask for: no blanks, no control characters, no fragment. */
static int url_parse_path(const char *text, const char *path, struct url *url)
{
    for (const char *at = path; *at; at++) {
        if (*at <= ' ' || *at > '~' || *at == '#')
            return err_set(-EINVAL, "'%.80s': the path has a character that is not allowed", text);
    }
    return url_copy(text, "the path", path, strlen(path), url->path, sizeof(url->path));
}

static int url_parse_rest(const char *text, const char *rest, bool has_scheme, struct url *url)
{
    size_t n = strcspn(rest, "/");
    int r = url_parse_path(text, rest + n, url);
    if (r < 0)
        return r;
    if (!has_scheme && n > 0 && strspn(rest, "0123456789") == n)
        return url_parse_port(text, rest, n, url); /* a bare port: every address */
    return url_parse_authority(text, rest, n, url);
}

int url_parse(const char *text, const char *schemes, struct url *ret_url)
{
    struct url url = {.port = 0};
    const char *rest;
    int r = url_parse_scheme(text, schemes, &url, &rest);
    if (r < 0)
        return r;
    r = strcmp(url.scheme, "unix") == 0 ? url_parse_unix(text, rest, &url)
                                        : url_parse_rest(text, rest, rest != text, &url);
    if (r == 0)
        *ret_url = url;
    return r;
}

uint16_t url_default_port(const struct url *url)
{
    static const struct {
        const char *scheme;
        uint16_t port;
    } ports[] = {{"mqtt", 1883}, {"mqtts", 8883}, {"ws", 80}, {"wss", 443}};
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        if (strcmp(url->scheme, ports[i].scheme) == 0)
            return ports[i].port;
    }
    return 0;
}

bool url_is_tls(const struct url *url)
{
    return strcmp(url->scheme, "mqtts") == 0 || strcmp(url->scheme, "wss") == 0;
}

bool url_is_ws(const struct url *url)
{
    return strcmp(url->scheme, "ws") == 0 || strcmp(url->scheme, "wss") == 0;
}
