/* The frame of every program (program.h). */
#define LOG_MODULE LOG_LOOP
#include "program.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "log.h"
#include "loop.h"
#include "mailbox.h"
#include "metrics.h"
#include "net.h"
#include "thread.h"

struct program {
    const struct program_params *params;
    int argc;
    char **argv;
    struct program_options *options; /* of params->options_bytes */
    struct loop *loop;
    struct mailbox *mailbox;
    struct metrics_registry *metrics;
    void *object;
    struct loop_timer drain_timer;
    bool is_draining;
    /* inside another program */
    pthread_t thread;
    sem_t is_up; /* posted when start() has ended, well or not */
    int start_result;
    char fault[512]; /* its error */
};

struct program_mail {
    struct mail mail;
    struct program *program;
    program_fn *fn;
};

/* --- Options */

static int program_parse_log(const char *text, const char *variable, void *ret_field)
{
    /* RUST_LOG is written for other programs too: what it says of them is none of our business. */
    bool is_shared = variable && strcmp(variable, "RUST_LOG") == 0;
    return log_filter_parse(text, is_shared ? LOG_FILTER_TOLERANT : LOG_FILTER_STRICT, ret_field);
}

static const char *const program_log_formats[] = {[LOG_FORMAT_TEXT] = "text", [LOG_FORMAT_JSON] = "json", NULL};

const struct config_row program_option_rows[PROGRAM_OPTION_ROWS] = {
    {.name = "workers",
     .kind = CONFIG_INT,
     CONFIG_FIELD(struct program_options, workers),
     .default_text = "0",
     .min = 0,
     .max = 256,
     .help = "threads that carry sessions; 0 = one per CPU"},
    {.name = "drain-timeout",
     .kind = CONFIG_DURATION,
     CONFIG_FIELD(struct program_options, drain_timeout_ms),
     .default_text = "10s",
     .help = "how long open exchanges may take to end after SIGTERM"},
    {.name = "max-buffered-bytes",
     .kind = CONFIG_SIZE,
     CONFIG_FIELD(struct program_options, max_buffered_bytes),
     .default_text = "0",
     .help = "bytes held for all clients together before the largest holders are paused; what they were allowed to "
             "send before (256k a client) still comes; 0 = a quarter of memory"},
    {.name = "log",
     .kind = CONFIG_CUSTOM,
     CONFIG_FIELD(struct program_options, log_filter),
     .default_text = LOG_FILTER_DEFAULT,
     .argument = "FILTER",
     .parse = program_parse_log,
     .also_env = {"MQTT_LOG", "RUST_LOG"},
     .help = "what is logged, such as warn,tunnel=debug,mqtt=trace; also in MQTT_LOG and RUST_LOG"},
    {.name = "log-format",
     .kind = CONFIG_CHOICE,
     CONFIG_FIELD(struct program_options, log_format),
     .default_text = "text",
     .choices = program_log_formats,
     .also_env = {"MQTT_LOG_FORMAT"},
     .help = "text for people, json for machines; also in MQTT_LOG_FORMAT"},
};

static void program_apply_log(const struct program_options *options)
{
    log_apply_filter(&options->log_filter);
    log_set_format(options->log_format);
}

/* --- What is known of it elsewhere */

struct loop *program_loop(const struct program *p)
{
    return p->loop;
}

struct metrics_registry *program_metrics(const struct program *p)
{
    return p->metrics;
}

void *program_arg(const struct program *p)
{
    return p->params->arg;
}

void program_set_object(struct program *p, void *object)
{
    p->object = object;
}

void *program_object(const struct program *p)
{
    return p->object;
}

unsigned program_workers(const struct program *p)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (p->options->workers > 0)
        return (unsigned)p->options->workers;
    return cpus > 0 ? (unsigned)cpus : 1;
}

static void program_run_mail(struct mail *mail)
{
    struct program_mail *m = (struct program_mail *)mail;
    m->fn(m->program);
    free(m);
}

void program_post(struct program *p, program_fn *fn)
{
    struct program_mail *m = malloc(sizeof *m);
    if (!m)
        abort();
    *m = (struct program_mail){.mail = {.fn = program_run_mail}, .program = p, .fn = fn};
    mailbox_post(p->mailbox, &m->mail);
}

/* --- Signals */

static void program_end(struct program *p)
{
    loop_timer_stop(&p->drain_timer);
    loop_stop(p->loop);
}

void program_drained(struct program *p)
{
    log_info(NULL, "drained: nothing is open any more");
    program_end(p);
}

static void program_on_drain_timeout(struct loop_timer *timer)
{
    struct program *p = container_of(timer, struct program, drain_timer);
    log_warn(NULL, "the drain time is over: what is left is cut off");
    program_end(p);
}

static void program_drain(struct program *p)
{
    p->is_draining = true;
    loop_timer_start(&p->drain_timer, p->options->drain_timeout_ms);
    p->params->calls->drain(p);
}

static void program_on_term(int signum, void *arg)
{
    struct program *p = arg;
    if (p->is_draining) {
        log_warn(NULL, "SIG%s again: stopping at once", sigabbrev_np(signum));
        program_end(p);
        return;
    }
    log_info(NULL, "SIG%s: draining", sigabbrev_np(signum));
    program_drain(p);
}

/* The log can change while sessions live, and what the program has a reload() for; the rest would concern listeners and
 * limits that are already agreed. */
static void program_read_again(struct program *p)
{
    struct program_options *fresh = calloc(1, p->params->options_bytes);
    if (!fresh)
        return;
    int r = config_load(p->params->config, p->argc, p->argv, fresh);
    if (r == 0) {
        program_apply_log(fresh);
        if (p->params->calls->reload)
            p->params->calls->reload(p, fresh);
        log_info(NULL, "SIGHUP: log and log-format are as configured now; other options take effect at the next start");
        config_free(p->params->config, fresh);
    } else {
        log_error(NULL, "SIGHUP: the options are kept as they were: %s", err_text());
    }
    free(fresh);
}

static void program_on_hup(int signum, void *arg)
{
    program_read_again(arg);
}

static void program_on_usr1(int signum, void *arg)
{
    struct program *p = arg;
    char *text = metrics_format(p->metrics);
    if (!text)
        return;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1)
        if (*line != '#')
            log_info(NULL, "metric %.*s", (int)(end - line), line);
    free(text);
}

static int program_watch_signals(struct program *p)
{
    static const struct {
        int signum;
        loop_signal_fn *fn;
    } signals[] = {
        {SIGTERM, program_on_term}, {SIGINT, program_on_term}, {SIGHUP, program_on_hup}, {SIGUSR1, program_on_usr1}};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        int r = loop_signal(p->loop, signals[i].signum, signals[i].fn, p);
        if (r < 0)
            return err_errno(r, "signal %d", signals[i].signum);
    }
    return 0;
}

/* --- Life */

static int program_open(struct program *p)
{
    int r = loop_new(&p->loop);
    if (r >= 0)
        r = mailbox_new(p->loop, &p->mailbox);
    if (r >= 0)
        r = metrics_registry_new(&p->metrics);
    if (r < 0)
        return r;
    loop_timer_init(&p->drain_timer, p->loop, program_on_drain_timeout);
    return 0;
}

static void program_close(struct program *p)
{
    if (p->loop)
        loop_signals_close(p->loop);
    p->mailbox = mailbox_free(p->mailbox);
    p->loop = loop_free(p->loop);
    p->metrics = metrics_registry_free(p->metrics);
}

static int program_serve(struct program *p)
{
    const struct program_calls *calls = p->params->calls;
    log_info(NULL, "%s %s starts: %u workers, %d files may be open", p->params->config->name,
             p->params->config->version, program_workers(p), net_raise_fd_limit());
    int r = program_open(p);
    if (r >= 0)
        r = program_watch_signals(p);
    if (r >= 0)
        r = calls->start(p, p->options);
    if (r >= 0) {
        log_info(NULL, "ready");
        loop_run(p->loop);
    }
    if (r < 0)
        log_error(NULL, "%s", err_text());
    calls->stop(p);
    program_close(p);
    if (r >= 0)
        log_info(NULL, "stopped");
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int program_main(const struct program_params *params, int argc, char **argv)
{
    struct program p = {.params = params, .argc = argc, .argv = argv};
    p.options = calloc(1, params->options_bytes);
    if (!p.options)
        return EXIT_FAILURE;
    int status;
    int r = config_load(params->config, argc, argv, p.options);
    if (r == 0) {
        program_apply_log(p.options);
        status = program_serve(&p);
        config_free(params->config, p.options);
    } else {
        status = r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        if (r < 0)
            fprintf(stderr, "%s: %s\n", params->config->name, err_text());
    }
    free(p.options);
    return status;
}

/* --- Inside another program */

int program_new(const struct program_params *params, int argc, char **argv, struct program **ret_program)
{
    struct program *p = calloc(1, sizeof *p);
    struct program_options *options = calloc(1, params->options_bytes);
    int r = p && options ? config_load(params->config, argc, argv, options) : err_set(-ENOMEM, "out of memory");
    if (r != 0) {
        free(options);
        free(p);
        return r < 0 ? r : err_set(-EINVAL, "only options that the program runs with");
    }
    *p = (struct program){.params = params, .argc = argc, .argv = argv, .options = options};
    sem_init(&p->is_up, 0, 0);
    *ret_program = p;
    return 0;
}

static void *program_run(void *arg)
{
    struct program *p = arg;
    int r = program_open(p);
    if (r >= 0)
        r = p->params->calls->start(p, p->options);
    if (r < 0)
        snprintf(p->fault, sizeof p->fault, "%s", err_text());
    p->start_result = r;
    if (r >= 0) {
        sem_post(&p->is_up);
        loop_run(p->loop);
    }
    p->params->calls->stop(p);
    program_close(p);
    if (r < 0)
        sem_post(&p->is_up);
    return NULL;
}

int program_start(struct program *p)
{
    program_apply_log(p->options);
    const int r = thread_start(p->params->config->name, program_run, p, &p->thread);
    if (r < 0)
        return r;
    while (sem_wait(&p->is_up) < 0)
        ;
    if (p->start_result >= 0)
        return 0;
    pthread_join(p->thread, NULL);
    return err_set(p->start_result, "%s", p->fault);
}

void program_reload(struct program *p)
{
    program_post(p, program_read_again);
}

void program_stop(struct program *p)
{
    program_post(p, program_drain);
    pthread_join(p->thread, NULL);
}

struct program *program_free(struct program *p)
{
    if (!p)
        return NULL;
    sem_destroy(&p->is_up);
    config_free(p->params->config, p->options);
    free(p->options);
    free(p);
    return NULL;
}
