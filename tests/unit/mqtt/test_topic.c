/* Topic names and filters: what is valid, what matches. */
#include <string.h>

#include "mqtt_topic.h"
#include "test_main.h"

static struct mqtt_bytes bytes_of(const char *text)
{
    return (struct mqtt_bytes){.ptr = (const uint8_t *)text, .len = (uint32_t)strlen(text)};
}

START_TEST(filters_of_the_standard_are_valid)
{
    static const char *const valid[] = {"#",   "+",  "/",  "//",   "a",      "a/#", "a/+/#",   "+/a/#",
                                        "+/+", "/+", "+/", "a//b", "$SYS/#", " ",   "$share/g"};
    for (size_t i = 0; i < TEST_COUNT(valid); i++)
        ck_assert_msg(mqtt_topic_filter_is_valid(bytes_of(valid[i])), "%s", valid[i]);
}
END_TEST

START_TEST(misplaced_wildcards_make_a_filter_invalid)
{
    static const char *const invalid[] = {"",   "a#", "#/a",    "a+",   "+a",  "a/#/b", "##", "++",
                                          "#+", "+#", "a/b+/c", "a/+b", "/a#", "a/#b",  "#/"};
    for (size_t i = 0; i < TEST_COUNT(invalid); i++)
        ck_assert_msg(!mqtt_topic_filter_is_valid(bytes_of(invalid[i])), "%s", invalid[i]);
}
END_TEST

START_TEST(names_have_a_byte_and_no_wildcard)
{
    ck_assert(mqtt_topic_name_is_valid(bytes_of("a")));
    ck_assert(mqtt_topic_name_is_valid(bytes_of("/")));
    ck_assert(mqtt_topic_name_is_valid(bytes_of("$SYS/x y/\xC3\xBC")));
    ck_assert(!mqtt_topic_name_is_valid(bytes_of("")));
    ck_assert(!mqtt_topic_name_is_valid(bytes_of("a/+")));
    ck_assert(!mqtt_topic_name_is_valid(bytes_of("#")));
}
END_TEST

/* Every byte at every place of every length: the word-wise look must agree with a look at each byte. */
START_TEST(simple_topics_are_found_whatever_their_length)
{
    uint8_t text[20];
    for (uint32_t len = 1; len <= sizeof(text); len++)
        for (uint32_t at = 0; at < len; at++)
            for (unsigned byte = 0; byte < 256; byte++) {
                memset(text, '"', sizeof(text)); /* 0x22, next to "#" */
                text[at] = (uint8_t)byte;
                bool is_simple = byte != 0 && byte < 0x80 && byte != '+' && byte != '#';
                ck_assert(mqtt_topic_is_simple((struct mqtt_bytes){.ptr = text, .len = len}) == is_simple);
            }
    ck_assert(mqtt_topic_is_simple((struct mqtt_bytes){0}));
}
END_TEST

START_TEST(shared_subscriptions_come_apart)
{
    static const struct {
        const char *shared, *group, *filter;
    } cases[] = {{"$share/g/t", "g", "t"},
                 {"$share/g/#", "g", "#"},
                 {"$share/a b//", "a b", "/"},
                 {"$share/g/$share/x/y", "g", "$share/x/y"}};
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct mqtt_bytes group, filter;
        ck_assert(mqtt_topic_split_shared(bytes_of(cases[i].shared), &group, &filter));
        ck_assert_uint_eq(group.len, strlen(cases[i].group));
        ck_assert_mem_eq(group.ptr, cases[i].group, group.len);
        ck_assert_uint_eq(filter.len, strlen(cases[i].filter));
        ck_assert_mem_eq(filter.ptr, cases[i].filter, filter.len);
    }
}
END_TEST

START_TEST(broken_shared_subscriptions_do_not)
{
    static const char *const broken[] = {"$share",     "$share/",     "$share/g",  "$share//t",   "$share/+/t",
                                         "$share/#/t", "$share/a+/t", "$share/g/", "$share/g/a#", "share/g/t",
                                         "$SHARE/g/t", "$sharex/g/t", ""};
    for (size_t i = 0; i < TEST_COUNT(broken); i++) {
        struct mqtt_bytes group, filter;
        ck_assert_msg(!mqtt_topic_split_shared(bytes_of(broken[i]), &group, &filter), "%s", broken[i]);
    }
}
END_TEST

START_TEST(only_the_prefix_makes_a_filter_shared)
{
    ck_assert(mqtt_topic_is_shared(bytes_of("$share/")));
    ck_assert(mqtt_topic_is_shared(bytes_of("$share/g/t")));
    ck_assert(!mqtt_topic_is_shared(bytes_of("$share")));
    ck_assert(!mqtt_topic_is_shared(bytes_of("/$share/g/t")));
}
END_TEST

START_TEST(filters_match_as_the_standard_says)
{
    static const struct {
        const char *filter, *topic;
        bool matches;
    } cases[] = {
        {"sport/tennis/player1/#", "sport/tennis/player1", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
        {"sport/#", "sport", true},
        {"sport/#", "sports", false},
        {"#", "a", true},
        {"#", "/", true},
        {"#", "a/b/c", true},
        {"sport/tennis/+", "sport/tennis/player1", true},
        {"sport/tennis/+", "sport/tennis/player1/ranking", false},
        {"sport/+", "sport", false},
        {"sport/+", "sport/", true},
        {"+", "sport", true},
        {"+", "/finance", false},
        {"+/+", "/finance", true},
        {"/+", "/finance", true},
        {"+/+", "a", false},
        {"#", "$SYS/x", false},
        {"+/monitor/Clients", "$SYS/monitor/Clients", false},
        {"+", "$SYS", false},
        {"$SYS/#", "$SYS/x", true},
        {"$SYS/#", "$SYS", true},
        {"$SYS/monitor/+", "$SYS/monitor/Clients", true},
        {"a/+", "a/$b", true},
        {"a", "a", true},
        {"a", "A", false},
        {"a", "a/", false},
        {"a/", "a", false},
        {"a//b", "a//b", true},
        {"a/+/b", "a//b", true},
        {"a/b", "a/bc", false},
        {"a/bc", "a/b", false},
        {"+/#", "a", true},
        {"+/#", "/", true},
        {"a/+/#", "a", false},
        {"a/+/#", "a/b", true},
        {"/#", "/", true},
        {"/#", "a", false},
        {"\xC3\xBC/+", "\xC3\xBC/x", true},
        {"u\xCC\x88", "\xC3\xBC", false}, /* MQTT-4.7.3-4: no normalisation */
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        ck_assert_msg(mqtt_topic_matches(bytes_of(cases[i].filter), bytes_of(cases[i].topic)) == cases[i].matches,
                      "%s %s", cases[i].filter, cases[i].topic);
}
END_TEST

/* By words and by bytes: every length, every place of the difference. */
START_TEST(common_bytes_end_where_the_first_differs)
{
    uint8_t a[20], b[20];
    for (uint32_t a_len = 0; a_len <= sizeof(a); a_len++) {
        for (uint32_t at = 0; at < sizeof(b); at++) {
            memset(a, 'x', sizeof(a));
            memset(b, 'x', sizeof(b));
            b[at] = 'y';
            struct mqtt_bytes x = {.ptr = a, .len = a_len}, y = {.ptr = b, .len = sizeof(b)};
            ck_assert_uint_eq(mqtt_topic_common(x, y), a_len < at ? a_len : at);
            ck_assert_uint_eq(mqtt_topic_common(y, x), a_len < at ? a_len : at);
        }
    }
}
END_TEST

/* R05: as deep as a string can be. */
START_TEST(topics_of_65535_slashes_are_topics_like_others)
{
    uint8_t *text = malloc(MQTT_STRING_MAX);
    memset(text, '/', MQTT_STRING_MAX);
    struct mqtt_bytes deep = {.ptr = text, .len = MQTT_STRING_MAX};
    ck_assert(mqtt_topic_name_is_valid(deep));
    ck_assert(mqtt_topic_filter_is_valid(deep));
    ck_assert(mqtt_topic_matches(deep, deep));
    ck_assert(!mqtt_topic_matches(deep, (struct mqtt_bytes){.ptr = text, .len = MQTT_STRING_MAX - 1}));
    ck_assert(mqtt_topic_matches(bytes_of("/#"), deep));
    free(text);
}
END_TEST

START_TEST(levels_are_counted_as_far_as_the_limit)
{
    static const struct {
        const char *topic;
        uint32_t levels;
    } samples[] = {{"", 1},         {"a", 1},         {"a/b", 2},        {"/", 2},   {"/a", 2},
                   {"a//b", 3},     {"a/b/", 3},      {"$SYS/a", 2},     {"+/#", 2}, {"$share/g/a/b", 2},
                   {"$share/g", 2}, {"$share//a", 3}, {"$share/g/#", 1}, {"////", 5}};
    for (size_t i = 0; i < TEST_COUNT(samples); i++) {
        struct mqtt_bytes topic = bytes_of(samples[i].topic);
        for (uint32_t max = 0; max < 8; max++)
            ck_assert_msg(mqtt_topic_is_deeper(topic, max) == (samples[i].levels > max), "%s, %u", samples[i].topic,
                          max);
    }
    ck_assert(!mqtt_topic_is_deeper((struct mqtt_bytes){.ptr = NULL}, 1));
}
END_TEST

static Suite *topic_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("mqtt/topic", &tc);
    tcase_add_test(tc, filters_of_the_standard_are_valid);
    tcase_add_test(tc, misplaced_wildcards_make_a_filter_invalid);
    tcase_add_test(tc, names_have_a_byte_and_no_wildcard);
    tcase_add_test(tc, simple_topics_are_found_whatever_their_length);
    tcase_add_test(tc, shared_subscriptions_come_apart);
    tcase_add_test(tc, broken_shared_subscriptions_do_not);
    tcase_add_test(tc, only_the_prefix_makes_a_filter_shared);
    tcase_add_test(tc, filters_match_as_the_standard_says);
    tcase_add_test(tc, common_bytes_end_where_the_first_differs);
    tcase_add_test(tc, topics_of_65535_slashes_are_topics_like_others);
    tcase_add_test(tc, levels_are_counted_as_far_as_the_limit);
    return suite;
}

TEST_MAIN(topic_suite)
