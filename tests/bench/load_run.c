/* The phases, seen from the one thread that sets them. It sleeps until a worker reports or a limit is reached, and
 * reads the memory of the processes under test ten times a second while they are measured. */
#include "load_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "load_mem.h"
#include "load_tls.h"

#define SAMPLE_NS UINT64_C(100000000)

struct run {
    const struct load_options *o;
    struct load_report *report;
    struct load_shared shared;
    struct load_worker *workers;
    uint32_t started; /* workers whose thread runs */
    uint64_t start_ns;
    uint64_t limit_ns; /* --timeout */
    uint64_t window_start_ns;
    uint64_t window_delivered_before;
};

typedef bool run_check_fn(struct run *run);

static uint64_t seconds_ns(double seconds)
{
    return (uint64_t)(seconds * 1e9);
}

static void wake_workers(struct run *run)
{
    for (uint32_t i = 0; i < run->started; i++)
        load_worker_wake(&run->workers[i]);
}

static void set_phase(struct run *run, enum load_phase phase)
{
    atomic_store(&run->shared.phase, (int)phase);
    wake_workers(run);
}

/* Sleep until a worker tells something, at most until UNTIL_NS. */
static void sleep_until(struct run *run, uint64_t until_ns)
{
    struct pollfd p = {.fd = run->shared.notify_fd, .events = POLLIN};
    uint64_t now_ns = load_worker_clock_ns();
    uint64_t unused;

    int wait_ms = until_ns > now_ns ? (int)((until_ns - now_ns + 999999) / 1000000) : 0;
    if (poll(&p, 1, wait_ms) > 0 && read(p.fd, &unused, sizeof(unused)) < 0)
        abort(); /* an eventfd that we own, and readable */
}

/* Until CHECK says yes (true), or the limit (false). CHECK NULL: until the limit. */
static bool wait_for(struct run *run, run_check_fn *check, uint64_t limit_ns)
{
    uint64_t sample_ns = load_worker_clock_ns();

    for (;;) {
        uint64_t now_ns = load_worker_clock_ns();
        if (check && check(run))
            return true;
        if (now_ns >= limit_ns)
            return false;
        if (now_ns >= sample_ns) {
            for (uint32_t i = 0; i < run->report->process_count; i++)
                load_proc_sample(&run->report->processes[i]);
            sample_ns = now_ns + SAMPLE_NS;
        }
        sleep_until(run, sample_ns < limit_ns ? sample_ns : limit_ns);
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- the measured window */

static void open_window(struct run *run, uint64_t start_ns)
{
    run->window_start_ns = start_ns;
    run->window_delivered_before = atomic_load(&run->shared.delivered);
    atomic_store(&run->shared.window_start_ns, start_ns);
    for (uint32_t i = 0; i < run->report->process_count; i++) {
        struct load_proc *p = &run->report->processes[i];
        p->rss_start = load_proc_read_rss(p);
        load_proc_read_cpu(p, &p->cpu_start);
    }
    load_relay_start(&run->report->relay);
}

static void close_window(struct run *run, uint64_t end_ns)
{
    struct load_report *report = run->report;

    load_relay_end(&report->relay);
    for (uint32_t i = 0; i < report->process_count; i++) {
        struct load_proc *p = &report->processes[i];
        load_proc_read_cpu(p, &p->cpu_end);
        p->rss_end = load_proc_read_rss(p);
    }
    report->seconds = end_ns > run->window_start_ns ? (double)(end_ns - run->window_start_ns) / 1e9 : 0;
    report->window_delivered = atomic_load(&run->shared.delivered) - run->window_delivered_before;
}

/* ---- phases */

static bool all_dialled(struct run *run)
{
    return atomic_load(&run->shared.ready) + atomic_load(&run->shared.failed) >= run->report->clients;
}

static void connect_clients(struct run *run)
{
    struct load_report *report = run->report;
    bool is_done =
        wait_for(run, all_dialled, earlier(run->limit_ns, run->start_ns + seconds_ns(run->o->connect_timeout_s)));

    report->connect_s = (double)(load_worker_clock_ns() - run->start_ns) / 1e9;
    report->ready = atomic_load(&run->shared.ready);
    report->failed = report->clients - report->ready;
    if (!is_done)
        report->end = LOAD_END_TIMEOUT;
    else if (report->failed > 0)
        report->end = LOAD_END_NOT_CONNECTED;
}

static bool publishers_done(struct run *run)
{
    return atomic_load(&run->shared.publishers_done) == run->o->publishers;
}

static bool all_delivered(struct run *run)
{
    uint64_t copies = run->o->pattern == LOAD_PATTERN_MESH ? run->o->subscribers : 1;

    return publishers_done(run) && atomic_load(&run->shared.delivered) >= atomic_load(&run->shared.issued) * copies;
}

/* Wait for what is under way, as long as anything comes at all. */
static enum load_end drain(struct run *run)
{
    uint64_t drain_ns = seconds_ns(run->o->drain_s);
    uint64_t packets = atomic_load(&run->shared.packets);

    for (;;) {
        uint64_t silent_ns = load_worker_clock_ns() + drain_ns;
        if (wait_for(run, all_delivered, earlier(run->limit_ns, silent_ns)))
            return LOAD_END_COMPLETE;
        if (load_worker_clock_ns() >= run->limit_ns)
            return LOAD_END_TIMEOUT;
        uint64_t now_packets = atomic_load(&run->shared.packets);
        if (now_packets == packets)
            return LOAD_END_SILENCE;
        packets = now_packets;
    }
}

static bool all_fenced(struct run *run)
{
    return atomic_load(&run->shared.fenced) == run->o->subscribers;
}

/* Everything has come once. Does anything come twice? Not by waiting some time, but until each subscriber's PINGRESP.
 */
static void look_for_duplicates(struct run *run)
{
    set_phase(run, LOAD_PHASE_FENCE);
    if (!wait_for(run, all_fenced, earlier(run->limit_ns, load_worker_clock_ns() + seconds_ns(run->o->drain_s))))
        run->report->end = LOAD_END_SILENCE;
}

/* Who waits for the file to appear wants to do something meanwhile, beside this run. */
static void announce(const struct run *run)
{
    if (!run->o->announce)
        return;
    int fd = open(run->o->announce, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        fprintf(stderr, "mqtt-load: --announce %s: %s\n", run->o->announce, strerror(errno));
        return;
    }
    close(fd);
}

static void end_stall(struct run *run)
{
    atomic_store(&run->shared.is_stalled, false);
    wake_workers(run);
}

static void publish(struct run *run)
{
    const struct load_options *o = run->o;
    uint64_t start_ns = load_worker_clock_ns();
    uint64_t end_ns = o->duration_s > 0 ? earlier(run->limit_ns, start_ns + seconds_ns(o->duration_s)) : run->limit_ns;

    if (o->warmup_s == 0)
        open_window(run, start_ns);
    start_ns = load_worker_clock_ns();
    atomic_store(&run->shared.publish_start_ns, start_ns);
    atomic_store(&run->shared.is_stalled, o->stall_s > 0);
    set_phase(run, LOAD_PHASE_PUBLISH);
    if (o->warmup_s > 0) {
        wait_for(run, publishers_done, earlier(end_ns, start_ns + seconds_ns(o->warmup_s)));
        open_window(run, load_worker_clock_ns());
    }
    announce(run);
    if (o->stall_s > 0) {
        wait_for(run, NULL, earlier(end_ns, start_ns + seconds_ns(o->stall_s)));
        end_stall(run);
    }
    /* A flood bounded by its count may stall in the middle: silence ends it, as it ends the draining. */
    if (o->duration_s > 0)
        wait_for(run, publishers_done, end_ns);
    else if (o->rate > 0)
        wait_for(run, publishers_done,
                 earlier(end_ns, start_ns + seconds_ns(o->count * (double)o->publishers / o->rate)));
    if (o->duration_s > 0)
        set_phase(run, LOAD_PHASE_STOP);
    run->report->end = drain(run);
    uint64_t last_ns = atomic_load(&run->shared.last_delivery_ns);
    close_window(run, last_ns ? last_ns : load_worker_clock_ns());
    if (run->report->end == LOAD_END_COMPLETE)
        look_for_duplicates(run);
}

static void measure(struct run *run)
{
    const struct load_options *o = run->o;

    connect_clients(run);
    if (o->publishers == 0) {
        uint64_t connected_ns = load_worker_clock_ns();
        if (o->pattern == LOAD_PATTERN_IDLE && run->report->end == LOAD_END_COMPLETE)
            wait_for(run, NULL, earlier(run->limit_ns, connected_ns + seconds_ns(o->hold_s)));
        close_window(run, connected_ns);
    } else if (run->report->end == LOAD_END_COMPLETE) {
        publish(run);
    } else {
        close_window(run, load_worker_clock_ns());
    }
}

/* ---- setting up and adding up */

static void collect(struct run *run)
{
    struct load_report *report = run->report;
    uint32_t *issued = load_mem_zeroed(run->o->publishers, sizeof(*issued));

    for (uint32_t i = 0; i < run->o->threads; i++) {
        for (uint32_t k = 0; k < run->workers[i].publisher_count; k++)
            issued[run->workers[i].publishers[k].index] = load_publisher_issued(&run->workers[i].publishers[k]);
    }
    for (uint32_t i = 0; i < run->o->threads; i++) {
        struct load_worker *w = &run->workers[i];
        load_worker_account(w, issued);
        report->counts.published += w->counts.published;
        report->counts.unsent += w->counts.unsent;
        report->counts.expected += w->counts.expected;
        report->counts.lost += w->counts.lost;
        report->counts.duplicates += w->counts.duplicates;
        report->counts.late += w->counts.late;
        report->counts.spoiled += w->counts.spoiled;
        report->counts.refused += w->counts.refused;
        report->counts.strange_acks += w->counts.strange_acks;
        report->counts.cut += w->counts.cut;
        report->counts.bad_pairs += w->counts.bad_pairs;
        load_hist_merge(&report->latency, &w->latency);
        load_hist_merge(&report->connect, &w->connect);
        load_hist_merge(&report->lag, &w->lag);
        if (!report->first_trouble[0])
            memcpy(report->first_trouble, w->first_trouble, sizeof(report->first_trouble));
        if (!report->tls[0])
            memcpy(report->tls, w->tls, sizeof(report->tls));
    }
    free(issued);
    report->delivered = atomic_load(&run->shared.delivered);
}

static void read_own_cpu(struct load_report *report)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    report->own_user_s = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6;
    report->own_system_s = (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
}

static int open_processes(struct run *run)
{
    for (uint32_t i = 0; i < run->o->process_count; i++) {
        const struct load_process_option *option = &run->o->processes[i];
        int r = load_proc_open(&run->report->processes[i], option->label, option->pid);
        if (r < 0) {
            fprintf(stderr, "mqtt-load: process %s (%d): %s\n", option->label, option->pid, strerror(-r));
            return r;
        }
        run->report->process_count++;
    }
    return 0;
}

static int open_relay(struct run *run)
{
    if (!run->o->relay)
        return 0;
    int r = load_relay_open(&run->report->relay, run->o->relay);
    if (r < 0)
        fprintf(stderr, "mqtt-load: --relay %s: %s\n", run->o->relay, strerror(-r));
    return r;
}

static int open_tls(struct run *run)
{
    if (!run->o->broker.is_tls && !run->o->pub_broker.is_tls)
        return 0;
    run->shared.tls = load_tls_new(run->o->tls_cert);
    return run->shared.tls ? 0 : -EINVAL;
}

/* Two descriptors for each thread, and one for each client. */
static int check_descriptors(const struct load_report *report)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* what counts is checked below */
    if (limit.rlim_cur >= report->clients + 200u)
        return 0;
    fprintf(stderr, "mqtt-load: %u clients need more descriptors than the %llu allowed (ulimit -n)\n", report->clients,
            (unsigned long long)limit.rlim_cur);
    return -EMFILE;
}

static int start_workers(struct run *run)
{
    for (uint32_t i = 0; i < run->o->threads; i++)
        load_worker_init(&run->workers[i], &run->shared, i);
    open_window(run, load_worker_clock_ns()); /* the window of STORM and IDLE; publish() opens its own */
    atomic_store(&run->shared.window_start_ns, UINT64_MAX);
    run->start_ns = run->window_start_ns = load_worker_clock_ns();
    run->limit_ns = run->start_ns + seconds_ns(run->o->timeout_s);
    for (; run->started < run->o->threads; run->started++) {
        int r = load_worker_start(&run->workers[run->started]);
        if (r < 0) {
            fprintf(stderr, "mqtt-load: cannot start a thread: %s\n", strerror(-r));
            return r;
        }
    }
    return 0;
}

int load_run(const struct load_options *o, struct load_report *ret_report)
{
    struct run run = {.o = o, .report = ret_report};
    uint32_t tag = 0;

    *ret_report = (struct load_report){.clients = o->publishers + o->subscribers};
    int r = check_descriptors(ret_report);
    if (r < 0)
        return r;
    if (getrandom(&tag, sizeof(tag), 0) != sizeof(tag))
        return -errno;
    run.shared.options = o;
    snprintf(run.shared.run_name, sizeof(run.shared.run_name), "lg%08x", tag);
    r = open_processes(&run);
    if (r == 0)
        r = open_relay(&run);
    if (r == 0)
        r = open_tls(&run);
    if (r < 0)
        return r;
    run.shared.notify_fd = eventfd(0, EFD_CLOEXEC);
    if (run.shared.notify_fd < 0)
        return -errno;
    run.workers = load_mem_zeroed(o->threads, sizeof(*run.workers));
    r = start_workers(&run);
    if (r == 0)
        measure(&run);
    set_phase(&run, LOAD_PHASE_END);
    for (uint32_t i = 0; i < run.started; i++)
        load_worker_join(&run.workers[i]);
    if (r == 0)
        collect(&run);
    read_own_cpu(ret_report);
    load_relay_close(&ret_report->relay);
    for (uint32_t i = 0; i < o->threads; i++)
        load_worker_deinit(&run.workers[i]);
    free(run.workers);
    SSL_CTX_free(run.shared.tls);
    close(run.shared.notify_fd);
    return r;
}

bool load_run_is_clean(const struct load_report *report)
{
    const struct load_counts *c = &report->counts;

    return report->end == LOAD_END_COMPLETE && report->failed == 0 && c->lost == 0 && c->duplicates == 0 &&
           c->late == 0 && c->spoiled == 0 && c->refused == 0 && c->strange_acks == 0 && c->cut == 0;
}
