/* A folder of certificates made by deploy/certs, for the tests of TLS. Besides those: other/ (the same of another
 * authority), cut-chain.pem, weak.pem and its key, short.pem (1,024 bits) and sha1.pem (its signature) of the same
 * authority, encrypted-key.pem, empty.pem. */
#ifndef TLS_FILES_H
#define TLS_FILES_H

#include <stddef.h>

/* Make it, once for the program; the environment variable TEST_CERTS is the script. */
void tls_files_make(void);
void tls_files_remove(void);
/* "server.pem" -> its path; valid until eight others were asked for. */
const char *tls_file(const char *name);
/* NAME becomes a copy of FROM, both in the folder. At once, as by a rename. */
void tls_file_replace(const char *name, const char *from);
/* The first N bytes of FROM as NAME; N < 0: all but so many. */
void tls_file_cut(const char *name, const char *from, long n);
/* The whole of it as a string. */
void tls_file_read(const char *name, char *text, size_t size);
void tls_file_write(const char *name, const char *text);
/* Another one of that kind, with another key, in its place. */
void tls_file_renew(const char *name);

#endif
