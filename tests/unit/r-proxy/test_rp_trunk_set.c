/* The s-proxies of a worker: where sessions go, what they are told when there is no way, and what comes back. Real gRPC
 * servers on this loop; names are the test's (resolver_support.h). */
#include "rp_trunk_set.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "err.h"
#include "loop_support.h"
#include "mailbox.h"
#include "relay.h"
#include "resolver_support.h"
#include "rp_worker.h"
#include "rpc_channel.h"
#include "rpc_cq.h"
#include "rpc_server.h"
#include "rpc_stream.h"
#include "test_main.h"
#include "trunk_config.h"

enum { SERVERS = 2, CLIENTS = 6, TRUNKS = 4, LANES = 8 };

/* --- An s-proxy */

struct server {
    struct rpc_server *rpc;
    struct trunk_options options;
    struct trunk *trunks[TRUNKS]; /* NULL: ended */
    unsigned n_trunks;            /* that have come */
    struct lane *lanes[LANES];    /* of either service */
    unsigned n_lanes;
    char target[64];
};

static struct rpc_cq *cq;
static struct loop *loop;
static struct mailbox *mailbox;
static struct server servers[SERVERS];
static struct trunk_metrics server_metrics;

static enum gate_answer server_on_packet(struct lane *l, const struct mqtt_packet *packet, void *arg)
{
    return GATE_PASS;
}

static void server_on_writable(struct lane *l, void *arg)
{
}

static void server_on_open(struct lane *l, void *arg)
{
}

static void server_on_lane_end(struct lane *l, enum lane_end why, const char *text, void *arg)
{
    struct server *s = arg;
    for (unsigned i = 0; i < LANES; i++) {
        if (s->lanes[i] == l)
            s->lanes[i] = lane_free(l);
    }
}

static const struct lane_cbs server_lane_cbs = {
    .on_open = server_on_open,
    .on_packet = server_on_packet,
    .on_writable = server_on_writable,
    .on_end = server_on_lane_end,
};

static void server_on_ready(struct trunk *t, void *arg)
{
}

static void server_on_lane(struct trunk *t, struct lane *l, void *arg)
{
    struct server *s = arg;
    ck_assert_uint_lt(s->n_lanes, LANES);
    s->lanes[s->n_lanes++] = l;
    lane_set_callbacks(l, &server_lane_cbs, s);
}

static void server_free_lanes(struct server *s)
{
    for (unsigned i = 0; i < LANES; i++)
        s->lanes[i] = lane_free(s->lanes[i]);
}

static void server_on_end(struct trunk *t, int status, const char *text, void *arg)
{
    struct server *s = arg;
    server_free_lanes(s);
    for (unsigned i = 0; i < TRUNKS; i++) {
        if (s->trunks[i] == t)
            s->trunks[i] = trunk_free(t);
    }
}

static const struct trunk_cbs server_trunk_cbs = {
    .on_ready = server_on_ready, .on_lane = server_on_lane, .on_end = server_on_end};

static struct mailbox *pick(void *arg)
{
    return mailbox;
}

static void on_trunk(struct rpc_stream *stream, void *arg)
{
    struct server *s = arg;
    const struct trunk_params params = {
        .options = &s->options, .metrics = &server_metrics, .cbs = &server_trunk_cbs, .arg = s};
    ck_assert_uint_lt(s->n_trunks, TRUNKS);
    ck_assert_int_eq(trunk_accept(stream, &params, &s->trunks[s->n_trunks++]), 0);
}

static void on_relay(struct rpc_stream *stream, void *arg)
{
    struct server *s = arg;
    ck_assert_uint_lt(s->n_lanes, LANES);
    ck_assert_int_eq(relay_accept(stream, &server_lane_cbs, s, &s->lanes[s->n_lanes]), 0);
    s->n_lanes++;
}

/* The relay service, and trunks too unless IS_OLD. On all addresses of 127.0.0.0/8. */
static void server_open(struct server *s, uint32_t max_lanes, bool is_old)
{
    const struct rpc_server_method methods[] = {
        {.path = RELAY_PATH, .pick = pick, .on_stream = on_relay, .arg = s},
        {.path = TRUNK_PATH, .pick = pick, .on_stream = on_trunk, .arg = s},
    };
    const struct rpc_server_params params = {
        .listen = (const char *const[]){"0.0.0.0:0"},
        .n_listen = 1,
        .max_metadata_bytes = 8192,
    };
    s->options = (struct trunk_options){.software = "test-server 1", .max_lanes = max_lanes};
    resolver_support_set("0.0.0.0", "0.0.0.0");
    ck_assert_int_eq(rpc_server_open(cq, &params, methods, is_old ? 1 : 2, &s->rpc), 0);
    snprintf(s->target, sizeof(s->target), "127.0.0.1:%u", rpc_server_port(s->rpc, 0));
}

static void server_close(struct server *s)
{
    server_free_lanes(s);
    for (unsigned i = 0; i < TRUNKS; i++)
        s->trunks[i] = trunk_free(s->trunks[i]);
    s->rpc = rpc_server_close(s->rpc);
}

static unsigned server_trunks(const struct server *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < TRUNKS; i++)
        n += s->trunks[i] != NULL;
    return n;
}

/* --- A session of r-proxy */

struct client {
    struct rp_place place;
    struct rp_trunk *trunk;
    struct lane *lane;
    unsigned n_answers, n_ends;
    char text[300]; /* why there is no way */
};

static struct rp_trunk_set *set;
static struct rp_metrics metrics;
static struct trunk_metrics trunk_metrics;
static const struct trunk_options trunk_options = {.software = "test-client 1"};
static struct client clients[CLIENTS];

static void client_on_lane_end(struct lane *l, enum lane_end why, const char *text, void *arg)
{
    struct client *c = arg;
    c->n_ends++;
    c->lane = lane_free(c->lane);
    rp_trunk_leave(c->trunk);
    c->trunk = NULL;
}

static const struct lane_cbs client_lane_cbs = {
    .on_open = server_on_open,
    .on_packet = server_on_packet,
    .on_writable = server_on_writable,
    .on_end = client_on_lane_end,
};

static int client_open(struct client *c, struct rp_trunk *t)
{
    static const uint8_t id[TRUNK_SESSION_ID_BYTES];
    const struct mqtt_packet connect = {
        .type = MQTT_CONNECT,
        .version = MQTT_V5,
        .connect = {.client_id = {(const uint8_t *)"pump", 4}, .protocol_level = MQTT_V5, .clean_start = true}};
    const struct rp_trunk_lane_params params = {.session_id = id, .connect = &connect};
    int r = rp_trunk_open_lane(t, &params, &client_lane_cbs, c, &c->lane);
    if (r == 0)
        c->trunk = t;
    return r;
}

static void client_on_place(struct rp_place *place, struct rp_trunk *t, const char *text)
{
    struct client *c = container_of(place, struct client, place);
    c->n_answers++;
    snprintf(c->text, sizeof(c->text), "%s", text);
    if (t)
        ck_assert_int_eq(client_open(c, t), 0);
}

/* As a session does it; what rp_place_find() said at last. */
static int client_find_again(struct client *c)
{
    struct rp_trunk *t;
    int r;
    do {
        r = rp_place_find(&c->place, &t);
        if (r != 0)
            return r;
        r = client_open(c, t);
    } while (r == -ENOSPC);
    return r;
}

static int client_find(struct client *c)
{
    rp_place_init(&c->place, set, client_on_place);
    return client_find_again(c);
}

static void client_leave(struct client *c)
{
    if (!c->lane)
        return;
    c->lane = lane_free(c->lane);
    rp_trunk_leave(c->trunk);
    c->trunk = NULL;
}

/* --- The set */

static void set_open(int service, char *first, char *second)
{
    static char *targets[2];
    static struct config_list list;
    targets[0] = first;
    targets[1] = second;
    list = (struct config_list){.items = targets, .count = second ? 2 : 1};
    const struct rp_trunk_set_params params = {
        .env = {.cq = cq,
                .loop = loop,
                .mailbox = mailbox,
                .options = &trunk_options,
                .metrics = &trunk_metrics,
                .service = service},
        .targets = &list,
        .metrics = &metrics,
    };
    ck_assert_int_eq(rp_trunk_set_new(&params, &set), 0);
}

static bool are_up(void *arg)
{
    return metric_get(&metrics.s_proxies_up) == *(int *)arg;
}

static void wait_up(int n)
{
    loop_support_until(loop, are_up, &n);
}

static bool is_answered(void *arg)
{
    return ((struct client *)arg)->n_answers == 1;
}

static bool has_ended(void *arg)
{
    return ((struct client *)arg)->n_ends == 1;
}

static bool has_a_lane(void *arg)
{
    return ((struct server *)arg)->n_lanes == 1;
}

static bool has_two_lanes(void *arg)
{
    return ((struct server *)arg)->n_lanes == 2;
}

static void setup(void)
{
    memset(servers, 0, sizeof(servers));
    memset(clients, 0, sizeof(clients));
    memset(&metrics, 0, sizeof(metrics));
    memset(&trunk_metrics, 0, sizeof(trunk_metrics));
    ck_assert_int_eq(rpc_cq_start(&cq), 0);
    ck_assert_int_eq(loop_new(&loop), 0);
    ck_assert_int_eq(rpc_cq_poll(cq, loop), 0);
    ck_assert_int_eq(mailbox_new(loop, &mailbox), 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        list_init(&clients[i].place.link);
}

static void teardown(void)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_leave(&clients[i]);
        rp_place_cancel(&clients[i].place);
    }
    set = rp_trunk_set_free(set);
    ck_assert_int_eq(metric_get(&metrics.sessions_waiting), 0);
    for (unsigned i = 0; i < SERVERS; i++)
        server_close(&servers[i]);
    mailbox_free(mailbox);
    rpc_cq_leave(cq);
    loop_support_to_end(loop);
    rpc_cq_stop(cq);
    loop_free(loop);
}

/* --- Tests */

START_TEST(sessions_go_where_the_fewest_are)
{
    server_open(&servers[0], 10, false);
    server_open(&servers[1], 10, false);
    set_open(TRUNK_SERVICE_AUTO, servers[0].target, servers[1].target);
    wait_up(2);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(client_find(&clients[i]), 0);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(clients[i].trunk->n_sessions, 2);
    struct rp_trunk *left = clients[0].trunk;
    client_leave(&clients[0]);
    ck_assert_int_eq(client_find(&clients[4]), 0);
    ck_assert_ptr_eq(clients[4].trunk, left);
}
END_TEST

START_TEST(what_a_session_avoids_is_its_last_choice)
{
    server_open(&servers[0], 10, false);
    server_open(&servers[1], 10, false);
    set_open(TRUNK_SERVICE_AUTO, servers[0].target, servers[1].target);
    wait_up(2);
    for (unsigned i = 0; i < 2; i++)
        ck_assert_int_eq(client_find(&clients[i]), 0);
    struct rp_trunk *lost = clients[0].trunk, *other = clients[1].trunk;
    client_leave(&clients[0]);
    clients[0].place.avoid = lost;
    ck_assert_int_eq(client_find_again(&clients[0]), 0);
    ck_assert_ptr_eq(clients[0].trunk, other); /* though the one it lost has no session at all */
}
END_TEST

START_TEST(it_is_a_choice_all_the_same)
{
    server_open(&servers[0], 10, false);
    set_open(TRUNK_SERVICE_AUTO, servers[0].target, NULL);
    wait_up(1);
    ck_assert_int_eq(client_find(&clients[0]), 0);
    clients[0].place.avoid = clients[0].trunk;
    client_leave(&clients[0]);
    ck_assert_int_eq(client_find_again(&clients[0]), 0);
}
END_TEST

START_TEST(a_session_waits_for_the_first_attempt)
{
    server_open(&servers[0], 10, false);
    set_open(TRUNK_SERVICE_AUTO, servers[0].target, NULL);
    for (unsigned i = 0; i < 2; i++)
        ck_assert_int_eq(client_find(&clients[i]), RP_PLACE_LATER);
    ck_assert_int_eq(metric_get(&metrics.sessions_waiting), 2);
    loop_support_until(loop, has_two_lanes, &servers[0]);
    ck_assert_uint_eq(clients[0].n_answers, 1);
    ck_assert_uint_eq(clients[1].n_answers, 1);
    ck_assert_int_eq(metric_get(&metrics.sessions_waiting), 0);
}
END_TEST

START_TEST(a_session_that_has_given_up_waiting_hears_nothing)
{
    server_open(&servers[0], 10, false);
    set_open(TRUNK_SERVICE_AUTO, servers[0].target, NULL);
    ck_assert_int_eq(client_find(&clients[0]), RP_PLACE_LATER);
    rp_place_cancel(&clients[0].place);
    wait_up(1);
    ck_assert_uint_eq(clients[0].n_answers, 0);
}
END_TEST

START_TEST(when_all_have_failed_it_is_told)
{
    char nowhere[] = "ipv4:127.0.0.1:1,127.0.0.1:2";
    set_open(TRUNK_SERVICE_AUTO, nowhere, NULL);
    ck_assert_int_eq(client_find(&clients[0]), RP_PLACE_LATER);
    loop_support_until(loop, is_answered, &clients[0]);
    ck_assert_ptr_null(clients[0].lane);
    ck_assert_ptr_nonnull(strstr(clients[0].text, "Connection refused"));
    ck_assert_int_eq(metric_get(&metrics.sessions_without_s_proxy), 1);
}
END_TEST

START_TEST(one_that_fails_does_not_keep_sessions_from_another)
{
    char nowhere[] = "127.0.0.1:1";
    server_open(&servers[0], 10, false);
    set_open(TRUNK_SERVICE_AUTO, nowhere, servers[0].target);
    ck_assert_int_eq(client_find(&clients[0]), RP_PLACE_LATER);
    loop_support_until(loop, is_answered, &clients[0]);
    ck_assert_ptr_nonnull(clients[0].lane);
    ck_assert_int_eq(metric_get(&metrics.s_proxies), 2);
}
END_TEST

static bool has_been_refused_at_once(void *arg)
{
    struct client *c = arg;
    if (list_is_linked(&c->place.link))
        return false;
    return client_find(c) == -EHOSTUNREACH;
}

START_TEST(when_the_next_attempt_is_far_it_is_told_at_once)
{
    char nowhere[] = "127.0.0.1:1";
    set_open(TRUNK_SERVICE_AUTO, nowhere, NULL);
    loop_support_until(loop, has_been_refused_at_once, &clients[0]);
    ck_assert_ptr_nonnull(strstr(err_text(), "no s-proxy can be reached: "));
    ck_assert_ptr_nonnull(strstr(err_text(), "Connection refused"));
}
END_TEST

START_TEST(a_trunk_that_is_lost_comes_back)
{
    server_open(&servers[0], 10, false);
    set_open(TRUNK_SERVICE_AUTO, servers[0].target, NULL);
    wait_up(1);
    ck_assert_int_eq(client_find(&clients[0]), 0);
    servers[0].trunks[0] = trunk_free(servers[0].trunks[0]);
    loop_support_until(loop, has_ended, &clients[0]);
    wait_up(0);
    ck_assert_int_eq(client_find(&clients[1]), RP_PLACE_LATER);
    loop_support_until(loop, is_answered, &clients[1]);
    ck_assert_ptr_nonnull(clients[1].lane);
    ck_assert_uint_eq(servers[0].n_trunks, 2);
}
END_TEST

START_TEST(an_s_proxy_that_drains_gets_no_new_session_and_keeps_the_old)
{
    server_open(&servers[0], 10, false);
    server_open(&servers[1], 10, false);
    set_open(TRUNK_SERVICE_AUTO, servers[0].target, servers[1].target);
    wait_up(2);
    ck_assert_int_eq(client_find(&clients[0]), 0);
    ck_assert_int_eq(client_find(&clients[1]), 0);
    struct rp_trunk *other = clients[1].trunk;
    bool is_first = clients[0].lane && strstr(rpc_channel_target(clients[0].trunk->channel), servers[0].target);
    struct server *draining = &servers[is_first ? 0 : 1];
    loop_support_until(loop, has_a_lane, draining);
    trunk_drain(draining->trunks[0]);
    wait_up(1);
    for (unsigned i = 2; i < 4; i++) {
        ck_assert_int_eq(client_find(&clients[i]), 0);
        ck_assert_ptr_eq(clients[i].trunk, other);
    }
    ck_assert_uint_eq(clients[0].n_ends, 0);
    ck_assert_uint_eq(clients[0].trunk->n_sessions, 1);
}
END_TEST

static bool has_no_old_trunk(void *arg)
{
    struct server *s = arg;
    return s->trunks[0] == NULL;
}

START_TEST(what_has_drained_goes_with_its_last_session)
{
    server_open(&servers[0], 10, false);
    set_open(TRUNK_SERVICE_AUTO, servers[0].target, NULL);
    wait_up(1);
    ck_assert_int_eq(client_find(&clients[0]), 0);
    loop_support_until(loop, has_a_lane, &servers[0]);
    trunk_drain(servers[0].trunks[0]);
    wait_up(0);
    wait_up(1); /* the same address again, perhaps there is another s-proxy behind it */
    ck_assert_uint_eq(server_trunks(&servers[0]), 2);
    client_leave(&clients[0]);
    loop_support_until(loop, has_no_old_trunk, &servers[0]);
    ck_assert_uint_eq(server_trunks(&servers[0]), 1);
}
END_TEST

static bool has_a_place(void *arg)
{
    return client_find(arg) == 0;
}

START_TEST(a_full_s_proxy_is_passed_over_until_somebody_leaves)
{
    server_open(&servers[0], 1, false);
    server_open(&servers[1], 1, false);
    set_open(TRUNK_SERVICE_AUTO, servers[0].target, servers[1].target);
    wait_up(2);
    ck_assert_int_eq(client_find(&clients[0]), 0);
    ck_assert_int_eq(client_find(&clients[1]), 0);
    ck_assert_ptr_ne(clients[0].trunk, clients[1].trunk);
    ck_assert_int_eq(client_find(&clients[2]), -EHOSTUNREACH);
    ck_assert_ptr_nonnull(strstr(err_text(), "take no more sessions"));
    client_leave(&clients[0]);
    loop_support_until(loop, has_a_place, &clients[2]);
}
END_TEST

START_TEST(who_knows_no_trunks_is_served_by_streams)
{
    server_open(&servers[0], 10, true);
    set_open(TRUNK_SERVICE_AUTO, servers[0].target, NULL);
    ck_assert_int_eq(client_find(&clients[0]), RP_PLACE_LATER);
    loop_support_until(loop, is_answered, &clients[0]);
    ck_assert_int_eq(client_find(&clients[1]), 0);
    ck_assert_uint_eq(clients[1].trunk->state, RP_TRUNK_RELAY);
    loop_support_until(loop, has_two_lanes, &servers[0]);
    servers[0].rpc = rpc_server_close(servers[0].rpc);
    loop_support_until(loop, has_ended, &clients[0]);
    loop_support_until(loop, has_ended, &clients[1]);
    wait_up(0);
}
END_TEST

START_TEST(relay_asks_for_no_trunk)
{
    server_open(&servers[0], 10, false);
    set_open(TRUNK_SERVICE_RELAY, servers[0].target, NULL);
    wait_up(1);
    ck_assert_int_eq(client_find(&clients[0]), 0);
    ck_assert_int_eq(client_find(&clients[1]), 0);
    loop_support_until(loop, has_two_lanes, &servers[0]);
    ck_assert_uint_eq(servers[0].n_trunks, 0);
}
END_TEST

START_TEST(trunk_takes_nothing_else)
{
    server_open(&servers[0], 10, true);
    set_open(TRUNK_SERVICE_TRUNK, servers[0].target, NULL);
    ck_assert_int_eq(client_find(&clients[0]), RP_PLACE_LATER);
    loop_support_until(loop, is_answered, &clients[0]);
    ck_assert_ptr_null(clients[0].lane);
    ck_assert_ptr_nonnull(strstr(clients[0].text, "does not know trunks"));
}
END_TEST

/* --- Names */

static bool are_known(void *arg)
{
    return metric_get(&metrics.s_proxies) == *(int *)arg;
}

static void wait_known(int n)
{
    loop_support_until(loop, are_known, &n);
}

/* The last one never answers: that is why the name is looked up again soon. */
START_TEST(each_address_of_a_name_gets_a_trunk_and_keeps_its_sessions)
{
    char target[64];
    server_open(&servers[0], 10, false);
    snprintf(target, sizeof(target), "dns:///fleet.test:%u", rpc_server_port(servers[0].rpc, 0));
    resolver_support_set("fleet.test", "127.0.0.1 127.0.0.2 255.255.255.255");
    set_open(TRUNK_SERVICE_AUTO, target, NULL);
    ck_assert_int_eq(client_find(&clients[0]), RP_PLACE_LATER);
    wait_up(2);
    wait_known(3);
    ck_assert_int_eq(client_find(&clients[1]), 0);
    ck_assert_ptr_ne(clients[0].trunk, clients[1].trunk);
    loop_support_until(loop, has_two_lanes, &servers[0]);

    resolver_support_set("fleet.test", "127.0.0.1 255.255.255.255");
    wait_known(2);
    ck_assert_int_eq(metric_get(&metrics.s_proxies_up), 1);
    ck_assert_uint_eq(clients[0].n_ends + clients[1].n_ends, 0);
    ck_assert_uint_eq(server_trunks(&servers[0]), 2);
    struct client *gone = clients[0].trunk->on_change ? &clients[1] : &clients[0];
    for (unsigned i = 2; i < 4; i++) {
        ck_assert_int_eq(client_find(&clients[i]), 0);
        ck_assert_ptr_ne(clients[i].trunk, gone->trunk);
    }
}
END_TEST

START_TEST(a_name_that_has_no_address_is_told_and_asked_again)
{
    char target[64];
    server_open(&servers[0], 10, false);
    snprintf(target, sizeof(target), "fleet.test:%u", rpc_server_port(servers[0].rpc, 0));
    set_open(TRUNK_SERVICE_AUTO, target, NULL);
    ck_assert_int_eq(client_find(&clients[0]), RP_PLACE_LATER);
    loop_support_until(loop, is_answered, &clients[0]);
    ck_assert_ptr_null(clients[0].lane);
    ck_assert_ptr_nonnull(strstr(clients[0].text, "fleet.test: "));
    ck_assert_int_eq(client_find(&clients[1]), -EHOSTUNREACH);
    resolver_support_set("fleet.test", "127.0.0.1");
    wait_up(1);
    ck_assert_int_eq(client_find(&clients[1]), 0);
}
END_TEST

START_TEST(an_address_given_twice_is_one)
{
    char twice[160];
    server_open(&servers[0], 10, false);
    snprintf(twice, sizeof(twice), "ipv4:%s,%s", servers[0].target, servers[0].target);
    set_open(TRUNK_SERVICE_AUTO, twice, servers[0].target);
    wait_up(1);
    ck_assert_int_eq(metric_get(&metrics.s_proxies), 1);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("rp_trunk_set", &t);
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, sessions_go_where_the_fewest_are);
    tcase_add_test(t, what_a_session_avoids_is_its_last_choice);
    tcase_add_test(t, it_is_a_choice_all_the_same);
    tcase_add_test(t, a_session_waits_for_the_first_attempt);
    tcase_add_test(t, a_session_that_has_given_up_waiting_hears_nothing);
    tcase_add_test(t, when_all_have_failed_it_is_told);
    tcase_add_test(t, one_that_fails_does_not_keep_sessions_from_another);
    tcase_add_test(t, when_the_next_attempt_is_far_it_is_told_at_once);
    tcase_add_test(t, a_trunk_that_is_lost_comes_back);
    tcase_add_test(t, an_s_proxy_that_drains_gets_no_new_session_and_keeps_the_old);
    tcase_add_test(t, what_has_drained_goes_with_its_last_session);
    tcase_add_test(t, a_full_s_proxy_is_passed_over_until_somebody_leaves);
    tcase_add_test(t, who_knows_no_trunks_is_served_by_streams);
    tcase_add_test(t, relay_asks_for_no_trunk);
    tcase_add_test(t, trunk_takes_nothing_else);
    tcase_add_test(t, each_address_of_a_name_gets_a_trunk_and_keeps_its_sessions);
    tcase_add_test(t, a_name_that_has_no_address_is_told_and_asked_again);
    tcase_add_test(t, an_address_given_twice_is_one);
    return s;
}

TEST_MAIN(suite)
