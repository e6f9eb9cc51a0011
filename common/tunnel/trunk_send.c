/* Packets of lanes -> frames (proto/mqtt_trunk.proto sections 5 and 6).
 *
 *   lane_send() -- small, nothing waits, credit, link not full --> batch
 *        '-------- else --> outbox --> trunk->ready: lanes take turns, TRUNK_PIECE_BYTES each --> batch
 *
 * A lane is in `ready` when it could go on but for the link: it has something to send and credit for it, or its session
 * has been told to wait. */
#include <errno.h>
#include <string.h>

#include "err.h"
#include "trunk_internal.h"

static bool is_over(const struct trunk_lane *l)
{
    return !l->trunk || trunk_is_over(l->trunk) || l->is_finishing || l->is_close_sent || l->is_ended || l->is_freed;
}

/* The peer has closed and gives no credit any more: what cannot leave now never can. */
static bool is_deaf(const struct trunk_lane *l)
{
    return l->is_close_received && l->send_window <= 0;
}

/* Whether frames may be added to the batch. */
static bool link_has_room(const struct trunk *t)
{
    return !trunk_link_is_full(&t->link) && !trunk_batch_is_backed_up(t);
}

static void wait_for_link(struct trunk *t)
{
    if (trunk_batch_is_backed_up(t))
        trunk_batch_wait(t);
    if (trunk_link_is_full(&t->link) && trunk_link_stalled(&t->link, loop_now_ms(t->loop)))
        metric_add(&t->metrics->link_stalls, 1);
}

void trunk_lane_make_ready(struct trunk_lane *l)
{
    if (!l->trunk || list_is_linked(&l->ready))
        return;
    list_add_tail(&l->trunk->ready, &l->ready);
    loop_defer(l->trunk->loop, &l->trunk->flush_task);
}

static void charge(struct trunk_lane *l, size_t n)
{
    l->send_window -= (int64_t)n;
    if (l->send_window > 0)
        return;
    l->is_blocked = true;
    metric_add(&l->trunk->metrics->credit_stalls, 1);
}

/* --- From the session */

static int send_now(struct trunk_lane *l, const struct packet_frame *f)
{
    struct trunk *t = l->trunk;
    uint8_t *dst = trunk_batch_room(t, trunk_frame_packet_bytes(l->id, l->sent_sequence + 1, f));
    if (!dst)
        return err_errno(-ENOMEM, "lane");
    trunk_batch_add(t, trunk_frame_write_packet(dst, l->id, ++l->sent_sequence, f));
    charge(l, f->total_bytes);
    return 0;
}

static int send_later(struct trunk_lane *l, const struct packet_frame *f)
{
    int r = lane_outbox_put(&l->outbox, f);
    if (r < 0)
        return r;
    l->is_blocked = true;
    if (l->send_window > 0)
        trunk_lane_make_ready(l);
    return 0;
}

int trunk_lane_send(struct lane *lane, const struct mqtt_packet *packet)
{
    struct trunk_lane *l = trunk_lane_of(lane);
    if (is_over(l) || is_deaf(l))
        return 0;
    struct packet_frame f;
    size_t n = packet_to_message_plan(&f, packet);
    bool is_now = n <= TRUNK_PIECE_BYTES && l->outbox.bytes == 0 && l->send_window > 0 && link_has_room(l->trunk);
    return is_now ? send_now(l, &f) : send_later(l, &f);
}

bool trunk_lane_may_send(const struct lane *lane)
{
    struct trunk_lane *l = trunk_lane_of(lane);
    if (is_over(l) || is_deaf(l))
        return true; /* it is dropped: no reason to stop anybody */
    bool has_credit = l->send_window > 0;
    if (has_credit && l->outbox.bytes == 0 && link_has_room(l->trunk))
        return true;
    l->is_blocked = true; /* on_writable is due */
    if (has_credit)
        trunk_lane_make_ready(l);
    return false;
}

void trunk_lane_drop_unsent(struct trunk_lane *l)
{
    lane_outbox_clear(&l->outbox);
    list_del(&l->ready);
}

void trunk_lane_no_more_credit(struct trunk_lane *l)
{
    if (!is_deaf(l))
        return;
    lane_outbox_clear(&l->outbox);
    if (l->is_blocked)
        trunk_lane_make_ready(l);
}

/* --- In turns */

/* The next part of the first packet that waits; false: the trunk has failed. */
static bool send_part(struct trunk_lane *l)
{
    const struct lane_outgoing *o = lane_outbox_first(&l->outbox);
    size_t left = o->len - o->sent;
    size_t n = left < TRUNK_PIECE_BYTES ? left : TRUNK_PIECE_BYTES;
    uint8_t *dst = trunk_batch_room(l->trunk, TRUNK_FRAME_OVERHEAD + n);
    if (!dst)
        return false;
    struct mqtt_bytes data = {.ptr = o->bytes + o->sent, .len = (uint32_t)n};
    bool is_first = o->sent == 0;
    uint64_t sequence = ++l->sent_sequence;
    uint8_t *end = n == o->len ? trunk_frame_write_message(dst, l->id, sequence, o->family, data)
                               : trunk_frame_write_piece(dst, l->id, sequence, is_first ? (uint32_t)o->len : 0,
                                                         is_first ? o->family : 0, data);
    trunk_batch_add(l->trunk, end);
    charge(l, n);
    lane_outbox_sent(&l->outbox, n);
    return true;
}

static void tell_writable(struct trunk_lane *l)
{
    l->is_blocked = false;
    if (!is_over(l) && l->lane.cbs->on_writable)
        l->lane.cbs->on_writable(&l->lane, l->lane.arg);
}

/* L's turn; it is in no list. */
static void take_turn(struct trunk_lane *l)
{
    if (l->outbox.bytes > 0 && l->send_window > 0 && !send_part(l))
        return;
    if (is_deaf(l))
        lane_outbox_clear(&l->outbox);
    if (l->outbox.bytes > 0) {
        if (l->send_window > 0)
            trunk_lane_make_ready(l);
        return;
    }
    trunk_lane_send_close_if_due(l);
    if (l->is_blocked && (l->send_window > 0 || is_deaf(l)))
        tell_writable(l);
}

void trunk_send_on(struct trunk *t)
{
    while (!trunk_is_over(t) && !list_is_empty(&t->ready)) {
        if (!link_has_room(t)) {
            wait_for_link(t);
            return;
        }
        struct trunk_lane *l = list_entry(list_first(&t->ready), struct trunk_lane, ready);
        list_del(&l->ready);
        trunk_lane_ref(l);
        take_turn(l);
        trunk_lane_unref(l);
    }
}
