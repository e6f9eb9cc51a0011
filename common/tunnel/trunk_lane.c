/* A lane of a trunk: open, credit, close (proto/mqtt_trunk.proto sections 3 and 5).
 *
 *     r-proxy                                   s-proxy
 *     open  ----------------------------------> on_lane
 *     lane_finish: close, OK -----------------> on_finished ... lane_finish: close
 *     on_end <--------------------------------- close            the id is free when both have passed
 *
 * The table holds a lane until both closes have passed, also when the session has freed it. */
#define LOG_MODULE LOG_TUNNEL
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "str.h"
#include "trunk_internal.h"

static const uint8_t reasons[] = {
    [LANE_END_OK] = TRUNK_CLOSE_OK,
    [LANE_END_UNAVAILABLE] = TRUNK_CLOSE_UNAVAILABLE,
    [LANE_END_LIMIT] = TRUNK_CLOSE_LIMIT,
    [LANE_END_PROTOCOL] = TRUNK_CLOSE_PROTOCOL,
    [LANE_END_UNAUTHENTICATED] = TRUNK_CLOSE_UNAUTHENTICATED,
    [LANE_END_DENIED] = TRUNK_CLOSE_DENIED,
    [LANE_END_LOST] = TRUNK_CLOSE_LOST,
};

static enum lane_end end_of_reason(uint32_t reason)
{
    for (unsigned end = LANE_END_OK; end < LANE_END_LOST; end++)
        if (reasons[end] == reason)
            return (enum lane_end)end;
    return LANE_END_UNAVAILABLE; /* LOST, and what later versions may say */
}

/* --- The table */

struct trunk_lane *trunk_find_lane(const struct trunk *t, uint32_t id)
{
    return id - 1 < t->n_slots ? t->lanes[id - 1] : NULL;
}

static int make_slot(struct trunk *t, uint32_t id)
{
    if (id <= t->n_slots)
        return 0;
    uint32_t n = t->n_slots ? t->n_slots * 2 : 64;
    n = n < id ? id : n;
    struct trunk_lane **lanes = realloc(t->lanes, n * sizeof(struct trunk_lane *));
    if (!lanes)
        return err_errno(-ENOMEM, "lane");
    memset(lanes + t->n_slots, 0, (n - t->n_slots) * sizeof(struct trunk_lane *));
    t->lanes = lanes;
    t->n_slots = n;
    return 0;
}

static void put_into_table(struct trunk *t, struct trunk_lane *l)
{
    t->lanes[l->id - 1] = l;
    t->n_lanes++;
    l->is_in_table = true;
    trunk_lane_ref(l);
    metric_add(&t->metrics->lanes_opened, 1);
    metric_add(&t->metrics->lanes_open, 1);
}

/* Its id is free for another. Until on_end has passed it stands in `ending`, so that the trunk does not lose sight of
 * it. */
static void take_from_table(struct trunk_lane *l)
{
    struct trunk *t = l->trunk;
    t->lanes[l->id - 1] = NULL;
    t->n_lanes--;
    if (l->id - 1 < t->first_free)
        t->first_free = l->id - 1;
    l->is_in_table = false;
    list_del(&l->ready);
    if (l->is_ended || l->is_freed) {
        l->trunk = NULL;
    } else {
        list_add_tail(&t->ending, &l->ready);
        loop_defer(t->loop, &t->flush_task);
    }
    metric_add(&t->metrics->lanes_open, -1);
    if (t->is_draining && t->n_lanes == 0 && !trunk_is_over(t))
        loop_defer(t->loop, &t->flush_task); /* trunk_end_if_drained() */
    trunk_lane_unref(l);
}

/* Nothing of it is of interest to the trunk any more. */
static void leave_trunk(struct trunk_lane *l)
{
    if (l->is_in_table)
        return;
    list_del(&l->ready);
    l->trunk = NULL;
}

static void release_if_over(struct trunk_lane *l)
{
    if (l->is_close_sent && l->is_close_received && l->is_in_table)
        take_from_table(l);
}

/* --- Life */

void trunk_lane_ref(struct trunk_lane *l)
{
    l->refs++;
}

void trunk_lane_unref(struct trunk_lane *l)
{
    if (--l->refs > 0)
        return;
    lane_inbox_close(&l->inbox);
    trunk_lane_drop_unsent(l);
    if (l->join)
        lane_join_clear(l->join);
    free(l->join);
    free(l->finish_text);
    free(l->end_text);
    free(l->lane.client);
    free(l);
}

static void drop_received(struct trunk_lane *l)
{
    lane_inbox_drop(&l->inbox);
    if (l->join)
        lane_join_clear(l->join);
    free(l->join);
    l->join = NULL;
}

static void send_close(struct trunk_lane *l, uint32_t reason, const char *text)
{
    if (l->is_close_sent || !l->trunk)
        return;
    l->is_close_sent = true;
    trunk_lane_drop_unsent(l);
    size_t len = text ? strnlen(text, TRUNK_TEXT_MAX) : 0;
    uint8_t *dst = trunk_batch_room(l->trunk, TRUNK_FRAME_OVERHEAD + len);
    if (dst)
        trunk_batch_add(l->trunk, trunk_frame_write_close(dst, l->id, ++l->sent_sequence, reason,
                                                          (struct mqtt_bytes){(const uint8_t *)text, (uint32_t)len}));
    release_if_over(l);
}

/* Nothing of L is on the stack but references. */
static void pass_end(struct trunk_lane *l)
{
    l->is_end_due = l->is_finished_due = false;
    if (l->is_ended || l->is_freed)
        return;
    l->is_ended = true;
    drop_received(l);
    trunk_lane_drop_unsent(l);
    leave_trunk(l);
    l->lane.cbs->on_end(&l->lane, (enum lane_end)l->end_why, l->end_text ? l->end_text : "", l->lane.arg);
}

static void set_end(struct trunk_lane *l, enum lane_end why, const char *text)
{
    if (l->is_end_due || l->is_ended)
        return;
    l->is_end_due = true;
    l->end_why = (uint8_t)why;
    l->end_text = strdup(text);
}

/* With the peer's words. */
static void set_end_of_peer(struct trunk_lane *l, enum lane_end why, struct mqtt_bytes words)
{
    char text[TRUNK_TEXT_MAX];
    set_end(l, why, str_quote(text, sizeof(text), words.ptr, words.len));
}

void trunk_lane_fail(struct trunk_lane *l, enum lane_end why, const char *text)
{
    if (l->is_ended || l->is_freed)
        return;
    struct trunk *t = l->trunk;
    metric_add(&t->metrics->lanes_failed, 1);
    log_debug(&t->log, "lane %u: %s", l->id, text);
    trunk_lane_ref(l);
    set_end(l, why, text);
    send_close(l, reasons[why], text);
    pass_end(l);
    trunk_lane_unref(l);
}

void trunk_pass_ends(struct trunk *t)
{
    struct list *first;
    while ((first = list_first(&t->ending))) {
        struct trunk_lane *l = list_entry(first, struct trunk_lane, ready);
        list_move_tail(&t->leaving, &l->ready); /* from there it goes with its end; if a packet is held, later */
        trunk_lane_ref(l);
        lane_inbox_run(&l->inbox);
        trunk_lane_unref(l);
    }
}

/* --- The peer's close */

static void closed_by_server(struct trunk_lane *l, const struct trunk_frame *frame)
{
    set_end_of_peer(l, end_of_reason(frame->close.reason), frame->close.text);
    send_close(l, TRUNK_CLOSE_OK, NULL);
    lane_inbox_run(&l->inbox);
}

static void closed_by_client(struct trunk_lane *l, const struct trunk_frame *frame)
{
    if (frame->close.reason != TRUNK_CLOSE_OK) {
        set_end_of_peer(l, LANE_END_LOST, frame->close.text);
        send_close(l, TRUNK_CLOSE_OK, NULL);
        pass_end(l); /* a packet that is held need not be waited for */
        return;
    }
    if (l->join) {
        trunk_lane_fail(l, LANE_END_PROTOCOL, "the end in the middle of a packet");
        return;
    }
    l->is_finished_due = true;
    trunk_lane_no_more_credit(l);
    trunk_lane_send_close_if_due(l);
    lane_inbox_run(&l->inbox);
}

void trunk_lane_receive_close(struct trunk_lane *l, const struct trunk_frame *frame)
{
    l->is_close_received = true;
    if (l->is_ended || l->is_freed || (l->is_server && l->is_close_sent))
        set_end(l, LANE_END_OK, ""); /* both have closed */
    else if (l->is_server)
        closed_by_client(l, frame);
    else
        closed_by_server(l, frame);
    release_if_over(l);
}

/* --- What the inbox asks for */

static struct trunk_lane *lane_of_inbox(struct lane_inbox *in)
{
    return container_of(in, struct trunk_lane, inbox);
}

static void inbox_ref(struct lane_inbox *in)
{
    trunk_lane_ref(lane_of_inbox(in));
}

static void inbox_unref(struct lane_inbox *in)
{
    trunk_lane_unref(lane_of_inbox(in));
}

static void inbox_fail(struct lane_inbox *in, enum lane_end why, const char *text)
{
    struct trunk_lane *l = lane_of_inbox(in);
    if (l->trunk)
        trunk_lane_fail(l, why, text);
}

static enum gate_answer inbox_idle(struct lane_inbox *in)
{
    struct trunk_lane *l = lane_of_inbox(in);
    if (l->is_finished_due) {
        l->is_finished_due = false;
        if (l->lane.cbs->on_finished)
            l->lane.cbs->on_finished(&l->lane, l->lane.arg);
        return GATE_PASS;
    }
    if (!l->is_end_due)
        return GATE_EMPTY;
    pass_end(l);
    return GATE_PASS;
}

static const struct lane_inbox_calls inbox_calls = {
    .ref = inbox_ref, .unref = inbox_unref, .fail = inbox_fail, .idle = inbox_idle};

/* --- From the session */

void trunk_lane_update_credit(struct trunk_lane *l)
{
    if (!l->trunk || l->is_close_sent || l->is_close_received || l->is_ended || l->is_freed || l->is_paused)
        return;
    size_t held = l->inbox.held_bytes;
    int64_t room = held < LANE_WINDOW_BYTES ? (int64_t)(LANE_WINDOW_BYTES - held) : 0;
    int64_t missing = room - l->receive_window;
    /* In quarters of the window, so that a slow session does not ask for crumbs; a peer at zero gets its first one when
     * a quarter is free here. */
    if (missing < LANE_WINDOW_BYTES / 4)
        return;
    uint8_t *dst = trunk_batch_room(l->trunk, TRUNK_FRAME_OVERHEAD);
    if (!dst)
        return;
    trunk_batch_add(l->trunk, trunk_frame_write_credit(dst, l->id, (uint64_t)missing));
    l->receive_window = room;
}

void trunk_lane_send_close_if_due(struct trunk_lane *l)
{
    if (!l->is_finishing || l->is_close_sent || l->outbox.bytes > 0)
        return;
    if (l->is_close_received)
        set_end(l, LANE_END_OK, ""); /* on_end comes at the end of the turn, never from inside a call of the session */
    send_close(l, reasons[l->finish_why], l->finish_text);
}

static void consumed(struct lane *lane, size_t bytes)
{
    struct trunk_lane *l = trunk_lane_of(lane);
    lane_inbox_consumed(&l->inbox, bytes);
    trunk_lane_update_credit(l);
}

static size_t packet_charge(const struct lane *lane)
{
    return trunk_lane_of(lane)->inbox.charge;
}

static struct gate_wait *hold(struct lane *lane)
{
    return lane_inbox_hold(&trunk_lane_of(lane)->inbox);
}

static const char *session_id(const struct lane *lane)
{
    return trunk_lane_of(lane)->session_id;
}

static size_t buffered_bytes(const struct lane *lane)
{
    const struct trunk_lane *l = trunk_lane_of(lane);
    return l->inbox.memory_bytes + (l->join ? l->join->room : 0) + l->outbox.memory_bytes;
}

static void pause_lane(struct lane *lane, bool is_paused)
{
    struct trunk_lane *l = trunk_lane_of(lane);
    l->is_paused = is_paused;
    trunk_lane_update_credit(l);
}

static void finish(struct lane *lane, enum lane_end why, const char *text)
{
    struct trunk_lane *l = trunk_lane_of(lane);
    if (l->is_finishing || l->is_ended)
        return;
    l->is_finishing = true;
    l->finish_why = (uint8_t)why;
    l->finish_text = text ? strdup(text) : NULL;
    trunk_lane_send_close_if_due(l);
}

static void free_lane(struct lane *lane)
{
    struct trunk_lane *l = trunk_lane_of(lane);
    trunk_lane_ref(l);
    l->is_freed = true;
    drop_received(l);
    lane_inbox_close(&l->inbox);
    send_close(l, TRUNK_CLOSE_LOST, NULL);
    leave_trunk(l);
    trunk_lane_unref(l);
    trunk_lane_unref(l);
}

static const struct lane_ops trunk_lane_ops = {
    .send = trunk_lane_send,
    .may_send = trunk_lane_may_send,
    .consumed = consumed,
    .packet_charge = packet_charge,
    .hold = hold,
    .session_id = session_id,
    .buffered_bytes = buffered_bytes,
    .pause = pause_lane,
    .finish = finish,
    .free = free_lane,
};

/* --- Beginning */

/* With the session's reference. */
static struct trunk_lane *lane_new(struct trunk *t, uint32_t id, const uint8_t *session_id_bytes)
{
    struct trunk_lane *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->lane.ops = &trunk_lane_ops;
    l->lane.peer = (struct lane_peer){.is_extended = true, .max_frame_bytes = MQTT_PACKET_MAX * 2u};
    l->lane.is_open = true;
    l->trunk = t;
    l->id = id;
    l->refs = 1;
    l->is_server = t->is_server;
    l->send_window = t->peer.lane_window;
    l->receive_window = LANE_WINDOW_BYTES;
    str_hex(l->session_id, session_id_bytes, TRUNK_SESSION_ID_BYTES);
    list_init(&l->ready);
    lane_outbox_init(&l->outbox);
    lane_inbox_init(&l->inbox, &l->lane, &inbox_calls, t->is_server);
    put_into_table(t, l);
    return l;
}

static uint32_t find_free_id(struct trunk *t)
{
    while (t->first_free < t->n_slots && t->lanes[t->first_free])
        t->first_free++;
    return t->first_free + 1;
}

static int send_open(struct trunk_lane *l, const struct trunk_lane_params *params)
{
    uint8_t *dst = trunk_batch_room(l->trunk, TRUNK_FRAME_OVERHEAD + trunk_client_bytes(params->client));
    if (!dst)
        return err_errno(-ENOMEM, "lane");
    trunk_batch_add(l->trunk,
                    trunk_frame_write_open(dst, l->id, ++l->sent_sequence, params->session_id, params->client));
    return trunk_lane_send(&l->lane, params->connect);
}

int trunk_open_lane(struct trunk *t, const struct trunk_lane_params *params, const struct lane_cbs *cbs, void *arg,
                    struct lane **ret_lane)
{
    if (!trunk_is_usable(t))
        return err_set(-ENOTCONN, "the trunk is about to end");
    uint32_t id = find_free_id(t);
    if (id > t->peer.max_lanes)
        return err_set(-ENOSPC, "the s-proxy takes no more than %u sessions in a trunk", t->peer.max_lanes);
    if (make_slot(t, id) < 0)
        return -ENOMEM;
    struct trunk_lane *l = lane_new(t, id, params->session_id);
    if (!l)
        return err_errno(-ENOMEM, "lane");
    l->lane.cbs = cbs;
    l->lane.arg = arg;
    l->inbox.version = params->connect->version;
    l->inbox.family = l->inbox.version == MQTT_V5 ? FRAME_MQTTV5 : FRAME_MQTTV3;
    int r = send_open(l, params);
    if (r < 0) {
        lane_free(&l->lane);
        return r;
    }
    *ret_lane = &l->lane;
    return 0;
}

/* There is no lane to keep: above the limit no frame but open is answered, so the peer hears of it once. */
static void refuse_open(struct trunk *t, uint32_t id, uint32_t reason, const char *text)
{
    metric_add(&t->metrics->lanes_refused, 1);
    size_t len = strlen(text);
    uint8_t *dst = trunk_batch_room(t, TRUNK_FRAME_OVERHEAD + len);
    if (dst)
        trunk_batch_add(
            t, trunk_frame_write_close(dst, id, 1, reason, (struct mqtt_bytes){(const uint8_t *)text, (uint32_t)len}));
}

/* It stays a lane until the peer has closed it too: what the peer has sent behind its open is ignored. */
static void refuse_lane(struct trunk_lane *l, uint32_t reason, const char *text)
{
    metric_add(&l->trunk->metrics->lanes_refused, 1);
    send_close(l, reason, text);
    free_lane(&l->lane);
}

void trunk_receive_open(struct trunk *t, const struct trunk_frame *frame)
{
    struct trunk_lane *l = NULL;
    if (frame->lane > t->options->max_lanes) {
        refuse_open(t, frame->lane, TRUNK_CLOSE_LIMIT, "no more lanes in this trunk");
        return;
    }
    if (make_slot(t, frame->lane) == 0)
        l = lane_new(t, frame->lane, frame->open.session_id.ptr);
    if (!l) {
        refuse_open(t, frame->lane, TRUNK_CLOSE_LIMIT, "out of memory");
        return;
    }
    l->received_sequence = frame->sequence;
    if (frame->sequence != 1)
        refuse_lane(l, TRUNK_CLOSE_PROTOCOL, "an open that is not the first frame of its lane");
    else if (t->is_draining)
        refuse_lane(l, TRUNK_CLOSE_UNAVAILABLE, "s-proxy is draining");
    else if (lane_set_client(&l->lane, &frame->open.client) < 0)
        refuse_lane(l, TRUNK_CLOSE_LIMIT, "out of memory");
    else
        t->cbs->on_lane(t, &l->lane, t->arg);
}

/* --- The trunk ends */

static void forget(struct trunk_lane *l)
{
    trunk_lane_ref(l);
    trunk_lane_drop_unsent(l);
    if (l->is_in_table)
        take_from_table(l);
    leave_trunk(l);
    trunk_lane_unref(l);
}

static void end_with_trunk(struct trunk_lane *l, const char *text)
{
    bool is_server = l->is_server;
    trunk_lane_ref(l);
    forget(l);
    set_end(l, is_server ? LANE_END_LOST : LANE_END_UNAVAILABLE, text);
    if (is_server)
        pass_end(l);
    else
        lane_inbox_run(&l->inbox);
    trunk_lane_unref(l);
}

void trunk_forget_lanes(struct trunk *t)
{
    for (uint32_t i = 0; i < t->n_slots; i++)
        if (t->lanes[i])
            forget(t->lanes[i]);
    list_splice_tail(&t->leaving, &t->ending);
    struct list *first;
    while ((first = list_first(&t->leaving)))
        forget(list_entry(first, struct trunk_lane, ready));
}

void trunk_end_lanes(struct trunk *t, const char *text)
{
    trunk_pass_ends(t);
    for (uint32_t i = 0; i < t->n_slots; i++)
        if (t->lanes[i])
            end_with_trunk(t->lanes[i], text);
    trunk_pass_ends(t); /* of lanes that sessions have finished meanwhile */
    trunk_forget_lanes(t);
}
