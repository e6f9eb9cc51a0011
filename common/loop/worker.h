/* The worker threads of a program: each runs one loop, has one mailbox and one object of the program's own.
 *
 *   main thread: worker_pool_start() --> N threads: init(), loop_run(), deinit()
 *                worker_post()       --> runs on that worker's loop
 *
 * init and deinit run on the worker's thread. The pool itself belongs to the thread that started it. */
#ifndef WORKER_H
#define WORKER_H

struct loop;
struct mailbox;
struct worker_pool;

struct worker {
    struct loop *loop;
    struct mailbox *mailbox;
    void *object;   /* what init() made; for the program */
    unsigned index; /* from 0 */
};

struct worker_calls {
    /* Make the worker's object (into w->object). 0 or negative errno, with which the start of the pool fails. */
    int (*init)(struct worker *w, void *arg);
    /* The loop has stopped: end everything that lives on it; the loop may be run again for that. Runs after a good init
     * only. */
    void (*deinit)(struct worker *w, void *arg);
};

/* N threads named NAME-0, NAME-1, ...; returns when all of them run. 0 or negative errno with err_text(). */
int worker_pool_start(const char *name, unsigned n, const struct worker_calls *calls, void *arg,
                      struct worker_pool **ret_pool);
/* Stops the loops, joins the threads. NULL is fine. */
struct worker_pool *worker_pool_stop(struct worker_pool *pool);
unsigned worker_pool_size(const struct worker_pool *pool);
/* Its mailbox may be posted to until worker_pool_stop(). */
struct worker *worker_pool_get(struct worker_pool *pool, unsigned index);
/* Run FN(worker, ARG) on the worker's loop. Any thread. Memory for the mail is the pool's business; out of memory is
 * fatal. */
typedef void worker_fn(struct worker *w, void *arg);
void worker_post(struct worker *w, worker_fn *fn, void *arg);

#endif
