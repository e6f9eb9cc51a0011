/* LMDB's file read by ourselves, page by page and with every number checked: LMDB itself believes what it reads and
 * ends the program, or worse, when a page is torn. Nothing here writes, and nothing here uses LMDB.
 *
 * The format is that of LMDB 0.9 (data version 1) on a 64-bit machine, in its byte order:
 *
 *   page 0, 1    meta: two states of the store, the one with the higher transaction counts; each names the roots of two
 *                trees, of free pages and of the entries
 *   other pages  branch, leaf, or the start of an overflow run; a header says which, and what number it has
 */
#ifndef LMDB_IMAGE_H
#define LMDB_IMAGE_H

#include "store.h"

enum { LMDB_DEPTH_MAX = 32 }; /* of LMDB's cursors */

struct lmdb_tree {
    uint16_t flags, depth;
    uint64_t n_entries;
    uint64_t root; /* UINT64_MAX = empty */
};

struct lmdb_state {
    uint64_t txn;
    uint64_t last_page;
    struct lmdb_tree free_pages, entries;
};

struct lmdb_image {
    int fd; /* of data.mdb; the caller's */
    uint64_t file_pages;
    uint32_t page_bytes;
    struct lmdb_state states[2]; /* the newer one first */
    bool has_state[2];
};

/* What is wrong with a state. */
struct lmdb_faults {
    uint64_t pages;   /* of the entries' tree that cannot be read, with all below them */
    uint64_t entries; /* seen and not readable */
    uint64_t others;  /* that cost no entry: a wrong count, a bad list of free pages */
    char first[160];  /* "page 17: ..."; empty: nothing is wrong */
};

/* 0; -EILSEQ if this is not LMDB's or neither state can be used; both with err_text(). An empty file has no states,
 * which is good. */
int lmdb_image_open(int fd, struct lmdb_image *ret_image);

/* Both states are there, and they are of transactions that followed each other. LMDB opens nothing else. */
bool lmdb_image_has_both_states(const struct lmdb_image *image);

/* All entries of a state in order, as far as they can be read; KEY and VALUE last during the call. FN: 0, or negative
 * to stop with that. With FN NULL values on pages of their own are not read, only their place is checked. 0 whatever
 * the faults; negative errno only if memory is short or of FN. */
int lmdb_image_walk(const struct lmdb_image *image, const struct lmdb_state *state, store_load_fn *fn, void *arg,
                    struct lmdb_faults *ret_faults);

static inline bool lmdb_faults_any(const struct lmdb_faults *f)
{
    return f->first[0] != '\0';
}

#endif
