/* worker: a pool starts, runs what is posted on the right thread, and stops with everything undone. */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "err.h"
#include "loop.h"
#include "test_main.h"

enum { WORKERS = 3, POSTS = 1000 };

static _Atomic int inits, deinits, runs;
static unsigned failing_index;
static int order[WORKERS][POSTS];
static unsigned n_order[WORKERS];

struct object {
    pthread_t thread;
};
static struct object objects[WORKERS];

static int init(struct worker *w, void *arg)
{
    if (w->index == failing_index)
        return err_set(-EIO, "no");
    objects[w->index].thread = pthread_self();
    w->object = &objects[w->index];
    n_order[w->index] = 0;
    inits++;
    return 0;
}

static void deinit(struct worker *w, void *arg)
{
    const struct object *o = w->object;
    ck_assert(pthread_equal(o->thread, pthread_self()));
    deinits++;
}

static const struct worker_calls calls = {.init = init, .deinit = deinit};

static void setup(void)
{
    inits = deinits = runs = 0;
    failing_index = WORKERS;
}

static void run(struct worker *w, void *arg)
{
    const struct object *o = w->object;
    ck_assert(pthread_equal(o->thread, pthread_self()));
    order[w->index][n_order[w->index]++] = (int)(size_t)arg;
    runs++;
}

START_TEST(posts_run_on_their_worker_in_the_order_posted)
{
    struct worker_pool *pool;
    ck_assert_int_eq(worker_pool_start("test", WORKERS, &calls, NULL, &pool), 0);
    ck_assert_uint_eq(worker_pool_size(pool), WORKERS);
    for (size_t i = 0; i < POSTS; i++)
        for (unsigned n = 0; n < WORKERS; n++)
            worker_post(worker_pool_get(pool, n), run, (void *)i);
    ck_assert_ptr_null(worker_pool_stop(pool));
    ck_assert_int_eq(runs, WORKERS * POSTS);
    for (unsigned n = 0; n < WORKERS; n++)
        for (int i = 0; i < POSTS; i++)
            ck_assert_int_eq(order[n][i], i);
    ck_assert_int_eq(deinits, WORKERS);
}
END_TEST

START_TEST(a_worker_that_cannot_start_stops_the_others)
{
    struct worker_pool *pool = NULL;
    failing_index = WORKERS - 1;
    ck_assert_int_eq(worker_pool_start("test", WORKERS, &calls, NULL, &pool), -EIO);
    ck_assert_ptr_nonnull(strstr(err_text(), "worker 2"));
    ck_assert_ptr_null(pool);
    ck_assert_int_eq(inits, WORKERS - 1);
    ck_assert_int_eq(deinits, inits);
}
END_TEST

static Suite *worker_suite(void)
{
    TCase *t;
    Suite *s = test_suite("worker", &t);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, posts_run_on_their_worker_in_the_order_posted);
    tcase_add_test(t, a_worker_that_cannot_start_stops_the_others);
    return s;
}

TEST_MAIN(worker_suite)
