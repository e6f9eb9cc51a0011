/* bk_record: what is written is read again; what is no record is refused at every length. */
#include "bk_record.h"

#include <stdlib.h>
#include <string.h>

#include "bk_message.h"
#include "test_main.h"

enum { NOW = 50000, WALL = 1700000000 };

static struct mqtt_bytes bytes(const char *text)
{
    return (struct mqtt_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static struct bk_message *a_message(uint64_t expires_ms)
{
    struct bk_publication p;
    bk_publication_init(&p, NULL);
    p.topic = bytes("a/topic");
    p.payload = bytes("a payload");
    p.expires_ms = expires_ms;
    p.qos = 1;
    p.retain = true;
    struct bk_message *m = bk_message_ref(bk_publication_keep(&p));
    bk_publication_end(&p);
    return m;
}

START_TEST(numbers_and_bytes_come_back)
{
    const uint64_t numbers[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX};
    struct bk_writer w = {0};
    for (size_t i = 0; i < TEST_COUNT(numbers); i++) {
        bk_put_varint(&w, numbers[i]);
        bk_put_u64(&w, numbers[i]);
    }
    bk_put_bytes(&w, "hello", 5);
    bk_put_bytes(&w, NULL, 0);
    ck_assert(!w.has_failed);
    struct cursor c = cursor_make(w.bytes, w.len);
    uint64_t value;
    for (size_t i = 0; i < TEST_COUNT(numbers); i++) {
        ck_assert_int_eq(bk_get_varint(&c, &value), 0);
        ck_assert_uint_eq(value, numbers[i]);
        ck_assert_int_eq(bk_get_u64(&c, &value), 0);
        ck_assert_uint_eq(value, numbers[i]);
    }
    struct mqtt_bytes text;
    ck_assert_int_eq(bk_get_bytes(&c, &text), 0);
    ck_assert_uint_eq(text.len, 5);
    ck_assert_int_eq(bk_get_bytes(&c, &text), 0);
    ck_assert_uint_eq(text.len, 0);
    ck_assert_uint_eq(c.len, 0);
    ck_assert_int_eq(bk_get_varint(&c, &value), BK_RECORD_BAD);
    free(w.bytes);
}
END_TEST

START_TEST(a_message_comes_back_with_what_is_left_of_its_time)
{
    struct bk_message *m = a_message(NOW + 9000), *again;
    struct bk_writer w = {0};
    bk_put_message(&w, m, NOW, WALL);
    struct cursor c = cursor_make(w.bytes, w.len);
    /* another process, 4 s later */
    ck_assert_int_eq(bk_get_message(&c, 7, WALL + 4000, &again), 0);
    ck_assert_uint_eq(again->expires_ms, 7 + 5000);
    ck_assert_uint_eq(again->topic_len, m->topic_len);
    ck_assert_uint_eq(again->payload_len, m->payload_len);
    ck_assert_int_eq(memcmp(again->bytes, m->bytes, (size_t)m->topic_len + m->payload_len), 0);
    ck_assert_uint_eq(again->qos, 1);
    ck_assert(again->retain);
    bk_message_unref(again);
    c = cursor_make(w.bytes, w.len);
    ck_assert_int_eq(bk_get_message(&c, 7, WALL + 10000, &again), 0);
    ck_assert(bk_message_is_expired(again, 7));
    bk_message_unref(again);
    bk_message_unref(m);
    free(w.bytes);
}
END_TEST

START_TEST(a_message_that_is_cut_is_no_message)
{
    struct bk_message *m = a_message(BK_NEVER), *again;
    struct bk_writer w = {0};
    bk_put_message(&w, m, NOW, WALL);
    for (size_t len = 0; len < w.len; len++) {
        uint8_t *part = malloc(len + 1);
        memcpy(part, w.bytes, len);
        struct cursor c = cursor_make(part, len);
        ck_assert_int_eq(bk_get_message(&c, NOW, WALL, &again), BK_RECORD_BAD);
        free(part);
    }
    w.bytes[0] = 3; /* no such QoS */
    struct cursor c = cursor_make(w.bytes, w.len);
    ck_assert_int_eq(bk_get_message(&c, NOW, WALL, &again), BK_RECORD_BAD);
    bk_message_unref(m);
    free(w.bytes);
}
END_TEST

START_TEST(keys_stand_in_the_order_of_what_they_name)
{
    struct bk_key last = bk_key_of_segment(0, 7);
    for (uint64_t n = 1; n < 1000; n++) {
        const struct bk_key key = bk_key_of_segment(n, (uint16_t)(n % 3));
        ck_assert_int_gt(memcmp(key.bytes, last.bytes, key.len), 0);
        last = key;
    }
    const uint8_t old[] = {'m', 0, 5, 0, 0, 0, 0, 0, 0, 1, 2};
    struct bk_key key;
    ck_assert(bk_key_of_segment_1(old, sizeof old, &key));
    last = bk_key_of_segment(258, 5);
    ck_assert_uint_eq(key.len, last.len);
    ck_assert_int_eq(memcmp(key.bytes, last.bytes, key.len), 0);
    ck_assert(!bk_key_of_segment_1(old, sizeof old - 1, &key));
    ck_assert(!bk_key_of_segment_1(last.bytes, last.len, &key));
    const struct bk_key first = bk_key_of_inbound(1, UINT16_MAX), end = bk_key_behind(&first);
    ck_assert_int_lt(memcmp(bk_key_of_marks(1, UINT16_MAX, UINT64_MAX).bytes, end.bytes, end.len), 0);
    ck_assert_int_eq(memcmp(bk_key_of_inbound(2, 0).bytes, end.bytes, end.len), 0);
    char *topic = malloc(2000);
    memset(topic, 'x', 1999);
    topic[1999] = 0;
    const struct bk_key shorter = bk_key_of_topic((struct mqtt_bytes){(const uint8_t *)topic, BK_KEY_MAX - 1});
    const struct bk_key longer = bk_key_of_topic(bytes(topic));
    ck_assert_uint_eq(shorter.len, BK_KEY_MAX);
    ck_assert_uint_eq(shorter.bytes[0], BK_RECORD_RETAINED);
    ck_assert_uint_eq(longer.len, 33);
    ck_assert_uint_eq(longer.bytes[0], BK_RECORD_RETAINED_LONG);
    free(topic);
}
END_TEST

static Suite *bk_record_suite(void)
{
    TCase *tcase;
    Suite *suite = test_suite("bk_record", &tcase);
    tcase_add_test(tcase, numbers_and_bytes_come_back);
    tcase_add_test(tcase, a_message_comes_back_with_what_is_left_of_its_time);
    tcase_add_test(tcase, a_message_that_is_cut_is_no_message);
    tcase_add_test(tcase, keys_stand_in_the_order_of_what_they_name);
    return suite;
}

TEST_MAIN(bk_record_suite)
