/* Heartbeats of a trunk (proto/mqtt_trunk.proto section 7).
 *
 *   every third of the shorter dead-after: ping -->   <-- pong: round trip
 *   nothing at all received for our dead-after: the peer is dead
 *   nothing taken of what is under way for STUCK times as long: the peer reads, and does nothing with it */
#define LOG_MODULE LOG_TUNNEL
#include "clock.h"
#include "trunk_internal.h"

enum {
    HELLO_MS = 10000, /* for a peer's hello when it is never taken for dead otherwise */
    STUCK = 10,
};

static uint32_t shorter(uint32_t a, uint32_t b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

/* 0: no heartbeats are wanted. */
static uint32_t period_ms(const struct trunk *t)
{
    uint32_t dead_after = shorter(t->options->dead_after_ms, t->peer.dead_after_ms);
    return dead_after == 0 ? 0 : dead_after / 3 + 1;
}

/* An unanswered one is repeated, so that the round trip of a slow link is measured from the first. */
static void send_ping(struct trunk *t)
{
    if (t->ping == 0)
        t->ping = clock_now_us();
    t->due.ping = t->ping;
    trunk_batch_control(t);
}

static void declare_dead(struct trunk *t, const char *text)
{
    metric_add(&t->metrics->trunks_dead, 1);
    log_warn(&t->log, "%s", text);
    trunk_fail(t, RPC_UNAVAILABLE, text);
}

/* Milliseconds until silence is death; 0: it is. */
static uint64_t left_to_live(const struct trunk *t, uint64_t now_ms)
{
    uint64_t dead_ms = t->received_ms + t->options->dead_after_ms;
    return dead_ms > now_ms ? dead_ms - now_ms : 0;
}

static void start_timer(struct trunk *t)
{
    uint64_t delay = period_ms(t);
    if (delay == 0)
        return;
    if (t->options->dead_after_ms != 0) {
        uint64_t left = left_to_live(t, loop_now_ms(t->loop));
        delay = left < delay ? left : delay;
    }
    loop_timer_start(&t->pulse_timer, delay > 0 ? delay : 1);
}

/* A loop that has slept (SIGSTOP, a suspended machine, a swapped-out process) finds its timers due before it has read
 * what came meanwhile: the peer's silence begins anew. Once: a loop that is late each time must notice a dead peer. */
static bool has_slept(struct trunk *t, uint64_t now_ms)
{
    bool is_late = now_ms > t->pulse_timer.due_ms + period_ms(t);
    bool is_first = is_late && !t->was_late;
    t->was_late = is_late;
    return is_first;
}

static void check(struct trunk *t)
{
    uint64_t now_ms = loop_now_ms(t->loop);
    uint64_t dead_after = t->options->dead_after_ms;
    if (has_slept(t, now_ms))
        t->received_ms = t->link.progress_ms = now_ms;
    if (dead_after != 0) {
        if (left_to_live(t, now_ms) == 0) {
            declare_dead(t, "the peer is silent");
            return;
        }
        if (trunk_link_is_stuck(&t->link, now_ms, STUCK * dead_after)) {
            declare_dead(t, "the peer takes nothing of what is sent");
            return;
        }
    }
    send_ping(t);
    start_timer(t);
}

static void on_timer(struct loop_timer *timer)
{
    struct trunk *t = container_of(timer, struct trunk, pulse_timer);
    if (trunk_is_over(t))
        return;
    if (t->is_ready)
        check(t);
    else
        declare_dead(t, "no hello from the peer in time");
}

void trunk_pulse_init(struct trunk *t)
{
    loop_timer_init(&t->pulse_timer, t->loop, on_timer);
    t->received_ms = loop_now_ms(t->loop);
}

void trunk_pulse_start(struct trunk *t)
{
    if (t->is_ready)
        start_timer(t);
    else
        loop_timer_start(&t->pulse_timer, t->options->dead_after_ms != 0 ? t->options->dead_after_ms : HELLO_MS);
}

void trunk_pulse_stop(struct trunk *t)
{
    loop_timer_stop(&t->pulse_timer);
}

void trunk_pulse_received(struct trunk *t, const struct trunk_controls *controls)
{
    t->received_ms = loop_now_ms(t->loop);
    if (controls->ping != 0) {
        t->due.pong = controls->ping;
        trunk_batch_control(t);
    }
    if (controls->pong != 0 && controls->pong == t->ping) {
        uint64_t us = clock_now_us() - t->ping;
        t->rtt_us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
        t->ping = 0;
    }
}
