/* retained_index: finds what is retained, alone or by filter, in slices of any size and while it changes. */
#include "retained_index.h"

#include <stdlib.h>

#include "retained_internal.h"
#include "slow_match.h"
#include "test_main.h"
#include "topic_words.h"

static struct topic_words topics, filters;
static struct retained_index *retained;

static void set_up(void)
{
    retained = retained_index_new();
    ck_assert_ptr_nonnull(retained);
}

static void tear_down(void)
{
    retained = retained_index_free(retained);
}

static void set(const char *topic, void *value)
{
    void *old = &old;
    claim(retained_index_set(retained, bytes_of(topic), value, &old) == 0);
    claim(!old);
}

/* Sizes of slices: results, steps. */
static const int slices[][2] = {{1000000, 1000000}, {1, 1000000}, {1000000, 1}, {3, 7}};

enum { ITEMS_MAX = 8 };

/* The next slice of WALK, in ITEMS; N is as in SLICES. */
static int next_slice(struct retained_walk *walk, const int *slice, struct retained_item *items)
{
    int n = slice[0] < ITEMS_MAX ? slice[0] : ITEMS_MAX;
    int found = retained_walk_next(walk, items, n, slice[1]);
    claim(found >= 0 && found <= n && found <= slice[1]);
    return found;
}

static void check_item(const struct retained_item *item)
{
    claim(retained_index_find(retained, item->topic) == item->value);
}

/* Whether A stands before B: level by level, a level that ends first, then by bytes. */
static bool is_before(struct mqtt_bytes a, struct mqtt_bytes b)
{
    for (uint32_t i = 0;; i++) {
        int x = i == a.len        ? -2
                : a.ptr[i] == '/' ? -1
                                  : a.ptr[i],
            y = i == b.len        ? -2
                : b.ptr[i] == '/' ? -1
                                  : b.ptr[i];
        if (x != y || x == -2)
            return x < y;
    }
}

/* Every topic's value is its own text, and a byte for each says whether it is there. */
static uint8_t is_in[WORDS_MAX], met[WORDS_MAX];

static void check_walk(const char *filter, const int *slice)
{
    struct retained_item items[ITEMS_MAX];
    const char *last = NULL;
    struct retained_walk *walk = retained_walk_new(retained, bytes_of(filter));
    memset(met, 0, sizeof(met));
    while (!retained_walk_is_done(walk)) {
        for (int n = next_slice(walk, slice, items), i = 0; i < n; i++) {
            check_item(&items[i]);
            claim(!last || is_before(bytes_of(last), items[i].topic));
            last = items[i].value;
            met[(char(*)[WORD_BYTES])items[i].value - topics.text]++;
        }
    }
    ck_assert_int_eq(retained_walk_next(walk, items, 1, 1), 0);
    retained_walk_free(walk);
    for (size_t i = 0; i < topics.n; i++) {
        bool expected = is_in[i] && (!*filter || slow_match(bytes_of(filter), bytes_of(topics.text[i])));
        if (met[i] != expected)
            ck_abort_msg("filter %s, topic %s: %d times", filter, topics.text[i], met[i]);
    }
}

START_TEST(every_filter_finds_what_it_matches)
{
    words_fill_topics(&topics, 4);
    words_fill_filters(&filters, 4);
    memset(is_in, 1, sizeof(is_in));
    for (size_t i = 0; i < topics.n; i++)
        set(topics.text[i], topics.text[i]);
    for (size_t i = 0; i < filters.n; i++)
        check_walk(filters.text[i], slices[_i]);
    check_walk("", slices[_i]);
}
END_TEST

static void toggle(size_t i)
{
    struct mqtt_bytes topic = bytes_of(topics.text[i]);
    void *value = topics.text[i];
    claim(retained_index_find(retained, topic) == (is_in[i] ? value : NULL));
    if (is_in[i])
        claim(retained_index_remove(retained, topic) == value);
    else
        set(topics.text[i], value);
    is_in[i] = !is_in[i];
}

START_TEST(topics_come_and_go)
{
    enum { ROUNDS = 30000 };
    words_fill_topics(&topics, 5);
    words_fill_filters(&filters, 3);
    memset(is_in, 0, sizeof(is_in));
    for (int i = 0; i < ROUNDS; i++) {
        size_t which = random_of(topics.n);
        if (is_in[which] == (i > ROUNDS / 2) || random_of(4) == 0)
            toggle(which);
        if (i % 100 == 0)
            check_walk(filters.text[random_of(filters.n)], slices[random_of(TEST_COUNT(slices))]);
    }
    for (size_t i = 0; i < topics.n; i++)
        if (is_in[i])
            toggle(i);
    ck_assert_uint_eq(retained_index_count(retained), 0);
    ck_assert_uint_eq(retained->n_runs, 0);
}
END_TEST

/* What is met, was there from the beginning (1) or came meanwhile (0), and is there now. */
static void check_met_while_changing(struct retained_walk *walk, const int *slice)
{
    struct retained_item items[ITEMS_MAX];
    const char *last = NULL;
    while (!retained_walk_is_done(walk)) {
        for (int n = next_slice(walk, slice, items), i = 0; i < n; i++) {
            check_item(&items[i]);
            claim(!last || is_before(bytes_of(last), items[i].topic));
            last = items[i].value;
            met[(char(*)[WORD_BYTES])items[i].value - topics.text]++;
        }
        for (int i = 0; i < 5; i++)
            toggle(random_of(topics.n / 2) * 2);
    }
}

START_TEST(a_walk_meets_once_what_is_there_all_the_time)
{
    enum { WALKS = 300 };
    words_fill_topics(&topics, 5);
    words_fill_filters(&filters, 3);
    memset(is_in, 0, sizeof(is_in));
    for (size_t i = 0; i < topics.n; i++)
        if (i % 2 || random_of(2))
            toggle(i);
    for (int i = 0; i < WALKS; i++) {
        const char *filter = filters.text[random_of(filters.n)];
        struct retained_walk *walk = retained_walk_new(retained, bytes_of(filter));
        memset(met, 0, sizeof(met));
        check_met_while_changing(walk, slices[1 + i % 3]);
        retained_walk_free(walk);
        /* Only those with even numbers change. */
        for (size_t j = 0; j < topics.n; j++) {
            bool matches = slow_match(bytes_of(filter), bytes_of(topics.text[j]));
            if (j % 2 ? met[j] != matches : met[j] > matches)
                ck_abort_msg("filter %s, topic %s: %d times", filter, topics.text[j], met[j]);
        }
    }
}
END_TEST

START_TEST(the_topic_on_which_a_walk_stands_may_go)
{
    struct retained_item item;
    int values[3];
    set("a/1", &values[0]);
    set("a/2", &values[1]);
    set("a/3", &values[2]);
    struct retained_walk *walk = retained_walk_new(retained, bytes_of("a/+"));
    ck_assert_int_eq(retained_walk_next(walk, &item, 1, 10), 1);
    retained_index_remove(retained, bytes_of("a/1"));
    ck_assert_int_eq(retained_walk_next(walk, &item, 1, 10), 1);
    ck_assert_ptr_eq(item.value, &values[1]);
    retained_index_remove(retained, bytes_of("a/2"));
    retained_index_remove(retained, bytes_of("a/3"));
    ck_assert_int_eq(retained_walk_next(walk, &item, 1, 10), 0);
    ck_assert(retained_walk_is_done(walk));
    retained_walk_free(walk);
}
END_TEST

START_TEST(a_new_value_replaces_the_old_one)
{
    int first, second;
    void *old;
    set("a", &first);
    ck_assert_int_eq(retained_index_set(retained, bytes_of("a"), &second, &old), 0);
    ck_assert_ptr_eq(old, &first);
    ck_assert_ptr_eq(retained_index_find(retained, bytes_of("a")), &second);
    ck_assert_uint_eq(retained_index_count(retained), 1);
    ck_assert_ptr_null(retained_index_remove(retained, bytes_of("a/b")));
    ck_assert_ptr_eq(retained_index_remove(retained, bytes_of("a")), &second);
    ck_assert_ptr_null(retained_index_find(retained, bytes_of("a")));
}
END_TEST

/* Many blocks, filled from the front, from the back, in any order. */
enum { MANY = 5000 };

static int many_topic(char text[WORD_BYTES], int way, int i)
{
    int number = way == 0 ? i : way == 1 ? MANY - 1 - i : (int)((unsigned)i * 1237U % MANY);
    snprintf(text, WORD_BYTES, "t/%05d/x", number);
    return number;
}

START_TEST(thousands_of_topics_stay_in_order)
{
    static int values[MANY];
    char text[WORD_BYTES];
    for (int i = 0; i < MANY; i++) {
        int number = many_topic(text, _i, i);
        set(text, &values[number]);
    }
    for (int removed = 0; removed < 4; removed++) {
        struct retained_item item;
        struct retained_walk *walk = retained_walk_new(retained, bytes_of("t/+/x"));
        for (int i = 0; i < MANY; i++) {
            if (i % 4 < removed)
                continue;
            claim(retained_walk_next(walk, &item, 1, 3) == 1);
            claim(item.value == &values[i]);
        }
        ck_assert_int_eq(retained_walk_next(walk, &item, 1, 3), 0);
        retained_walk_free(walk);
        for (int i = removed; i < MANY; i += 4) {
            snprintf(text, sizeof(text), "t/%05d/x", i);
            claim(retained_index_remove(retained, bytes_of(text)) == &values[i]);
        }
    }
    ck_assert_uint_eq(retained->n_runs, 0);
}
END_TEST

START_TEST(blocks_that_get_small_become_one)
{
    enum { LEFT = 50 };
    static int values[MANY];
    char text[WORD_BYTES];
    for (int i = 0; i < MANY; i++) {
        many_topic(text, 2, i);
        set(text, &values[i]);
    }
    for (int i = 0; i < MANY; i++)
        if (many_topic(text, 2, i) % (MANY / LEFT) != 0)
            claim(retained_index_remove(retained, bytes_of(text)) == &values[i]);
    ck_assert_uint_eq(retained_index_count(retained), LEFT);
    ck_assert_uint_le(retained->n_runs, 2);
}
END_TEST

/* Steps are what a slice costs: one for each child of "s" and its topic that matches, none for what lies between. */
START_TEST(a_walk_jumps_over_what_cannot_match)
{
    enum { CHILDREN = 50, TOPICS = 40 };
    char text[WORD_BYTES];
    int value;
    for (int i = 0; i < CHILDREN; i++) {
        for (int j = 0; j < TOPICS; j++) {
            snprintf(text, sizeof(text), "s/%02d/%02d", i, j);
            set(text, &value);
        }
    }
    struct retained_item items[CHILDREN];
    struct retained_walk *walk = retained_walk_new(retained, bytes_of("s/+/20"));
    ck_assert_int_eq(retained_walk_next(walk, items, CHILDREN, CHILDREN * 3), CHILDREN);
    retained_walk_free(walk);
    walk = retained_walk_new(retained, bytes_of("s/30/#"));
    ck_assert_int_eq(retained_walk_next(walk, items, CHILDREN, TOPICS + 1), TOPICS);
    ck_assert(retained_walk_is_done(walk));
    retained_walk_free(walk);
}
END_TEST

/* R05: as deep as a string can be. */
START_TEST(topics_of_65535_slashes_are_topics_like_others)
{
    uint8_t *slashes = malloc(MQTT_STRING_MAX), *pluses = malloc(MQTT_STRING_MAX);
    for (uint32_t i = 0; i < MQTT_STRING_MAX; i++) {
        slashes[i] = '/';
        pluses[i] = i % 2 ? '/' : '+';
    }
    struct mqtt_bytes deep = {.ptr = slashes, .len = MQTT_STRING_MAX}, wild = {.ptr = pluses, .len = MQTT_STRING_MAX};
    struct retained_item items[3];
    int values[2];
    void *old;
    ck_assert_int_eq(retained_index_set(retained, deep, &values[0], &old), 0);
    deep.len /= 2;
    ck_assert_int_eq(retained_index_set(retained, deep, &values[1], &old), 0);
    struct retained_walk *walk = retained_walk_new(retained, wild);
    ck_assert_int_eq(retained_walk_next(walk, items, 3, 10), 1);
    ck_assert_ptr_eq(items[0].value, &values[1]);
    ck_assert(retained_walk_is_done(walk));
    retained_walk_free(walk);
    walk = retained_walk_new(retained, bytes_of("/#"));
    ck_assert_int_eq(retained_walk_next(walk, items, 3, 10), 2);
    retained_walk_free(walk);
    free(slashes);
    free(pluses);
}
END_TEST

static Suite *retained_index_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("topics/retained_index", &tc);
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, every_filter_finds_what_it_matches, 0, TEST_COUNT(slices));
    tcase_add_test(tc, topics_come_and_go);
    tcase_add_test(tc, a_walk_meets_once_what_is_there_all_the_time);
    tcase_add_test(tc, the_topic_on_which_a_walk_stands_may_go);
    tcase_add_test(tc, a_new_value_replaces_the_old_one);
    tcase_add_loop_test(tc, thousands_of_topics_stay_in_order, 0, 3);
    tcase_add_test(tc, blocks_that_get_small_become_one);
    tcase_add_test(tc, a_walk_jumps_over_what_cannot_match);
    tcase_add_test(tc, topics_of_65535_slashes_are_topics_like_others);
    return suite;
}

TEST_MAIN(retained_index_suite)
