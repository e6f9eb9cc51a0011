/* See tls_rig.h. */
#include "tls_rig.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "conn_tls.h"
#include "err.h"
#include "loop.h"
#include "loop_support.h"
#include "tls_support.h"

struct tls_rig rig;

static void on_input(struct conn *c, struct cursor *input, void *arg)
{
    struct tls_rig_end *e = arg;
    ck_assert_uint_lt(strlen(e->got) + input->len, sizeof(e->got));
    strncat(e->got, (const char *)input->ptr, input->len);
    cursor_skip(input, input->len);
}

static void on_end(struct conn *c, enum conn_end why, const char *text, void *arg)
{
    struct tls_rig_end *e = arg;
    snprintf(e->text, sizeof(e->text), "%s", text);
}

static const struct conn_cbs conn_cbs = {.on_input = on_input, .on_end = on_end};

void tls_rig_attach(struct tls_rig_end *e, struct conn_parcel *parcel)
{
    e->conn = conn_close(e->conn, 0);
    *e = (struct tls_rig_end){.conn = NULL};
    ck_assert_int_eq(conn_attach(rig.loop, parcel, &conn_cbs, e, &e->conn), 0);
}

static void on_accept(struct listener *l, struct conn_parcel *parcel, void *arg)
{
    tls_rig_attach(&rig.server, parcel);
}

static const struct listener_cbs listener_cbs = {.on_accept = on_accept};

static void on_connected(struct dial *d, struct conn_parcel *parcel, void *arg)
{
    rig.dial = NULL;
    tls_rig_attach(&rig.client, parcel);
}

static void on_failed(struct dial *d, const char *text, void *arg)
{
    rig.dial = NULL;
    snprintf(rig.client.text, sizeof(rig.client.text), "%s", text);
}

const struct dial_cbs tls_rig_dial_cbs = {.on_connected = on_connected, .on_failed = on_failed};

void tls_rig_listen_for(const struct tls_options *options, const struct listener_cbs *cbs)
{
    struct url url;
    ck_assert_msg(tls_new(options, &rig.server_tls) == 0, "%s", err_text());
    ck_assert_int_eq(url_parse("mqtts://127.0.0.1:0", "mqtts", &url), 0);
    const struct listener_params params = {.url = &url, .tls = rig.server_tls};
    ck_assert_int_eq(listener_open(rig.loop, &params, cbs, NULL, &rig.listener), 0);
}

void tls_rig_listen(const struct tls_options *options)
{
    tls_rig_listen_for(options, &listener_cbs);
}

void tls_rig_get_url(struct url *ret_url)
{
    char text[64];
    snprintf(text, sizeof(text), "mqtts://127.0.0.1%s", strrchr(listener_name(rig.listener), ':'));
    ck_assert_int_eq(url_parse(text, "mqtts", ret_url), 0);
}

void tls_rig_open_client(const struct tls_options *options)
{
    ck_assert_msg(tls_new(options, &rig.client_tls) == 0, "%s", err_text());
}

void tls_rig_dial(uint32_t timeout_ms)
{
    struct url url;
    tls_rig_get_url(&url);
    const struct dial_params params = {.url = &url, .tls = rig.client_tls, .timeout_ms = timeout_ms};
    rig.client = (struct tls_rig_end){.conn = NULL};
    ck_assert_int_eq(dial_start(rig.loop, &params, &tls_rig_dial_cbs, NULL, &rig.dial), 0);
}

bool tls_rig_is_dial_over(void *arg)
{
    return !rig.dial;
}

bool tls_rig_are_connected(void *arg)
{
    return rig.client.conn && rig.server.conn && conn_tls_facts(rig.server.conn);
}

bool tls_rig_has_ended(void *arg)
{
    return ((struct tls_rig_end *)arg)->text[0] != '\0';
}

void tls_rig_close_ends(void)
{
    rig.client.conn = conn_close(rig.client.conn, 0);
    rig.server.conn = conn_close(rig.server.conn, 0);
}

void tls_rig_connect(void)
{
    tls_rig_close_ends();
    tls_rig_dial(5000);
    loop_support_until(rig.loop, tls_rig_are_connected, NULL);
}

static bool has_got(void *arg)
{
    return ((struct tls_rig_end *)arg)->got[0] != '\0';
}

void tls_rig_talk(void)
{
    rig.server.got[0] = rig.client.got[0] = '\0';
    ck_assert_int_eq(conn_write(rig.client.conn, "up", 2), 0);
    ck_assert_int_eq(conn_write(rig.server.conn, "down", 4), 0);
    loop_support_until(rig.loop, has_got, &rig.server);
    loop_support_until(rig.loop, has_got, &rig.client);
    ck_assert_str_eq(rig.server.got, "up");
    ck_assert_str_eq(rig.client.got, "down");
}

void tls_rig_setup(void)
{
    rig = (struct tls_rig){.loop = NULL};
    ck_assert_int_eq(loop_new(&rig.loop), 0);
}

void tls_rig_teardown(void)
{
    rig.dial = dial_cancel(rig.dial);
    tls_rig_close_ends();
    rig.listener = listener_close(rig.listener);
    rig.server_tls = tls_unref(rig.server_tls);
    rig.client_tls = tls_unref(rig.client_tls);
    loop_support_to_end(rig.loop);
    rig.loop = loop_free(rig.loop);
}

struct tls_options tls_rig_server_options(void)
{
    return (struct tls_options){.is_server = true, .cert = tls_support_file("server.pem")};
}

struct tls_options tls_rig_mutual_options(void)
{
    struct tls_options o = tls_rig_server_options();
    o.ca = tls_support_file("ca.pem");
    o.client_auth = TLS_CLIENT_AUTH_REQUIRE;
    return o;
}

struct tls_options tls_rig_client_options(void)
{
    return (struct tls_options){.ca = tls_support_file("ca.pem"), .cert = tls_support_file("client.pem")};
}
