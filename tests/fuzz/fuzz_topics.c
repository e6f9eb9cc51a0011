/* Both topic indexes against lists that are searched from front to back with slow_match().
 * Input: operations, each a byte that says which, a byte for an owner or a slice, and a text of some letters. */
#include <string.h>

#include "ensure.h"
#include "input.h"
#include "mqtt_topic.h"
#include "retained_index.h"
#include "slow_match.h"
#include "topic_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 24, LIST_MAX = 128, N_OWNERS = 4 };

struct text {
    uint8_t bytes[TEXT_MAX];
    uint32_t len;
};

/* A subscription or a retained topic. Its address is owner or value; that of a subscription's owner is in OWNERS. */
struct row {
    bool is_in;
    unsigned owner;
    struct text text;
};

struct rows {
    struct row rows[LIST_MAX];
};

static uint8_t owners[N_OWNERS];
static struct rows subscribed, kept;
static struct topic_index *subscriptions;
static struct retained_index *retained;

static struct mqtt_bytes bytes_of(const struct text *text)
{
    return (struct mqtt_bytes){.ptr = text->bytes, .len = text->len};
}

/* Few letters, so that texts meet. */
static struct text take_text(struct cursor *input)
{
    static const char letters[16] = "////++##$aaabbbc";
    struct mqtt_bytes raw = take_bytes(input);
    struct text text = {.len = raw.len < TEXT_MAX ? raw.len : TEXT_MAX};
    for (uint32_t i = 0; i < text.len; i++)
        text.bytes[i] = (uint8_t)letters[raw.ptr[i] % sizeof(letters)];
    return text;
}

/* The row with TEXT and OWNER, else a free one, else NULL. */
static struct row *find_row(struct rows *list, const struct text *text, unsigned owner)
{
    struct row *free_row = NULL;
    for (size_t i = 0; i < LIST_MAX; i++) {
        struct row *row = &list->rows[i];
        if (!row->is_in)
            free_row = row;
        else if (row->owner == owner && row->text.len == text->len &&
                 memcmp(row->text.bytes, text->bytes, text->len) == 0)
            return row;
    }
    return free_row;
}

static size_t count_rows(const struct rows *list)
{
    size_t n = 0;
    for (size_t i = 0; i < LIST_MAX; i++)
        n += list->rows[i].is_in;
    return n;
}

static void subscribe(const struct text *text, unsigned owner)
{
    struct row *row = find_row(&subscribed, text, owner);
    if (!row)
        return;
    struct topic_entry entry = {.owner = &owners[owner], .options = (uint32_t)(row - subscribed.rows)};
    int r = topic_index_add(subscriptions, bytes_of(text), &entry, NULL);
    ensure(r == (row->is_in ? TOPIC_REPLACED : 0));
    *row = (struct row){.is_in = true, .owner = owner, .text = *text};
}

static void unsubscribe(const struct text *text, unsigned owner)
{
    struct row *row = find_row(&subscribed, text, owner);
    struct topic_filter *filter = topic_index_find(subscriptions, bytes_of(text));
    bool was_in = filter && topic_index_remove(subscriptions, filter, &owners[owner]);
    ensure(was_in == (row && row->is_in));
    if (was_in)
        row->is_in = false;
}

static void match(const struct text *topic)
{
    struct topic_matches matches = {0};
    size_t n = 0;
    ensure(topic_index_match(subscriptions, bytes_of(topic), &matches) == 0);
    for (size_t i = 0; i < LIST_MAX; i++)
        n += subscribed.rows[i].is_in && slow_match(bytes_of(&subscribed.rows[i].text), bytes_of(topic));
    ensure(matches.n == n);
    for (size_t i = 0; i < matches.n; i++) {
        const struct row *row = &subscribed.rows[matches.entries[i].options];
        ensure(matches.entries[i].owner == &owners[row->owner]);
        ensure(row->is_in && slow_match(bytes_of(&row->text), bytes_of(topic)));
    }
    topic_matches_deinit(&matches);
}

static void retain(const struct text *topic)
{
    void *old;
    struct row *row = find_row(&kept, topic, 0);
    if (!row)
        return;
    ensure(retained_index_set(retained, bytes_of(topic), row, &old) == 0);
    ensure(old == (row->is_in ? row : NULL));
    *row = (struct row){.is_in = true, .text = *topic};
}

static void forget(const struct text *topic)
{
    struct row *row = find_row(&kept, topic, 0);
    void *found = retained_index_find(retained, bytes_of(topic));
    ensure(found == (row && row->is_in ? row : NULL));
    ensure(retained_index_remove(retained, bytes_of(topic)) == found);
    if (found)
        row->is_in = false;
}

static void walk(const struct text *filter, unsigned slice)
{
    struct retained_item items[16];
    bool met[LIST_MAX] = {0};
    struct retained_walk *w = retained_walk_new(retained, bytes_of(filter));
    while (!retained_walk_is_done(w)) {
        int n = retained_walk_next(w, items, (int)(slice & 15) + 1, (int)(slice >> 4) + 1);
        for (int i = 0; i < n; i++) {
            size_t at = (size_t)((const struct row *)items[i].value - kept.rows);
            ensure(!met[at]);
            met[at] = true;
        }
    }
    for (size_t i = 0; i < LIST_MAX; i++) {
        const struct row *row = &kept.rows[i];
        ensure(met[i] == (row->is_in && (filter->len == 0 || slow_match(bytes_of(filter), bytes_of(&row->text)))));
    }
    retained_walk_free(w);
}

static void run_filter(unsigned operation, const struct text *filter, unsigned with)
{
    if (!mqtt_topic_filter_is_valid(bytes_of(filter)))
        return;
    if (operation == 0)
        subscribe(filter, with % N_OWNERS);
    else if (operation == 1)
        unsubscribe(filter, with % N_OWNERS);
    else
        walk(filter, with);
}

static void run_topic(unsigned operation, const struct text *topic)
{
    if (!mqtt_topic_name_is_valid(bytes_of(topic)))
        return;
    if (operation == 0)
        match(topic);
    else if (operation == 1)
        retain(topic);
    else
        forget(topic);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor input = cursor_make(data, size);
    subscribed = kept = (struct rows){0};
    subscriptions = topic_index_new();
    retained = retained_index_new();
    while (input.len > 0) {
        unsigned operation = take_u8(&input), with = take_u8(&input);
        struct text text = take_text(&input);
        if (operation % 2)
            run_filter(operation / 2 % 3, &text, with);
        else
            run_topic(operation / 2 % 3, &text);
        ensure(topic_index_count(subscriptions) == count_rows(&subscribed));
        ensure(retained_index_count(retained) == count_rows(&kept));
    }
    subscriptions = topic_index_free(subscriptions);
    retained = retained_index_free(retained);
    return 0;
}
