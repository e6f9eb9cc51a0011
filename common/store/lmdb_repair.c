/* See lmdb_repair.h. */
#include "lmdb_repair.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <lmdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "err.h"
#include "lmdb_synced.h"
#include "lmdb_value.h"
#include "str.h"

/* --- Checking. */

struct repair_check {
    uint64_t n_good, n_bad;
    char first[128];
};

static int repair_check_value(void *arg, struct store_bytes key, struct store_bytes sealed)
{
    struct repair_check *c = arg;
    struct store_bytes value;
    char name[64];
    bool is_good = lmdb_value_unseal(key, sealed, &value);
    *(is_good ? &c->n_good : &c->n_bad) += 1;
    if (is_good || c->n_bad > 1)
        return 0;
    snprintf(c->first, sizeof c->first, "the value of key '%s' has a wrong checksum",
             str_quote(name, sizeof name, key.bytes, key.len));
    return 0;
}

int lmdb_repair_check(int data_fd, bool with_values)
{
    struct lmdb_image image;
    struct lmdb_faults faults = {0};
    struct repair_check check = {0};
    int r = lmdb_image_open(data_fd, &image);
    if (r == -EILSEQ)
        return 1;
    if (r < 0 || image.file_pages == 0)
        return r;
    if (!lmdb_image_has_both_states(&image)) {
        err_set(-EILSEQ, "data.mdb: one of its first two pages is not as LMDB leaves it");
        return 1;
    }
    r = lmdb_image_walk(&image, &image.states[0], with_values ? repair_check_value : NULL, &check, &faults);
    if (r < 0 || (!lmdb_faults_any(&faults) && check.n_bad == 0))
        return r;
    err_set(-EILSEQ, "data.mdb: %s", lmdb_faults_any(&faults) ? faults.first : check.first);
    return 1;
}

/* --- The new file. */

enum { REPAIR_ENTRIES_PER_TXN = 10000 };

struct repair_copy {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    unsigned n_in_txn;
    uint64_t n_kept, n_bad;
};

static int repair_error(int r, const char *what)
{
    return err_set(r > 0 ? -r : -EIO, "repair: %s: %s", what, mdb_strerror(r));
}

static int repair_begin(struct repair_copy *c)
{
    int r = mdb_txn_begin(c->env, NULL, 0, &c->txn);
    if (r == 0)
        r = mdb_dbi_open(c->txn, NULL, 0, &c->dbi);
    c->n_in_txn = 0;
    return r ? repair_error(r, "begin") : 0;
}

static int repair_commit(struct repair_copy *c)
{
    int r = mdb_txn_commit(c->txn);
    c->txn = NULL;
    return r ? repair_error(r, "commit") : 0;
}

static int repair_keep(void *arg, struct store_bytes key, struct store_bytes sealed)
{
    struct repair_copy *c = arg;
    struct store_bytes value;
    MDB_val k = {key.len, (void *)key.bytes}, v = {sealed.len, (void *)sealed.bytes};
    if (!lmdb_value_unseal(key, sealed, &value)) {
        c->n_bad++;
        return 0;
    }
    int r = mdb_put(c->txn, c->dbi, &k, &v, 0);
    if (r)
        return repair_error(r, "write");
    c->n_kept++;
    if (++c->n_in_txn < REPAIR_ENTRIES_PER_TXN)
        return 0;
    r = repair_commit(c);
    return r < 0 ? r : repair_begin(c);
}

/* Everything of STATE into the environment at PATH, and onto the disk. */
static int repair_copy_state(const char *path, const struct lmdb_image *image, const struct lmdb_state *state,
                             struct repair_copy *c, struct lmdb_faults *ret_faults)
{
    uint64_t map_bytes = 2 * image->file_pages * image->page_bytes + (64 << 20);
    int r = mdb_env_create(&c->env);
    if (r)
        return repair_error(r, "LMDB");
    r = mdb_env_set_mapsize(c->env, map_bytes);
    if (r == 0)
        r = mdb_env_open(c->env, path, MDB_NOSYNC, 0600);
    r = r ? repair_error(r, path) : repair_begin(c);
    if (r >= 0)
        r = lmdb_image_walk(image, state, repair_keep, c, ret_faults);
    if (r >= 0)
        r = repair_commit(c);
    if (c->txn)
        mdb_txn_abort(c->txn);
    if (r >= 0 && mdb_env_sync(c->env, 1))
        r = repair_error(errno, "sync");
    mdb_env_close(c->env);
    return r;
}

/* How many of the entries that a state should have cannot be read. */
static int repair_count_lost(const struct lmdb_image *image, const struct lmdb_state *state, uint64_t *ret_lost)
{
    struct lmdb_faults faults;
    struct repair_check check = {0};
    int r = lmdb_image_walk(image, state, repair_check_value, &check, &faults);
    if (r < 0)
        return r;
    uint64_t n = state->entries.n_entries;
    *ret_lost = n > check.n_good ? n - check.n_good : 0;
    return 0;
}

/* The state to go on with: the newest, unless less is lost of the one before it. Both share most of their pages, so
 * that this is so when a page of the last transaction is damaged. */
static int repair_choose(const struct lmdb_image *image, const struct lmdb_state **ret_state)
{
    uint64_t newest, before;
    *ret_state = &image->states[0];
    if (!image->has_state[1])
        return 0;
    int r = repair_count_lost(image, &image->states[0], &newest);
    if (r >= 0)
        r = repair_count_lost(image, &image->states[1], &before);
    if (r >= 0 && before < newest)
        *ret_state = &image->states[1];
    return r;
}

/* --- In place of the old one. */

static void repair_clean_up(const struct lmdb_dir *d)
{
    unlinkat(d->fd, "repair.tmp/data.mdb", 0);
    unlinkat(d->fd, "repair.tmp/lock.mdb", 0);
    unlinkat(d->fd, "repair.tmp", AT_REMOVEDIR);
}

static void repair_name_aside(char *name, size_t size)
{
    struct tm utc;
    time_t now = time(NULL);
    gmtime_r(&now, &utc);
    snprintf(name, size, "damaged-%04d%02d%02dT%02d%02d%02d.mdb", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
             utc.tm_hour, utc.tm_min, utc.tm_sec);
}

/* At each moment data.mdb is either the old file or the new one. */
static int repair_exchange(const struct lmdb_dir *d, struct store_report *report)
{
    char aside[48];
    repair_name_aside(aside, sizeof aside);
    int r = lmdb_synced_forget(d); /* it is of the old file */
    if (r < 0)
        return r;
    if (linkat(d->fd, "data.mdb", d->fd, aside, 0) < 0)
        return err_errno(-errno, "repair: keep the old file as %s", aside);
    if (renameat(d->fd, "repair.tmp/data.mdb", d->fd, "data.mdb") < 0)
        return err_errno(-errno, "repair: put the new file into its place");
    snprintf(report->kept_aside, sizeof report->kept_aside, "%s/%s", d->path, aside);
    return lmdb_dir_sync(d);
}

static int repair_make(const struct lmdb_dir *d, const struct lmdb_image *image, const struct lmdb_state *state,
                       struct store_report *report)
{
    char path[PATH_MAX];
    struct repair_copy copy = {0};
    struct lmdb_faults faults = {0};
    if ((size_t)snprintf(path, sizeof path, "%s/repair.tmp", d->path) >= sizeof path)
        return err_set(-ENAMETOOLONG, "%s", d->path);
    if (mkdirat(d->fd, "repair.tmp", 0700) < 0)
        return err_errno(-errno, "make %s", path);
    int r = repair_copy_state(path, image, state, &copy, &faults);
    if (r >= 0)
        r = repair_exchange(d, report);
    if (r < 0)
        return r;
    report->is_repaired = true;
    report->is_rolled_back |= state != &image->states[0];
    report->kept_entries = copy.n_kept;
    report->lost_entries = copy.n_bad + faults.entries;
    report->lost_pages = faults.pages;
    return 0;
}

int lmdb_repair_run(const struct lmdb_dir *d, int data_fd, struct store_report *ret_report)
{
    struct lmdb_image image;
    const struct lmdb_state *state;
    int r = lmdb_image_open(data_fd, &image);
    if (r >= 0)
        r = repair_choose(&image, &state);
    if (r < 0)
        return err_context(r, "repair");
    repair_clean_up(d); /* of a repair that was interrupted */
    r = repair_make(d, &image, state, ret_report);
    repair_clean_up(d);
    return r;
}
