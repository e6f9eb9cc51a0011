/* A thread handles no signals and has its name. */
#include "thread.h"

#include <signal.h>
#include <string.h>

#include "test_main.h"

struct seen {
    char name[THREAD_NAME_MAX];
    sigset_t mask;
};

static void *look(void *arg)
{
    struct seen *seen = arg;
    pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
    pthread_sigmask(SIG_SETMASK, NULL, &seen->mask);
    return seen;
}

START_TEST(it_handles_no_signal_and_its_starter_does)
{
    struct seen seen;
    sigset_t here;
    pthread_t thread;
    void *result;
    ck_assert_int_eq(thread_start("a-name-that-is-too-long", look, &seen, &thread), 0);
    pthread_join(thread, &result);
    ck_assert_ptr_eq(result, &seen);
    ck_assert_str_eq(seen.name, "a-name-that-is-");
    pthread_sigmask(SIG_SETMASK, NULL, &here);
    ck_assert(sigismember(&seen.mask, SIGTERM) && sigismember(&seen.mask, SIGHUP) && sigismember(&seen.mask, SIGUSR1));
    ck_assert(!sigismember(&here, SIGTERM));
}
END_TEST

static Suite *thread_suite(void)
{
    TCase *tcase;
    Suite *suite = test_suite("thread", &tcase);
    tcase_add_test(tcase, it_handles_no_signal_and_its_starter_does);
    return suite;
}

TEST_MAIN(thread_suite)
