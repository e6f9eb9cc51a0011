/* Lists of address ranges: "10.0.0.0/8", "2001:db8::/32"; an address alone is a range of one. Pure.
 *
 * IPv4 inside IPv6 is IPv4 here as in address.h, on both sides: "::ffff:10.0.0.0/104" is "10.0.0.0/8". */
#ifndef CIDR_H
#define CIDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn.h"

struct cidr {
    uint8_t bytes[16]; /* of an IPv4 address the first four */
    uint8_t bits;      /* of the prefix */
    bool is_v6;
};

struct cidr_list {
    struct cidr *items; /* owned */
    size_t count;
};

/* One range. 0, or -EINVAL with err_text(). Bits behind the prefix are refused: "10.0.0.8/8" is a slip of the hand. */
int cidr_parse(const char *text, struct cidr *ret_cidr);
/* False for any address that is neither IPv4 nor IPv6. The scope of an IPv6 address does not matter. */
bool cidr_matches(const struct cidr *cidr, const union conn_address *address);

/* A list of N texts, each one range or several with commas between: a list option as it was given. 0, -EINVAL or
 * -ENOMEM with err_text(). *RET_LIST is untouched on failure. */
int cidr_list_init(struct cidr_list *ret_list, char *const *texts, size_t n);
/* A list that was never made (all zero) is fine. */
void cidr_list_deinit(struct cidr_list *list);
/* Whether one of them matches; never for an empty list. */
bool cidr_list_matches(const struct cidr_list *list, const union conn_address *address);
/* One text of such a list: for the check of an option. 0, -EINVAL or -ENOMEM with err_text(). */
int cidr_list_check(const char *text);

#endif
