/* Bearer tokens (RFC 6750) from a file with one in each line; empty lines and lines that begin with # do not count.
 * r-proxy shows the first one, in the metadata of each stream: "authorization: Bearer TOKEN". s-proxy lets in whoever
 * shows one of them, and may read the file again at any time: no stream is dropped for it. Any thread. */
#ifndef RPC_TOKENS_H
#define RPC_TOKENS_H

#include <stdbool.h>

struct rpc_tokens;

enum { RPC_TOKEN_MAX = 4096 }; /* bytes of one: a server takes 8 KiB of metadata at most */

/* The file must be good and hold at least one. 0 or negative errno with err_text(): file, line and reason, never a
 * token. */
int rpc_tokens_new(const char *path, struct rpc_tokens **ret_tokens);
/* NULL is fine. */
struct rpc_tokens *rpc_tokens_free(struct rpc_tokens *t);
/* Read again, from PATH. 0; negative errno with err_text(): all is as it was. */
int rpc_tokens_reload(struct rpc_tokens *t, const char *path);

/* Whether VALUE, of the metadatum "authorization", is "Bearer " and one of them. The time that it takes says nothing
 * about them. VALUE may be NULL. */
bool rpc_tokens_allow(struct rpc_tokens *t, const char *value);

/* The value that shows the first one. RPC_TOKENS_VALUE_MAX bytes. Returns VALUE. */
enum { RPC_TOKENS_VALUE_MAX = 7 + RPC_TOKEN_MAX + 1 };
char *rpc_tokens_value(struct rpc_tokens *t, char *value);

#endif
