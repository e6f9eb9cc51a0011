/* Reads the files of TLS again when they have changed and then stayed for a second: looks every second, and when told
 * to. Looking at names, not watching them: a mount of secrets changes by a symbolic link far above the file. */
#ifndef TLS_WATCH_H
#define TLS_WATCH_H

struct loop;
struct tls;
struct tls_options;
struct tls_watch;

/* The files of T, which NAME is for, were read again (R 0), or could not be and T is as it was (R < 0, err_text()). */
typedef void tls_watch_fn(const char *name, struct tls *t, int r, void *arg);

/* 0 or negative errno with err_text(). Everything on the loop's thread. */
int tls_watch_new(struct loop *loop, tls_watch_fn *fn, void *arg, struct tls_watch **ret_watch);
/* NULL is fine. Returns NULL. */
struct tls_watch *tls_watch_free(struct tls_watch *w);
/* From now on T, of which it takes a reference, and what T staples (tls_ocsp.h). NAME lives as long as the watch. 0 or
 * negative errno with err_text(). */
int tls_watch_add(struct tls_watch *w, const char *name, struct tls *t);
/* Read the files of T now, with other OPTIONS; FN tells how it went. */
void tls_watch_reload(struct tls_watch *w, struct tls *t, const struct tls_options *options);

#endif
