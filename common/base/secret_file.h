/* Text files that hold secrets: keys, tokens, passwords; also other files of lines, such as access rules. What was read
 * is wiped from memory before it is freed. */
#ifndef BASE_SECRET_FILE_H
#define BASE_SECRET_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* All of FILE with a NUL behind it; a pipe is fine too. Owned by the caller until secret_file_wipe(). 0, or negative
 * errno with err_text() that names FILE: cannot be read, longer than MAX bytes. */
int secret_file_read(const char *file, size_t max, char **ret_text, size_t *ret_len);
/* Overwrite and free what secret_file_read() gave. NULL is fine. Returns NULL. */
char *secret_file_wipe(char *text, size_t len);

/* LINE, without its line feed, carriage return and the blanks in front of these, may be changed; it lives during the
 * call. 0 or negative errno with err_text(). */
typedef int secret_file_line_fn(char *line, void *arg);
/* FN with each line of FILE that is neither empty nor a comment (#), in order. 0, or negative errno with err_text():
 * "FILE, line N: what FN said"; a line with a NUL in it is refused, since what stands behind would not be seen. */
int secret_file_each_line(const char *file, secret_file_line_fn *fn, void *arg);

/* True: others than its owner may read FILE, and TEXT says so, for a warning. It is used all the same: secrets are
 * mounted with modes that the operator has not chosen. NULL, and a file that is not there, are fine. */
bool secret_file_is_exposed(const char *file, char *text, size_t n);

#endif
