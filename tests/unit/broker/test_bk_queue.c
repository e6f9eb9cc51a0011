/* bk_queue: packet ids, order, what steps aside, and the way back from records. */
#include "bk_queue.h"

#include <stdlib.h>
#include <string.h>

#include "bk_message.h"
#include "test_main.h"

static struct bk_message *a_message(const char *payload)
{
    struct bk_publication p;
    bk_publication_init(&p, NULL);
    p.topic = (struct mqtt_bytes){(const uint8_t *)"t", 1};
    p.payload = (struct mqtt_bytes){(const uint8_t *)payload, (uint32_t)strlen(payload)};
    struct bk_message *m = bk_message_ref(bk_publication_keep(&p));
    bk_publication_end(&p);
    return m;
}

static struct bk_entry *begun(struct bk_queue *q, uint8_t qos)
{
    ck_assert_int_eq(bk_queue_push(q, NULL, NULL, qos, false), 0);
    return bk_queue_begin(q);
}

START_TEST(ids_follow_each_other_and_name_their_entry)
{
    struct bk_queue q = {0};
    for (uint16_t id = 1; id <= 100; id++)
        ck_assert_uint_eq(begun(&q, 1)->id, id);
    ck_assert_uint_eq(q.open, 100);
    for (uint16_t id = 100; id >= 1; id--) {
        struct bk_entry *e = bk_queue_find(&q, id);
        ck_assert_ptr_nonnull(e);
        ck_assert_uint_eq(e->id, id);
        bk_queue_done(&q, e);
        ck_assert_ptr_null(bk_queue_find(&q, id));
    }
    ck_assert(bk_queue_is_empty(&q));
    ck_assert_ptr_null(bk_queue_find(&q, 101));
    bk_queue_deinit(&q);
}
END_TEST

START_TEST(what_waits_has_no_id)
{
    struct bk_queue q = {0};
    struct bk_message *m = a_message("payload");
    ck_assert_int_eq(bk_queue_push(&q, bk_message_ref(m), NULL, 2, true), 0);
    ck_assert_uint_eq(bk_queue_waiting(&q), 1);
    ck_assert_uint_eq(q.bytes, bk_message_bytes(m));
    ck_assert_ptr_null(bk_queue_find(&q, 1));
    struct bk_entry *e = bk_queue_begin(&q);
    ck_assert_uint_eq(e->state, BK_ENTRY_SENT);
    ck_assert(e->retain);
    bk_queue_release(&q, e);
    ck_assert_uint_eq(e->state, BK_ENTRY_RELEASED);
    ck_assert_uint_eq(q.bytes, 0);
    ck_assert_uint_eq(m->refs, 1);
    ck_assert_ptr_eq(bk_queue_find(&q, 1), e);
    bk_queue_done(&q, e);
    bk_message_unref(m);
    bk_queue_deinit(&q);
}
END_TEST

START_TEST(an_id_in_use_is_passed_over_when_they_have_gone_round)
{
    struct bk_queue q = {0};
    const uint16_t stuck = begun(&q, 1)->id;
    const uint16_t also_stuck = begun(&q, 2)->id;
    uint16_t last = also_stuck;
    for (unsigned i = 0; i < 200000; i++) {
        struct bk_entry *e = begun(&q, 1);
        /* each ck_assert() writes to a pipe: not a million of them */
        if (!e || e->id == 0 || e->id == stuck || e->id == also_stuck || e->id == last || bk_queue_find(&q, e->id) != e)
            ck_abort_msg("the id of message %u", i);
        last = e->id;
        bk_queue_done(&q, e);
    }
    ck_assert_uint_eq(q.open, 2);
    ck_assert_uint_eq(bk_queue_find(&q, also_stuck)->qos, 2);
    bk_queue_done(&q, bk_queue_find(&q, stuck));
    bk_queue_done(&q, bk_queue_find(&q, also_stuck));
    ck_assert(bk_queue_is_empty(&q));
    bk_queue_deinit(&q);
}
END_TEST

START_TEST(all_ids_in_use_is_the_end)
{
    struct bk_queue q = {0};
    for (unsigned i = 0; i < 65535; i++)
        if (!begun(&q, 1))
            ck_abort_msg("message %u gets no id", i);
    ck_assert_int_eq(bk_queue_push(&q, NULL, NULL, 1, false), 0);
    ck_assert_ptr_null(bk_queue_begin(&q));
    bk_queue_done(&q, bk_queue_find(&q, 4711));
    ck_assert_uint_eq(bk_queue_begin(&q)->id, 4711);
    bk_queue_deinit(&q);
}
END_TEST

START_TEST(walks_are_in_order_of_delivery)
{
    struct bk_queue q = {0};
    struct bk_entry *e;
    for (int i = 0; i < 10; i++)
        begun(&q, 1);
    for (int i = 0; i < 3; i++)
        bk_queue_push(&q, NULL, NULL, 2, false);
    bk_queue_done(&q, bk_queue_find(&q, 1));
    bk_queue_done(&q, bk_queue_find(&q, 5));
    uint64_t pos = 0, last = 0, n = 0;
    while ((e = bk_queue_open_next(&q, &pos))) {
        ck_assert_uint_gt(e->number, last);
        last = e->number;
        n++;
    }
    ck_assert_uint_eq(n, 8);
    pos = n = 0;
    while ((e = bk_queue_waiting_next(&q, &pos))) {
        ck_assert_uint_eq(e->qos, 2);
        n++;
    }
    ck_assert_uint_eq(n, 3);
    bk_queue_deinit(&q);
}
END_TEST

START_TEST(a_skipped_one_uses_up_an_id)
{
    struct bk_queue q = {0};
    begun(&q, 1);
    bk_queue_push(&q, a_message("expired"), NULL, 1, false);
    bk_queue_push(&q, a_message("not"), NULL, 1, false);
    ck_assert(bk_queue_skip(&q));
    struct bk_entry *e = bk_queue_begin(&q);
    ck_assert_uint_eq(e->id, 3);
    ck_assert_ptr_eq(bk_queue_find(&q, 3), e);
    ck_assert_ptr_null(bk_queue_find(&q, 2));
    ck_assert_uint_eq(q.open, 2);
    bk_queue_deinit(&q);
}
END_TEST

/* As bk_journal.c writes it and bk_recover.c reads it. */
static void copy_by_records(struct bk_queue *from, struct bk_queue *to)
{
    struct bk_entry *e;
    ck_assert_int_eq(bk_queue_restore(to, from->next, from->last_id), 0);
    for (uint64_t pos = 0; (e = bk_queue_open_next(from, &pos));)
        ck_assert_int_eq(bk_queue_restore_open(to, e->number, e->id, e->state), 0);
    for (uint64_t pos = 0; (e = bk_queue_open_next(from, &pos));)
        if (e->message)
            ck_assert_int_eq(
                bk_queue_restore_message(to, e->number, bk_message_ref(e->message), NULL, e->qos, e->retain), true);
    for (uint64_t pos = 0; (e = bk_queue_waiting_next(from, &pos));)
        ck_assert_int_eq(bk_queue_restore_message(to, e->number, bk_message_ref(e->message), NULL, e->qos, e->retain),
                         true);
}

static void assert_same(struct bk_queue *a, struct bk_queue *b)
{
    struct bk_entry *x, *y;
    uint64_t pos_a = 0, pos_b = 0;
    ck_assert_uint_eq(a->open, b->open);
    ck_assert_uint_eq(a->bytes, b->bytes);
    while ((x = bk_queue_open_next(a, &pos_a))) {
        y = bk_queue_find(b, x->id);
        ck_assert_ptr_nonnull(y);
        ck_assert_uint_eq(x->number, y->number);
        ck_assert_uint_eq(x->state, y->state);
        ck_assert_ptr_eq(x->message, y->message);
    }
    pos_a = 0;
    while ((x = bk_queue_waiting_next(a, &pos_a))) {
        y = bk_queue_waiting_next(b, &pos_b);
        ck_assert_ptr_eq(x->message, y->message);
        ck_assert_uint_eq(x->number, y->number);
    }
    ck_assert_uint_eq(bk_queue_waiting(a), bk_queue_waiting(b));
}

START_TEST(it_comes_back_from_its_records)
{
    srand(4711 + (unsigned)_i);
    struct bk_queue q = {0}, copy = {0};
    for (unsigned step = 0; step < 20000; step++) {
        const int what = rand() % 6;
        struct bk_entry *e = bk_queue_find(&q, (uint16_t)(q.last_id - rand() % 30));
        if (what < 2) {
            bk_queue_push(&q, a_message("m"), NULL, (uint8_t)(1 + rand() % 2), false);
        } else if (what < 4 && bk_queue_waiting(&q) > 0 && q.open < 40) {
            bk_queue_begin(&q);
        } else if (e && e->qos == 2 && e->state == BK_ENTRY_SENT && what == 4) {
            bk_queue_release(&q, e);
        } else if (e) {
            bk_queue_done(&q, e);
        } else if (bk_queue_waiting(&q) > 50) {
            bk_queue_skip(&q);
        }
        if (step % 2000 == 1999) {
            copy_by_records(&q, &copy);
            assert_same(&q, &copy);
            bk_queue_deinit(&q);
            q = copy;
            memset(&copy, 0, sizeof copy);
        }
    }
    bk_queue_deinit(&q);
}
END_TEST

START_TEST(what_was_sent_and_has_no_message_is_done_with)
{
    struct bk_queue q = {0};
    uint64_t pos = 0;
    bk_queue_restore(&q, 10, 9);
    ck_assert_int_eq(bk_queue_restore_open(&q, 6, 6, BK_ENTRY_SENT), 0);
    ck_assert_int_eq(bk_queue_restore_open(&q, 7, 7, BK_ENTRY_SENT), 0);
    ck_assert_int_eq(bk_queue_restore_open(&q, 8, 8, BK_ENTRY_RELEASED), 0);
    ck_assert_int_eq(bk_queue_restore_open(&q, 9, 3, BK_ENTRY_SENT), 0); /* one that had stepped aside */
    ck_assert_int_eq(bk_queue_restore_message(&q, 7, a_message("there"), NULL, 1, false), true);
    bk_queue_restored(&q);
    ck_assert_uint_eq(q.open, 2);
    ck_assert_uint_eq(bk_queue_open_next(&q, &pos)->id, 7);
    ck_assert_uint_eq(bk_queue_open_next(&q, &pos)->id, 8);
    ck_assert_ptr_null(bk_queue_open_next(&q, &pos));
    bk_queue_deinit(&q);
}
END_TEST

START_TEST(records_that_cannot_be_are_refused)
{
    struct bk_queue q = {0};
    bk_queue_restore(&q, 10, 9);
    ck_assert_int_lt(bk_queue_restore_open(&q, 10, 1, BK_ENTRY_SENT), 0);
    ck_assert_int_lt(bk_queue_restore_open(&q, 3, 0, BK_ENTRY_SENT), 0);
    ck_assert_int_eq(bk_queue_restore_message(&q, 5, a_message("done"), NULL, 1, false), false);
    ck_assert_int_eq(bk_queue_restore_message(&q, 10, a_message("first"), NULL, 1, false), true);
    ck_assert_int_lt(bk_queue_restore_message(&q, UINT64_MAX, a_message("far"), NULL, 1, false), 0);
    bk_queue_deinit(&q);
}
END_TEST

START_TEST(what_is_paged_out_still_counts)
{
    struct bk_queue q = {0};
    struct bk_message *m = a_message("payload"), *again = a_message("payload");
    struct bk_segment *segment = (struct bk_segment *)&q; /* never looked into */
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(bk_queue_push(&q, bk_message_ref(m), NULL, 1, false), 0);
    for (uint64_t number = 1; number < 3; number++)
        bk_queue_page_out(&q, bk_queue_find_due(&q, number), segment);
    ck_assert_uint_eq(m->refs, 2);
    ck_assert_uint_eq(q.n_paged, 2);
    ck_assert_uint_eq(bk_queue_waiting(&q), 3);
    ck_assert_uint_eq(q.bytes, 3 * bk_message_bytes(m));
    bk_queue_done(&q, bk_queue_begin(&q));
    struct bk_entry *e = bk_queue_waiting_first(&q);
    ck_assert_ptr_null(e->message);
    ck_assert_ptr_eq(e->segment, segment);
    bk_queue_page_in(&q, e, again);
    ck_assert_uint_eq(q.n_paged, 1);
    ck_assert_uint_eq(q.bytes, 2 * bk_message_bytes(m));
    e = bk_queue_begin(&q);
    ck_assert_ptr_eq(e->message, again);
    bk_queue_done(&q, e);
    ck_assert(bk_queue_skip(&q)); /* while it is paged out */
    ck_assert_uint_eq(q.n_paged, 0);
    ck_assert_uint_eq(q.bytes, 0);
    ck_assert(bk_queue_is_empty(&q));
    bk_message_unref(m);
    bk_queue_deinit(&q);
}
END_TEST

static Suite *bk_queue_suite(void)
{
    TCase *tcase;
    Suite *suite = test_suite("bk_queue", &tcase);
    tcase_add_test(tcase, ids_follow_each_other_and_name_their_entry);
    tcase_add_test(tcase, what_waits_has_no_id);
    tcase_add_test(tcase, an_id_in_use_is_passed_over_when_they_have_gone_round);
    tcase_add_test(tcase, all_ids_in_use_is_the_end);
    tcase_add_test(tcase, walks_are_in_order_of_delivery);
    tcase_add_test(tcase, a_skipped_one_uses_up_an_id);
    tcase_add_loop_test(tcase, it_comes_back_from_its_records, 0, 5);
    tcase_add_test(tcase, what_was_sent_and_has_no_message_is_done_with);
    tcase_add_test(tcase, records_that_cannot_be_are_refused);
    tcase_add_test(tcase, what_is_paged_out_still_counts);
    return suite;
}

TEST_MAIN(bk_queue_suite)
