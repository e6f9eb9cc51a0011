/* See rp_http_proxy.h. */
#define LOG_MODULE LOG_R_PROXY
#include "rp_http_proxy.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "address.h"
#include "err.h"
#include "log.h"
#include "url.h"

enum { RP_HTTP_PORT = 80 };

static int hex_digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* "us%40er:pass" -> "us@er:pass". */
static int rp_http_proxy_decode_login(const char *text, size_t n, char *login)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '%') {
            if (i + 2 >= n || !isxdigit((unsigned char)text[i + 1]) || !isxdigit((unsigned char)text[i + 2]))
                return err_set(-EINVAL, "in user or password a %% is not followed by two hex digits");
            c = (char)(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2]));
            i += 2;
        }
        if (len == RP_HTTP_LOGIN_MAX || c == '\0')
            return err_set(-EINVAL, "user and password are too long, or have a NUL");
        login[len++] = c;
    }
    if (len > 0 && !memchr(login, ':', len) && len < RP_HTTP_LOGIN_MAX)
        login[len++] = ':'; /* no password */
    login[len] = '\0';
    return 0;
}

int rp_http_proxy_parse(const char *url, struct rp_http_proxy *ret_proxy)
{
    static const char scheme[] = "http://";
    const size_t skip = strlen(scheme);
    struct rp_http_proxy p = {.port = RP_HTTP_PORT};
    struct url parsed;
    char rest[300];
    if (strncasecmp(url, scheme, skip) != 0)
        return err_set(-EINVAL, "http://[USER:PASSWORD@]HOST[:PORT] is needed");
    const char *host = url + skip;
    const char *end = host + strcspn(host, "/");
    const char *at = memrchr(host, '@', (size_t)(end - host));
    if (at) {
        int r = rp_http_proxy_decode_login(host, (size_t)(at - host), p.login);
        if (r < 0)
            return r;
        host = at + 1;
    }
    snprintf(rest, sizeof rest, "http://%s", host);
    /* Not what url_parse() says: it shows the text, which may have a password where the @ was forgotten. */
    if (url_parse(rest, "http", &parsed) < 0 || parsed.host[0] == '\0' || (parsed.has_port && parsed.port == 0) ||
        (parsed.path[0] != '\0' && strcmp(parsed.path, "/") != 0))
        return err_set(-EINVAL, "http://[USER:PASSWORD@]HOST[:PORT] is needed");
    memcpy(p.host, parsed.host, sizeof p.host);
    if (parsed.has_port)
        p.port = parsed.port;
    *ret_proxy = p;
    return 0;
}

/* --- The environment */

static const char *rp_http_proxy_env(const char *const *names, const char **ret_name)
{
    for (; *names; names++) {
        const char *value = getenv(*names);
        if (value && *value) {
            *ret_name = *names;
            return value;
        }
    }
    return NULL;
}

static bool rp_http_proxy_entry_matches(const char *entry, size_t n, const char *host)
{
    const size_t len = strlen(host);
    if (n == 1 && *entry == '*')
        return true;
    if (n > 0 && *entry == '.') {
        entry++;
        n--;
    }
    if (n == 0 || n > len || strncasecmp(host + len - n, entry, n) != 0)
        return false;
    return n == len || host[len - n - 1] == '.';
}

bool rp_http_proxy_is_excepted(const char *list, const char *host)
{
    static const char between[] = ", \t";
    while (*(list += strspn(list, between))) {
        size_t n = strcspn(list, between);
        if (rp_http_proxy_entry_matches(list, n, host))
            return true;
        list += n;
    }
    return false;
}

static bool rp_http_proxy_is_here(const char *host)
{
    union conn_address address;
    if (!address_parse(host, 0, &address))
        return strcasecmp(host, "localhost") == 0;
    if (address.any.sa_family == AF_INET)
        return ntohl(address.in.sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&address.in6.sin6_addr);
}

static bool rp_http_proxy_from_env(const char *host, struct rp_http_proxy *ret_proxy)
{
    static const char *const proxies[] = {"grpc_proxy", "https_proxy", "http_proxy", NULL};
    static const char *const exceptions[] = {"no_grpc_proxy", "no_proxy", NULL};
    const char *name, *ignored;
    const char *url = rp_http_proxy_env(proxies, &name);
    const char *list = rp_http_proxy_env(exceptions, &ignored);
    if (!url || rp_http_proxy_is_here(host) || (list && rp_http_proxy_is_excepted(list, host)))
        return false;
    if (rp_http_proxy_parse(url, ret_proxy) == 0)
        return true;
    log_warn(NULL, "%s in the environment is not used: %s", name, err_text());
    return false;
}

bool rp_http_proxy_find(const char *option, const char *host, struct rp_http_proxy *ret_proxy)
{
    if (option)
        return rp_http_proxy_parse(option, ret_proxy) == 0;
    return rp_http_proxy_from_env(host, ret_proxy);
}
