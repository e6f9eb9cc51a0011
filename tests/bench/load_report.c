/* The two outputs; they show the same figures. */
#include "load_report.h"

#include <stdio.h>

static const struct {
    const char *name;
    double fraction;
} percentiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99_9", 0.999}, {"max", 1}};

enum {
    PERCENTILES = sizeof(percentiles) / sizeof(*percentiles),
};

static const char *end_name(enum load_end end)
{
    switch (end) {
    case LOAD_END_COMPLETE:
        return "complete";
    case LOAD_END_SILENCE:
        return "silence";
    case LOAD_END_TIMEOUT:
        return "timeout";
    case LOAD_END_NOT_CONNECTED:
        return "not connected";
    }
    return "?";
}

static double cpu_s(const struct load_proc *p)
{
    return p->cpu_end.total_ns > p->cpu_start.total_ns ? (double)(p->cpu_end.total_ns - p->cpu_start.total_ns) / 1e9
                                                       : 0;
}

/* What CPU is divided by: messages, or clients where only connecting is measured. */
static double work_done(const struct load_options *o, const struct load_report *r)
{
    return o->publishers == 0 ? (double)r->ready : (double)r->window_delivered;
}

static double per(double amount, double divisor)
{
    return divisor > 0 ? amount / divisor : 0;
}

static void print_hist(const char *title, const struct load_hist *h)
{
    if (h->total == 0)
        return;
    printf("%-11s", title);
    for (int i = 0; i < PERCENTILES; i++)
        printf(" %s %.1f", percentiles[i].name, (double)load_hist_percentile(h, percentiles[i].fraction) / 1e3);
    printf(" us\n");
}

static void print_processes(const struct load_options *o, const struct load_report *r)
{
    const char *unit = o->publishers == 0 ? "client" : "message";
    double sum_s = 0;

    for (uint32_t i = 0; i < r->process_count; i++) {
        const struct load_proc *p = &r->processes[i];
        sum_s += cpu_s(p);
        printf("%-11s cpu %.3f s (user %.2f, system %.2f), %.2f us per %s; memory %.1f MB, %+.1f MB, peak %.1f MB",
               p->label, cpu_s(p), p->cpu_end.user_s - p->cpu_start.user_s, p->cpu_end.system_s - p->cpu_start.system_s,
               per(cpu_s(p) * 1e6, work_done(o, r)), unit, (double)p->rss_end / 1e6,
               ((double)p->rss_end - (double)p->rss_before) / 1e6, (double)p->rss_peak / 1e6);
        if (o->pattern == LOAD_PATTERN_IDLE)
            printf(", %.1f KB per client", per(((double)p->rss_end - (double)p->rss_before) / 1e3, r->ready));
        printf("%s\n", p->is_gone ? " - HAS ENDED" : "");
    }
    if (r->process_count > 1)
        printf("%-11s cpu %.3f s, %.2f us per %s\n", "together", sum_s, per(sum_s * 1e6, work_done(o, r)), unit);
}

static void print_relay(const struct load_report *r)
{
    static const char *const names[RELAY_WAYS] = {"up", "down"};

    printf("%-11s", "relay");
    for (int way = 0; way < RELAY_WAYS; way++)
        printf(" %s %llu bytes in %llu segments,", names[way], (unsigned long long)r->relay.ways[way].bytes,
               (unsigned long long)r->relay.ways[way].segments);
    printf(" %.1f bytes on the wire per message\n",
           per((double)load_relay_wire_bytes(&r->relay), (double)r->window_delivered));
}

void load_report_print(const struct load_options *o, const struct load_report *r)
{
    const struct load_counts *c = &r->counts;

    printf("%-11s %s %u publishers, %u subscribers, MQTT %s, QoS %d, %s%u bytes of %s, ", "run",
           load_options_pattern_name(o->pattern), o->publishers, o->subscribers, o->version == 5 ? "5" : "3.1.1",
           o->qos, o->fill == LOAD_FILL_JSON ? "up to " : "", o->payload_len, load_options_fill_name(o->fill));
    if (o->rate > 0)
        printf("%g messages/s\n", o->rate);
    else
        printf("flood\n");
    printf("%-11s %u of %u in %.3f s\n", "connected", r->ready, r->clients, r->connect_s);
    print_hist("connecting", &r->connect);
    if (r->tls[0])
        printf("%-11s %s\n", "TLS", r->tls);
    if (o->publishers > 0 && c->expected > 0) {
        printf("%-11s published %llu, delivered %llu of %llu in %.3f s: %.0f messages/s\n", "messages",
               (unsigned long long)c->published, (unsigned long long)r->delivered, (unsigned long long)c->expected,
               r->seconds, per((double)r->window_delivered, r->seconds));
        print_hist("latency", &r->latency);
        print_hist("sent late", &r->lag);
    }
    printf("%-11s lost %llu, duplicates %llu, out of order %llu, spoiled %llu (in %u pairs); cut %u, refused %llu, "
           "strange acknowledgements %llu, not sent %llu\n",
           "faults", (unsigned long long)c->lost, (unsigned long long)c->duplicates, (unsigned long long)c->late,
           (unsigned long long)c->spoiled, c->bad_pairs, c->cut, (unsigned long long)c->refused,
           (unsigned long long)c->strange_acks, (unsigned long long)c->unsent);
    print_processes(o, r);
    if (o->relay)
        print_relay(r);
    printf("%-11s cpu user %.2f s, system %.2f s\n", "generator", r->own_user_s, r->own_system_s);
    if (r->first_trouble[0])
        printf("%-11s %s\n", "trouble", r->first_trouble);
    printf("%-11s %s\n", "end", end_name(r->end));
}

static void json_hist(const char *name, const struct load_hist *h)
{
    printf(", \"%s\": {\"count\": %llu", name, (unsigned long long)h->total);
    for (int i = 0; i < PERCENTILES; i++)
        printf(", \"%s\": %.1f", percentiles[i].name, (double)load_hist_percentile(h, percentiles[i].fraction) / 1e3);
    printf("}");
}

static void json_string(const char *s)
{
    putchar('"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            putchar('\\');
        if ((unsigned char)*s >= 0x20)
            putchar(*s);
    }
    putchar('"');
}

static void json_process(const struct load_options *o, const struct load_report *r, const struct load_proc *p)
{
    json_string(p->label);
    printf(": {\"pid\": %d, \"gone\": %s, \"cpu_s\": %.6f, \"user_s\": %.2f, \"system_s\": %.2f, \"cpu_us_per_unit\": "
           "%.3f, "
           "\"rss_before\": %llu, \"rss_start\": %llu, \"rss_end\": %llu, \"rss_peak\": %llu}",
           p->pid, p->is_gone ? "true" : "false", cpu_s(p), p->cpu_end.user_s - p->cpu_start.user_s,
           p->cpu_end.system_s - p->cpu_start.system_s, per(cpu_s(p) * 1e6, work_done(o, r)),
           (unsigned long long)p->rss_before, (unsigned long long)p->rss_start, (unsigned long long)p->rss_end,
           (unsigned long long)p->rss_peak);
}

static void json_relay(const struct load_report *r)
{
    const struct load_relay_way *up = &r->relay.ways[RELAY_UP], *down = &r->relay.ways[RELAY_DOWN];

    printf(", \"relay\": {\"up_bytes\": %llu, \"up_segments\": %llu, \"down_bytes\": %llu, \"down_segments\": %llu, "
           "\"wire_bytes\": %llu}",
           (unsigned long long)up->bytes, (unsigned long long)up->segments, (unsigned long long)down->bytes,
           (unsigned long long)down->segments, (unsigned long long)load_relay_wire_bytes(&r->relay));
}

void load_report_print_json(const struct load_options *o, const struct load_report *r)
{
    const struct load_counts *c = &r->counts;

    printf("{\"pattern\": \"%s\", \"publishers\": %u, \"subscribers\": %u, \"mqtt\": %d, \"qos\": %d, \"payload\": %u, "
           "\"fill\": \"%s\", "
           "\"rate\": %g, \"end\": \"%s\", \"clean\": %s",
           load_options_pattern_name(o->pattern), o->publishers, o->subscribers, o->version, o->qos, o->payload_len,
           load_options_fill_name(o->fill), o->rate, end_name(r->end), load_run_is_clean(r) ? "true" : "false");
    printf(", \"clients\": %u, \"ready\": %u, \"failed\": %u, \"connect_s\": %.6f", r->clients, r->ready, r->failed,
           r->connect_s);
    printf(", \"published\": %llu, \"expected\": %llu, \"delivered\": %llu, \"window_delivered\": %llu, \"seconds\": "
           "%.6f, "
           "\"per_second\": %.1f",
           (unsigned long long)c->published, (unsigned long long)c->expected, (unsigned long long)r->delivered,
           (unsigned long long)r->window_delivered, r->seconds, per((double)r->window_delivered, r->seconds));
    printf(", \"lost\": %llu, \"duplicates\": %llu, \"out_of_order\": %llu, \"spoiled\": %llu, \"bad_pairs\": %u, "
           "\"cut\": %u, "
           "\"refused\": %llu, \"strange_acks\": %llu, \"unsent\": %llu",
           (unsigned long long)c->lost, (unsigned long long)c->duplicates, (unsigned long long)c->late,
           (unsigned long long)c->spoiled, c->bad_pairs, c->cut, (unsigned long long)c->refused,
           (unsigned long long)c->strange_acks, (unsigned long long)c->unsent);
    json_hist("latency_us", &r->latency);
    json_hist("connect_us", &r->connect);
    json_hist("lag_us", &r->lag);
    printf(", \"own_user_s\": %.3f, \"own_system_s\": %.3f, \"trouble\": ", r->own_user_s, r->own_system_s);
    json_string(r->first_trouble);
    printf(", \"tls\": ");
    json_string(r->tls);
    if (o->relay)
        json_relay(r);
    printf(", \"processes\": {");
    for (uint32_t i = 0; i < r->process_count; i++) {
        if (i > 0)
            printf(", ");
        json_process(o, r, &r->processes[i]);
    }
    printf("}}\n");
}
