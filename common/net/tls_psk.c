/* A file of pre-shared keys (tls_internal.h): lines `identity:hexkey`, empty ones and # between. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "err.h"
#include "secret_file.h"
#include "tls_internal.h"

enum {
    TLS_PSK_KEY_MIN = 4, /* shorter ones are a mistake, not a secret */
    TLS_PSK_KEY_MAX = PSK_MAX_PSK_LEN,
};

struct tls_psk {
    char *identity;
    unsigned char *key; /* behind the identity, in the same memory */
    size_t key_bytes;
};

struct tls_psk_table {
    struct tls_psk *items; /* by identity, ascending */
    size_t count;
};

static int tls_psk_compare(const void *a, const void *b)
{
    return strcmp(((const struct tls_psk *)a)->identity, ((const struct tls_psk *)b)->identity);
}

struct tls_psk_table *tls_psk_free(struct tls_psk_table *table)
{
    if (!table)
        return NULL;
    for (size_t i = 0; i < table->count; i++) {
        OPENSSL_cleanse(table->items[i].key, table->items[i].key_bytes);
        free(table->items[i].identity);
    }
    free(table->items);
    free(table);
    return NULL;
}

static int tls_psk_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool tls_psk_parse_key(const char *hex, size_t n, unsigned char *dst)
{
    for (size_t i = 0; i < n; i++) {
        int high = tls_psk_hex_digit(hex[2 * i]), low = tls_psk_hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        dst[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static int tls_psk_add(struct tls_psk_table *table, const char *line, size_t id_len, const char *hex)
{
    const size_t n = strlen(hex) / 2;
    if (id_len == 0 || id_len > PSK_MAX_IDENTITY_LEN)
        return err_set(-EINVAL, "the identity must have 1 to %d bytes", PSK_MAX_IDENTITY_LEN);
    if (n < TLS_PSK_KEY_MIN || n > TLS_PSK_KEY_MAX || strlen(hex) % 2 != 0)
        return err_set(-EINVAL, "the key of %.*s must be %d to %d bytes in hexadecimal", (int)id_len, line,
                       TLS_PSK_KEY_MIN, TLS_PSK_KEY_MAX);
    struct tls_psk *items = realloc(table->items, (table->count + 1) * sizeof(*items));
    char *memory = malloc(id_len + 1 + n);
    if (items)
        table->items = items;
    if (!items || !memory) {
        free(memory);
        return err_set(-ENOMEM, "out of memory");
    }
    memcpy(memory, line, id_len);
    memory[id_len] = '\0';
    struct tls_psk *item = &items[table->count++];
    item->identity = memory;
    item->key = (unsigned char *)memory + id_len + 1;
    item->key_bytes = n;
    return tls_psk_parse_key(hex, n, item->key) ? 0 : err_set(-EINVAL, "the key of %s is not hexadecimal", memory);
}

/* The key has no colon in it, so the identity may. */
static int tls_psk_parse_line(char *line, void *table)
{
    char *colon = strrchr(line, ':');
    if (!colon)
        return err_set(-EINVAL, "expected identity:hexkey");
    return tls_psk_add(table, line, (size_t)(colon - line), colon + 1);
}

static int tls_psk_sort(struct tls_psk_table *table)
{
    if (table->count == 0)
        return err_set(-EINVAL, "holds no key");
    qsort(table->items, table->count, sizeof(table->items[0]), tls_psk_compare);
    for (size_t i = 1; i < table->count; i++) {
        if (tls_psk_compare(&table->items[i - 1], &table->items[i]) == 0)
            return err_set(-EINVAL, "two keys for %s", table->items[i].identity);
    }
    return 0;
}

int tls_psk_load(const char *file, struct tls_psk_table **ret_table)
{
    struct tls_psk_table *table = calloc(1, sizeof(*table));
    if (!table)
        return err_set(-ENOMEM, "out of memory");
    int r = secret_file_each_line(file, tls_psk_parse_line, table);
    if (r == 0)
        r = err_context(tls_psk_sort(table), "%s", file);
    if (r < 0) {
        tls_psk_free(table);
        return r;
    }
    *ret_table = table;
    return 0;
}

size_t tls_psk_find(const struct tls_psk_table *table, const char *identity, unsigned char *dst, size_t size)
{
    const struct tls_psk wanted = {.identity = (char *)identity};
    const struct tls_psk *found =
        bsearch(&wanted, table->items, table->count, sizeof(table->items[0]), tls_psk_compare);
    if (!found || found->key_bytes > size)
        return 0;
    memcpy(dst, found->key, found->key_bytes);
    return found->key_bytes;
}
