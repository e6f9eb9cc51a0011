/* A long story of batches, made of random numbers, and what a store must hold after each of them. The same seed tells
 * the same story, so that a process can tell what another one wrote.
 *
 * Batch N (from 1) of a story also puts N itself under the key "PREFIX/n": it says how far the store has come. */
#ifndef STORE_MODEL_H
#define STORE_MODEL_H

#include "store.h"

enum { STORE_MODEL_KEYS = 60 };

struct store_model {
    char prefix; /* of all its keys */
    uint64_t seed;
    uint64_t n; /* batches applied */
    struct {
        bool is_there;
        uint64_t n; /* the batch that put it */
    } keys[STORE_MODEL_KEYS];
};

void store_model_init(struct store_model *m, char prefix, uint64_t seed);
/* The next batch happens to M, and, unless NULL, is put into B. */
void store_model_next(struct store_model *m, struct store_batch *b);

/* The entries that M expects, in order: init, each entry that is found (ARG is the check), end. Aborts when one is
 * wrong or missing. */
struct store_model_check {
    const struct store_model *model;
    unsigned key; /* the next that may come */
};
void store_model_check_init(struct store_model_check *c, const struct store_model *m);
int store_model_check_entry(void *arg, struct store_bytes key, struct store_bytes value);
void store_model_check_end(struct store_model_check *c);
/* All of them. KEYS is memory for its ends. */
struct store_range store_model_range(const struct store_model *m, char keys[2][4]);

/* Nothing of any batch is in the store S, or everything up to batch N and nothing else; gives that N. Aborts
 * otherwise. No client may be attached. */
uint64_t store_model_check(struct store *s, char prefix, uint64_t seed);

#endif
