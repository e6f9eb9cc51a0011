/* bk_marks: who has had a message is found again; what is no mark is refused at every length. */
#include "bk_marks.h"

#include <stdlib.h>
#include <string.h>

#include "bk_record.h"
#include "bk_session.h"
#include "test_main.h"

static struct mqtt_bytes bytes(const char *text)
{
    return (struct mqtt_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static struct mqtt_bytes written(const struct bk_writer *w)
{
    return (struct mqtt_bytes){w->bytes, (uint32_t)w->len};
}

START_TEST(sessions_and_shares_are_found)
{
    struct bk_writer w = {0};
    bk_marks_put_session(&w, 7);
    bk_marks_put_share(&w, bytes("$share/g/a/#"));
    bk_marks_put_session(&w, UINT64_MAX);
    ck_assert(bk_marks_is_good(written(&w)));
    ck_assert(bk_marks_has_session(written(&w), 7));
    ck_assert(bk_marks_has_session(written(&w), UINT64_MAX));
    ck_assert(!bk_marks_has_session(written(&w), 8));
    ck_assert(bk_marks_has_share(written(&w), bytes("$share/g/a/#")));
    ck_assert(!bk_marks_has_share(written(&w), bytes("$share/g/a/")));
    free(w.bytes);
}
END_TEST

START_TEST(what_is_cut_is_no_mark)
{
    struct bk_writer w = {0};
    bk_marks_put_share(&w, bytes("$share/g/a"));
    for (uint32_t len = 1; len < w.len; len++) {
        uint8_t *part = malloc(len);
        memcpy(part, w.bytes, len);
        ck_assert(!bk_marks_is_good((struct mqtt_bytes){part, len}));
        ck_assert(!bk_marks_has_session((struct mqtt_bytes){part, len}, 1));
        free(part);
    }
    w.bytes[0] = 2;
    ck_assert(!bk_marks_is_good(written(&w)));
    free(w.bytes);
}
END_TEST

START_TEST(marks_of_one_exchange_add_up)
{
    struct bk_session s = {0};
    struct bk_writer w = {0};
    bk_marks_put_session(&w, 1);
    ck_assert_int_eq(bk_marks_keep(&s, 10, written(&w)), 0);
    ck_assert_int_eq(bk_marks_keep(&s, 11, written(&w)), 0);
    w.len = 0;
    bk_marks_put_session(&w, 2);
    ck_assert_int_eq(bk_marks_keep(&s, 10, written(&w)), 0);
    ck_assert(bk_marks_has_session(bk_marks_find(&s, 10), 1));
    ck_assert(bk_marks_has_session(bk_marks_find(&s, 10), 2));
    ck_assert(!bk_marks_has_session(bk_marks_find(&s, 11), 2));
    bk_marks_drop(&s, 10);
    bk_marks_drop(&s, 12);
    ck_assert_uint_eq(bk_marks_find(&s, 10).len, 0);
    ck_assert(bk_marks_has_session(bk_marks_find(&s, 11), 1));
    bk_marks_drop_all(&s);
    ck_assert_ptr_null(s.cut_exchanges);
    free(w.bytes);
}
END_TEST

static Suite *bk_marks_suite(void)
{
    TCase *tcase;
    Suite *suite = test_suite("bk_marks", &tcase);
    tcase_add_test(tcase, sessions_and_shares_are_found);
    tcase_add_test(tcase, what_is_cut_is_no_mark);
    tcase_add_test(tcase, marks_of_one_exchange_add_up);
    return suite;
}

TEST_MAIN(bk_marks_suite)
