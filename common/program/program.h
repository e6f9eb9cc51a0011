/* What every program of this project does around its work: options, log, signals, drain, exit status.
 *
 *   program_main(): options -> log -> start() -> "ready" -> loop ...... SIGTERM/SIGINT -> drain() -> program_drained()
 * -> stop() SIGHUP: read the options again, reload() SIGUSR1: all metrics into the log
 *
 * The main thread has a loop of its own: listeners, signals, time limits. Sessions live on the workers' loops
 * (worker.h). A second SIGTERM or SIGINT ends the drain at once, and so does --drain-timeout. Exit status: 0 after an
 * orderly stop, 1 when the options are wrong or the program could not start. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "log_filter.h"

struct loop;
struct metrics_registry;
struct program;

/* Options that every program has; the first member of each program's options. */
struct program_options {
    int64_t workers; /* 0 = one per CPU */
    uint64_t drain_timeout_ms;
    uint64_t max_buffered_bytes; /* 0 = a quarter of memory */
    struct log_filter log_filter;
    int log_format; /* enum log_format */
};

/* Their rows; PROGRAM_OPTION_TABLE is their entry in config_program.tables. */
enum { PROGRAM_OPTION_ROWS = 5 };
extern const struct config_row program_option_rows[PROGRAM_OPTION_ROWS];
#define PROGRAM_OPTION_TABLE                                   \
    {                                                          \
        "Program", program_option_rows, PROGRAM_OPTION_ROWS, 0 \
    }

struct program_calls {
    /* Begin serving. 0 or negative errno with err_text(). OPTIONS live until stop() has returned. */
    int (*start)(struct program *p, const void *options);
    /* SIGHUP: take over what can change while sessions live. FRESH are the options as they are now; they last during
     * the call. May be NULL: the log is all that changes. */
    void (*reload)(struct program *p, const void *fresh);
    /* Take no new work, end what there is as soon as it allows, then call program_drained(). */
    void (*drain)(struct program *p);
    /* End at once what is left, free everything. Also called after a start() that failed half-way. */
    void (*stop)(struct program *p);
};

struct program_params {
    const struct config_program *config;
    size_t options_bytes; /* of the program's options, which begin with struct program_options */
    const struct program_calls *calls;
};

/* Everything from the arguments to the exit status. */
int program_main(const struct program_params *params, int argc, char **argv);

struct loop *program_loop(const struct program *p);
struct metrics_registry *program_metrics(const struct program *p);
/* The program's own object, NULL until it is set. */
void program_set_object(struct program *p, void *object);
void *program_object(const struct program *p);
/* How many workers to start. */
unsigned program_workers(const struct program *p);
/* Run FN(P) on the main thread. Any thread. */
typedef void program_fn(struct program *p);
void program_post(struct program *p, program_fn *fn);
/* Nothing is left to wait for: the program may end. Main thread. */
void program_drained(struct program *p);

#endif
