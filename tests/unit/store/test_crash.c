/* What is acknowledged is there after kill -9, and, with STORE_SYNC, after a power loss; and what is there is always a
 * whole number of batches of each client. The process that is killed is tests/support/store_writer.c. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "err.h"
#include "power_loss.h"
#include "store_model.h"
#include "store_support.h"
#include "test_main.h"

enum { CLIENTS = 2, STORY_SEED = 4711 };

static char top[256]; /* everything of a test is below it */
static char dir[300], disk[300], restored[300], boot_id[300];
static uint64_t acked[CLIENTS]; /* in all processes so far */
static unsigned chance;

static void start(void)
{
    snprintf(top, sizeof top, "%s", store_support_make_dir());
    snprintf(dir, sizeof dir, "%s/store", top);
    snprintf(disk, sizeof disk, "%s/disk", top);
    snprintf(restored, sizeof restored, "%s/restored", top);
    snprintf(boot_id, sizeof boot_id, "%s/boot_id", top);
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    ck_assert_int_eq(mkdir(disk, 0700), 0);
    memset(acked, 0, sizeof acked);
    chance = 1;
}

static void end(void)
{
    store_support_remove_dir(top);
}

/* --- The process that writes. */

static void write_boot_id(const char *text)
{
    FILE *f = fopen(boot_id, "we");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void exec_writer(const char *durability, bool on_double, int out)
{
    dup2(out, STDOUT_FILENO);
    if (on_double) {
        setenv("POWER_LOSS_DIR", dir, 1);
        setenv("POWER_LOSS_DISK", disk, 1);
        setenv("POWER_LOSS_BOOT_ID", boot_id, 1);
    }
    char seed[16];
    const char *writer = getenv("STORE_WRITER");
    snprintf(seed, sizeof seed, "%d", STORY_SEED);
    if (writer)
        execl(writer, "store-writer", dir, durability, seed, (char *)NULL);
    _exit(EXIT_FAILURE);
}

/* Counts what is acknowledged, until there are N in all or the other side has ended. */
static int read_acks(int in, int n)
{
    char acks[4096];
    int n_read = 0;
    while (n_read < n) {
        ssize_t r = read(in, acks, sizeof acks);
        if (r <= 0)
            break;
        for (ssize_t i = 0; i < r; i++)
            if (acks[i] != 'O')
                acked[acks[i] - 'a']++;
        n_read += (int)r;
    }
    return n_read;
}

/* The transaction that a lazy store has noted as the last one on the disk, as the disk has it: see lmdb_synced.c. */
static uint64_t last_synced_txn(void)
{
    enum { SLOT_BYTES = 4096, TXN_OFFSET = 64 + 128 };
    char path[400];
    uint64_t txn[2] = {0};
    struct stat st = {0};
    snprintf(path, sizeof path, "%s/synced", dir);
    stat(path, &st);
    snprintf(path, sizeof path, "%s/synced-%lu", disk, (unsigned long)st.st_ino);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < 2 && fd >= 0; i++) {
        if (pread(fd, &txn[i], sizeof txn[i], i * SLOT_BYTES + TXN_OFFSET) != (ssize_t)sizeof txn[i])
            txn[i] = 0;
    }
    if (fd >= 0)
        close(fd);
    return txn[0] > txn[1] ? txn[0] : txn[1];
}

/* Runs until N bytes have come from it, and, if UNTIL_SYNC, it has synced some more; then kills it. Everything that it
 * has said is counted. */
static void run_writer(const char *durability, bool on_double, int n, bool until_sync)
{
    int fds[2], status;
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0)
        exec_writer(durability, on_double, fds[1]);
    close(fds[1]);
    ck_assert_int_ge(read_acks(fds[0], n), n);
    const uint64_t before = last_synced_txn();
    while (until_sync && last_synced_txn() < before + 2)
        ck_assert_int_ge(read_acks(fds[0], 1), 1);
    if (until_sync) /* and something that is not synced */
        ck_assert_int_ge(read_acks(fds[0], 300), 300);
    kill(pid, SIGKILL);
    read_acks(fds[0], INT32_MAX);
    close(fds[0]);
    waitpid(pid, &status, 0);
    ck_assert(WIFSIGNALED(status));
}

/* --- What is there. */

/* Opens PLACE, checks it and closes it; gives how far each story has come. */
static void check_store(const char *place, struct store_report *ret_report, uint64_t *ret_n)
{
    static char url[400];
    struct store *s;
    snprintf(url, sizeof url, "lmdb:%s", place);
    const struct store_options options = {.url = url, .format = 1};
    ck_assert_msg(store_open(&options, &s, ret_report) == 0, "%s", err_text());
    for (int i = 0; i < CLIENTS; i++)
        ret_n[i] = store_model_check(s, (char)('a' + i), STORY_SEED);
    store_close(s);
}

/* Acknowledgements that the killed process could not send any more are not known: the store may be ahead of them. */
static void check_nothing_lost(const char *place)
{
    struct store_report report;
    uint64_t n[CLIENTS];
    check_store(place, &report, n);
    ck_assert(!report.is_rolled_back && !report.is_repaired);
    for (int i = 0; i < CLIENTS; i++) {
        ck_assert_msg(n[i] >= acked[i], "%llu were acknowledged, %llu are there", (unsigned long long)acked[i],
                      (unsigned long long)n[i]);
        acked[i] = n[i];
    }
}

START_TEST(killed_while_it_writes_it_has_what_it_acknowledged)
{
    static const char *const ways[] = {"sync", "async"};
    start();
    for (int i = 0; i < 6; i++) {
        run_writer(ways[_i], false, 1 + rand_r(&chance) % 150, false);
        check_nothing_lost(dir);
    }
    end();
}
END_TEST

START_TEST(killed_with_lazy_durability_it_has_a_whole_number_of_batches)
{
    uint64_t n[CLIENTS];
    start();
    for (int i = 0; i < 4; i++) {
        run_writer("none", false, 1 + rand_r(&chance) % 20000, false);
        check_store(dir, NULL, n);
    }
    end();
}
END_TEST

/* The directory goes on as what the disk has; the next boot has another id. */
static void lose_power(unsigned seed)
{
    store_support_remove_dir(restored);
    power_loss_restore(disk, restored, seed);
}

/* The power is there again. (The double does not know what a process that was only killed had written.) */
static void go_on_from_restored(void)
{
    store_support_remove_dir(dir);
    store_support_remove_dir(disk);
    ck_assert_int_eq(mkdir(disk, 0700), 0);
    ck_assert_int_eq(rename(restored, dir), 0);
}

START_TEST(after_a_power_loss_it_has_what_it_acknowledged)
{
    start();
    write_boot_id("one");
    for (int i = 0; i < 8; i++) {
        run_writer("sync", true, 1 + rand_r(&chance) % 400, false);
        lose_power(0);
        check_nothing_lost(restored);
        lose_power(1 + rand_r(&chance));
        check_nothing_lost(restored);
        go_on_from_restored();
    }
    end();
}
END_TEST

START_TEST(after_a_power_loss_without_syncs_it_is_as_it_was_at_the_last_one)
{
    struct store_report report;
    uint64_t n[CLIENTS], last[CLIENTS] = {0};
    bool has_lost = false;
    start();
    for (int i = 0; i < 2; i++) {
        write_boot_id(i % 2 ? "one" : "two");
        run_writer(_i ? "none" : "async", true, 100, true);
        for (unsigned seed = 0; seed < 3; seed++) {
            lose_power(seed);
            check_store(restored, &report, n);
            ck_assert(report.is_rolled_back && !report.is_repaired);
            ck_assert_uint_gt(n[0] + n[1], last[0] + last[1]);
            has_lost |= n[0] + n[1] < acked[0] + acked[1];
        }
        memcpy(last, n, sizeof last);
        memcpy(acked, n, sizeof acked);
        go_on_from_restored();
    }
    ck_assert_msg(has_lost, "the disk's double has lost nothing in mid-work: it is not one");
    end();
}
END_TEST

static Suite *crash_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("store_crash", &tc);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, killed_while_it_writes_it_has_what_it_acknowledged, 0, 2);
    tcase_add_test(tc, killed_with_lazy_durability_it_has_a_whole_number_of_batches);
    tcase_add_test(tc, after_a_power_loss_it_has_what_it_acknowledged);
    tcase_add_loop_test(tc, after_a_power_loss_without_syncs_it_is_as_it_was_at_the_last_one, 0, 2);
    return suite;
}

TEST_MAIN(crash_suite)
