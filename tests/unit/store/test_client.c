/* Batches between a loop and the store thread: order, taking back, what is released when, what lazy durability says.
 * The driver is `memory` behind a gate, so that the store thread stands where the test wants it. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "loop.h"
#include "loop_support.h"
#include "store_gate.h"
#include "store_support.h"
#include "test_main.h"

static struct loop *loop;
static struct store *store;
static struct store_client *client;
static char story[400];
static int n_released;
static pthread_t loop_thread;

static void start(enum store_durability durability)
{
    const struct store_options options = {.url = "gate", .durability = durability, .format = 1};
    story[0] = '\0';
    n_released = 0;
    loop_thread = pthread_self();
    ck_assert_int_eq(loop_new(&loop), 0);
    ck_assert_int_eq(store_open_driver(&store_gate_ops, "", &options, &store, NULL), 0);
    ck_assert_int_eq(store_attach(store, loop, &client), 0);
}

static void end(void)
{
    store_gate_open();
    client = store_detach(client);
    store = store_close(store);
    loop = loop_free(loop);
}

/* "a0": the callback named a ran with result 0. */
static void tell(void *arg, int result)
{
    size_t n = strlen(story);
    snprintf(story + n, sizeof story - n, "%s%s%d", n ? " " : "", (const char *)arg, result);
}

static void on_release(void *owner)
{
    ck_assert(pthread_equal(pthread_self(), loop_thread));
    ++*(int *)owner;
}

/* A batch with one put whose body is to be released; the key is its name too. */
static store_ticket commit_put(const char *key, unsigned flags)
{
    const struct store_value v = {
        .head = store_text("head"), .body = store_text("body"), .release = on_release, .owner = &n_released};
    struct store_batch *b = store_begin(client);
    store_ticket ticket = store_put(b, store_text(key), &v);
    ck_assert_uint_ne(ticket, 0);
    store_commit(b, flags, tell, (void *)key);
    return ticket;
}

static bool story_is(void *arg)
{
    return strcmp(story, arg) == 0;
}

static void wait_for_story(const char *expected)
{
    loop_support_until(loop, story_is, (void *)expected);
}

static const char *scan(void)
{
    return store_support_scan(loop, client, "", "", 0);
}

/* Something is with the store thread and stays there. */
static void occupy(void)
{
    store_gate_close();
    commit_put("busy", 0);
    loop_support_turns(loop, 1);
    store_gate_wait();
}

/* --- Order and groups. */

START_TEST(what_comes_during_a_commit_is_one_commit)
{
    start(STORE_SYNC);
    occupy();
    static const char *const names[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < TEST_COUNT(names); i++) {
        commit_put(names[i], 0);
        loop_support_turns(loop, 2);
    }
    ck_assert_str_eq(story, "");
    store_gate_open();
    wait_for_story("busy0 a0 b0 c0 d0");
    ck_assert_uint_eq(store_gate_commits(), 2);
    ck_assert_int_eq(n_released, 5);
    end();
}
END_TEST

START_TEST(no_callback_runs_inside_the_call)
{
    start(STORE_NONE);
    commit_put("a", STORE_MAY_OVERTAKE);
    ck_assert_str_eq(story, "");
    struct store_batch *b = store_begin(client);
    store_commit(b, STORE_MAY_OVERTAKE, tell, "empty");
    ck_assert_str_eq(story, "");
    wait_for_story("empty0 a0");
    end();
}
END_TEST

START_TEST(an_empty_batch_is_done_in_its_place)
{
    start(STORE_SYNC);
    occupy();
    store_commit(store_begin(client), 0, tell, "empty");
    commit_put("a", 0);
    store_commit(store_begin(client), STORE_MAY_OVERTAKE, tell, "early");
    store_commit(store_begin(client), 0, NULL, NULL);
    wait_for_story("early0");
    store_gate_open();
    wait_for_story("early0 busy0 empty0 a0");
    end();
}
END_TEST

START_TEST(a_mistake_is_told_in_its_place)
{
    start(STORE_SYNC);
    commit_put("a", 0);
    struct store_batch *b = store_begin(client);
    store_delete(b, (struct store_bytes){"", 0});
    store_commit(b, 0, tell, "wrong");
    commit_put("b", 0);
    char expected[40];
    snprintf(expected, sizeof expected, "a0 wrong%d b0", -EINVAL);
    wait_for_story(expected);
    ck_assert_str_eq(scan(), "a=headbody b=headbody");
    end();
}
END_TEST

static void on_failure(void *arg, int result)
{
    tell(arg, result);
    ck_assert_str_eq(err_text(), "store: the gate says no");
}

START_TEST(a_failure_comes_with_its_reason)
{
    start(STORE_SYNC);
    store_gate_fail(-EIO);
    struct store_batch *b = store_begin(client);
    store_support_put(b, "a", "x");
    store_commit(b, 0, on_failure, "a");
    wait_for_story("a-5");
    store_gate_fail(STORE_UNKNOWN);
    commit_put("b", 0);
    wait_for_story("a-5 b3");
    store_gate_fail(0);
    commit_put("c", 0);
    wait_for_story("a-5 b3 c0");
    ck_assert_int_eq(n_released, 2);
    end();
}
END_TEST

/* --- Taking back. */

START_TEST(what_is_cancelled_in_its_turn_costs_nothing)
{
    start(STORE_SYNC);
    store_ticket a = commit_put("a", 0);
    ck_assert(store_cancel(client, a));
    ck_assert_int_eq(n_released, 1);
    ck_assert(!store_cancel(client, a));
    wait_for_story("a0");
    ck_assert_uint_eq(store_gate_commits(), 0);
    ck_assert_uint_eq(store_waiting_bytes(client), 0);
    ck_assert_str_eq(scan(), "");
    end();
}
END_TEST

START_TEST(what_waits_can_be_cancelled_in_a_later_turn)
{
    start(STORE_SYNC);
    occupy();
    store_ticket a = commit_put("a", 0), b = commit_put("b", 0), c = commit_put("c", 0);
    loop_support_turns(loop, 3);
    ck_assert(store_cancel(client, a));
    loop_support_turns(loop, 3);
    ck_assert(store_cancel(client, c));
    ck_assert_int_eq(n_released, 2);
    store_gate_open();
    wait_for_story("busy0 a0 b0 c0");
    ck_assert(!store_cancel(client, b));
    ck_assert_str_eq(scan(), "b=headbody busy=headbody");
    end();
}
END_TEST

START_TEST(when_nothing_is_left_there_is_no_commit)
{
    start(STORE_SYNC);
    occupy();
    store_ticket a = commit_put("a", 0), b = commit_put("b", 0);
    loop_support_turns(loop, 3);
    ck_assert(store_cancel(client, a));
    ck_assert(store_cancel(client, b));
    loop_support_turns(loop, 3);
    ck_assert_str_eq(story, "");
    store_gate_open();
    wait_for_story("busy0 a0 b0");
    ck_assert_uint_eq(store_gate_commits(), 1);
    end();
}
END_TEST

START_TEST(a_batch_that_may_overtake_is_done_with_the_turn_of_its_last_cancel)
{
    start(STORE_SYNC);
    occupy();
    commit_put("first", 0);
    const struct store_value v = {.head = store_text("x")};
    struct store_batch *b = store_begin(client);
    store_ticket one = store_put(b, store_text("1"), &v), two = store_put(b, store_text("2"), &v);
    store_commit(b, STORE_MAY_OVERTAKE, tell, "pair");
    loop_support_turns(loop, 3);
    ck_assert(store_cancel(client, one));
    loop_support_turns(loop, 3);
    ck_assert_str_eq(story, "");
    ck_assert(store_cancel(client, two));
    ck_assert_str_eq(story, "");
    wait_for_story("pair0");
    store_gate_open();
    wait_for_story("pair0 busy0 first0");
    end();
}
END_TEST

START_TEST(it_is_too_late_once_the_store_thread_has_it)
{
    start(STORE_SYNC);
    store_gate_close();
    store_ticket a = commit_put("a", 0);
    loop_support_turns(loop, 1);
    store_gate_wait();
    ck_assert(!store_cancel(client, a));
    ck_assert_int_eq(n_released, 0);
    store_gate_open();
    wait_for_story("a0");
    ck_assert(!store_cancel(client, a));
    ck_assert(!store_cancel(client, 0));
    ck_assert(!store_cancel(client, a + 1000));
    ck_assert_int_eq(n_released, 1);
    end();
}
END_TEST

START_TEST(a_put_of_an_open_batch_can_be_cancelled)
{
    start(STORE_SYNC);
    const struct store_value v = {.head = store_text("x")};
    struct store_batch *b = store_begin(client);
    store_ticket one = store_put(b, store_text("1"), &v);
    store_put(b, store_text("2"), &v);
    ck_assert(store_cancel(client, one));
    store_commit(b, 0, tell, "b");
    wait_for_story("b0");
    ck_assert_str_eq(scan(), "2=x");
    end();
}
END_TEST

START_TEST(deletes_are_not_taken_back)
{
    start(STORE_SYNC);
    occupy();
    store_ticket a = commit_put("a", 0);
    struct store_batch *b = store_begin(client);
    store_delete(b, store_text("busy"));
    store_commit(b, 0, tell, "delete");
    ck_assert(!store_cancel(client, a + 1));
    store_gate_open();
    wait_for_story("busy0 a0 delete0");
    ck_assert_str_eq(scan(), "a=headbody");
    end();
}
END_TEST

/* Many in one round: more than one group of entries and block of memory. */
START_TEST(every_second_of_many_is_cancelled)
{
    enum { MANY = 5000 };
    static store_ticket tickets[MANY];
    static char keys[MANY][16];
    start(STORE_SYNC);
    occupy();
    for (int i = 0; i < MANY; i++) {
        const struct store_value v = {
            .head = store_text("x"), .body = store_text("y"), .release = on_release, .owner = &n_released};
        struct store_batch *b = store_begin(client);
        snprintf(keys[i], sizeof keys[i], "k%05d", i);
        tickets[i] = store_put(b, store_text(keys[i]), &v);
        store_commit(b, 0, NULL, NULL);
        if (i % 100 == 0)
            loop_support_turns(loop, 1);
    }
    for (int i = 0; i < MANY; i += 2)
        ck_assert(store_cancel(client, tickets[i]));
    ck_assert_int_eq(n_released, MANY / 2);
    store_gate_open();
    for (int i = 0; i < MANY; i += 1000) {
        char end_key[16], expected[32];
        snprintf(end_key, sizeof end_key, "k%05d", i + 2);
        snprintf(expected, sizeof expected, "%s=xy", keys[i + 1]);
        ck_assert_str_eq(store_support_scan(loop, client, keys[i], end_key, 0), expected);
    }
    ck_assert_int_eq(n_released, MANY + 1);
    ck_assert_uint_eq(store_waiting_bytes(client), 0);
    end();
}
END_TEST

START_TEST(a_batch_whose_puts_are_cancelled_only_deletes)
{
    start(STORE_SYNC);
    store_gate_fail(STORE_FULL);
    const struct store_value v = {.head = store_text("x")};
    struct store_batch *b = store_begin(client);
    store_ticket one = store_put(b, store_text("1"), &v);
    store_delete(b, store_text("2"));
    ck_assert(!store_batch_may_use_reserve(b));
    ck_assert(store_cancel(client, one));
    ck_assert(store_batch_may_use_reserve(b));
    store_commit(b, 0, tell, "b");
    wait_for_story("b2");
    end();
}
END_TEST

START_TEST(metrics_tell_what_has_been_done)
{
    struct metrics_registry *registry;
    ck_assert_int_eq(metrics_registry_new(&registry), 0);
    start(STORE_SYNC);
    ck_assert_int_eq(store_metrics_add(store, registry, "store"), 0);
    ck_assert_int_eq(store_client_metrics_add(client, registry, "store"), 0);
    ck_assert(store_cancel(client, commit_put("a", 0)));
    commit_put("b", 0);
    wait_for_story("a0 b0");
    scan();
    end();
    char *text = metrics_summary(registry);
    ck_assert_ptr_nonnull(text);
    static const char *const expected[] = {"store_puts=2", "store_cancelled=1", "store_commits=1",
                                           "store_written_entries=1", "store_scans=1"};
    for (size_t i = 0; i < TEST_COUNT(expected); i++)
        ck_assert_msg(strstr(text, expected[i]) != NULL, "%s", text);
    free(text);
    metrics_registry_free(registry);
}
END_TEST

/* --- Scans. */

static void on_page(void *arg, int result, const struct store_page *page)
{
    ck_assert_int_eq(result, 0);
    tell(arg, (int)page->n_items);
}

START_TEST(a_scan_sees_the_batches_before_it_and_is_answered_in_order)
{
    start(STORE_SYNC);
    occupy();
    commit_put("a", 0);
    store_scan(client, &(struct store_range){0}, 0, 0, on_page, "scan");
    commit_put("b", 0);
    store_gate_open();
    wait_for_story("busy0 a0 scan3 b0");
    end();
}
END_TEST

START_TEST(a_scan_brings_no_commit_about)
{
    start(STORE_SYNC);
    ck_assert_str_eq(scan(), "");
    ck_assert_uint_eq(store_gate_commits(), 0);
    end();
}
END_TEST

/* --- STORE_NONE. */

START_TEST(lazy_durability_does_not_wait_for_the_store_thread)
{
    start(STORE_NONE);
    store_gate_close();
    for (const char *const *name = (const char *const[]){"a", "b", "c", NULL}; *name; name++) {
        commit_put(*name, 0);
        loop_support_turns(loop, 2);
    }
    ck_assert_str_eq(story, "a0 b0 c0");
    ck_assert_int_eq(n_released, 0);
    store_gate_open();
    ck_assert_str_eq(scan(), "a=headbody b=headbody c=headbody");
    ck_assert_uint_eq(store_gate_commits(), 1);
    ck_assert_int_eq(n_released, 3);
    end();
}
END_TEST

static int n_done;

static void count_done(void *arg, int result)
{
    ck_assert_int_eq(result, 0);
    n_done++;
}

static bool is_all_done(void *arg)
{
    return n_done == *(int *)arg;
}

static bool is_released(void *arg)
{
    return n_released == *(int *)arg;
}

START_TEST(lazy_writes_come_by_themselves)
{
    int one = 1;
    start(STORE_NONE);
    commit_put("a", 0);
    wait_for_story("a0");
    loop_support_until(loop, is_released, &one);
    ck_assert_uint_eq(store_gate_commits(), 1);
    end();
}
END_TEST

START_TEST(lazy_puts_can_be_cancelled_after_they_are_done)
{
    start(STORE_NONE);
    store_ticket a = commit_put("a", 0);
    wait_for_story("a0");
    ck_assert(store_cancel(client, a));
    ck_assert_int_eq(n_released, 1);
    ck_assert_str_eq(scan(), "");
    ck_assert_uint_eq(store_gate_commits(), 0);
    end();
}
END_TEST

START_TEST(a_precondition_is_never_answered_lazily)
{
    start(STORE_NONE);
    occupy();
    ck_assert_str_eq(story, "busy0");
    struct store_batch *b = store_begin(client);
    store_require(b, store_text("busy"), NULL);
    store_commit(b, 0, tell, "require");
    commit_put("after", 0);
    loop_support_turns(loop, 3);
    ck_assert_str_eq(story, "busy0");
    store_gate_open();
    wait_for_story("busy0 require1 after0");
    end();
}
END_TEST

START_TEST(after_a_lazy_loss_nothing_is_acknowledged_before_it_is_written)
{
    int one = 1;
    start(STORE_NONE);
    store_gate_fail(STORE_FULL);
    commit_put("lost", 0);
    wait_for_story("lost0");
    loop_support_until(loop, is_released, &one); /* the write has failed */
    commit_put("refused", 0);
    wait_for_story("lost0 refused2");
    store_gate_fail(0);
    commit_put("taken", 0);
    wait_for_story("lost0 refused2 taken0");
    store_gate_close();
    commit_put("lazy", 0);
    wait_for_story("lost0 refused2 taken0 lazy0");
    store_gate_open();
    end();
}
END_TEST

START_TEST(lazy_durability_has_an_end_when_the_store_thread_cannot_keep_up)
{
    static uint8_t megabyte[1 << 20];
    const struct store_value v = {.body = {megabyte, sizeof megabyte}};
    int all = 40;
    start(STORE_NONE);
    store_gate_close();
    n_done = 0;
    for (int i = 0; i < all; i++) {
        struct store_batch *b = store_begin(client);
        store_put(b, store_text("k"), &v);
        store_commit(b, 0, count_done, NULL);
        loop_support_turns(loop, 1);
    }
    ck_assert_int_ge(n_done, 30);
    ck_assert_int_lt(n_done, 35);
    store_gate_open();
    loop_support_until(loop, is_all_done, &all);
    end();
}
END_TEST

static void commit_again(void *arg, int result)
{
    int *n_left = arg;
    if ((*n_left)-- == 0)
        return;
    struct store_batch *b = store_begin(client);
    store_support_put(b, "k", "v");
    store_commit(b, 0, commit_again, n_left);
}

static bool is_below_zero(void *arg)
{
    return *(int *)arg < 0;
}

START_TEST(lazy_callbacks_that_commit_do_not_hold_the_loop)
{
    int n_left = 1000;
    start(STORE_NONE);
    struct store_batch *b = store_begin(client);
    store_support_put(b, "k", "v");
    store_commit(b, 0, commit_again, &n_left);
    loop_support_turns(loop, 1);
    ck_assert_int_gt(n_left, 900);
    loop_support_until(loop, is_below_zero, &n_left);
    end();
}
END_TEST

static Suite *client_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("store_client", &tc);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, what_comes_during_a_commit_is_one_commit);
    tcase_add_test(tc, no_callback_runs_inside_the_call);
    tcase_add_test(tc, an_empty_batch_is_done_in_its_place);
    tcase_add_test(tc, a_mistake_is_told_in_its_place);
    tcase_add_test(tc, a_failure_comes_with_its_reason);
    tcase_add_test(tc, what_is_cancelled_in_its_turn_costs_nothing);
    tcase_add_test(tc, what_waits_can_be_cancelled_in_a_later_turn);
    tcase_add_test(tc, when_nothing_is_left_there_is_no_commit);
    tcase_add_test(tc, a_batch_that_may_overtake_is_done_with_the_turn_of_its_last_cancel);
    tcase_add_test(tc, it_is_too_late_once_the_store_thread_has_it);
    tcase_add_test(tc, a_put_of_an_open_batch_can_be_cancelled);
    tcase_add_test(tc, deletes_are_not_taken_back);
    tcase_add_test(tc, every_second_of_many_is_cancelled);
    tcase_add_test(tc, a_batch_whose_puts_are_cancelled_only_deletes);
    tcase_add_test(tc, metrics_tell_what_has_been_done);
    tcase_add_test(tc, a_scan_sees_the_batches_before_it_and_is_answered_in_order);
    tcase_add_test(tc, a_scan_brings_no_commit_about);
    tcase_add_test(tc, lazy_durability_does_not_wait_for_the_store_thread);
    tcase_add_test(tc, lazy_writes_come_by_themselves);
    tcase_add_test(tc, lazy_puts_can_be_cancelled_after_they_are_done);
    tcase_add_test(tc, a_precondition_is_never_answered_lazily);
    tcase_add_test(tc, after_a_lazy_loss_nothing_is_acknowledged_before_it_is_written);
    tcase_add_test(tc, lazy_durability_has_an_end_when_the_store_thread_cannot_keep_up);
    tcase_add_test(tc, lazy_callbacks_that_commit_do_not_hold_the_loop);
    return suite;
}

TEST_MAIN(client_suite)
