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
    void *arg; /* program_arg() */
};

/* Everything from the arguments to the exit status. */
int program_main(const struct program_params *params, int argc, char **argv);

/* --- Inside another program: the main loop has a thread of its own, no signal is handled and no limit of the process
 * is changed. What belongs to the process is the log: filter, format and where it goes. */

/* Reads the options as program_main() does. 0 or negative errno with err_text(). PARAMS and ARGV live until
 * program_free(). */
int program_new(const struct program_params *params, int argc, char **argv, struct program **ret_program);
/* Begin serving; returns when start() has. 0 or negative errno with err_text(); then it may only be freed. */
int program_start(struct program *p);
/* As SIGHUP. Any thread, while it runs. */
void program_reload(struct program *p);
/* As SIGTERM, and waits for the end. Only what was started. Not on its own threads. */
void program_stop(struct program *p);
/* It does not run. NULL is fine. Returns NULL. */
struct program *program_free(struct program *p);

/* --- Of both. */

void *program_arg(const struct program *p);
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
