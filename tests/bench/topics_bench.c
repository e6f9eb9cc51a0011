/* What the topic indexes cost: time by the clock of this thread, memory by the allocator.
 *
 *     topics-bench [--filters N] [--topics N] [--rounds N] [--only matching|changes|retained]
 *
 * The numbers are 1,000,000, 200,000 and 5 unless given.
 *
 * Names are those of a plant: acme/site-017/line-2/device-00123/temperature. Of the filters 70 % have no wildcard, 20 %
 * have a "+" or two, 10 % end in "#". */
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plain_trie.h"
#include "retained_index.h"
#include "topic_index.h"

enum { SMALL = 1000, SENSORS = 12, LINES = 4, DEVICES_OF_SITE = 200, TEXT_MAX = 80, ROUNDS_MAX = 101 };

static const char *const sensors[SENSORS] = {"temperature", "humidity", "pressure", "vibration", "current", "voltage",
                                             "power",       "speed",    "level",    "flow",      "state",   "alarm"};

static unsigned n_filters = 1000000, n_topics = 200000, n_rounds = 5;

/* An owner per subscription would only be more memory; these are never looked into. */
static uint8_t owners[4096];

static uint32_t random_of(uint32_t n)
{
    static uint64_t state = 88172645463325252U;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % n;
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double memory_in_use(void)
{
    struct mallinfo2 m = mallinfo2();
    return (double)(m.uordblks + m.hblkhd);
}

static void check(bool claim, const char *what)
{
    if (claim)
        return;
    fprintf(stderr, "topics-bench: %s\n", what);
    exit(1);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, unsigned n)
{
    qsort(values, n, sizeof(*values), compare_doubles);
    return values[n / 2];
}

/* Texts, one after the other. */
struct texts {
    struct mqtt_bytes *at;
    unsigned n;
    char *bytes, *end;
};

static void texts_init(struct texts *t, unsigned n)
{
    *t = (struct texts){.at = calloc(n, sizeof(*t->at)), .bytes = malloc((size_t)n * TEXT_MAX)};
    t->end = t->bytes;
    check(t->at && t->bytes, "no memory");
}

static void texts_deinit(struct texts *t)
{
    free(t->at);
    free(t->bytes);
}

static void texts_add(struct texts *t, const char *text)
{
    size_t len = strlen(text);
    memcpy(t->end, text, len);
    t->at[t->n++] = (struct mqtt_bytes){.ptr = (const uint8_t *)t->end, .len = (uint32_t)len};
    t->end += len;
}

/* So many that not every sensor has a subscription of its own. */
static unsigned devices_for(unsigned filters)
{
    return filters * 7 / 10 / (SENSORS - 2) + 1;
}

static void make_topic(char text[TEXT_MAX], unsigned device, unsigned sensor)
{
    snprintf(text, TEXT_MAX, "acme/site-%03u/line-%u/device-%05u/%s", device / DEVICES_OF_SITE, device % LINES, device,
             sensors[sensor]);
}

static void make_plus(char text[TEXT_MAX], unsigned device, unsigned sensor)
{
    unsigned site = device / DEVICES_OF_SITE, line = device % LINES;
    switch (random_of(20)) {
    case 0: /* few of these are possible */
        snprintf(text, TEXT_MAX, "acme/site-%03u/+/+/%s", site, sensors[sensor]);
        break;
    case 1:
        snprintf(text, TEXT_MAX, "acme/site-%03u/line-%u/+/%s", site, line, sensors[sensor]);
        break;
    case 2:
    case 3:
    case 4:
        snprintf(text, TEXT_MAX, "acme/site-%03u/line-%u/device-%05u/+", site, line, device);
        break;
    case 5:
    case 6:
    case 7:
        snprintf(text, TEXT_MAX, "+/+/+/device-%05u/%s", device, sensors[sensor]);
        break;
    default:
        snprintf(text, TEXT_MAX, "acme/site-%03u/+/device-%05u/%s", site, device, sensors[sensor]);
    }
}

static void make_hash(char text[TEXT_MAX], unsigned device)
{
    unsigned site = device / DEVICES_OF_SITE, line = device % LINES;
    switch (random_of(20)) {
    case 0:
        snprintf(text, TEXT_MAX, "acme/site-%03u/#", site);
        break;
    case 1:
        snprintf(text, TEXT_MAX, "acme/site-%03u/line-%u/#", site, line);
        break;
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
        snprintf(text, TEXT_MAX, "acme/+/line-%u/device-%05u/#", line, device);
        break;
    default:
        snprintf(text, TEXT_MAX, "acme/site-%03u/line-%u/device-%05u/#", site, line, device);
    }
}

/* Each kind is drawn until its share is reached, or no new ones are found. */
static void make_filter(char text[TEXT_MAX], unsigned devices)
{
    unsigned device = random_of(devices), sensor = random_of(SENSORS), kind = random_of(10);
    if (kind < 7)
        make_topic(text, device, sensor);
    else if (kind < 9)
        make_plus(text, device, sensor);
    else
        make_hash(text, device);
}

static struct mqtt_bytes bytes_of(const char *text)
{
    return (struct mqtt_bytes){.ptr = (const uint8_t *)text, .len = (uint32_t)strlen(text)};
}

/* N different filters. */
static void make_filters(struct texts *filters, unsigned n)
{
    struct topic_index *seen = topic_index_new();
    struct topic_entry entry = {.owner = owners};
    char text[TEXT_MAX];
    texts_init(filters, n);
    while (filters->n < n) {
        make_filter(text, devices_for(n));
        if (topic_index_add(seen, bytes_of(text), &entry, NULL) == 0)
            texts_add(filters, text);
    }
    topic_index_free(seen);
}

/* N different topics of that many devices, in no order; fewer if there are not so many. */
static void make_topics(struct texts *topics, unsigned n, unsigned devices)
{
    unsigned all = devices * SENSORS, *order = calloc(all, sizeof(*order));
    char text[TEXT_MAX];
    check(order != NULL, "no memory");
    for (unsigned i = 0; i < all; i++) {
        unsigned other = random_of(i + 1);
        order[i] = order[other];
        order[other] = i;
    }
    texts_init(topics, n);
    for (unsigned i = 0; i < n && i < all; i++) {
        make_topic(text, order[i] / SENSORS, order[i] % SENSORS);
        texts_add(topics, text);
    }
    free(order);
}

static struct topic_index *make_index(const struct texts *filters)
{
    struct topic_index *index = topic_index_new();
    for (unsigned i = 0; i < filters->n; i++) {
        struct topic_entry entry = {.owner = &owners[i % sizeof(owners)], .options = i};
        check(topic_index_add(index, filters->at[i], &entry, NULL) == 0, "a filter was not added");
    }
    return index;
}

static struct plain_trie *make_trie(const struct texts *filters)
{
    struct plain_trie *trie = plain_trie_new();
    for (unsigned i = 0; i < filters->n; i++)
        plain_trie_add(trie, filters->at[i], &owners[i % sizeof(owners)]);
    return trie;
}

/* What is compared: an index or a trie, and its topics. */
struct subject {
    const char *name;
    struct topic_index *index;
    struct plain_trie *trie;
    const struct texts *topics;
    double ns[ROUNDS_MAX]; /* per match */
    size_t matched;
};

static size_t match_all(struct subject *s, struct topic_matches *matches)
{
    size_t n = 0;
    for (unsigned i = 0; i < s->topics->n; i++) {
        if (s->trie) {
            n += plain_trie_match(s->trie, s->topics->at[i]);
            continue;
        }
        matches->n = 0;
        topic_index_match(s->index, s->topics->at[i], matches);
        n += matches->n;
    }
    return n;
}

/* At least as many matches as there are topics in all, however few this subject has. */
static void measure(struct subject *s, unsigned round)
{
    struct topic_matches matches = {0};
    unsigned passes = (n_topics + s->topics->n - 1) / s->topics->n;
    match_all(s, &matches);
    double start = now_ns();
    for (unsigned i = 0; i < passes; i++)
        s->matched = match_all(s, &matches);
    s->ns[round] = (now_ns() - start) / passes / s->topics->n;
    topic_matches_deinit(&matches);
}

static void print_subject(struct subject *s, const struct subject *base, double ratio)
{
    printf("| %s | %u | %.2f | %.0f |", s->name, s->topics->n, (double)s->matched / s->topics->n,
           median(s->ns, n_rounds));
    if (base)
        printf(" %.2f x |\n", ratio);
    else
        printf(" |\n");
}

/* The first subject is what the others are compared with, round by round. */
static void compare(struct subject *subjects, unsigned n)
{
    double ratios[16][ROUNDS_MAX];
    for (unsigned round = 0; round < n_rounds; round++) {
        for (unsigned i = 0; i < n; i++) {
            measure(&subjects[i], round);
            ratios[i][round] = subjects[i].ns[round] / subjects[0].ns[round];
        }
    }
    printf("\n| matching | topics | entries per topic | ns per topic | to the first line |\n|---|---|---|---|---|\n");
    for (unsigned i = 0; i < n; i++)
        print_subject(&subjects[i], i ? &subjects[0] : NULL, median(ratios[i], n_rounds));
}

static void bench_matching(void)
{
    struct texts few, many, topics, few_topics;
    make_filters(&few, SMALL);
    make_filters(&many, n_filters);
    make_topics(&topics, n_topics, devices_for(n_filters));
    make_topics(&few_topics, n_topics, devices_for(SMALL));
    struct topic_index *small = make_index(&few);
    double before = memory_in_use();
    struct topic_index *large = make_index(&many);
    double index_bytes = (memory_in_use() - before) / many.n;
    struct plain_trie *small_trie = make_trie(&few);
    before = memory_in_use();
    struct plain_trie *large_trie = make_trie(&many);
    double trie_bytes = (memory_in_use() - before) / many.n;
    struct subject subjects[] = {
        {.name = "1,000 filters, topics of their own", .index = small, .topics = &few_topics},
        {.name = "1,000 filters, the topics of all", .index = small, .topics = &topics},
        {.name = "all filters", .index = large, .topics = &topics},
        {.name = "plain trie, 1,000 filters, topics of their own", .trie = small_trie, .topics = &few_topics},
        {.name = "plain trie, 1,000 filters, the topics of all", .trie = small_trie, .topics = &topics},
        {.name = "plain trie, all filters", .trie = large_trie, .topics = &topics},
    };
    compare(subjects, sizeof(subjects) / sizeof(subjects[0]));
    printf("\nmemory per filter with one entry: %.0f bytes, of which the text is %.0f; plain trie %.0f\n", index_bytes,
           (double)(many.end - many.bytes) / many.n, trie_bytes);
    check(subjects[2].matched == subjects[5].matched, "index and trie do not agree");
    topic_index_free(small);
    topic_index_free(large);
    plain_trie_free(small_trie);
    plain_trie_free(large_trie);
    texts_deinit(&few);
    texts_deinit(&many);
    texts_deinit(&topics);
    texts_deinit(&few_topics);
}

/* Many operations of a kind. The clock is read once in GROUP, since reading it costs as much as they do; what stops a
 * group for long, stops one operation. */
enum { GROUP = 100 };

struct cost {
    double total_ns, longest_ns, since;
    unsigned n;
};

static struct cost cost_begin(void)
{
    return (struct cost){.since = now_ns()};
}

static void cost_count(struct cost *c)
{
    if (++c->n % GROUP)
        return;
    double now = now_ns(), ns = now - c->since;
    c->total_ns += ns;
    if (ns > c->longest_ns)
        c->longest_ns = ns;
    c->since = now;
}

static void cost_print(const struct cost *c, const char *what)
{
    printf("| %s | %.0f | %.0f |\n", what, c->total_ns / (c->n - c->n % GROUP), c->longest_ns / 1000);
}

static void bench_changes(void)
{
    struct texts filters;
    make_filters(&filters, n_filters);
    struct topic_filter **added = calloc(filters.n, sizeof(struct topic_filter *));
    check(added != NULL, "no memory");
    struct topic_index *index = topic_index_new();
    struct topic_entry entry = {.owner = owners};
    struct cost add = cost_begin();
    for (unsigned i = 0; i < filters.n; i++) {
        topic_index_add(index, filters.at[i], &entry, &added[i]);
        cost_count(&add);
    }
    struct cost leave = cost_begin();
    for (unsigned i = 0; i < filters.n; i++) {
        topic_index_remove(index, added[i], owners);
        cost_count(&leave);
    }
    free(added);
    check(topic_index_count(index) == 0, "something stayed");
    topic_index_free(index);
    texts_deinit(&filters);
    cost_print(&add, "a subscription comes, from none to all");
    cost_print(&leave, "a subscription goes, its filter being known");
}

/* One filter: 100,000 join and leave it. */
static void bench_crowd(void)
{
    enum { CROWD = 100000 };
    uint8_t *crowd = malloc(CROWD * 64);
    struct topic_index *index = topic_index_new();
    struct topic_filter *filter = NULL;
    double before = memory_in_use();
    struct cost join = cost_begin();
    for (unsigned i = 0; i < CROWD; i++) {
        struct topic_entry entry = {.owner = crowd + (size_t)i * 64};
        topic_index_add(index, bytes_of("acme/+/alarm"), &entry, &filter);
        cost_count(&join);
    }
    double bytes = (memory_in_use() - before) / CROWD;
    struct cost leave = cost_begin();
    for (unsigned i = 0; i < CROWD; i++) {
        const void *owner = crowd + (size_t)(i * 7919U % CROWD) * 64;
        topic_index_remove(index, filter, owner);
        cost_count(&leave);
    }
    check(topic_index_count(index) == 0, "something stayed");
    topic_index_free(index);
    free(crowd);
    cost_print(&join, "one of 100,000 joins the same filter");
    cost_print(&leave, "one of 100,000 leaves it");
    printf("\nmemory per entry in a filter with 100,000: %.0f bytes\n", bytes);
}

static void bench_fan_out(void)
{
    enum { FAN = 1000, TIMES = 20000 };
    struct topic_index *index = topic_index_new();
    struct topic_matches matches = {0};
    size_t n = 0;
    for (unsigned i = 0; i < FAN; i++) {
        struct topic_entry entry = {.owner = &owners[i]};
        topic_index_add(index, bytes_of("acme/site-001/alarm"), &entry, NULL);
    }
    double start = now_ns();
    for (unsigned i = 0; i < TIMES; i++) {
        matches.n = 0;
        topic_index_match(index, bytes_of("acme/site-001/alarm"), &matches);
        n += matches.n;
    }
    check(n == (size_t)FAN * TIMES, "an entry is missing");
    printf("a match of 1,000 entries in one filter: %.0f ns\n", (now_ns() - start) / TIMES);
    topic_matches_deinit(&matches);
    topic_index_free(index);
}

/* Retained topics */

static struct retained_index *make_retained(const struct texts *topics, const char *what)
{
    struct retained_index *retained = retained_index_new();
    void *old;
    double before = memory_in_use();
    struct cost cost = cost_begin();
    for (unsigned i = 0; i < topics->n; i++) {
        retained_index_set(retained, topics->at[i], owners, &old);
        cost_count(&cost);
    }
    cost_print(&cost, what);
    printf("| ... memory per topic, in bytes, of which the text is %.0f | %.0f | |\n",
           (double)(topics->end - topics->bytes) / topics->n, (memory_in_use() - before) / topics->n);
    return retained;
}

static void bench_replacing(struct retained_index *retained, const struct texts *topics)
{
    void *old;
    struct cost replace = cost_begin();
    for (unsigned i = 0; i < topics->n; i++) {
        retained_index_set(retained, topics->at[i], owners, &old);
        cost_count(&replace);
    }
    cost_print(&replace, "a value is replaced");
}

/* Slices of 100 results and 1,000 topics looked at. */
static void bench_walk(struct retained_index *retained, const char *filter)
{
    enum { RESULTS = 100, STEPS = 1000 };
    struct retained_item items[RESULTS];
    struct retained_walk *walk = retained_walk_new(retained, bytes_of(filter));
    size_t n = 0, slices = 0;
    double total_ns = 0, longest_ns = 0;
    while (!retained_walk_is_done(walk)) {
        double start = now_ns();
        n += (size_t)retained_walk_next(walk, items, RESULTS, STEPS);
        double ns = now_ns() - start;
        total_ns += ns;
        longest_ns = ns > longest_ns ? ns : longest_ns;
        slices++;
    }
    retained_walk_free(walk);
    printf("| a walk over %s: %zu topics in %zu slices, a slice | %.0f | %.0f |\n", filter, n, slices,
           total_ns / (double)slices, longest_ns / 1000);
}

static void bench_forgetting(struct retained_index *retained, const struct texts *topics)
{
    struct cost cost = cost_begin();
    for (unsigned i = 0; i < topics->n; i++) {
        check(retained_index_remove(retained, topics->at[i]) != NULL, "a topic is missing");
        cost_count(&cost);
    }
    cost_print(&cost, "a topic goes");
}

static int compare_texts(const void *a, const void *b)
{
    const struct mqtt_bytes *x = a, *y = b;
    int order = memcmp(x->ptr, y->ptr, x->len < y->len ? x->len : y->len);
    return order ? order : (int)x->len - (int)y->len;
}

static void bench_retained(void)
{
    struct texts topics;
    unsigned devices = n_filters / SENSORS + 1;
    make_topics(&topics, n_filters, devices);
    struct retained_index *retained = make_retained(&topics, "a topic comes, in no order");
    bench_replacing(retained, &topics);
    bench_walk(retained, "#");
    bench_walk(retained, "acme/site-007/#");
    bench_walk(retained, "acme/+/line-1/+/state");
    bench_walk(retained, "+/+/+/+/nothing");
    bench_forgetting(retained, &topics);
    retained_index_free(retained);
    qsort(topics.at, topics.n, sizeof(*topics.at), compare_texts);
    retained = make_retained(&topics, "a topic comes, all in order as from a store");
    retained_index_free(retained);
    texts_deinit(&topics);
}

static unsigned take_number(const char *text, unsigned most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    check(*end == '\0' && value > 0 && value <= most, "a number is out of range");
    return (unsigned)value;
}

static void bench_all_changes(void)
{
    printf("\n| changes | ns | longest 100, us |\n|---|---|---|\n");
    bench_changes();
    bench_crowd();
    bench_fan_out();
}

static void bench_all_retained(void)
{
    printf("\n| retained topics | ns | longest 100 (slice), us |\n|---|---|---|\n");
    bench_retained();
}

static const char *only; /* NULL: everything */

static bool take_option(const char *name, const char *value)
{
    if (strcmp(name, "--filters") == 0)
        n_filters = take_number(value, 10000000);
    else if (strcmp(name, "--topics") == 0)
        n_topics = take_number(value, 10000000);
    else if (strcmp(name, "--rounds") == 0)
        n_rounds = take_number(value, ROUNDS_MAX);
    else if (strcmp(name, "--only") == 0)
        only = value;
    else
        return false;
    return true;
}

static bool is_wanted(const char *part)
{
    return !only || strcmp(only, part) == 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2)
        check(i + 1 < argc && take_option(argv[i], argv[i + 1]),
              "options: [--filters N] [--topics N] [--rounds N] [--only matching|changes|retained]");
    printf("%u filters, %u topics, %u rounds\n", n_filters, n_topics, n_rounds);
    if (is_wanted("matching"))
        bench_matching();
    if (is_wanted("changes"))
        bench_all_changes();
    if (is_wanted("retained"))
        bench_all_retained();
    return 0;
}
