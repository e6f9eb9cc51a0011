/* A channel: what it says of its connection, and what it calls the other side. */
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc_fixture.h"
#include "test_main.h"

static struct rig rig;
static struct end client;

static void setup(void)
{
    rig_init(&rig, 4);
    client = (struct end){.rig = &rig};
}

static void teardown(void)
{
    end_free(&client);
    rig_deinit(&rig);
}

struct watcher {
    unsigned n_up, n_down;
    bool closes;
};

static void on_watch(struct rpc_channel *ch, bool is_up, void *arg)
{
    struct watcher *w = arg;
    loop_stop(rig.loop);
    if (is_up)
        w->n_up++;
    else
        w->n_down++;
    if (w->closes)
        rpc_channel_close(ch);
}

static struct rpc_channel *channel_to(const char *target, const char *authority)
{
    const struct rpc_channel_params params = {.target = target, .authority = authority};
    struct rpc_channel *ch = NULL;
    ck_assert_int_eq(rpc_channel_open(rig.cq, &params, &ch), 0);
    return ch;
}

static struct rpc_channel *watched(const char *target, struct watcher *w)
{
    struct rpc_channel *ch = channel_to(target, NULL);
    ck_assert_int_eq(rpc_channel_watch(ch, rig.mailbox, on_watch, w), 0);
    rpc_channel_connect(ch);
    return ch;
}

START_TEST(a_connection_that_comes_up_and_is_lost_is_told_once_each)
{
    struct watcher w = {.n_up = 0};
    struct rpc_channel *ch = watched(rig.target, &w);
    RIG_RUN_UNTIL(&rig, w.n_up == 1);
    rig.server = rpc_server_close(rig.server);
    RIG_RUN_UNTIL(&rig, w.n_down == 1);
    ck_assert_uint_eq(w.n_up, 1);
    rpc_channel_close(ch);
}
END_TEST

START_TEST(a_connection_that_cannot_be_made_is_told_once)
{
    struct watcher w = {.n_up = 0};
    struct rpc_channel *ch = watched("ipv4:127.0.0.1:1", &w);
    RIG_RUN_UNTIL(&rig, w.n_down == 1);
    ck_assert_uint_eq(w.n_up, 0);
    rpc_channel_close(ch);
}
END_TEST

START_TEST(a_watch_that_begins_late_sees_the_connection_that_is_there)
{
    struct watcher w = {.n_up = 0};
    end_open(&client, &rig);
    RIG_RUN_UNTIL(&rig, client.n_headers == 1);
    ck_assert_int_eq(rpc_channel_watch(rig.channel, rig.mailbox, on_watch, &w), 0);
    RIG_RUN_UNTIL(&rig, w.n_up == 1);
    ck_assert_uint_eq(w.n_down, 0);
}
END_TEST

START_TEST(a_channel_may_be_closed_by_what_it_tells)
{
    struct watcher up = {.closes = true}, down = {.closes = true};
    watched(rig.target, &up);
    watched("ipv4:127.0.0.1:1", &down);
    RIG_RUN_UNTIL(&rig, up.n_up == 1 && down.n_down == 1);
}
END_TEST

START_TEST(after_close_nothing_is_told)
{
    struct watcher w = {.n_up = 0}, other = {.n_up = 0};
    for (int i = 0; i < 20; i++)
        rpc_channel_close(watched(rig.target, &w));
    struct rpc_channel *ch = watched(rig.target, &other);
    RIG_RUN_UNTIL(&rig, other.n_up == 1);
    rpc_channel_close(ch);
    ck_assert_uint_eq(w.n_up + w.n_down, 0);
}
END_TEST

START_TEST(streams_go_on_when_their_channel_is_closed)
{
    end_open(&client, &rig);
    RIG_RUN_UNTIL(&rig, client.n_headers == 1);
    rig.channel = rpc_channel_close(rig.channel);
    for (uint32_t i = 0; i < 10; i++) {
        end_send(&client, i, 100);
        end_send(&rig.ends[0], i, 100);
    }
    RIG_RUN_UNTIL(&rig, rig.ends[0].n_messages == 10 && client.n_messages == 10);
    ck_assert_uint_eq(client.n_ends, 0);
    rpc_stream_finish(rig.ends[0].stream, RPC_OK, NULL);
    RIG_RUN_UNTIL(&rig, client.n_ends == 1);
    ck_assert_int_eq(client.status, RPC_OK);
}
END_TEST

/* A server that only shakes hands (an empty SETTINGS frame), on a thread of its own; what comes from the client is in
 * its HEADERS. */
struct greeter {
    struct mail mail;
    pthread_t thread;
    int listening;
    const char *word;
    bool has_come; /* the word */
    bool is_done;  /* on the loop's thread */
};

static void on_greeted(struct mail *mail)
{
    ((struct greeter *)mail)->is_done = true;
    loop_stop(rig.loop);
}

static bool client_says(int fd, const char *word)
{
    static const uint8_t settings[9] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    char seen[4096];
    size_t n = 0;
    ssize_t got = write(fd, settings, sizeof(settings));
    while (got > 0 && !memmem(seen, n, word, strlen(word))) {
        got = read(fd, seen + n, sizeof(seen) - n);
        n += got > 0 ? (size_t)got : 0;
    }
    return got > 0;
}

static void *greet(void *arg)
{
    struct greeter *g = arg;
    int fd = accept(g->listening, NULL, NULL);
    g->has_come = client_says(fd, g->word);
    close(fd);
    mailbox_post(rig.mailbox, &g->mail);
    return NULL;
}

START_TEST(the_authority_is_the_name_not_the_address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listening, (struct sockaddr *)&in, sizeof(in)), 0);
    ck_assert_int_eq(listen(listening, 1), 0);
    getsockname(listening, (struct sockaddr *)&in, &len);
    char target[64];
    snprintf(target, sizeof(target), "ipv4:127.0.0.1:%u", ntohs(in.sin_port));

    struct rpc_channel *ch = channel_to(target, "fleet.example:7000");
    ck_assert_int_eq(rpc_stream_open(ch, rig.mailbox, "/a/B", NULL, 0, &end_cbs, &client, &client.stream), 0);
    struct greeter g = {.mail.fn = on_greeted, .listening = listening, .word = "fleet.example:7000"};
    ck_assert_int_eq(pthread_create(&g.thread, NULL, greet, &g), 0);
    RIG_RUN_UNTIL(&rig, g.is_done);
    pthread_join(g.thread, NULL);
    ck_assert(g.has_come);
    end_free(&client);
    rpc_channel_close(ch);
    close(listening);
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("rpc_channel", &t);
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_connection_that_comes_up_and_is_lost_is_told_once_each);
    tcase_add_test(t, a_connection_that_cannot_be_made_is_told_once);
    tcase_add_test(t, a_watch_that_begins_late_sees_the_connection_that_is_there);
    tcase_add_test(t, a_channel_may_be_closed_by_what_it_tells);
    tcase_add_test(t, after_close_nothing_is_told);
    tcase_add_test(t, streams_go_on_when_their_channel_is_closed);
    tcase_add_test(t, the_authority_is_the_name_not_the_address);
    return s;
}

TEST_MAIN(suite)
