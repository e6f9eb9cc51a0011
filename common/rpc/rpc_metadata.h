/* Metadata between our strings and libgrpc's slices. Internal to rpc. */
#ifndef RPC_METADATA_H
#define RPC_METADATA_H

#include <grpc/grpc.h>

#include "rpc_stream.h"

/* Copies; free with rpc_metadata_unmake(). 0, -ENOMEM, or -EINVAL for what would end the connection at the peer: keys
 * and values that HTTP/2 does not allow, and binary values, which this project never sends. */
int rpc_metadata_make(const struct rpc_metadata *from, unsigned n, grpc_metadata **ret_metadata);
void rpc_metadata_unmake(grpc_metadata *metadata, unsigned n);

/* Values looked up once, as strings that last. */
struct rpc_metadata_text {
    struct rpc_metadata_text *next;
    const char *key; /* the caller's, static */
    char value[];
};
/* The first value of KEY in ARRAY, remembered in *TEXTS. NULL if there is none. */
const char *rpc_metadata_find(const grpc_metadata_array *array, const char *key, struct rpc_metadata_text **texts);
void rpc_metadata_texts_free(struct rpc_metadata_text *texts);

/* A status text is a header (grpc-message): it counts against the peer's header limit. With its NUL. */
enum { RPC_STATUS_TEXT_MAX = 512 };

/* Text for grpc-message, and of it: printable ASCII, at most N - 1 bytes. */
void rpc_metadata_clean(char *dst, size_t n, const void *text, size_t len);
/* The same, allocated, cut to RPC_STATUS_TEXT_MAX. NULL for NULL, and when memory is short: a status needs no text. */
char *rpc_metadata_clean_copy(const char *text);

#endif
