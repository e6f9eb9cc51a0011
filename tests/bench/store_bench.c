/* What the store costs, next to LMDB by itself; for reading, never a timed test.
 *
 *     store-bench DIR [sync|async|none|memory] [MODE]...
 *
 *   bare      one put in a transaction of LMDB by itself, synced: the measure for `one`
 *   one       one batch in flight
 *   many      2,000 batches in flight, each a put of 30 + 150 bytes
 *   move      as many; each put is deleted by a later batch
 *   cancel    as many; each put is cancelled at once (0), in the next turn (1), after 10 turns
 *   large     10 in flight, each a put of 1 MB
 *   load      opening and loading 1,000,000 entries; compare with: mdb_dump DIR | cat >/dev/null; then all of them by
 *             scans, a page after the other
 *
 * DIR should lie on the disk in question, and is emptied first. */
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"
#include "loop.h"
#include "store.h"

enum { WINDOW = 2000, RUN_MS = 2000, VALUE_BYTES = 150, LOAD_ENTRIES = 1000000 };

static const char *dir;
static struct store_options options = {.format = 1};
static struct loop *loop;
static struct store *store;
static struct store_client *client;
static uint8_t value_bytes[1000000];

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, err_text());
    exit(EXIT_FAILURE);
}

static void empty_dir(void)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "owner.lock", "synced"};
    char path[4096];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        perror(dir);
}

/* --- CPU time: of the loop's thread, and of all others, which is the store's. */

struct cpu {
    double loop_us, store_us;
};

static double rusage_us(int who)
{
    struct rusage u;
    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static struct cpu cpu_now(void)
{
    double loop_us = rusage_us(RUSAGE_THREAD);
    return (struct cpu){loop_us, rusage_us(RUSAGE_SELF) - loop_us};
}

/* --- A load that keeps so many batches in flight until the time is over. */

static struct run {
    bool moves;
    int cancel_after_turns; /* -1: never */
    uint64_t end_ms;
    uint64_t n_begun, n_done, n_full;
    uint64_t n_cancelled;
    unsigned n_flying, window;
    size_t value_bytes;
    struct loop_task turn;
    store_ticket tickets[16][WINDOW];
    unsigned n_tickets[16];
    unsigned turn_number;
} run;

static void run_fill(void);

static void run_on_done(void *arg, int result)
{
    run.n_done++;
    run.n_flying--;
    if (result != 0)
        run.n_full++;
    loop_defer(loop, &run.turn);
}

/* 30 bytes, scattered over 64 places, as sessions are, and rising in each. */
static struct store_bytes run_key(char *text, uint64_t number)
{
    memset(text, 'q', 30);
    text[1] = (char)('0' + number % 64);
    for (int i = 0; i < 8; i++)
        text[22 + i] = (char)(number >> (56 - 8 * i));
    return (struct store_bytes){text, 30};
}

static void run_put(void)
{
    char key[64];
    const struct store_value value = {.head = {value_bytes, 22}, .body = {value_bytes + 22, run.value_bytes - 22}};
    struct store_batch *b = store_begin(client);
    unsigned slot = run.turn_number % 16;
    store_ticket ticket = store_put(b, run_key(key, run.n_begun), &value);
    if (run.moves && run.n_begun > WINDOW)
        store_delete(b, run_key(key, run.n_begun - WINDOW));
    store_commit(b, STORE_MAY_OVERTAKE, run_on_done, NULL);
    run.n_begun++;
    run.n_flying++;
    if (run.cancel_after_turns == 0)
        run.n_cancelled += store_cancel(client, ticket);
    else if (run.cancel_after_turns > 0)
        run.tickets[slot][run.n_tickets[slot]++] = ticket;
}

static void run_cancel(void)
{
    unsigned slot = (run.turn_number + 16 - (unsigned)run.cancel_after_turns) % 16;
    for (unsigned i = 0; i < run.n_tickets[slot]; i++)
        run.n_cancelled += store_cancel(client, run.tickets[slot][i]);
    run.n_tickets[slot] = 0;
}

/* At most 100 a turn: what a turn of a broker brings. */
static void run_fill(void)
{
    run.turn_number++;
    if (run.cancel_after_turns > 0)
        run_cancel();
    if (clock_now_ms() >= run.end_ms)
        return;
    for (int i = 0; i < 100 && run.n_flying < run.window; i++)
        run_put();
}

static void run_on_turn(struct loop_task *turn)
{
    run_fill();
    if (run.n_flying == 0 && clock_now_ms() >= run.end_ms) {
        loop_stop(loop);
        return;
    }
    bool has_room = run.n_flying < run.window && clock_now_ms() < run.end_ms;
    if (has_room || (run.cancel_after_turns > 0 && run.n_flying > 0))
        loop_defer(loop, turn);
}

static void run_report(const char *name, struct cpu before, double wall_us)
{
    struct cpu after = cpu_now();
    double n = (double)run.n_done;
    printf("%-8s %9.0f batches/s  %6.2f us loop  %6.2f us store", name, n / wall_us * 1e6,
           (after.loop_us - before.loop_us) / n, (after.store_us - before.store_us) / n);
    if (run.window == 1)
        printf("  %8.1f us each", wall_us / n);
    if (run.cancel_after_turns >= 0)
        printf("  %5.1f %% cancelled after %d turns", 100.0 * (double)run.n_cancelled / n, run.cancel_after_turns);
    printf("\n");
}

static void run_load(const char *name, unsigned window, bool moves, int cancel_after_turns)
{
    memset(&run, 0, sizeof run);
    run.window = window;
    run.moves = moves;
    run.cancel_after_turns = cancel_after_turns;
    run.value_bytes = strcmp(name, "large") == 0 ? sizeof value_bytes : VALUE_BYTES;
    empty_dir();
    if (store_open(&options, &store, NULL) < 0 || store_attach(store, loop, &client) < 0)
        fail(name);
    loop_task_init(&run.turn, run_on_turn);
    run.end_ms = clock_now_ms() + RUN_MS;
    struct cpu before = cpu_now();
    uint64_t since_us = clock_now_us();
    loop_defer(loop, &run.turn);
    loop_run(loop);
    uint64_t wall_us = clock_now_us() - since_us;
    loop_task_cancel(&run.turn);
    client = store_detach(client);
    run_report(name, before, (double)wall_us);
    if (run.n_full)
        printf("         %llu were not written\n", (unsigned long long)run.n_full);
    store = store_close(store);
}

/* --- LMDB by itself. */

static void bare_put(MDB_env *env, MDB_dbi dbi, uint64_t number)
{
    char text[64];
    MDB_txn *txn;
    struct store_bytes k = run_key(text, number);
    MDB_val key = {k.len, (void *)k.bytes}, value = {VALUE_BYTES, value_bytes};
    if (mdb_txn_begin(env, NULL, 0, &txn) || mdb_put(txn, dbi, &key, &value, 0) || mdb_txn_commit(txn))
        abort();
}

static void bare(void)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    uint64_t n = 0, since_us = clock_now_us(), end_us = since_us + RUN_MS * 1000;
    empty_dir();
    if (mdb_env_create(&env) || mdb_env_set_mapsize(env, 1 << 30) || mdb_env_open(env, dir, 0, 0600) ||
        mdb_txn_begin(env, NULL, 0, &txn) || mdb_dbi_open(txn, NULL, 0, &dbi) || mdb_txn_commit(txn))
        abort();
    struct cpu before = cpu_now();
    for (; clock_now_us() < end_us; n++)
        bare_put(env, dbi, n);
    double wall_us = (double)(clock_now_us() - since_us);
    printf("%-8s %9.0f batches/s  %6.2f us loop  %24.1f us each\n", "bare", (double)n / wall_us * 1e6,
           (cpu_now().loop_us - before.loop_us) / (double)n, wall_us / (double)n);
    mdb_env_close(env);
}

/* --- Recovery. */

static void load_make(void)
{
    char key[64];
    const struct store_value value = {.head = {value_bytes, VALUE_BYTES}};
    struct store_options lazy = options;
    lazy.durability = STORE_ASYNC;
    if (store_open(&lazy, &store, NULL) < 0 || store_attach(store, loop, &client) < 0)
        fail("load");
    for (uint64_t i = 0; i < LOAD_ENTRIES;) {
        struct store_batch *b = store_begin(client);
        for (int n = 0; n < 1000; n++)
            store_put(b, run_key(key, i++), &value);
        store_commit(b, 0, NULL, NULL);
    }
    client = store_detach(client);
    store = store_close(store);
}

static int load_count(void *arg, struct store_bytes key, struct store_bytes value)
{
    ++*(uint64_t *)arg;
    return 0;
}

static uint64_t n_scanned, n_pages;

static void scan_on_page(void *arg, int result, const struct store_page *page)
{
    n_scanned += page->n_items;
    n_pages++;
    if (result < 0)
        fail("scan");
    if (page->is_end)
        loop_stop(loop);
    else
        store_scan(client, &page->rest, 0, 0, scan_on_page, NULL);
}

static void scan_all(void)
{
    struct cpu before = cpu_now();
    uint64_t since_us = clock_now_us();
    store_scan(client, &(struct store_range){0}, 0, 0, scan_on_page, NULL);
    loop_run(loop);
    struct cpu after = cpu_now();
    double n = (double)n_scanned, pages = (double)n_pages;
    printf("%-8s %.0f entries a page: %.1f us a page, CPU %.3f us an entry in the loop, %.3f in the store\n", "scan",
           n / pages, (double)(clock_now_us() - since_us) / pages, (after.loop_us - before.loop_us) / n,
           (after.store_us - before.store_us) / n);
}

static void load(void)
{
    uint64_t n = 0;
    empty_dir();
    load_make();
    uint64_t since_us = clock_now_us();
    if (store_open(&options, &store, NULL) < 0)
        fail("load");
    uint64_t opened_us = clock_now_us();
    if (store_load(store, &(struct store_range){0}, load_count, &n) < 0)
        fail("load");
    printf("%-8s %llu entries: opened with check %.0f ms, loaded %.0f ms\n", "load", (unsigned long long)n,
           (double)(opened_us - since_us) / 1e3, (double)(clock_now_us() - opened_us) / 1e3);
    if (store_attach(store, loop, &client) < 0)
        fail("load");
    scan_all();
    client = store_detach(client);
    store = store_close(store);
}

static void run_mode(const char *mode)
{
    if (strcmp(mode, "bare") == 0)
        bare();
    else if (strcmp(mode, "one") == 0)
        run_load(mode, 1, false, -1);
    else if (strcmp(mode, "many") == 0)
        run_load(mode, WINDOW, false, -1);
    else if (strcmp(mode, "move") == 0)
        run_load(mode, WINDOW, true, -1);
    else if (strcmp(mode, "large") == 0)
        run_load(mode, 10, false, -1);
    else if (strcmp(mode, "load") == 0)
        load();
    else if (strcmp(mode, "cancel") == 0)
        for (int turns = 0; turns <= 10; turns = turns ? turns * 10 : 1)
            run_load(mode, WINDOW, false, turns);
}

int main(int argc, char **argv)
{
    static const char *const all[] = {"bare", "one", "many", "move", "cancel", "large", "load"};
    static char url[4200];
    if (argc < 2) {
        fprintf(stderr, "usage: store-bench DIR [sync|async|none|memory] [bare|one|many|move|cancel|large|load]...\n");
        return EXIT_FAILURE;
    }
    dir = argv[1];
    const char *way = argc > 2 ? argv[2] : "sync";
    snprintf(url, sizeof url, strcmp(way, "memory") == 0 ? "memory%.0s" : "lmdb:%s", dir);
    options.url = url;
    options.durability = strcmp(way, "async") == 0 ? STORE_ASYNC : strcmp(way, "none") == 0 ? STORE_NONE : STORE_SYNC;
    if (loop_new(&loop) < 0)
        fail("loop");
    for (int i = 3; i < argc; i++)
        run_mode(argv[i]);
    for (size_t i = 0; argc <= 3 && i < sizeof all / sizeof all[0]; i++)
        run_mode(all[i]);
    loop_free(loop);
    return EXIT_SUCCESS;
}
