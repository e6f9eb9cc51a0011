/* bk_bridge_topics: which line of a bridge carries a topic, and what it is called on the other side. */
#include "bk_bridge_topics.h"

#include <string.h>

#include "test_main.h"

static struct bk_bridge_topics topics;

static void setup(void)
{
    memset(&topics, 0, sizeof topics);
    ck_assert_int_eq(bk_bridge_topics_add(&topics, "out/#", NULL, NULL, BK_BRIDGE_OUT, 1), 0);
    ck_assert_int_eq(bk_bridge_topics_add(&topics, "in/+", NULL, "there/", BK_BRIDGE_IN, 1), 0);
    ck_assert_int_eq(bk_bridge_topics_add(&topics, "r/#", "loc/", "rem/", BK_BRIDGE_BOTH, 2), 0);
    ck_assert_int_eq(bk_bridge_topics_add(&topics, "#", "mine/", NULL, BK_BRIDGE_BOTH, 0), 0);
}

static void teardown(void)
{
    bk_bridge_topics_deinit(&topics);
    ck_assert_ptr_null(topics.list);
}

static const struct {
    enum bk_bridge_way way;
    const char *topic, *wanted; /* NULL: not carried */
} samples[] = {
    {BK_BRIDGE_OUT, "out/a/b", "out/a/b"}, {BK_BRIDGE_OUT, "out", "out"},         {BK_BRIDGE_OUT, "in/a", NULL},
    {BK_BRIDGE_IN, "there/in/a", "in/a"},  {BK_BRIDGE_OUT, "loc/r/x", "rem/r/x"}, {BK_BRIDGE_OUT, "loc/r", "rem/r"},
    {BK_BRIDGE_OUT, "r/x", NULL},          {BK_BRIDGE_IN, "rem/r/x", "loc/r/x"},  {BK_BRIDGE_OUT, "mine/x", "x"},
    {BK_BRIDGE_OUT, "mine", NULL},  /* the parent of mine/#, which has no name there */
    {BK_BRIDGE_OUT, "mine/", NULL}, /* its name there would be empty */
    {BK_BRIDGE_IN, "out/a", "mine/out/a"}, {BK_BRIDGE_IN, "$SYS/x", NULL},
};

START_TEST(a_topic_gets_its_name_on_the_other_side)
{
    struct bk_bridge_name name;
    char text[100];
    const struct mqtt_bytes topic = {(const uint8_t *)samples[_i].topic, (uint32_t)strlen(samples[_i].topic)};
    const bool is_carried = bk_bridge_topics_map(&topics, samples[_i].way, topic, &name);
    ck_assert_int_eq(is_carried, samples[_i].wanted != NULL);
    if (!is_carried)
        return;
    if (name.prefix.len > 0)
        memcpy(text, name.prefix.ptr, name.prefix.len);
    memcpy(text + name.prefix.len, name.rest.ptr, name.rest.len);
    text[name.prefix.len + name.rest.len] = '\0';
    ck_assert_str_eq(text, samples[_i].wanted);
}
END_TEST

static Suite *bk_bridge_topics_suite(void)
{
    TCase *t;
    Suite *s = test_suite("bk_bridge_topics", &t);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, a_topic_gets_its_name_on_the_other_side, 0, sizeof samples / sizeof samples[0]);
    return s;
}

TEST_MAIN(bk_bridge_topics_suite)
