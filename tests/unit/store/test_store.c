/* What every driver promises (store.h), each test against every driver and durability. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "loop.h"
#include "loop_support.h"
#include "store.h"
#include "store_support.h"
#include "test_main.h"

static const struct way {
    const char *scheme;
    enum store_durability durability;
} ways[] = {
    {"memory", STORE_SYNC},
    {"lmdb", STORE_SYNC},
    {"lmdb", STORE_ASYNC},
    {"lmdb", STORE_NONE},
};

static const struct way *way;
static struct loop *loop;
static struct store *store;
static struct store_client *client;
static char dir[256], url[300];

static void open_store(uint64_t max_bytes)
{
    const struct store_options options = {
        .url = url, .durability = way->durability, .format = 1, .max_bytes = max_bytes};
    ck_assert_msg(store_open(&options, &store, NULL) == 0, "%s", err_text());
    ck_assert_int_eq(store_attach(store, loop, &client), 0);
}

static void close_store(void)
{
    client = store_detach(client);
    store = store_close(store);
}

static void start(int i)
{
    way = &ways[i];
    snprintf(dir, sizeof dir, "%s", store_support_make_dir());
    snprintf(url, sizeof url, strcmp(way->scheme, "memory") ? "%s:%s" : "%s", way->scheme, dir);
    ck_assert_int_eq(loop_new(&loop), 0);
    open_store(0);
}

static void end(void)
{
    close_store();
    loop = loop_free(loop);
    store_support_remove_dir(dir);
}

static int put(const char *key, const char *value)
{
    return store_support_put_now(loop, client, key, value);
}

static const char *scan(const char *first, const char *last)
{
    return store_support_scan(loop, client, first, last, 0);
}

/* The order in which callbacks ran: "a0 b2", name and result. */
static char story[200];

static void tell(void *arg, int result)
{
    size_t n = strlen(story);
    snprintf(story + n, sizeof story - n, "%s%s%d", n ? " " : "", (const char *)arg, result);
}

static bool story_is(void *arg)
{
    return strcmp(story, arg) == 0;
}

static void wait_for_story(const char *expected)
{
    loop_support_until(loop, story_is, (void *)expected);
}

static struct store_batch *begin(void)
{
    story[0] = '\0';
    return store_begin(client);
}

/* --- Writing and reading. */

START_TEST(what_is_put_is_found_in_order_of_its_keys)
{
    start(_i);
    ck_assert_int_eq(put("b", "2"), 0);
    ck_assert_int_eq(put("a", "1"), 0);
    ck_assert_int_eq(put("ab", "12"), 0);
    ck_assert_int_eq(put("b", "3"), 0);
    ck_assert_int_eq(put("\xff", ""), 0);
    ck_assert_str_eq(scan("", ""), "a=1 ab=12 b=3 \xff=");
    ck_assert_str_eq(scan("aa", "b"), "ab=12");
    ck_assert_str_eq(scan("b", "\xff"), "b=3");
    ck_assert_str_eq(scan("c", "d"), "");
    end();
}
END_TEST

START_TEST(what_is_deleted_is_gone)
{
    start(_i);
    ck_assert_int_eq(put("a", "1"), 0);
    ck_assert_int_eq(put("b", "2"), 0);
    ck_assert_int_eq(store_support_delete_now(loop, client, "a"), 0);
    ck_assert_int_eq(store_support_delete_now(loop, client, "never"), 0);
    ck_assert_str_eq(scan("", ""), "b=2");
    end();
}
END_TEST

START_TEST(a_range_is_deleted_without_its_end)
{
    start(_i);
    for (const char *key = "abcdef"; *key; key++)
        ck_assert_int_eq(put((char[]){*key, 0}, "x"), 0);
    int result = STORE_SUPPORT_WAITING;
    struct store_batch *b = begin();
    const struct store_range middle = {.first = store_text("b"), .end = store_text("d")};
    const struct store_range after = {.first = store_text("e"), .is_after_first = true};
    store_delete_range(b, &middle);
    store_delete_range(b, &after);
    store_commit(b, 0, store_support_done, &result);
    ck_assert_int_eq(store_support_wait(loop, &result), 0);
    ck_assert_str_eq(scan("", ""), "a=x d=x e=x");
    end();
}
END_TEST

START_TEST(the_operations_of_a_batch_happen_in_their_order)
{
    start(_i);
    int result = STORE_SUPPORT_WAITING;
    struct store_batch *b = begin();
    store_support_put(b, "a", "1");
    store_support_put(b, "b", "1");
    store_delete(b, store_text("a"));
    store_delete(b, store_text("b"));
    store_support_put(b, "b", "2");
    store_commit(b, 0, store_support_done, &result);
    ck_assert_int_eq(store_support_wait(loop, &result), 0);
    ck_assert_str_eq(scan("", ""), "b=2");
    end();
}
END_TEST

START_TEST(everything_can_be_deleted_and_the_store_goes_on)
{
    start(_i);
    ck_assert_int_eq(put("a", "1"), 0);
    int result = STORE_SUPPORT_WAITING;
    struct store_batch *b = begin();
    store_delete_range(b, &(struct store_range){0});
    store_commit(b, 0, store_support_done, &result);
    ck_assert_int_eq(store_support_wait(loop, &result), 0);
    ck_assert_str_eq(scan("", ""), "");
    close_store();
    open_store(0);
    ck_assert_int_eq(put("b", "1"), 0);
    ck_assert_str_eq(scan("", ""), "b=1");
    end();
}
END_TEST

START_TEST(pages_continue_where_the_last_one_ended)
{
    start(_i);
    for (const char *key = "abcdefg"; *key; key++)
        ck_assert_int_eq(put((char[]){*key, 0}, "x"), 0);
    for (size_t max_items = 1; max_items <= 8; max_items++)
        ck_assert_str_eq(store_support_scan(loop, client, "", "", max_items), "a=x b=x c=x d=x e=x f=x g=x");
    ck_assert_str_eq(store_support_scan(loop, client, "b", "f", 2), "b=x c=x d=x e=x");
    end();
}
END_TEST

struct pages {
    int result;
    size_t n_items, bytes;
    bool is_end;
};

static void on_page(void *arg, int result, const struct store_page *page)
{
    struct pages *p = arg;
    p->n_items = page->n_items;
    p->is_end = page->is_end;
    p->bytes = 0;
    for (size_t i = 0; i < page->n_items; i++)
        p->bytes += page->items[i].key.len + page->items[i].value.len;
    p->result = result;
}

static struct pages scan_page(size_t max_items, size_t max_bytes)
{
    struct pages p = {.result = STORE_SUPPORT_WAITING};
    store_scan(client, &(struct store_range){0}, max_items, max_bytes, on_page, &p);
    ck_assert_int_eq(store_support_wait(loop, &p.result), 0);
    return p;
}

START_TEST(a_page_keeps_to_its_limits_but_has_one_item)
{
    start(_i);
    static char value[3001];
    memset(value, 'x', sizeof value - 1);
    for (const char *key = "abc"; *key; key++)
        ck_assert_int_eq(put((char[]){*key, 0}, value), 0);
    ck_assert_uint_eq(scan_page(0, 10).n_items, 1);
    ck_assert_uint_eq(scan_page(0, 6002).n_items, 2);
    ck_assert_uint_eq(scan_page(0, 6001).n_items, 1);
    ck_assert_uint_eq(scan_page(2, 0).n_items, 2);
    struct pages all = scan_page(0, 0);
    ck_assert_uint_eq(all.n_items, 3);
    ck_assert_uint_eq(all.bytes, 9003);
    ck_assert(all.is_end);
    end();
}
END_TEST

/* --- Preconditions, limits, mistakes. */

START_TEST(a_precondition_that_does_not_hold_leaves_everything_as_it_was)
{
    start(_i);
    ck_assert_int_eq(put("a", "1"), 0);
    const struct store_bytes one = store_text("1"), two = store_text("2");
    static const struct {
        const char *key;
        bool is_absent, is_one;
        int result;
    } rows[] = {
        {"a", true, false, STORE_CONFLICT}, {"a", false, false, STORE_CONFLICT}, {"a", false, true, 0},
        {"b", true, false, STORE_CONFLICT}, {"c", false, true, STORE_CONFLICT},
    };
    for (size_t i = 0; i < TEST_COUNT(rows); i++) {
        int result = STORE_SUPPORT_WAITING;
        struct store_batch *b = begin();
        store_support_put(b, "b", rows[i].result ? "wrong" : "right");
        store_require(b, store_text(rows[i].key), rows[i].is_absent ? NULL : rows[i].is_one ? &one : &two);
        store_commit(b, 0, store_support_done, &result);
        ck_assert_int_eq(store_support_wait(loop, &result), rows[i].result);
    }
    ck_assert_str_eq(scan("", ""), "a=1 b=right");
    end();
}
END_TEST

START_TEST(a_precondition_sees_what_batches_before_it_did)
{
    start(_i);
    struct store_batch *b = begin();
    store_support_put(b, "owner", "me");
    store_commit(b, 0, tell, "put");
    for (int i = 0; i < 2; i++) { /* the first of these changes it */
        const struct store_bytes me = store_text("me");
        b = store_begin(client);
        store_require(b, store_text("owner"), &me);
        store_support_put(b, "owner", "you");
        store_commit(b, 0, tell, "take");
    }
    wait_for_story("put0 take0 take1");
    ck_assert_str_eq(scan("", ""), "owner=you");
    end();
}
END_TEST

START_TEST(a_precondition_alone_is_answered)
{
    start(_i);
    int result = STORE_SUPPORT_WAITING;
    struct store_batch *b = begin();
    store_require(b, store_text("a"), NULL);
    store_commit(b, STORE_MAY_OVERTAKE, store_support_done, &result);
    ck_assert_int_eq(store_support_wait(loop, &result), 0);
    end();
}
END_TEST

START_TEST(keys_and_values_have_limits)
{
    start(_i);
    static char key[STORE_KEY_MAX + 2];
    memset(key, 'k', sizeof key - 1);
    key[STORE_KEY_MAX] = '\0';
    ck_assert_int_eq(put(key, "longest"), 0);
    const struct store_bytes wrong[] = {{"", 0}, {"\0own", 4}, {key, STORE_KEY_MAX + 1}};
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        int result = STORE_SUPPORT_WAITING;
        struct store_batch *b = begin();
        const struct store_value v = {.head = store_text("x")};
        store_support_put(b, "good", "x");
        ck_assert_uint_eq(store_put(b, wrong[i], &v), 0);
        store_delete(b, wrong[i]);
        store_commit(b, 0, store_support_done, &result);
        ck_assert_int_eq(store_support_wait(loop, &result), -EINVAL);
    }
    ck_assert_str_eq(scan("", "k"), "");
    end();
}
END_TEST

START_TEST(large_values_come_back_whole)
{
    start(_i);
    static const size_t sizes[] = {0, 1, 2000, 2030, 2040, 4096, 100000, 3000000};
    static uint8_t bytes[3000000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        int result = STORE_SUPPORT_WAITING;
        struct pages page = {.result = STORE_SUPPORT_WAITING};
        struct store_batch *b = begin();
        const struct store_value v = {.head = {"head", 4}, .body = {bytes, sizes[i]}};
        store_put(b, store_text("k"), &v);
        store_commit(b, 0, store_support_done, &result);
        ck_assert_int_eq(store_support_wait(loop, &result), 0);
        store_scan(client, &(struct store_range){0}, 0, 0, on_page, &page);
        ck_assert_int_eq(store_support_wait(loop, &page.result), 0);
        ck_assert_uint_eq(page.bytes, 1 + 4 + sizes[i]);
    }
    end();
}
END_TEST

static int check_bytes(void *arg, struct store_bytes key, struct store_bytes value)
{
    const struct store_bytes *expected = arg;
    ck_assert_uint_eq(value.len, expected->len);
    ck_assert(memcmp(value.bytes, expected->bytes, value.len) == 0);
    return 0;
}

START_TEST(what_was_written_is_loaded_after_opening_again)
{
    start(_i);
    static char bytes[50000];
    memset(bytes, 'y', sizeof bytes);
    int result = STORE_SUPPORT_WAITING;
    struct store_batch *b = begin();
    const struct store_value v = {.head = {bytes, 7}, .body = {bytes, sizeof bytes - 7}};
    store_put(b, store_text("k"), &v);
    store_commit(b, 0, store_support_done, &result);
    ck_assert_int_eq(store_support_wait(loop, &result), 0);
    if (store_is_volatile(store)) {
        end();
        return;
    }
    struct store_bytes expected = {bytes, sizeof bytes};
    close_store();
    open_store(0);
    ck_assert_int_eq(store_load(store, &(struct store_range){0}, check_bytes, &expected), 0);
    end();
}
END_TEST

static char large[50001];

/* Until the store says that it is full; gives the number of entries in it. */
static int fill(void)
{
    char key[16];
    int n = 0, r = 0;
    memset(large, 'v', sizeof large - 1);
    for (; r == 0; n++) {
        snprintf(key, sizeof key, "key%06d", n);
        r = put(key, large);
    }
    ck_assert_int_eq(r, STORE_FULL);
    return n - 1;
}

static int count_entry(void *arg, struct store_bytes key, struct store_bytes value)
{
    ++*(int *)arg;
    return 0;
}

START_TEST(a_full_store_refuses_puts_and_takes_deletes_and_goes_on)
{
    start(_i);
    if (way->durability == STORE_NONE) { /* says yes before it knows: see what_is_lost_lazily_... */
        end();
        return;
    }
    close_store();
    open_store(8 << 20);
    int n = fill(), n_found = 0;
    ck_assert_int_gt(n, 50);
    ck_assert_int_eq(put("other", large), STORE_FULL);
    for (int i = 0; i < n; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%06d", i);
        ck_assert_int_eq(store_support_delete_now(loop, client, key), 0);
    }
    ck_assert_str_eq(scan("", ""), "");
    int again = fill();
    ck_assert_int_ge(again, n * 9 / 10);
    client = store_detach(client);
    ck_assert_int_eq(store_load(store, &(struct store_range){0}, count_entry, &n_found), 0);
    ck_assert_int_eq(n_found, again);
    store = store_close(store);
    open_store(0);
    end();
}
END_TEST

START_TEST(a_full_store_takes_what_says_that_it_frees_space)
{
    start(_i);
    if (way->durability == STORE_NONE) {
        end();
        return;
    }
    close_store();
    open_store(8 << 20);
    fill();
    struct store_batch *b = begin();
    store_support_put(b, "a", large);
    store_commit(b, 0, tell, "put");
    b = store_begin(client);
    store_support_put(b, "b", large);
    store_delete(b, store_text("key000000"));
    store_commit(b, STORE_FREES_SPACE, tell, "move");
    wait_for_story("put2 move0");
    struct pages one = scan_page(1, 0);
    ck_assert_uint_eq(one.bytes, sizeof large); /* a key of one byte and the value */
    end();
}
END_TEST

/* --- Several loops. */

START_TEST(clients_see_what_others_have_committed)
{
    start(_i);
    struct store_client *other;
    ck_assert_int_eq(store_attach(store, loop, &other), 0);
    ck_assert_int_eq(put("a", "1"), 0);
    ck_assert_str_eq(store_support_scan(loop, other, "", "", 0), "a=1");
    ck_assert_int_eq(store_support_put_now(loop, other, "b", "2"), 0);
    ck_assert_str_eq(scan("", ""), "a=1 b=2");
    store_detach(other);
    end();
}
END_TEST

START_TEST(detaching_waits_for_what_is_under_way)
{
    start(_i);
    struct store_batch *b = begin();
    store_support_put(b, "a", "1");
    store_commit(b, 0, tell, "a");
    b = store_begin(client);
    store_support_put(b, "b", "1");
    store_commit(b, 0, tell, "b");
    client = store_detach(client);
    ck_assert_str_eq(story, "a0 b0");
    ck_assert_int_eq(store_attach(store, loop, &client), 0);
    ck_assert_str_eq(scan("", ""), "a=1 b=1");
    end();
}
END_TEST

static void commit_more(void *arg, int result)
{
    const char *const *names = arg;
    tell((void *)names[0], result);
    if (!names[1])
        return;
    struct store_batch *b = store_begin(client);
    store_support_put(b, names[1], "x");
    store_commit(b, 0, commit_more, (void *)(names + 1));
}

START_TEST(callbacks_of_a_detaching_client_may_commit_more)
{
    static const char *const names[] = {"a", "b", "c", NULL};
    start(_i);
    struct store_batch *b = begin();
    store_support_put(b, "a", "x");
    store_commit(b, 0, commit_more, (void *)names);
    client = store_detach(client);
    ck_assert_str_eq(story, "a0 b0 c0");
    ck_assert_int_eq(store_attach(store, loop, &client), 0);
    ck_assert_str_eq(scan("", ""), "a=x b=x c=x");
    end();
}
END_TEST

static Suite *store_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("store", &tc);
    int n = TEST_COUNT(ways);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, what_is_put_is_found_in_order_of_its_keys, 0, n);
    tcase_add_loop_test(tc, what_is_deleted_is_gone, 0, n);
    tcase_add_loop_test(tc, a_range_is_deleted_without_its_end, 0, n);
    tcase_add_loop_test(tc, the_operations_of_a_batch_happen_in_their_order, 0, n);
    tcase_add_loop_test(tc, everything_can_be_deleted_and_the_store_goes_on, 0, n);
    tcase_add_loop_test(tc, pages_continue_where_the_last_one_ended, 0, n);
    tcase_add_loop_test(tc, a_page_keeps_to_its_limits_but_has_one_item, 0, n);
    tcase_add_loop_test(tc, a_precondition_that_does_not_hold_leaves_everything_as_it_was, 0, n);
    tcase_add_loop_test(tc, a_precondition_sees_what_batches_before_it_did, 0, n);
    tcase_add_loop_test(tc, a_precondition_alone_is_answered, 0, n);
    tcase_add_loop_test(tc, keys_and_values_have_limits, 0, n);
    tcase_add_loop_test(tc, large_values_come_back_whole, 0, n);
    tcase_add_loop_test(tc, what_was_written_is_loaded_after_opening_again, 0, n);
    tcase_add_loop_test(tc, a_full_store_refuses_puts_and_takes_deletes_and_goes_on, 0, n);
    tcase_add_loop_test(tc, a_full_store_takes_what_says_that_it_frees_space, 0, n);
    tcase_add_loop_test(tc, clients_see_what_others_have_committed, 0, n);
    tcase_add_loop_test(tc, detaching_waits_for_what_is_under_way, 0, n);
    tcase_add_loop_test(tc, callbacks_of_a_detaching_client_may_commit_more, 0, n);
    return suite;
}

TEST_MAIN(store_suite)
