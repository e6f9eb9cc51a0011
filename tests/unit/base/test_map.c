/* map: finds what is in it, and only that, while it grows and shrinks. */
#include "map.h"

#include <string.h>

#include "list.h"
#include "test_main.h"

struct entry {
    uint32_t id;
    bool is_in;
    struct map_node node;
};

enum { N_ENTRIES = 5000 };

static struct entry entries[N_ENTRIES];
static struct map map;

static bool entry_equal(const struct map_node *node, const void *key)
{
    return list_entry(node, struct entry, node)->id == *(const uint32_t *)key;
}

/* Ways to hash: spread, one chain for four ids, everything in few chains. */
static uint64_t entry_hash(int way, uint32_t id)
{
    return way == 0 ? id : way == 1 ? id / 4 : id % 7;
}

static void fill(int way, uint32_t n)
{
    map_init(&map, entry_equal);
    for (uint32_t i = 0; i < n; i++) {
        entries[i] = (struct entry){.id = i, .is_in = true};
        ck_assert_int_eq(map_add(&map, &entries[i].node, entry_hash(way, i)), 0);
    }
}

static void check_all(int way, uint32_t n)
{
    size_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct map_node *found = map_find(&map, entry_hash(way, i), &i);
        if (found != (entries[i].is_in ? &entries[i].node : NULL))
            ck_abort_msg("entry %u", i);
        count += entries[i].is_in;
    }
    ck_assert_uint_eq(map.count, count);
}

START_TEST(every_element_is_found_until_removed)
{
    const uint32_t n = _i == 2 ? 300 : N_ENTRIES;
    fill(_i, n);
    check_all(_i, n);
    for (uint32_t i = 0; i < n; i += 3) {
        map_remove(&map, &entries[i].node);
        entries[i].is_in = false;
    }
    check_all(_i, n);
    for (uint32_t i = 0; i < n; i += 6) {
        ck_assert_int_eq(map_add(&map, &entries[i].node, entry_hash(_i, i)), 0);
        entries[i].is_in = true;
    }
    check_all(_i, n);
    map_deinit(&map);
}
END_TEST

START_TEST(an_empty_map_answers_too)
{
    uint32_t id = 1;
    map_init(&map, entry_equal);
    ck_assert_ptr_null(map_find(&map, 1, &id));
    ck_assert_ptr_null(map_any(&map));
    map_deinit(&map);
    ck_assert_ptr_null(map_find(&map, 1, &id));
}
END_TEST

START_TEST(any_takes_everything_out_also_while_some_come_back)
{
    fill(0, N_ENTRIES);
    uint32_t taken = 0, came_back = 0;
    for (struct map_node *node = map_any(&map); node; node = map_any(&map)) {
        struct entry *e = list_entry(node, struct entry, node);
        map_remove(&map, node);
        /* Behind the place where the search now stands, or in front of it: both have to be found. */
        if (taken++ % 100 == 0 && came_back < 40) {
            came_back++;
            ck_assert_int_eq(map_add(&map, node, e->id), 0);
        }
    }
    ck_assert_uint_eq(taken, N_ENTRIES + came_back);
    ck_assert_uint_eq(map.count, 0);
    map_deinit(&map);
}
END_TEST

START_TEST(hashes_depend_on_every_byte_and_the_length)
{
    uint8_t bytes[64] = {0};
    uint64_t seen[200];
    size_t n = 0;
    for (size_t len = 0; len < sizeof(bytes); len++)
        seen[n++] = map_hash_bytes(bytes, len);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = 1;
        seen[n++] = map_hash_bytes(bytes, sizeof(bytes));
        bytes[i] = 0;
    }
    seen[n++] = map_hash_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++)
            ck_assert(seen[i] != seen[j]);
    }
    ck_assert(map_hash_bytes("abc", 3) == map_hash_bytes("abc", 3));
}
END_TEST

static Suite *map_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("map", &tc);
    tcase_add_loop_test(tc, every_element_is_found_until_removed, 0, 3);
    tcase_add_test(tc, an_empty_map_answers_too);
    tcase_add_test(tc, any_takes_everything_out_also_while_some_come_back);
    tcase_add_test(tc, hashes_depend_on_every_byte_and_the_length);
    return suite;
}

TEST_MAIN(map_suite)
