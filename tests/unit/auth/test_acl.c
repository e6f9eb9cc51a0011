/* The ACL file: what each line means, that the first match decides, and what never matches. */
#include "acl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "file_support.h"
#include "mqtt_topic.h"
#include "test_main.h"

static struct mqtt_bytes bytes_of(const char *text)
{
    return (struct mqtt_bytes){.ptr = (const uint8_t *)text, .len = (uint32_t)strlen(text)};
}

static struct acl *load(const char *text)
{
    struct acl *a = NULL;
    const int r = acl_load(file_support_write(text), &a);
    ck_assert_msg(r == 0, "%s", err_text());
    return a;
}

static struct acl_view view_of(struct acl *file, const char *user, const char *client_id)
{
    struct acl_view v;
    acl_view_init(&v, file, NULL, bytes_of(user), bytes_of(client_id));
    return v;
}

/* What the file TEXT answers to one question: "pub", "get" or "sub", a topic or filter; '-': no, 'o': open
 * subscription, 'g': guarded one, '+': yes. */
static char answer(const char *text, const char *user, const char *client_id, const char *verb, const char *what)
{
    struct acl *a = load(text);
    struct acl_view v = view_of(a, user, client_id);
    char c;
    if (strcmp(verb, "sub") == 0)
        c = "-og"[acl_may_subscribe(&v, bytes_of(what))];
    else
        c = (verb[0] == 'p' ? acl_may_publish : acl_may_receive)(&v, bytes_of(what)) ? '+' : '-';
    acl_view_deinit(&v);
    acl_unref(a);
    return c;
}

#define EXAMPLE                                         \
    "# of OPTIONS.md\n"                                 \
    "topic readwrite public/#            # everybody\n" \
    "user alice\n"                                      \
    "topic read sensors/+/temp\n"                       \
    "deny publish sensors/secret\n"                     \
    "pattern readwrite devices/%c/#      # every client; %c client id, %u user name\n"

static const struct question {
    const char *text, *user, *client_id, *verb, *what;
    char answer;
} questions[] = {
    {EXAMPLE, "alice", "c1", "pub", "public/x", '+'},
    {EXAMPLE, "", "c1", "pub", "public", '+'},
    {EXAMPLE, "bob", "c1", "get", "public/x/y", '+'},
    {EXAMPLE, "alice", "c1", "get", "sensors/1/temp", '+'},
    {EXAMPLE, "bob", "c1", "get", "sensors/1/temp", '-'},
    {EXAMPLE, "alice", "c1", "pub", "sensors/1/temp", '-'},
    {EXAMPLE, "alice", "c1", "sub", "sensors/+/temp", 'o'},
    {EXAMPLE, "alice", "c1", "sub", "sensors/1/temp", 'o'},
    {EXAMPLE, "alice", "c1", "sub", "sensors/#", '-'},
    {EXAMPLE, "alice", "c1", "sub", "#", '-'},
    {EXAMPLE, "bob", "c1", "pub", "devices/c1/a", '+'},
    {EXAMPLE, "bob", "c1", "pub", "devices/c1", '+'},
    {EXAMPLE, "bob", "c1", "pub", "devices/c2/a", '-'},
    {EXAMPLE, "bob", "c1", "sub", "devices/c1/#", 'o'},
    {EXAMPLE, "bob", "c1", "sub", "devices/+/#", '-'},
    {EXAMPLE, "bob", "c1", "sub", "$share/g/devices/c1/#", 'o'},
    {EXAMPLE, "bob", "c1", "sub", "$share/g/devices/c2/#", '-'},
    {EXAMPLE, "bob", "c1", "sub", "$share/g", '-'},
    {EXAMPLE, "bob", "c1", "sub", "$share//devices/c1/#", '-'},
    {"", "alice", "c1", "pub", "a", '-'}, /* CVE-2018-12550 */
    {"", "alice", "c1", "sub", "a", '-'},
    {"topic a\n", "", "", "pub", "a", '+'}, /* readwrite */
    {"topic a\n", "", "", "get", "a", '+'},
    {"topic write a\n", "", "", "get", "a", '-'},
    {"topic publish a\n", "", "", "pub", "a", '+'},
    {"topic subscribe a\n", "", "", "pub", "a", '-'},
    {"topic subscribe a\n", "", "", "sub", "a", 'o'},
    {"topic read two words\n", "", "", "get", "two words", '+'},
    {"topic read \t a b/c \t # x\n", "", "", "get", "a b/c", '+'},
    {"  topic read a\n   # no line\n", "", "", "get", "a", '+'},
    {"topic read #\n", "", "", "get", "a/b/c", '+'},
    {"topic read # # all\n", "", "", "get", "a/b/c", '+'},
    {"topic read #\n", "", "", "sub", "#", 'o'},
    {"topic read #\n", "", "", "sub", "+/a/#", 'o'},
    {"topic read #\n", "", "", "get", "$SYS/x", '-'}, /* MQTT-4.7.2-1 */
    {"topic read #\n", "", "", "sub", "$SYS/#", '-'},
    {"topic read +/x\n", "", "", "get", "$SYS/x", '-'},
    {"topic read +/x\n", "", "", "sub", "$SYS/x", '-'},
    {"topic read $SYS/#\n", "", "", "sub", "$SYS/broker/+", 'o'},
    {"topic read $SYS/#\n", "", "", "get", "$SYS", '+'},
    {"topic read a//b\n", "", "", "get", "a//b", '+'},
    {"topic read a/\n", "", "", "get", "a/", '+'},
    {"topic read a/\n", "", "", "get", "a", '-'},
    {"topic read a/+\n", "", "", "get", "a/", '+'},
    {"topic read a/+\n", "", "", "get", "a", '-'},
    {"topic read a/+\n", "", "", "sub", "a/#", '-'},
    {"topic read a/#\n", "", "", "sub", "a/+", 'o'},
    {"topic read a/#\n", "", "", "sub", "a", 'o'},
    {"topic read a/+/c\n", "", "", "sub", "a/b/c", 'o'},
    {"topic read a/b/c\n", "", "", "sub", "a/+/c", '-'},
    /* the first match decides */
    {"topic deny a/b\ntopic a/#\n", "", "", "pub", "a/b", '-'},
    {"topic deny a/b\ntopic a/#\n", "", "", "pub", "a/c", '+'},
    {"topic deny a/b\ntopic a/#\n", "", "", "sub", "a/#", 'g'},
    {"topic deny a/b\ntopic a/#\n", "", "", "sub", "a/c", 'o'},
    {"topic deny a/b\ntopic a/#\n", "", "", "sub", "a/b", '-'},
    {"topic deny a/b\ntopic a/#\n", "", "", "sub", "a/c/#", 'o'},
    {"deny publish a/b\ntopic a/#\n", "", "", "sub", "a/#", 'o'},
    {"deny publish a/b\ntopic a/#\n", "", "", "pub", "a/b", '-'},
    {"deny publish a/b\ntopic a/#\n", "", "", "get", "a/b", '+'},
    {"deny subscribe a/b\ntopic a/#\n", "", "", "pub", "a/b", '+'},
    {"topic read a/+\ndeny a/b/#\ntopic a/#\n", "", "", "get", "a/b", '+'},
    {"topic read a/+\ndeny publish a/b/#\ntopic a/#\n", "", "", "get", "a/b/c", '+'},
    {"topic read a/x\ndeny a/#\ntopic read a/#\n", "", "", "sub", "a/x", 'o'},
    {"topic read a/x\ndeny a/#\ntopic read a/#\n", "", "", "get", "a/y", '-'},
    {"topic deny a/+/c\ntopic a/#\n", "", "", "sub", "a/b/#", 'g'},
    {"topic deny a/+/c\ntopic a/#\n", "", "", "sub", "a/b/+", 'g'},
    {"topic deny a/+/c\ntopic a/#\n", "", "", "sub", "a/b/d", 'o'},
    {"topic deny a/b/#\ntopic a/#\n", "", "", "sub", "a/b", '-'},
    {"user u\ndeny a/b\npattern read a/#\n", "u", "", "sub", "a/#", 'g'},
    {"user u\ndeny a/b\npattern read a/#\n", "w", "", "sub", "a/#", 'o'},
    {"user u\ndeny a/b\npattern read a/#\n", "u", "", "get", "a/b", '-'},
    {"pattern read a/b\nuser u\ndeny a/#\n", "u", "", "get", "a/b", '+'},
    {"user u\ntopic read a\nuser w\ntopic read b\nuser u\ntopic read c\n", "u", "", "get", "c", '+'},
    {"user u\ntopic read a\nuser w\ntopic read b\nuser u\ntopic read c\n", "u", "", "get", "b", '-'},
    {"user  two words  # x\ntopic read a\n", "two words", "", "get", "a", '+'},
    {"user u\ntopic read a\n", "", "", "get", "a", '-'},
    /* patterns */
    {"pattern write d/%c/%u\n", "u", "c", "pub", "d/c/u", '+'},
    {"pattern write d/%c/%u\n", "u", "c", "pub", "d/u/c", '-'},
    {"pattern write d/dev-%c-%u!\n", "u", "c", "pub", "d/dev-c-u!", '+'},
    {"pattern write d/dev-%c-%u!\n", "u", "c", "pub", "d/dev-c-u", '-'},
    {"pattern write d/dev-%c-%u!\n", "u", "c", "pub", "d/dev-c-u!x", '-'},
    {"pattern write d/%c%c\n", "u", "ab", "pub", "d/abab", '+'},
    {"pattern write d/%u\n", "", "c", "pub", "d/", '-'},
    {"pattern write d/%u\n", "+", "c", "pub", "d/+", '-'}, /* CVE-2017-7650 */
    {"pattern readwrite d/%u\n", "+", "c", "sub", "d/+", '-'},
    {"pattern readwrite d/%u/#\n", "#", "c", "sub", "d/#", '-'},
    {"pattern readwrite d/%c/#\n", "u", "a/b", "pub", "d/a/b", '-'},
    {"pattern readwrite d/%c\n", "u", "", "pub", "d/", '-'},
    {"pattern readwrite %c/#\n", "u", "$SYS", "pub", "$SYS/x", '-'},
    {"pattern readwrite d/%c/#\n", "u", "$SYS", "pub", "d/$SYS/x", '+'},
    {"pattern deny d/%c/x\ntopic d/#\n", "u", "c", "pub", "d/c/x", '-'},
    {"pattern deny d/%c/x\ntopic d/#\n", "u", "c", "pub", "d/e/x", '+'},
    {"pattern deny d/%c/x\ntopic d/#\n", "u", "c", "sub", "d/c/+", 'g'},
    {"pattern deny d/%c/x\ntopic d/#\n", "u", "c", "sub", "d/e/+", 'o'},
    {"pattern read d/%x/%\n", "u", "c", "get", "d/%x/%", '+'},
};

START_TEST(a_question_has_its_answer)
{
    const struct question *q = &questions[_i];
    const char got = answer(q->text, q->user, q->client_id, q->verb, q->what);
    ck_assert_msg(got == q->answer, "%s'%s' '%s' %s %s: %c", q->text, q->user, q->client_id, q->verb, q->what, got);
}
END_TEST

static const struct {
    const char *text, *words;
} bad[] = {
    {"topics a\n", ", line 1: expected topic, user, deny or pattern"},
    {"topic\n", ", line 1: there is no topic filter in it"},
    {"\n\ntopic read\n", ", line 3: there is no topic filter in it"},
    {"topic read a#\n", ", line 1: 'a#' is not a topic filter"},
    {"topic read # all\n", ", line 1: '# all' is not a topic filter"},
    {"topic read a/\xff\n", "is not a topic filter"},
    {"topic read $share/g/a\n", "a shared subscription is checked without its $share/GROUP/"},
    {"user\n", ", line 1: there is no user name in it"},
    {"deny deny a\n", "expected deny [publish|subscribe] FILTER"},
    {"topic read d/%c\n", "replaced in pattern lines only"},
    {"deny publish d/%u\n", "replaced in pattern lines only"},
    {"topic a/#\ntopic deny a/b\n", ", line 2: it denies nothing"},
    {"topic a/#\ndeny publish a/+\n", ", line 2: it denies nothing"},
    {"topic read a/#\ndeny a/b\n", ", line 2: it denies nothing"},
    {"topic a/#\nuser u\ndeny a/b\n", ", line 3: it denies nothing"},
    {"pattern d/%c/#\npattern deny d/%c/x\n", ", line 2: it denies nothing"},
};

START_TEST(a_bad_line_is_named)
{
    struct acl *a;
    ck_assert_int_lt(acl_load(file_support_write(bad[_i].text), &a), 0);
    ck_assert_msg(strstr(err_text(), bad[_i].words) != NULL, "%s", err_text());
}
END_TEST

static const char *const reached[] = {
    "topic read a/#\ndeny publish a/b\n",    "topic a/+\ndeny a/#\n",
    "user u\ntopic a/#\nuser w\ndeny a/b\n", "user u\ntopic a/#\npattern deny a/b\n",
    "deny a/#\ntopic read a/#\ndeny a/b\n",  "pattern d/%c/#\npattern deny d/%u/x\n",
    "pattern d/%c/#\ndeny d/x/y\n",
};

START_TEST(a_deny_line_that_denies_something_is_taken)
{
    acl_unref(load(reached[_i]));
}
END_TEST

START_TEST(a_filter_has_at_most_so_many_levels)
{
    char text[64 + 2 * ACL_LEVELS_MAX] = "topic read ";
    struct acl *a;
    for (int i = 1; i < ACL_LEVELS_MAX; i++)
        strcat(text, "+/");
    strcat(text, "+\n");
    acl_unref(load(text));
    strcpy(text + strlen(text) - 2, "+/+\n");
    ck_assert_int_eq(acl_load(file_support_write(text), &a), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err_text(), "has more than 128 levels"));
}
END_TEST

START_TEST(no_file_allows_all)
{
    struct acl_view v = view_of(NULL, "u", "c");
    ck_assert(acl_may_publish(&v, bytes_of("a")) && acl_may_receive(&v, bytes_of("$SYS/x")));
    ck_assert_int_eq(acl_may_subscribe(&v, bytes_of("#")), ACL_SUBSCRIPTION_OPEN);
    ck_assert_int_eq(acl_may_subscribe(&v, bytes_of("$share/g/#")), ACL_SUBSCRIPTION_OPEN);
    ck_assert_int_eq(acl_may_subscribe(&v, bytes_of("$share//#")), ACL_SUBSCRIPTION_REFUSED);
    acl_view_deinit(&v);
}
END_TEST

/* --- Claims of a token */

static struct acl_view view_with_claims(struct acl *file, const char *user, const char *client_id)
{
    struct acl *claims;
    struct acl_view v;
    ck_assert_int_eq(acl_new(&claims), 0);
    ck_assert_int_eq(acl_add_pattern(claims, ACL_PUBLISH, bytes_of("up/%c")), 0);
    ck_assert_int_eq(acl_add_pattern(claims, ACL_SUBSCRIBE, bytes_of("down/#")), 0);
    ck_assert_int_eq(acl_add_pattern(claims, ACL_PUBLISH | ACL_SUBSCRIBE, bytes_of("both/%u")), 0);
    acl_view_init(&v, file, claims, bytes_of(user), bytes_of(client_id));
    acl_unref(claims); /* the view has its own reference */
    return v;
}

START_TEST(claims_say_what_a_client_may)
{
    struct acl_view v = view_with_claims(NULL, "u", "c");
    ck_assert(acl_may_publish(&v, bytes_of("up/c")) && !acl_may_publish(&v, bytes_of("up/d")));
    ck_assert(!acl_may_publish(&v, bytes_of("down/x")) && acl_may_receive(&v, bytes_of("down/x")));
    ck_assert(acl_may_publish(&v, bytes_of("both/u")) && acl_may_receive(&v, bytes_of("both/u")));
    ck_assert_int_eq(acl_may_subscribe(&v, bytes_of("down/+")), ACL_SUBSCRIPTION_OPEN);
    ck_assert_int_eq(acl_may_subscribe(&v, bytes_of("#")), ACL_SUBSCRIPTION_REFUSED);
    acl_view_deinit(&v);
}
END_TEST

START_TEST(of_the_file_only_what_it_denies_holds_for_claims)
{
    struct acl *file = load("deny down/secret/#\ntopic #\n");
    struct acl_view v = view_with_claims(file, "u", "c");
    acl_unref(file);
    ck_assert(!acl_may_publish(&v, bytes_of("other")));
    ck_assert(acl_may_receive(&v, bytes_of("down/x")) && !acl_may_receive(&v, bytes_of("down/secret")));
    ck_assert_int_eq(acl_may_subscribe(&v, bytes_of("down/#")), ACL_SUBSCRIPTION_GUARDED);
    ck_assert_int_eq(acl_may_subscribe(&v, bytes_of("down/x/#")), ACL_SUBSCRIPTION_OPEN);
    ck_assert_int_eq(acl_may_subscribe(&v, bytes_of("down/secret/x")), ACL_SUBSCRIPTION_REFUSED);
    acl_view_deinit(&v);
}
END_TEST

/* --- Against the plainest way to ask: line by line. */

static const char *const levels[] = {"a", "b", "+", "#", "$a"};

/* The filter number N of up to three levels; "#" ends it. */
static void make_filter(char *dst, unsigned n)
{
    dst[0] = '\0';
    for (int depth = 0; depth < 3; depth++, n /= 6) {
        if (n % 6 == 5)
            return;
        snprintf(dst + strlen(dst), 16, "%s%s", depth ? "/" : "", levels[n % 6]);
        if (n % 6 == 3)
            return;
    }
}

START_TEST(a_subscription_is_covered_only_by_lines_that_match_all_of_it)
{
    static const char *const topics[] = {"a",     "b",     "$a",    "a/a",   "a/b",     "b/a",     "$a/a",
                                         "a/a/a", "a/b/a", "b/b/b", "a/$a",  "$a/b/a",  "a/a/a/a", "a/",
                                         "/a",    "//",    "a//a",  "a/b/b", "b/a/b/a", "$a/$a"};
    for (unsigned i = 0; i < 216; i += 5) {
        char line[24], text[40];
        make_filter(line, i);
        if (line[0] == '\0')
            continue;
        snprintf(text, sizeof(text), "topic read %s\n", line);
        struct acl *a = load(text);
        struct acl_view v = view_of(a, "", "");
        for (unsigned k = 0; k < 216; k++) {
            char filter[24];
            make_filter(filter, k);
            if (filter[0] == '\0' || acl_may_subscribe(&v, bytes_of(filter)) == ACL_SUBSCRIPTION_REFUSED)
                continue;
            for (size_t t = 0; t < TEST_COUNT(topics); t++)
                ck_assert_msg(!mqtt_topic_matches(bytes_of(filter), bytes_of(topics[t])) ||
                                  acl_may_receive(&v, bytes_of(topics[t])),
                              "%s covers %s but not %s", line, filter, topics[t]);
        }
        acl_view_deinit(&v);
        acl_unref(a);
    }
}
END_TEST

static Suite *acl_suite(void)
{
    TCase *tcase;
    Suite *suite = test_suite("acl", &tcase);
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, file_support_make, file_support_remove);
    tcase_add_loop_test(tcase, a_question_has_its_answer, 0, TEST_COUNT(questions));
    tcase_add_loop_test(tcase, a_bad_line_is_named, 0, TEST_COUNT(bad));
    tcase_add_loop_test(tcase, a_deny_line_that_denies_something_is_taken, 0, TEST_COUNT(reached));
    tcase_add_test(tcase, a_filter_has_at_most_so_many_levels);
    tcase_add_test(tcase, no_file_allows_all);
    tcase_add_test(tcase, claims_say_what_a_client_may);
    tcase_add_test(tcase, of_the_file_only_what_it_denies_holds_for_claims);
    tcase_add_test(tcase, a_subscription_is_covered_only_by_lines_that_match_all_of_it);
    return suite;
}

TEST_MAIN(acl_suite)
