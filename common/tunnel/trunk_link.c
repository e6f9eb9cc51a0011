/* How much may be under way between two ends of a trunk: about a second of what the link carries, so that control, and
 * the heartbeat of a saturated slow link, wait no longer than that (proto/mqtt_trunk.proto section 4).
 *
 *   sent --> [ HTTP/2, sockets, the link ] --> taken by the peer
 *
 * Throughput shows only while the link is full: a window of measurement begins when somebody has to wait because of it,
 * and is given up when nobody keeps it full until the window is over. Pure: no I/O, time comes from outside. */
#include "trunk_internal.h"

enum {
    LINK_FIRST_LIMIT = 128 * 1024, /* a second of 1 Mbit/s; a faster link shows in the first window */
    LINK_LEAST = 64 * 1024,        /* what a peer may leave unsaid, so less would wait for ever */
    LINK_MOST = 8 * 1024 * 1024,
    LINK_WINDOW_MS = 100,
    /* It is longer if less was taken, up to a second: what is taken is said in lumps, and comes behind whatever is
     * under way in the other direction. For the same reason a window moves the limit half the way only. */
    LINK_WINDOW_BYTES = 256 * 1024,
    LINK_WINDOW_MOST_MS = 1000,
    LINK_PAUSE_MS = 25, /* sessions may need so long to fill it again */
};

static uint64_t under_way(const struct trunk_link *k)
{
    return k->sent_bytes - k->taken_bytes;
}

void trunk_link_init(struct trunk_link *k, uint64_t now_ms)
{
    *k = (struct trunk_link){.limit_bytes = LINK_FIRST_LIMIT, .progress_ms = now_ms};
}

void trunk_link_sent(struct trunk_link *k, size_t bytes, uint64_t now_ms)
{
    if (under_way(k) == 0)
        k->progress_ms = now_ms;
    k->sent_bytes += bytes;
}

static void measure(struct trunk_link *k, uint64_t now_ms)
{
    uint64_t ms = now_ms - k->window_start_ms;
    uint64_t bytes = k->taken_bytes - k->window_taken_bytes;
    bool is_over = ms >= LINK_WINDOW_MOST_MS || (ms >= LINK_WINDOW_MS && bytes >= LINK_WINDOW_BYTES);
    if (now_ms - k->full_ms > LINK_PAUSE_MS) {
        k->is_measuring = false;
    } else if (is_over) {
        uint64_t limit = (k->limit_bytes + bytes * 1000 / ms) / 2;
        uint64_t least = limit > LINK_LEAST ? limit : LINK_LEAST;
        k->limit_bytes = least < LINK_MOST ? least : LINK_MOST;
        k->is_measuring = false;
    }
}

bool trunk_link_taken(struct trunk_link *k, uint64_t bytes, uint64_t now_ms)
{
    if (bytes > under_way(k))
        return false;
    if (trunk_link_is_full(k))
        k->full_ms = now_ms;
    k->taken_bytes += bytes;
    k->progress_ms = now_ms;
    if (k->is_measuring)
        measure(k, now_ms);
    k->is_awaited = k->is_awaited && trunk_link_is_full(k);
    return true;
}

bool trunk_link_is_full(const struct trunk_link *k)
{
    return under_way(k) >= k->limit_bytes;
}

bool trunk_link_stalled(struct trunk_link *k, uint64_t now_ms)
{
    bool is_news = !k->is_awaited;
    k->is_awaited = true;
    k->full_ms = now_ms;
    if (k->is_measuring)
        return is_news;
    k->is_measuring = true;
    k->window_start_ms = now_ms;
    k->window_taken_bytes = k->taken_bytes;
    return is_news;
}

bool trunk_link_is_stuck(const struct trunk_link *k, uint64_t now_ms, uint64_t ms)
{
    return under_way(k) > 0 && now_ms - k->progress_ms > ms;
}
