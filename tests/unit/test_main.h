/* What every unit test program needs: check, and a main() for one suite. */
#ifndef TEST_MAIN_H
#define TEST_MAIN_H

#include <check.h>
#include <stdlib.h>

#define TEST_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* No fork: a leak or a race is then seen once, at the end, and not paid for at every test. Asking for more memory than
 * there is must give NULL under a sanitizer too: that is what such a test wants to see. */
#define TEST_MAIN(suite_fn)                               \
    const char *__asan_default_options(void);             \
    const char *__asan_default_options(void)              \
    {                                                     \
        return "allocator_may_return_null=1";             \
    }                                                     \
    const char *__tsan_default_options(void);             \
    const char *__tsan_default_options(void)              \
    {                                                     \
        return "allocator_may_return_null=1";             \
    }                                                     \
    int main(void)                                        \
    {                                                     \
        setenv("CK_FORK", "no", 0);                       \
        SRunner *runner = srunner_create(suite_fn());     \
        srunner_run_all(runner, CK_ENV);                  \
        int failed = srunner_ntests_failed(runner);       \
        srunner_free(runner);                             \
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE; \
    }

/* A suite of one test case, which is what most files need. */
static inline Suite *test_suite(const char *name, TCase **ret_tcase)
{
    Suite *suite = suite_create(name);
    *ret_tcase = tcase_create(name);
    suite_add_tcase(suite, *ret_tcase);
    return suite;
}

#endif
