/* See store_model.h. */
#include "store_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

/* Not check's: the program that is killed uses this too, and it is not a test. */
#define model_ensure(condition, ...)                      \
    do {                                                  \
        if (!(condition)) {                               \
            fprintf(stderr, "store_model: " __VA_ARGS__); \
            fputc('\n', stderr);                          \
            abort();                                      \
        }                                                 \
    } while (0)

enum { MODEL_VALUE_MAX = 6000, MODEL_HEAD = 8 };

static uint64_t model_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static struct store_bytes model_key(char *text, char prefix, unsigned key)
{
    return (struct store_bytes){text, (size_t)sprintf(text, "%c/k%02u", prefix, key)};
}

/* What batch N of the story puts under KEY. Mostly small, some beyond a page. */
static struct store_bytes model_value(uint8_t *bytes, const struct store_model *m, uint64_t n, unsigned key)
{
    uint64_t state = m->seed ^ n << 8 ^ key;
    uint64_t kind = model_random(&state);
    size_t len = MODEL_HEAD + kind % (kind >> 60 == 0 ? MODEL_VALUE_MAX - MODEL_HEAD : 200);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(kind >> i % 8 * 8) ^ (uint8_t)(i / 8);
    return (struct store_bytes){bytes, len};
}

void store_model_init(struct store_model *m, char prefix, uint64_t seed)
{
    *m = (struct store_model){.prefix = prefix, .seed = seed};
}

static void model_put(struct store_model *m, struct store_batch *b, unsigned key)
{
    static _Thread_local uint8_t bytes[MODEL_VALUE_MAX];
    char text[16];
    m->keys[key].is_there = true;
    m->keys[key].n = m->n;
    if (!b)
        return;
    struct store_bytes whole = model_value(bytes, m, m->n, key);
    const struct store_value v = {.head = whole};
    store_put(b, model_key(text, m->prefix, key), &v);
}

static void model_delete(struct store_model *m, struct store_batch *b, unsigned key)
{
    char text[16];
    m->keys[key].is_there = false;
    if (b)
        store_delete(b, model_key(text, m->prefix, key));
}

static void model_delete_range(struct store_model *m, struct store_batch *b, unsigned first, unsigned end)
{
    char first_text[16], end_text[16];
    for (unsigned key = first; key < end; key++)
        m->keys[key].is_there = false;
    const struct store_range range = {.first = model_key(first_text, m->prefix, first),
                                      .end = model_key(end_text, m->prefix, end)};
    if (b)
        store_delete_range(b, &range);
}

static void model_step(struct store_model *m, struct store_batch *b, uint64_t random)
{
    unsigned key = random % STORE_MODEL_KEYS, kind = random >> 32 & 15;
    unsigned end = key + (random >> 40 & 7);
    if (kind == 0)
        model_delete_range(m, b, key, end < STORE_MODEL_KEYS ? end : STORE_MODEL_KEYS);
    else if (kind < 6)
        model_delete(m, b, key);
    else
        model_put(m, b, key);
}

static struct store_bytes model_number_key(char *text, char prefix)
{
    return (struct store_bytes){text, (size_t)sprintf(text, "%c/n", prefix)};
}

void store_model_next(struct store_model *m, struct store_batch *b)
{
    char text[16];
    uint64_t state = m->seed + ++m->n;
    for (uint64_t steps = model_random(&state) % 4; steps > 0; steps--)
        model_step(m, b, model_random(&state));
    const struct store_value v = {.head = {&m->n, sizeof m->n}};
    if (b)
        store_put(b, model_number_key(text, m->prefix), &v);
}

/* --- Checking. */

static int check_number(void *arg, struct store_bytes key, struct store_bytes value)
{
    model_ensure(value.len == sizeof(uint64_t), "a number of %zu bytes", value.len);
    memcpy(arg, value.bytes, value.len);
    return 0;
}

static uint64_t model_read_number(struct store *s, char prefix)
{
    uint64_t n = 0;
    char text[16];
    const struct store_bytes key = model_number_key(text, prefix);
    const struct store_range range = {.first = key, .end = {(const char[]){prefix, '/', 'o'}, 3}};
    model_ensure(store_load(s, &range, check_number, &n) == 0, "%s", err_text());
    return n;
}

static void check_skip_absent(struct store_model_check *c)
{
    while (c->key < STORE_MODEL_KEYS && !c->model->keys[c->key].is_there)
        c->key++;
}

void store_model_check_init(struct store_model_check *c, const struct store_model *m)
{
    *c = (struct store_model_check){.model = m};
}

int store_model_check_entry(void *arg, struct store_bytes key, struct store_bytes value)
{
    static _Thread_local uint8_t bytes[MODEL_VALUE_MAX];
    struct store_model_check *c = arg;
    const struct store_model *m = c->model;
    char text[16] = "nothing";
    check_skip_absent(c);
    struct store_bytes expected_key = {text, 7};
    if (c->key < STORE_MODEL_KEYS)
        expected_key = model_key(text, m->prefix, c->key);
    bool is_expected = key.len == expected_key.len && memcmp(key.bytes, text, key.len) == 0;
    model_ensure(is_expected, "after batch %llu %.*s is there, not %s", (unsigned long long)m->n, (int)key.len,
                 (const char *)key.bytes, text);
    struct store_bytes expected = model_value(bytes, m, m->keys[c->key].n, c->key);
    model_ensure(value.len == expected.len && memcmp(value.bytes, expected.bytes, value.len) == 0,
                 "after batch %llu %s has another value", (unsigned long long)m->n, text);
    c->key++;
    return 0;
}

void store_model_check_end(struct store_model_check *c)
{
    check_skip_absent(c);
    model_ensure(c->key == STORE_MODEL_KEYS, "after batch %llu key %u is not there", (unsigned long long)c->model->n,
                 c->key);
}

struct store_range store_model_range(const struct store_model *m, char keys[2][4])
{
    snprintf(keys[0], sizeof keys[0], "%c/k", m->prefix);
    snprintf(keys[1], sizeof keys[1], "%c/n", m->prefix);
    return (struct store_range){.first = {keys[0], 3}, .end = {keys[1], 3}};
}

uint64_t store_model_check(struct store *s, char prefix, uint64_t seed)
{
    struct store_model m;
    struct store_model_check c;
    char keys[2][4];
    store_model_init(&m, prefix, seed);
    for (uint64_t n = model_read_number(s, prefix); m.n < n;)
        store_model_next(&m, NULL);
    const struct store_range range = store_model_range(&m, keys);
    store_model_check_init(&c, &m);
    model_ensure(store_load(s, &range, store_model_check_entry, &c) == 0, "%s", err_text());
    store_model_check_end(&c);
    return m.n;
}
