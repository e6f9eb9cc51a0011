/* See rpc_metadata.h. One bad value costs everybody on the connection their streams, so nothing unchecked leaves here.
 */
#include "rpc_metadata.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

static bool is_printable(uint8_t c)
{
    return c >= 0x20 && c <= 0x7e;
}

static bool value_is_legal(const char *value)
{
    for (const char *c = value; *c; c++) {
        if (!is_printable((uint8_t)*c))
            return false;
    }
    return true;
}

static int make_one(const struct rpc_metadata *from, grpc_metadata *to)
{
    grpc_slice key = grpc_slice_from_copied_string(from->key);
    if (!grpc_header_key_is_legal(key) || grpc_is_binary_header(key) || !value_is_legal(from->value)) {
        grpc_slice_unref(key);
        return err_set(-EINVAL, "metadata %s: not printable ASCII", from->key);
    }
    to->key = key;
    to->value = grpc_slice_from_copied_string(from->value);
    return 0;
}

int rpc_metadata_make(const struct rpc_metadata *from, unsigned n, grpc_metadata **ret_metadata)
{
    grpc_metadata *made = n ? calloc(n, sizeof(*made)) : NULL;
    if (n && !made)
        return err_errno(-ENOMEM, "metadata");
    for (unsigned i = 0; i < n; i++) {
        int r = make_one(&from[i], &made[i]);
        if (r < 0) {
            rpc_metadata_unmake(made, i);
            return r;
        }
    }
    *ret_metadata = made;
    return 0;
}

void rpc_metadata_unmake(grpc_metadata *metadata, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        grpc_slice_unref(metadata[i].key);
        grpc_slice_unref(metadata[i].value);
    }
    free(metadata);
}

static const grpc_metadata *find_element(const grpc_metadata_array *array, const char *key)
{
    for (size_t i = 0; i < array->count; i++) {
        if (grpc_slice_str_cmp(array->metadata[i].key, key) == 0)
            return &array->metadata[i];
    }
    return NULL;
}

const char *rpc_metadata_find(const grpc_metadata_array *array, const char *key, struct rpc_metadata_text **texts)
{
    for (const struct rpc_metadata_text *t = *texts; t; t = t->next) {
        if (strcmp(t->key, key) == 0)
            return t->value;
    }
    const grpc_metadata *found = find_element(array, key);
    if (!found)
        return NULL;
    size_t n = GRPC_SLICE_LENGTH(found->value);
    struct rpc_metadata_text *text = malloc(sizeof(*text) + n + 1);
    if (!text)
        return NULL;
    text->key = key;
    rpc_metadata_clean(text->value, n + 1, GRPC_SLICE_START_PTR(found->value), n);
    text->next = *texts;
    *texts = text;
    return text->value;
}

void rpc_metadata_texts_free(struct rpc_metadata_text *texts)
{
    while (texts) {
        struct rpc_metadata_text *next = texts->next;
        free(texts);
        texts = next;
    }
}

void rpc_metadata_clean(char *dst, size_t n, const void *text, size_t len)
{
    const uint8_t *from = text;
    size_t used = 0;
    for (; used < len && used < n - 1; used++)
        dst[used] = is_printable(from[used]) ? (char)from[used] : '?';
    dst[used] = '\0';
}

char *rpc_metadata_clean_copy(const char *text)
{
    if (!text)
        return NULL;
    char clean[RPC_STATUS_TEXT_MAX];
    rpc_metadata_clean(clean, sizeof(clean), text, strlen(text));
    return strdup(clean);
}
