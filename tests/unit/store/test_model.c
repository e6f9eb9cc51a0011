/* Random batches of several loops at once against a model, for every driver and durability. */
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "loop.h"
#include "loop_support.h"
#include "mailbox.h"
#include "store_model.h"
#include "store_support.h"
#include "test_main.h"
#include "worker.h"

enum { WORKERS = 3, BATCHES = 400, WINDOW = 12, PAGE_ITEMS = 7, SCAN_EVERY = 60 };

static const struct way {
    const char *scheme;
    enum store_durability durability;
} ways[] = {
    {"memory", STORE_SYNC},
    {"lmdb", STORE_SYNC},
    {"lmdb", STORE_ASYNC},
    {"lmdb", STORE_NONE},
};

static struct store *store;
static struct loop *main_loop;
static struct mailbox *main_mailbox;
static int n_working;

/* One on each worker. */
struct teller {
    struct mail mail; /* to the main loop: it has come to its end */
    struct store_client *client;
    struct store_model model;
    unsigned chance;
    unsigned n_flying;
    uint64_t n_done;
    bool is_scanning;
    struct store_model_check check;
    store_ticket last; /* of a put that is to be cancelled or deleted */
};

static void teller_go_on(struct teller *t);

static void teller_on_done(void *arg, int result)
{
    struct teller *t = arg;
    ck_assert_msg(result == 0, "%d %s", result, err_text());
    t->n_flying--;
    t->n_done++;
    teller_go_on(t);
}

/* Put now, and taken back in a later turn: cancelled if it still waits, else deleted. Only one at a time has this key.
 */
static void teller_put_passing(struct teller *t, struct store_batch *b)
{
    char key[8];
    const struct store_value v = {.head = store_text("passing")};
    snprintf(key, sizeof key, "%c/p", t->model.prefix);
    if (t->last && !store_cancel(t->client, t->last))
        store_delete(b, store_text(key));
    t->last = t->last ? 0 : store_put(b, store_text(key), &v);
}

static void teller_write(struct teller *t)
{
    struct store_batch *b = store_begin(t->client);
    store_model_next(&t->model, b);
    teller_put_passing(t, b);
    store_commit(b, 0, teller_on_done, t);
    t->n_flying++;
}

static void teller_on_page(void *arg, int result, const struct store_page *page)
{
    struct teller *t = arg;
    ck_assert_int_eq(result, 0);
    for (size_t i = 0; i < page->n_items; i++)
        store_model_check_entry(&t->check, page->items[i].key, page->items[i].value);
    if (!page->is_end) {
        store_scan(t->client, &page->rest, PAGE_ITEMS, 0, teller_on_page, t);
        return;
    }
    store_model_check_end(&t->check);
    t->is_scanning = false;
    teller_go_on(t);
}

/* Nothing is written until the scan is over, so it is known what it must see. */
static void teller_scan(struct teller *t)
{
    char keys[2][4];
    const struct store_range range = store_model_range(&t->model, keys);
    t->is_scanning = true;
    store_model_check_init(&t->check, &t->model);
    store_scan(t->client, &range, PAGE_ITEMS, 0, teller_on_page, t);
}

static void teller_finished(struct mail *mail)
{
    if (--n_working == 0)
        loop_stop(main_loop);
}

static void teller_go_on(struct teller *t)
{
    while (!t->is_scanning && t->n_flying < WINDOW && t->model.n < BATCHES) {
        teller_write(t);
        if (rand_r(&t->chance) % SCAN_EVERY == 0)
            teller_scan(t);
    }
    if (t->n_done == BATCHES && !t->is_scanning && !t->mail.fn) {
        t->mail.fn = teller_finished;
        mailbox_post(main_mailbox, &t->mail);
    }
}

static int teller_init(struct worker *w, void *arg)
{
    struct teller *t = calloc(1, sizeof *t);
    store_model_init(&t->model, (char)('a' + w->index), 100 + w->index);
    t->chance = w->index;
    w->object = t;
    return store_attach(store, w->loop, &t->client);
}

static void teller_deinit(struct worker *w, void *arg)
{
    struct teller *t = w->object;
    store_detach(t->client);
    free(t);
}

static void teller_start(struct worker *w, void *arg)
{
    teller_go_on(w->object);
}

static void tell_all(void)
{
    static const struct worker_calls calls = {.init = teller_init, .deinit = teller_deinit};
    struct worker_pool *pool;
    ck_assert_int_eq(worker_pool_start("teller", WORKERS, &calls, NULL, &pool), 0);
    n_working = WORKERS;
    for (unsigned i = 0; i < WORKERS; i++)
        worker_post(worker_pool_get(pool, i), teller_start, NULL);
    loop_run(main_loop);
    worker_pool_stop(pool);
}

static void check_all(void)
{
    for (unsigned i = 0; i < WORKERS; i++)
        ck_assert_uint_eq(store_model_check(store, (char)('a' + i), 100 + i), BATCHES);
}

START_TEST(several_loops_tell_their_stories_at_once)
{
    static char dir[256], url[300];
    const struct way *way = &ways[_i];
    snprintf(dir, sizeof dir, "%s", store_support_make_dir());
    snprintf(url, sizeof url, strcmp(way->scheme, "memory") ? "%s:%s" : "%s", way->scheme, dir);
    const struct store_options options = {.url = url, .durability = way->durability, .format = 1};
    ck_assert_int_eq(loop_new(&main_loop), 0);
    ck_assert_int_eq(mailbox_new(main_loop, &main_mailbox), 0);
    ck_assert_msg(store_open(&options, &store, NULL) == 0, "%s", err_text());
    tell_all();
    check_all();
    if (!store_is_volatile(store)) {
        store_close(store);
        ck_assert_msg(store_open(&options, &store, NULL) == 0, "%s", err_text());
        check_all();
    }
    store_close(store);
    mailbox_free(main_mailbox);
    loop_free(main_loop);
    store_support_remove_dir(dir);
}
END_TEST

static Suite *model_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("store_model", &tc);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, several_loops_tell_their_stories_at_once, 0, TEST_COUNT(ways));
    return suite;
}

TEST_MAIN(model_suite)
