/* What the LMDB driver makes of its directory and its file: whose it is, what version, damaged or full. */
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "err.h"
#include "loop.h"
#include "store_support.h"
#include "test_main.h"

static char dir[256], url[300];
static struct loop *loop;
static struct store *store;
static struct store_client *client;
static struct store_report report;

static void setup(void)
{
    snprintf(dir, sizeof dir, "%s", store_support_make_dir());
    snprintf(url, sizeof url, "lmdb:%s", dir);
    ck_assert_int_eq(loop_new(&loop), 0);
}

static void teardown(void)
{
    client = store_detach(client);
    store = store_close(store);
    loop = loop_free(loop);
    store_support_remove_dir(dir);
}

static int try_options(struct store_options options)
{
    options.url = url;
    options.format = options.format ? options.format : 1;
    report = (struct store_report){0};
    return store_open(&options, &store, &report);
}

static void open_options(struct store_options options)
{
    ck_assert_msg(try_options(options) == 0, "%s", err_text());
    ck_assert_int_eq(store_attach(store, loop, &client), 0);
}

static void open_store(void)
{
    open_options((struct store_options){0});
}

static void close_store(void)
{
    client = store_detach(client);
    store = store_close(store);
}

static int put(const char *key, const char *value)
{
    return store_support_put_now(loop, client, key, value);
}

static const char *scan(void)
{
    return store_support_scan(loop, client, "", "", 0);
}

static void refused(struct store_options options, int error, const char *why)
{
    int r = try_options(options);
    ck_assert_msg(r == error, "%d: %s", r, r < 0 ? err_text() : "");
    ck_assert_msg(strstr(err_text(), why) != NULL, "%s", err_text());
}

static const char *path_of(const char *name)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    return st.st_mode & 07777;
}

/* --- The directory. */

START_TEST(a_new_directory_is_for_its_owner_only)
{
    ck_assert_int_eq(rmdir(dir), 0);
    mode_t old = umask(0);
    open_store();
    umask(old);
    ck_assert(report.is_new);
    ck_assert_uint_eq(mode_of(dir), 0700);
    ck_assert_uint_eq(mode_of(path_of("data.mdb")), 0600);
    ck_assert_uint_eq(mode_of(path_of("owner.lock")), 0600);
    close_store();
    open_store();
    ck_assert(!report.is_new);
    close_store();
}
END_TEST

START_TEST(a_directory_that_lets_others_in_is_refused)
{
    ck_assert_int_eq(chmod(dir, 0750), 0);
    refused((struct store_options){0}, -EPERM, "has mode 0750, which lets others in: chmod 700");
    ck_assert_int_eq(chmod(dir, 0700), 0);
}
END_TEST

START_TEST(a_directory_of_somebody_else_is_refused)
{
    if (geteuid() != 0)
        return;
    ck_assert_int_eq(chown(dir, 12345, (gid_t)-1), 0);
    refused((struct store_options){0}, -EPERM, "belongs to user 12345, this is user 0");
}
END_TEST

START_TEST(what_is_no_directory_is_refused)
{
    snprintf(url, sizeof url, "lmdb:/dev/null");
    refused((struct store_options){0}, -ENOTDIR, "/dev/null: Not a directory");
    snprintf(url, sizeof url, "lmdb:%s/a/b", dir);
    refused((struct store_options){0}, -ENOENT, "No such file");
    snprintf(url, sizeof url, "lmdb:");
    refused((struct store_options){0}, -EINVAL, "no directory");
    snprintf(url, sizeof url, "lmbd:%s", dir);
    refused((struct store_options){0}, -EINVAL, "not \"memory\" nor \"lmdb:DIR\"");
}
END_TEST

START_TEST(a_second_owner_is_refused)
{
    open_store();
    struct store *first = store;
    char why[40];
    snprintf(why, sizeof why, "in use by process %d", getpid());
    refused((struct store_options){0}, -EBUSY, why);
    store = first;
    ck_assert_int_eq(put("a", "1"), 0);
    close_store();
}
END_TEST

/* --- Versions. */

static int count(void *arg, struct store_bytes key, struct store_bytes value)
{
    ++*(int *)arg;
    return 0;
}

/* Format 2: every value has a '2' before it. */
static int add_two(void *arg, struct store_bytes key, struct store_bytes value)
{
    char text[64];
    int n = snprintf(text, sizeof text, "2%.*s", (int)value.len, (const char *)value.bytes);
    return store_upgrade_put(arg, key, (struct store_bytes){text, (size_t)n});
}

static int upgrade_1(struct store_upgrade_access *a)
{
    return store_upgrade_each(a, &(struct store_range){0}, add_two, a);
}

/* Format 3: keys with an 'x' in front are gone, and there is a "new". */
static int upgrade_2(struct store_upgrade_access *a)
{
    int r = store_upgrade_delete(a, store_text("x1"));
    return r < 0 ? r : store_upgrade_put(a, store_text("new"), store_text("3"));
}

static int upgrade_fails(struct store_upgrade_access *a)
{
    int r = store_upgrade_put(a, store_text("half"), store_text("done"));
    return r < 0 ? r : err_set(-EPROTO, "cannot");
}

static const struct store_upgrade upgrades[] = {{1, upgrade_1}, {2, upgrade_2}};
static const struct store_upgrade failing_upgrades[] = {{1, upgrade_1}, {2, upgrade_fails}};

START_TEST(older_records_are_upgraded_step_by_step)
{
    open_store();
    ck_assert_int_eq(put("a", "1"), 0);
    ck_assert_int_eq(put("x1", "1"), 0);
    close_store();
    open_options((struct store_options){
        .durability = _i ? STORE_ASYNC : STORE_SYNC, .format = 3, .upgrades = upgrades, .n_upgrades = 2});
    ck_assert_uint_eq(report.upgraded_from, 1);
    ck_assert_str_eq(scan(), "a=21 new=3");
    close_store();
    open_options((struct store_options){.format = 3});
    ck_assert_uint_eq(report.upgraded_from, 0);
    ck_assert_str_eq(scan(), "a=21 new=3");
    close_store();
}
END_TEST

START_TEST(an_upgrade_that_fails_has_not_happened)
{
    open_store();
    ck_assert_int_eq(put("a", "1"), 0);
    close_store();
    refused((struct store_options){.format = 3, .upgrades = failing_upgrades, .n_upgrades = 2}, -EPROTO,
            "upgrade from format 2: cannot");
    refused((struct store_options){.format = 4, .upgrades = upgrades, .n_upgrades = 2}, -ENOTSUP,
            "format 3, and there is no way from there to 4");
    open_store();
    ck_assert_str_eq(scan(), "a=1");
    close_store();
}
END_TEST

START_TEST(a_large_store_is_upgraded)
{
    enum { MANY = 20000 };
    int n = 0;
    open_store();
    for (int i = 0; i < MANY;) {
        struct store_batch *b = store_begin(client);
        for (int k = 0; k < 1000; k++) {
            char key[16];
            snprintf(key, sizeof key, "k%06d", i++);
            store_support_put(b, key, "value");
        }
        store_commit(b, 0, NULL, NULL);
    }
    close_store();
    open_options((struct store_options){.format = 2, .upgrades = upgrades, .n_upgrades = 2});
    ck_assert_str_eq(store_support_scan(loop, client, "k019999", "", 0), "k019999=2value");
    client = store_detach(client);
    ck_assert_int_eq(store_load(store, &(struct store_range){0}, count, &n), 0);
    ck_assert_int_eq(n, MANY);
    store = store_close(store);
}
END_TEST

START_TEST(records_of_a_later_version_are_refused)
{
    open_options((struct store_options){.format = 7});
    close_store();
    refused((struct store_options){.format = 6}, -ENOTSUP,
            "written by a later version (format 1.7, this program knows 1.6)");
}
END_TEST

/* LMDB by itself: a file that is somebody else's. */
START_TEST(an_lmdb_of_another_program_is_refused)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val text = {3, "abc"};
    ck_assert_int_eq(mdb_env_create(&env), 0);
    ck_assert_int_eq(mdb_env_open(env, dir, 0, 0600), 0);
    ck_assert_int_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    ck_assert_int_eq(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    ck_assert_int_eq(mdb_put(txn, dbi, &text, &text, 0), 0);
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    refused((struct store_options){0}, -EILSEQ, "checksum");
}
END_TEST

/* --- Damage. */

enum { MANY_ENTRIES = 3000, BIG_VALUE = 9000 };

static void make_entries(void)
{
    static char big[BIG_VALUE + 1];
    char key[16];
    memset(big, 'b', BIG_VALUE);
    open_store();
    struct store_batch *b = store_begin(client);
    for (int i = 0; i < MANY_ENTRIES; i++) {
        snprintf(key, sizeof key, "k%06d", i);
        store_support_put(b, key, i % 100 == 50 ? big : "a value of some bytes");
    }
    int result = STORE_SUPPORT_WAITING;
    store_commit(b, 0, store_support_done, &result);
    ck_assert_int_eq(store_support_wait(loop, &result), 0);
    ck_assert_int_eq(put("last", "one"), 0);
    close_store();
}

/* Where the text stands in the file, as it is now; -1: nowhere. */
static long find_in_file(const char *text, size_t n)
{
    FILE *f = fopen(path_of("data.mdb"), "rbe");
    static char bytes[8 << 20];
    size_t len = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    const char *at = memmem(bytes, len, text, n);
    return at ? at - bytes : -1;
}

static void write_file(long offset, const void *bytes, size_t n)
{
    int fd = open(path_of("data.mdb"), O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(pwrite(fd, bytes, n, offset), (ssize_t)n);
    close(fd);
}

static int count_entries(void)
{
    int n = 0;
    ck_assert_msg(store_load(store, &(struct store_range){0}, count, &n) == 0, "%s", err_text());
    return n;
}

/* Refused as it is, then repaired; gives how many entries are left. */
static int repair(const char *why)
{
    refused((struct store_options){0}, -EILSEQ, why);
    ck_assert_ptr_nonnull(strstr(err_text(), "--repair"));
    open_options((struct store_options){.repair = true});
    client = store_detach(client);
    ck_assert(report.is_repaired);
    ck_assert_int_eq(access(report.kept_aside, R_OK), 0);
    int n = count_entries();
    ck_assert_uint_eq(report.kept_entries, (uint64_t)n + 1); /* and the record of the format */
    store = store_close(store);
    open_store();
    ck_assert(!report.is_repaired);
    ck_assert_int_eq(put("after", "repair"), 0);
    close_store();
    return n;
}

START_TEST(a_page_of_zeros_is_found_and_the_others_kept)
{
    static const char zeros[4096];
    make_entries();
    long at = find_in_file("k001501a value", 14);
    write_file(at / 4096 * 4096, zeros, sizeof zeros);
    int n = repair("says that it is page 0");
    ck_assert_int_gt(n, MANY_ENTRIES - 200);
    ck_assert_int_lt(n, MANY_ENTRIES + 1);
    ck_assert_uint_eq(report.lost_pages, 0); /* of the last opening, which was good */
}
END_TEST

START_TEST(a_changed_value_is_found_by_its_checksum)
{
    make_entries();
    long at = find_in_file("k000777a value", 14);
    write_file(at + 7, "A", 1);
    open_store(); /* the structure is good */
    client = store_detach(client);
    int n = 0;
    ck_assert_int_eq(store_load(store, &(struct store_range){0}, count, &n), -EILSEQ);
    ck_assert_ptr_nonnull(strstr(err_text(), "the value of key 'k000777' has a wrong checksum"));
    store = store_close(store);
    open_options((struct store_options){.repair = true});
    ck_assert(report.is_repaired);
    ck_assert_uint_eq(report.lost_entries, 1);
    ck_assert_uint_eq(report.lost_pages, 0);
    client = store_detach(client);
    ck_assert_int_eq(count_entries(), MANY_ENTRIES);
    store = store_close(store);
}
END_TEST

START_TEST(a_file_that_was_cut_is_found)
{
    make_entries();
    long at = find_in_file("k001501a value", 14);
    ck_assert_int_eq(truncate(path_of("data.mdb"), at / 4096 * 4096), 0);
    repair("is not in the file");
}
END_TEST

START_TEST(a_file_of_something_else_is_refused)
{
    static char noise[65536];
    make_entries();
    memset(noise, 0x55, sizeof noise);
    write_file(0, noise, 8192);
    refused((struct store_options){0}, -EILSEQ, "neither of its first two pages is one of LMDB's");
    refused((struct store_options){.repair = true}, -EILSEQ, "neither of its first two pages");
}
END_TEST

START_TEST(one_meta_page_of_two_is_enough_for_a_repair)
{
    static const char zeros[4096];
    make_entries();
    write_file(_i * 4096, zeros, sizeof zeros);
    int n = repair("one of its first two pages is not");
    ck_assert_int_ge(n, MANY_ENTRIES); /* of the last two states the older one has one less */
}
END_TEST

/* Random damage: never a crash, never a wrong value. */
static int check_value(void *arg, struct store_bytes key, struct store_bytes value)
{
    static const char small[] = "a value of some bytes";
    if (value.len == BIG_VALUE)
        ck_assert(((const char *)value.bytes)[BIG_VALUE / 2] == 'b');
    else if (value.len == sizeof small - 1)
        ck_assert(memcmp(value.bytes, small, value.len) == 0);
    ++*(int *)arg;
    return 0;
}

static void damage_and_repair(unsigned *seed)
{
    int n = 0;
    uint8_t noise[64];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)rand_r(seed);
    long pages = find_in_file("k000000a value", 14) / 4096 + 60;
    write_file((long)(rand_r(seed) % pages) * 4096 + rand_r(seed) % 4096, noise, 1 + rand_r(seed) % sizeof noise);
    int r = try_options((struct store_options){.repair = true});
    if (r < 0)
        return; /* refused is fine too */
    ck_assert_msg(store_load(store, &(struct store_range){0}, check_value, &n) == 0, "%s", err_text());
    store = store_close(store);
}

START_TEST(whatever_is_damaged_what_is_read_is_right)
{
    unsigned seed = 1 + (unsigned)_i;
    make_entries();
    for (int i = 0; i < 4; i++)
        damage_and_repair(&seed);
}
END_TEST

/* --- A disk that is full. */

/* In a mount namespace of this process; false if we may not. */
static bool mount_small_disk(void)
{
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return false;
    return mount("tmpfs", dir, "tmpfs", 0, "size=12m,mode=0700") == 0;
}

static char large[50001];

static int fill(void)
{
    char key[16];
    int n = 0, r = 0;
    for (; r == 0; n++) {
        snprintf(key, sizeof key, "f%06d", n);
        r = put(key, large);
    }
    ck_assert_int_eq(r, STORE_FULL);
    return n - 1;
}

static void write_ballast(size_t n)
{
    static char block[65536];
    int fd = open(path_of("ballast"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (n >= sizeof block && write(fd, block, sizeof block) > 0)
        n -= sizeof block;
    close(fd);
}

static void fill_small_disk(enum store_durability durability)
{
    memset(large, 'l', sizeof large - 1);
    open_options((struct store_options){.durability = durability});
    ck_assert_int_eq(put("a", "1"), 0);
    write_ballast(4 << 20);
    int n = fill();
    ck_assert_int_gt(n, 20);
    ck_assert_int_eq(put("other", large), STORE_FULL);
    ck_assert_int_eq(unlink(path_of("ballast")), 0);
    ck_assert_int_eq(put("other", large), 0); /* there is space again */
    n = fill();
    for (int i = 0; i < n; i++) {
        char key[16];
        snprintf(key, sizeof key, "f%06d", i);
        ck_assert_int_eq(store_support_delete_now(loop, client, key), 0);
    }
    ck_assert_int_ge(fill(), n * 9 / 10);
    close_store();
    open_store();
    client = store_detach(client);
    ck_assert_int_gt(count_entries(), n * 9 / 10);
    store = store_close(store);
}

/* A process of its own: the mount goes with it. */
START_TEST(a_full_disk_is_told_and_left_again)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (!mount_small_disk())
            _exit(77);
        fill_small_disk(_i ? STORE_ASYNC : STORE_SYNC);
        _exit(EXIT_SUCCESS);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        printf("a_full_disk_is_told_and_left_again: not run, this user may not mount\n");
    else
        ck_assert_int_eq(status, 0);
}
END_TEST

static Suite *lmdb_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("store_lmdb", &tc);
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_new_directory_is_for_its_owner_only);
    tcase_add_test(tc, a_directory_that_lets_others_in_is_refused);
    tcase_add_test(tc, a_directory_of_somebody_else_is_refused);
    tcase_add_test(tc, what_is_no_directory_is_refused);
    tcase_add_test(tc, a_second_owner_is_refused);
    tcase_add_loop_test(tc, older_records_are_upgraded_step_by_step, 0, 2);
    tcase_add_test(tc, an_upgrade_that_fails_has_not_happened);
    tcase_add_test(tc, a_large_store_is_upgraded);
    tcase_add_test(tc, records_of_a_later_version_are_refused);
    tcase_add_test(tc, an_lmdb_of_another_program_is_refused);
    tcase_add_test(tc, a_page_of_zeros_is_found_and_the_others_kept);
    tcase_add_test(tc, a_changed_value_is_found_by_its_checksum);
    tcase_add_test(tc, a_file_that_was_cut_is_found);
    tcase_add_test(tc, a_file_of_something_else_is_refused);
    tcase_add_loop_test(tc, one_meta_page_of_two_is_enough_for_a_repair, 0, 2);
    tcase_add_loop_test(tc, whatever_is_damaged_what_is_read_is_right, 0, 10);
    tcase_add_loop_test(tc, a_full_disk_is_told_and_left_again, 0, 2);
    return suite;
}

TEST_MAIN(lmdb_suite)
