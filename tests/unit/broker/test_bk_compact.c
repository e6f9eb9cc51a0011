/* bk_compact: what is due stays as it was, what is not goes; what is no segment is refused at every length. */
#include "bk_compact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bk_message.h"
#include "bk_record.h"
#include "test_main.h"

enum { MESSAGES = 40 };

/* Message I of a segment is for session 1 and, every third, for session 2 of a share; its numbers are I. */
static size_t put_message(struct bk_writer *w, unsigned i)
{
    const size_t begin = w->len;
    char payload[32];
    struct bk_publication p;
    bk_publication_init(&p, NULL);
    snprintf(payload, sizeof payload, "payload %u", i);
    p.topic = (struct mqtt_bytes){(const uint8_t *)"a/b", 3};
    p.payload = (struct mqtt_bytes){(const uint8_t *)payload, (uint32_t)strlen(payload)};
    bk_put_message(w, bk_publication_keep(&p), 0, 0);
    bk_publication_end(&p);
    bk_put_u32(w, i % 3 == 0 ? 2 : 1);
    for (uint64_t session = 1; session <= (i % 3 == 0 ? 2 : 1); session++) {
        bk_put_u64(w, session);
        bk_put_u64(w, i);
        bk_put_u8(w, session == 2 ? 1 | BK_FLAG_SHARED : 1);
        bk_put_varint(w, i % 2);
        if (i % 2 == 1)
            bk_put_varint(w, 300 + i);
        if (session == 2)
            bk_put_bytes(w, "$share/g/a/b", 12);
    }
    return w->len - begin;
}

static bool is_due(void *arg, uint64_t session, uint64_t number)
{
    return session == 2 ? number % 9 == 0 : number % 8 == 0;
}

START_TEST(what_is_due_stays_as_it_was)
{
    struct bk_writer all = {0}, wanted = {0}, out = {0};
    uint32_t n, n_wanted = 0;
    for (unsigned i = 0; i < MESSAGES; i++) {
        put_message(&all, i);
        if (i % 8 == 0 || i % 9 == 0)
            put_message(&wanted, i);
        n_wanted += i % 8 == 0 || i % 9 == 0;
    }
    bk_put_u8(&out, 7); /* something before it */
    ck_assert_int_eq(bk_compact((struct mqtt_bytes){all.bytes, (uint32_t)all.len}, is_due, NULL, &out, &n), 0);
    ck_assert_uint_eq(n, n_wanted);
    ck_assert_uint_eq(out.len, wanted.len + 1);
    ck_assert_int_eq(memcmp(out.bytes + 1, wanted.bytes, wanted.len), 0);
    free(all.bytes);
    free(wanted.bytes);
    free(out.bytes);
}
END_TEST

START_TEST(what_is_cut_is_refused)
{
    struct bk_writer all = {0}, out = {0};
    uint32_t n;
    const size_t first = put_message(&all, 0), second = put_message(&all, 3);
    for (size_t len = 1; len < first + second; len++) {
        uint8_t *part = malloc(len);
        memcpy(part, all.bytes, len);
        const int wanted = len == first ? 0 : BK_RECORD_BAD;
        ck_assert_int_eq(bk_compact((struct mqtt_bytes){part, (uint32_t)len}, is_due, NULL, &out, &n), wanted);
        free(part);
    }
    free(all.bytes);
    free(out.bytes);
}
END_TEST

static Suite *bk_compact_suite(void)
{
    TCase *tcase;
    Suite *suite = test_suite("bk_compact", &tcase);
    tcase_add_test(tcase, what_is_due_stays_as_it_was);
    tcase_add_test(tcase, what_is_cut_is_refused);
    return suite;
}

TEST_MAIN(bk_compact_suite)
