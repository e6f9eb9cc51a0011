/* Worker threads (worker.h). The only threads a program starts for itself. */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "loop.h"
#include "mailbox.h"
#include "thread.h"

struct worker_thread {
    struct worker worker; /* first: worker_post() finds nothing else of it */
    struct worker_pool *pool;
    pthread_t thread;
    sem_t is_up; /* posted when init has ended, well or not */
    int init_result;
};

struct worker_pool {
    const struct worker_calls *calls;
    void *arg;
    unsigned count; /* threads that run */
    struct worker_thread threads[];
};

struct worker_mail {
    struct mail mail;
    struct worker *worker;
    worker_fn *fn;
    void *arg;
};

static void *worker_main(void *arg)
{
    struct worker_thread *t = arg;
    t->init_result = t->pool->calls->init(&t->worker, t->pool->arg);
    int r = t->init_result;
    sem_post(&t->is_up); /* on failure T may be gone from here on */
    if (r < 0)
        return NULL;
    loop_run(t->worker.loop);
    t->pool->calls->deinit(&t->worker, t->pool->arg);
    t->worker.mailbox = mailbox_free(t->worker.mailbox);
    loop_run(t->worker.loop); /* connections that still write out their last bytes */
    return NULL;
}

static void worker_deinit(struct worker_thread *t)
{
    t->worker.mailbox = mailbox_free(t->worker.mailbox);
    t->worker.loop = loop_free(t->worker.loop);
    sem_destroy(&t->is_up);
}

static int worker_spawn(struct worker_thread *t, const char *name)
{
    char label[THREAD_NAME_MAX];
    snprintf(label, sizeof label, "%.10s-%u", name, t->worker.index);
    return thread_start(label, worker_main, t, &t->thread);
}

static int worker_start(struct worker_pool *pool, unsigned index, const char *name)
{
    struct worker_thread *t = &pool->threads[index];
    t->pool = pool;
    t->worker.index = index;
    sem_init(&t->is_up, 0, 0);
    int r = loop_new(&t->worker.loop);
    if (r >= 0)
        r = mailbox_new(t->worker.loop, &t->worker.mailbox);
    if (r >= 0)
        r = worker_spawn(t, name);
    if (r < 0) {
        worker_deinit(t);
        return r;
    }
    while (sem_wait(&t->is_up) < 0)
        ;
    if (t->init_result < 0) {
        pthread_join(t->thread, NULL);
        worker_deinit(t);
        return err_set(t->init_result, "worker %u could not start", index);
    }
    return 0;
}

int worker_pool_start(const char *name, unsigned n, const struct worker_calls *calls, void *arg,
                      struct worker_pool **ret_pool)
{
    struct worker_pool *pool = calloc(1, sizeof *pool + n * sizeof pool->threads[0]);
    if (!pool)
        return err_set(-ENOMEM, "workers: out of memory");
    pool->calls = calls;
    pool->arg = arg;
    for (; pool->count < n; pool->count++) {
        int r = worker_start(pool, pool->count, name);
        if (r < 0) {
            worker_pool_stop(pool);
            return r;
        }
    }
    *ret_pool = pool;
    return 0;
}

static void worker_stop_here(struct worker *w, void *arg)
{
    loop_stop(w->loop);
}

struct worker_pool *worker_pool_stop(struct worker_pool *pool)
{
    if (!pool)
        return NULL;
    for (unsigned i = 0; i < pool->count; i++)
        worker_post(&pool->threads[i].worker, worker_stop_here, NULL);
    for (unsigned i = 0; i < pool->count; i++) {
        pthread_join(pool->threads[i].thread, NULL);
        worker_deinit(&pool->threads[i]);
    }
    free(pool);
    return NULL;
}

unsigned worker_pool_size(const struct worker_pool *pool)
{
    return pool->count;
}

struct worker *worker_pool_get(struct worker_pool *pool, unsigned index)
{
    return &pool->threads[index].worker;
}

static void worker_mail_run(struct mail *mail)
{
    struct worker_mail *m = (struct worker_mail *)mail;
    m->fn(m->worker, m->arg);
    free(m);
}

void worker_post(struct worker *w, worker_fn *fn, void *arg)
{
    struct worker_mail *m = malloc(sizeof *m);
    if (!m)
        abort();
    *m = (struct worker_mail){.mail = {.fn = worker_mail_run}, .worker = w, .fn = fn, .arg = arg};
    mailbox_post(w->mailbox, &m->mail);
}
