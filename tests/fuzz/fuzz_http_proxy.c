/* URLs of HTTP proxies and the list no_proxy: what is taken is fit for use, and errors show no password.
 * Input: a byte for the length of the list, the list, the URL. */
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ensure.h"
#include "err.h"
#include "rp_http_proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *string_of(const uint8_t *bytes, size_t n)
{
    char *text = malloc(n + 1);
    ensure(text);
    memcpy(text, bytes, n);
    text[n] = '\0';
    return text;
}

static void check_url(const char *url)
{
    struct rp_http_proxy p;
    if (rp_http_proxy_parse(url, &p) < 0) {
        const char *colon = strrchr(url, ':'), *at = colon ? strchr(colon, '@') : NULL;
        /* "****" stands for a password that no message of ours can have by chance */
        ensure(!at || strncmp(colon, ":****@", 6) != 0 || !strstr(err_text(), "****"));
        return;
    }
    ensure(*p.host && strlen(p.host) < sizeof p.host && p.port > 0 && strlen(p.login) <= RP_HTTP_LOGIN_MAX);
    for (const char *c = p.host; *c && !strchr(p.host, '%'); c++) /* the zone of an IPv6 address may be anything */
        ensure(!iscntrl((unsigned char)*c) && *c != ' ' && *c != '@' && *c != '/');
    ensure(rp_http_proxy_find(url, "127.0.0.1", &p));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || data[0] > size - 1)
        return 0;
    char *list = string_of(data + 1, data[0]);
    char *url = string_of(data + 1 + data[0], size - 1 - data[0]);
    check_url(url);
    bool is_excepted = rp_http_proxy_is_excepted(list, url);
    char *longer = malloc(strlen(list) + strlen(url) + 2);
    ensure(longer);
    strcat(strcat(strcpy(longer, list), ","), url);
    ensure(!is_excepted || rp_http_proxy_is_excepted(longer, url)); /* an entry more takes none away */
    free(longer);
    free(list);
    free(url);
    return 0;
}
