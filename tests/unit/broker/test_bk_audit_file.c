/* bk_audit_file: lines arrive whole and in order, over rotations, moved files and full disks. */
#include "bk_audit_file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "metrics.h"
#include "test_main.h"

static char folder[] = "/tmp/test-bk-audit-XXXXXX";
static struct metrics_registry *registry;

static void quiet(void *arg, const char *line, size_t len)
{
}

static void begin(void)
{
    strcpy(strrchr(folder, '-'), "-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(metrics_registry_new(&registry), 0);
    log_set_sink(quiet, NULL);
}

static void end(void)
{
    char command[64];
    log_set_sink(NULL, NULL);
    metrics_registry_free(registry);
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static struct bk_audit_file *opened(const char *name, uint64_t max_bytes, unsigned keep)
{
    struct bk_audit_file *f = NULL;
    const struct bk_audit_file_params params = {path_of(name), max_bytes, keep};
    ck_assert_int_eq(bk_audit_file_open(&params, registry, &f), 0);
    return f;
}

static void add(struct bk_audit_file *f, const char *line)
{
    bk_audit_file_add(f, line, strlen(line));
}

static void assert_holds(const char *name, const char *text)
{
    char got[4096] = "";
    FILE *file = fopen(path_of(name), "r");
    ck_assert_msg(file, "%s is not there", name);
    got[fread(got, 1, sizeof got - 1, file)] = '\0';
    fclose(file);
    ck_assert_str_eq(got, text);
}

static void assert_metric(const char *line)
{
    char *text = metrics_format(registry);
    ck_assert_msg(strstr(text, line), "%s is not in\n%s", line, text);
    free(text);
}

START_TEST(lines_are_appended_to_what_is_there)
{
    struct bk_audit_file *f = opened("log", 0, 0);
    add(f, "one\n");
    bk_audit_file_close(f);
    f = opened("log", 0, 0);
    add(f, "two\n");
    add(f, "three\n");
    bk_audit_file_close(f);
    assert_holds("log", "one\ntwo\nthree\n");
    assert_metric("broker_audit_lines_written_total 3\n");
}
END_TEST

START_TEST(a_file_that_is_full_becomes_an_older_one)
{
    struct bk_audit_file *f = opened("log", 10, 2);
    for (int i = 0; i < 8; i++) {
        char line[8];
        snprintf(line, sizeof line, "l%d..\n", i);
        add(f, line);
    }
    bk_audit_file_close(f);
    assert_holds("log", "l6..\nl7..\n");
    assert_holds("log.1", "l4..\nl5..\n");
    assert_holds("log.2", "l2..\nl3..\n");
    ck_assert_int_ne(access(path_of("log.3"), F_OK), 0);
    assert_metric("broker_audit_rotations_total 3\n");
}
END_TEST

START_TEST(a_line_longer_than_the_limit_has_a_file_of_its_own)
{
    struct bk_audit_file *f = opened("log", 4, 1);
    add(f, "a\n");
    add(f, "longer than that\n");
    add(f, "b\n");
    bk_audit_file_close(f);
    assert_holds("log", "b\n");
    assert_holds("log.1", "longer than that\n");
}
END_TEST

START_TEST(with_nothing_kept_the_file_begins_anew)
{
    struct bk_audit_file *f = opened("log", 4, 0);
    add(f, "one\n");
    add(f, "two\n");
    bk_audit_file_close(f);
    assert_holds("log", "two\n");
    ck_assert_int_ne(access(path_of("log.1"), F_OK), 0);
}
END_TEST

START_TEST(a_file_moved_away_is_left_alone_after_reopening)
{
    char moved[128];
    struct bk_audit_file *f = opened("log", 0, 0);
    const struct bk_audit_file_params params = {path_of("log"), 0, 0};
    add(f, "old\n");
    snprintf(moved, sizeof moved, "%s/moved", folder);
    ck_assert_int_eq(rename(path_of("log"), moved), 0);
    add(f, "old too\n");
    bk_audit_file_reopen(f, &params);
    add(f, "new\n");
    bk_audit_file_close(f);
    assert_holds("moved", "old\nold too\n");
    assert_holds("log", "new\n");
}
END_TEST

START_TEST(what_cannot_be_opened_changes_nothing)
{
    const struct bk_audit_file_params nowhere = {"/nonexistent/log", 0, 0};
    struct bk_audit_file *f = opened("log", 0, 0), *none = NULL;
    bk_audit_file_reopen(f, &nowhere);
    add(f, "still here\n");
    bk_audit_file_close(f);
    assert_holds("log", "still here\n");
    ck_assert_int_lt(bk_audit_file_open(&nowhere, registry, &none), 0);
    ck_assert_ptr_null(none);
}
END_TEST

START_TEST(a_full_disk_costs_lines_and_is_counted)
{
    struct bk_audit_file *f = NULL;
    const struct bk_audit_file_params full = {"/dev/full", 0, 0};
    ck_assert_int_eq(bk_audit_file_open(&full, registry, &f), 0);
    add(f, "one\n");
    add(f, "two\n");
    bk_audit_file_close(f);
    assert_metric("broker_audit_lines_lost_total 2\n");
    assert_metric("broker_audit_lines_written_total 0\n");
}
END_TEST

/* A pipe that nobody reads is a disk that takes nothing; what has room in it is written. */
START_TEST(a_slow_disk_costs_lines_and_nobody_waits)
{
    enum { LINE = 1000, LINES = 3000 };
    char line[LINE];
    ck_assert_int_eq(mkfifo(path_of("pipe"), 0600), 0);
    FILE *reader = fopen(path_of("pipe"), "r+");
    struct bk_audit_file *f = opened("pipe", 0, 0);
    memset(line, 'x', LINE - 1);
    line[LINE - 1] = '\n';
    for (int i = 0; i < LINES; i++)
        bk_audit_file_add(f, line, LINE);
    bk_audit_file_close(f);
    fclose(reader);
    char *text = metrics_format(registry);
    long written = -1, lost = -1;
    ck_assert_int_eq(
        sscanf(strstr(text, "\nbroker_audit_lines_written_total"), "\nbroker_audit_lines_written_total %ld", &written),
        1);
    ck_assert_int_eq(
        sscanf(strstr(text, "\nbroker_audit_lines_lost_total"), "\nbroker_audit_lines_lost_total %ld", &lost), 1);
    ck_assert_int_gt(written, 0);
    ck_assert_int_gt(lost, 0);
    ck_assert_int_eq(written + lost, LINES);
    free(text);
}
END_TEST

static Suite *suite(void)
{
    TCase *tc;
    Suite *s = test_suite("bk_audit_file", &tc);
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, lines_are_appended_to_what_is_there);
    tcase_add_test(tc, a_file_that_is_full_becomes_an_older_one);
    tcase_add_test(tc, a_line_longer_than_the_limit_has_a_file_of_its_own);
    tcase_add_test(tc, with_nothing_kept_the_file_begins_anew);
    tcase_add_test(tc, a_file_moved_away_is_left_alone_after_reopening);
    tcase_add_test(tc, what_cannot_be_opened_changes_nothing);
    tcase_add_test(tc, a_full_disk_costs_lines_and_is_counted);
    tcase_add_test(tc, a_slow_disk_costs_lines_and_nobody_waits);
    return s;
}

TEST_MAIN(suite)
