/* What a trunk costs against a bare TCP connection that carries the same frames.
 *
 *     trunk-bench [--seconds N] [--rounds N] [--lanes N] [--payload N] [--zstd LEVEL] [--tls CERTS]
 *
 *     sender process  --PUBLISH frames--> receiver process         each with one loop, or one blocking socket
 *
 * tcp:    frames of the same codec, written 64 KiB at a time, read 64 KiB at a time; no lanes, no credit, nobody
 * answers. trunk:  lane_send() on LANES lanes as long as they may, on_packet and lane_consumed() on the other side.
 *
 * --tls: the trunk speaks TLS, with the server.pem of a folder that deploy/certs has made; tcp stays bare.
 *
 * Both receivers turn each frame into a packet. CPU is that of both processes, all threads, between the first frame and
 * the last. The rounds of both alternate; the ratios are medians of those within a round. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"
#include "loop.h"
#include "mailbox.h"
#include "rpc_channel.h"
#include "rpc_cq.h"
#include "rpc_server.h"
#include "rpc_tls.h"
#include "trunk.h"

enum { LANES_MAX = 4096, WRITE_BYTES = 64 * 1024, ROUNDS_MAX = 99, TICK_MS = 20 };

static struct {
    double seconds;
    unsigned rounds, lanes, payload;
    int zstd_level;
    const char *tls_folder; /* NULL: in clear text */
} settings = {.seconds = 2, .rounds = 5, .lanes = 64, .payload = 90};

/* What the processes of a round tell each other. */
struct shared {
    _Atomic uint32_t port;
    _Atomic uint64_t frames; /* received */
    _Atomic uint64_t messages;
    _Atomic uint64_t sender_cpu_us, receiver_cpu_us;
    _Atomic bool is_over;
};
static struct shared *shared;

struct result {
    double frames_per_s;
    double cpu_ns; /* per frame, both sides */
    double frames_per_message;
};

static void die(const char *what)
{
    fprintf(stderr, "trunk-bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void check(int r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "trunk-bench: %s: %s\n", what, err_text());
    exit(1);
}

static uint64_t cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static const struct mqtt_packet *sample_publish(void)
{
    static struct mqtt_packet packet;
    static uint8_t payload[64 * 1024];
    packet = (struct mqtt_packet){.type = MQTT_PUBLISH, .version = MQTT_V5};
    packet.publish.topic = (struct mqtt_bytes){(const uint8_t *)"site/7/device/42/status", 23};
    packet.publish.payload = (struct mqtt_bytes){payload, settings.payload};
    return &packet;
}

static const struct mqtt_packet *sample_connect(void)
{
    static struct mqtt_packet packet;
    packet = (struct mqtt_packet){.type = MQTT_CONNECT, .version = MQTT_V5};
    packet.connect = (struct mqtt_connect){.protocol_level = 5, .clean_start = true};
    return &packet;
}

static void wait_for_port(void)
{
    while (atomic_load(&shared->port) == 0)
        usleep(1000);
}

/* --- Bare TCP */

static void tcp_receive(void)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(a);
    if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&a, &len) < 0)
        die("listen");
    atomic_store(&shared->port, ntohs(a.sin_port));
    int fd = accept(listener, NULL, NULL);
    static uint8_t buffer[WRITE_BYTES + 4];
    size_t have = 0;
    uint64_t frames = 0, cpu_before = cpu_us();
    ssize_t n;
    /* A block: four bytes with its length, then frames. */
    while ((n = recv(fd, buffer + have, sizeof(buffer) - have, 0)) > 0) {
        have += (size_t)n;
        uint32_t block = 0;
        if (have >= 4)
            memcpy(&block, buffer, 4);
        if (have < 4 || have < 4 + block)
            continue;
        struct trunk_message m;
        struct trunk_frame frame;
        struct mqtt_fault fault;
        struct mqtt_packet packet;
        if (trunk_message_read(buffer + 4, block, &m, &fault) != CONVERT_OK)
            die("frames");
        while (trunk_message_next(&m, &frame)) {
            if (trunk_frame_packet(frame.message, FRAME_MQTTV5, MQTT_V5, NULL, 0, &packet, &fault) != CONVERT_OK)
                die("packet");
            frames++;
        }
        atomic_store(&shared->frames, frames);
        atomic_fetch_add(&shared->messages, 1);
        memmove(buffer, buffer + 4 + block, have - 4 - block);
        have -= 4 + block;
    }
    atomic_store(&shared->receiver_cpu_us, cpu_us() - cpu_before);
}

static void tcp_send(void)
{
    wait_for_port();
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr = {htonl(INADDR_LOOPBACK)},
                            .sin_port = htons((uint16_t)atomic_load(&shared->port))};
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        die("connect");
    static uint8_t buffer[WRITE_BYTES];
    const struct mqtt_packet *publish = sample_publish();
    uint64_t end_us = clock_now_us() + (uint64_t)(settings.seconds * 1e6), cpu_before = cpu_us();
    uint64_t sequence = 0;
    struct packet_frame f;
    while (clock_now_us() < end_us) {
        uint8_t *dst = buffer + 4;
        for (;;) {
            packet_to_message_plan(&f, publish);
            uint32_t lane = (uint32_t)(++sequence % settings.lanes) + 1;
            if (trunk_frame_packet_bytes(lane, sequence, &f) > (size_t)(buffer + sizeof(buffer) - dst))
                break;
            dst = trunk_frame_write_packet(dst, lane, sequence, &f);
        }
        uint32_t block = (uint32_t)(dst - buffer - 4);
        memcpy(buffer, &block, 4);
        if (send(fd, buffer, block + 4, 0) != (ssize_t)block + 4)
            die("send");
    }
    close(fd);
    atomic_store(&shared->sender_cpu_us, cpu_us() - cpu_before);
}

/* --- TLS */

/* NULL: in clear text. */
static struct rpc_tls *open_tls(bool is_server)
{
    char ca[PATH_MAX], certificate[PATH_MAX], key[PATH_MAX];
    struct rpc_tls *tls = NULL;
    if (!settings.tls_folder)
        return NULL;
    snprintf(ca, sizeof(ca), "%s/ca.pem", settings.tls_folder);
    snprintf(certificate, sizeof(certificate), "%s/server.pem", settings.tls_folder);
    snprintf(key, sizeof(key), "%s/server-key.pem", settings.tls_folder);
    const struct rpc_tls_params params = {
        .files = {.ca = is_server ? NULL : ca,
                  .certificate = is_server ? certificate : NULL,
                  .key = is_server ? key : NULL},
        .is_server = is_server,
    };
    check(rpc_tls_new(&params, &tls), "TLS");
    return tls;
}

/* --- The trunk */

struct side {
    struct loop *loop;
    struct mailbox *mailbox;
    struct rpc_cq *cq;
    struct trunk *trunk;
    struct trunk_metrics metrics;
    struct loop_timer tick;
    struct lane *lanes[LANES_MAX];
    uint64_t frames, end_us, cpu_before;
};
static struct side side;

static struct trunk_options options = {.software = "trunk-bench",
                                       .dead_after_ms = 10000,
                                       .max_lanes = LANES_MAX,
                                       .zstd_window_log = 20,
                                       .is_zstd_on_loopback = true};

static enum gate_answer on_packet(struct lane *l, const struct mqtt_packet *packet, void *arg)
{
    side.frames++;
    lane_consumed(l, lane_packet_charge(l));
    return GATE_PASS;
}

static void on_writable(struct lane *l, void *arg)
{
    const struct mqtt_packet *publish = sample_publish();
    while (lane_may_send(l))
        check(lane_send(l, publish), "send");
}

static void on_lane_end(struct lane *l, enum lane_end why, const char *text, void *arg)
{
    lane_free(l);
}

static const struct lane_cbs lane_cbs = {.on_packet = on_packet, .on_writable = on_writable, .on_end = on_lane_end};

static void on_lane(struct trunk *t, struct lane *l, void *arg)
{
    lane_set_callbacks(l, &lane_cbs, NULL);
}

/* A burst on each lane in turn, so that the first frames of a round are as mixed as the later ones. */
static void on_ready(struct trunk *t, void *arg)
{
    static const uint8_t id[TRUNK_SESSION_ID_BYTES] = {1};
    const struct trunk_lane_params params = {.session_id = id, .connect = sample_connect()};
    if (atomic_load(&shared->port) == 0 || side.end_us == 0)
        return; /* the receiver's */
    for (unsigned i = 0; i < settings.lanes; i++)
        check(trunk_open_lane(t, &params, &lane_cbs, NULL, &side.lanes[i]), "lane");
    side.cpu_before = cpu_us();
    side.end_us = clock_now_us() + (uint64_t)(settings.seconds * 1e6);
    for (unsigned i = 0; i < settings.lanes; i++)
        on_writable(side.lanes[i], NULL);
}

static void on_trunk_end(struct trunk *t, int status, const char *text, void *arg)
{
    loop_stop(side.loop);
}

static const struct trunk_cbs trunk_cbs = {.on_ready = on_ready, .on_lane = on_lane, .on_end = on_trunk_end};

static void on_stream(struct rpc_stream *stream, void *arg)
{
    const struct trunk_params params = {.options = &options, .metrics = &side.metrics, .cbs = &trunk_cbs};
    side.cpu_before = cpu_us();
    check(trunk_accept(stream, &params, &side.trunk), "accept");
}

static struct mailbox *pick(void *arg)
{
    return side.mailbox;
}

static void start_side(loop_timer_fn *on_tick)
{
    check(loop_new(&side.loop), "loop");
    check(mailbox_new(side.loop, &side.mailbox), "mailbox");
    check(rpc_cq_start(&side.cq), "gRPC");
    check(rpc_cq_poll(side.cq, side.loop), "gRPC");
    loop_timer_init(&side.tick, side.loop, on_tick);
    loop_timer_start(&side.tick, TICK_MS);
}

static void on_receiver_tick(struct loop_timer *timer)
{
    atomic_store(&shared->frames, side.frames);
    if (atomic_load(&shared->is_over))
        loop_stop(side.loop);
    loop_timer_start(timer, TICK_MS);
}

static void trunk_receive(void)
{
    const char *listen = "127.0.0.1:0";
    const struct rpc_server_params params = {.listen = &listen,
                                             .n_listen = 1,
                                             .max_message_bytes = 4 << 20,
                                             .max_metadata_bytes = 8192,
                                             .max_streams_per_connection = 10,
                                             .keepalive_ms = 10000,
                                             .keepalive_timeout_ms = 5000,
                                             .min_ping_interval_ms = 5000,
                                             .tls = open_tls(true)};
    const struct rpc_server_method method = {.path = TRUNK_PATH, .pick = pick, .on_stream = on_stream};
    struct rpc_server *server;
    start_side(on_receiver_tick);
    check(rpc_server_open(side.cq, &params, &method, 1, &server), "server");
    atomic_store(&shared->port, rpc_server_port(server, 0));
    loop_run(side.loop);
    atomic_store(&shared->receiver_cpu_us, cpu_us() - side.cpu_before);
    atomic_store(&shared->messages, (uint64_t)metric_get(&side.metrics.messages_received));
}

static void on_sender_tick(struct loop_timer *timer)
{
    if (side.cpu_before != 0 && clock_now_us() >= side.end_us) {
        atomic_store(&shared->sender_cpu_us, cpu_us() - side.cpu_before);
        atomic_store(&shared->is_over, true);
        loop_stop(side.loop);
    }
    loop_timer_start(timer, TICK_MS);
}

static void trunk_send(void)
{
    char target[64];
    wait_for_port();
    snprintf(target, sizeof(target), "127.0.0.1:%u", atomic_load(&shared->port));
    const struct rpc_channel_params channel_params = {.target = target,
                                                      .authority = target,
                                                      .keepalive_ms = 10000,
                                                      .keepalive_timeout_ms = 5000,
                                                      .tls = open_tls(false)};
    struct rpc_channel *channel;
    start_side(on_sender_tick);
    check(rpc_channel_open(side.cq, &channel_params, &channel), "channel");
    options.zstd_level = (uint8_t)settings.zstd_level;
    side.end_us = 1; /* this is the sender */
    const struct trunk_params params = {
        .mailbox = side.mailbox, .options = &options, .metrics = &side.metrics, .cbs = &trunk_cbs};
    check(trunk_open(channel, &params, &side.trunk), "trunk");
    loop_run(side.loop);
}

/* --- Rounds */

static pid_t start(void (*run)(void))
{
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    run();
    _exit(0); /* what libgrpc still does is of no interest */
}

static void wait_for(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) < 0 || status != 0) {
        fprintf(stderr, "trunk-bench: a process of it failed\n");
        exit(1);
    }
}

static struct result run_round(void (*receive)(void), void (*send)(void))
{
    memset(shared, 0, sizeof(*shared));
    pid_t receiver = start(receive), sender = start(send);
    wait_for(sender);
    wait_for(receiver);
    double frames = (double)atomic_load(&shared->frames);
    double cpu = (double)(atomic_load(&shared->sender_cpu_us) + atomic_load(&shared->receiver_cpu_us));
    return (struct result){frames / settings.seconds, cpu * 1000 / frames,
                           frames / (double)atomic_load(&shared->messages)};
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, unsigned n)
{
    qsort(values, n, sizeof(*values), compare);
    return values[n / 2];
}

static void run_rounds(void)
{
    double rate[ROUNDS_MAX] = {0}, cpu[ROUNDS_MAX] = {0};
    printf("| round | tcp, M frames/s | ns CPU per frame | trunk, M frames/s | ns CPU per frame | frames per message | "
           "rate | CPU |\n"
           "|---|---|---|---|---|---|---|---|\n");
    for (unsigned i = 0; i < settings.rounds; i++) {
        struct result tcp = run_round(tcp_receive, tcp_send), trunk = run_round(trunk_receive, trunk_send);
        rate[i] = trunk.frames_per_s / tcp.frames_per_s;
        cpu[i] = trunk.cpu_ns / tcp.cpu_ns;
        printf("| %u | %.1f | %.0f | %.1f | %.0f | %.0f | %.2f x | %.2f x |\n", i + 1, tcp.frames_per_s / 1e6,
               tcp.cpu_ns, trunk.frames_per_s / 1e6, trunk.cpu_ns, trunk.frames_per_message, rate[i], cpu[i]);
        fflush(stdout);
    }
    printf("| median | | | | | | **%.2f x** | **%.2f x** |\n", median(rate, settings.rounds),
           median(cpu, settings.rounds));
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"seconds", 1, NULL, 's'}, {"rounds", 1, NULL, 'r'}, {"lanes", 1, NULL, 'l'},
                                          {"payload", 1, NULL, 'p'}, {"zstd", 1, NULL, 'z'},   {"tls", 1, NULL, 't'},
                                          {NULL, 0, NULL, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (c) {
        case 's':
            settings.seconds = atof(optarg);
            break;
        case 'r':
            settings.rounds = (unsigned)atoi(optarg);
            break;
        case 'l':
            settings.lanes = (unsigned)atoi(optarg);
            break;
        case 'p':
            settings.payload = (unsigned)atoi(optarg);
            break;
        case 'z':
            settings.zstd_level = atoi(optarg);
            break;
        case 't':
            settings.tls_folder = optarg;
            break;
        default:
            fprintf(stderr, "usage: trunk-bench [--seconds N] [--rounds N] [--lanes N] [--payload N] [--zstd LEVEL] "
                            "[--tls CERTS]\n");
            return 2;
        }
    }
    bool is_fit = settings.seconds > 0 && settings.rounds > 0 && settings.rounds <= ROUNDS_MAX && settings.lanes > 0 &&
                  settings.lanes <= LANES_MAX && settings.payload <= 4000;
    if (!is_fit) {
        fprintf(stderr, "trunk-bench: a number is out of range\n");
        return 2;
    }
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        die("memory");
    run_rounds();
    return 0;
}
