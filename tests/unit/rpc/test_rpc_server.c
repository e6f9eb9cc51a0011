/* The server: who is let in, and how it ends. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "rpc_fixture.h"
#include "test_main.h"

static struct rig rig;
static struct end client;

static void setup(void)
{
    rig_init(&rig, 2);
    client = (struct end){.rig = &rig};
}

static void teardown(void)
{
    end_free(&client);
    rig_deinit(&rig);
}

static struct end *connect_ends(void)
{
    end_open(&client, &rig);
    RIG_RUN_UNTIL(&rig, rig.n_arrived == 1 && client.n_headers == 1);
    return &rig.ends[0];
}

static void expect_end(int status)
{
    RIG_RUN_UNTIL(&rig, client.n_ends == 1);
    ck_assert_str_eq(rpc_status_name(client.status), rpc_status_name(status));
}

START_TEST(an_unknown_method_is_unimplemented)
{
    for (unsigned i = 0; i < 20; i++) { /* more often than requests are outstanding */
        client = (struct end){.rig = &rig};
        ck_assert_int_eq(rpc_stream_open(rig.channel, rig.mailbox, "/grpc.health.v1.Health/Watch", NULL, 0, &end_cbs,
                                         &client, &client.stream),
                         0);
        expect_end(RPC_UNIMPLEMENTED);
        end_free(&client);
    }
}
END_TEST

START_TEST(a_server_without_a_loop_to_spare_is_unavailable)
{
    rig.refuses_arrivals = true;
    end_open(&client, &rig);
    expect_end(RPC_UNAVAILABLE);
}
END_TEST

/* LEN bytes in the value. */
static void open_with_metadata(size_t len)
{
    char *value = malloc(len + 1);
    memset(value, 'x', len);
    value[len] = '\0';
    const struct rpc_metadata metadata[] = {{"x-long", value}};
    client = (struct end){.rig = &rig};
    ck_assert_int_eq(
        rpc_stream_open(rig.channel, rig.mailbox, RIG_PATH, metadata, 1, &end_cbs, &client, &client.stream), 0);
    free(value);
}

START_TEST(more_metadata_than_the_limit_ends_a_stream)
{
    open_with_metadata(RIG_MAX_METADATA);
    expect_end(RPC_RESOURCE_EXHAUSTED);
    end_free(&client);
    open_with_metadata(RIG_MAX_METADATA / 2); /* no other stream is the worse for it */
    RIG_RUN_UNTIL(&rig, rig.n_arrived == 1 && client.n_headers == 1);
}
END_TEST

static void refuse(struct rig *r, struct rpc_stream *stream)
{
    rpc_stream_finish(stream, RPC_PERMISSION_DENIED, "not here");
    rpc_stream_free(stream);
}

START_TEST(a_stream_may_be_refused_instead_of_accepted)
{
    rig.on_arrival = refuse;
    end_open(&client, &rig);
    expect_end(RPC_PERMISSION_DENIED);
    ck_assert_str_eq(client.text, "not here");
}
END_TEST

static void drop(struct rig *r, struct rpc_stream *stream)
{
    rpc_stream_free(stream);
}

START_TEST(a_stream_may_be_freed_instead_of_accepted)
{
    rig.on_arrival = drop;
    end_open(&client, &rig);
    RIG_RUN_UNTIL(&rig, client.n_ends == 1);
    ck_assert_int_ne(client.status, RPC_OK);
}
END_TEST

START_TEST(a_draining_server_keeps_its_streams_and_takes_no_new_one)
{
    struct end *server = connect_ends();
    rpc_server_drain(rig.server);
    rpc_server_drain(rig.server);
    end_send(&client, 0, 100);
    end_send(server, 0, 100);
    RIG_RUN_UNTIL(&rig, client.n_messages == 1 && server->n_messages == 1);

    struct end late = {.rig = &rig};
    end_open(&late, &rig);
    RIG_RUN_UNTIL(&rig, late.n_ends == 1);
    ck_assert_int_eq(late.status, RPC_UNAVAILABLE);
    end_free(&late);

    rpc_stream_finish(server->stream, RPC_OK, NULL);
    expect_end(RPC_OK);
}
END_TEST

START_TEST(a_server_that_closes_is_unavailable)
{
    const struct end *server = connect_ends();
    rig.server = rpc_server_close(rig.server);
    expect_end(RPC_UNAVAILABLE);
    RIG_RUN_UNTIL(&rig, server->n_ends == 1);
    ck_assert_int_eq(server->status, RPC_CANCELLED);
}
END_TEST

START_TEST(after_close_nobody_arrives)
{
    enum { N = 20 };
    struct end late[N] = {0};
    for (unsigned i = 0; i < N; i++)
        end_open(&late[i], &rig);
    rig.server = rpc_server_close(rig.server);
    unsigned n_arrived = rig.n_arrived;
    for (unsigned i = 0; i < N; i++) {
        RIG_RUN_UNTIL(&rig, late[i].n_ends == 1);
        end_free(&late[i]);
    }
    ck_assert_uint_eq(rig.n_arrived, n_arrived);
}
END_TEST

START_TEST(a_client_comes_back_to_a_server_that_comes_back)
{
    connect_ends();
    char listen[64];
    snprintf(listen, sizeof(listen), "%s", rig.target);
    rig.server = rpc_server_close(rig.server);
    expect_end(RPC_UNAVAILABLE);
    end_free(&client);
    end_free(&rig.ends[0]);

    const struct rpc_server_params params = {.listen = (const char *const[]){listen}, .n_listen = 1};
    const struct rpc_server_method none[] = {{.path = "/other/Method"}};
    ck_assert_int_eq(rpc_server_open(rig.cq, &params, none, 1, &rig.server), 0);
    do { /* while the channel is in its back-off it fails at once: wait in the loop, as a program would */
        client = (struct end){.rig = &rig};
        end_open(&client, &rig);
        RIG_RUN_UNTIL(&rig, client.n_ends == 1);
        end_free(&client);
    } while (client.status == RPC_UNAVAILABLE);
    ck_assert_int_eq(client.status, RPC_UNIMPLEMENTED);
}
END_TEST

START_TEST(a_port_in_use_is_an_error_that_names_it)
{
    const char *const listen[] = {"127.0.0.1:0", rig.target};
    const struct rpc_server_params params = {.listen = listen, .n_listen = 2};
    struct rpc_server *second = NULL;
    ck_assert_int_eq(rpc_server_open(rig.cq, &params, NULL, 0, &second), -EADDRNOTAVAIL);
    ck_assert_ptr_null(second);
    ck_assert_ptr_nonnull(strstr(err_text(), rig.target));
}
END_TEST

START_TEST(a_method_given_twice_is_an_error)
{
    const struct rpc_server_params params = {.listen = (const char *const[]){"127.0.0.1:0"}, .n_listen = 1};
    const struct rpc_server_method twice[] = {{.path = "/a/B"}, {.path = "/a/B"}};
    struct rpc_server *second = NULL;
    ck_assert_int_eq(rpc_server_open(rig.cq, &params, twice, 2, &second), -EINVAL);
}
END_TEST

START_TEST(several_addresses_are_served)
{
    const char *const listen[] = {"127.0.0.1:0", "[::1]:0", "unix:/tmp/test_rpc_server.sock"};
    const struct rpc_server_params params = {.listen = listen, .n_listen = 3};
    struct rpc_server *s = NULL;
    ck_assert_int_eq(rpc_server_open(rig.cq, &params, NULL, 0, &s), 0);
    ck_assert_uint_ne(rpc_server_port(s, 0), 0);
    char v6[64];
    snprintf(v6, sizeof(v6), "[::1]:%u", rpc_server_port(s, 1));
    const char *const targets[] = {v6, "unix:/tmp/test_rpc_server.sock"};
    for (unsigned i = 0; i < TEST_COUNT(targets); i++) {
        const struct rpc_channel_params to = {.target = targets[i]};
        struct rpc_channel *ch = NULL;
        ck_assert_int_eq(rpc_channel_open(rig.cq, &to, &ch), 0);
        rpc_channel_connect(ch);
        client = (struct end){.rig = &rig};
        ck_assert_int_eq(rpc_stream_open(ch, rig.mailbox, "/a/B", NULL, 0, &end_cbs, &client, &client.stream), 0);
        expect_end(RPC_UNIMPLEMENTED);
        end_free(&client);
        rpc_channel_close(ch);
    }
    rpc_server_close(s);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("rpc_server", &t);
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, an_unknown_method_is_unimplemented);
    tcase_add_test(t, a_server_without_a_loop_to_spare_is_unavailable);
    tcase_add_test(t, more_metadata_than_the_limit_ends_a_stream);
    tcase_add_test(t, a_stream_may_be_refused_instead_of_accepted);
    tcase_add_test(t, a_stream_may_be_freed_instead_of_accepted);
    tcase_add_test(t, a_draining_server_keeps_its_streams_and_takes_no_new_one);
    tcase_add_test(t, a_server_that_closes_is_unavailable);
    tcase_add_test(t, after_close_nobody_arrives);
    tcase_add_test(t, a_client_comes_back_to_a_server_that_comes_back);
    tcase_add_test(t, a_port_in_use_is_an_error_that_names_it);
    tcase_add_test(t, a_method_given_twice_is_an_error);
    tcase_add_test(t, several_addresses_are_served);
    return s;
}

TEST_MAIN(suite)
