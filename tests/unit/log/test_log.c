/* log: what a line looks like in both formats, that nothing of a stranger breaks it, and what is written at all. */
#define LOG_MODULE LOG_TEST
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "test_main.h"

enum { TIME_LEN = 24 };

static char seen[256 * 1024];
static size_t seen_len;
static unsigned seen_lines;

static void keep_line(void *arg, const char *line, size_t len)
{
    ck_assert_uint_lt(seen_len + len, sizeof(seen));
    memcpy(seen + seen_len, line, len);
    seen_len += len;
    seen[seen_len] = '\0';
    seen_lines++;
}

static void forget_lines(void)
{
    seen_len = 0;
    seen_lines = 0;
    seen[0] = '\0';
}

static void setup(void)
{
    forget_lines();
    log_set_sink(keep_line, NULL);
    log_set_format(LOG_FORMAT_TEXT);
    ck_assert_int_eq(log_set_filter(LOG_FILTER_DEFAULT), 0);
}

static void teardown(void)
{
    log_set_sink(NULL, NULL);
}

struct thing {
    struct log_object log;
    unsigned number;
    const char *id;
    size_t id_len;
};

static void thing_describe(const struct log_object *self, struct log_writer *w)
{
    const struct thing *t = (const struct thing *)self;
    log_field_u64(w, "client", t->number);
    log_field(w, "peer", "%s:%u", "10.0.0.8", 50122U);
    log_field_bytes(w, "id", t->id, t->id_len);
}

static void trunk_describe(const struct log_object *self, struct log_writer *w)
{
    log_field(w, "trunk", "%u", 2U);
}

static const struct log_object trunk = {.describe = trunk_describe};

static struct thing thing_make(const char *id, size_t len)
{
    return (struct thing){.log = {.describe = thing_describe}, .number = 17, .id = id, .id_len = len};
}

/* The one line behind its time. */
static const char *only_line(void)
{
    ck_assert_uint_eq(seen_lines, 1);
    ck_assert_uint_gt(seen_len, TIME_LEN);
    ck_assert_int_eq(seen[seen_len - 1], '\n');
    seen[seen_len - 1] = '\0';
    ck_assert_ptr_null(strchr(seen, '\n'));
    return seen[0] == '{' ? strstr(seen, "\"level\"") : seen + TIME_LEN + 1;
}

START_TEST(a_line_names_its_object)
{
    struct thing t = thing_make("pump-3", 6);
    log_info(&t.log, "connected, MQTT %d", 5);
    ck_assert_str_eq(only_line(), "INFO test client=17 peer=10.0.0.8:50122 id='pump-3': connected, MQTT 5");
    ck_assert_int_eq(seen[TIME_LEN - 1], 'Z');
}
END_TEST

START_TEST(parents_stand_in_front)
{
    struct thing t = thing_make("p", 1);
    t.log.parent = &trunk;
    struct log_object child = {.parent = &t.log};
    log_error(&child, "x");
    ck_assert_str_eq(only_line(), "ERROR test trunk=2 client=17 peer=10.0.0.8:50122 id='p': x");
}
END_TEST

START_TEST(a_line_may_have_no_object)
{
    log_warn(NULL, "x");
    ck_assert_str_eq(only_line(), "WARN test: x");
}
END_TEST

START_TEST(json_has_the_same_facts)
{
    struct thing t = thing_make("pump-3", 6);
    log_set_format(LOG_FORMAT_JSON);
    log_info(&t.log, "hello");
    ck_assert_str_eq(only_line(), "\"level\":\"info\",\"module\":\"test\",\"client\":17,"
                                  "\"peer\":\"10.0.0.8:50122\",\"id\":\"pump-3\",\"message\":\"hello\"}");
    ck_assert(strncmp(seen, "{\"time\":\"2", 10) == 0);
}
END_TEST

static const struct {
    const char *message, *text, *json;
} harmful_rows[] = {
    {"a\nb", "a\\x0ab", "a\\nb"},
    {"say \"x\" \\", "say \"x\" \\", "say \\\"x\\\" \\\\"},
    {"\x1b[2J\x7f", "\\x1b[2J\\x7f", "\\u001b[2J\\u007f"},
    {"\xc3\xa4\xf0\x9f\x98\x80", "\xc3\xa4\xf0\x9f\x98\x80", "\xc3\xa4\xf0\x9f\x98\x80"},
    {"\xff\xc3", "\\xff\\xc3", "\\ufffd\\ufffd"},
    {"\xe2\x80\xae"
     "abc",
     "\\xe2\\x80\\xaeabc", "\\u202eabc"},
};

START_TEST(no_message_breaks_its_line)
{
    log_info(NULL, "%s", harmful_rows[_i].message);
    ck_assert_str_eq(only_line() + strlen("INFO test: "), harmful_rows[_i].text);
    forget_lines();
    log_set_format(LOG_FORMAT_JSON);
    log_info(NULL, "%s", harmful_rows[_i].message);
    char want[100];
    snprintf(want, sizeof(want), "\"level\":\"info\",\"module\":\"test\",\"message\":\"%s\"}", harmful_rows[_i].json);
    ck_assert_str_eq(only_line(), want);
}
END_TEST

START_TEST(bytes_of_strangers_are_quoted)
{
    struct thing t = thing_make("a' peer=1\n\0", 11);
    log_info(&t.log, "x");
    ck_assert_str_eq(only_line(), "INFO test client=17 peer=10.0.0.8:50122 id='a\\x27 peer=1\\x0a\\x00': x");
    forget_lines();
    log_set_format(LOG_FORMAT_JSON);
    log_info(&t.log, "x");
    ck_assert_ptr_nonnull(strstr(only_line(), "\"id\":\"a\\\\x27 peer=1\\\\x0a\\\\x00\","));
}
END_TEST

static char long_text[6000];

static void describe_too_much(const struct log_object *self, struct log_writer *w)
{
    for (int i = 0; i < 7; i++)
        log_field(w, "field", "%s", long_text);
    log_field_u64(w, "last", 1);
}

/* Whether it is one JSON object of strings and numbers: enough to see quotes and escapes closed. */
static bool is_whole_json(const char *line)
{
    bool is_in_string = false;
    size_t n = strlen(line);
    for (size_t i = 1; i + 1 < n; i++) {
        if (line[i] == '\\')
            i++;
        else if (line[i] == '"')
            is_in_string = !is_in_string;
        else if (!is_in_string && (line[i] == '}' || line[i] == '.'))
            return false;
    }
    return line[0] == '{' && line[n - 1] == '}' && !is_in_string;
}

START_TEST(a_line_too_long_is_cut_and_stays_well_formed)
{
    static const char *const fill = "\n\"a\xc3\xa4";
    const struct log_object object = {.describe = describe_too_much};
    /* Each phase of a multi-byte character or escape meets the limit. */
    for (size_t shift = 0; shift < 12; shift++) {
        memset(long_text, 'x', shift);
        for (size_t i = shift; i < sizeof(long_text) - 1; i++)
            long_text[i] = fill[(i - shift) % strlen(fill)];
        forget_lines();
        log_set_format(LOG_FORMAT_JSON);
        log_info(&object, "message %s", long_text);
        ck_assert_uint_le(seen_len, 4096);
        only_line();
        ck_assert_msg(is_whole_json(seen), "%s", seen);
        ck_assert_ptr_nonnull(strstr(seen, ",\"message\":\"message "));
        ck_assert_ptr_nonnull(strstr(seen, "...\"}"));

        forget_lines();
        log_set_format(LOG_FORMAT_TEXT);
        log_info(&object, "message %s", long_text);
        ck_assert_uint_le(seen_len, 4096);
        ck_assert_ptr_nonnull(strstr(only_line(), ": message "));
    }
}
END_TEST

START_TEST(the_filter_decides_at_once_and_arguments_of_no_line_are_not_evaluated)
{
    int evaluated = 0;
    log_debug(NULL, "%d", ++evaluated);
    ck_assert_uint_eq(seen_lines, 0);
    ck_assert_int_eq(log_set_filter("off,test=trace"), 0);
    log_debug(NULL, "%d", ++evaluated);
    log_trace(NULL, "%d", ++evaluated);
    ck_assert_uint_eq(seen_lines, 2);
    ck_assert_int_eq(log_set_filter("trace,test=off"), 0);
    log_error(NULL, "%d", ++evaluated);
    ck_assert_int_eq(log_set_filter("nonsense=off"), -EINVAL);
    log_error(NULL, "%d", ++evaluated);
    ck_assert_uint_eq(seen_lines, 2);
    ck_assert_int_eq(evaluated, 2);
}
END_TEST

START_TEST(a_limit_lets_so_many_through_and_counts_the_rest)
{
    struct log_limit limit = LOG_LIMIT(2, 1000);
    uint32_t suppressed = 99;
    const uint64_t start = 5000;
    ck_assert(log_limit_pass(&limit, start, &suppressed));
    ck_assert_uint_eq(suppressed, 0);
    ck_assert(log_limit_pass(&limit, start + 999, &suppressed));
    for (int i = 0; i < 3; i++)
        ck_assert(!log_limit_pass(&limit, start + 999, &suppressed));
    ck_assert(log_limit_pass(&limit, start + 1000, &suppressed));
    ck_assert_uint_eq(suppressed, 3);
    ck_assert(log_limit_pass(&limit, start + 1001, &suppressed));
    ck_assert_uint_eq(suppressed, 0);
    ck_assert(!log_limit_pass(&limit, start + 1002, &suppressed));
    /* Another thread's clock reading may be a little older than the window. */
    ck_assert(!log_limit_pass(&limit, start + 998, &suppressed));
}
END_TEST

START_TEST(the_line_after_a_limit_says_what_was_left_out)
{
    struct log_limit limit = LOG_LIMIT(1, 1000);
    atomic_store(&limit.suppressed, 12);
    log_rate_limited(&limit, LOG_LEVEL_DEBUG, NULL, "off anyway");
    log_rate_limited(&limit, LOG_LEVEL_WARN, NULL, "refused %d", 1);
    log_rate_limited(&limit, LOG_LEVEL_WARN, NULL, "refused %d", 2);
    ck_assert_str_eq(only_line(), "WARN test: refused 1 (suppressed 12 similar)");
}
END_TEST

START_TEST(lines_go_to_stderr_whole_and_errno_survives)
{
    int ends[2], kept = dup(STDERR_FILENO);
    char got[200];
    ck_assert_int_eq(pipe(ends), 0);
    log_set_sink(NULL, NULL);
    dup2(ends[1], STDERR_FILENO);
    errno = ENOTTY;
    log_info(NULL, "there");
    const int errno_after = errno;
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(ends[1]);
    ssize_t n = read(ends[0], got, sizeof(got) - 1);
    close(ends[0]);
    ck_assert_int_gt(n, TIME_LEN);
    got[n] = '\0';
    ck_assert_str_eq(got + TIME_LEN, " INFO test: there\n");
    ck_assert_int_eq(errno_after, ENOTTY);
}
END_TEST

START_TEST(a_stderr_that_nobody_reads_stops_nothing)
{
    int ends[2], kept = dup(STDERR_FILENO);
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
    log_set_sink(NULL, NULL);
    dup2(ends[1], STDERR_FILENO);
    memset(long_text, 'x', sizeof(long_text) - 1);
    for (int i = 0; i < 40; i++)
        log_info(NULL, "%s", long_text);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

enum { N_THREADS = 4, N_LINES = 200 };

static void *log_much(void *arg)
{
    struct log_limit *limit = arg;
    for (int i = 0; i < N_LINES; i++) {
        log_info(&trunk, "steady");
        log_rate_limited(limit, LOG_LEVEL_INFO, NULL, "limited");
        if (i % 50 == 0)
            log_set_filter(i % 100 ? "info" : "info,net=debug");
    }
    return NULL;
}

START_TEST(many_threads_log_whole_lines)
{
    static struct log_limit limit = LOG_LIMIT(3, 3600000);
    pthread_t threads[N_THREADS];
    for (size_t i = 0; i < N_THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, log_much, &limit), 0);
    for (size_t i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    unsigned steady = 0, limited = 0;
    for (char *line = strtok(seen, "\n"); line; line = strtok(NULL, "\n")) {
        steady += strcmp(line + TIME_LEN, " INFO test trunk=2: steady") == 0;
        limited += strncmp(line + TIME_LEN, " INFO test: limited", 19) == 0;
    }
    ck_assert_uint_eq(steady, (uintmax_t)N_THREADS * N_LINES);
    ck_assert_uint_ge(limited, 3);
    ck_assert_uint_le(limited, 3 + 3 * N_THREADS);
    ck_assert_uint_eq(seen_lines, steady + limited);
}
END_TEST

static Suite *log_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("log", &tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_line_names_its_object);
    tcase_add_test(tc, parents_stand_in_front);
    tcase_add_test(tc, a_line_may_have_no_object);
    tcase_add_test(tc, json_has_the_same_facts);
    tcase_add_loop_test(tc, no_message_breaks_its_line, 0, TEST_COUNT(harmful_rows));
    tcase_add_test(tc, bytes_of_strangers_are_quoted);
    tcase_add_test(tc, a_line_too_long_is_cut_and_stays_well_formed);
    tcase_add_test(tc, the_filter_decides_at_once_and_arguments_of_no_line_are_not_evaluated);
    tcase_add_test(tc, a_limit_lets_so_many_through_and_counts_the_rest);
    tcase_add_test(tc, the_line_after_a_limit_says_what_was_left_out);
    tcase_add_test(tc, lines_go_to_stderr_whole_and_errno_survives);
    tcase_add_test(tc, a_stderr_that_nobody_reads_stops_nothing);
    tcase_add_test(tc, many_threads_log_whole_lines);
    return suite;
}

TEST_MAIN(log_suite)
