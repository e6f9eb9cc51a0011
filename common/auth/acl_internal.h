/* Between acl.c and acl_file.c. */
#ifndef AUTH_ACL_INTERNAL_H
#define AUTH_ACL_INTERNAL_H

#include <stdatomic.h>

#include "acl.h"
#include "acl_trie.h"

struct acl {
    atomic_uint n_refs;
    struct acl_trie trie;
    uint32_t n_rules;
};

/* A line about the clients of ROOT: ACCESS to FILTER, denied or allowed. 0, -ENOMEM, or -EINVAL with err_text(). */
int acl_add(struct acl *a, uint32_t root, unsigned access, struct mqtt_bytes filter, bool is_pattern, bool is_deny);

#endif
