/* Logging in (bk_login.h). */
#define LOG_MODULE LOG_BROKER
#include "bk_login.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bk_access.h"
#include "bk_broker.h"
#include "bk_client.h"
#include "bk_connect.h"
#include "bk_session.h"
#include "bk_worker.h"
#include "err.h"
#include "jwt.h"
#include "mqtt_property.h"
#include "mqtt_reason.h"
#include "password_check.h"
#include "scram.h"
#include "scram_file.h"

struct bk_login {
    struct bk_client *client;
    struct mqtt_packet *connect;  /* a copy; NULL where it does not wait, and once C is connected */
    struct password_check *check; /* under way */
    struct scram_server *scram;   /* under way, or done: its user */
    struct mqtt_bytes answer;     /* of SCRAM, for CONNACK; in its memory */
    char *user;                   /* as a hook says; NULL: none does */
    struct jwt_claims claims;
    struct loop_timer expiry; /* of the token */
};

static const struct mqtt_bytes bk_scram_method = {(const uint8_t *)SCRAM_METHOD, sizeof SCRAM_METHOD - 1};

static void bk_login_on_expiry(struct loop_timer *timer)
{
    struct bk_login *l = container_of(timer, struct bk_login, expiry);
    bk_client_close(l->client, MQTT_REASON_NOT_AUTHORIZED, "its token has expired");
}

/* Made at need. NULL: out of memory. */
static struct bk_login *bk_login_of(struct bk_client *c)
{
    if (c->login)
        return c->login;
    struct bk_login *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->client = c;
    loop_timer_init(&l->expiry, c->worker->loop, bk_login_on_expiry);
    c->login = l;
    return l;
}

struct bk_login *bk_login_free(struct bk_login *l)
{
    if (!l)
        return NULL;
    password_check_cancel(l->check);
    scram_server_free(l->scram);
    jwt_claims_clear(&l->claims);
    loop_timer_stop(&l->expiry);
    free(l->connect);
    free(l->user);
    free(l);
    return NULL;
}

static enum bk_login_result bk_login_refuse(struct bk_login_fault *ret_fault, uint8_t reason, const char *text)
{
    *ret_fault = (struct bk_login_fault){reason, text};
    return BK_LOGIN_REFUSED;
}

static enum bk_login_result bk_login_no_memory(struct bk_login_fault *ret_fault)
{
    return bk_login_refuse(ret_fault, MQTT_REASON_SERVER_UNAVAILABLE, "out of memory");
}

/* --- Passwords */

static void bk_login_on_password(enum password_answer answer, void *arg)
{
    struct bk_client *c = arg;
    c->login->check = NULL;
    if (answer == PASSWORD_RIGHT)
        bk_connect_allowed(c);
    else if (answer == PASSWORD_BUSY)
        bk_connect_refuse(c, c->login->connect, MQTT_REASON_SERVER_BUSY, "too many passwords are being checked");
    else
        bk_connect_refuse(c, c->login->connect, MQTT_REASON_BAD_USER_NAME_OR_PASSWORD, "wrong user name or password");
}

static enum bk_login_result bk_login_password(struct bk_client *c, const struct mqtt_packet *connect,
                                              struct bk_login_fault *ret_fault)
{
    const struct mqtt_connect *f = &connect->connect;
    struct bk_login *l = bk_login_of(c);
    l = l && (l->connect = mqtt_packet_store(connect)) ? l : NULL;
    if (!l)
        return bk_login_no_memory(ret_fault);
    switch (password_check_start(bk_access_passwords(broker_access(c->worker->broker)), c->worker->mailbox,
                                 f->username.ptr, f->username.len, f->password.ptr,
                                 f->has_password ? f->password.len : 0, bk_login_on_password, c, &l->check)) {
    case PASSWORD_RIGHT:
        return BK_LOGIN_ALLOWED;
    case PASSWORD_LATER:
        return BK_LOGIN_WAITS_HELD;
    case PASSWORD_BUSY:
        return bk_login_refuse(ret_fault, MQTT_REASON_SERVER_BUSY, "too many passwords are being checked");
    case PASSWORD_WRONG:
        break;
    }
    return bk_login_refuse(ret_fault, MQTT_REASON_BAD_USER_NAME_OR_PASSWORD, "wrong user name or password");
}

/* --- Tokens */

static enum bk_login_result bk_login_token(struct bk_client *c, const struct mqtt_packet *connect,
                                           struct bk_login_fault *ret_fault)
{
    const struct mqtt_connect *f = &connect->connect;
    const struct mqtt_bytes user = f->has_username ? f->username : (struct mqtt_bytes){NULL, 0};
    struct bk_login *l = bk_login_of(c);
    if (!l)
        return bk_login_no_memory(ret_fault);
    const time_t now_s = time(NULL);
    const int r = jwt_check(bk_access_tokens(broker_access(c->worker->broker)), f->password, user, now_s, &l->claims);
    if (r < 0)
        return bk_login_no_memory(ret_fault);
    if (r != 0) {
        log_info(&c->log, "token refused: %s", err_text());
        return bk_login_refuse(ret_fault, MQTT_REASON_NOT_AUTHORIZED, "its token is not good");
    }
    if (l->claims.expires_s != 0)
        loop_timer_start(&l->expiry, (uint64_t)(l->claims.expires_s - now_s) * 1000);
    return BK_LOGIN_ALLOWED;
}

/* --- SCRAM */

static void bk_login_send_auth(struct bk_client *c, uint8_t reason, struct mqtt_bytes data)
{
    uint8_t bytes[SCRAM_MESSAGE_MAX + 64];
    uint8_t *p = mqtt_property_put_bytes(bytes, MQTT_PROPERTY_AUTHENTICATION_METHOD, bk_scram_method);
    p = mqtt_property_put_bytes(p, MQTT_PROPERTY_AUTHENTICATION_DATA, data);
    struct mqtt_packet auth = {
        .type = MQTT_AUTH,
        .version = MQTT_V5,
        .reason_code = reason,
        .properties = {{bytes, (uint32_t)(p - bytes)}},
    };
    bk_client_send(c, &auth);
}

static struct mqtt_bytes bk_login_data(const struct mqtt_packet *packet)
{
    struct mqtt_property data;
    if (mqtt_property_find(&packet->properties, MQTT_PROPERTY_AUTHENTICATION_DATA, &data))
        return data.value;
    return (struct mqtt_bytes){NULL, 0};
}

static bool bk_login_is_scram(const struct mqtt_packet *packet)
{
    struct mqtt_property method;
    return mqtt_property_find(&packet->properties, MQTT_PROPERTY_AUTHENTICATION_METHOD, &method) &&
           method.value.len == bk_scram_method.len &&
           memcmp(method.value.ptr, bk_scram_method.ptr, bk_scram_method.len) == 0;
}

/* An exchange begins anew. */
static int bk_login_new_scram(struct bk_client *c, struct bk_login *l)
{
    struct scram_file *file = bk_access_scram(broker_access(c->worker->broker));
    l->scram = scram_server_free(l->scram);
    const int r = file ? scram_server_new(file, NULL, &l->scram) : -ENOENT;
    scram_file_unref(file);
    return r;
}

static enum bk_login_result bk_login_step(struct bk_client *c, struct bk_login *l, const struct mqtt_packet *packet,
                                          struct bk_login_fault *ret_fault)
{
    switch (scram_server_step(l->scram, bk_login_data(packet), &l->answer)) {
    case SCRAM_DONE:
        return BK_LOGIN_ALLOWED;
    case SCRAM_CONTINUE:
        bk_login_send_auth(c, MQTT_REASON_CONTINUE_AUTHENTICATION, l->answer);
        return BK_LOGIN_WAITS_AUTH;
    case SCRAM_REFUSED:
        break;
    }
    log_info(&c->log, "SCRAM: %s", err_text());
    return bk_login_refuse(ret_fault, MQTT_REASON_NOT_AUTHORIZED, "it has not proved who it is (SCRAM)");
}

static enum bk_login_result bk_login_scram(struct bk_client *c, const struct mqtt_packet *connect,
                                           struct bk_login_fault *ret_fault)
{
    struct bk_login *l = bk_login_is_scram(connect) ? bk_login_of(c) : NULL;
    if (!bk_login_is_scram(connect) || (l && bk_login_new_scram(c, l) == -ENOENT))
        return bk_login_refuse(ret_fault, MQTT_REASON_BAD_AUTHENTICATION_METHOD,
                               "MQTT-4.12.0-1: no such authentication method");
    if (!l || !l->scram || !(l->connect = mqtt_packet_store(connect)))
        return bk_login_no_memory(ret_fault);
    return bk_login_step(c, l, connect, ret_fault);
}

/* While it is connected: who it is may not change. */
static enum gate_answer bk_login_again(struct bk_client *c, const struct mqtt_packet *auth)
{
    struct bk_login *l = c->login;
    struct bk_login_fault fault = {MQTT_REASON_NOT_AUTHORIZED, "it cannot prove who it is (SCRAM)"};
    if (auth->reason_code == MQTT_REASON_RE_AUTHENTICATE && bk_login_new_scram(c, l) < 0) {
        bk_client_close(c, fault.reason, fault.text);
        return GATE_CLOSED;
    }
    const enum bk_login_result r = bk_login_step(c, l, auth, &fault);
    if (r == BK_LOGIN_WAITS_AUTH)
        return GATE_PASS;
    const struct mqtt_bytes user = scram_server_user(l->scram);
    const char *known = c->session->grant ? c->session->grant->user : NULL;
    if (r == BK_LOGIN_REFUSED || !known || strlen(known) != user.len || memcmp(known, user.ptr, user.len) != 0) {
        bk_client_close(c, fault.reason, fault.text);
        return GATE_CLOSED;
    }
    bk_login_send_auth(c, MQTT_REASON_SUCCESS, l->answer);
    bk_login_settle(c);
    return GATE_PASS;
}

enum gate_answer bk_login_auth(struct bk_client *c, const struct mqtt_packet *auth)
{
    struct bk_login_fault fault;
    const bool is_reauth = bk_client_is_live(c);
    if (!c->login || !bk_login_is_scram(auth) || (is_reauth ? !c->has_method : !c->login->scram) ||
        (auth->reason_code == MQTT_REASON_RE_AUTHENTICATE) != (is_reauth && !c->login->scram)) {
        metric_add(&c->worker->metrics.protocol_errors, 1);
        bk_client_close(c, MQTT_REASON_PROTOCOL_ERROR, "MQTT-4.12.0-5: an AUTH that does not belong to any exchange");
        return GATE_CLOSED;
    }
    if (is_reauth)
        return bk_login_again(c, auth);
    switch (bk_login_step(c, c->login, auth, &fault)) {
    case BK_LOGIN_ALLOWED:
        return bk_connect_allowed(c);
    case BK_LOGIN_REFUSED:
        return bk_connect_refuse(c, c->login->connect, fault.reason, fault.text);
    case BK_LOGIN_WAITS_HELD:
    case BK_LOGIN_WAITS_AUTH:
        break;
    }
    return GATE_PASS;
}

/* --- CONNECT */

int bk_login_set_user(struct bk_client *c, const char *user)
{
    struct bk_login *l = bk_login_of(c);
    if (l)
        l->user = strdup(user);
    return l && l->user ? 0 : -ENOMEM;
}

enum bk_login_result bk_login_begin(struct bk_client *c, const struct mqtt_packet *connect,
                                    struct bk_login_fault *ret_fault)
{
    const struct mqtt_connect *f = &connect->connect;
    struct bk_access *a = broker_access(c->worker->broker);
    if (c->is_inner)
        return BK_LOGIN_ALLOWED;
    c->has_method = mqtt_property_has(&connect->properties, MQTT_PROPERTY_AUTHENTICATION_METHOD);
    if (c->is_proved)
        return c->has_method ? bk_login_refuse(ret_fault, MQTT_REASON_BAD_AUTHENTICATION_METHOD,
                                               "MQTT-4.12.0-1: its certificate says who it is")
                             : BK_LOGIN_ALLOWED;
    if (c->has_method)
        return bk_login_scram(c, connect, ret_fault);
    if (bk_access_tokens(a) && f->has_password && jwt_is_token(f->password))
        return bk_login_token(c, connect, ret_fault);
    if (bk_access_passwords(a) && f->has_username)
        return bk_login_password(c, connect, ret_fault);
    if (bk_access_allows_anonymous(a))
        return BK_LOGIN_ALLOWED;
    return bk_login_refuse(ret_fault, MQTT_REASON_NOT_AUTHORIZED,
                           f->has_username ? "nobody knows its user"
                                           : "it gives no user name, and allow-anonymous is off");
}

const struct mqtt_packet *bk_login_connect(const struct bk_login *l)
{
    return l->connect;
}

struct mqtt_bytes bk_login_user(const struct bk_client *c, const struct mqtt_packet *connect)
{
    const struct bk_login *l = c->login;
    if (l && l->user)
        return (struct mqtt_bytes){(const uint8_t *)l->user, (uint32_t)strlen(l->user)};
    if (l && l->scram)
        return scram_server_user(l->scram);
    if (l && l->claims.user)
        return (struct mqtt_bytes){(const uint8_t *)l->claims.user, (uint32_t)strlen(l->claims.user)};
    return connect->connect.has_username ? connect->connect.username : (struct mqtt_bytes){NULL, 0};
}

struct acl *bk_login_claims(const struct bk_login *l)
{
    return l ? l->claims.acl : NULL;
}

void bk_login_answer(const struct bk_login *l, struct mqtt_bytes *ret_method, struct mqtt_bytes *ret_data)
{
    const bool is_scram = l && l->scram;
    *ret_method = is_scram ? bk_scram_method : (struct mqtt_bytes){NULL, 0};
    *ret_data = is_scram ? l->answer : (struct mqtt_bytes){NULL, 0};
}

void bk_login_settle(struct bk_client *c)
{
    struct bk_login *l = c->login;
    if (!l)
        return;
    free(l->connect);
    l->connect = NULL;
    l->scram = scram_server_free(l->scram);
    if (!c->has_method && !loop_timer_is_started(&l->expiry))
        c->login = bk_login_free(l);
}
