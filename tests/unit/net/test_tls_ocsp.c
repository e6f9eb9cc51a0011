/* Certificates checked by OCSP: both ends of TLS and the responder on one loop. */
#include "tls_ocsp.h"

#include <stdio.h>
#include <string.h>

#include "conn_tls.h"
#include "loop_support.h"
#include "ocsp_support.h"
#include "socket_support.h"
#include "test_main.h"
#include "tls_internal.h"
#include "tls_rig.h"
#include "tls_support.h"
#include "tls_watch.h"

enum { HOUR_S = 3600 };

static struct ocsp_support responder;
static struct tls_ocsp_metrics metrics;
static struct tls_watch *watch;
static char good_text[500], bad_text[500]; /* the last that was told */

static void on_told(bool is_good, const char *text, void *arg)
{
    ck_assert_ptr_eq(arg, &responder);
    snprintf(is_good ? good_text : bad_text, sizeof(good_text), "%s", text);
}

static bool has_been_told(void *arg)
{
    return *(const char *)arg != '\0';
}

static bool has_been_asked(void *arg)
{
    return responder.n_questions >= *(const unsigned *)arg;
}

static bool has_got(void *arg)
{
    return ((struct tls_rig_end *)arg)->got[0] != '\0';
}

/* Certificates that name the responder. */
static void setup(void)
{
    tls_rig_setup();
    ocsp_support_start(&responder, rig.loop);
    responder.answer.to_s = HOUR_S;
    metrics = (struct tls_ocsp_metrics){.ocsp_questions = 0};
    good_text[0] = bad_text[0] = '\0';
    watch = NULL;
    tls_support_issue("pump.pem", "pump", responder.url);
    tls_support_issue("broker.pem", "broker", responder.url);
}

static void teardown(void)
{
    tls_watch_free(watch);
    ocsp_support_stop(&responder);
    tls_rig_teardown();
}

/* --- Clients' certificates at a server */

static void listen_in_mode(enum tls_ocsp_mode mode)
{
    struct tls_options o = tls_rig_mutual_options();
    o.ocsp = mode;
    tls_rig_listen(&o);
    tls_ocsp_tell(rig.server_tls, &metrics, on_told, &responder);
}

static void open_client_with(const char *cert)
{
    struct tls_options o = tls_rig_client_options();
    o.cert = tls_support_file(cert);
    tls_rig_open_client(&o);
}

/* Until the server has closed; its text is in rig.server. */
static void connect_in_vain(void)
{
    tls_rig_close_ends();
    tls_rig_dial(5000);
    loop_support_until(rig.loop, tls_rig_is_dial_over, NULL);
    loop_support_until(rig.loop, tls_rig_has_ended, &rig.server);
    rig.server.conn = conn_close(rig.server.conn, 5000);
    loop_support_until(rig.loop, tls_rig_has_ended, &rig.client);
}

static const struct {
    enum tls_ocsp_mode mode;
    enum ocsp_support_mood mood;
    int status;
    const char *refusal; /* NULL: let in */
    const char *told;    /* NULL: nothing */
} cases[] = {
    {TLS_OCSP_OFF, OCSP_SUPPORT_ANSWERS, V_OCSP_CERTSTATUS_REVOKED, NULL, NULL},
    {TLS_OCSP_SOFT, OCSP_SUPPORT_ANSWERS, V_OCSP_CERTSTATUS_GOOD, NULL, NULL},
    {TLS_OCSP_SOFT, OCSP_SUPPORT_ANSWERS, V_OCSP_CERTSTATUS_REVOKED, "revoked since 20", NULL},
    {TLS_OCSP_SOFT, OCSP_SUPPORT_ANSWERS, V_OCSP_CERTSTATUS_UNKNOWN, NULL, "its OCSP responder does not know it"},
    {TLS_OCSP_SOFT, OCSP_SUPPORT_REFUSES, 0, NULL, "no OCSP answer: 127.0.0.1:"},
    {TLS_OCSP_SOFT, OCSP_SUPPORT_BABBLES, 0, NULL, "no OCSP answer: 127.0.0.1: the answer is no OCSP response"},
    {TLS_OCSP_HARD, OCSP_SUPPORT_ANSWERS, V_OCSP_CERTSTATUS_GOOD, NULL, NULL},
    {TLS_OCSP_HARD, OCSP_SUPPORT_ANSWERS, V_OCSP_CERTSTATUS_REVOKED, "revoked since 20", NULL},
    {TLS_OCSP_HARD, OCSP_SUPPORT_ANSWERS, V_OCSP_CERTSTATUS_UNKNOWN, "its OCSP responder does not know it", NULL},
    {TLS_OCSP_HARD, OCSP_SUPPORT_REFUSES, 0, "no OCSP answer: 127.0.0.1:", NULL},
    {TLS_OCSP_HARD, OCSP_SUPPORT_BABBLES, 0, "no OCSP answer: 127.0.0.1: the answer is no OCSP response", NULL},
};

static void assert_counts(size_t i)
{
    const bool is_open = cases[i].mood != OCSP_SUPPORT_ANSWERS || cases[i].status == V_OCSP_CERTSTATUS_UNKNOWN;
    ck_assert_int_eq(metrics.ocsp_questions, cases[i].mode != TLS_OCSP_OFF);
    ck_assert_int_eq(metrics.ocsp_unanswered, cases[i].mood != OCSP_SUPPORT_ANSWERS);
    ck_assert_int_eq(metrics.ocsp_revoked, cases[i].refusal && !is_open);
    ck_assert_int_eq(metrics.ocsp_refused, cases[i].refusal && is_open);
    ck_assert_int_eq(metrics.ocsp_unchecked, !cases[i].refusal && is_open);
}

START_TEST(a_client_is_let_in_or_not_as_the_responder_says)
{
    char text[300];
    responder.mood = cases[_i].mood;
    responder.answer.status = cases[_i].status;
    listen_in_mode(cases[_i].mode);
    open_client_with("pump.pem");
    if (cases[_i].refusal) {
        connect_in_vain();
        snprintf(text, sizeof(text), "TLS: certificate CN=pump,O=site refused: %s", cases[_i].refusal);
        ck_assert_msg(strncmp(rig.server.text, text, strlen(text)) == 0, "%s", rig.server.text);
    } else {
        tls_rig_connect();
        tls_rig_talk();
    }
    if (cases[_i].told) {
        snprintf(text, sizeof(text), "certificate CN=pump,O=site is accepted unchecked: %s", cases[_i].told);
        ck_assert_msg(strncmp(bad_text, text, strlen(text)) == 0, "%s", bad_text);
    } else {
        ck_assert_str_eq(bad_text, "");
    }
    assert_counts((size_t)_i);
}
END_TEST

START_TEST(a_certificate_without_a_responder_has_no_good_answer)
{
    const enum tls_ocsp_mode mode = _i == 0 ? TLS_OCSP_SOFT : TLS_OCSP_HARD;
    listen_in_mode(mode);
    open_client_with("client.pem");
    if (mode == TLS_OCSP_SOFT)
        tls_rig_connect();
    else
        connect_in_vain();
    const char *text = mode == TLS_OCSP_SOFT ? bad_text : rig.server.text;
    ck_assert_msg(strstr(text, ": no OCSP answer: the certificate names no OCSP responder (http://)") != NULL, "%s",
                  text);
    ck_assert_int_eq(metrics.ocsp_questions, 0);
}
END_TEST

START_TEST(what_is_turned_on_counts_for_the_next_handshake)
{
    struct tls_options o = tls_rig_mutual_options();
    responder.answer.status = V_OCSP_CERTSTATUS_REVOKED;
    listen_in_mode(TLS_OCSP_OFF);
    open_client_with("pump.pem");
    tls_rig_connect();
    o.ocsp = TLS_OCSP_SOFT;
    ck_assert_int_eq(tls_reload(rig.server_tls, &o), 0);
    tls_rig_talk(); /* who is in stays */
    connect_in_vain();
    o.ocsp = TLS_OCSP_OFF;
    ck_assert_int_eq(tls_reload(rig.server_tls, &o), 0);
    tls_rig_connect();
}
END_TEST

START_TEST(a_client_without_a_certificate_is_not_asked_about)
{
    struct tls_options s = tls_rig_mutual_options(), c = tls_rig_client_options();
    s.ocsp = TLS_OCSP_HARD;
    s.client_auth = TLS_CLIENT_AUTH_OPTIONAL;
    c.cert = NULL;
    tls_rig_listen(&s);
    tls_rig_open_client(&c);
    tls_rig_connect();
    tls_rig_talk();
    tls_rig_connect();
    ck_assert(conn_tls_facts(rig.server.conn)->is_resumed);
    ck_assert_uint_eq(responder.n_questions, 0);
}
END_TEST

START_TEST(an_answer_is_kept_for_those_who_come_later)
{
    listen_in_mode(TLS_OCSP_HARD);
    open_client_with("pump.pem");
    tls_rig_connect();
    responder.answer.status = V_OCSP_CERTSTATUS_REVOKED;
    tls_rig_connect();
    tls_rig_talk();
    ck_assert_uint_eq(responder.n_questions, 1);
    ck_assert_int_eq(tls_reload(rig.server_tls, NULL), 0); /* forgets */
    connect_in_vain();
    ck_assert_uint_eq(responder.n_questions, 2);
}
END_TEST

START_TEST(who_is_known_to_be_revoked_hears_the_alert)
{
    responder.answer.status = V_OCSP_CERTSTATUS_REVOKED;
    listen_in_mode(TLS_OCSP_SOFT);
    open_client_with("pump.pem");
    connect_in_vain();
    ck_assert_str_eq(rig.client.text, "closed by the peer"); /* OpenSSL has no alert behind the handshake */
    connect_in_vain();
    ck_assert_uint_eq(responder.n_questions, 1);
    ck_assert_str_eq(rig.server.text, "TLS: certificate CN=pump,O=site refused: revoked, as OCSP has told");
    ck_assert_str_eq(rig.client.text, "TLS: the peer refuses: certificate revoked");
    ck_assert_int_eq(metrics.ocsp_revoked, 2);
}
END_TEST

START_TEST(a_session_is_resumed_only_while_a_good_answer_is_known)
{
    listen_in_mode(TLS_OCSP_HARD);
    open_client_with("pump.pem");
    tls_rig_connect();
    tls_rig_talk();
    tls_rig_connect();
    tls_rig_talk();
    ck_assert(conn_tls_facts(rig.server.conn)->is_resumed);
    responder.mood = OCSP_SUPPORT_REFUSES;
    struct tls_options o = tls_rig_mutual_options();
    o.ocsp = TLS_OCSP_SOFT;
    ck_assert_int_eq(tls_reload(rig.server_tls, &o), 0);
    for (int i = 0; i < 2; i++) {
        tls_rig_connect();
        tls_rig_talk();
        ck_assert(!conn_tls_facts(rig.server.conn)->is_resumed);
    }
}
END_TEST

START_TEST(a_responder_that_is_away_is_left_alone_for_a_while_where_that_is_no_harm)
{
    const enum tls_ocsp_mode mode = _i == 0 ? TLS_OCSP_SOFT : TLS_OCSP_HARD;
    ocsp_support_stop(&responder);
    listen_in_mode(mode);
    open_client_with("pump.pem");
    for (int i = 0; i < 3; i++) {
        if (mode == TLS_OCSP_SOFT)
            tls_rig_connect();
        else
            connect_in_vain();
    }
    ck_assert_int_eq(metrics.ocsp_questions, mode == TLS_OCSP_SOFT ? 1 : 3);
    if (mode == TLS_OCSP_SOFT)
        ck_assert_msg(strstr(bad_text, ": its OCSP responder has not answered lately") != NULL, "%s", bad_text);
}
END_TEST

/* Or a certificate that it does not talk about would open the door to one that is revoked. */
START_TEST(a_responder_that_answers_badly_is_asked_about_others)
{
    tls_support_issue("other-pump.pem", "other pump", responder.url);
    if (_i == 0)
        responder.answer.error = OCSP_RESPONSE_STATUS_UNAUTHORIZED;
    else
        responder.mood = OCSP_SUPPORT_REFUSES;
    listen_in_mode(TLS_OCSP_SOFT);
    open_client_with("pump.pem");
    tls_rig_connect();
    responder.mood = OCSP_SUPPORT_ANSWERS;
    responder.answer = (struct ocsp_support_answer){.status = V_OCSP_CERTSTATUS_REVOKED, .to_s = HOUR_S};
    rig.client_tls = tls_unref(rig.client_tls);
    open_client_with("other-pump.pem");
    connect_in_vain();
    ck_assert_uint_eq(responder.n_questions, 2);
}
END_TEST

/* --- While the answer is waited for */

static void wait_for_question(unsigned n)
{
    loop_support_until(rig.loop, has_been_asked, &n);
}

START_TEST(what_a_client_sends_meanwhile_waits_and_costs_nothing)
{
    responder.mood = OCSP_SUPPORT_WAITS;
    listen_in_mode(TLS_OCSP_HARD);
    open_client_with("pump.pem");
    tls_rig_dial(5000);
    wait_for_question(1);
    loop_support_until(rig.loop, tls_rig_is_dial_over, NULL);
    ck_assert_int_eq(conn_write(rig.client.conn, "early", 5), 0);
    loop_support_turns(rig.loop, 5);
    ck_assert_str_eq(rig.server.got, "");
    ck_assert_ptr_null(conn_tls_facts(rig.server.conn));
    ck_assert_int_lt(loop_support_count_turns(rig.loop, 50), 10);
    ocsp_support_set_mood(&responder, OCSP_SUPPORT_ANSWERS);
    loop_support_until(rig.loop, tls_rig_are_connected, NULL);
    loop_support_until(rig.loop, has_got, &rig.server);
    ck_assert_str_eq(rig.server.got, "early");
    tls_rig_talk();
}
END_TEST

START_TEST(a_connection_may_be_closed_while_it_waits)
{
    responder.mood = OCSP_SUPPORT_WAITS;
    listen_in_mode(TLS_OCSP_HARD);
    open_client_with("pump.pem");
    tls_rig_dial(5000);
    wait_for_question(1);
    rig.server.conn = conn_close(rig.server.conn, _i == 0 ? 0 : 1000);
    ocsp_support_set_mood(&responder, OCSP_SUPPORT_ANSWERS);
    loop_support_until(rig.loop, tls_rig_is_dial_over, NULL);
    loop_support_until(rig.loop, tls_rig_has_ended, &rig.client);
}
END_TEST

START_TEST(a_client_that_is_lost_meanwhile_is_noticed)
{
    struct conn_parcel parcel;
    responder.mood = OCSP_SUPPORT_WAITS;
    listen_in_mode(TLS_OCSP_HARD);
    open_client_with("pump.pem");
    tls_rig_dial(5000);
    wait_for_question(1);
    loop_support_until(rig.loop, tls_rig_is_dial_over, NULL);
    conn_detach(rig.client.conn, &parcel);
    rig.client.conn = NULL;
    socket_support_reset(parcel.fd);
    parcel.fd = -1;
    conn_parcel_close(&parcel);
    loop_support_until(rig.loop, tls_rig_has_ended, &rig.server);
    ck_assert_str_eq(rig.server.text, "Connection reset by peer");
    ck_assert_int_lt(loop_support_count_turns(rig.loop, 50), 10);
}
END_TEST

START_TEST(a_connection_that_waits_can_go_to_another_loop)
{
    struct conn_parcel parcel;
    responder.mood = OCSP_SUPPORT_WAITS;
    listen_in_mode(TLS_OCSP_HARD);
    open_client_with("pump.pem");
    tls_rig_dial(5000);
    wait_for_question(1);
    loop_support_until(rig.loop, tls_rig_is_dial_over, NULL);
    conn_detach(rig.server.conn, &parcel);
    rig.server.conn = NULL;
    tls_rig_attach(&rig.server, &parcel);
    ck_assert_int_eq(conn_write(rig.client.conn, "early", 5), 0);
    wait_for_question(2);
    ocsp_support_set_mood(&responder, OCSP_SUPPORT_ANSWERS);
    loop_support_until(rig.loop, tls_rig_are_connected, NULL);
    loop_support_until(rig.loop, has_got, &rig.server);
    ck_assert_str_eq(rig.server.got, "early");
}
END_TEST

START_TEST(an_answer_that_is_late_is_none)
{
    struct tls_options o = tls_rig_mutual_options();
    o.ocsp = _i == 0 ? TLS_OCSP_SOFT : TLS_OCSP_HARD;
    o.ocsp_timeout_ms = 100;
    responder.mood = OCSP_SUPPORT_WAITS;
    tls_rig_listen(&o);
    tls_ocsp_tell(rig.server_tls, &metrics, on_told, &responder);
    open_client_with("pump.pem");
    if (o.ocsp == TLS_OCSP_SOFT)
        tls_rig_connect();
    else
        connect_in_vain();
    const char *text = o.ocsp == TLS_OCSP_SOFT ? bad_text : rig.server.text;
    ck_assert_msg(strstr(text, ": no OCSP answer: 127.0.0.1:") && strstr(text, " in time"), "%s", text);
    ck_assert_int_eq(metrics.ocsp_unanswered, 1);
}
END_TEST

/* --- Many at once */

enum { CROWD = 80, AT_ONCE = 64, PATIENCE_MS = 60000 };

static struct tls_rig_end crowd_servers[CROWD], crowd_clients[CROWD];
static struct dial *crowd_dials[CROWD];
static int n_accepted;

static void crowd_on_accept(struct listener *l, struct conn_parcel *parcel, void *arg)
{
    tls_rig_attach(&crowd_servers[n_accepted++], parcel);
}

static void crowd_on_connected(struct dial *d, struct conn_parcel *parcel, void *arg)
{
    struct dial **place = arg;
    *place = NULL;
    tls_rig_attach(&crowd_clients[place - crowd_dials], parcel);
}

static void crowd_on_failed(struct dial *d, const char *text, void *arg)
{
    ck_abort_msg("%s", text);
}

static const struct listener_cbs crowd_listener_cbs = {.on_accept = crowd_on_accept};
static const struct dial_cbs crowd_dial_cbs = {.on_connected = crowd_on_connected, .on_failed = crowd_on_failed};

static void crowd_dial(int from, int to)
{
    struct url url;
    tls_rig_get_url(&url);
    const struct dial_params params = {.url = &url, .tls = rig.client_tls, .timeout_ms = PATIENCE_MS};
    for (int i = from; i < to; i++)
        ck_assert_int_eq(dial_start(rig.loop, &params, &crowd_dial_cbs, &crowd_dials[i], &crowd_dials[i]), 0);
}

/* N of them, all with the same certificate, until as many questions wait as may. */
static struct tls_options crowd_come(int n)
{
    struct tls_options o = tls_rig_mutual_options();
    o.ocsp = TLS_OCSP_HARD;
    o.ocsp_timeout_ms = PATIENCE_MS;
    n_accepted = 0;
    responder.mood = OCSP_SUPPORT_WAITS;
    tls_rig_listen_for(&o, &crowd_listener_cbs);
    tls_ocsp_tell(rig.server_tls, &metrics, on_told, &responder);
    open_client_with("pump.pem");
    crowd_dial(0, n);
    wait_for_question(AT_ONCE);
    return o;
}

static void crowd_go(int from, int to)
{
    for (int i = from; i < to; i++) {
        crowd_dials[i] = dial_cancel(crowd_dials[i]);
        crowd_clients[i].conn = conn_close(crowd_clients[i].conn, 0);
        crowd_servers[i].conn = conn_close(crowd_servers[i].conn, 0);
    }
}

/* How many are let in. */
static int crowd_count(void)
{
    int n = 0;
    for (int i = 0; i < CROWD; i++)
        n += crowd_servers[i].conn && conn_tls_facts(crowd_servers[i].conn);
    return n;
}

static bool crowd_is(void *arg)
{
    return crowd_count() == *(const int *)arg;
}

static bool crowd_has_come(void *arg)
{
    int n = 0;
    for (int i = 0; i < CROWD; i++)
        n += crowd_clients[i].conn != NULL;
    return n == CROWD && n_accepted == CROWD;
}

START_TEST(so_many_questions_at_a_time_and_the_others_profit)
{
    const int all = CROWD;
    crowd_come(CROWD);
    loop_support_until(rig.loop, crowd_has_come, NULL);
    loop_support_turns(rig.loop, 20);
    ck_assert_uint_eq(responder.n_questions, AT_ONCE);
    ck_assert_int_eq(crowd_count(), 0);
    ocsp_support_set_mood(&responder, OCSP_SUPPORT_ANSWERS);
    loop_support_until(rig.loop, crowd_is, (void *)&all);
    ck_assert_int_eq(metrics.ocsp_questions, AT_ONCE);
    crowd_go(0, CROWD);
}
END_TEST

START_TEST(those_who_leave_make_room)
{
    const int rest = CROWD - AT_ONCE - 6;
    crowd_come(CROWD);
    loop_support_until(rig.loop, crowd_has_come, NULL);
    crowd_go(CROWD - 6, CROWD); /* waited for their turn */
    crowd_go(0, AT_ONCE);       /* had asked, most of them */
    ocsp_support_set_mood(&responder, OCSP_SUPPORT_ANSWERS);
    loop_support_until(rig.loop, crowd_is, (void *)&rest);
    crowd_go(0, CROWD);
}
END_TEST

static bool crowd_is_refused(void *arg)
{
    for (int i = AT_ONCE; i < CROWD; i++)
        if (!crowd_servers[i].text[0])
            return false;
    return true;
}

START_TEST(whose_turn_does_not_come_in_time_has_no_answer)
{
    const int first = AT_ONCE;
    struct tls_options o = crowd_come(AT_ONCE);
    o.ocsp_timeout_ms = 50; /* for those who come now */
    ck_assert_int_eq(tls_reload(rig.server_tls, &o), 0);
    crowd_dial(AT_ONCE, CROWD);
    loop_support_until(rig.loop, crowd_is_refused, NULL);
    for (int i = AT_ONCE; i < CROWD; i++)
        ck_assert_msg(strstr(crowd_servers[i].text, "refused: no OCSP answer: too many are waited for") != NULL, "%s",
                      crowd_servers[i].text);
    ocsp_support_set_mood(&responder, OCSP_SUPPORT_ANSWERS);
    loop_support_until(rig.loop, crowd_is, (void *)&first);
    ck_assert_int_eq(metrics.ocsp_questions, AT_ONCE);
    ck_assert_int_eq(metrics.ocsp_refused, CROWD - AT_ONCE);
    crowd_go(0, CROWD);
}
END_TEST

START_TEST(all_may_leave_while_they_wait)
{
    crowd_come(CROWD);
    crowd_go(0, CROWD);
}
END_TEST

/* --- A server's certificate at a client */

static void open_checking_client(enum tls_ocsp_mode mode)
{
    struct tls_options o = tls_rig_client_options();
    o.ocsp = mode;
    tls_rig_open_client(&o);
    tls_ocsp_tell(rig.client_tls, &metrics, on_told, &responder);
}

static void listen_as_broker(void)
{
    struct tls_options o = tls_rig_mutual_options();
    o.client_auth = TLS_CLIENT_AUTH_NONE;
    o.ocsp = TLS_OCSP_SOFT;
    o.cert = tls_support_file("broker.pem");
    tls_rig_listen(&o);
}

static void staple(const struct ocsp_support_answer *answer, const char *about)
{
    size_t n;
    X509 *cert = ocsp_support_load("broker.pem");
    unsigned char *der = ocsp_support_make(answer, about, NULL, &n);
    tls_ocsp_set_staple(tls_get_ocsp(rig.server_tls), cert, der, n, time(NULL) + HOUR_S);
    OPENSSL_free(der);
    X509_free(cert);
}

static const struct {
    enum tls_ocsp_mode mode;
    bool has_staple;
    struct ocsp_support_answer staple;
    const char *about;
    enum ocsp_support_mood mood; /* of the responder, */
    int status;                  /* and what it says */
    unsigned n_questions;
    const char *refusal; /* NULL: connected */
    const char *alert;   /* that the server hears; NULL: none */
    const char *told;    /* NULL: nothing */
} staples[] = {
    {.mode = TLS_OCSP_HARD, .n_questions = 1},
    {.mode = TLS_OCSP_SOFT,
     .n_questions = 1,
     .mood = OCSP_SUPPORT_REFUSES,
     .told = "CN=broker,O=site is accepted unchecked: "},
    {.mode = TLS_OCSP_HARD, .n_questions = 1, .mood = OCSP_SUPPORT_REFUSES, .refusal = "no OCSP answer: "},
    {.mode = TLS_OCSP_SOFT, .n_questions = 1, .status = V_OCSP_CERTSTATUS_REVOKED, .refusal = "revoked since 20"},
    {.mode = TLS_OCSP_HARD, .has_staple = true, .mood = OCSP_SUPPORT_REFUSES},
    {.mode = TLS_OCSP_SOFT, .has_staple = true, .mood = OCSP_SUPPORT_REFUSES},
    {.mode = TLS_OCSP_SOFT,
     .has_staple = true,
     .staple.status = V_OCSP_CERTSTATUS_REVOKED,
     .refusal = "revoked since 20",
     .alert = "bad certificate status response"},
    {.mode = TLS_OCSP_HARD,
     .has_staple = true,
     .staple = {.from_s = -2 * HOUR_S, .to_s = -HOUR_S},
     .n_questions = 1,
     .told = "stapled to certificate CN=broker,O=site does not count: the answer is not of this time: status expired"},
    {.mode = TLS_OCSP_HARD,
     .has_staple = true,
     .staple = {.from_s = -2 * HOUR_S, .to_s = -HOUR_S},
     .n_questions = 1,
     .mood = OCSP_SUPPORT_REFUSES,
     .refusal = "no OCSP answer: ",
     .told = "status expired"},
    {.mode = TLS_OCSP_HARD,
     .has_staple = true,
     .staple = {.signer = "client.pem"},
     .n_questions = 1,
     .told = "does not count: the answer is not signed by who may do so: "},
    {.mode = TLS_OCSP_HARD,
     .has_staple = true,
     .about = "server.pem",
     .n_questions = 1,
     .told = "does not count: the answer is about another certificate"},
    {.mode = TLS_OCSP_SOFT,
     .has_staple = true,
     .staple.error = OCSP_RESPONSE_STATUS_TRYLATER,
     .n_questions = 1,
     .told = "does not count: the answer is \"trylater\""},
    {.mode = TLS_OCSP_HARD,
     .has_staple = true,
     .staple.status = V_OCSP_CERTSTATUS_UNKNOWN,
     .refusal = "its OCSP responder does not know it"},
};

START_TEST(a_server_is_believed_or_not_as_its_staple_or_the_responder_says)
{
    char text[300];
    responder.mood = staples[_i].mood;
    responder.answer.status = staples[_i].status;
    listen_as_broker();
    open_checking_client(staples[_i].mode);
    if (staples[_i].has_staple)
        staple(&staples[_i].staple, staples[_i].about ? staples[_i].about : "broker.pem");
    tls_rig_dial(5000);
    loop_support_until(rig.loop, tls_rig_is_dial_over, NULL);
    ck_assert_uint_eq(responder.n_questions, staples[_i].n_questions);
    if (staples[_i].refusal) {
        snprintf(text, sizeof(text), "TLS: certificate CN=broker,O=site refused: %s", staples[_i].refusal);
        ck_assert_msg(strstr(rig.client.text, text) != NULL, "%s", rig.client.text);
        loop_support_until(rig.loop, tls_rig_has_ended, &rig.server);
    } else {
        tls_rig_talk();
    }
    if (staples[_i].alert)
        ck_assert_msg(strstr(rig.server.text, staples[_i].alert) != NULL, "%s", rig.server.text);
    ck_assert_msg(staples[_i].told ? strstr(bad_text, staples[_i].told) != NULL : !bad_text[0], "%s", bad_text);
}
END_TEST

START_TEST(a_dial_does_not_wait_longer_than_it_may)
{
    responder.mood = OCSP_SUPPORT_WAITS;
    listen_as_broker();
    open_checking_client(TLS_OCSP_HARD);
    for (uint32_t timeout_ms = 100; responder.n_questions == 0; timeout_ms *= 2) { /* long enough for all before it */
        tls_rig_dial(timeout_ms);
        loop_support_until(rig.loop, tls_rig_is_dial_over, NULL);
    }
    ck_assert_msg(strstr(rig.client.text, "the handshake was not done in time") != NULL, "%s", rig.client.text);
    ocsp_support_set_mood(&responder, OCSP_SUPPORT_ANSWERS);
    loop_support_turns(rig.loop, 5);
}
END_TEST

START_TEST(a_dial_that_waits_costs_nothing_and_can_be_given_up)
{
    responder.mood = OCSP_SUPPORT_WAITS;
    listen_as_broker();
    open_checking_client(TLS_OCSP_HARD);
    tls_rig_dial(20000);
    wait_for_question(1);
    ck_assert_int_lt(loop_support_count_turns(rig.loop, 50), 10);
    rig.dial = dial_cancel(rig.dial);
    ocsp_support_set_mood(&responder, OCSP_SUPPORT_ANSWERS);
    loop_support_turns(rig.loop, 5);
}
END_TEST

START_TEST(a_client_resumes_only_while_a_good_answer_is_known)
{
    listen_as_broker();
    open_checking_client(TLS_OCSP_HARD);
    tls_rig_connect();
    tls_rig_talk();
    tls_rig_connect();
    tls_rig_talk();
    ck_assert(conn_tls_facts(rig.client.conn)->is_resumed);
    ck_assert_uint_eq(responder.n_questions, 1);
    tls_ocsp_begin(tls_get_ocsp(rig.client_tls), &(struct tls_options){.ocsp = TLS_OCSP_HARD}); /* forgets */
    tls_rig_connect();
    ck_assert(!conn_tls_facts(rig.client.conn)->is_resumed);
    ck_assert_uint_eq(responder.n_questions, 2);
}
END_TEST

/* --- What a server staples */

static void on_reload(const char *name, struct tls *t, int r, void *arg)
{
    ck_assert_int_eq(r, 0);
}

/* As a program does it. */
static void open_broker(const char *cert, const char *ca)
{
    struct tls_options o = tls_rig_mutual_options();
    o.client_auth = TLS_CLIENT_AUTH_NONE;
    o.ocsp = TLS_OCSP_SOFT;
    o.cert = tls_support_file(cert);
    o.ca = ca;
    tls_rig_listen(&o);
    tls_ocsp_tell(rig.server_tls, &metrics, on_told, &responder);
    ck_assert_int_eq(tls_watch_new(rig.loop, on_reload, NULL, &watch), 0);
    ck_assert_int_eq(tls_watch_add(watch, "broker", rig.server_tls), 0);
}

/* Whether a client that gets no answer but from the server is content. */
static bool is_stapled(void)
{
    tls_rig_close_ends();
    rig.client_tls = tls_unref(rig.client_tls);
    responder.mood = OCSP_SUPPORT_REFUSES;
    struct tls_options o = tls_rig_client_options();
    o.ocsp = TLS_OCSP_HARD;
    tls_rig_open_client(&o);
    tls_rig_dial(5000);
    loop_support_until(rig.loop, tls_rig_is_dial_over, NULL);
    return rig.client.conn;
}

START_TEST(an_answer_about_the_own_certificate_is_fetched_and_stapled)
{
    open_broker("broker.pem", tls_support_file("ca.pem"));
    loop_support_until(rig.loop, has_been_told, good_text);
    ck_assert_str_eq(good_text, "OCSP response about our certificate CN=broker,O=site fetched: it is good");
    ck_assert_uint_eq(responder.n_questions, 1);
    ck_assert(is_stapled());
    ck_assert_uint_eq(responder.n_questions, 1);
    tls_watch_reload(watch, rig.server_tls, NULL); /* the same certificate: what is there serves on */
    loop_support_until(rig.loop, has_been_told, bad_text);
    ck_assert(is_stapled());
}
END_TEST

START_TEST(a_new_certificate_is_not_stapled_with_an_old_answer)
{
    open_broker("broker.pem", tls_support_file("ca.pem"));
    loop_support_until(rig.loop, has_been_told, good_text);
    tls_support_issue("broker.pem", "broker", responder.url);
    responder.mood = OCSP_SUPPORT_REFUSES;
    tls_watch_reload(watch, rig.server_tls, NULL);
    loop_support_until(rig.loop, has_been_told, bad_text);
    ck_assert_msg(strncmp(bad_text, "no OCSP response about our certificate CN=broker,O=site to staple: ", 67) == 0,
                  "%s", bad_text);
    ck_assert(!is_stapled());
    good_text[0] = '\0';
    responder.mood = OCSP_SUPPORT_ANSWERS;
    tls_watch_reload(watch, rig.server_tls, NULL);
    loop_support_until(rig.loop, has_been_told, good_text);
    ck_assert(is_stapled());
}
END_TEST

START_TEST(an_own_certificate_that_is_revoked_is_told_to_everybody)
{
    responder.answer.status = V_OCSP_CERTSTATUS_REVOKED;
    open_broker("broker.pem", tls_support_file("ca.pem"));
    loop_support_until(rig.loop, has_been_told, bad_text);
    ck_assert_msg(strncmp(bad_text, "our certificate CN=broker,O=site is revoked since 20", 52) == 0, "%s", bad_text);
    ck_assert(!is_stapled());
    ck_assert_msg(strstr(rig.client.text, "refused: revoked since 20") != NULL, "%s", rig.client.text);
}
END_TEST

START_TEST(nothing_is_stapled_that_cannot_be_asked_for)
{
    open_broker(_i == 0 ? "broker.pem" : "server.pem", _i == 0 ? NULL : tls_support_file("ca.pem"));
    loop_support_until(rig.loop, has_been_told, bad_text);
    const char *why = _i == 0 ? "its issuer is neither behind it in its file nor among the clients' CAs"
                              : "the certificate names no OCSP responder (http://)";
    ck_assert_msg(strstr(bad_text, why) != NULL, "%s", bad_text);
    ck_assert(!is_stapled());
}
END_TEST

static Suite *tls_ocsp_suite(void)
{
    TCase *tc;
    Suite *suite = test_suite("tls_ocsp", &tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_client_is_let_in_or_not_as_the_responder_says, 0, TEST_COUNT(cases));
    tcase_add_loop_test(tc, a_certificate_without_a_responder_has_no_good_answer, 0, 2);
    tcase_add_test(tc, what_is_turned_on_counts_for_the_next_handshake);
    tcase_add_test(tc, a_client_without_a_certificate_is_not_asked_about);
    tcase_add_test(tc, an_answer_is_kept_for_those_who_come_later);
    tcase_add_test(tc, who_is_known_to_be_revoked_hears_the_alert);
    tcase_add_test(tc, a_session_is_resumed_only_while_a_good_answer_is_known);
    tcase_add_loop_test(tc, a_responder_that_is_away_is_left_alone_for_a_while_where_that_is_no_harm, 0, 2);
    tcase_add_loop_test(tc, a_responder_that_answers_badly_is_asked_about_others, 0, 2);
    tcase_add_test(tc, what_a_client_sends_meanwhile_waits_and_costs_nothing);
    tcase_add_loop_test(tc, a_connection_may_be_closed_while_it_waits, 0, 2);
    tcase_add_test(tc, a_client_that_is_lost_meanwhile_is_noticed);
    tcase_add_test(tc, a_connection_that_waits_can_go_to_another_loop);
    tcase_add_loop_test(tc, an_answer_that_is_late_is_none, 0, 2);
    tcase_add_test(tc, so_many_questions_at_a_time_and_the_others_profit);
    tcase_add_test(tc, those_who_leave_make_room);
    tcase_add_test(tc, whose_turn_does_not_come_in_time_has_no_answer);
    tcase_add_test(tc, all_may_leave_while_they_wait);
    tcase_add_loop_test(tc, a_server_is_believed_or_not_as_its_staple_or_the_responder_says, 0, TEST_COUNT(staples));
    tcase_add_test(tc, a_dial_does_not_wait_longer_than_it_may);
    tcase_add_test(tc, a_dial_that_waits_costs_nothing_and_can_be_given_up);
    tcase_add_test(tc, a_client_resumes_only_while_a_good_answer_is_known);
    tcase_add_test(tc, an_answer_about_the_own_certificate_is_fetched_and_stapled);
    tcase_add_test(tc, a_new_certificate_is_not_stapled_with_an_old_answer);
    tcase_add_test(tc, an_own_certificate_that_is_revoked_is_told_to_everybody);
    tcase_add_loop_test(tc, nothing_is_stapled_that_cannot_be_asked_for, 0, 2);
    return suite;
}

TEST_MAIN(tls_ocsp_suite)
