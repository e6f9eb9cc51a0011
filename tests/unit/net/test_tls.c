/* What TLS is made from, and what a handshake says when it fails: a listener and a dial on one loop, with real files.
 */
#include "tls.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conn_tls.h"
#include "err.h"
#include "loop_support.h"
#include "test_main.h"
#include "tls_rig.h"
#include "tls_support.h"
#include "tls_watch.h"
#include "url.h"

/* --- Handshakes */

START_TEST(both_sides_know_whom_they_talk_to)
{
    const struct tls_options s = tls_rig_mutual_options(), c = tls_rig_client_options();
    tls_rig_listen(&s);
    tls_rig_open_client(&c);
    tls_rig_connect();
    tls_rig_talk();
    const struct conn_tls_facts *f = conn_tls_facts(rig.server.conn);
    ck_assert(!conn_tls_is_in_handshake(rig.server.conn));
    ck_assert_str_eq(f->version, "TLSv1.3");
    ck_assert_str_eq(f->subject, "CN=pump-3,O=site");
    ck_assert_str_eq(f->common_name, "pump-3");
    ck_assert_uint_eq(f->n_alt_names, 3);
    ck_assert_str_eq(f->alt_names[0], "DNS:pump-3.example");
    ck_assert_str_eq(f->alt_names[1], "URI:spiffe://site/pump-3");
    ck_assert_str_eq(f->alt_names[2], "IP:10.0.0.7");
    ck_assert_str_eq(conn_tls_facts(rig.client.conn)->common_name, "server");
}
END_TEST

START_TEST(a_client_without_certificate_is_welcome_where_it_is_optional)
{
    struct tls_options s = tls_rig_mutual_options(), c = tls_rig_client_options();
    s.client_auth = TLS_CLIENT_AUTH_OPTIONAL;
    c.cert = NULL;
    tls_rig_listen(&s);
    tls_rig_open_client(&c);
    tls_rig_connect();
    tls_rig_talk();
    ck_assert_ptr_null(conn_tls_facts(rig.server.conn)->subject);
}
END_TEST

START_TEST(versions_and_ciphers_are_those_of_the_options)
{
    struct tls_options s = tls_rig_server_options(), c = tls_rig_client_options();
    s.min_version = _i == 1 ? TLS_MIN_VERSION_1_3 : TLS_MIN_VERSION_1_2;
    s.ciphers = "TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES256-GCM-SHA384";
    tls_rig_listen(&s);
    tls_rig_open_client(&c);
    tls_rig_connect();
    ck_assert_str_eq(conn_tls_facts(rig.server.conn)->cipher, "TLS_CHACHA20_POLY1305_SHA256");
}
END_TEST

/* Who is refused, and what either side says. */
static const struct refusal {
    const char *server_cert, *server_ca, *crl;
    const char *client_cert, *client_ca, *server_name;
    const char *client_text, *server_text; /* NULL: anything, at any time */
} refusals[] = {
    {.client_ca = "other-ca.pem",
     .client_text = "certificate CN=server,O=site refused: unable to get local issuer certificate",
     .server_text = "TLS: the peer refuses: unknown CA"},
    {.server_cert = "expired.pem",
     .client_text = "certificate CN=expired,O=site refused: certificate has expired",
     .server_text = "TLS: the peer refuses: certificate expired"},
    {.server_name = "broker.example",
     .client_text = "certificate CN=server,O=site refused: hostname mismatch, expected broker.example",
     .server_text = "TLS: the peer refuses: bad certificate"},
    {.server_cert = "stranger.pem",
     .client_text = "certificate CN=stranger,O=site refused: unable to get local issuer certificate",
     .server_text = "TLS: the peer refuses: unknown CA"},
    {.server_ca = "ca.pem",
     .client_text = "TLS: the peer refuses: tlsv13 alert certificate required",
     .server_text = "TLS: peer did not return a certificate"},
    {.server_ca = "ca.pem",
     .client_cert = "expired.pem",
     .client_text = "TLS: the peer refuses: certificate expired",
     .server_text = "TLS: certificate CN=expired,O=site refused: certificate has expired"},
    {.server_ca = "ca.pem",
     .client_cert = "stranger.pem",
     .client_text = "TLS: the peer refuses: unknown CA",
     .server_text = "TLS: certificate CN=stranger,O=site refused: unable to get local issuer certificate"},
    {.server_ca = "ca.pem",
     .crl = "crl.pem",
     .client_cert = "revoked.pem",
     .client_text = "TLS: the peer refuses: certificate revoked",
     .server_text = "TLS: certificate CN=revoked,O=site refused: certificate revoked"},
};

static const char *file_or_null(const char *name)
{
    return name ? tls_support_file(name) : NULL;
}

START_TEST(a_refusal_names_certificate_and_reason_on_both_sides)
{
    const struct refusal *r = &refusals[_i];
    const struct tls_options s = {
        .is_server = true,
        .cert = tls_support_file(r->server_cert ? r->server_cert : "server.pem"),
        .ca = file_or_null(r->server_ca),
        .crl = file_or_null(r->crl),
        .client_auth = r->server_ca ? TLS_CLIENT_AUTH_REQUIRE : TLS_CLIENT_AUTH_NONE,
    };
    const struct tls_options c = {
        .ca = tls_support_file(r->client_ca ? r->client_ca : "ca.pem"),
        .cert = file_or_null(r->client_cert),
        .server_name = r->server_name,
    };
    tls_rig_listen(&s);
    tls_rig_open_client(&c);
    tls_rig_dial(5000);
    loop_support_until(rig.loop, tls_rig_is_dial_over, NULL);
    loop_support_until(rig.loop, tls_rig_has_ended, &rig.server);
    ck_assert(conn_tls_is_in_handshake(rig.server.conn));
    rig.server.conn = conn_close(rig.server.conn, 5000);
    loop_support_until(rig.loop, tls_rig_has_ended, &rig.client);
    ck_assert_str_eq(rig.server.text, r->server_text);
    ck_assert_msg(strstr(rig.client.text, r->client_text) != NULL, "%s", rig.client.text);
}
END_TEST

START_TEST(a_dial_gives_up_on_a_handshake_that_stalls)
{
    char text[64];
    struct url url;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    const struct tls_options c = tls_rig_client_options();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* its backlog takes the connection, and nobody speaks */
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    tls_rig_open_client(&c);
    snprintf(text, sizeof(text), "mqtts://127.0.0.1:%u", ntohs(address.sin_port));
    ck_assert_int_eq(url_parse(text, "mqtts", &url), 0);
    const struct dial_params params = {.url = &url, .tls = rig.client_tls, .timeout_ms = 50};
    ck_assert_int_eq(dial_start(rig.loop, &params, &tls_rig_dial_cbs, NULL, &rig.dial), 0);
    loop_support_until(rig.loop, tls_rig_is_dial_over, NULL);
    ck_assert_msg(strstr(rig.client.text, ": the handshake was not done in time") != NULL, "%s", rig.client.text);
    close(fd);
}
END_TEST

/* --- Sessions, reload */

START_TEST(a_client_comes_back_with_its_session)
{
    const struct tls_options s = tls_rig_mutual_options(), c = tls_rig_client_options();
    tls_rig_listen(&s);
    tls_rig_open_client(&c);
    tls_rig_connect();
    tls_rig_talk(); /* the ticket comes with the first bytes */
    ck_assert(!conn_tls_facts(rig.server.conn)->is_resumed);
    tls_rig_connect();
    tls_rig_talk();
    ck_assert(conn_tls_facts(rig.server.conn)->is_resumed);
    ck_assert_str_eq(conn_tls_facts(rig.server.conn)->common_name, "pump-3");
}
END_TEST

START_TEST(a_reload_ends_all_sessions)
{
    const struct tls_options s = tls_rig_mutual_options(), c = tls_rig_client_options();
    tls_rig_listen(&s);
    tls_rig_open_client(&c);
    tls_rig_connect();
    tls_rig_talk();
    ck_assert_int_eq(tls_reload(_i == 0 ? rig.server_tls : rig.client_tls, NULL), 0);
    tls_rig_connect();
    ck_assert(!conn_tls_facts(rig.server.conn)->is_resumed);
}
END_TEST

START_TEST(new_files_are_for_new_connections_and_old_ones_live_on)
{
    struct tls_options s = tls_rig_mutual_options();
    const struct tls_options c = tls_rig_client_options();
    s.cert = tls_support_copy("server.pem", "live.pem");
    tls_rig_listen(&s);
    tls_rig_open_client(&c);
    tls_rig_connect();
    ck_assert(!tls_has_changed(rig.server_tls));
    tls_support_copy("server2.pem", "live.pem");
    ck_assert(!tls_has_changed(rig.server_tls)); /* it may still be written to */
    tls_support_copy("server2.pem", "live.pem");
    ck_assert(!tls_has_changed(rig.server_tls));
    ck_assert(tls_has_changed(rig.server_tls));
    ck_assert_int_eq(tls_reload(rig.server_tls, NULL), 0);
    ck_assert(!tls_has_changed(rig.server_tls));
    tls_rig_talk();
    ck_assert_str_eq(conn_tls_facts(rig.client.conn)->common_name, "server");
    tls_rig_connect();
    tls_rig_talk();
    ck_assert_str_eq(conn_tls_facts(rig.client.conn)->common_name, "server2");
}
END_TEST

START_TEST(a_broken_file_changes_nothing_and_is_tried_once)
{
    struct tls_options s = tls_rig_mutual_options();
    const struct tls_options c = tls_rig_client_options();
    s.cert = tls_support_copy("server.pem", "live.pem");
    tls_rig_listen(&s);
    tls_rig_open_client(&c);
    tls_support_write_file("live.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    ck_assert(!tls_has_changed(rig.server_tls));
    ck_assert(tls_has_changed(rig.server_tls));
    ck_assert_int_lt(tls_reload(rig.server_tls, NULL), 0);
    ck_assert_msg(strstr(err_text(), "live.pem: ") != NULL, "%s", err_text());
    ck_assert(!tls_has_changed(rig.server_tls));
    tls_rig_connect();
    tls_rig_talk();
    ck_assert_msg(strncmp(tls_summary(rig.server_tls), "CN=server,O=site, valid until ", 29) == 0, "%s",
                  tls_summary(rig.server_tls));
}
END_TEST

START_TEST(other_files_can_be_named_while_connections_live)
{
    const struct tls_options s = tls_rig_server_options();
    struct tls_options next = tls_rig_server_options();
    const struct tls_options c = tls_rig_client_options();
    tls_rig_listen(&s);
    tls_rig_open_client(&c);
    next.cert = tls_support_file("no-such-file");
    ck_assert_int_lt(tls_reload(rig.server_tls, &next), 0);
    next.cert = tls_support_file("server2.pem");
    ck_assert_int_eq(tls_reload(rig.server_tls, &next), 0);
    tls_rig_connect();
    ck_assert_str_eq(conn_tls_facts(rig.client.conn)->common_name, "server2");
}
END_TEST

struct watched {
    int n_calls, last;
};

static void on_watched(const char *name, struct tls *t, int r, void *arg)
{
    struct watched *w = arg;
    ck_assert_str_eq(name, "door");
    w->n_calls++;
    w->last = r;
}

static bool was_called(void *arg)
{
    return ((struct watched *)arg)->n_calls > 0;
}

START_TEST(a_watch_reads_changed_files_by_itself)
{
    struct watched seen = {0};
    struct tls_watch *watch;
    struct tls_options s = tls_rig_server_options();
    s.cert = tls_support_copy("server.pem", "live.pem");
    ck_assert_int_eq(tls_new(&s, &rig.server_tls), 0);
    ck_assert_int_eq(tls_watch_new(rig.loop, on_watched, &seen, &watch), 0);
    ck_assert_int_eq(tls_watch_add(watch, "door", rig.server_tls), 0);
    tls_support_copy("server2.pem", "live.pem");
    loop_support_until(rig.loop, was_called, &seen);
    ck_assert_int_eq(seen.last, 0);
    ck_assert_msg(strncmp(tls_summary(rig.server_tls), "CN=server2,", 11) == 0, "%s", tls_summary(rig.server_tls));
    tls_watch_reload(watch, rig.server_tls, NULL);
    ck_assert_int_eq(seen.n_calls, 2);
    tls_watch_free(watch);
}
END_TEST

/* --- Files */

static void assert_refused(const struct tls_options *options, const char *text)
{
    struct tls *t = NULL;
    ck_assert_int_lt(tls_new(options, &t), 0);
    ck_assert_msg(strstr(err_text(), text) != NULL, "%s", err_text());
}

START_TEST(a_file_that_cannot_be_used_is_named_with_the_reason)
{
    struct tls_options o = {.is_server = true};
    assert_refused(&o, "a certificate or a file of PSKs is needed");
    o.cert = tls_support_file("no-such-file");
    assert_refused(&o, "no-such-file: No such file or directory");
    o.cert = tls_support_write_file("empty.pem", "");
    assert_refused(&o, "empty.pem: ");
    o.cert = tls_support_file("server.pem");
    o.key = tls_support_file("client.pem");
    assert_refused(&o, "client.pem: key values mismatch");
    assert_refused(&o, "certificate CN=server,O=site, valid until ");
    o.key = tls_support_file("crl.pem");
    assert_refused(&o, "crl.pem: ");
    o.key = NULL;
    o.ca = tls_support_file("empty.pem");
    assert_refused(&o, "empty.pem: ");
    o.ca = tls_support_file("ca.pem");
    o.crl = tls_support_file("ca.pem");
    assert_refused(&o, "ca.pem: ");
    o.crl = NULL;
    o.ciphers = "TLS_NO_SUCH_SUITE";
    assert_refused(&o, "tls-ciphers: TLS_NO_SUCH_SUITE");
    o.ciphers = NULL;
    o.ca = NULL;
    o.client_auth = TLS_CLIENT_AUTH_OPTIONAL;
    assert_refused(&o, "a CA is needed");
}
END_TEST

START_TEST(a_key_opens_with_its_password_alone)
{
    tls_support_lock_key("server.pem", "locked.pem", "open sesame");
    struct tls_options o = {.is_server = true, .cert = tls_support_file("locked.pem")};
    assert_refused(&o, "locked.pem: the key has a password, and tls-key-password-file is not given");
    o.key_password = tls_support_write_file("password", "open sesam\n");
    assert_refused(&o, "locked.pem: the password in ");
    tls_support_write_file("password", "open sesame\n");
    ck_assert_int_eq(tls_new(&o, &rig.server_tls), 0);
}
END_TEST

START_TEST(what_is_not_right_is_said_although_it_works)
{
    struct tls_options o = tls_rig_server_options();
    ck_assert_int_eq(tls_new(&o, &rig.server_tls), 0);
    ck_assert_str_eq(tls_warning(rig.server_tls), "");
    o.cert = tls_support_copy("expired.pem", "bad.pem");
    ck_assert_int_eq(chmod(o.cert, 0640), 0);
    ck_assert_int_eq(tls_reload(rig.server_tls, &o), 0);
    ck_assert_msg(strstr(tls_warning(rig.server_tls), "bad.pem can be read by others than its owner (mode 640)") !=
                      NULL,
                  "%s", tls_warning(rig.server_tls));
    ck_assert_msg(strstr(tls_warning(rig.server_tls), "certificate CN=expired,O=site expired at ") != NULL, "%s",
                  tls_warning(rig.server_tls));
}
END_TEST

static const struct {
    const char *text, *error; /* NULL: good */
} psk_files[] = {
    {"# of line 3\n\npump-1:00112233\nurn:pump:2:AABBCCDDEE\r\n", NULL},
    {"", "psk: holds no key"},
    {"pump-1\n", "psk, line 1: expected identity:hexkey"},
    {"pump-1:00112233\n:00112233\n", "psk, line 2: the identity must have"},
    {"pump-1:0011223\n", "psk, line 1: the key of pump-1 must be"},
    {"pump-1:001122\n", "psk, line 1: the key of pump-1 must be"},
    {"pump-1:0011223x\n", "psk, line 1: the key of pump-1 is not hexadecimal"},
    {"a:00112233\nb:00112233\na:00112234\n", "psk: two keys for a"},
};

START_TEST(a_file_of_pre_shared_keys_is_checked_line_by_line)
{
    const struct tls_options o = {.is_server = true, .psk = tls_support_write_file("psk", psk_files[_i].text)};
    if (psk_files[_i].error)
        assert_refused(&o, psk_files[_i].error);
    else
        ck_assert_int_eq(tls_new(&o, &rig.server_tls), 0);
}
END_TEST

static Suite *tls_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("tls", &tc);
    tcase_add_checked_fixture(tc, tls_rig_setup, tls_rig_teardown);
    tcase_add_test(tc, both_sides_know_whom_they_talk_to);
    tcase_add_test(tc, a_client_without_certificate_is_welcome_where_it_is_optional);
    tcase_add_loop_test(tc, versions_and_ciphers_are_those_of_the_options, 0, 2);
    tcase_add_loop_test(tc, a_refusal_names_certificate_and_reason_on_both_sides, 0, TEST_COUNT(refusals));
    tcase_add_test(tc, a_dial_gives_up_on_a_handshake_that_stalls);
    tcase_add_test(tc, a_client_comes_back_with_its_session);
    tcase_add_loop_test(tc, a_reload_ends_all_sessions, 0, 2);
    tcase_add_test(tc, new_files_are_for_new_connections_and_old_ones_live_on);
    tcase_add_test(tc, a_broken_file_changes_nothing_and_is_tried_once);
    tcase_add_test(tc, other_files_can_be_named_while_connections_live);
    tcase_add_test(tc, a_watch_reads_changed_files_by_itself);
    tcase_add_test(tc, a_file_that_cannot_be_used_is_named_with_the_reason);
    tcase_add_test(tc, a_key_opens_with_its_password_alone);
    tcase_add_test(tc, what_is_not_right_is_said_although_it_works);
    tcase_add_loop_test(tc, a_file_of_pre_shared_keys_is_checked_line_by_line, 0, TEST_COUNT(psk_files));
    return suite;
}

TEST_MAIN(tls_suite)
