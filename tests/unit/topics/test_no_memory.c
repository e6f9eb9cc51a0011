/* Each allocation of both indexes fails once: then nothing has changed, and the next try succeeds. */
#include <errno.h>
#include <stdlib.h>

#include "retained_index.h"
#include "test_main.h"
#include "topic_index.h"
#include "topic_words.h"

/* The linker gives calls of NAME to __wrap_NAME (see meson.build).
 * NOLINTBEGIN(bugprone-reserved-identifier): these are the names */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static long until_failure = -1; /* allocations that still succeed; < 0: all */

static bool fails(void)
{
    return until_failure >= 0 && until_failure-- == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

/* NOLINTEND(bugprone-reserved-identifier) */

static struct topic_index *subscriptions;
static struct retained_index *retained;

static void tear_down(void)
{
    until_failure = -1;
    subscriptions = topic_index_free(subscriptions);
    retained = retained_index_free(retained);
}

enum { FILTERS = 400 };

/* Deeper and deeper ones with wildcards, some without, and one with many owners. */
static void make_filter(char text[64], unsigned i)
{
    if (i % 4 == 0)
        snprintf(text, 64, "shared/+");
    else if (i % 4 == 1)
        snprintf(text, 64, "exact/%u", i);
    else
        snprintf(text, 64, "%u/%.*s%s", i, (int)(i / 10 % 20) * 2, "+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/",
                 i % 2 ? "#" : "x");
}

/* Tries until it succeeds; each time one allocation more does. */
static int failures_until_added(const char *filter, struct topic_entry *entry)
{
    size_t count = topic_index_count(subscriptions), n_filters = topic_index_count_filters(subscriptions);
    for (int failures = 0;; failures++) {
        until_failure = failures;
        int r = topic_index_add(subscriptions, bytes_of(filter), entry, NULL);
        until_failure = -1;
        if (r == 0)
            return failures;
        ck_assert_int_eq(r, -ENOMEM);
        ck_assert_uint_eq(topic_index_count(subscriptions), count);
        ck_assert_uint_eq(topic_index_count_filters(subscriptions), n_filters);
    }
}

START_TEST(a_subscription_that_finds_no_memory_changes_nothing)
{
    static uint8_t owners[FILTERS];
    char text[64];
    int failures = 0;
    subscriptions = topic_index_new();
    for (unsigned i = 0; i < FILTERS; i++) {
        struct topic_entry entry = {.owner = &owners[i]};
        make_filter(text, i);
        failures += failures_until_added(text, &entry);
    }
    ck_assert_int_gt(failures, FILTERS * 3 / 4); /* each has memory of its own, but those of the crowd */
    for (unsigned i = 0; i < FILTERS; i++) {
        make_filter(text, i);
        struct topic_filter *filter = topic_index_find(subscriptions, bytes_of(text));
        until_failure = 0; /* giving back needs no memory */
        bool removed = topic_index_remove(subscriptions, filter, &owners[i]);
        until_failure = -1;
        ck_assert(removed);
    }
    ck_assert_uint_eq(topic_index_count_filters(subscriptions), 0);
}
END_TEST

START_TEST(a_match_that_finds_no_memory_says_so)
{
    static uint8_t owners[FILTERS];
    struct topic_matches matches = {0};
    subscriptions = topic_index_new();
    for (unsigned i = 0; i < FILTERS; i++) {
        struct topic_entry entry = {.owner = &owners[i]};
        ck_assert_int_eq(topic_index_add(subscriptions, bytes_of("a/+"), &entry, NULL), 0);
    }
    until_failure = 0;
    int r = topic_index_match(subscriptions, bytes_of("a/b"), &matches);
    until_failure = -1;
    ck_assert_int_eq(r, -ENOMEM);
    ck_assert_int_eq(topic_index_match(subscriptions, bytes_of("a/b"), &matches), 0);
    ck_assert_uint_eq(matches.n, FILTERS);
    topic_matches_deinit(&matches);
}
END_TEST

START_TEST(a_retained_topic_that_finds_no_memory_changes_nothing)
{
    enum { TOPICS = 2000 };
    static uint8_t values[TOPICS];
    char text[64];
    retained = retained_index_new();
    for (unsigned i = 0; i < TOPICS; i++) {
        void *old;
        snprintf(text, sizeof(text), "%u", i * 7919 % TOPICS);
        for (long failures = 0;; failures++) {
            until_failure = failures;
            int r = retained_index_set(retained, bytes_of(text), &values[i], &old);
            until_failure = -1;
            if (r == 0)
                break;
            if (r != -ENOMEM || retained_index_count(retained) != i || retained_index_find(retained, bytes_of(text)))
                ck_abort_msg("topic %u: %d", i, r);
        }
    }
    for (unsigned i = 0; i < TOPICS; i++) {
        snprintf(text, sizeof(text), "%u", i * 7919 % TOPICS);
        ck_assert_ptr_eq(retained_index_find(retained, bytes_of(text)), &values[i]);
    }
}
END_TEST

START_TEST(what_cannot_be_made_is_null)
{
    until_failure = 0;
    subscriptions = topic_index_new();
    until_failure = 0;
    retained = retained_index_new();
    until_failure = -1;
    ck_assert_ptr_null(subscriptions);
    ck_assert_ptr_null(retained);
    retained = retained_index_new();
    until_failure = 0;
    struct retained_walk *walk = retained_walk_new(retained, bytes_of("#"));
    until_failure = -1;
    ck_assert_ptr_null(walk);
    ck_assert_ptr_null(topic_index_free(NULL));
    ck_assert_ptr_null(retained_walk_free(NULL));
}
END_TEST

static Suite *no_memory_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("topics/no_memory", &tc);
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_add_test(tc, a_subscription_that_finds_no_memory_changes_nothing);
    tcase_add_test(tc, a_match_that_finds_no_memory_says_so);
    tcase_add_test(tc, a_retained_topic_that_finds_no_memory_changes_nothing);
    tcase_add_test(tc, what_cannot_be_made_is_null);
    return suite;
}

TEST_MAIN(no_memory_suite)
