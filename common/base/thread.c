/* See thread.h. */
#include "thread.h"

#include <signal.h>
#include <stdio.h>

#include "err.h"

int thread_start(const char *name, thread_fn *fn, void *arg, pthread_t *ret_thread)
{
    char label[THREAD_NAME_MAX];
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* a thread inherits its mask */
    const int error = pthread_create(ret_thread, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return err_errno(-error, "thread %s", name);
    snprintf(label, sizeof(label), "%s", name);
    pthread_setname_np(*ret_thread, label);
    return 0;
}
