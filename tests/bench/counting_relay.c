/* counting-relay: passes TCP connections on and counts what each side sends, in bytes and in segments.
 *
 *   counting-relay LISTEN_PORT NEXT_PORT FILE [HOLD_MS]
 *
 *   client --> 127.0.0.1:LISTEN_PORT [ end ==> end ] --> 127.0.0.1:NEXT_PORT
 *
 * Segments are counted by the kernel where they arrive (tcpi_data_segs_in): TCP_MAXSEG keeps both senders to the
 * segments that they would make for an Ethernet, of 1,448 bytes, and a segment is then what the sender made of its
 * writes: small writes one each, large ones cut. Nothing is guessed from what a read() gives, which joins what came
 * meanwhile.
 *
 * FILE gets the counters (relay_counters.h), and is read by mqtt-load --relay. SIGTERM or SIGINT: they are printed.
 *
 * HOLD_MS: the first client that has sent 256 KB is not read for so long, as by a server that stalls. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "relay_counters.h"

enum {
    BUFFER_SIZE = 64 * 1024,
    EVENTS_MAX = 256,
    BACKLOG = 4096,
    HOLD_BYTES = 256 * 1024,
    HOLD_MS_MAX = 3600 * 1000,
    MAXSEG = RELAY_SEGMENT_BYTES + 12, /* the kernel takes the time stamps off */
};

/* One socket, and what has been read from it and not yet written to the other. */
struct end {
    int fd;
    enum relay_way way; /* of what is read here */
    struct end *other;
    struct end *next_gone;
    uint8_t *bytes; /* BUFFER_SIZE, owned */
    size_t len, sent;
    uint64_t bytes_read;
    uint64_t segments; /* counted so far */
    bool is_at_end;    /* has said all */
    bool is_gone;
};

struct relay {
    int epoll_fd, listen_fd, signal_fd;
    struct sockaddr_in next;
    struct relay_counters *counters;
    int64_t hold_ms;     /* 0 = nobody is held, or not any more */
    int64_t hold_end_ms; /* of HELD */
    struct end *held;    /* not read now */
    struct end *gone;    /* freed when no event of this turn can name them */
};

static void die(const char *what)
{
    fprintf(stderr, "counting-relay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *need(void *p)
{
    if (!p)
        die("memory");
    return p;
}

static int64_t clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void set_option(int fd, int option, int value)
{
    if (setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value)) < 0)
        die("setsockopt");
}

/* ---- one direction */

static void count(struct relay *r, struct end *e, size_t bytes)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    atomic_fetch_add_explicit(&r->counters->ways[e->way].bytes, bytes, memory_order_relaxed);
    if (getsockopt(e->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        die("TCP_INFO");
    /* 32 bits, which may wrap */
    uint32_t more = info.tcpi_data_segs_in - (uint32_t)e->segments;
    e->segments += more;
    atomic_fetch_add_explicit(&r->counters->ways[e->way].segments, more, memory_order_relaxed);
}

static void hold(struct relay *r, struct end *e)
{
    if (r->hold_ms == 0 || e->way != RELAY_UP || e->bytes_read < HOLD_BYTES)
        return;
    r->held = e;
    r->hold_end_ms = clock_ms() + r->hold_ms;
    r->hold_ms = 0;
}

/* Returns false when the connection is broken. */
static bool take(struct relay *r, struct end *e)
{
    ssize_t n = recv(e->fd, e->bytes, BUFFER_SIZE, 0);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    e->is_at_end = n == 0;
    e->len = (size_t)n;
    e->sent = 0;
    if (n > 0)
        count(r, e, (size_t)n);
    e->bytes_read += (size_t)n;
    hold(r, e);
    return true;
}

static bool give(struct end *e)
{
    while (e->sent < e->len) {
        ssize_t n = send(e->other->fd, e->bytes + e->sent, e->len - e->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        e->sent += (size_t)n;
    }
    e->len = e->sent = 0;
    return !e->is_at_end || shutdown(e->other->fd, SHUT_WR) == 0 || errno == ENOTCONN;
}

static void watch(struct relay *r, const struct end *e)
{
    bool is_readable = e->len == 0 && !e->is_at_end && e != r->held;
    uint32_t events = (is_readable ? EPOLLIN : 0U) | (e->other->len > 0 ? EPOLLOUT : 0U);
    struct epoll_event event = {.events = events, .data.ptr = (void *)e};

    if (epoll_ctl(r->epoll_fd, EPOLL_CTL_MOD, e->fd, &event) < 0)
        die("epoll_ctl");
}

/* How long to wait for events. */
static int release_held(struct relay *r)
{
    struct end *e = r->held;

    if (!e)
        return -1;
    int64_t left_ms = r->hold_end_ms - clock_ms();
    if (left_ms > 0)
        return (int)left_ms;
    r->held = NULL;
    watch(r, e);
    return -1;
}

/* ---- a connection: two ends */

static void part(struct relay *r, struct end *e)
{
    close(e->fd);
    if (r->held == e)
        r->held = NULL;
    e->is_gone = true;
    e->next_gone = r->gone;
    r->gone = e;
}

static struct end *make_end(struct relay *r, int fd, enum relay_way way)
{
    struct end *e = need(calloc(1, sizeof(*e)));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = e};

    *e = (struct end){.fd = fd, .way = way, .bytes = need(malloc(BUFFER_SIZE))};
    set_option(fd, TCP_NODELAY, 1);
    if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
    return e;
}

static void on_event(struct relay *r, struct end *e, uint32_t events)
{
    struct end *other = e->other;
    bool is_good = true;

    if (e->is_gone)
        return;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && e->len == 0 && !e->is_at_end)
        is_good = take(r, e);
    is_good = is_good && give(e) && give(other);
    bool is_over = e->is_at_end && other->is_at_end && e->len == 0 && other->len == 0;
    if (!is_good || is_over || events & EPOLLERR) {
        part(r, e);
        part(r, other);
        return;
    }
    watch(r, e);
    watch(r, other);
}

static int dial_next(const struct relay *r)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        die("socket");
    set_option(fd, TCP_MAXSEG, MAXSEG);
    if (connect(fd, (const struct sockaddr *)&r->next, sizeof(r->next)) < 0 && errno != EINPROGRESS)
        die("connect");
    return fd;
}

static void accept_one(struct relay *r)
{
    int fd = accept4(r->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return; /* it has gone again */
    struct end *near = make_end(r, fd, RELAY_UP);
    struct end *far = make_end(r, dial_next(r), RELAY_DOWN);
    near->other = far;
    far->other = near;
}

/* ---- the program */

static int read_number(const char *text, const char *what, long max)
{
    char *end;
    long number = strtol(text, &end, 10);

    if (*end || number < 1 || number > max) {
        fprintf(stderr, "counting-relay: '%s' is no %s\n", text, what);
        exit(2);
    }
    return (int)number;
}

static int read_port(const char *text)
{
    return read_number(text, "port", 65535);
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int listen_on(int port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int one = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
        die("socket");
    set_option(fd, TCP_MAXSEG, MAXSEG);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0)
        die("listen");
    return fd;
}

static struct relay_counters *map_counters(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, sizeof(struct relay_counters)) < 0)
        die(path);
    void *p = mmap(NULL, sizeof(struct relay_counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        die(path);
    close(fd);
    return p;
}

static int catch_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd < 0)
        die("signalfd");
    return fd;
}

static void watch_own(const struct relay *r, const int *fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = (void *)fd};

    if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, *fd, &event) < 0)
        die("epoll_ctl");
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("setrlimit");
}

static void free_gone(struct relay *r)
{
    while (r->gone) {
        struct end *e = r->gone;
        r->gone = e->next_gone;
        free(e->bytes);
        free(e);
    }
}

static void print_counters(const struct relay_counters *c)
{
    static const char *const names[RELAY_WAYS] = {"up", "down"};

    for (int way = 0; way < RELAY_WAYS; way++) {
        unsigned long long bytes = c->ways[way].bytes, segments = c->ways[way].segments;
        printf("%-5s %llu bytes in %llu segments: %llu on the wire\n", names[way], bytes, segments,
               bytes + segments * RELAY_SEGMENT_HEADERS);
    }
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS_MAX];
    bool is_ending = false;

    if (argc != 4 && argc != 5) {
        fprintf(stderr, "usage: counting-relay LISTEN_PORT NEXT_PORT FILE [HOLD_MS]\n");
        return 2;
    }
    raise_descriptor_limit();
    struct relay r = {.epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                      .listen_fd = listen_on(read_port(argv[1])),
                      .signal_fd = catch_signals(),
                      .next = loopback(read_port(argv[2])),
                      .counters = map_counters(argv[3]),
                      .hold_ms = argc == 5 ? read_number(argv[4], "time in ms", HOLD_MS_MAX) : 0};
    watch_own(&r, &r.listen_fd);
    watch_own(&r, &r.signal_fd);
    while (!is_ending) {
        int n = epoll_wait(r.epoll_fd, events, EVENTS_MAX, release_held(&r));
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &r.listen_fd)
                accept_one(&r);
            else if (events[i].data.ptr == &r.signal_fd)
                is_ending = true;
            else
                on_event(&r, events[i].data.ptr, events[i].events);
        }
        free_gone(&r);
    }
    print_counters(r.counters);
    return 0;
}
