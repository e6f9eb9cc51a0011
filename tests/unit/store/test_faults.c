/* A disk that fails under LMDB, and another boot: what each batch is told, and what is there afterwards. This program's
 * own open(), pwrite(), fdatasync() and fallocate() stand in front of the C library's. */

/* So that the names below are the names of the functions: LMDB calls pwrite(), what Meson compiles calls pwrite64(). */
#undef _FILE_OFFSET_BITS

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "err.h"
#include "loop.h"
#include "store_support.h"
#include "test_main.h"

enum { META_BYTES = 120, META_OFFSETS_END = 8192 }; /* LMDB writes so many into one of its first two pages */

enum fault { FAULT_NONE = 0, FAULT_SYNC, FAULT_META, FAULT_META_AFTER_WRITING, FAULT_PAGES };

/* The next time; then no more. */
static _Atomic int fault;
static _Atomic int fault_errno;
static _Atomic bool has_no_fallocate;
static _Atomic bool has_no_sync; /* every one fails, but for a copy's (is_rolled_back_in()) */

static bool fails(enum fault which)
{
    int expected = which;
    if (!atomic_compare_exchange_strong(&fault, &expected, FAULT_NONE))
        return false;
    errno = fault_errno;
    return true;
}

/* What is read in place of the kernel's boot id. */
static char boot_id_path[400];

int open(const char *file, int oflag, ...)
{
    va_list args;
    va_start(args, oflag);
    mode_t mode = oflag & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (strcmp(file, "/proc/sys/kernel/random/boot_id") == 0)
        file = boot_id_path;
    return (int)syscall(SYS_openat, AT_FDCWD, file, oflag, mode);
}

int open64(const char *file, int oflag, ...) __attribute__((alias("open")));

ssize_t pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    bool is_meta = n == META_BYTES && offset < META_OFFSETS_END;
    if (is_meta ? fails(FAULT_META) : fails(FAULT_PAGES))
        return -1;
    ssize_t r = (ssize_t)syscall(SYS_pwrite64, fd, buf, n, offset);
    return is_meta && fails(FAULT_META_AFTER_WRITING) ? -1 : r;
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t offset) __attribute__((alias("pwrite")));

ssize_t writev(int fd, const struct iovec *iovec, int count)
{
    return fails(FAULT_PAGES) ? -1 : (ssize_t)syscall(SYS_writev, fd, iovec, count);
}

static bool is_of_copy(int fd)
{
    char fd_name[64], target[600] = "";
    snprintf(fd_name, sizeof fd_name, "/proc/self/fd/%d", fd);
    return readlink(fd_name, target, sizeof target - 1) > 0 && strstr(target, "/copy/");
}

int fdatasync(int fildes)
{
    if (fails(FAULT_SYNC))
        return -1;
    if (!has_no_sync || is_of_copy(fildes))
        return (int)syscall(SYS_fdatasync, fildes);
    errno = EIO;
    return -1;
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    if (!has_no_fallocate)
        return (int)syscall(SYS_fallocate, fd, mode, offset, len);
    errno = EOPNOTSUPP;
    return -1;
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len) __attribute__((alias("fallocate")));

/* --- */

static char dir[256], url[300];
static struct loop *loop;
static struct store *store;
static struct store_client *client;

static struct store_report report;

static void open_as(enum store_durability durability)
{
    const struct store_options options = {.url = url, .durability = durability, .format = 1};
    ck_assert_msg(store_open(&options, &store, &report) == 0, "%s", err_text());
    ck_assert_int_eq(store_attach(store, loop, &client), 0);
}

static void open_store(void)
{
    open_as(STORE_SYNC);
}

static void close_store(void)
{
    client = store_detach(client);
    store = store_close(store);
}

static void boot(const char *id)
{
    FILE *f = fopen(boot_id_path, "we");
    ck_assert_ptr_nonnull(f);
    fputs(id, f);
    fclose(f);
}

static void setup(void)
{
    snprintf(dir, sizeof dir, "%s", store_support_make_dir());
    snprintf(url, sizeof url, "lmdb:%s", dir);
    snprintf(boot_id_path, sizeof boot_id_path, "%s/boot_id", dir);
    boot("one");
    fault = FAULT_NONE;
    has_no_fallocate = has_no_sync = false;
    ck_assert_int_eq(loop_new(&loop), 0);
    open_store();
}

static void teardown(void)
{
    close_store();
    loop = loop_free(loop);
    store_support_remove_dir(dir);
}

static int put(const char *key)
{
    return store_support_put_now(loop, client, key, "v");
}

static const char *scan(void)
{
    return store_support_scan(loop, client, "", "", 0);
}

static void fail_next(enum fault which, int error)
{
    fault_errno = error;
    fault = which;
}

START_TEST(a_sync_that_fails_is_a_failure_and_leaves_nothing)
{
    ck_assert_int_eq(put("a"), 0);
    fail_next(FAULT_SYNC, EIO);
    ck_assert_int_eq(put("b"), -EIO);
    ck_assert_str_eq(scan(), "a=v");
    ck_assert_int_eq(put("c"), 0);
    close_store();
    open_store();
    ck_assert_str_eq(scan(), "a=v c=v");
}
END_TEST

START_TEST(a_disk_that_is_full_in_mid_commit_is_full)
{
    ck_assert_int_eq(put("a"), 0);
    has_no_fallocate = true; /* else a file that has been allocated cannot be full */
    fail_next(FAULT_PAGES, ENOSPC);
    int r = put("b"); /* perhaps the next attempt, in a larger file */
    ck_assert_msg(r == 0 || r == STORE_FULL, "%d %s", r, err_text());
    ck_assert_int_eq(put("c"), 0);
    ck_assert_str_eq(scan(), r == 0 ? "a=v b=v c=v" : "a=v c=v");
}
END_TEST

START_TEST(when_the_last_write_fails_nobody_knows)
{
    ck_assert_int_eq(put("a"), 0);
    fail_next(_i ? FAULT_META_AFTER_WRITING : FAULT_META, EIO);
    ck_assert_int_eq(put("b"), STORE_UNKNOWN);
    ck_assert_int_lt(put("c"), 0); /* LMDB gives up then, and says so */
    close_store();
    open_store();
    const char *found = scan();
    ck_assert_msg(strcmp(found, "a=v") == 0 || strcmp(found, "a=v b=v") == 0, "%s", found);
    ck_assert_int_eq(put("d"), 0);
}
END_TEST

static void fill_some(int n)
{
    static char value[20001];
    char key[16];
    memset(value, 'v', sizeof value - 1);
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof key, "k%06d", i);
        ck_assert_int_eq(store_support_put_now(loop, client, key, value), 0);
    }
}

START_TEST(a_file_system_that_allocates_nothing_will_do)
{
    close_store();
    has_no_fallocate = true;
    open_store();
    fill_some(300); /* 6 MB: it has to grow */
    close_store();
    open_store();
    ck_assert_int_eq(put("a"), 0);
}
END_TEST

/* --- Another boot. */

static void copy_file(const char *to_dir, const char *name)
{
    static char bytes[8 << 20];
    char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *from = fopen(path, "rbe");
    snprintf(path, sizeof path, "%s/%s", to_dir, name);
    FILE *to = fopen(path, "wbe");
    ck_assert(from && to);
    size_t n = fread(bytes, 1, sizeof bytes, from);
    ck_assert_uint_eq(fwrite(bytes, 1, n, to), n);
    fclose(from);
    fclose(to);
}

/* What a process that is killed now leaves, opened in the boot ID: it has what is EXPECTED. */
static bool is_rolled_back_in(const char *id, const char *expected)
{
    char copy[300], copy_url[310];
    struct store_report copy_report;
    struct store *first = store;
    struct store_client *first_client = client;
    snprintf(copy, sizeof copy, "%s/copy", dir);
    snprintf(copy_url, sizeof copy_url, "lmdb:%s", copy);
    ck_assert_int_eq(mkdir(copy, 0700), 0);
    copy_file(copy, "data.mdb");
    copy_file(copy, "synced");
    boot(id);
    const struct store_options options = {.url = copy_url, .format = 1};
    ck_assert_msg(store_open(&options, &store, &copy_report) == 0, "%s", err_text());
    ck_assert_int_eq(store_attach(store, loop, &client), 0);
    ck_assert_str_eq(scan(), expected);
    close_store();
    store = first;
    client = first_client;
    store_support_remove_dir(copy);
    return copy_report.is_rolled_back;
}

START_TEST(a_kill_in_the_same_boot_loses_nothing_and_in_another_one_goes_back)
{
    close_store();
    open_as(STORE_ASYNC);
    has_no_sync = true;
    ck_assert_int_eq(put("a"), 0);
    ck_assert(!is_rolled_back_in("one", "a=v"));
    ck_assert(is_rolled_back_in("two", ""));
    ck_assert(is_rolled_back_in("", "")); /* nobody knows which: as if it were another one */
    boot("one");
    has_no_sync = false;
    close_store();
    open_as(STORE_ASYNC);
    ck_assert(!report.is_rolled_back);
    has_no_sync = true;
    ck_assert_int_eq(put("b"), 0);
    ck_assert(is_rolled_back_in("two", "a=v"));
    has_no_sync = false;
}
END_TEST

START_TEST(an_orderly_end_is_nothing_to_go_back_from)
{
    for (int i = 0; i < 4; i++) {
        close_store();
        boot(i % 2 ? "two" : "one");
        open_as(i % 2 ? STORE_NONE : STORE_ASYNC);
        ck_assert(!report.is_rolled_back);
        ck_assert_int_eq(put((char[]){(char)('a' + i), 0}), 0);
    }
    close_store();
    boot("three");
    open_store();
    ck_assert(!report.is_rolled_back);
    ck_assert_str_eq(scan(), "a=v b=v c=v d=v");
}
END_TEST

static Suite *faults_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("store_faults", &tc);
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_sync_that_fails_is_a_failure_and_leaves_nothing);
    tcase_add_test(tc, a_disk_that_is_full_in_mid_commit_is_full);
    tcase_add_loop_test(tc, when_the_last_write_fails_nobody_knows, 0, 2);
    tcase_add_test(tc, a_file_system_that_allocates_nothing_will_do);
    tcase_add_test(tc, a_kill_in_the_same_boot_loses_nothing_and_in_another_one_goes_back);
    tcase_add_test(tc, an_orderly_end_is_nothing_to_go_back_from);
    return suite;
}

TEST_MAIN(faults_suite)
