/* See store_support.h. */
#include "store_support.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop_support.h"

const char *store_support_make_dir(void)
{
    static char dir[256];
    const char *top = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/store-test.XXXXXX", top ? top : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    return dir;
}

/* Nothing that a store makes lies deeper than one folder. */
void store_support_remove_dir(const char *dir)
{
    char path[600];
    DIR *d = opendir(dir);
    for (const struct dirent *entry; d && (entry = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (entry->d_type == DT_DIR)
            store_support_remove_dir(path);
        else
            unlink(path);
    }
    if (d)
        closedir(d);
    rmdir(dir);
}

void store_support_done(void *arg, int result)
{
    *(int *)arg = result;
}

static bool store_support_has_come(void *arg)
{
    return *(const int *)arg != STORE_SUPPORT_WAITING;
}

int store_support_wait(struct loop *loop, const int *result)
{
    loop_support_until(loop, store_support_has_come, (void *)result);
    return *result;
}

void store_support_put(struct store_batch *b, const char *key, const char *value)
{
    const struct store_value v = {.head = store_text(value)};
    ck_assert_uint_ne(store_put(b, store_text(key), &v), 0);
}

int store_support_put_now(struct loop *loop, struct store_client *c, const char *key, const char *value)
{
    int result = STORE_SUPPORT_WAITING;
    struct store_batch *b = store_begin(c);
    store_support_put(b, key, value);
    store_commit(b, 0, store_support_done, &result);
    return store_support_wait(loop, &result);
}

int store_support_delete_now(struct loop *loop, struct store_client *c, const char *key)
{
    int result = STORE_SUPPORT_WAITING;
    struct store_batch *b = store_begin(c);
    store_delete(b, store_text(key));
    store_commit(b, 0, store_support_done, &result);
    return store_support_wait(loop, &result);
}

/* --- Scanning. */

struct scan {
    struct store_client *client;
    size_t max_items;
    int result;
    char text[4096];
};

static void scan_append(struct scan *s, const struct store_item *item)
{
    size_t n = strlen(s->text);
    snprintf(s->text + n, sizeof s->text - n, "%s%.*s=%.*s", n ? " " : "", (int)item->key.len,
             (const char *)item->key.bytes, (int)item->value.len, (const char *)item->value.bytes);
}

static void scan_on_page(void *arg, int result, const struct store_page *page)
{
    struct scan *s = arg;
    ck_assert(s->max_items == 0 || page->n_items <= s->max_items);
    for (size_t i = 0; i < page->n_items; i++)
        scan_append(s, &page->items[i]);
    if (result < 0 || page->is_end)
        s->result = result;
    else
        store_scan(s->client, &page->rest, s->max_items, 0, scan_on_page, s);
}

const char *store_support_scan(struct loop *loop, struct store_client *c, const char *first, const char *end,
                               size_t max_items)
{
    static struct scan s;
    const struct store_range range = {.first = store_text(first), .end = store_text(end)};
    s = (struct scan){.client = c, .max_items = max_items, .result = STORE_SUPPORT_WAITING};
    store_scan(c, &range, max_items, 0, scan_on_page, &s);
    ck_assert_int_eq(store_support_wait(loop, &s.result), 0);
    return s.text;
}
