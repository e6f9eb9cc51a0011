/* err: the text that a failure carries. */
#include "err.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "test_main.h"

START_TEST(context_goes_in_front)
{
    ck_assert_int_eq(err_set(-EINVAL, "port %d", 70000), -EINVAL);
    ck_assert_int_eq(err_context(-EINVAL, "listen %s", "x"), -EINVAL);
    ck_assert_int_eq(err_context(-EINVAL, "start"), -EINVAL);
    ck_assert_str_eq(err_text(), "start: listen x: port 70000");
}
END_TEST

START_TEST(errno_is_described)
{
    ck_assert_int_eq(err_errno(-ENOENT, "open %s", "f"), -ENOENT);
    ck_assert_str_eq(err_text(), "open f: No such file or directory");
}
END_TEST

START_TEST(success_and_outcomes_get_no_context)
{
    err_set(-EIO, "old");
    ck_assert_int_eq(err_context(0, "new"), 0);
    ck_assert_int_eq(err_context(7, "new"), 7);
    ck_assert_str_eq(err_text(), "old");
}
END_TEST

START_TEST(the_old_text_may_be_an_argument)
{
    err_set(-EIO, "inner");
    err_set(-EIO, "outer (%s)", err_text());
    ck_assert_str_eq(err_text(), "outer (inner)");
    err_context(-EIO, "twice %s", err_text());
    ck_assert_str_eq(err_text(), "twice outer (inner): outer (inner)");
}
END_TEST

START_TEST(a_long_text_is_cut_not_lost)
{
    char longer[3000];
    memset(longer, 'a', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    err_set(-EIO, "%s", longer);
    ck_assert_uint_gt(strlen(err_text()), 500);
    err_context(-EIO, "head");
    ck_assert(strncmp(err_text(), "head: aaa", 9) == 0);
    err_errno(-EIO, "%s", longer);
    ck_assert(err_text()[0] == 'a');
}
END_TEST

static void *other_thread(void *arg)
{
    ck_assert_str_eq(err_text(), "unknown error");
    err_set(-EIO, "theirs");
    return NULL;
}

START_TEST(each_thread_has_its_own_text)
{
    pthread_t thread;
    err_set(-EIO, "ours");
    ck_assert_int_eq(pthread_create(&thread, NULL, other_thread, NULL), 0);
    pthread_join(thread, NULL);
    ck_assert_str_eq(err_text(), "ours");
}
END_TEST

static Suite *err_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("err", &tc);
    tcase_add_test(tc, context_goes_in_front);
    tcase_add_test(tc, errno_is_described);
    tcase_add_test(tc, success_and_outcomes_get_no_context);
    tcase_add_test(tc, the_old_text_may_be_an_argument);
    tcase_add_test(tc, a_long_text_is_cut_not_lost);
    tcase_add_test(tc, each_thread_has_its_own_text);
    return suite;
}

TEST_MAIN(err_suite)
