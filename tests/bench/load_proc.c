/* Readings from /proc and from the process CPU clock. */
#include "load_proc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static FILE *open_file(const struct load_proc *p, const char *name)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/%s", p->pid, name);
    return fopen(path, "re");
}

int load_proc_open(struct load_proc *p, const char *label, int pid)
{
    *p = (struct load_proc){.label = label, .pid = pid};
    int r = clock_getcpuclockid(pid, &p->clock);
    if (r != 0)
        return -r;
    p->rss_before = load_proc_read_rss(p);
    return p->is_gone ? -EACCES : 0;
}

uint64_t load_proc_read_rss(struct load_proc *p)
{
    char line[128];
    unsigned long kilobytes = 0;
    bool is_found = false;

    FILE *f = open_file(p, "smaps_rollup");
    while (f && !is_found && fgets(line, sizeof(line), f))
        is_found = sscanf(line, "Rss: %lu kB", &kilobytes) == 1;
    if (f)
        fclose(f);
    if (!is_found)
        p->is_gone = true;
    uint64_t rss = (uint64_t)kilobytes * 1024;
    if (rss > p->rss_peak)
        p->rss_peak = rss;
    return rss;
}

void load_proc_read_cpu(struct load_proc *p, struct load_proc_cpu *ret)
{
    struct timespec t;
    char line[1024];
    unsigned long user = 0, system = 0;

    if (clock_gettime(p->clock, &t) != 0) {
        p->is_gone = true;
        return;
    }
    ret->total_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    FILE *f = open_file(p, "stat");
    /* The name, field 2, may hold spaces and parentheses: count from the last one. */
    const char *tail = f && fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
    if (tail && sscanf(tail, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2) {
        ret->user_s = (double)user / (double)sysconf(_SC_CLK_TCK);
        ret->system_s = (double)system / (double)sysconf(_SC_CLK_TCK);
    }
    if (f)
        fclose(f);
}

void load_proc_sample(struct load_proc *p)
{
    unsigned long pages = 0;

    FILE *f = open_file(p, "statm");
    if (f && fscanf(f, "%*u %lu", &pages) == 1) {
        uint64_t rss = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
        if (rss > p->rss_peak)
            p->rss_peak = rss;
    }
    if (f)
        fclose(f);
}
