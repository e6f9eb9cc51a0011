/* What another process uses: CPU with all its threads, also those that have ended, and memory. Linux only. */
#ifndef LOAD_PROC_H
#define LOAD_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct load_proc_cpu {
    uint64_t total_ns; /* from the scheduler, exact */
    double user_s;     /* in clock ticks: to see how it divides */
    double system_s;
};

struct load_proc {
    const char *label;
    int pid;
    clockid_t clock;
    bool is_gone;                   /* it has ended in the meantime: its figures are worth nothing */
    struct load_proc_cpu cpu_start; /* of the measured window */
    struct load_proc_cpu cpu_end;
    uint64_t rss_before; /* bytes, before the first client connects */
    uint64_t rss_start;  /* of the window */
    uint64_t rss_end;
    uint64_t rss_peak; /* sampled */
};

/* 0 or a negative errno: there is no such process, or it may not be looked at. */
int load_proc_open(struct load_proc *p, const char *label, int pid);
/* Exact, by walking its page tables: for the ends of a window. */
uint64_t load_proc_read_rss(struct load_proc *p);
void load_proc_read_cpu(struct load_proc *p, struct load_proc_cpu *ret);
/* Cheap, to within some hundred KB: raises rss_peak. */
void load_proc_sample(struct load_proc *p);

#endif
