/* Readings from /proc and from the process CPU clock. */
#include "load_proc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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
    uint64_t rss = 0;

    FILE *f = open_file(p, "smaps_rollup");
    while (f && rss == 0 && fgets(line, sizeof(line), f)) {
        if (!strncmp(line, "Rss:", 4))
            rss = strtoull(line + 4, NULL, 10) * 1024;
    }
    if (f)
        fclose(f);
    if (rss == 0)
        p->is_gone = true;
    if (rss > p->rss_peak)
        p->rss_peak = rss;
    return rss;
}

/* Field NUMBER of /proc/PID/stat, counted from 1. The name, field 2, may hold spaces and parentheses: the last one ends
 * it. */
static double stat_field_ticks(const char *line, int number)
{
    const char *at = strrchr(line, ')');

    for (int field = 2; at && field < number; field++)
        at = strchr(at + 1, ' ');
    return at ? (double)strtoull(at, NULL, 10) : 0;
}

void load_proc_read_cpu(struct load_proc *p, struct load_proc_cpu *ret)
{
    struct timespec t;
    char line[1024];

    if (clock_gettime(p->clock, &t) != 0) {
        p->is_gone = true;
        return;
    }
    ret->total_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    FILE *f = open_file(p, "stat");
    if (f && fgets(line, sizeof(line), f)) {
        ret->user_s = stat_field_ticks(line, 14) / (double)sysconf(_SC_CLK_TCK);
        ret->system_s = stat_field_ticks(line, 15) / (double)sysconf(_SC_CLK_TCK);
    }
    if (f)
        fclose(f);
}

void load_proc_sample(struct load_proc *p)
{
    char line[128];

    FILE *f = open_file(p, "statm");
    const char *resident = f && fgets(line, sizeof(line), f) ? strchr(line, ' ') : NULL;
    uint64_t rss = resident ? strtoull(resident, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
    if (rss > p->rss_peak)
        p->rss_peak = rss;
    if (f)
        fclose(f);
}
