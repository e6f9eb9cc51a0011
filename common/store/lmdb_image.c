/* See lmdb_image.h. */
#include "lmdb_image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"

enum {
    LMDB_MAGIC = (int)0xBEEFC0DE,
    LMDB_VERSION = 1,
    LMDB_PAGE_MIN = 512, /* bytes */
    LMDB_PAGE_MAX = 32768,
    LMDB_KEY_MAX = 511,
    /* a page's header */
    LMDB_PAGE_NUMBER = 0,
    LMDB_PAGE_FLAGS = 10,
    LMDB_PAGE_LOWER = 12,
    LMDB_PAGE_UPPER = 14,
    LMDB_PAGE_RUN = 12, /* of an overflow page: how many */
    LMDB_PAGE_HEADER = 16,
    /* behind it, on a meta page */
    LMDB_META_MAGIC = 16,
    LMDB_META_VERSION = 20,
    LMDB_META_FREE = 40, /* a tree of LMDB_TREE bytes; the page size is its first field */
    LMDB_META_MAIN = 88,
    LMDB_META_LAST_PAGE = 136,
    LMDB_META_TXN = 144,
    LMDB_META_END = 152,
    /* a tree */
    LMDB_TREE_FLAGS = 4,
    LMDB_TREE_DEPTH = 6,
    LMDB_TREE_ENTRIES = 32,
    LMDB_TREE_ROOT = 40,
    /* a node */
    LMDB_NODE_LOW = 0,
    LMDB_NODE_HIGH = 2,
    LMDB_NODE_FLAGS = 4,
    LMDB_NODE_KEY_LEN = 6,
    LMDB_NODE_HEADER = 8,
    /* flags */
    LMDB_BRANCH = 1,
    LMDB_LEAF = 2,
    LMDB_OVERFLOW = 4,
    LMDB_META = 8,
    LMDB_BIG_DATA = 1,     /* of a node: the value is on pages of its own */
    LMDB_INTEGER_KEYS = 8, /* of a tree */
    /* limits */
    LMDB_UNWRITTEN_MAX = 1 << 17, /* pages: what a transaction holds in memory */
};
#define LMDB_TXN_MAX (UINT64_MAX / 2)

/* A walk over the trees of a state. */
struct lmdb_walk {
    const struct lmdb_image *image;
    const struct lmdb_state *state;
    store_load_fn *fn;
    void *arg;
    struct lmdb_faults *faults;
    bool is_free_tree;
    uint64_t n_entries; /* of this tree, so far */
    uint8_t *seen;      /* a bit for each page of the file: in use, or free */
    uint8_t *pages[LMDB_DEPTH_MAX];
    uint8_t last_key[LMDB_KEY_MAX];
    size_t last_key_len;
    bool has_last_key;
    bool last_is_separator;
    uint8_t *value; /* one that was on pages of its own */
    size_t value_size;
};

static uint16_t lmdb_u16(const uint8_t *p)
{
    uint16_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

static uint32_t lmdb_u32(const uint8_t *p)
{
    uint32_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

static uint64_t lmdb_u64(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

static bool lmdb_read(const struct lmdb_image *image, uint64_t offset, void *dst, size_t n)
{
    uint8_t *at = dst;
    while (n > 0) {
        ssize_t r = pread(image->fd, at, n, (off_t)offset);
        if (r <= 0)
            return false;
        at += r;
        offset += (uint64_t)r;
        n -= (size_t)r;
    }
    return true;
}

/* --- The states. */

static struct lmdb_tree lmdb_tree_read(const uint8_t *p)
{
    return (struct lmdb_tree){.flags = lmdb_u16(p + LMDB_TREE_FLAGS),
                              .depth = lmdb_u16(p + LMDB_TREE_DEPTH),
                              .n_entries = lmdb_u64(p + LMDB_TREE_ENTRIES),
                              .root = lmdb_u64(p + LMDB_TREE_ROOT)};
}

static bool lmdb_page_bytes_are_good(uint32_t n)
{
    return n >= LMDB_PAGE_MIN && n <= LMDB_PAGE_MAX && (n & (n - 1)) == 0;
}

static bool lmdb_state_read(const uint8_t *meta, struct lmdb_state *ret_state, uint32_t *ret_page_bytes)
{
    if (lmdb_u16(meta + LMDB_PAGE_FLAGS) != LMDB_META || lmdb_u32(meta + LMDB_META_MAGIC) != (uint32_t)LMDB_MAGIC ||
        lmdb_u32(meta + LMDB_META_VERSION) != LMDB_VERSION)
        return false;
    if (!lmdb_page_bytes_are_good(lmdb_u32(meta + LMDB_META_FREE)))
        return false;
    *ret_page_bytes = lmdb_u32(meta + LMDB_META_FREE);
    *ret_state = (struct lmdb_state){.txn = lmdb_u64(meta + LMDB_META_TXN),
                                     .last_page = lmdb_u64(meta + LMDB_META_LAST_PAGE),
                                     .free_pages = lmdb_tree_read(meta + LMDB_META_FREE),
                                     .entries = lmdb_tree_read(meta + LMDB_META_MAIN)};
    return true;
}

/* The page size stands in both; where the first one is damaged the second one is looked for at every size. */
static bool lmdb_image_read_state(struct lmdb_image *image, uint64_t offset, struct lmdb_state *ret_state)
{
    uint8_t meta[LMDB_META_END];
    uint32_t page_bytes;
    if (!lmdb_read(image, offset, meta, sizeof meta) || !lmdb_state_read(meta, ret_state, &page_bytes))
        return false;
    if (offset > 0 && page_bytes != offset)
        return false;
    image->page_bytes = page_bytes;
    return true;
}

static void lmdb_image_read_states(struct lmdb_image *image)
{
    image->has_state[0] = lmdb_image_read_state(image, 0, &image->states[0]);
    for (uint32_t n = LMDB_PAGE_MIN; n <= LMDB_PAGE_MAX && !image->has_state[1]; n *= 2) {
        if (!image->has_state[0] || n == image->page_bytes)
            image->has_state[1] = lmdb_image_read_state(image, n, &image->states[1]);
    }
}

/* The newer one to the front; of two with the same number LMDB takes the first. */
static void lmdb_image_sort_states(struct lmdb_image *image)
{
    bool is_second = image->has_state[1] && (!image->has_state[0] || image->states[1].txn > image->states[0].txn);
    if (!is_second)
        return;
    struct lmdb_state first = image->states[0];
    image->states[0] = image->states[1];
    image->states[1] = first;
    image->has_state[1] = image->has_state[0];
    image->has_state[0] = true;
}

int lmdb_image_open(int fd, struct lmdb_image *ret_image)
{
    struct lmdb_image image = {.fd = fd};
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_errno(-errno, "data.mdb");
    if (st.st_size > 0) {
        lmdb_image_read_states(&image);
        if (!image.has_state[0] && !image.has_state[1])
            return err_set(-EILSEQ, "data.mdb: neither of its first two pages is one of LMDB's");
        image.file_pages = (uint64_t)st.st_size / image.page_bytes;
        lmdb_image_sort_states(&image);
    }
    *ret_image = image;
    return 0;
}

/* After a state has been put back (lmdb_synced.h) both are the same. */
bool lmdb_image_has_both_states(const struct lmdb_image *image)
{
    return image->has_state[0] && image->has_state[1] && image->states[0].txn - image->states[1].txn <= 1;
}

/* --- Faults. */

__attribute__((format(printf, 3, 4))) static void lmdb_fault(struct lmdb_walk *w, uint64_t *count, const char *fmt, ...)
{
    (*count)++;
    if (lmdb_faults_any(w->faults))
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(w->faults->first, sizeof w->faults->first, fmt, args);
    va_end(args);
}

/* A page that cannot be used. Of the tree of free pages nothing is lost by it. */
static uint64_t *lmdb_page_faults(struct lmdb_walk *w)
{
    return w->is_free_tree ? &w->faults->others : &w->faults->pages;
}

static uint64_t *lmdb_entry_faults(struct lmdb_walk *w)
{
    return w->is_free_tree ? &w->faults->others : &w->faults->entries;
}

/* False if page N is not there or was met before. */
static bool lmdb_see_page(struct lmdb_walk *w, uint64_t n, uint64_t *faults)
{
    if (n < 2 || n > w->state->last_page || n >= w->image->file_pages) {
        lmdb_fault(w, faults, "page %" PRIu64 " is not in the file, which has %" PRIu64, n, w->image->file_pages);
        return false;
    }
    uint8_t bit = (uint8_t)(1 << (n % 8));
    if (w->seen[n / 8] & bit) {
        lmdb_fault(w, faults, "page %" PRIu64 " is used twice", n);
        return false;
    }
    w->seen[n / 8] |= bit;
    return true;
}

/* --- Nodes. */

static unsigned lmdb_page_nodes(const uint8_t *page)
{
    return (lmdb_u16(page + LMDB_PAGE_LOWER) - LMDB_PAGE_HEADER) / 2u;
}

/* NULL if it does not lie within the page. */
static const uint8_t *lmdb_page_node(const struct lmdb_walk *w, const uint8_t *page, unsigned i)
{
    uint32_t size = w->image->page_bytes;
    uint32_t offset = lmdb_u16(page + LMDB_PAGE_HEADER + 2 * i);
    if (offset < lmdb_u16(page + LMDB_PAGE_UPPER) || offset % 2 != 0 || offset + LMDB_NODE_HEADER > size)
        return NULL;
    const uint8_t *node = page + offset;
    return offset + LMDB_NODE_HEADER + lmdb_u16(node + LMDB_NODE_KEY_LEN) <= size ? node : NULL;
}

static struct store_bytes lmdb_node_key(const uint8_t *node)
{
    return (struct store_bytes){node + LMDB_NODE_HEADER, lmdb_u16(node + LMDB_NODE_KEY_LEN)};
}

static uint64_t lmdb_node_child(const uint8_t *node)
{
    return lmdb_u16(node + LMDB_NODE_LOW) | (uint64_t)lmdb_u16(node + LMDB_NODE_HIGH) << 16 |
           (uint64_t)lmdb_u16(node + LMDB_NODE_FLAGS) << 32;
}

static uint32_t lmdb_node_value_len(const uint8_t *node)
{
    return lmdb_u16(node + LMDB_NODE_LOW) | (uint32_t)lmdb_u16(node + LMDB_NODE_HIGH) << 16;
}

/* --- Values. */

/* The run of pages from N on that holds VALUE_LEN bytes; false if it is none. It may be longer: LMDB writes a smaller
 * value over a larger one. */
static bool lmdb_check_run(struct lmdb_walk *w, uint64_t n, uint32_t value_len)
{
    uint64_t needed = (LMDB_PAGE_HEADER - 1 + (uint64_t)value_len) / w->image->page_bytes + 1;
    uint8_t header[LMDB_PAGE_HEADER];
    if (!lmdb_see_page(w, n, lmdb_entry_faults(w)))
        return false;
    if (!lmdb_read(w->image, n * w->image->page_bytes, header, sizeof header) ||
        lmdb_u64(header + LMDB_PAGE_NUMBER) != n || lmdb_u16(header + LMDB_PAGE_FLAGS) != LMDB_OVERFLOW ||
        lmdb_u32(header + LMDB_PAGE_RUN) < needed) {
        lmdb_fault(w, lmdb_entry_faults(w), "page %" PRIu64 " does not begin a value of %u bytes", n, value_len);
        return false;
    }
    for (uint64_t i = 1; i < lmdb_u32(header + LMDB_PAGE_RUN); i++) {
        if (!lmdb_see_page(w, n + i, lmdb_entry_faults(w)))
            return false;
    }
    return true;
}

static bool lmdb_value_reserve(struct lmdb_walk *w, uint32_t len)
{
    if (len <= w->value_size)
        return true;
    uint8_t *value = realloc(w->value, len);
    if (!value)
        return false;
    w->value = value;
    w->value_size = len;
    return true;
}

/* A value that has pages of its own. 1 = there it is, 0 = it is not (a fault), negative errno. */
static int lmdb_read_big_value(struct lmdb_walk *w, const uint8_t *node, struct store_bytes *ret_value)
{
    uint64_t first = lmdb_u64((const uint8_t *)lmdb_node_key(node).bytes + lmdb_node_key(node).len);
    uint32_t len = lmdb_node_value_len(node);
    if (!lmdb_check_run(w, first, len))
        return 0;
    if (!w->fn && !w->is_free_tree) {
        *ret_value = (struct store_bytes){NULL, len};
        return 1;
    }
    if (!lmdb_value_reserve(w, len))
        return err_set(-ENOMEM, "a value of %u bytes: out of memory", len);
    if (!lmdb_read(w->image, first * w->image->page_bytes + LMDB_PAGE_HEADER, w->value, len)) {
        lmdb_fault(w, lmdb_entry_faults(w), "page %" PRIu64 ": cannot be read", first);
        return 0;
    }
    *ret_value = (struct store_bytes){w->value, len};
    return 1;
}

/* As above. */
static int lmdb_read_value(struct lmdb_walk *w, uint64_t n, const uint8_t *page, const uint8_t *node,
                           struct store_bytes *ret_value)
{
    struct store_bytes key = lmdb_node_key(node);
    const uint8_t *value = (const uint8_t *)key.bytes + key.len;
    uint16_t flags = lmdb_u16(node + LMDB_NODE_FLAGS);
    uint32_t len = flags == LMDB_BIG_DATA ? 8 : lmdb_node_value_len(node);
    if ((flags != 0 && flags != LMDB_BIG_DATA) || len > w->image->page_bytes - (size_t)(value - page)) {
        lmdb_fault(w, lmdb_entry_faults(w), "page %" PRIu64 ": an entry reaches beyond it", n);
        return 0;
    }
    if (flags == LMDB_BIG_DATA)
        return lmdb_read_big_value(w, node, ret_value);
    *ret_value = (struct store_bytes){value, len};
    return 1;
}

/* --- Pages. */

static uint8_t *lmdb_page_reserve(struct lmdb_walk *w, unsigned depth)
{
    if (!w->pages[depth])
        w->pages[depth] = malloc(w->image->page_bytes);
    return w->pages[depth];
}

static bool lmdb_page_is_good(struct lmdb_walk *w, uint64_t n, const uint8_t *page)
{
    uint16_t flags = lmdb_u16(page + LMDB_PAGE_FLAGS);
    uint16_t lower = lmdb_u16(page + LMDB_PAGE_LOWER), upper = lmdb_u16(page + LMDB_PAGE_UPPER);
    unsigned min_nodes = flags == LMDB_BRANCH && !w->is_free_tree ? 2 : 1;
    if (lmdb_u64(page + LMDB_PAGE_NUMBER) != n)
        lmdb_fault(w, lmdb_page_faults(w), "page %" PRIu64 " says that it is page %" PRIu64, n,
                   lmdb_u64(page + LMDB_PAGE_NUMBER));
    else if (flags != LMDB_BRANCH && flags != LMDB_LEAF)
        lmdb_fault(w, lmdb_page_faults(w), "page %" PRIu64 " is neither a branch nor a leaf (flags %#x)", n, flags);
    else if (lower < LMDB_PAGE_HEADER + 2 * min_nodes || lower % 2 != 0 || lower > upper ||
             upper > w->image->page_bytes)
        lmdb_fault(w, lmdb_page_faults(w), "page %" PRIu64 ": its free space is said to be %u to %u", n, lower, upper);
    else
        return true;
    return false;
}

/* NULL after a fault; *RET_RESULT is negative if memory is short. */
static const uint8_t *lmdb_page_get(struct lmdb_walk *w, uint64_t n, unsigned depth, int *ret_result)
{
    if (!lmdb_see_page(w, n, lmdb_page_faults(w)))
        return NULL;
    uint8_t *page = lmdb_page_reserve(w, depth);
    if (!page) {
        *ret_result = err_set(-ENOMEM, "data.mdb: out of memory");
        return NULL;
    }
    if (!lmdb_read(w->image, n * w->image->page_bytes, page, w->image->page_bytes)) {
        lmdb_fault(w, lmdb_page_faults(w), "page %" PRIu64 ": cannot be read", n);
        return NULL;
    }
    return lmdb_page_is_good(w, n, page) ? page : NULL;
}

/* --- Entries. */

static int lmdb_key_order(const struct lmdb_walk *w, struct store_bytes a, struct store_bytes b)
{
    if (w->is_free_tree) {
        uint64_t x = lmdb_u64(a.bytes), y = lmdb_u64(b.bytes);
        return (x > y) - (x < y);
    }
    size_t n = a.len < b.len ? a.len : b.len;
    int order = memcmp(a.bytes, b.bytes, n);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static bool lmdb_key_is_good(const struct lmdb_walk *w, struct store_bytes key)
{
    return w->is_free_tree ? key.len == 8 : key.len > 0 && key.len <= LMDB_KEY_MAX;
}

/* KEY comes after all keys so far, and not before the last separator. Out of order is a fault, but loses nothing. */
static void lmdb_check_order(struct lmdb_walk *w, uint64_t n, struct store_bytes key, bool is_separator)
{
    const struct store_bytes last = {w->last_key, w->last_key_len};
    int order = w->has_last_key ? lmdb_key_order(w, last, key) : -1;
    if (order > 0 || (order == 0 && !w->last_is_separator))
        lmdb_fault(w, &w->faults->others, "page %" PRIu64 ": a key is out of order", n);
    memcpy(w->last_key, key.bytes, key.len);
    w->last_key_len = key.len;
    w->has_last_key = true;
    w->last_is_separator = is_separator;
}

/* A list of free pages: a count, and so many page numbers, the highest first. */
static void lmdb_check_free_list(struct lmdb_walk *w, uint64_t n, struct store_bytes value)
{
    const uint8_t *ids = value.bytes;
    uint64_t count = value.len >= 8 ? lmdb_u64(ids) : 0;
    if (value.len < 8 || value.len % 8 != 0 || count > value.len / 8 - 1) {
        lmdb_fault(w, &w->faults->others, "page %" PRIu64 ": a list of free pages has a wrong length", n);
        return;
    }
    uint64_t last = UINT64_MAX;
    for (uint64_t i = 1; i <= count; i++) {
        uint64_t id = lmdb_u64(ids + 8 * i);
        bool is_beyond_file = id >= w->image->file_pages && id <= w->state->last_page; /* taken and never written */
        if (id >= last)
            lmdb_fault(w, &w->faults->others, "page %" PRIu64 ": a list of free pages is out of order", n);
        if (!is_beyond_file && !lmdb_see_page(w, id, &w->faults->others))
            return;
        last = id;
    }
}

static int lmdb_visit_entry(struct lmdb_walk *w, uint64_t n, struct store_bytes key, struct store_bytes value)
{
    w->n_entries++;
    lmdb_check_order(w, n, key, false);
    if (w->is_free_tree) {
        lmdb_check_free_list(w, n, value);
        return 0;
    }
    return w->fn ? w->fn(w->arg, key, value) : 0;
}

/* Nodes lie one behind the other from the end of the free space to the end of the page, in any order: two that overlap,
 * or a gap, would show in their sum. */
static void lmdb_check_packing(struct lmdb_walk *w, uint64_t n, const uint8_t *page)
{
    bool is_leaf = lmdb_u16(page + LMDB_PAGE_FLAGS) == LMDB_LEAF;
    uint64_t sum = 0;
    for (unsigned i = 0; i < lmdb_page_nodes(page); i++) {
        const uint8_t *node = lmdb_page_node(w, page, i);
        if (!node)
            return; /* a fault that will be told */
        uint64_t value_len = lmdb_u16(node + LMDB_NODE_FLAGS) == LMDB_BIG_DATA ? 8 : lmdb_node_value_len(node);
        uint64_t len = LMDB_NODE_HEADER + lmdb_node_key(node).len + (is_leaf ? value_len : 0);
        sum += len + len % 2;
    }
    if (sum != w->image->page_bytes - lmdb_u16(page + LMDB_PAGE_UPPER))
        lmdb_fault(w, &w->faults->others, "page %" PRIu64 ": its entries do not fill it", n);
}

static int lmdb_visit_leaf(struct lmdb_walk *w, uint64_t n, const uint8_t *page)
{
    lmdb_check_packing(w, n, page);
    for (unsigned i = 0; i < lmdb_page_nodes(page); i++) {
        const uint8_t *node = lmdb_page_node(w, page, i);
        struct store_bytes value;
        if (!node || !lmdb_key_is_good(w, lmdb_node_key(node))) {
            lmdb_fault(w, lmdb_entry_faults(w), "page %" PRIu64 ": entry %u is not one", n, i);
            continue;
        }
        int r = lmdb_read_value(w, n, page, node, &value);
        if (r > 0)
            r = lmdb_visit_entry(w, n, lmdb_node_key(node), value);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- Trees. */

static int lmdb_visit_page(struct lmdb_walk *w, uint64_t n, unsigned depth, const struct lmdb_tree *tree);

static int lmdb_visit_branch(struct lmdb_walk *w, uint64_t n, const uint8_t *page, unsigned depth,
                             const struct lmdb_tree *tree)
{
    lmdb_check_packing(w, n, page);
    for (unsigned i = 0; i < lmdb_page_nodes(page); i++) {
        const uint8_t *node = lmdb_page_node(w, page, i);
        if (!node || (i > 0 && !lmdb_key_is_good(w, lmdb_node_key(node)))) {
            lmdb_fault(w, lmdb_page_faults(w), "page %" PRIu64 ": branch %u is not one", n, i);
            continue;
        }
        if (i > 0) /* the first one's key is not used */
            lmdb_check_order(w, n, lmdb_node_key(node), true);
        int r = lmdb_visit_page(w, lmdb_node_child(node), depth + 1, tree);
        if (r < 0)
            return r;
    }
    return 0;
}

static int lmdb_visit_page(struct lmdb_walk *w, uint64_t n, unsigned depth, const struct lmdb_tree *tree)
{
    int r = 0;
    if (depth >= LMDB_DEPTH_MAX) {
        lmdb_fault(w, lmdb_page_faults(w), "page %" PRIu64 " lies too deep", n);
        return 0;
    }
    const uint8_t *page = lmdb_page_get(w, n, depth, &r);
    if (!page)
        return r;
    bool is_leaf = lmdb_u16(page + LMDB_PAGE_FLAGS) == LMDB_LEAF;
    if (!is_leaf)
        return lmdb_visit_branch(w, n, page, depth, tree);
    if (depth + 1u != tree->depth)
        lmdb_fault(w, &w->faults->others, "page %" PRIu64 ": a leaf that does not lie at the bottom", n);
    return lmdb_visit_leaf(w, n, page);
}

static int lmdb_visit_tree(struct lmdb_walk *w, const struct lmdb_tree *tree, bool is_free_tree)
{
    w->is_free_tree = is_free_tree;
    w->has_last_key = false;
    w->n_entries = 0;
    if (tree->flags != (is_free_tree ? LMDB_INTEGER_KEYS : 0))
        lmdb_fault(w, &w->faults->others, "a tree is of a kind (%#x) that no store has", tree->flags);
    if (tree->root == UINT64_MAX && tree->depth != 0)
        lmdb_fault(w, &w->faults->others, "a tree is empty and %u pages deep", tree->depth);
    int r = tree->root == UINT64_MAX ? 0 : lmdb_visit_page(w, tree->root, 0, tree);
    if (r >= 0 && w->n_entries != tree->n_entries && !lmdb_faults_any(w->faults))
        lmdb_fault(w, &w->faults->others, "%" PRIu64 " entries are there, %" PRIu64 " should be", w->n_entries,
                   tree->n_entries);
    return r;
}

/* Numbers that LMDB counts on with. The last page may lie beyond the file: one that was taken and never written. */
static void lmdb_check_numbers(struct lmdb_walk *w)
{
    const struct lmdb_state *s = w->state;
    if (s->txn > LMDB_TXN_MAX)
        lmdb_fault(w, &w->faults->others, "transaction %" PRIu64 " cannot have been", s->txn);
    if (s->last_page < 1 || s->last_page > w->image->file_pages + LMDB_UNWRITTEN_MAX)
        lmdb_fault(w, &w->faults->others, "its last page is said to be %" PRIu64 ", the file has %" PRIu64,
                   s->last_page, w->image->file_pages);
}

static void lmdb_walk_deinit(struct lmdb_walk *w)
{
    for (unsigned i = 0; i < LMDB_DEPTH_MAX; i++)
        free(w->pages[i]);
    free(w->value);
    free(w->seen);
}

int lmdb_image_walk(const struct lmdb_image *image, const struct lmdb_state *state, store_load_fn *fn, void *arg,
                    struct lmdb_faults *ret_faults)
{
    struct lmdb_faults faults = {0};
    struct lmdb_walk w = {.image = image, .state = state, .fn = fn, .arg = arg, .faults = &faults};
    w.seen = calloc(1, image->file_pages / 8 + 1);
    if (!w.seen)
        return err_set(-ENOMEM, "data.mdb: out of memory");
    lmdb_check_numbers(&w);
    int r = lmdb_visit_tree(&w, &state->entries, false);
    if (r >= 0)
        r = lmdb_visit_tree(&w, &state->free_pages, true);
    lmdb_walk_deinit(&w);
    if (r >= 0)
        *ret_faults = faults;
    return r;
}
