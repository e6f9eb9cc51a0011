/* Files that nobody but their owner should be able to read: private keys, tokens. */
#ifndef RPC_SECRET_H
#define RPC_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* True: others than its owner may read FILE, and TEXT says so, for a warning. It is used all the same: secrets are
 * mounted with modes that the operator has not chosen. NULL, and a file that is not there, are fine. */
bool rpc_secret_is_exposed(const char *file, char *text, size_t n);

#endif
