/* TLS of channel and server: who believes whom, what a broken file does, and that new files count without a restart. */
#include "rpc_tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "rpc_fixture.h"
#include "rpc_tls_internal.h"
#include "rpc_tokens.h"
#include "test_main.h"
#include "tls_files.h"

enum { CONNECTIONS = 1000 }; /* more than can be made while libgrpc's watcher sleeps */

static struct rig rig;
static struct end client;
static struct rpc_tls *server_tls;
static struct rpc_channel *channel;

/* What a side has refused last. */
struct refused {
    pthread_mutex_t mutex;
    char text[600];
};
static struct refused by_server = {.mutex = PTHREAD_MUTEX_INITIALIZER},
                      by_client = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void on_refused(const char *text, void *arg)
{
    struct refused *r = arg;
    pthread_mutex_lock(&r->mutex);
    snprintf(r->text, sizeof(r->text), "%s", text);
    pthread_mutex_unlock(&r->mutex);
}

/* Valid until the next call. */
static const char *refused(struct refused *r)
{
    static char text[sizeof(r->text)];
    pthread_mutex_lock(&r->mutex);
    memcpy(text, r->text, sizeof(text));
    pthread_mutex_unlock(&r->mutex);
    return text;
}

static struct rpc_tls *new_tls(bool is_server, const char *ca, const char *name, const char *crl)
{
    char certificate[64], key[64];
    snprintf(certificate, sizeof(certificate), "%s.pem", name ? name : "");
    snprintf(key, sizeof(key), "%s-key.pem", name ? name : "");
    const struct rpc_tls_params params = {
        .files = {.ca = ca ? tls_file(ca) : NULL,
                  .certificate = name ? tls_file(certificate) : NULL,
                  .key = name ? tls_file(key) : NULL,
                  .crl = crl ? tls_file(crl) : NULL},
        .is_server = is_server,
        .on_refused = on_refused,
        .arg = is_server ? &by_server : &by_client,
    };
    struct rpc_tls *t = NULL;
    ck_assert_msg(rpc_tls_new(&params, &t) == 0, "%s", err_text());
    return t;
}

static void serve(struct rpc_tls *tls)
{
    server_tls = tls;
    rig_init_tls(&rig, tls, CONNECTIONS);
    client = (struct end){.rig = &rig};
    on_refused("", &by_server);
    on_refused("", &by_client);
}

/* CHANNEL and an end on it; the channel keeps what it needs of TLS. */
static struct rpc_channel *open_end(struct end *e, struct rpc_tls *tls, const char *authority,
                                    struct rpc_tokens *tokens)
{
    struct rpc_channel *ch = NULL;
    const struct rpc_channel_params params = {
        .target = rig.target, .authority = authority, .tls = tls, .tokens = tokens};
    ck_assert_int_eq(rpc_channel_open(rig.cq, &params, &ch), 0);
    end_open_at(e, &rig, ch);
    rpc_tls_unref(tls);
    return ch;
}

/* Takes TLS. */
static void connect_with(struct rpc_tls *tls, const char *authority)
{
    channel = open_end(&client, tls, authority, NULL);
}

static void disconnect(void)
{
    end_free(&client);
    channel = rpc_channel_close(channel);
    client = (struct end){.rig = &rig};
}

static void stop(void)
{
    disconnect();
    rig_deinit(&rig);
    server_tls = rpc_tls_unref(server_tls);
}

static void expect_talk(void)
{
    RIG_RUN_UNTIL(&rig, client.n_headers == 1 || client.n_ends == 1);
    ck_assert_msg(client.n_ends == 0, "%s", client.text);
    end_send(&client, 0, 1000);
    RIG_RUN_UNTIL(&rig, rig.ends[rig.n_arrived - 1].n_messages == 1);
}

static void expect_failure(void)
{
    RIG_RUN_UNTIL(&rig, client.n_ends == 1);
    ck_assert_str_eq(rpc_status_name(client.status), "UNAVAILABLE");
    ck_assert_uint_eq(rig.n_arrived, 0);
}

#define ASSERT_SAYS(text, words) ck_assert_msg(strstr((text), (words)), "\"%s\" does not say \"%s\"", (text), (words))

/* --- Who believes whom */

static bool find_name(const char *name, size_t n, void *arg)
{
    const char *wanted = arg;
    return n == strlen(wanted) && memcmp(name, wanted, n) == 0;
}

START_TEST(both_sides_believe_each_other)
{
    serve(new_tls(true, "ca.pem", "server", "crl.pem"));
    connect_with(new_tls(false, "ca.pem", "r-proxy", NULL), "localhost:1");
    expect_talk();
    const struct rpc_stream *s = rig.ends[0].stream;
    ck_assert(rpc_stream_any_name(s, find_name, "r-proxy"));
    ck_assert(rpc_stream_any_name(s, find_name, "spiffe://mqtt.example/r-proxy"));
    ck_assert(!rpc_stream_any_name(s, find_name, "spiffe://mqtt.example/r-prox"));
    ck_assert(!rpc_stream_any_name(s, find_name, "MQTT tunnel test authority"));
    ck_assert_str_eq(refused(&by_server), "");
    stop();
}
END_TEST

START_TEST(a_server_may_want_no_certificate)
{
    serve(new_tls(true, NULL, "server", NULL));
    connect_with(new_tls(false, "ca.pem", NULL, NULL), "localhost:1");
    expect_talk();
    ck_assert(!rpc_stream_any_name(rig.ends[0].stream, find_name, "server"));
    stop();
}
END_TEST

static const char *const good_hosts[] = {"localhost", "localhost:50516", "127.0.0.1:50516", "[::1]:50516"};

START_TEST(a_server_is_each_of_its_names)
{
    serve(new_tls(true, NULL, "server", NULL));
    connect_with(new_tls(false, "ca.pem", NULL, NULL), good_hosts[_i]);
    expect_talk();
    stop();
}
END_TEST

static const char *const wrong_hosts[] = {"cloud.example:50516", "127.0.0.2:50516", "[::2]:1", "localhost.example:1"};

START_TEST(a_server_of_another_name_is_not_believed)
{
    serve(new_tls(true, NULL, "server", NULL));
    connect_with(new_tls(false, "ca.pem", NULL, NULL), wrong_hosts[_i]);
    expect_failure();
    ASSERT_SAYS(refused(&by_client), "certificate CN = server");
    ASSERT_SAYS(client.text, refused(&by_client));
    stop();
}
END_TEST

static const struct {
    const char *server, *ca, *words;
} bad_servers[] = {
    {"client", "ca.pem", "certificate CN = client: unsuitable certificate purpose"},
    {"server", "other/ca.pem", "certificate CN = server: unable to get local issuer certificate"},
    {"server", NULL, "certificate CN = server: unable to get local issuer certificate"}, /* the system's CAs */
};

START_TEST(a_channel_needs_a_name_to_check)
{
    serve(new_tls(true, NULL, "server", NULL));
    struct rpc_tls *tls = new_tls(false, "ca.pem", NULL, NULL);
    static const char *const nameless[] = {NULL, "", ":50516", "[]:1"};
    for (size_t i = 0; i < TEST_COUNT(nameless); i++) {
        const struct rpc_channel_params params = {.target = rig.target, .authority = nameless[i], .tls = tls};
        ck_assert_int_eq(rpc_channel_open(rig.cq, &params, &channel), -EINVAL);
    }
    rpc_tls_unref(tls);
    stop();
}
END_TEST

START_TEST(a_bad_server_is_not_believed)
{
    serve(new_tls(true, NULL, bad_servers[_i].server, NULL));
    connect_with(new_tls(false, bad_servers[_i].ca, NULL, NULL), "localhost:1");
    expect_failure();
    ASSERT_SAYS(refused(&by_client), bad_servers[_i].words);
    ASSERT_SAYS(client.text, bad_servers[_i].words);
    stop();
}
END_TEST

static const struct {
    const char *name, *words;
} bad_clients[] = {
    {"revoked", "certificate CN = revoked: certificate revoked"},
    {"server", "certificate CN = server: unsuitable certificate purpose"},
    {"other/r-proxy", "certificate CN = r-proxy: unable to get local issuer certificate"},
    {NULL, "it has shown no certificate"},
};

START_TEST(a_bad_client_is_not_let_in)
{
    serve(new_tls(true, "ca.pem", "server", "crl.pem"));
    connect_with(new_tls(false, "ca.pem", bad_clients[_i].name, NULL), "localhost:1");
    expect_failure();
    ASSERT_SAYS(refused(&by_server), bad_clients[_i].words);
    stop();
}
END_TEST

START_TEST(clear_text_is_no_way_in)
{
    serve(new_tls(true, NULL, "server", NULL));
    connect_with(NULL, "localhost:1");
    expect_failure();
    stop();
}
END_TEST

/* What a program of ours would not show, for it would not start with it. */
START_TEST(an_expired_certificate_is_refused_on_either_side)
{
    const struct rpc_tls_files files = {.ca = tls_file("ca.pem")};
    struct rpc_tls_material *m = NULL;
    char pem[4096], text[256];
    ck_assert_int_eq(rpc_tls_material_read(&files, false, &m), 0);
    tls_file_read("expired.pem", pem, sizeof(pem));
    ck_assert(!rpc_tls_verify(m, NULL, pem, "", text, sizeof(text)));
    ck_assert_str_eq(text, "certificate CN = expired: certificate has expired");
    ck_assert(!rpc_tls_verify(m, "localhost", pem, "", text, sizeof(text)));
    ck_assert_str_eq(text, "certificate CN = expired: certificate has expired");
    ck_assert(!rpc_tls_verify(m, NULL, "no certificate", "", text, sizeof(text)));
    rpc_tls_material_unref(m);
}
END_TEST

static const struct {
    const char *file, *words;
} weak[] = {
    {"short.pem", "certificate CN = short: EE certificate key too weak"},
    {"sha1.pem", "certificate CN = sha1: CA signature digest algorithm too weak"},
};

START_TEST(a_weak_certificate_is_refused_on_either_side)
{
    const struct rpc_tls_files files = {.ca = tls_file("ca.pem")};
    struct rpc_tls_material *m = NULL;
    char pem[4096], text[256];
    ck_assert_int_eq(rpc_tls_material_read(&files, false, &m), 0);
    tls_file_read(weak[_i].file, pem, sizeof(pem));
    ck_assert(!rpc_tls_verify(m, NULL, pem, "", text, sizeof(text)));
    ck_assert_str_eq(text, weak[_i].words);
    ck_assert(!rpc_tls_verify(m, "localhost", pem, "", text, sizeof(text)));
    ck_assert_str_eq(text, weak[_i].words);
    rpc_tls_material_unref(m);
}
END_TEST

/* --- Files */

static int try_files(bool is_server, const char *ca, const char *certificate, const char *key, const char *crl)
{
    const struct rpc_tls_params params = {.files = {ca, certificate, key, crl}, .is_server = is_server};
    struct rpc_tls *t = NULL;
    int r = rpc_tls_new(&params, &t);
    rpc_tls_unref(t);
    return r;
}

static const struct {
    const char *ca, *certificate, *key, *crl; /* of a server */
    const char *words;
} bad_files[] = {
    {NULL, "none.pem", "server-key.pem", NULL, "none.pem: No such file"},
    {NULL, "server.pem", "none.pem", NULL, "none.pem: No such file"},
    {NULL, "ca", "server-key.pem", NULL, "ca: no file of certificates"},
    {NULL, "empty.pem", "server-key.pem", NULL, "empty.pem: no certificate in it"},
    {NULL, "cut.pem", "server-key.pem", NULL, "cut.pem: bad end line"},
    {NULL, "cut-chain.pem", "server-key.pem", NULL, "cut-chain.pem: chain: bad end line"},
    {NULL, "server-key.pem", "server-key.pem", NULL, "server-key.pem: no certificate in it"},
    {NULL, "server.pem", "server.pem", NULL, "server.pem: no private key in it"},
    {NULL, "server.pem", "client-key.pem", NULL, "client-key.pem: is not the key of certificate CN = server"},
    {NULL, "server.pem", "encrypted-key.pem", NULL, "encrypted-key.pem: the key is encrypted"},
    {NULL, "server.pem", "cut-key.pem", NULL, "cut-key.pem: no private key in it"},
    {NULL, "expired.pem", "expired-key.pem", NULL, "expired.pem: certificate CN = expired has expired at "},
    {NULL, "weak.pem", "weak-key.pem", NULL, "weak.pem: certificate CN = weak: ee key too small"},
    {"none.pem", "server.pem", "server-key.pem", NULL, "none.pem: No such file"},
    {"empty.pem", "server.pem", "server-key.pem", NULL, "empty.pem: no certificate in it"},
    {"cut.pem", "server.pem", "server-key.pem", NULL, "cut.pem: certificate 1: bad end line"},
    {"ca.pem", "server.pem", "server-key.pem", "none.pem", "none.pem: No such file"},
    {"ca.pem", "server.pem", "server-key.pem", "ca.pem", "ca.pem: no revocation list in it"},
    {NULL, NULL, NULL, NULL, "a certificate and its key are needed"},
};

static const char *path_or_null(const char *name)
{
    return name ? tls_file(name) : NULL;
}

START_TEST(a_bad_file_is_named_with_the_reason)
{
    tls_file_cut("cut.pem", "server.pem", -40);
    tls_file_cut("cut-key.pem", "server-key.pem", -40);
    ck_assert_int_lt(try_files(true, path_or_null(bad_files[_i].ca), path_or_null(bad_files[_i].certificate),
                               path_or_null(bad_files[_i].key), path_or_null(bad_files[_i].crl)),
                     0);
    ASSERT_SAYS(err_text(), bad_files[_i].words);
}
END_TEST

START_TEST(no_cut_of_a_file_is_taken)
{
    for (long n = 0; n < 600; n += 7) { /* server.pem is longer */
        tls_file_cut("cut.pem", "server.pem", n);
        ck_assert_int_lt(try_files(true, NULL, tls_file("cut.pem"), tls_file("server-key.pem"), NULL), 0);
        ck_assert_int_lt(try_files(false, tls_file("cut.pem"), NULL, NULL, NULL), 0);
    }
}
END_TEST

/* --- Changes */

static unsigned n_reloaded;
static int reloaded;
static char reloaded_text[600];

static void on_reloaded(int r, const char *text, void *arg)
{
    n_reloaded++;
    reloaded = r;
    snprintf(reloaded_text, sizeof(reloaded_text), "%s", text);
    loop_stop(rig.loop);
}

static void use_name(const char *certificate, const char *key)
{
    tls_file_replace("used-key.pem", key);
    tls_file_replace("used.pem", certificate);
}

/* The watcher of libgrpc looks once a second: new handshakes are tried until one sees the new certificate. */
static void reconnect_until_server_is(bool is_good)
{
    bool is_done = false;
    while (!is_done) {
        disconnect();
        connect_with(new_tls(false, "ca.pem", "r-proxy", NULL), "localhost:1");
        RIG_RUN_UNTIL(&rig, client.n_headers == 1 || client.n_ends == 1);
        is_done = (client.n_headers == 1) == is_good;
    }
}

START_TEST(new_files_are_used_for_new_connections_alone)
{
    use_name("server.pem", "server-key.pem");
    serve(new_tls(true, "ca.pem", "used", NULL));
    n_reloaded = 0;
    rpc_tls_watch(server_tls, rig.loop, on_reloaded, NULL);
    struct end old = {.rig = &rig};
    struct rpc_channel *old_channel = open_end(&old, new_tls(false, "ca.pem", "r-proxy", NULL), "localhost:1", NULL);
    RIG_RUN_UNTIL(&rig, old.n_headers == 1);

    use_name("other/server.pem", "other/server-key.pem");
    RIG_RUN_UNTIL(&rig, n_reloaded == 1);
    ck_assert_int_eq(reloaded, 0);
    ASSERT_SAYS(reloaded_text, "certificate CN = server, valid until ");
    reconnect_until_server_is(false);
    ASSERT_SAYS(client.text, "certificate CN = server: unable to get local issuer certificate");

    end_send(&old, 0, 100);
    RIG_RUN_UNTIL(&rig, rig.ends[0].n_messages == 1);
    ck_assert_uint_eq(old.n_ends, 0);

    use_name("server.pem", "server-key.pem");
    RIG_RUN_UNTIL(&rig, n_reloaded == 2);
    reconnect_until_server_is(true);
    end_free(&old);
    rpc_channel_close(old_channel);
    rpc_tls_unwatch(server_tls);
    stop();
}
END_TEST

START_TEST(a_broken_new_file_leaves_the_old_one)
{
    use_name("server.pem", "server-key.pem");
    serve(new_tls(true, NULL, "used", NULL));
    rpc_tls_watch(server_tls, rig.loop, on_reloaded, NULL);
    n_reloaded = 0;
    tls_file_cut("used.pem", "server.pem", 300);
    RIG_RUN_UNTIL(&rig, n_reloaded == 1);
    ck_assert_int_lt(reloaded, 0);
    ASSERT_SAYS(reloaded_text, "used.pem: bad end line");
    tls_file_replace("used.pem", "client.pem");
    RIG_RUN_UNTIL(&rig, n_reloaded == 2);
    ASSERT_SAYS(reloaded_text, "used-key.pem: is not the key of certificate CN = client");
    connect_with(new_tls(false, "ca.pem", NULL, NULL), "localhost:1");
    expect_talk();
    rpc_tls_unwatch(server_tls);
    stop();
}
END_TEST

START_TEST(a_new_revocation_list_counts_at_once)
{
    tls_file_replace("used-crl.pem", "crl.pem");
    tls_file_renew("revoked"); /* and in crl.pem */
    serve(new_tls(true, "ca.pem", "server", "used-crl.pem"));
    connect_with(new_tls(false, "ca.pem", "revoked", NULL), "localhost:1");
    expect_talk();
    disconnect();
    tls_file_replace("used-crl.pem", "crl.pem");
    ck_assert_int_eq(rpc_tls_reload(server_tls, NULL), 0);
    connect_with(new_tls(false, "ca.pem", "revoked", NULL), "localhost:1");
    RIG_RUN_UNTIL(&rig, client.n_ends == 1);
    ck_assert_uint_eq(rig.n_arrived, 1);
    ASSERT_SAYS(refused(&by_server), "certificate CN = revoked: certificate revoked");
    stop();
}
END_TEST

/* --- Tokens */

START_TEST(a_channel_shows_its_token)
{
    struct rpc_tokens *tokens, *others;
    tls_file_write("tokens", "# of the west\n\nsecret-1\nsecret/2==\r\n");
    tls_file_write("other-tokens", "secret-3\n");
    ck_assert_int_eq(rpc_tokens_new(tls_file("tokens"), &tokens), 0);
    ck_assert_int_eq(rpc_tokens_new(tls_file("other-tokens"), &others), 0);
    serve(new_tls(true, NULL, "server", NULL));
    channel = open_end(&client, new_tls(false, "ca.pem", NULL, NULL), "localhost:1", tokens);
    expect_talk();
    const char *shown = rpc_stream_metadata(rig.ends[0].stream, "authorization");
    ck_assert_str_eq(shown, "Bearer secret-1");
    ck_assert(rpc_tokens_allow(tokens, shown) && !rpc_tokens_allow(others, shown));
    ck_assert(rpc_tokens_allow(tokens, "bearer secret/2=="));
    ck_assert(!rpc_tokens_allow(tokens, "Bearer secret") && !rpc_tokens_allow(tokens, "secret-1"));
    ck_assert(!rpc_tokens_allow(tokens, "Bearer ") && !rpc_tokens_allow(tokens, NULL));
    ck_assert_int_eq(rpc_tokens_reload(tokens, tls_file("other-tokens")), 0);
    ck_assert(!rpc_tokens_allow(tokens, shown) && rpc_tokens_allow(tokens, "Bearer secret-3"));
    ck_assert_int_lt(rpc_tokens_reload(tokens, tls_file("none")), 0);
    ck_assert(rpc_tokens_allow(tokens, "Bearer secret-3"));
    stop();
    rpc_tokens_free(tokens);
    rpc_tokens_free(others);
}
END_TEST

static const struct {
    const char *text, *words;
} bad_tokens[] = {
    {"", "tokens: no token in it"},
    {"# nothing\n\n", "tokens: no token in it"},
    {"good\nwith space\n", "tokens, line 2: not a token"},
    {"t\xc3\xb6ken\n", "tokens, line 1: not a token"},
    {"=\n", "tokens, line 1: not a token"},
};

START_TEST(a_bad_file_of_tokens_is_named_without_its_tokens)
{
    struct rpc_tokens *tokens = NULL;
    tls_file_write("tokens", bad_tokens[_i].text);
    ck_assert_int_lt(rpc_tokens_new(tls_file("tokens"), &tokens), 0);
    ASSERT_SAYS(err_text(), bad_tokens[_i].words);
    ck_assert_ptr_null(strstr(err_text(), "space"));
}
END_TEST

static Suite *suite(void)
{
    TCase *t;
    Suite *s = test_suite("rpc_tls", &t);
    tcase_set_timeout(t, 120);
    tcase_add_unchecked_fixture(t, tls_files_make, tls_files_remove);
    tcase_add_test(t, both_sides_believe_each_other);
    tcase_add_test(t, a_server_may_want_no_certificate);
    tcase_add_loop_test(t, a_server_is_each_of_its_names, 0, TEST_COUNT(good_hosts));
    tcase_add_loop_test(t, a_server_of_another_name_is_not_believed, 0, TEST_COUNT(wrong_hosts));
    tcase_add_test(t, a_channel_needs_a_name_to_check);
    tcase_add_loop_test(t, a_bad_server_is_not_believed, 0, TEST_COUNT(bad_servers));
    tcase_add_loop_test(t, a_bad_client_is_not_let_in, 0, TEST_COUNT(bad_clients));
    tcase_add_test(t, clear_text_is_no_way_in);
    tcase_add_test(t, an_expired_certificate_is_refused_on_either_side);
    tcase_add_loop_test(t, a_weak_certificate_is_refused_on_either_side, 0, TEST_COUNT(weak));
    tcase_add_loop_test(t, a_bad_file_is_named_with_the_reason, 0, TEST_COUNT(bad_files));
    tcase_add_test(t, no_cut_of_a_file_is_taken);
    tcase_add_test(t, new_files_are_used_for_new_connections_alone);
    tcase_add_test(t, a_broken_new_file_leaves_the_old_one);
    tcase_add_test(t, a_new_revocation_list_counts_at_once);
    tcase_add_test(t, a_channel_shows_its_token);
    tcase_add_loop_test(t, a_bad_file_of_tokens_is_named_without_its_tokens, 0, TEST_COUNT(bad_tokens));
    return s;
}

TEST_MAIN(suite)
