/* topic_table: finds every slot of a key and only those, while it grows and shrinks. */
#include "topic_table.h"

#include <stdlib.h>

#include "test_main.h"
#include "topic_words.h"

struct slot {
    uint64_t key, value;
};

enum { N_VALUES = 20000 };

static struct topic_table table;
static uint64_t key_of[N_VALUES]; /* 0: not in the table */

/* Ways to make keys: spread, some values to each key, few parts and neighbours in them. */
static uint64_t make_key(int way, uint32_t i)
{
    uint64_t spread = (uint64_t)(way == 1 ? i / 5 : i) * 0x9e3779b97f4a7c15U;
    if (way == 2)
        return (uint64_t)(i % 2) << 56 | (i / 16 + 1);
    return spread ? spread : 1;
}

static struct slot *find(uint64_t key, uint64_t value)
{
    struct slot *slot = topic_table_find(&table, key);
    while (slot && slot->value != value)
        slot = topic_table_find_next(&table, slot);
    return slot;
}

static void check_all(void)
{
    size_t n = 0;
    for (uint32_t i = 0; i < N_VALUES; i++) {
        n += key_of[i] != 0;
        const struct slot *slot = key_of[i] ? find(key_of[i], i) : NULL;
        if (key_of[i] && !slot)
            ck_abort_msg("value %u is lost", i);
    }
    ck_assert_uint_eq(table.count, n);
}

static void toggle(int way, uint32_t i)
{
    uint64_t key = make_key(way, i);
    claim(!find(key, i) == !key_of[i]);
    if (key_of[i]) {
        topic_table_remove(&table, find(key, i));
        key_of[i] = 0;
        return;
    }
    struct slot *slot = topic_table_add(&table, key);
    claim(slot && slot->key == key && slot->value == 0);
    slot->value = i;
    key_of[i] = key;
}

START_TEST(what_is_in_is_found_and_nothing_else)
{
    uint32_t n = _i == 2 ? 2000 : N_VALUES;
    memset(key_of, 0, sizeof(key_of));
    topic_table_init(&table, sizeof(struct slot));
    for (uint32_t i = 0; i < n; i++)
        toggle(_i, i);
    check_all();
    for (uint32_t i = 0; i < n * 2; i++)
        toggle(_i, random_of(n));
    check_all();
    for (uint32_t i = 0; i < n; i++)
        if (key_of[i])
            toggle(_i, i);
    check_all();
    topic_table_deinit(&table);
}
END_TEST

START_TEST(memory_goes_back_when_elements_go)
{
    topic_table_init(&table, sizeof(struct slot));
    memset(key_of, 0, sizeof(key_of));
    for (uint32_t i = 0; i < N_VALUES; i++)
        toggle(0, i);
    for (uint32_t i = 0; i < N_VALUES; i++)
        toggle(0, i);
    for (unsigned i = 0; i < TOPIC_TABLE_PARTS; i++)
        ck_assert_uint_lt(table.parts[i].mask, 8);
    topic_table_deinit(&table);
}
END_TEST

START_TEST(an_empty_table_answers_too)
{
    topic_table_init(&table, sizeof(struct slot));
    ck_assert_ptr_null(topic_table_find(&table, 1));
    topic_table_prefetch(&table, 1);
    topic_table_deinit(&table);
}
END_TEST

static Suite *topic_table_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("topics/topic_table", &tc);
    tcase_add_loop_test(tc, what_is_in_is_found_and_nothing_else, 0, 3);
    tcase_add_test(tc, memory_goes_back_when_elements_go);
    tcase_add_test(tc, an_empty_table_answers_too);
    return suite;
}

TEST_MAIN(topic_table_suite)
