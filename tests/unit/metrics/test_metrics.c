/* metrics: sums over workers, kinds, what has gone. */
#include "metrics.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "test_main.h"

#define PUMP_METRICS(X)                          \
    X(strokes, COUNTER, "strokes of the piston") \
    X(pressure, GAUGE, "bar")
struct pump_metrics {
    PUMP_METRICS(METRIC_FIELD)
};
#define METRICS_OWNER struct pump_metrics
static const struct metric_info pump_metric_infos[] = {PUMP_METRICS(METRIC_INFO)};

static struct metrics_registry *registry;

static void setup(void)
{
    ck_assert_int_eq(metrics_registry_new(&registry), 0);
}

static void teardown(void)
{
    registry = metrics_registry_free(registry);
}

static void add_pump(struct pump_metrics *p)
{
    ck_assert_int_eq(metrics_add(registry, "pump", pump_metric_infos, TEST_COUNT(pump_metric_infos), p), 0);
}

static void check_text(const char *want)
{
    char *text = metrics_format(registry);
    ck_assert_str_eq(text, want);
    free(text);
}

START_TEST(text_shows_the_sum_of_all_workers)
{
    struct pump_metrics a = {0}, b = {0};
    add_pump(&a);
    add_pump(&b);
    metric_add(&a.strokes, 3);
    metric_add(&b.strokes, 4);
    metric_add(&b.pressure, 5);
    metric_add(&b.pressure, -7);
    check_text(
        "# HELP pump_strokes_total strokes of the piston\n# TYPE pump_strokes_total counter\npump_strokes_total 7\n"
        "# HELP pump_pressure bar\n# TYPE pump_pressure gauge\npump_pressure -2\n");
}
END_TEST

START_TEST(counters_of_a_worker_that_has_gone_are_not_lost)
{
    struct pump_metrics a = {0}, b = {0};
    add_pump(&a);
    add_pump(&b);
    metric_add(&a.strokes, 3);
    metrics_remove(registry, &a);
    metric_add(&a.strokes, 100);
    metric_add(&b.strokes, 1);
    char *text = metrics_format(registry);
    ck_assert_ptr_nonnull(strstr(text, "\npump_strokes_total 4\n"));
    free(text);
}
END_TEST

struct reactor_metrics {
    metric before;
    struct metric_histogram delay_us;
    metric behind;
};

/* Values at both sides of a bound, and the bucket they belong to. */
static const struct {
    uint64_t value;
    size_t bucket;
} observe_rows[] = {
    {0, 0},           {1, 0},    {2, 1},    {4, 1},    {5, 2},        {16, 2},
    {17, 3},          {4095, 6}, {4096, 6}, {4097, 7}, {1 << 24, 12}, {(1 << 24) + 1, 13},
    {UINT64_MAX, 13},
};

START_TEST(a_value_counts_in_the_first_bucket_that_reaches_it)
{
    struct reactor_metrics m = {0};
    metric_observe(&m.delay_us, observe_rows[_i].value);
    for (size_t i = 0; i < METRIC_BUCKETS; i++)
        ck_assert_int_eq(metric_get(&m.delay_us.buckets[i]), i == observe_rows[_i].bucket);
    ck_assert_int_eq(metric_get(&m.before) + metric_get(&m.behind), 0);
}
END_TEST

#undef METRICS_OWNER
#define METRICS_OWNER struct reactor_metrics
static const struct metric_info reactor_metric_infos[] = {METRIC_INFO(before, COUNTER, "x") METRIC_INFO(
    delay_us, HISTOGRAM, "time to react") METRIC_INFO(behind, GAUGE, "x")};

START_TEST(a_histogram_is_cumulative_and_survives_its_worker)
{
    struct reactor_metrics a = {0}, b = {0};
    const size_t count = TEST_COUNT(reactor_metric_infos);
    ck_assert_int_eq(metrics_add(registry, "core", reactor_metric_infos, count, &a), 0);
    ck_assert_int_eq(metrics_add(registry, "core", reactor_metric_infos, count, &b), 0);
    metric_observe(&a.delay_us, 1);
    metric_observe(&a.delay_us, 10);
    metric_observe(&b.delay_us, 15);
    metric_observe(&b.delay_us, 1 << 30);
    metric_add(&a.behind, 7);
    metrics_remove(registry, &a);
    char *text = metrics_format(registry);
    static const char want[] = "# HELP core_delay_us time to react\n# TYPE core_delay_us histogram\n"
                               "core_delay_us_bucket{le=\"1\"} 1\ncore_delay_us_bucket{le=\"4\"} 1\n"
                               "core_delay_us_bucket{le=\"16\"} 3\n";
    static const char want_end[] = "core_delay_us_bucket{le=\"16777216\"} 3\ncore_delay_us_bucket{le=\"+Inf\"} 4\n"
                                   "core_delay_us_sum 1073741850\ncore_delay_us_count 4\n# HELP core_behind ";
    ck_assert_ptr_nonnull(strstr(text, want));
    ck_assert_ptr_nonnull(strstr(text, want_end));
    ck_assert_ptr_nonnull(strstr(text, "\ncore_behind 7\n"));
    free(text);
    text = metrics_summary(registry);
    ck_assert_str_eq(text, "core_delay_us=4 core_behind=7");
    free(text);
}
END_TEST

enum { N_WRITERS = 3, N_STEPS = 2000 };

static void *pump_many(void *arg)
{
    struct pump_metrics *own = arg;
    add_pump(own);
    for (int i = 0; i < N_STEPS; i++)
        metric_add(&own->strokes, 1);
    metrics_remove(registry, own);
    return NULL;
}

START_TEST(threads_count_while_others_read)
{
    static struct pump_metrics pumps[N_WRITERS];
    pthread_t threads[N_WRITERS];
    for (size_t i = 0; i < N_WRITERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, pump_many, &pumps[i]), 0);
    for (int i = 0; i < 50; i++)
        free(metrics_format(registry));
    for (size_t i = 0; i < N_WRITERS; i++)
        pthread_join(threads[i], NULL);
    char *text = metrics_summary(registry);
    ck_assert_str_eq(text, "pump_strokes=6000");
    free(text);
}
END_TEST

START_TEST(an_empty_registry_has_no_text)
{
    check_text("");
    char *text = metrics_summary(registry);
    ck_assert_str_eq(text, "");
    free(text);
}
END_TEST

static Suite *metrics_suite(void)
{
    TCase *t;
    Suite *s = test_suite("metrics", &t);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, text_shows_the_sum_of_all_workers);
    tcase_add_test(t, counters_of_a_worker_that_has_gone_are_not_lost);
    tcase_add_loop_test(t, a_value_counts_in_the_first_bucket_that_reaches_it, 0, TEST_COUNT(observe_rows));
    tcase_add_test(t, a_histogram_is_cumulative_and_survives_its_worker);
    tcase_add_test(t, threads_count_while_others_read);
    tcase_add_test(t, an_empty_registry_has_no_text);
    return s;
}

TEST_MAIN(metrics_suite)
