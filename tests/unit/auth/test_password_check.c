/* Passwords checked away from the loop: answers, memory of right ones, one computation for many, the bounded queue, and
 * owners who leave early. Hashes of 101 rounds are cheap; where a thread has to be busy, one is costly. */
#include "password_check.h"

#include <stdio.h>
#include <string.h>

#include "err.h"
#include "file_support.h"
#include "loop.h"
#include "loop_support.h"
#include "mailbox.h"
#include "test_main.h"

enum { N_CHECKS = 400 };

/* "wonderland" by mosquitto_passwd. */
#define CHEAP                                                                                                        \
    "$7$101$FBjR21vIpZRYBEH+$s1ECeQvYAWnz+WTdpH1QRrMoFyADWfqmrmUhynv+mqfdQyok9QyWDMT7EmF7PrVwilhkbKFU/TofqIdHO4xQWQ" \
    "=="

/* "slow", by 30,000 rounds. */
#define COSTLY                                                     \
    "$7$30000$MDEyMzQ1Njc4OWFi$K/2WfDgHO3nPTGGoYJo+P5iLg7nU0aPZPP" \
    "4/ghdEVRoqiYRgDKc4VHsZXStNS+YmwaVm+gLESwDo1hxwuKOTIQ=="

static struct loop *loop;
static struct mailbox *mailbox;
static struct password_checker *checker;

struct asked {
    struct password_check *check;
    enum password_answer answer; /* PASSWORD_LATER until it has come */
};

static struct asked all[N_CHECKS];
static unsigned n_missing;

static void start(const char *text)
{
    ck_assert_int_eq(loop_new(&loop), 0);
    ck_assert_int_eq(mailbox_new(loop, &mailbox), 0);
    ck_assert_int_eq(password_checker_new(file_support_write(text), 1, &checker), 0);
    n_missing = 0;
}

static void stop(void)
{
    mailbox = mailbox_free(mailbox);
    checker = password_checker_free(checker);
    loop = loop_free(loop);
}

static void on_answer(enum password_answer answer, void *arg)
{
    struct asked *a = arg;
    ck_assert_int_eq(a->answer, PASSWORD_LATER);
    a->answer = answer;
    a->check = NULL;
    n_missing--;
}

static enum password_answer ask(struct asked *a, const char *user, const char *password)
{
    a->check = NULL;
    a->answer = PASSWORD_LATER;
    const enum password_answer answer =
        password_check_start(checker, mailbox, user, strlen(user), password, strlen(password), on_answer, a, &a->check);
    if (answer == PASSWORD_LATER)
        n_missing++;
    else
        a->answer = answer;
    return answer;
}

static bool is_all_there(void *arg)
{
    return n_missing == 0;
}

/* What the answer is in the end. */
static enum password_answer ask_and_wait(const char *user, const char *password)
{
    struct asked a;
    ask(&a, user, password);
    loop_support_until(loop, is_all_there, NULL);
    return a.answer;
}

START_TEST(right_wrong_and_unknown)
{
    start("alice:" CHEAP "\n");
    ck_assert_int_eq(ask_and_wait("alice", "wonderland"), PASSWORD_RIGHT);
    ck_assert_int_eq(ask_and_wait("alice", "Wonderland"), PASSWORD_WRONG);
    ck_assert_int_eq(ask_and_wait("alice", ""), PASSWORD_WRONG);
    ck_assert_int_eq(ask_and_wait("bob", "wonderland"),
                     PASSWORD_WRONG); /* the hash that stands in for his is alice's */
    ck_assert_int_eq(ask_and_wait("", "wonderland"), PASSWORD_WRONG);
    stop();
}
END_TEST

START_TEST(an_empty_file_lets_nobody_in)
{
    start("");
    ck_assert_int_eq(ask_and_wait("alice", "wonderland"), PASSWORD_WRONG);
    ck_assert_int_eq(ask_and_wait("", ""), PASSWORD_WRONG);
    ck_assert_uint_eq(password_checker_counts(checker).computed, 0);
    stop();
}
END_TEST

START_TEST(what_was_right_is_right_at_once_the_next_time)
{
    struct asked a;
    start("alice:" CHEAP "\nbob:" CHEAP "\n");
    ck_assert_int_eq(ask(&a, "alice", "wonderland"), PASSWORD_LATER);
    loop_support_until(loop, is_all_there, NULL);
    ck_assert_int_eq(ask(&a, "alice", "wonderland"), PASSWORD_RIGHT);
    ck_assert_int_eq(ask(&a, "bob", "wonderland"), PASSWORD_LATER);
    loop_support_until(loop, is_all_there, NULL);
    const struct password_checker_counts counts = password_checker_counts(checker);
    ck_assert_uint_eq(counts.computed, 2);
    ck_assert_uint_eq(counts.remembered, 1);
    stop();
}
END_TEST

START_TEST(what_was_wrong_is_computed_each_time)
{
    start("alice:" CHEAP "\n");
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(ask_and_wait("alice", "x"), PASSWORD_WRONG);
        ck_assert_int_eq(ask_and_wait("bob", "wonderland"), PASSWORD_WRONG);
        ck_assert_uint_eq(password_checker_counts(checker).computed, 2 * i);
    }
    stop();
}
END_TEST

START_TEST(reading_the_file_again_forgets_whose_line_has_changed)
{
    struct asked a;
    start("alice:" CHEAP "\nbob:" CHEAP "\ncarol:" CHEAP "\n");
    ck_assert_int_eq(ask_and_wait("alice", "wonderland"), PASSWORD_RIGHT);
    ck_assert_int_eq(ask_and_wait("bob", "wonderland"), PASSWORD_RIGHT);
    ck_assert_int_eq(ask_and_wait("carol", "wonderland"), PASSWORD_RIGHT);
    const char *path = file_support_write("bob:" COSTLY "\ncarol:" CHEAP "\n");
    ck_assert_int_eq(password_checker_reload(checker, path), 0);
    ck_assert_int_eq(ask(&a, "carol", "wonderland"), PASSWORD_RIGHT);
    ck_assert_int_eq(ask_and_wait("alice", "wonderland"), PASSWORD_WRONG);
    ck_assert_int_eq(ask_and_wait("bob", "wonderland"), PASSWORD_WRONG);
    ck_assert_int_eq(ask_and_wait("bob", "slow"), PASSWORD_RIGHT);
    stop();
}
END_TEST

START_TEST(a_bad_file_changes_nothing)
{
    struct asked a;
    start("alice:" CHEAP "\n");
    ck_assert_int_eq(ask_and_wait("alice", "wonderland"), PASSWORD_RIGHT);
    ck_assert_int_lt(password_checker_reload(checker, file_support_write("alice\n")), 0);
    ck_assert_ptr_nonnull(strstr(err_text(), ", line 1: expected user:hash"));
    ck_assert_int_eq(ask(&a, "alice", "wonderland"), PASSWORD_RIGHT);
    stop();
    struct password_checker *none;
    ck_assert_int_lt(password_checker_new("/no/such/file", 1, &none), 0);
}
END_TEST

/* --- A thread that is busy */

static void start_busy(void)
{
    start("alice:" COSTLY "\n");
}

START_TEST(a_fleet_with_one_password_is_one_computation)
{
    start_busy();
    for (int i = 0; i < N_CHECKS; i++)
        ck_assert_int_eq(ask(&all[i], "alice", "slow"), PASSWORD_LATER);
    loop_support_until(loop, is_all_there, NULL);
    for (int i = 0; i < N_CHECKS; i++)
        ck_assert_int_eq(all[i].answer, PASSWORD_RIGHT);
    ck_assert_uint_eq(password_checker_counts(checker).computed, 1);
    stop();
}
END_TEST

START_TEST(guessing_fills_a_part_of_the_queue_and_no_more)
{
    char password[16];
    int n_later = 0;
    start_busy();
    for (int i = 0; i < 3 * PASSWORD_CHECK_WAITING_MAX; i++) {
        snprintf(password, sizeof(password), "guess %d", i);
        const enum password_answer answer = ask(&all[i], "alice", password);
        ck_assert(answer == PASSWORD_LATER || answer == PASSWORD_BUSY);
        n_later += answer == PASSWORD_LATER;
    }
    ck_assert_int_ge(n_later, PASSWORD_CHECK_WAITING_MAX);
    ck_assert_int_le(n_later, PASSWORD_CHECK_WAITING_MAX + 2); /* one or two have left the queue meanwhile */
    ck_assert_uint_eq(password_checker_counts(checker).busy, 3 * PASSWORD_CHECK_WAITING_MAX - n_later);
    int n_others = 0; /* all other names together still find room */
    for (int i = 0; i < 64; i++) {
        struct asked *a = &all[3 * PASSWORD_CHECK_WAITING_MAX + i];
        snprintf(password, sizeof(password), "user %d", i);
        n_others += ask(a, password, "x") == PASSWORD_LATER;
    }
    ck_assert_int_ge(n_others, 40);
    for (int i = 0; i < 3 * PASSWORD_CHECK_WAITING_MAX + 64; i++) {
        n_missing -= all[i].check != NULL;
        all[i].check = password_check_cancel(all[i].check);
    }
    ck_assert_uint_eq(password_checker_counts(checker).waiting, 0);
    ck_assert_uint_eq(n_missing, 0);
    stop();
}
END_TEST

START_TEST(who_has_left_is_not_called)
{
    struct asked a, b, c;
    start_busy();
    ask(&a, "alice", "slow");
    ask(&b, "alice", "slow");
    ask(&c, "alice", "other");
    password_check_cancel(a.check);
    password_check_cancel(c.check);
    n_missing -= 2;
    loop_support_until(loop, is_all_there, NULL);
    ck_assert_int_eq(b.answer, PASSWORD_RIGHT);
    ck_assert_int_eq(a.answer, PASSWORD_LATER);
    ck_assert_int_eq(c.answer, PASSWORD_LATER);
    ck_assert_uint_eq(password_checker_counts(checker).waiting, 0);
    stop();
}
END_TEST

static bool has_computed(void *arg)
{
    return password_checker_counts(checker).computed > 0;
}

START_TEST(who_leaves_when_the_answer_is_on_its_way_is_not_called)
{
    struct asked a;
    start("alice:" CHEAP "\n");
    ask(&a, "alice", "wonderland");
    while (!has_computed(NULL)) /* without turning the loop: the mail stays unread */
        ;
    password_check_cancel(a.check);
    loop_support_turns(loop, 3);
    ck_assert_int_eq(a.answer, PASSWORD_LATER);
    stop();
}
END_TEST

START_TEST(the_checker_may_end_while_a_hash_is_computed_for_nobody)
{
    struct asked a;
    start_busy();
    ask(&a, "alice", "slow");
    password_check_cancel(a.check);
    stop();
}
END_TEST

static Suite *password_check_suite(void)
{
    TCase *tcase;
    Suite *suite = test_suite("password_check", &tcase);
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, file_support_make, file_support_remove);
    tcase_add_test(tcase, right_wrong_and_unknown);
    tcase_add_test(tcase, an_empty_file_lets_nobody_in);
    tcase_add_test(tcase, what_was_right_is_right_at_once_the_next_time);
    tcase_add_test(tcase, what_was_wrong_is_computed_each_time);
    tcase_add_test(tcase, reading_the_file_again_forgets_whose_line_has_changed);
    tcase_add_test(tcase, a_bad_file_changes_nothing);
    tcase_add_test(tcase, a_fleet_with_one_password_is_one_computation);
    tcase_add_test(tcase, guessing_fills_a_part_of_the_queue_and_no_more);
    tcase_add_test(tcase, who_has_left_is_not_called);
    tcase_add_test(tcase, who_leaves_when_the_answer_is_on_its_way_is_not_called);
    tcase_add_test(tcase, the_checker_may_end_while_a_hash_is_computed_for_nobody);
    return suite;
}

TEST_MAIN(password_check_suite)
