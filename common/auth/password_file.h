/* A file of users and their passwords: lines `user:hash` (password_hash.h), empty ones and # between. Read once, then
 * never changed: reading it again makes another one. References may be taken and dropped on any thread. */
#ifndef AUTH_PASSWORD_FILE_H
#define AUTH_PASSWORD_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "password_hash.h"

struct password_file;

/* One reference. 0, or negative errno with err_text(): file, line and reason, never a hash. Two lines for a user are an
 * error, a file without any user is none: it lets nobody in. */
int password_file_load(const char *file, struct password_file **ret_passwords);
struct password_file *password_file_ref(struct password_file *p);
/* Wipes and frees with the last one. NULL is fine. Returns NULL. */
struct password_file *password_file_unref(struct password_file *p);
size_t password_file_count(const struct password_file *p);

/* The hash that is to be checked for USER; lives as long as P. For a user whom the file does not know it is the hash of
 * somebody whom it does (*RET_IS_KNOWN false; always the same one for the same name): checking that costs as much time,
 * and its result does not count. NULL: the file holds nobody. */
const struct password_hash *password_file_find(const struct password_file *p, const void *user, size_t len,
                                               bool *ret_is_known);

#endif
