/* See cidr.h. */
#include "cidr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "err.h"
#include "str.h"

enum {
    CIDR_V4_BITS = 32,
    CIDR_V6_BITS = 128,
    CIDR_MAPPED_BITS = 96, /* of ::ffff:0:0/96, where IPv4 lies inside IPv6 */
    CIDR_TEXT_MAX = 64,
};

/* --- One */

static bool cidr_equal_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    const unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static bool cidr_is_clear_behind(const struct cidr *cidr)
{
    uint8_t prefix[16] = {0};
    const unsigned whole = cidr->bits / 8, rest = cidr->bits % 8;
    memcpy(prefix, cidr->bytes, whole);
    if (rest != 0)
        prefix[whole] = (uint8_t)(cidr->bytes[whole] & (0xff << (8 - rest)));
    return memcmp(prefix, cidr->bytes, sizeof(prefix)) == 0;
}

static void cidr_set_address(struct cidr *cidr, const union conn_address *address)
{
    cidr->is_v6 = address->any.sa_family == AF_INET6;
    if (cidr->is_v6)
        memcpy(cidr->bytes, &address->in6.sin6_addr, 16);
    else
        memcpy(cidr->bytes, &address->in.sin_addr, 4);
}

static void cidr_unmap(struct cidr *cidr)
{
    struct in6_addr in6;
    memcpy(&in6, cidr->bytes, sizeof(in6));
    if (!cidr->is_v6 || cidr->bits < CIDR_MAPPED_BITS || !IN6_IS_ADDR_V4MAPPED(&in6))
        return;
    memset(cidr->bytes, 0, sizeof(cidr->bytes));
    memcpy(cidr->bytes, in6.s6_addr + 12, 4);
    cidr->bits -= CIDR_MAPPED_BITS;
    cidr->is_v6 = false;
}

/* The LEN bytes at TEXT. */
static int cidr_parse_part(const char *text, size_t len, struct cidr *ret_cidr)
{
    char host[CIDR_TEXT_MAX];
    union conn_address address;
    struct cidr cidr = {.bits = 0};
    if (len >= sizeof(host))
        return err_set(-EINVAL, "\"%.*s...\" is no address range", CIDR_TEXT_MAX, text);
    memcpy(host, text, len);
    host[len] = '\0';
    char *slash = strchr(host, '/');
    if (slash)
        *slash = '\0';
    if (strchr(host, '%') || !address_parse(host, 0, &address))
        return err_set(-EINVAL, "\"%.*s\" is no address range such as 10.0.0.0/8 or 2001:db8::/32", (int)len, text);
    cidr_set_address(&cidr, &address);
    int64_t bits = cidr.is_v6 ? CIDR_V6_BITS : CIDR_V4_BITS;
    int r = slash ? str_parse_int(slash + 1, 0, bits, &bits) : 0;
    if (r < 0)
        return err_context(-EINVAL, "prefix length of \"%.*s\"", (int)len, text);
    cidr.bits = (uint8_t)bits;
    if (!cidr_is_clear_behind(&cidr))
        return err_set(-EINVAL, "\"%.*s\" has bits set behind its prefix", (int)len, text);
    cidr_unmap(&cidr);
    *ret_cidr = cidr;
    return 0;
}

int cidr_parse(const char *text, struct cidr *ret_cidr)
{
    return cidr_parse_part(text, strlen(text), ret_cidr);
}

bool cidr_matches(const struct cidr *cidr, const union conn_address *address)
{
    struct cidr other = {.bits = CIDR_V6_BITS};
    if (address->any.sa_family != AF_INET && address->any.sa_family != AF_INET6)
        return false;
    cidr_set_address(&other, address);
    cidr_unmap(&other);
    return cidr->is_v6 == other.is_v6 && cidr_equal_bits(cidr->bytes, other.bytes, cidr->bits);
}

/* --- Lists */

static int cidr_list_add(struct cidr_list *list, const struct cidr *cidr)
{
    struct cidr *items = realloc(list->items, (list->count + 1) * sizeof(*items));
    if (!items)
        return err_set(-ENOMEM, "out of memory");
    list->items = items;
    items[list->count++] = *cidr;
    return 0;
}

static int cidr_list_add_text(struct cidr_list *list, const char *text)
{
    for (;;) {
        struct cidr cidr;
        const size_t len = strcspn(text, ",");
        int r = cidr_parse_part(text, len, &cidr);
        if (r == 0)
            r = cidr_list_add(list, &cidr);
        if (r < 0 || text[len] == '\0')
            return r;
        text += len + 1;
    }
}

int cidr_list_init(struct cidr_list *ret_list, char *const *texts, size_t n)
{
    struct cidr_list list = {.items = NULL};
    for (size_t i = 0; i < n; i++) {
        int r = cidr_list_add_text(&list, texts[i]);
        if (r < 0) {
            cidr_list_deinit(&list);
            return r;
        }
    }
    *ret_list = list;
    return 0;
}

void cidr_list_deinit(struct cidr_list *list)
{
    free(list->items);
    *list = (struct cidr_list){.items = NULL};
}

bool cidr_list_matches(const struct cidr_list *list, const union conn_address *address)
{
    for (size_t i = 0; i < list->count; i++)
        if (cidr_matches(&list->items[i], address))
            return true;
    return false;
}

int cidr_list_check(const char *text)
{
    struct cidr_list list = {.items = NULL};
    int r = cidr_list_add_text(&list, text);
    cidr_list_deinit(&list);
    return r;
}
