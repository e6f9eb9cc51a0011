/* See target.h. */
#include "target.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "address.h"
#include "err.h"
#include "url.h"

/* TEXT behind PREFIX, NULL if it does not begin so. */
static const char *target_behind(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static int target_parse_host(const char *text, uint16_t default_port, struct url *ret_url)
{
    int r = url_parse(text, "grpc", ret_url);
    if (r < 0)
        return r;
    if (ret_url->path[0] != '\0')
        return err_set(-EINVAL, "'%.80s': a path has no meaning here", text);
    if (ret_url->host[0] == '\0')
        return err_set(-EINVAL, "'%.80s': no host", text);
    if (!ret_url->has_port)
        ret_url->port = default_port;
    if (ret_url->port == 0)
        return err_set(-EINVAL, "'%.80s': nobody listens on port 0", text);
    return 0;
}

static int target_parse_name(const char *text, uint16_t default_port, struct target *t)
{
    struct url url;
    int r = target_parse_host(text, default_port, &url);
    if (r < 0)
        return r;
    if (address_parse(url.host, url.port, &t->addresses[0])) {
        t->kind = TARGET_ADDRESSES;
        t->n_addresses = 1;
        return 0;
    }
    t->kind = TARGET_NAME;
    t->port = url.port;
    memcpy(t->host, url.host, sizeof(t->host));
    return 0;
}

static int target_parse_dns(const char *text, uint16_t default_port, struct target *t)
{
    const char *name = target_behind(text, "///");
    if (!name && strncmp(text, "//", 2) == 0)
        return err_set(-EINVAL, "a name server of one's own is not supported: dns:///HOST:PORT asks the system");
    return target_parse_name(name ? name : text, default_port, t);
}

static int target_add_address(const char *item, size_t len, sa_family_t family, uint16_t default_port, struct target *t)
{
    char text[128];
    struct url url;
    if (t->n_addresses == TARGET_ADDRESSES_MAX)
        return err_set(-EINVAL, "more than %d addresses", TARGET_ADDRESSES_MAX);
    if (len >= sizeof(text))
        return err_set(-EINVAL, "'%.80s' is no address", item);
    memcpy(text, item, len);
    text[len] = '\0';
    int r = target_parse_host(text, default_port, &url);
    if (r < 0)
        return r;
    union conn_address *address = &t->addresses[t->n_addresses];
    if (!address_parse(url.host, url.port, address) || address->any.sa_family != family)
        return err_set(-EINVAL, "'%s' is no IPv%c address", text, family == AF_INET ? '4' : '6');
    t->n_addresses++;
    return 0;
}

static int target_parse_addresses(const char *text, sa_family_t family, uint16_t default_port, struct target *t)
{
    t->kind = TARGET_ADDRESSES;
    for (;;) {
        size_t len = strcspn(text, ",");
        int r = target_add_address(text, len, family, default_port, t);
        if (r < 0 || text[len] == '\0')
            return r;
        text += len + 1;
    }
}

static int target_parse_unix(const char *text, struct target *t)
{
    const char *path = target_behind(text, "//");
    if (path && path[0] != '/')
        return err_set(-EINVAL, "unix:PATH or unix:///PATH is how a socket is written");
    if (!path)
        path = text;
    if (path[0] == '\0')
        return err_set(-EINVAL, "no path");
    if (strlen(path) > TARGET_PATH_MAX)
        return err_set(-EINVAL, "the path is longer than %d bytes", TARGET_PATH_MAX);
    t->kind = TARGET_UNIX;
    memcpy(t->path, path, strlen(path) + 1);
    return 0;
}

/* What gRPC knows and we do not, and what belongs to other options; so that it is not taken for a host name. */
static bool target_is_foreign(const char *text)
{
    static const char *const schemes[] = {
        "xds:", "google-c2p:", "google-c2p-experimental:", "unix-abstract:", "vsock:"};
    if (strstr(text, "://"))
        return true;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (target_behind(text, schemes[i]))
            return true;
    }
    return false;
}

static int target_parse_scheme(const char *text, uint16_t default_port, struct target *t)
{
    const char *rest;
    if ((rest = target_behind(text, "dns:")))
        return target_parse_dns(rest, default_port, t);
    if ((rest = target_behind(text, "ipv4:")))
        return target_parse_addresses(rest, AF_INET, default_port, t);
    if ((rest = target_behind(text, "ipv6:")))
        return target_parse_addresses(rest, AF_INET6, default_port, t);
    if ((rest = target_behind(text, "unix:")))
        return target_parse_unix(rest, t);
    if (target_is_foreign(text))
        return err_set(-EINVAL,
                       "this scheme is not supported, names are resolved by r-proxy itself: HOST:PORT, dns:, ipv4:, "
                       "ipv6: or unix:");
    return target_parse_name(text, default_port, t);
}

int target_parse(const char *text, uint16_t default_port, struct target *ret_target)
{
    struct target t = {.n_addresses = 0};
    int r = target_parse_scheme(text, default_port, &t);
    if (r < 0)
        return err_context(r, "target '%.80s'", text);
    *ret_target = t;
    return 0;
}

/* --- As gRPC reads it: an URI */

char *target_format_address(const union conn_address *address, char *text)
{
    char plain[ADDRESS_TEXT_MAX];
    address_format(address, plain);
    const char *scope = strchr(plain, '%');
    int before = scope ? (int)(scope - plain) : (int)strlen(plain);
    snprintf(text, TARGET_TEXT_MAX, "ipv%c:%.*s%s%s", address->any.sa_family == AF_INET6 ? '6' : '4', before, plain,
             scope ? "%25" : "", scope ? scope + 1 : "");
    return text;
}

static bool target_is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("/-._~", c));
}

char *target_format_unix(const char *path, char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    char *dst = text;
    dst += sprintf(dst, path[0] == '/' ? "unix://" : "unix:");
    for (; *path; path++) {
        if (target_is_plain(*path)) {
            *dst++ = *path;
            continue;
        }
        *dst++ = '%';
        *dst++ = digits[(unsigned char)*path >> 4];
        *dst++ = digits[(unsigned char)*path & 15];
    }
    *dst = '\0';
    return text;
}
