/* See ws_forwarded.h. */
#include "ws_forwarded.h"

#include <string.h>

#include "address.h"
#include "cidr.h"
#include "url.h"

/* "10.0.0.8", "2001:db8::7", "10.0.0.8:50122", "[2001:db8::7]:50122", blanks around it. */
static bool ws_forwarded_parse(const char *from, size_t len, union conn_address *ret_address)
{
    char text[ADDRESS_TEXT_MAX];
    struct url url;
    while (len > 0 && (from[0] == ' ' || from[0] == '\t'))
        from++, len--;
    while (len > 0 && (from[len - 1] == ' ' || from[len - 1] == '\t'))
        len--;
    if (len == 0 || len >= sizeof(text))
        return false;
    memcpy(text, from, len);
    text[len] = '\0';
    if (address_parse(text, 0, ret_address))
        return true;
    return url_parse(text, "mqtt", &url) == 0 && url.path[0] == '\0' && address_parse(url.host, url.port, ret_address);
}

bool ws_forwarded_client(const char *list, const struct cidr_list *trusted, union conn_address *ret_address)
{
    const char *end = list + strlen(list);
    bool is_found = false;
    for (;;) {
        const char *comma = memrchr(list, ',', (size_t)(end - list));
        const char *from = comma ? comma + 1 : list;
        union conn_address address;
        if (!ws_forwarded_parse(from, (size_t)(end - from), &address))
            return is_found;
        *ret_address = address;
        is_found = true;
        if (!comma || !cidr_list_matches(trusted, &address))
            return true;
        end = comma;
    }
}
