/* Threads beside the one that main() runs on. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

typedef void *thread_fn(void *arg);

enum { THREAD_NAME_MAX = 16 }; /* with its NUL; what is longer is cut */

/* FN(ARG) on a thread of its own, called NAME, on which no signal is handled: these are for the main thread. To be
 * joined. 0 or negative errno with err_text(). */
int thread_start(const char *name, thread_fn *fn, void *arg, pthread_t *ret_thread);

#endif
