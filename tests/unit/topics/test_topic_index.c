/* topic_index: whoever should hear of a topic does, and nobody else, whatever came and went before. */
#include "topic_index.h"

#include <stdlib.h>

#include "slow_match.h"
#include "test_main.h"
#include "topic_index_internal.h"
#include "topic_words.h"

static struct topic_words topics, filters;
static struct topic_index *index_;
static struct topic_matches matches;

static void set_up(void)
{
    index_ = topic_index_new();
    ck_assert_ptr_nonnull(index_);
}

static void tear_down(void)
{
    index_ = topic_index_free(index_);
    topic_matches_deinit(&matches);
}

static struct topic_filter *add(const char *filter, void *owner, uint32_t options)
{
    struct topic_entry entry = {.owner = owner, .options = options, .subscription_id = options + 1};
    struct topic_filter *added = NULL;
    claim(topic_index_add(index_, bytes_of(filter), &entry, &added) == 0);
    claim(added);
    return added;
}

static size_t match(const char *topic)
{
    matches.n = 0;
    claim(topic_index_match(index_, bytes_of(topic), &matches) == 0);
    return matches.n;
}

static bool is_matched(const void *owner)
{
    for (size_t i = 0; i < matches.n; i++)
        if (matches.entries[i].owner == owner)
            return true;
    return false;
}

/* How often each filter of FILTERS is in the index, with itself as owner. */
static uint8_t is_in[WORDS_MAX];

static void check_topic(const char *topic)
{
    static uint8_t found[WORDS_MAX];
    memset(found, 0, sizeof(found));
    match(topic);
    for (size_t i = 0; i < matches.n; i++)
        found[(char(*)[WORD_BYTES])matches.entries[i].owner - filters.text]++;
    for (size_t i = 0; i < filters.n; i++) {
        bool expected = is_in[i] && slow_match(bytes_of(filters.text[i]), bytes_of(topic));
        if (found[i] != expected)
            ck_abort_msg("filter %s, topic %s: %d times", filters.text[i], topic, found[i]);
    }
}

START_TEST(every_filter_alone_matches_as_the_standard_says)
{
    words_fill_filters(&filters, 4);
    words_fill_topics(&topics, 4);
    for (size_t i = 0; i < filters.n; i++) {
        struct topic_filter *filter = add(filters.text[i], filters.text[i], 0);
        for (size_t j = 0; j < topics.n; j++) {
            bool expected = slow_match(bytes_of(filters.text[i]), bytes_of(topics.text[j]));
            if (match(topics.text[j]) != expected)
                ck_abort_msg("filter %s, topic %s", filters.text[i], topics.text[j]);
        }
        claim(topic_index_remove(index_, filter, filters.text[i]));
    }
}
END_TEST

START_TEST(all_filters_together_match_as_the_standard_says)
{
    words_fill_filters(&filters, 4);
    words_fill_topics(&topics, 5);
    memset(is_in, 1, sizeof(is_in));
    for (size_t i = 0; i < filters.n; i++)
        add(filters.text[i], filters.text[i], 0);
    ck_assert_uint_eq(topic_index_count(index_), filters.n);
    ck_assert_uint_eq(topic_index_count_filters(index_), filters.n);
    for (size_t i = 0; i < topics.n; i++)
        check_topic(topics.text[i]);
}
END_TEST

static void toggle(size_t i)
{
    struct topic_filter *found = topic_index_find(index_, bytes_of(filters.text[i]));
    claim(!found == !is_in[i]);
    if (found)
        claim(topic_index_remove(index_, found, filters.text[i]));
    else
        add(filters.text[i], filters.text[i], 0);
    is_in[i] = !is_in[i];
}

START_TEST(filters_come_and_go_and_leave_nothing_behind)
{
    enum { ROUNDS = 20000 };
    words_fill_filters(&filters, 4);
    words_fill_topics(&topics, 4);
    memset(is_in, 0, sizeof(is_in));
    for (int i = 0; i < ROUNDS; i++) {
        /* Full, then empty again: in the first half more come than go. */
        size_t which = random_of(filters.n);
        if (is_in[which] == (i > ROUNDS / 2) || random_of(4) == 0)
            toggle(which);
        if (i % 10 == 0)
            check_topic(topics.text[random_of(topics.n)]);
    }
    for (size_t i = 0; i < filters.n; i++)
        if (is_in[i])
            toggle(i);
    ck_assert_uint_eq(topic_index_count(index_), 0);
    ck_assert_uint_eq(topic_index_count_filters(index_), 0);
    ck_assert_uint_eq(index_->trie.nodes.count, 0);
    ck_assert(topic_trie_is_empty(&index_->trie));
}
END_TEST

START_TEST(an_entry_comes_out_as_it_went_in)
{
    int owner;
    struct topic_filter *filter = add("a/+", &owner, 7);
    ck_assert_uint_eq(match("a/b"), 1);
    ck_assert_ptr_eq(matches.entries[0].owner, &owner);
    ck_assert_uint_eq(matches.entries[0].options, 7);
    ck_assert_uint_eq(matches.entries[0].subscription_id, 8);
    ck_assert_ptr_eq(topic_index_find(index_, bytes_of("a/+")), filter);
    ck_assert_ptr_null(topic_index_find(index_, bytes_of("a/b")));
    ck_assert_ptr_null(topic_index_find(index_, bytes_of("a")));
    struct mqtt_bytes text = topic_filter_text(filter);
    ck_assert_uint_eq(text.len, 3);
    ck_assert_mem_eq(text.ptr, "a/+", 3);
}
END_TEST

START_TEST(the_same_owner_again_replaces_its_entry)
{
    int owner, other;
    struct topic_filter *filter = add("a", &owner, 1), *again = NULL;
    ck_assert_ptr_eq(add("a", &other, 2), filter);
    struct topic_entry entry = {.owner = &owner, .options = 3};
    ck_assert_int_eq(topic_index_add(index_, bytes_of("a"), &entry, &again), TOPIC_REPLACED);
    ck_assert_ptr_eq(again, filter);
    ck_assert_uint_eq(topic_index_count(index_), 2);
    ck_assert_uint_eq(topic_filter_entry(filter, &owner)->options, 3);
    ck_assert_uint_eq(topic_filter_entry(filter, &other)->options, 2);
    ck_assert_uint_eq(match("a"), 2);
}
END_TEST

START_TEST(only_an_owner_that_is_there_is_removed)
{
    int owner, other;
    struct topic_filter *filter = add("a", &owner, 0);
    ck_assert(!topic_index_remove(index_, filter, &other));
    ck_assert_ptr_null(topic_filter_entry(filter, &other));
    add("a", &other, 0);
    ck_assert(topic_index_remove(index_, filter, &owner));
    ck_assert(!topic_index_remove(index_, filter, &owner));
    ck_assert_uint_eq(match("a"), 1);
    ck_assert(is_matched(&other));
    ck_assert(topic_index_remove(index_, filter, &other));
    ck_assert_ptr_null(topic_index_find(index_, bytes_of("a")));
}
END_TEST

START_TEST(an_owner_with_overlapping_filters_appears_for_each)
{
    int owner;
    add("a/b", &owner, 1);
    add("a/+", &owner, 2);
    add("#", &owner, 4);
    add("a/b/#", &owner, 8);
    add("b/#", &owner, 16);
    uint32_t seen = 0;
    ck_assert_uint_eq(match("a/b"), 4);
    for (size_t i = 0; i < matches.n; i++)
        seen |= matches.entries[i].options;
    ck_assert_uint_eq(seen, 15);
}
END_TEST

START_TEST(matches_are_appended_and_survive_changes)
{
    int owner, other;
    struct topic_filter *filter = add("a", &owner, 1);
    add("+", &other, 2);
    match("a");
    ck_assert_int_eq(topic_index_match(index_, bytes_of("b"), &matches), 0);
    ck_assert(topic_index_remove(index_, filter, &owner));
    ck_assert_uint_eq(matches.n, 3);
    ck_assert(is_matched(&owner));
    ck_assert_ptr_eq(matches.entries[2].owner, &other);
}
END_TEST

/* Owners of one filter: as many as below, at and far above where the way of finding them changes. */
enum { N_OWNERS = 5000 };

static uint32_t options_of[N_OWNERS]; /* 0: not in */

static void check_owners(struct topic_filter *filter)
{
    size_t n = 0, expected = 0;
    const struct topic_entry *all = filter ? topic_filter_entries(filter, &n) : NULL;
    for (size_t i = 0; i < n; i++)
        claim(all[i].options == *(uint32_t *)all[i].owner);
    for (size_t i = 0; i < N_OWNERS; i++) {
        expected += options_of[i] != 0;
        const struct topic_entry *entry = filter ? topic_filter_entry(filter, &options_of[i]) : NULL;
        claim((entry ? entry->options : 0) == options_of[i]);
    }
    ck_assert_uint_eq(n, expected);
    ck_assert_uint_eq(topic_index_count(index_), expected);
    ck_assert_uint_eq(match("x/y"), expected);
}

static struct topic_filter *join_or_leave(struct topic_filter *filter, size_t who, uint32_t options)
{
    struct topic_entry entry = {.owner = &options_of[who], .options = options};
    if (options == 0) {
        bool was_in = options_of[who] != 0;
        claim(!filter || topic_index_remove(index_, filter, entry.owner) == was_in);
    } else {
        int expected = options_of[who] ? TOPIC_REPLACED : 0;
        claim(topic_index_add(index_, bytes_of("x/+"), &entry, NULL) == expected);
    }
    options_of[who] = options;
    return topic_index_find(index_, bytes_of("x/+"));
}

START_TEST(thousands_join_and_leave_one_filter)
{
    static const size_t crowds[] = {3, 40, 300, N_OWNERS};
    struct topic_filter *filter = NULL;
    for (size_t c = 0; c < TEST_COUNT(crowds); c++) {
        for (size_t i = 0; i < crowds[c] * 3; i++)
            filter = join_or_leave(filter, random_of(crowds[c]), random_of(5));
        check_owners(filter);
    }
    for (size_t i = 0; i < N_OWNERS; i++) {
        filter = join_or_leave(filter, i, 0);
        if (i % 1000 == 0)
            check_owners(filter);
    }
    ck_assert_ptr_null(filter);
}
END_TEST

/* LEVELS times the same level of one byte, or empty ones (BYTE 0), and TAIL. */
static char *deep(size_t levels, char byte, const char *tail)
{
    char *text = malloc(levels * 2 + strlen(tail) + 1), *end = text;
    for (size_t i = 0; i < levels; i++) {
        if (byte)
            *end++ = byte;
        *end++ = '/';
    }
    strcpy(end, tail);
    return text;
}

/* R05: as deep as a string can be. */
START_TEST(topics_of_65535_slashes_are_topics_like_others)
{
    char *slashes = deep(65535, 0, ""), *below = deep(65533, 0, "#"), *pluses = deep(32767, '+', "+");
    int exact, hash, plus;
    add(slashes, &exact, 0);
    add(below, &hash, 0);
    struct topic_filter *wild = add(pluses, &plus, 0);
    ck_assert_uint_eq(match(slashes), 2);
    ck_assert(is_matched(&exact) && is_matched(&hash));
    slashes[65534] = '\0';
    ck_assert_uint_eq(match(slashes), 1);
    slashes[32767] = '\0';
    ck_assert_uint_eq(match(slashes), 1);
    ck_assert(is_matched(&plus));
    ck_assert(topic_index_remove(index_, wild, &plus));
    ck_assert_uint_eq(match(slashes), 0);
    free(slashes);
    free(below);
    free(pluses);
}
END_TEST

/* Each branch splits at each level: 2^12 filters, all of which match. What is visited is what is there. */
START_TEST(filters_that_split_at_every_level_are_all_found)
{
    enum { LEVELS = 12 };
    static uint8_t owners[1 << LEVELS];
    char filter[LEVELS * 2];
    for (unsigned bits = 0; bits < 1 << LEVELS; bits++) {
        for (unsigned i = 0; i < LEVELS; i++) {
            filter[i * 2] = bits >> i & 1 ? '+' : 'a';
            filter[i * 2 + 1] = i + 1 < LEVELS ? '/' : '\0';
        }
        add(filter, &owners[bits], 0);
    }
    ck_assert_uint_eq(match("a/a/a/a/a/a/a/a/a/a/a/a"), 1 << LEVELS);
    ck_assert_uint_eq(match("a/a/a/a/a/a/a/a/a/a/a/b"), 1 << (LEVELS - 1));
    ck_assert_uint_eq(match("a/a/a/a/a/a/a/a/a/a/a"), 0);
    ck_assert_uint_eq(match("a/a/a/a/a/a/a/a/a/a/a/a/a"), 0);
}
END_TEST

static void count_filter(struct topic_filter *filter, void *arg)
{
    size_t n;
    uint8_t *met = topic_filter_entries(filter, &n)->owner;
    ck_assert_uint_eq(n, 1);
    ++*met;
}

/* 0 to 999 stay, the others come and go between slices. */
START_TEST(slices_meet_what_stays_exactly_once)
{
    enum { N = 3000, STAY = 1000 };
    static uint8_t met[N];
    char text[16];
    memset(met, 0, sizeof(met));
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof(text), i % 3 ? "f/%d" : "+/%d", i);
        if (i < STAY || i % 2)
            add(text, &met[i], 0);
    }
    for (unsigned slice = 0; slice < TOPIC_INDEX_SLICES; slice++) {
        topic_index_slice(index_, slice, count_filter, NULL);
        for (unsigned i = STAY + slice; i < N; i += TOPIC_INDEX_SLICES) {
            snprintf(text, sizeof(text), i % 3 ? "f/%u" : "+/%u", i);
            struct topic_filter *found = topic_index_find(index_, bytes_of(text));
            if (found)
                topic_index_remove(index_, found, &met[i]);
            else
                add(text, &met[i], 0);
        }
    }
    for (int i = 0; i < N; i++)
        ck_assert_msg(i < STAY ? met[i] == 1 : met[i] <= 1, "%d: %d times", i, met[i]);
}
END_TEST

START_TEST(bytes_are_compared_as_they_are)
{
    int composed, decomposed, capital;
    add("\xC3\xBC/+", &composed, 0);
    add("u\xCC\x88/+", &decomposed, 0);
    add("A/#", &capital, 0);
    ck_assert_uint_eq(match("\xC3\xBC/x"), 1);
    ck_assert(is_matched(&composed));
    ck_assert_uint_eq(match("u\xCC\x88/x"), 1);
    ck_assert_uint_eq(match("a"), 0);
    ck_assert_uint_eq(match("A"), 1);
}
END_TEST

static Suite *topic_index_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("topics/topic_index", &tc);
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, every_filter_alone_matches_as_the_standard_says);
    tcase_add_test(tc, all_filters_together_match_as_the_standard_says);
    tcase_add_test(tc, filters_come_and_go_and_leave_nothing_behind);
    tcase_add_test(tc, an_entry_comes_out_as_it_went_in);
    tcase_add_test(tc, the_same_owner_again_replaces_its_entry);
    tcase_add_test(tc, only_an_owner_that_is_there_is_removed);
    tcase_add_test(tc, an_owner_with_overlapping_filters_appears_for_each);
    tcase_add_test(tc, matches_are_appended_and_survive_changes);
    tcase_add_test(tc, thousands_join_and_leave_one_filter);
    tcase_add_test(tc, topics_of_65535_slashes_are_topics_like_others);
    tcase_add_test(tc, filters_that_split_at_every_level_are_all_found);
    tcase_add_test(tc, slices_meet_what_stays_exactly_once);
    tcase_add_test(tc, bytes_are_compared_as_they_are);
    return suite;
}

TEST_MAIN(topic_index_suite)
