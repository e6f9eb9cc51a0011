/* See password_file.h. */
#include "password_file.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "err.h"
#include "list.h"
#include "map.h"
#include "mqtt_packet.h"
#include "secret_file.h"

struct password_entry {
    struct map_node node;
    struct password_hash hash;
    size_t user_len;
    char user[];
};

struct password_file {
    atomic_uint n_refs;
    struct map by_user;
    struct password_entry **entries; /* in the order of the file */
    size_t n_entries, size;
};

static bool password_entry_is(const struct map_node *node, const void *key)
{
    const struct password_entry *e = container_of(node, struct password_entry, node);
    const struct mqtt_bytes *user = key;
    return e->user_len == user->len && memcmp(e->user, user->ptr, user->len) == 0;
}

static void password_file_free(struct password_file *p)
{
    map_deinit(&p->by_user);
    for (size_t i = 0; i < p->n_entries; i++)
        OPENSSL_clear_free(p->entries[i], sizeof(*p->entries[i]) + p->entries[i]->user_len);
    free(p->entries);
    free(p);
}

static int password_file_reserve(struct password_file *p)
{
    if (p->n_entries < p->size)
        return 0;
    const size_t size = p->size ? p->size * 2 : 16;
    struct password_entry **entries = realloc(p->entries, size * sizeof(struct password_entry *));
    if (!entries)
        return err_set(-ENOMEM, "out of memory");
    p->entries = entries;
    p->size = size;
    return 0;
}

static int password_file_add(struct password_file *p, const char *user, size_t len, const struct password_hash *hash)
{
    const struct mqtt_bytes key = {.ptr = (const uint8_t *)user, .len = (uint32_t)len};
    const uint64_t digest = map_hash_bytes(user, len);
    if (map_find(&p->by_user, digest, &key))
        return err_set(-EINVAL, "there is a line for %.*s already", (int)len, user);
    if (password_file_reserve(p) < 0)
        return -ENOMEM;
    struct password_entry *e = OPENSSL_malloc(sizeof(*e) + len);
    if (!e)
        return err_set(-ENOMEM, "out of memory");
    e->hash = *hash;
    e->user_len = len;
    memcpy(e->user, user, len);
    p->entries[p->n_entries++] = e;
    return map_add(&p->by_user, &e->node, digest) < 0 ? err_set(-ENOMEM, "out of memory") : 0;
}

static int password_file_parse_line(char *line, void *arg)
{
    struct password_hash hash;
    const char *colon = strchr(line, ':');
    const size_t len = colon ? (size_t)(colon - line) : 0;
    if (len == 0 || len > MQTT_STRING_MAX)
        return err_set(-EINVAL, "expected user:hash");
    int r = err_context(password_hash_parse(colon + 1, &hash), "user %.*s", (int)len, line);
    if (r == 0)
        r = password_file_add(arg, line, len, &hash);
    OPENSSL_cleanse(&hash, sizeof(hash));
    return r;
}

int password_file_load(const char *file, struct password_file **ret_passwords)
{
    struct password_file *p = calloc(1, sizeof(*p));
    if (!p)
        return err_errno(-ENOMEM, "%s", file);
    p->n_refs = 1;
    map_init(&p->by_user, password_entry_is);
    int r = secret_file_each_line(file, password_file_parse_line, p);
    if (r < 0)
        password_file_free(p);
    else
        *ret_passwords = p;
    return r;
}

struct password_file *password_file_ref(struct password_file *p)
{
    atomic_fetch_add_explicit(&p->n_refs, 1, memory_order_relaxed);
    return p;
}

struct password_file *password_file_unref(struct password_file *p)
{
    if (p && atomic_fetch_sub_explicit(&p->n_refs, 1, memory_order_acq_rel) == 1)
        password_file_free(p);
    return NULL;
}

size_t password_file_count(const struct password_file *p)
{
    return p->n_entries;
}

const struct password_hash *password_file_find(const struct password_file *p, const void *user, size_t len,
                                               bool *ret_is_known)
{
    const struct mqtt_bytes key = {.ptr = user, .len = (uint32_t)len};
    const uint64_t digest = map_hash_bytes(user, len);
    const struct map_node *node = len > 0 ? map_find(&p->by_user, digest, &key) : NULL;
    *ret_is_known = node != NULL;
    if (node)
        return &container_of(node, struct password_entry, node)->hash;
    return p->n_entries > 0 ? &p->entries[digest % p->n_entries]->hash : NULL;
}
