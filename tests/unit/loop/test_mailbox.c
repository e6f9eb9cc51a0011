/* Mail between threads: all of it, in the order of each poster, and bounded work per turn. */
#include "mailbox.h"

#include <pthread.h>

#include "loop.h"
#include "test_main.h"

enum { N_POSTERS = 4, N_MAILS = 20000 };

static struct loop *loop;
static struct mailbox *mailbox;

static void setup(void)
{
    ck_assert_int_eq(loop_new(&loop), 0);
    ck_assert_int_eq(mailbox_new(loop, &mailbox), 0);
}

static void teardown(void)
{
    mailbox = mailbox_free(mailbox);
    loop = loop_free(loop);
}

/* --- Many posters */

struct numbered_mail {
    struct mail mail;
    int poster, number;
};

struct poster {
    pthread_t thread;
    int index;
    struct numbered_mail mails[N_MAILS];
};

static int next_number[N_POSTERS];
static int n_missing;

static void on_numbered_mail(struct mail *mail)
{
    struct numbered_mail *m = (struct numbered_mail *)mail;
    ck_assert_int_eq(m->number, next_number[m->poster]);
    next_number[m->poster]++;
    if (--n_missing == 0)
        loop_stop(loop);
}

static void *post_all(void *arg)
{
    struct poster *p = arg;
    for (int i = 0; i < N_MAILS; i++) {
        p->mails[i] = (struct numbered_mail){.mail = {.fn = on_numbered_mail}, .poster = p->index, .number = i};
        mailbox_post(mailbox, &p->mails[i].mail);
    }
    return NULL;
}

START_TEST(mail_of_each_thread_arrives_whole_and_in_order)
{
    struct poster *posters = calloc(N_POSTERS, sizeof(*posters));
    n_missing = N_POSTERS * N_MAILS;
    for (int i = 0; i < N_POSTERS; i++) {
        next_number[i] = 0;
        posters[i].index = i;
        ck_assert_int_eq(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    loop_run(loop);
    for (int i = 0; i < N_POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
        ck_assert_int_eq(next_number[i], N_MAILS);
    }
    free(posters);
}
END_TEST

/* --- There and back between two loops, one mail at a time */

struct ball {
    struct mail mail;
    struct mailbox *here, *there;
    struct loop *loops[2];
    int n_left;
};

static void on_ball(struct mail *mail)
{
    struct ball *b = (struct ball *)mail;
    if (b->n_left-- == 0) {
        loop_stop(b->loops[0]);
        return;
    }
    struct mailbox *target = b->there;
    b->there = b->here;
    b->here = target;
    mailbox_post(target, mail);
}

static void on_stop(struct mail *mail)
{
    loop_stop(((struct ball *)mail)->loops[1]);
}

static void *run_other_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

START_TEST(a_mail_travels_between_two_loops)
{
    struct loop *other_loop;
    struct mailbox *other_mailbox;
    pthread_t thread;
    ck_assert_int_eq(loop_new(&other_loop), 0);
    ck_assert_int_eq(mailbox_new(other_loop, &other_mailbox), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, run_other_loop, other_loop), 0);
    struct ball ball = {.mail.fn = on_ball,
                        .here = mailbox,
                        .there = other_mailbox,
                        .loops = {loop, other_loop},
                        .n_left = 1000}; /* even: it ends here */
    mailbox_post(mailbox, &ball.mail);
    loop_run(loop);
    ck_assert_int_eq(ball.n_left, -1);
    struct ball stop = {.mail.fn = on_stop, .loops = {loop, other_loop}};
    mailbox_post(other_mailbox, &stop.mail);
    pthread_join(thread, NULL);
    mailbox_free(other_mailbox);
    loop_free(other_loop);
}
END_TEST

/* --- One thread */

struct endless_mail {
    struct mail mail;
    int n_runs;
};

static void on_endless_mail(struct mail *mail)
{
    ((struct endless_mail *)mail)->n_runs++;
    mailbox_post(mailbox, mail);
}

static void on_timer(struct loop_timer *timer)
{
    loop_stop(timer->loop);
}

static void on_last_mail(struct mail *mail)
{
}

START_TEST(endless_mail_leaves_room_for_timers)
{
    struct endless_mail endless = {.mail.fn = on_endless_mail};
    struct loop_timer timer;
    loop_timer_init(&timer, loop, on_timer);
    loop_timer_start(&timer, 1);
    mailbox_post(mailbox, &endless.mail);
    loop_run(loop);
    ck_assert_int_gt(endless.n_runs, 1);
    endless.mail.fn = on_last_mail;
    mailbox = mailbox_free(mailbox); /* runs it once more, while it is still there */
}
END_TEST

struct answered_mail {
    struct mail mail, answer;
    struct loop_timer *stops;
};

static void on_answer(struct mail *mail)
{
    struct answered_mail *m = list_entry(mail, struct answered_mail, answer);
    loop_timer_stop(m->stops);
    loop_stop(loop);
}

static void on_question(struct mail *mail)
{
    mailbox_post(mailbox, &((struct answered_mail *)mail)->answer);
}

/* A loop that waited before it looked would wait an hour. */
START_TEST(mail_to_oneself_is_read_before_the_loop_waits)
{
    struct loop_timer never;
    struct answered_mail m = {.mail.fn = on_question, .answer.fn = on_answer, .stops = &never};
    loop_timer_init(&never, loop, on_timer);
    loop_timer_start(&never, 3600 * 1000);
    mailbox_post(mailbox, &m.mail);
    loop_run(loop);
    ck_assert(!loop_timer_is_started(&never));
}
END_TEST

static void on_count(struct mail *mail)
{
    n_missing--;
}

static void on_free(struct mail *mail)
{
    n_missing--;
    mailbox = mailbox_free(mailbox);
}

START_TEST(unread_mail_is_run_before_the_mailbox_goes)
{
    struct mail mails[3] = {{.fn = on_count}, {.fn = on_count}, {.fn = on_count}};
    n_missing = 3;
    for (int i = 0; i < 3; i++)
        mailbox_post(mailbox, &mails[i]);
    mailbox = mailbox_free(mailbox);
    ck_assert_int_eq(n_missing, 0);
}
END_TEST

START_TEST(a_mail_may_free_its_mailbox)
{
    struct mail mails[3] = {{.fn = on_count}, {.fn = on_free}, {.fn = on_count}};
    n_missing = 3;
    for (int i = 0; i < 3; i++)
        mailbox_post(mailbox, &mails[i]);
    loop_run(loop); /* ends by itself: the mailbox was what kept it */
    ck_assert_int_eq(n_missing, 0);
}
END_TEST

static Suite *mailbox_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("mailbox", &tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, mail_of_each_thread_arrives_whole_and_in_order);
    tcase_add_test(tc, a_mail_travels_between_two_loops);
    tcase_add_test(tc, mail_to_oneself_is_read_before_the_loop_waits);
    tcase_add_test(tc, endless_mail_leaves_room_for_timers);
    tcase_add_test(tc, unread_mail_is_run_before_the_mailbox_goes);
    tcase_add_test(tc, a_mail_may_free_its_mailbox);
    return suite;
}

TEST_MAIN(mailbox_suite)
