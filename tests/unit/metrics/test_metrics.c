/* metrics: sums over workers, kinds, what has gone. */
#include "metrics.h"

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

START_TEST(an_empty_registry_has_no_text)
{
    check_text("");
}
END_TEST

static Suite *metrics_suite(void)
{
    TCase *t;
    Suite *s = test_suite("metrics", &t);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, text_shows_the_sum_of_all_workers);
    tcase_add_test(t, counters_of_a_worker_that_has_gone_are_not_lost);
    tcase_add_test(t, an_empty_registry_has_no_text);
    return s;
}

TEST_MAIN(metrics_suite)
