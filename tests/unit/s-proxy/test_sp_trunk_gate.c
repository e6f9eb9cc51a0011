/* sp_trunk_gate: trunks are dealt out evenly, lanes become sessions, what ends with what, draining. Real workers and
 * trunks; the program object is the test's, the broker a socket of it. */
#include "sp_trunk_gate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "lane.h"
#include "loop.h"
#include "loop_support.h"
#include "mailbox.h"
#include "rpc_channel.h"
#include "rpc_cq.h"
#include "rpc_server.h"
#include "sp_admission.h"
#include "sp_limits.h"
#include "sp_worker.h"
#include "sproxy.h"
#include "test_main.h"
#include "trunk.h"

enum { WORKERS = 3, TRUNKS = 9 };

/* --- The program object */

struct sproxy {
    struct sp_options options;
    struct trunk_options trunk_options;
    struct byte_budget budget;
    struct metrics_registry *metrics;
    struct sp_admission *admission;
    struct sp_limits limits;
    _Atomic uint64_t numbers;
    _Atomic unsigned n_idle; /* workers that have nothing left */
};
static struct sproxy program;

static struct rpc_cq *cq;

unsigned sproxy_workers(const struct sproxy *s)
{
    return WORKERS;
}

struct rpc_cq *sproxy_cq(const struct sproxy *s)
{
    return cq;
}

const struct sp_options *sproxy_options(const struct sproxy *s)
{
    return &s->options;
}

struct byte_budget *sproxy_budget(struct sproxy *s)
{
    return &s->budget;
}

struct metrics_registry *sproxy_metrics(const struct sproxy *s)
{
    return s->metrics;
}

const struct trunk_options *sproxy_trunk_options(const struct sproxy *s)
{
    return &s->trunk_options;
}

struct sp_admission *sproxy_admission(const struct sproxy *s)
{
    return s->admission;
}

struct sp_limits *sproxy_limits(struct sproxy *s)
{
    return &s->limits;
}

struct tls *sproxy_upstream_tls(const struct sproxy *s)
{
    return NULL;
}

uint64_t sproxy_next_number(struct sproxy *s)
{
    return ++s->numbers;
}

void sproxy_worker_is_idle(struct sproxy *s)
{
    s->n_idle++;
}

/* --- The r-proxy's side, the broker, and what there is on the workers */

struct client {
    struct trunk *trunk;
    struct trunk_metrics metrics;
    unsigned n_ready, n_draining, n_ends;
    int status;
    char text[100];
};

struct session {
    struct lane *lane;
    unsigned n_packets, n_ends;
    enum lane_end why;
};

static struct rpc_server *server;
static struct worker_pool *pool;
static struct loop *loop;
static struct mailbox *mailbox;
static struct rpc_channel *channel;
static struct client clients[TRUNKS];
static struct session session, late;
static int listening, broker; /* descriptors; -1 = none */
static unsigned n_trunks[WORKERS], n_sessions[WORKERS];
static sem_t answered;

static void on_ready(struct trunk *t, void *arg)
{
    ((struct client *)arg)->n_ready++;
}

static void on_draining(struct trunk *t, void *arg)
{
    ((struct client *)arg)->n_draining++;
}

static void on_trunk_end(struct trunk *t, int status, const char *text, void *arg)
{
    struct client *c = arg;
    c->n_ends++;
    c->status = status;
    snprintf(c->text, sizeof(c->text), "%s", text);
}

static const struct trunk_cbs trunk_cbs = {.on_ready = on_ready, .on_draining = on_draining, .on_end = on_trunk_end};
static const struct trunk_options client_options = {.software = "test 1.0"};

static void on_open(struct lane *l, void *arg)
{
}

static enum gate_answer on_packet(struct lane *l, const struct mqtt_packet *packet, void *arg)
{
    ((struct session *)arg)->n_packets++;
    lane_consumed(l, lane_packet_charge(l));
    return GATE_PASS;
}

static void on_writable(struct lane *l, void *arg)
{
}

static void on_lane_end(struct lane *l, enum lane_end why, const char *text, void *arg)
{
    struct session *s = arg;
    s->n_ends++;
    s->why = why;
    s->lane = lane_free(s->lane);
}

static const struct lane_cbs lane_cbs = {
    .on_open = on_open, .on_packet = on_packet, .on_writable = on_writable, .on_end = on_lane_end};

/* True once the counter has moved. */
static bool has_come(void *arg)
{
    return *(unsigned *)arg > 0;
}

static void open_trunk(struct client *c)
{
    const struct trunk_params params = {
        .mailbox = mailbox, .options = &client_options, .metrics = &c->metrics, .cbs = &trunk_cbs, .arg = c};
    ck_assert_int_eq(trunk_open(channel, &params, &c->trunk), 0);
    loop_support_until(loop, has_come, &c->n_ready);
}

static void open_lane(struct client *c, struct session *s)
{
    static const uint8_t id[TRUNK_SESSION_ID_BYTES] = {1, 2, 3};
    const struct mqtt_packet connect = {.type = MQTT_CONNECT,
                                        .version = MQTT_V311,
                                        .connect = {.clean_start = true,
                                                    .protocol_level = MQTT_V311,
                                                    .client_id = {.ptr = (const uint8_t *)"pump", .len = 4}}};
    const struct trunk_lane_params params = {.session_id = id, .connect = &connect};
    ck_assert_int_eq(trunk_open_lane(c->trunk, &params, &lane_cbs, s, &s->lane), 0);
    loop_support_turns(loop, 1); /* the end of a turn sends it */
}

static void accept_at_broker(void)
{
    broker = accept(listening, NULL, NULL);
    ck_assert_int_ge(broker, 0);
    uint8_t connect[100];
    ck_assert_int_gt(recv(broker, connect, sizeof(connect), 0), 0);
    ck_assert_uint_eq(connect[0], 0x10);
}

static void answer_connect(void)
{
    static const uint8_t connack[] = {0x20, 2, 0, 0};
    ck_assert_int_eq(send(broker, connack, sizeof(connack), 0), sizeof(connack));
    loop_support_until(loop, has_come, &session.n_packets);
}

/* The packets that the broker gets until the connection ends, by their first byte; "" for none. */
static const char *rest_at_broker(void)
{
    static char types[100];
    size_t n = 0;
    uint8_t bytes[2];
    while (n + 1 < sizeof(types) && recv(broker, bytes, sizeof(bytes), MSG_WAITALL) > 0)
        types[n++] = (char)bytes[0];
    types[n] = '\0';
    return types;
}

static unsigned list_length(const struct list *l)
{
    unsigned n = 0;
    list_for_each (it, l)
        n++;
    return n;
}

static void count(struct worker *w, void *arg)
{
    const struct sp_worker *sp = w->object;
    n_trunks[w->index] = list_length(&sp->trunks);
    n_sessions[w->index] = list_length(&sp->sessions);
    sem_post(&answered);
}

/* Behind everything that was posted to the workers before. The loop of the test does not turn meanwhile. */
static void ask_workers(void)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        worker_post(worker_pool_get(pool, i), count, NULL);
        while (sem_wait(&answered) != 0)
            ;
    }
}

static unsigned sum(const unsigned *counts)
{
    return counts[0] + counts[1] + counts[2];
}

#define ASK_UNTIL(condition) \
    do {                     \
        ask_workers();       \
    } while (!(condition))

static void drain(void)
{
    rpc_server_drain(server);
    for (unsigned i = 0; i < WORKERS; i++)
        worker_post(worker_pool_get(pool, i), sp_worker_drain, NULL);
}

static unsigned listen_somewhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    listening = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listening, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(listen(listening, 1), 0);
    ck_assert_int_eq(getsockname(listening, (struct sockaddr *)&address, &size), 0);
    const struct timeval limit = {.tv_sec = 30}; /* for what is accepted too: a test that fails ends */
    ck_assert_int_eq(setsockopt(listening, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    return ntohs(address.sin_port);
}

static void start_program(unsigned broker_port)
{
    static char url[64];
    static char *urls[] = {url};
    snprintf(url, sizeof(url), "mqtt://127.0.0.1:%u", broker_port);
    memset(&program, 0, sizeof(program));
    program.options.upstream = (struct config_list){.items = urls, .count = 1};
    program.options.upstream_connect_timeout_ms = 10000;
    program.trunk_options = (struct trunk_options){.software = "s-proxy test", .max_lanes = 100};
    byte_budget_init(&program.budget, 1024 * 1024 * 1024);
    ck_assert_int_eq(metrics_registry_new(&program.metrics), 0);
    ck_assert_int_eq(sp_admission_new(&program.options, &program.admission), 0);
    ck_assert_int_eq(worker_pool_start("test", WORKERS, &sp_worker_calls, &program, &pool), 0);
}

static void setup(void)
{
    memset(clients, 0, sizeof(clients));
    memset(&session, 0, sizeof(session));
    memset(&late, 0, sizeof(late));
    broker = -1;
    sem_init(&answered, 0, 0);
    ck_assert_int_eq(rpc_cq_start(&cq), 0);
    start_program(listen_somewhere());
    const struct rpc_server_params params = {
        .listen = (const char *const[]){"127.0.0.1:0"}, .n_listen = 1, .max_message_bytes = 4 * 1024 * 1024};
    const struct rpc_server_method method = {
        .path = TRUNK_PATH, .pick = sp_trunk_gate_pick, .on_stream = sp_trunk_gate_on_stream, .arg = pool};
    ck_assert_int_eq(rpc_server_open(cq, &params, &method, 1, &server), 0);

    ck_assert_int_eq(loop_new(&loop), 0);
    ck_assert_int_eq(mailbox_new(loop, &mailbox), 0);
    char target[64];
    snprintf(target, sizeof(target), "ipv4:127.0.0.1:%u", rpc_server_port(server, 0));
    const struct rpc_channel_params to = {.target = target};
    ck_assert_int_eq(rpc_channel_open(cq, &to, &channel), 0);
}

static void teardown(void)
{
    session.lane = lane_free(session.lane);
    late.lane = lane_free(late.lane);
    if (broker >= 0)
        close(broker);
    close(listening);
    for (unsigned i = 0; i < TRUNKS; i++)
        trunk_free(clients[i].trunk);
    rpc_channel_close(channel);
    rpc_server_close(server);
    worker_pool_stop(pool);
    mailbox_free(mailbox);
    loop_run(loop);
    rpc_cq_stop(cq);
    loop_free(loop);
    metrics_registry_free(program.metrics);
    sp_admission_free(program.admission);
    sem_destroy(&answered);
}

/* --- */

START_TEST(trunks_are_dealt_out_evenly)
{
    for (unsigned i = 0; i < TRUNKS; i++)
        open_trunk(&clients[i]);
    ask_workers();
    for (unsigned i = 0; i < WORKERS; i++)
        ck_assert_uint_eq(n_trunks[i], TRUNKS / WORKERS);
}
END_TEST

START_TEST(a_trunk_goes_to_the_worker_that_has_lost_one)
{
    for (unsigned i = 0; i < WORKERS; i++)
        open_trunk(&clients[i]);
    clients[1].trunk = trunk_free(clients[1].trunk);
    ASK_UNTIL(sum(n_trunks) == WORKERS - 1);
    open_trunk(&clients[WORKERS]);
    ask_workers();
    for (unsigned i = 0; i < WORKERS; i++)
        ck_assert_uint_eq(n_trunks[i], 1);
}
END_TEST

START_TEST(a_lane_is_a_session_at_the_broker)
{
    open_trunk(&clients[0]);
    open_lane(&clients[0], &session);
    accept_at_broker();
    answer_connect();
    ask_workers();
    ck_assert_uint_eq(sum(n_sessions), 1);
    lane_finish(session.lane, LANE_END_OK, "done");
    loop_support_until(loop, has_come, &session.n_ends);
    ck_assert_int_eq(session.why, LANE_END_OK);
    ASK_UNTIL(sum(n_sessions) == 0);
    ck_assert_uint_eq(sum(n_trunks), 1);
}
END_TEST

/* What C has opened is refused, with a text that says WHY. */
static void expect_refused_trunk(struct client *c, const char *why)
{
    const struct trunk_params params = {
        .mailbox = mailbox, .options = &client_options, .metrics = &c->metrics, .cbs = &trunk_cbs, .arg = c};
    ck_assert_int_eq(trunk_open(channel, &params, &c->trunk), 0);
    loop_support_until(loop, has_come, &c->n_ends);
    ck_assert_int_eq(c->status, RPC_RESOURCE_EXHAUSTED);
    ck_assert_ptr_nonnull(strstr(c->text, why));
}

START_TEST(one_trunk_too_many_is_refused)
{
    program.limits.trunks.max = 1;
    open_trunk(&clients[0]);
    expect_refused_trunk(&clients[1], "max-trunks");
    ASK_UNTIL(sum(n_trunks) == 1);
    clients[0].trunk = trunk_free(clients[0].trunk);
    ASK_UNTIL(sum(n_trunks) == 0);
    open_trunk(&clients[2]);
}
END_TEST

START_TEST(one_session_too_many_is_refused)
{
    program.limits.sessions.max = 1;
    open_trunk(&clients[0]);
    open_lane(&clients[0], &session);
    accept_at_broker();
    answer_connect();
    open_lane(&clients[0], &late);
    loop_support_until(loop, has_come, &late.n_ends);
    ck_assert_int_eq(late.why, LANE_END_LIMIT);
    ask_workers();
    ck_assert_uint_eq(sum(n_sessions), 1);
    lane_finish(session.lane, LANE_END_OK, "done");
    loop_support_until(loop, has_come, &session.n_ends);
    ASK_UNTIL(sum(n_sessions) == 0);
    ck_assert_uint_eq(program.limits.sessions.count, 0);
}
END_TEST

START_TEST(sessions_are_limited_by_open_files_if_by_nothing_else)
{
    struct sp_options options = {.max_sessions = 0, .max_trunks = 7};
    struct sp_limits limits = {.sessions = {.max = 1}};
    sp_limits_init(&limits, &options, 1024);
    ck_assert_uint_eq(limits.sessions.max, 1024 - 128 - 32);
    ck_assert_uint_eq(limits.trunks.max, 7);
    sp_limits_init(&limits, &options, 10);
    ck_assert_uint_eq(limits.sessions.max, 1);
    options.max_sessions = 5000;
    sp_limits_init(&limits, &options, 1024);
    ck_assert_uint_eq(limits.sessions.max, 5000);
}
END_TEST

START_TEST(sessions_of_a_lost_trunk_leave_the_broker_without_disconnect)
{
    open_trunk(&clients[0]);
    open_lane(&clients[0], &session);
    accept_at_broker();
    answer_connect();
    clients[0].trunk = trunk_free(clients[0].trunk);
    ck_assert_str_eq(rest_at_broker(), "");
    ASK_UNTIL(sum(n_sessions) + sum(n_trunks) == 0);
    ck_assert_uint_eq(program.n_idle, 0);
}
END_TEST

START_TEST(an_idle_trunk_ends_when_s_proxy_drains)
{
    open_trunk(&clients[0]);
    drain();
    loop_support_until(loop, has_come, &clients[0].n_ends);
    ck_assert_int_eq(clients[0].status, RPC_UNAVAILABLE);
    ck_assert_str_eq(clients[0].text, "draining");
    ASK_UNTIL(program.n_idle == WORKERS);
    ck_assert_uint_eq(sum(n_trunks), 0);
}
END_TEST

START_TEST(a_draining_trunk_waits_for_its_last_session_and_takes_no_new_one)
{
    static const uint8_t puback[] = {0x40, 2, 0, 7};
    const struct mqtt_packet publish = {.type = MQTT_PUBLISH,
                                        .version = MQTT_V311,
                                        .packet_id = 7,
                                        .publish = {.qos = 1, .topic = {.ptr = (const uint8_t *)"t", .len = 1}}};
    open_trunk(&clients[0]);
    open_lane(&clients[0], &session);
    accept_at_broker();
    answer_connect();
    ck_assert_int_eq(lane_send(session.lane, &publish), 0);
    loop_support_turns(loop, 1);
    uint8_t head[1];
    ck_assert_int_eq(recv(broker, head, 1, 0), 1); /* it is there, so its acknowledgement is waited for */

    drain();
    ask_workers(); /* they drain, and the client has not heard of it */
    open_lane(&clients[0], &late);
    loop_support_until(loop, has_come, &late.n_ends);
    ck_assert_int_eq(late.why, LANE_END_UNAVAILABLE);
    loop_support_until(loop, has_come, &clients[0].n_draining);
    ck_assert(!trunk_is_usable(clients[0].trunk));
    ask_workers();
    ck_assert_uint_eq(sum(n_sessions), 1);
    ck_assert_uint_eq(clients[0].n_ends + session.n_ends, 0);

    ck_assert_int_eq(send(broker, puback, sizeof(puback), 0), sizeof(puback));
    loop_support_until(loop, has_come, &clients[0].n_ends);
    ck_assert_uint_eq(session.n_packets, 2);
    ck_assert_uint_eq(session.n_ends, 1);
    ck_assert_int_eq(session.why, LANE_END_UNAVAILABLE);
    ck_assert_str_eq(clients[0].text, "draining");
    ASK_UNTIL(program.n_idle == WORKERS);
}
END_TEST

START_TEST(stopping_ends_what_is_still_there)
{
    open_trunk(&clients[0]);
    open_lane(&clients[0], &session);
    accept_at_broker();
    answer_connect();
    server = rpc_server_close(server);
    ck_assert_str_eq(rest_at_broker(), "");
    close(broker);
    broker = -1;
    pool = worker_pool_stop(pool);
    loop_support_until(loop, has_come, &session.n_ends);
    ck_assert_int_eq(session.why, LANE_END_UNAVAILABLE);
    loop_support_until(loop, has_come, &clients[0].n_ends);
    ck_assert_int_eq(clients[0].status, RPC_UNAVAILABLE);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("sp_trunk_gate", &t);
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, trunks_are_dealt_out_evenly);
    tcase_add_test(t, a_trunk_goes_to_the_worker_that_has_lost_one);
    tcase_add_test(t, a_lane_is_a_session_at_the_broker);
    tcase_add_test(t, one_trunk_too_many_is_refused);
    tcase_add_test(t, one_session_too_many_is_refused);
    tcase_add_test(t, sessions_are_limited_by_open_files_if_by_nothing_else);
    tcase_add_test(t, sessions_of_a_lost_trunk_leave_the_broker_without_disconnect);
    tcase_add_test(t, an_idle_trunk_ends_when_s_proxy_drains);
    tcase_add_test(t, a_draining_trunk_waits_for_its_last_session_and_takes_no_new_one);
    tcase_add_test(t, stopping_ends_what_is_still_there);
    return s;
}

TEST_MAIN(suite)
