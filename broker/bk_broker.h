/* The broker as a program: listeners on the main loop, workers behind them. program_arg() is its struct bk_hooks, or
 * NULL. */
#ifndef BK_BROKER_H
#define BK_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "program.h"

struct bk_access;
struct bk_audit;
struct bk_hooks;
struct bk_quotas;
struct bk_bridge_plans;
struct bk_options;
struct broker;
struct map;
struct byte_budget;
struct metrics_registry;
struct store;
struct worker_pool;

extern const struct program_calls broker_calls;

/* What listener INDEX is bound to; NULL: there is no such one. Before it drains. */
const char *broker_listener(const struct broker *b, size_t index);

/* For workers. Any thread. */
const struct bk_options *broker_options(const struct broker *b);
struct byte_budget *broker_budget(struct broker *b);
struct metrics_registry *broker_metrics(const struct broker *b);
/* How many workers there are, or will be. */
unsigned broker_workers(const struct broker *b);
/* Once all workers run. */
struct worker_pool *broker_pool(const struct broker *b);
struct bk_access *broker_access(const struct broker *b);
/* NULL: there is none. */
struct bk_audit *broker_audit(const struct broker *b);
struct bk_hooks *broker_hooks(const struct broker *b);
struct bk_quotas *broker_quotas(const struct broker *b);
struct store *broker_store(const struct broker *b);
/* While the main thread waits for the worker that asks: bk_worker_meet(), bk_worker_rebridge(). */
const struct bk_bridge_plans *broker_bridges(const struct broker *b);
/* While workers recover, see bk_recover.h. */
struct map *broker_shared_segments(struct broker *b);
uint64_t broker_next_number(struct broker *b);
/* Of this process, made at random: BROKER_ID_LEN hex digits. */
enum { BROKER_ID_LEN = 16 };
const char *broker_id(const struct broker *b);
/* No number up to this one is given again. */
void broker_reserve_numbers(struct broker *b, uint64_t number);
/* The store has no room for what a worker has to write, or has again. */
void broker_note_full(struct broker *b, bool is_full);
bool broker_is_full(const struct broker *b);
/* A worker has done what all have been told to do. */
void broker_worker_has_done(struct broker *b);
/* A draining worker has nothing left. */
void broker_worker_is_idle(struct broker *b);

#endif
