/* A file of a test's own, in place of one that an operator writes. Fails the test when the system does not play along.
 */
#ifndef FILE_SUPPORT_H
#define FILE_SUPPORT_H

#include <stddef.h>

/* The file holds TEXT (N bytes) from now on. Returns its path, which stays the same until file_support_remove(). */
const char *file_support_write(const char *text);
const char *file_support_write_bytes(const void *bytes, size_t n);
/* Fixtures of check. */
void file_support_make(void);
void file_support_remove(void);

#endif
