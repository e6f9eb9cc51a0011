/* LMDB's file read by ourselves: whatever it is, the walk ends; and what it finds good LMDB can read and write without
 * an assertion, with the same entries.
 * Input: the file. */
#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ensure.h"
#include "lmdb_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAP_BYTES = 1 << 20, WALK_ENTRIES_MAX = 100000 };

static int fd = -1;

static int count(void *arg, struct store_bytes key, struct store_bytes value)
{
    static volatile uint8_t sink;
    if (value.len)
        sink = ((const uint8_t *)value.bytes)[value.len - 1];
    return ++*(uint64_t *)arg < WALK_ENTRIES_MAX ? sink * 0 : -1;
}

/* Entries of the newest state if nothing is wrong with it; UINT64_MAX: something is. */
static uint64_t walk(void)
{
    struct lmdb_image image;
    struct lmdb_faults faults;
    uint64_t n = 0, n_structure = 0;
    bool is_good = false;
    if (lmdb_image_open(fd, &image) < 0)
        return UINT64_MAX;
    for (int i = 1; i >= 0; i--) {
        n = 0;
        if (!image.has_state[i] || lmdb_image_walk(&image, &image.states[i], count, &n, &faults) < 0)
            continue;
        is_good = i == 0 && lmdb_image_has_both_states(&image) && !lmdb_faults_any(&faults);
        ensure(lmdb_image_walk(&image, &image.states[i], NULL, &n_structure, &faults) == 0);
        ensure(!is_good || !lmdb_faults_any(&faults));
    }
    return is_good ? n : UINT64_MAX;
}

static uint64_t count_by_lmdb(MDB_txn *txn, MDB_dbi dbi)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    uint64_t n = 0;
    ensure(mdb_cursor_open(txn, dbi, &cursor) == 0);
    for (int r = mdb_cursor_get(cursor, &key, &value, MDB_FIRST); r == 0; n++)
        r = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    mdb_cursor_close(cursor);
    return n;
}

/* Splits, overflow pages, merges and the list of free pages. */
static int change_all(MDB_txn *txn, MDB_dbi dbi)
{
    static char bytes[2000];
    MDB_cursor *cursor;
    MDB_val key = {4, "\1key"}, value = {sizeof bytes, bytes};
    int r = mdb_put(txn, dbi, &key, &value, 0);
    for (char c = 'a'; c < 'm' && r == 0; c++) {
        key = (MDB_val){1, &c};
        value = (MDB_val){100, bytes};
        r = mdb_put(txn, dbi, &key, &value, 0);
    }
    if (r || mdb_cursor_open(txn, dbi, &cursor))
        return r ? r : -1;
    while (r == 0 && mdb_cursor_get(cursor, &key, &value, MDB_LAST) == 0)
        r = mdb_cursor_del(cursor, 0);
    mdb_cursor_close(cursor);
    return r;
}

static void use_by_lmdb(uint64_t n_expected)
{
    char path[64];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ensure(mdb_env_create(&env) == 0 && mdb_env_set_mapsize(env, MAP_BYTES) == 0);
    int r = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0600);
    if (r == 0)
        r = mdb_txn_begin(env, NULL, 0, &txn);
    if (r == 0) {
        ensure(mdb_dbi_open(txn, NULL, 0, &dbi) == 0);
        ensure(count_by_lmdb(txn, dbi) == n_expected);
        r = change_all(txn, dbi);
        if (r)
            mdb_txn_abort(txn);
        else if (mdb_txn_commit(txn) == 0)
            ensure(walk() == 0);
    }
    mdb_env_close(env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (fd < 0)
        fd = memfd_create("image", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    uint64_t n = walk();
    if (n != UINT64_MAX && size > 0)
        use_by_lmdb(n);
    return 0;
}
