/* The driver `lmdb:DIR`: one unnamed tree in an LMDB environment that nobody else writes to.
 *
 *   a group of batches = one write transaction, committed with LMDB's two syncs (STORE_SYNC) or with none
 *   a page of a scan   = one short read transaction
 *
 * LMDB is used with MDB_NOTLS (a read transaction belongs to nobody's thread) and without MDB_WRITEMAP: a stray write
 * cannot reach the file, and the file grows as it is written. */
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "lmdb_dir.h"
#include "lmdb_repair.h"
#include "lmdb_space.h"
#include "lmdb_synced.h"
#include "lmdb_value.h"
#include "store_driver.h"
#include "str.h"

struct lmdb_store {
    struct store_driver driver;
    enum store_durability durability;
    char *path; /* of dir */
    struct lmdb_dir dir;
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *upgrade; /* between begin() and end() */
    struct lmdb_space space;
    struct lmdb_synced synced; /* lazy durability only */
    MDB_txn *pin;              /* keeps the pages of the state that was synced last */
};

static struct lmdb_store *lmdb_of(struct store_driver *d)
{
    return (struct lmdb_store *)d;
}

static MDB_val lmdb_val(struct store_bytes b)
{
    return (MDB_val){b.len, (void *)b.bytes};
}

static struct store_bytes lmdb_bytes(const MDB_val *v)
{
    return (struct store_bytes){v->mv_data, v->mv_size};
}

static int lmdb_error(int r, const char *what)
{
    return err_set(r > 0 ? -r : -EIO, "%s: %s", what, mdb_strerror(r));
}

/* LMDB's results as ours: being full is an outcome, all else an error. */
static int lmdb_result(int r, const char *what)
{
    if (r == 0)
        return 0;
    if (r == MDB_MAP_FULL || r == ENOSPC || r == EDQUOT)
        return STORE_FULL;
    return lmdb_error(r, what);
}

/* --- Writing a batch into a transaction. */

struct lmdb_write {
    struct lmdb_store *store;
    MDB_txn *txn;
    MDB_cursor *cursor;
};

static int lmdb_put_entry(struct lmdb_write *w, const struct store_entry *e)
{
    size_t n = store_entry_value_len(e);
    MDB_val key = lmdb_val(store_entry_key(e)), value = {n + LMDB_CHECKSUM_BYTES, NULL};
    int r = mdb_cursor_put(w->cursor, &key, &value, MDB_RESERVE);
    if (r)
        return lmdb_result(r, "put");
    store_entry_copy_value(e, value.mv_data);
    lmdb_value_seal(store_entry_key(e), value.mv_data, n);
    return 0;
}

static int lmdb_delete_entry(struct lmdb_write *w, const struct store_entry *e)
{
    MDB_val key = lmdb_val(store_entry_key(e));
    int r = mdb_cursor_get(w->cursor, &key, NULL, MDB_SET);
    if (r == 0)
        r = mdb_cursor_del(w->cursor, 0);
    return r == MDB_NOTFOUND ? 0 : lmdb_result(r, "delete");
}

/* To the first entry of RANGE, whatever its end. */
static int lmdb_seek(MDB_cursor *cursor, const struct store_range *range, MDB_val *ret_key, MDB_val *ret_value)
{
    *ret_key = lmdb_val(range->first);
    int r = mdb_cursor_get(cursor, ret_key, ret_value, range->first.len ? MDB_SET_RANGE : MDB_FIRST);
    if (r == 0 && range->is_after_first && store_bytes_compare(lmdb_bytes(ret_key), range->first) == 0)
        r = mdb_cursor_get(cursor, ret_key, ret_value, MDB_NEXT);
    return r;
}

static int lmdb_delete_range(struct lmdb_write *w, const struct store_entry *e)
{
    struct store_range range = store_entry_range(e);
    MDB_val key, value;
    for (;;) {
        int r = lmdb_seek(w->cursor, &range, &key, &value);
        if (r == MDB_NOTFOUND || (r == 0 && !store_range_has(&range, lmdb_bytes(&key))))
            return 0;
        if (r == 0)
            r = mdb_cursor_del(w->cursor, 0);
        if (r)
            return lmdb_result(r, "delete a range");
    }
}

static int lmdb_write_entry(struct lmdb_write *w, const struct store_entry *e)
{
    switch ((enum store_entry_kind)e->kind) {
    case STORE_ENTRY_PUT:
        return lmdb_put_entry(w, e);
    case STORE_ENTRY_DELETE:
        return lmdb_delete_entry(w, e);
    case STORE_ENTRY_DELETE_RANGE:
        return lmdb_delete_range(w, e);
    case STORE_ENTRY_CANCELLED:
    case STORE_ENTRY_REQUIRE_VALUE:
    case STORE_ENTRY_REQUIRE_ABSENT:
        break;
    }
    return 0;
}

/* 0 or STORE_CONFLICT, or negative. */
static int lmdb_check_entry(struct lmdb_write *w, const struct store_entry *e)
{
    if (e->kind != STORE_ENTRY_REQUIRE_VALUE && e->kind != STORE_ENTRY_REQUIRE_ABSENT)
        return 0;
    MDB_val key = lmdb_val(store_entry_key(e)), sealed;
    struct store_bytes value;
    int r = mdb_cursor_get(w->cursor, &key, &sealed, MDB_SET_KEY);
    if (r == MDB_NOTFOUND)
        return e->kind == STORE_ENTRY_REQUIRE_ABSENT ? 0 : STORE_CONFLICT;
    if (r)
        return lmdb_result(r, "look up");
    if (e->kind == STORE_ENTRY_REQUIRE_ABSENT || !lmdb_value_unseal(store_entry_key(e), lmdb_bytes(&sealed), &value))
        return STORE_CONFLICT;
    return store_bytes_compare(value, store_entry_head(e)) == 0 ? 0 : STORE_CONFLICT;
}

/* 0 or STORE_CONFLICT: goes on; STORE_FULL or negative: the transaction cannot be used any more. */
static int lmdb_write_batch(struct lmdb_write *w, const struct store_batch *b)
{
    int r = 0;
    for (const struct store_entry *e = b->first; b->n_requires && e && r == 0; e = e->next)
        r = lmdb_check_entry(w, e);
    for (const struct store_entry *e = b->first; e && r == 0; e = e->next)
        r = lmdb_write_entry(w, e);
    return r;
}

/* --- What was synced last stays whole: lmdb_synced.h. */

static void lmdb_unpin(struct lmdb_store *s)
{
    if (s->pin)
        mdb_txn_abort(s->pin);
    s->pin = NULL;
}

/* The present state is with the disk, and noted, and its pages are kept. */
static int lmdb_sync_state(struct lmdb_store *s)
{
    MDB_envinfo info;
    MDB_txn *pin;
    int r = mdb_env_sync(s->env, 1);
    if (r)
        return lmdb_error(r, "sync");
    mdb_env_info(s->env, &info);
    r = lmdb_synced_note(&s->synced, s->space.fd, (uint32_t)s->space.page_bytes, info.me_last_txnid);
    if (r < 0)
        return r;
    r = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &pin);
    if (r)
        return lmdb_error(r, "read");
    lmdb_unpin(s); /* only now: between two states the older one is the one to keep */
    s->pin = pin;
    return 0;
}

static int lmdb_sync(struct store_driver *d)
{
    return lmdb_sync_state(lmdb_of(d));
}

/* LMDB's map changes only while no transaction is open, so the pin is renewed around that: FN(space, ARG) with the
 * present state synced. */
static int lmdb_remap(struct lmdb_store *s, int (*fn)(struct lmdb_space *space, uint64_t arg), uint64_t arg)
{
    bool was_pinned = s->pin != NULL;
    int r = was_pinned ? lmdb_sync_state(s) : 0;
    if (r < 0)
        return r;
    lmdb_unpin(s);
    r = fn(&s->space, arg);
    if (was_pinned && r >= 0 && mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->pin))
        return err_set(-EIO, "read: too many readers");
    return r;
}

/* --- Committing a group. */

enum {
    LMDB_TXN_BYTES = 64 * 1024 * 1024, /* of values in one transaction: LMDB holds its pages in memory */
    LMDB_RESERVE_BATCHES = 256,        /* in one transaction while the store is full */
};

/* Some batches of a group, as one transaction. */
struct lmdb_attempt {
    struct store_batch *from;
    const struct store_batch *until; /* not this one any more; NULL: to the end */
    size_t max_batches;
    bool is_reserve; /* only those that may use it, all others are refused */
    /* out */
    struct store_batch *at; /* success: where to go on; full: the one that did not fit */
};

static size_t lmdb_batch_bytes(const struct store_batch *b)
{
    size_t n = 0;
    for (const struct store_entry *e = b->first; e; e = e->next)
        n += e->kind == STORE_ENTRY_PUT ? e->key_len + store_entry_value_len(e) : 0;
    return n;
}

/* Into W's transaction; `at` tells how far it came. */
static int lmdb_attempt_write(struct lmdb_write *w, struct lmdb_attempt *a)
{
    size_t n_bytes = 0, n_batches = 0;
    for (a->at = a->from; a->at && a->at != a->until; a->at = store_batch_next(a->at)) {
        struct store_batch *b = a->at;
        if (a->is_reserve && !store_batch_may_use_reserve(b)) {
            b->result = STORE_FULL;
            continue;
        }
        size_t n = lmdb_batch_bytes(b);
        if (n_batches == a->max_batches || (n_batches > 0 && n_bytes + n > LMDB_TXN_BYTES))
            return 0;
        b->result = lmdb_write_batch(w, b);
        if (b->result < 0 || b->result == STORE_FULL)
            return b->result;
        n_bytes += n;
        n_batches++;
    }
    return 0;
}

/* A commit that fails has been undone, unless LMDB says from then on that nothing works any more: then its last write,
 * the one that makes it count, may have reached the disk or not. */
static int lmdb_commit_txn(struct lmdb_store *s, MDB_txn *txn)
{
    int r = mdb_txn_commit(txn);
    if (r == 0)
        return 0;
    MDB_txn *probe;
    int p = mdb_txn_begin(s->env, NULL, 0, &probe);
    if (p == 0)
        mdb_txn_abort(probe);
    return p == MDB_PANIC ? STORE_UNKNOWN : lmdb_result(r, "commit");
}

/* 0: done up to `at`. STORE_FULL: nothing has been written, `at` did not fit. STORE_UNKNOWN, or negative: of nobody
 * knows what, or nothing, has been written. */
static int lmdb_try(struct lmdb_store *s, struct lmdb_attempt *a)
{
    struct lmdb_write w = {.store = s};
    int r = mdb_txn_begin(s->env, NULL, 0, &w.txn);
    if (r)
        return lmdb_result(r, "begin");
    r = mdb_cursor_open(w.txn, s->dbi, &w.cursor);
    r = r ? lmdb_result(r, "begin") : lmdb_attempt_write(&w, a);
    if (r) {
        mdb_txn_abort(w.txn);
        return r;
    }
    r = lmdb_commit_txn(s, w.txn);
    if (r == STORE_FULL)
        a->at = a->from;
    return r;
}

static int lmdb_set_reserve(struct lmdb_space *space, uint64_t may_use)
{
    return lmdb_space_set_reserve(space, may_use);
}

/* The first one from B on that may use the reserve; those before it are refused. */
static struct store_batch *lmdb_skip_refused(struct store_batch *b)
{
    for (; b && !store_batch_may_use_reserve(b); b = store_batch_next(b))
        b->result = STORE_FULL;
    return b;
}

/* Those that free space, from FROM on, in smaller and smaller groups while they do not fit: what one frees the next but
 * one may use. *RET_AT: where it ended. */
static int lmdb_commit_reserve(struct lmdb_store *s, struct store_batch *from, struct store_batch **ret_at)
{
    struct lmdb_attempt a = {.from = lmdb_skip_refused(from), .max_batches = LMDB_RESERVE_BATCHES, .is_reserve = true};
    int r = 0;
    while (a.from && (r == 0 || r == STORE_FULL)) {
        r = lmdb_try(s, &a);
        if (r == STORE_FULL && a.max_batches > 1) {
            a.max_batches /= 2;
            continue;
        }
        if (r == STORE_FULL) {
            a.from->result = STORE_FULL;
            a.at = store_batch_next(a.from);
        }
        if (r == 0 || r == STORE_FULL)
            a.from = lmdb_skip_refused(a.at);
        a.max_batches = LMDB_RESERVE_BATCHES;
    }
    *ret_at = a.from;
    return r == STORE_FULL ? 0 : r;
}

/* The store is full at NOT_FITTING: what is before it is written, behind it only what frees space. */
static int lmdb_commit_full(struct lmdb_store *s, struct store_batch *from, struct store_batch *not_fitting,
                            struct store_batch **ret_at)
{
    struct lmdb_attempt before = {.from = from, .until = not_fitting, .max_batches = SIZE_MAX};
    *ret_at = from;
    int r = from == not_fitting ? 0 : lmdb_try(s, &before);
    if (r < 0 || r == STORE_UNKNOWN)
        return r;
    if (r == 0)
        *ret_at = not_fitting;
    r = lmdb_remap(s, lmdb_set_reserve, true);
    if (r < 0)
        return r;
    r = lmdb_commit_reserve(s, *ret_at, ret_at);
    int back = lmdb_remap(s, lmdb_set_reserve, false);
    return r ? r : back;
}

/* What FROM and those behind it need in one transaction, about: twice what they hold. */
static uint64_t lmdb_needed_bytes(const struct store_batch *from)
{
    uint64_t n = 0;
    for (const struct store_batch *b = from; b && n < LMDB_TXN_BYTES; b = store_batch_next(b))
        n += lmdb_batch_bytes(b);
    return 2 * n;
}

/* FROM does not fit any more: 0 = now it may, STORE_FULL = it will not. With lazy durability the pages freed since the
 * last sync come back first. */
static int lmdb_make_room(struct lmdb_store *s, const struct store_batch *from, bool *is_synced)
{
    bool was_synced = *is_synced || !s->pin;
    int r = lmdb_remap(s, lmdb_space_grow, lmdb_needed_bytes(from));
    *is_synced = true;
    return r == STORE_FULL && !was_synced ? 0 : r;
}

/* All from FROM on; *RET_AT: the first that has no result yet, if it fails. */
static int lmdb_commit_group(struct lmdb_store *s, struct store_batch *from, struct store_batch **ret_at)
{
    bool is_synced = false;
    *ret_at = from;
    while (*ret_at) {
        struct lmdb_attempt a = {.from = *ret_at, .max_batches = SIZE_MAX};
        int r = lmdb_try(s, &a);
        if (r == 0) {
            *ret_at = a.at;
            is_synced = false;
            continue;
        }
        if (r != STORE_FULL)
            return r;
        r = lmdb_make_room(s, *ret_at, &is_synced);
        if (r < 0)
            return r;
        if (r == STORE_FULL)
            return lmdb_commit_full(s, *ret_at, a.at, ret_at);
    }
    return 0;
}

static int lmdb_commit(struct store_driver *d, struct store_batch *first)
{
    struct store_batch *at;
    int r = lmdb_commit_group(lmdb_of(d), first, &at);
    for (struct store_batch *b = r ? at : NULL; b; b = store_batch_next(b))
        b->result = r;
    return r < 0 ? r : 0;
}

/* --- Reading. */

struct lmdb_look {
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, value;
};

/* The first entry of RANGE: 0, MDB_NOTFOUND or an error of LMDB. */
static int lmdb_look_begin(struct lmdb_store *s, const struct store_range *range, struct lmdb_look *ret_look)
{
    struct lmdb_look l = {.txn = s->upgrade};
    int r = l.txn ? 0 : mdb_txn_begin(s->env, NULL, MDB_RDONLY, &l.txn);
    if (r == 0)
        r = mdb_cursor_open(l.txn, s->dbi, &l.cursor);
    if (r == 0)
        r = lmdb_seek(l.cursor, range, &l.key, &l.value);
    *ret_look = l;
    return r;
}

static void lmdb_look_end(const struct lmdb_store *s, struct lmdb_look *l)
{
    if (l->cursor)
        mdb_cursor_close(l->cursor);
    if (l->txn && l->txn != s->upgrade)
        mdb_txn_abort(l->txn);
}

static int lmdb_unseal(const struct lmdb_look *l, struct store_bytes *ret_value)
{
    char name[64];
    if (lmdb_value_unseal(lmdb_bytes(&l->key), lmdb_bytes(&l->value), ret_value))
        return 0;
    return err_set(-EILSEQ, "the value of key '%s' has a wrong checksum (--repair keeps what is readable)",
                   str_quote(name, sizeof name, l->key.mv_data, l->key.mv_size));
}

/* Entries of RANGE to FN, which says with a positive result that it has enough. */
static int lmdb_each(struct lmdb_store *s, const struct store_range *range, store_load_fn *fn, void *arg)
{
    struct lmdb_look l;
    struct store_bytes value;
    int r = lmdb_look_begin(s, range, &l), result = 0;
    while (r == 0 && result == 0 && store_range_has(range, lmdb_bytes(&l.key))) {
        result = lmdb_unseal(&l, &value);
        if (result == 0)
            result = fn(arg, lmdb_bytes(&l.key), value);
        if (result == 0)
            r = mdb_cursor_get(l.cursor, &l.key, &l.value, MDB_NEXT);
    }
    lmdb_look_end(s, &l);
    if (r && r != MDB_NOTFOUND)
        return lmdb_error(r, "read");
    return result;
}

static int lmdb_page_entry(void *arg, struct store_bytes key, struct store_bytes value)
{
    return store_page_add(arg, key, value) ? 0 : 1;
}

static int lmdb_read(struct store_driver *d, const struct store_range *range, struct store_page_items *page)
{
    int r = lmdb_each(lmdb_of(d), range, lmdb_page_entry, page);
    if (r == 0)
        store_page_end(page);
    return r < 0 ? r : 0;
}

static int lmdb_load(struct store_driver *d, const struct store_range *range, store_load_fn *fn, void *arg)
{
    return lmdb_each(lmdb_of(d), range, fn, arg);
}

static uint64_t lmdb_used_bytes(struct store_driver *d)
{
    MDB_stat st;
    mdb_env_stat(lmdb_of(d)->env, &st);
    return (uint64_t)(st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages) * st.ms_psize;
}

/* --- The transaction of an upgrade. */

/* An upgrade may need all pages twice; the file grows as it is written. */
static int lmdb_begin(struct store_driver *d)
{
    struct lmdb_store *s = lmdb_of(d);
    lmdb_unpin(s);
    int r = mdb_env_set_mapsize(s->env, 3 * s->space.file_bytes + LMDB_TXN_BYTES);
    if (r == 0)
        r = mdb_txn_begin(s->env, NULL, 0, &s->upgrade);
    return r ? lmdb_error(r, "begin") : 0;
}

static int lmdb_upgrade_result(int r, const char *what)
{
    r = lmdb_result(r, what);
    return r == STORE_FULL ? err_set(-ENOSPC, "%s: no space", what) : r;
}

static int lmdb_put(struct store_driver *d, struct store_bytes key, struct store_bytes value)
{
    struct lmdb_store *s = lmdb_of(d);
    MDB_val k = lmdb_val(key), v = {value.len + LMDB_CHECKSUM_BYTES, NULL};
    int r = mdb_put(s->upgrade, s->dbi, &k, &v, MDB_RESERVE);
    if (r)
        return lmdb_upgrade_result(r, "put");
    if (value.len)
        memcpy(v.mv_data, value.bytes, value.len);
    lmdb_value_seal(key, v.mv_data, value.len);
    return 0;
}

static int lmdb_remove(struct store_driver *d, struct store_bytes key)
{
    struct lmdb_store *s = lmdb_of(d);
    MDB_val k = lmdb_val(key);
    int r = mdb_del(s->upgrade, s->dbi, &k, NULL);
    return r == MDB_NOTFOUND ? 0 : lmdb_upgrade_result(r, "delete");
}

static int lmdb_end(struct store_driver *d, bool keep)
{
    struct lmdb_store *s = lmdb_of(d);
    MDB_txn *txn = s->upgrade;
    int r = 0;
    s->upgrade = NULL;
    if (keep)
        r = lmdb_upgrade_result(mdb_txn_commit(txn), "commit");
    else
        mdb_txn_abort(txn);
    if (r >= 0)
        r = lmdb_space_init(&s->space, s->env, s->space.max_bytes);
    return r >= 0 && s->durability != STORE_SYNC ? lmdb_sync_state(s) : r;
}

/* --- Life. */

/* data.mdb, if it is there, is brought to a state that LMDB may be let at. */
static int lmdb_recover(const struct lmdb_dir *dir, int data_fd, bool repair, struct store_report *report)
{
    int r = lmdb_synced_recover(dir, data_fd, &report->is_rolled_back);
    if (r < 0)
        return r;
    r = lmdb_repair_check(data_fd, repair);
    if (r <= 0)
        return r;
    if (!repair)
        return err_context(-EILSEQ, "damaged (--repair keeps what is readable)");
    return lmdb_repair_run(dir, data_fd, report);
}

static int lmdb_recover_if_there(const struct lmdb_dir *dir, bool repair, struct store_report *report)
{
    int data_fd = openat(dir->fd, "data.mdb", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (data_fd < 0)
        return errno == ENOENT ? 0 : err_errno(-errno, "%s/data.mdb", dir->path);
    int r = lmdb_recover(dir, data_fd, repair, report);
    close(data_fd);
    return r;
}

static int lmdb_open_env(struct lmdb_store *s, uint64_t max_bytes)
{
    MDB_txn *txn;
    int dead, lazy = s->durability == STORE_SYNC ? 0 : MDB_NOSYNC;
    int r = mdb_env_create(&s->env);
    if (r == 0)
        r = mdb_env_set_mapsize(s->env, 2 * LMDB_SPACE_RESERVE); /* or what is in use; not what the file says */
    if (r == 0)
        r = mdb_env_open(s->env, s->dir.path, MDB_NOTLS | lazy, 0600);
    if (r == 0)
        r = mdb_reader_check(s->env, &dead); /* left by a process that was killed while a reader looked on */
    if (r)
        return lmdb_error(r, "LMDB");
    r = lmdb_space_init(&s->space, s->env, max_bytes);
    if (r < 0)
        return r;
    r = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (r == 0)
        r = mdb_dbi_open(txn, NULL, 0, &s->dbi);
    if (r)
        return lmdb_error(r, "LMDB");
    mdb_txn_abort(txn);
    return 0;
}

/* From here on what is there is with the disk, its name too, and it is known how much of it. */
static int lmdb_settle(struct lmdb_store *s)
{
    int r = mdb_env_sync(s->env, 1);
    if (r)
        return lmdb_error(r, "sync");
    r = lmdb_dir_sync(&s->dir);
    if (r >= 0 && s->durability == STORE_SYNC)
        return lmdb_synced_forget(&s->dir);
    if (r >= 0)
        r = lmdb_synced_open(&s->dir, &s->synced);
    return r < 0 ? r : lmdb_sync_state(s);
}

static void lmdb_free(struct lmdb_store *s)
{
    lmdb_unpin(s);
    if (s->env)
        mdb_env_close(s->env);
    lmdb_synced_close(&s->synced);
    lmdb_dir_close(&s->dir);
    free(s->path);
    free(s);
}

static int lmdb_open(const char *place, const struct store_options *options, struct store_driver **ret_driver,
                     struct store_report *ret_report)
{
    struct lmdb_store *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(-ENOMEM, "out of memory");
    s->driver.ops = &store_lmdb_ops;
    s->durability = options->durability;
    s->dir.fd = s->dir.lock_fd = s->synced.fd = -1;
    s->path = strdup(place);
    int r = s->path ? lmdb_dir_open(s->path, &s->dir) : err_set(-ENOMEM, "out of memory");
    if (r >= 0)
        r = lmdb_recover_if_there(&s->dir, options->repair, ret_report);
    if (r >= 0)
        r = lmdb_open_env(s, options->max_bytes);
    if (r >= 0)
        r = lmdb_settle(s);
    if (r < 0) {
        lmdb_free(s);
        return r;
    }
    *ret_driver = &s->driver;
    return 0;
}

static void lmdb_close(struct store_driver *d)
{
    struct lmdb_store *s = lmdb_of(d);
    bool is_lazy = s->durability != STORE_SYNC;
    if (is_lazy && mdb_env_sync(s->env, 1) == 0)
        (void)lmdb_synced_note_end(&s->synced); /* what stands there otherwise is true, only old */
    lmdb_free(s);
}

const struct store_driver_ops store_lmdb_ops = {
    .scheme = "lmdb",
    .open = lmdb_open,
    .close = lmdb_close,
    .commit = lmdb_commit,
    .sync = lmdb_sync,
    .read = lmdb_read,
    .load = lmdb_load,
    .used_bytes = lmdb_used_bytes,
    .begin = lmdb_begin,
    .put = lmdb_put,
    .remove = lmdb_remove,
    .end = lmdb_end,
};
