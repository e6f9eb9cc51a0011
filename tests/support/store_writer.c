/* A program that writes to a store until it is killed, and says what has been acknowledged.
 *
 *     store-writer DIR sync|async|none SEED
 *
 * Two clients tell a story each (store_model.h, prefixes 'a' and 'b'), from where the store has come to. Each
 * acknowledged batch is a byte, 'a' or 'b', on standard output; before the first there is an 'O': the store is open. A
 * batch that is not acknowledged as done ends it with status 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "loop.h"
#include "store_model.h"
#include "store_support.h"

enum { WRITER_CLIENTS = 2, WRITER_WINDOW = 20 };

static struct writer {
    struct store_client *client;
    struct store_model model;
} writers[WRITER_CLIENTS];

static void tell(char what)
{
    if (write(STDOUT_FILENO, &what, 1) != 1)
        exit(EXIT_FAILURE);
}

/* A put that is taken back: it must never be found. */
static void put_and_cancel(struct store_client *c, struct store_batch *b)
{
    const struct store_value v = {.head = store_text("never")};
    if (!store_cancel(c, store_put(b, store_text("never"), &v)))
        exit(EXIT_FAILURE);
}

static void on_done(void *arg, int result);

static void write_next(struct writer *w)
{
    struct store_batch *b = store_begin(w->client);
    store_model_next(&w->model, b);
    put_and_cancel(w->client, b);
    store_commit(b, 0, on_done, w);
}

static void on_done(void *arg, int result)
{
    struct writer *w = arg;
    if (result != 0) {
        fprintf(stderr, "store-writer: %d: %s\n", result, err_text());
        exit(EXIT_FAILURE);
    }
    tell(w->model.prefix);
    write_next(w);
}

static void start(struct writer *w, struct loop *loop, struct store *store)
{
    if (store_attach(store, loop, &w->client) < 0)
        exit(EXIT_FAILURE);
    for (int i = 0; i < WRITER_WINDOW; i++)
        write_next(w);
}

/* The stories go on where the store is. */
static void resume(struct writer *w, struct store *store, int index, uint64_t seed)
{
    char prefix = (char)('a' + index);
    store_model_init(&w->model, prefix, seed);
    for (uint64_t n = store_model_check(store, prefix, seed); w->model.n < n;)
        store_model_next(&w->model, NULL);
}

int main(int argc, char **argv)
{
    static char url[4096];
    struct loop *loop;
    struct store *store;
    if (argc != 4)
        return EXIT_FAILURE;
    snprintf(url, sizeof url, "lmdb:%s", argv[1]);
    const struct store_options options = {.url = url,
                                          .format = 1,
                                          .durability = strcmp(argv[2], "sync") == 0    ? STORE_SYNC
                                                        : strcmp(argv[2], "async") == 0 ? STORE_ASYNC
                                                                                        : STORE_NONE};
    if (store_open(&options, &store, NULL) < 0 || loop_new(&loop) < 0) {
        fprintf(stderr, "store-writer: %s\n", err_text());
        return EXIT_FAILURE;
    }
    for (int i = 0; i < WRITER_CLIENTS; i++)
        resume(&writers[i], store, i, strtoull(argv[3], NULL, 10));
    tell('O');
    for (int i = 0; i < WRITER_CLIENTS; i++)
        start(&writers[i], loop, store);
    loop_run(loop);
    return EXIT_FAILURE;
}
