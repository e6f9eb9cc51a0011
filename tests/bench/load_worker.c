/* The loop of one thread. Edge-triggered epoll marks what a client may do; a client that has something to do stands in
 * the ready list, and each turn gives each of them one read and one write, so that none starves the others. */
#include "load_worker.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "load_mem.h"
#include "load_tls.h"

enum {
    EVENTS_MAX = 512,
};

uint64_t load_worker_clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void notify(struct load_worker *w)
{
    const uint64_t one = 1;

    if (write(w->shared->notify_fd, &one, sizeof(one)) < 0)
        abort(); /* an eventfd that we own */
}

void load_worker_wake(struct load_worker *w)
{
    const uint64_t one = 1;

    if (write(w->wake_fd, &one, sizeof(one)) < 0)
        abort();
}

static void enqueue(struct load_worker *w, struct load_client *c)
{
    if (c->is_ready_queued || c->fd < 0)
        return;
    c->is_ready_queued = true;
    c->ready_next = NULL;
    *w->ready_tail = c;
    w->ready_tail = &c->ready_next;
}

__attribute__((format(printf, 3, 4))) static void note_trouble(struct load_worker *w, const struct load_client *c,
                                                               const char *fmt, ...)
{
    static const char *const roles[] = {"client", "subscriber", "publisher"};
    va_list args;

    if (w->first_trouble[0])
        return;
    int n = snprintf(w->first_trouble, sizeof(w->first_trouble), "%s %u: ", roles[c->role], c->index);
    va_start(args, fmt);
    vsnprintf(w->first_trouble + n, sizeof(w->first_trouble) - (size_t)n, fmt, args);
    va_end(args);
}

/* A publisher is done when nothing of it is under way. */
static void check_publisher_done(struct load_worker *w, struct load_client *c)
{
    struct load_publisher *p = c->publisher;
    bool is_closed = c->state == LOAD_CLIENT_CLOSED;
    bool is_idle = p->in_flight == 0 && c->out_len == 0;

    if (p->is_done || w->phase < LOAD_PHASE_PUBLISH)
        return;
    if (!is_closed && !(is_idle && (p->made == p->limit || w->phase >= LOAD_PHASE_STOP)))
        return;
    p->is_done = true;
    atomic_fetch_add(&w->shared->issued, load_publisher_issued(p));
    atomic_fetch_add(&w->shared->publishers_done, 1);
    notify(w);
}

static void pass_fence(struct load_worker *w, struct load_client *c)
{
    c->awaits_pong = false;
    atomic_fetch_add(&w->shared->fenced, 1);
    notify(w);
}

/* The one way in which a connection ends before END. */
static void lose_client(struct load_worker *w, struct load_client *c)
{
    bool was_live = c->state == LOAD_CLIENT_LIVE;

    if (c->publisher)
        c->publisher->made -= load_client_unsent(c);
    load_client_close(c);
    if (c->awaits_pong)
        pass_fence(w, c);
    if (was_live) {
        w->counts.cut++;
        if (c->publisher)
            check_publisher_done(w, c);
        return;
    }
    w->dialing--;
    atomic_fetch_add(&w->shared->failed, 1);
    notify(w);
}

/* ---- connecting */

static const struct load_address *address_of(const struct load_worker *w, const struct load_client *c)
{
    const struct load_options *o = w->shared->options;

    return c->role == LOAD_CLIENT_PUBLISHER ? &o->pub_broker : &o->broker;
}

static void dial(struct load_worker *w, struct load_client *c)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};

    c->dial_ns = load_worker_clock_ns();
    w->dialing++;
    int r = load_client_dial(c, address_of(w, c));
    if (r == 0 && epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        r = -errno;
    if (r < 0) {
        note_trouble(w, c, "connect: %s", strerror(-r));
        lose_client(w, c);
    }
}

static void dial_more(struct load_worker *w)
{
    const struct load_options *o = w->shared->options;
    uint32_t share = o->connect_parallel ? (o->connect_parallel + o->threads - 1) / o->threads : UINT32_MAX;

    while (w->dial_next < w->client_count && w->dialing < share)
        dial(w, &w->clients[w->dial_next++]);
}

static void become_ready(struct load_worker *w, struct load_client *c)
{
    c->state = LOAD_CLIENT_LIVE;
    w->dialing--;
    load_hist_add(&w->connect, load_worker_clock_ns() - c->dial_ns);
    atomic_fetch_add(&w->shared->ready, 1);
    if (w->dialing == 0 && w->dial_next == w->client_count)
        notify(w);
}

static void send_connect(struct load_worker *w, struct load_client *c)
{
    static const char roles[] = {'c', 's', 'p'};
    char id[40];

    snprintf(id, sizeof(id), "%s-%c%u", w->shared->run_name, roles[c->role], c->index);
    const bool is_persistent = w->shared->options->is_persistent && c->role == LOAD_CLIENT_SUBSCRIBER;
    load_client_wrote(c,
                      load_wire_put_connect(load_client_room(c, LOAD_WIRE_SMALL_MAX), c->version, id, is_persistent));
    c->state = LOAD_CLIENT_CONNECTING;
}

/* What comes before MQTT: TCP, TLS. */
static int open_connection(struct load_worker *w, struct load_client *c)
{
    if (c->state == LOAD_CLIENT_DIALING && !c->may_write)
        return LOAD_CLIENT_OK;
    if (address_of(w, c)->is_tls) {
        int r = load_client_secure(c, w->shared->tls);
        if (r != LOAD_CLIENT_SECURED)
            return r;
        if (!w->tls[0])
            load_tls_describe(c->ssl, w->tls, sizeof(w->tls));
    }
    if (w->shared->options->pattern == LOAD_PATTERN_HANDSHAKES)
        load_client_leave(c);
    else
        send_connect(w, c);
    return LOAD_CLIENT_OK;
}

static void make_topic(const struct load_shared *shared, uint32_t index, char *topic, size_t size)
{
    snprintf(topic, size, "b/%s/%u", shared->run_name, index);
}

static void on_connack(struct load_worker *w, struct load_client *c, const struct load_wire_packet *packet)
{
    const struct load_options *o = w->shared->options;
    char filter[64];

    if (packet->reason_code != 0 || c->state != LOAD_CLIENT_CONNECTING) {
        note_trouble(w, c, "CONNACK with code 0x%02x", packet->reason_code);
        lose_client(w, c);
        return;
    }
    if (c->role != LOAD_CLIENT_SUBSCRIBER) {
        if (c->publisher)
            load_publisher_open_window(c->publisher, packet->receive_maximum);
        become_ready(w, c);
        return;
    }
    if (o->pattern == LOAD_PATTERN_MESH)
        snprintf(filter, sizeof(filter), "b/%s/+", w->shared->run_name);
    else
        make_topic(w->shared, c->index, filter, sizeof(filter));
    load_client_wrote(
        c, load_wire_put_subscribe(load_client_room(c, LOAD_WIRE_SMALL_MAX), c->version, 1, filter, o->sub_qos));
    c->state = LOAD_CLIENT_SUBSCRIBING;
}

static void on_suback(struct load_worker *w, struct load_client *c, const struct load_wire_packet *packet)
{
    if (c->state == LOAD_CLIENT_SUBSCRIBING && packet->reason_code == w->shared->options->sub_qos) {
        become_ready(w, c);
        return;
    }
    note_trouble(w, c, "SUBACK with code 0x%02x", packet->reason_code);
    lose_client(w, c);
}

/* ---- messages */

static void answer(struct load_client *c, uint8_t type, uint16_t packet_id)
{
    load_wire_put_ack(load_client_room(c, LOAD_WIRE_ACK_SIZE), type, packet_id);
    load_client_wrote(c, LOAD_WIRE_ACK_SIZE);
}

static bool is_length_right(const struct load_options *o, size_t len)
{
    return o->fill == LOAD_FILL_JSON ? len >= LOAD_TELEMETRY_MIN && len <= LOAD_TELEMETRY_MAX : len == o->payload_len;
}

static void on_publish(struct load_worker *w, struct load_client *c, const struct load_wire_packet *packet)
{
    const struct load_options *o = w->shared->options;
    bool is_mesh = o->pattern == LOAD_PATTERN_MESH;
    uint32_t publisher = packet->stamp.publisher;

    if (packet->qos > 0)
        answer(c, packet->qos == 1 ? LOAD_WIRE_PUBACK : LOAD_WIRE_PUBREC, packet->packet_id);
    if (!c->seqs || !is_length_right(o, packet->payload_len) ||
        (is_mesh ? publisher >= o->publishers : publisher != c->index)) {
        w->counts.spoiled++;
        return;
    }
    if (load_seq_see(&c->seqs[is_mesh ? publisher : 0], packet->stamp.number) == LOAD_SEQ_DUPLICATE)
        return;
    w->turn_delivered++;
    if (packet->stamp.sent_ns >= atomic_load_explicit(&w->shared->window_start_ns, memory_order_relaxed))
        load_hist_add(&w->latency, w->now_ns > packet->stamp.sent_ns ? w->now_ns - packet->stamp.sent_ns : 0);
}

static void on_packet(struct load_client *c, const struct load_wire_packet *packet, void *arg)
{
    struct load_worker *w = arg;

    w->turn_packets++;
    switch (packet->type) {
    case LOAD_WIRE_PUBLISH:
        on_publish(w, c, packet);
        break;
    case LOAD_WIRE_PUBREL:
        answer(c, LOAD_WIRE_PUBCOMP, packet->packet_id);
        break;
    case LOAD_WIRE_PUBACK:
    case LOAD_WIRE_PUBREC:
    case LOAD_WIRE_PUBCOMP:
        if (c->publisher)
            load_publisher_acked(c->publisher, c, packet);
        break;
    case LOAD_WIRE_CONNACK:
        on_connack(w, c, packet);
        break;
    case LOAD_WIRE_SUBACK:
        on_suback(w, c, packet);
        break;
    case LOAD_WIRE_PINGRESP:
        if (c->awaits_pong)
            pass_fence(w, c);
        break;
    case LOAD_WIRE_DISCONNECT:
        note_trouble(w, c, "DISCONNECT with reason 0x%02x", packet->reason_code);
        break;
    default:
        note_trouble(w, c, "packet of type %u was not expected", packet->type);
        break;
    }
}

/* ---- the loop */

static bool may_read(const struct load_worker *w, const struct load_client *c)
{
    return c->may_read && !(w->is_stalled && c->role == LOAD_CLIENT_SUBSCRIBER);
}

static bool has_work(const struct load_worker *w, const struct load_client *c)
{
    if (may_read(w, c))
        return true;
    return c->publisher && w->phase == LOAD_PHASE_PUBLISH && c->may_write && load_publisher_may_make(c->publisher);
}

/* The other side has ended the connection: what it has said before is done with. */
static void end_client(struct load_worker *w, struct load_client *c)
{
    if (c->state == LOAD_CLIENT_LEAVING && !c->reason) {
        become_ready(w, c);
        load_client_close(c);
        return;
    }
    note_trouble(w, c, "connection lost: %s", load_client_trouble(c));
    lose_client(w, c);
}

/* One read, one filling, one write. */
static void service(struct load_worker *w, struct load_client *c)
{
    int r = LOAD_CLIENT_OK;

    if (c->state == LOAD_CLIENT_DIALING || c->state == LOAD_CLIENT_SECURING)
        r = open_connection(w, c);
    w->now_ns = load_worker_clock_ns();
    if (r == LOAD_CLIENT_OK && may_read(w, c) && c->state != LOAD_CLIENT_SECURING)
        r = load_client_read(c, w->scratch, on_packet, w);
    if (r == LOAD_CLIENT_OK && c->publisher && c->state == LOAD_CLIENT_LIVE && w->phase == LOAD_PHASE_PUBLISH)
        load_publisher_fill(c->publisher, c, &w->pace, w->now_ns, &w->lag);
    if (r == LOAD_CLIENT_OK && c->fd >= 0)
        r = load_client_flush(c);
    if (r == LOAD_CLIENT_GONE) {
        end_client(w, c);
        return;
    }
    if (c->publisher)
        check_publisher_done(w, c);
    if (has_work(w, c))
        enqueue(w, c);
}

static void service_ready(struct load_worker *w)
{
    struct load_client *c = w->ready_head;

    w->ready_head = NULL;
    w->ready_tail = &w->ready_head;
    while (c) {
        struct load_client *next = c->ready_next;
        c->is_ready_queued = false;
        if (c->fd >= 0)
            service(w, c);
        c = next;
    }
}

static void on_event(struct load_worker *w, const struct epoll_event *event)
{
    struct load_client *c = event->data.ptr;

    if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->is_hung_up = true;
    if (event->events & EPOLLOUT)
        c->may_write = true;
    if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->may_read = true;
    enqueue(w, c);
}

/* Let the publishers know what time allows by now. */
static void allow_due(struct load_worker *w)
{
    struct load_pace *pace = &w->pace;
    uint64_t now_ns = load_worker_clock_ns();
    uint32_t slot;
    uint64_t due_ns;

    if (w->phase != LOAD_PHASE_PUBLISH)
        return;
    while (load_pace_take(pace, now_ns, &slot, &due_ns)) {
        if (pace->is_random)
            load_publisher_allow_at(&w->publishers[slot], pace->burst, due_ns);
        else
            load_publisher_allow(&w->publishers[slot], pace->burst);
        enqueue(w, &w->clients[w->client_count - w->publisher_count + slot]);
    }
}

static void enter_publish(struct load_worker *w)
{
    load_pace_init(&w->pace, w->shared->options, w->publisher_count, w->number,
                   atomic_load(&w->shared->publish_start_ns));
    for (uint32_t i = 0; i < w->publisher_count; i++) {
        struct load_client *c = &w->clients[w->client_count - w->publisher_count + i];
        w->publishers[i].allowed = w->pace.is_flood ? w->publishers[i].limit : 0;
        enqueue(w, c);
        check_publisher_done(w, c); /* it may have been cut in the meantime */
    }
}

static void enter_stop(struct load_worker *w)
{
    for (uint32_t i = 0; i < w->publisher_count; i++) {
        struct load_publisher *p = &w->publishers[i];
        if (!w->pace.is_flood)
            w->counts.unsent += p->allowed - p->made;
        p->allowed = p->made;
        check_publisher_done(w, &w->clients[w->client_count - w->publisher_count + i]);
    }
}

static void enter_fence(struct load_worker *w)
{
    for (uint32_t i = 0; i < w->client_count; i++) {
        struct load_client *c = &w->clients[i];
        if (c->role != LOAD_CLIENT_SUBSCRIBER)
            continue;
        if (c->state != LOAD_CLIENT_LIVE) {
            pass_fence(w, c);
            continue;
        }
        c->awaits_pong = true;
        load_client_wrote(c, load_wire_put_pingreq(load_client_room(c, LOAD_WIRE_SMALL_MAX)));
        enqueue(w, c);
    }
}

static void see_phase(struct load_worker *w)
{
    enum load_phase phase = (enum load_phase)atomic_load(&w->shared->phase);

    if (phase == w->phase)
        return;
    w->phase = phase;
    if (phase == LOAD_PHASE_PUBLISH)
        enter_publish(w);
    if (phase == LOAD_PHASE_STOP)
        enter_stop(w);
    if (phase == LOAD_PHASE_FENCE)
        enter_fence(w);
}

static void see_stall(struct load_worker *w)
{
    bool was_stalled = w->is_stalled;

    w->is_stalled = atomic_load(&w->shared->is_stalled);
    if (!was_stalled || w->is_stalled)
        return;
    for (uint32_t i = 0; i < w->client_count; i++) {
        if (w->clients[i].may_read) /* told by an edge that will not come again */
            enqueue(w, &w->clients[i]);
    }
}

/* Time until the next burst is due; NULL = until something happens. */
static const struct timespec *wait_time(const struct load_worker *w, struct timespec *ret)
{
    const struct load_pace *pace = &w->pace;

    *ret = (struct timespec){0};
    if (w->ready_head)
        return ret;
    if (w->phase != LOAD_PHASE_PUBLISH || load_pace_is_idle(pace))
        return NULL;
    uint64_t due_ns = load_pace_next_ns(pace);
    uint64_t now_ns = load_worker_clock_ns();
    if (due_ns > now_ns) {
        ret->tv_sec = (time_t)((due_ns - now_ns) / 1000000000u);
        ret->tv_nsec = (long)((due_ns - now_ns) % 1000000000u);
    }
    return ret;
}

static void tell_progress(struct load_worker *w)
{
    struct load_shared *shared = w->shared;

    if (w->turn_packets == 0)
        return;
    atomic_fetch_add_explicit(&shared->packets, w->turn_packets, memory_order_relaxed);
    w->turn_packets = 0;
    if (w->turn_delivered == 0)
        return;
    atomic_store_explicit(&shared->last_delivery_ns, w->now_ns, memory_order_relaxed);
    atomic_fetch_add(&shared->delivered, w->turn_delivered);
    w->turn_delivered = 0;
    if (atomic_load(&shared->publishers_done) == shared->options->publishers)
        notify(w);
}

static void drain_eventfd(int fd)
{
    uint64_t unused;

    if (read(fd, &unused, sizeof(unused)) < 0 && errno != EAGAIN)
        abort();
}

static void say_goodbye(struct load_worker *w)
{
    for (uint32_t i = 0; i < w->client_count; i++) {
        struct load_client *c = &w->clients[i];
        if (c->state == LOAD_CLIENT_LIVE && c->out_len == 0) {
            load_client_wrote(c, load_wire_put_disconnect(load_client_room(c, LOAD_WIRE_SMALL_MAX)));
            (void)load_client_flush(c); /* a courtesy: the measurement is over */
        }
        load_client_close(c);
    }
}

static void *worker_main(void *arg)
{
    struct load_worker *w = arg;
    struct epoll_event events[EVENTS_MAX];
    struct timespec wait;

    prctl(PR_SET_TIMERSLACK, 1UL); /* the usual 50 us would make every paced message late */
    while (w->phase != LOAD_PHASE_END) {
        if (w->phase == LOAD_PHASE_CONNECT)
            dial_more(w);
        int n = epoll_pwait2(w->epoll_fd, events, EVENTS_MAX, wait_time(w, &wait), NULL);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                on_event(w, &events[i]);
            else
                drain_eventfd(w->wake_fd);
        }
        see_stall(w);
        see_phase(w);
        allow_due(w);
        service_ready(w);
        tell_progress(w);
    }
    say_goodbye(w);
    return NULL;
}

/* ---- life cycle */

static uint32_t share_of(uint32_t count, uint32_t number, uint32_t threads)
{
    return count / threads + (number < count % threads ? 1 : 0);
}

void load_worker_init(struct load_worker *w, struct load_shared *shared, uint32_t number)
{
    const struct load_options *o = shared->options;
    bool has_seqs = o->pattern == LOAD_PATTERN_PAIRS || o->pattern == LOAD_PATTERN_MESH;
    bool is_plain = o->pattern == LOAD_PATTERN_STORM || o->pattern == LOAD_PATTERN_HANDSHAKES;
    enum load_client_role role = is_plain ? LOAD_CLIENT_PLAIN : LOAD_CLIENT_SUBSCRIBER;
    uint32_t subscribers = share_of(o->subscribers, number, o->threads);
    char topic[64];

    *w = (struct load_worker){.shared = shared, .number = number, .epoll_fd = -1, .wake_fd = -1};
    w->ready_tail = &w->ready_head;
    w->publisher_count = share_of(o->publishers, number, o->threads);
    w->client_count = subscribers + w->publisher_count;
    w->clients = load_mem_zeroed(w->client_count, sizeof(*w->clients));
    w->publishers = load_mem_zeroed(w->publisher_count, sizeof(*w->publishers));
    w->scratch = load_mem_resize(NULL, LOAD_CLIENT_READ_SIZE);
    for (uint32_t i = 0; i < subscribers; i++) {
        load_client_init(&w->clients[i], role, i * o->threads + number, o->version);
        if (has_seqs)
            w->clients[i].seqs =
                load_mem_zeroed(o->pattern == LOAD_PATTERN_MESH ? o->publishers : 1, sizeof(struct load_seq));
    }
    for (uint32_t i = 0; i < w->publisher_count; i++) {
        uint32_t index = i * o->threads + number;
        make_topic(shared, index, topic, sizeof(topic));
        load_publisher_init(&w->publishers[i], o, index, i, topic);
        load_client_init(&w->clients[subscribers + i], LOAD_CLIENT_PUBLISHER, index, o->version);
        w->clients[subscribers + i].publisher = &w->publishers[i];
    }
}

void load_worker_deinit(struct load_worker *w)
{
    const struct load_options *o = w->shared->options;
    uint32_t seq_count = o->pattern == LOAD_PATTERN_MESH ? o->publishers : 1;

    for (uint32_t i = 0; i < w->client_count; i++) {
        for (uint32_t k = 0; w->clients[i].seqs && k < seq_count; k++)
            load_seq_deinit(&w->clients[i].seqs[k]);
        free(w->clients[i].seqs);
        load_client_deinit(&w->clients[i]);
    }
    for (uint32_t i = 0; i < w->publisher_count; i++)
        load_publisher_deinit(&w->publishers[i]);
    free(w->clients);
    free(w->publishers);
    free(w->scratch);
    if (w->epoll_fd >= 0)
        close(w->epoll_fd);
    if (w->wake_fd >= 0)
        close(w->wake_fd);
}

int load_worker_start(struct load_worker *w)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->epoll_fd < 0 || w->wake_fd < 0 || epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wake_fd, &event) < 0)
        return -errno;
    return -pthread_create(&w->thread, NULL, worker_main, w);
}

void load_worker_join(struct load_worker *w)
{
    pthread_join(w->thread, NULL);
}

void load_worker_account(struct load_worker *w, const uint32_t *issued)
{
    const struct load_options *o = w->shared->options;
    struct load_counts *counts = &w->counts;

    for (uint32_t i = 0; i < w->client_count; i++) {
        const struct load_client *c = &w->clients[i];
        uint32_t pairs = !c->seqs ? 0 : o->pattern == LOAD_PATTERN_MESH ? o->publishers : 1;
        for (uint32_t k = 0; k < pairs; k++) {
            const struct load_seq *seq = &c->seqs[k];
            uint32_t due = issued[o->pattern == LOAD_PATTERN_MESH ? k : c->index];
            uint64_t lost = load_seq_lost(seq, due);
            counts->expected += due;
            counts->lost += lost;
            counts->duplicates += seq->duplicates;
            counts->late += seq->late;
            counts->bad_pairs += lost + seq->duplicates + seq->late > 0;
        }
    }
    for (uint32_t i = 0; i < w->publisher_count; i++) {
        counts->published += w->publishers[i].made;
        counts->refused += w->publishers[i].refused;
        counts->strange_acks += w->publishers[i].strange_acks;
    }
}
