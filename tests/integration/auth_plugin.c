/* A plugin for mosquitto that really asks: enhanced authentication (MQTT 5, section 4.12) in as many rounds as the
 * client wants, and a record of the user names and passwords it saw, absent told from empty.
 *
 *     method "one-step"    accepted at once, data "welcome", unless the data is "wrong"
 *     method "challenge"   AUTH with data "prove: <what the client sent>"; then for each AUTH of the client
 *                              "more"     one more round
 *                              "proof"    accepted, data "welcome"
 *                              else       refused
 *     any other method     refused as unknown
 *
 * Configuration: plugin_opt_record FILE. A line there is: client-id user password, each in hex behind '=', or '-' if
 * absent. */
#include <stdio.h>
#include <string.h>

/* clang-format off: the second header needs the types of the first */
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
/* clang-format on */

/* result codes of mosquitto.h, which would need another package for these few numbers */
enum { ERR_AUTH_CONTINUE = -4, ERR_SUCCESS = 0, ERR_AUTH = 11, ERR_NOMEM = 1, ERR_NOT_SUPPORTED = 10 };

static FILE *record;

static void record_value(const char *value)
{
    fputc(' ', record);
    if (value == NULL) {
        fputc('-', record);
        return;
    }
    fputc('=', record);
    for (; *value != '\0'; value++)
        fprintf(record, "%02x", (unsigned char)*value);
}

static int on_basic_auth(int event, void *event_data, void *userdata)
{
    const struct mosquitto_evt_basic_auth *e = event_data;

    if (record != NULL) {
        record_value(mosquitto_client_id(e->client));
        record_value(e->username);
        record_value(e->password);
        fputc('\n', record);
        fflush(record);
    }
    return e->username != NULL && strcmp(e->username, "nobody") == 0 ? ERR_AUTH : ERR_SUCCESS;
}

static int on_acl_check(int event, void *event_data, void *userdata)
{
    return ERR_SUCCESS;
}

static int answer(struct mosquitto_evt_extended_auth *e, const char *prefix, const void *rest, size_t rest_len,
                  int result)
{
    size_t prefix_len = strlen(prefix);
    char *out = mosquitto_malloc(prefix_len + rest_len + 1);

    if (out == NULL)
        return ERR_NOMEM;
    memcpy(out, prefix, prefix_len);
    if (rest_len > 0)
        memcpy(out + prefix_len, rest, rest_len);
    e->data_out = out;
    e->data_out_len = (uint16_t)(prefix_len + rest_len);
    return result;
}

static bool data_is(const struct mosquitto_evt_extended_auth *e, const char *text)
{
    return e->data_in_len == strlen(text) && memcmp(e->data_in, text, e->data_in_len) == 0;
}

static int on_auth_start(int event, void *event_data, void *userdata)
{
    struct mosquitto_evt_extended_auth *e = event_data;

    if (strcmp(e->auth_method, "one-step") == 0)
        return data_is(e, "wrong") ? ERR_AUTH : answer(e, "welcome", NULL, 0, ERR_SUCCESS);
    if (strcmp(e->auth_method, "challenge") == 0)
        return answer(e, "prove: ", e->data_in, e->data_in_len, ERR_AUTH_CONTINUE);
    return ERR_NOT_SUPPORTED;
}

static int on_auth_continue(int event, void *event_data, void *userdata)
{
    struct mosquitto_evt_extended_auth *e = event_data;

    if (data_is(e, "more"))
        return answer(e, "prove again", NULL, 0, ERR_AUTH_CONTINUE);
    if (data_is(e, "proof"))
        return answer(e, "welcome", NULL, 0, ERR_SUCCESS);
    return ERR_AUTH;
}

int mosquitto_plugin_version(int supported_version_count, const int *supported_versions)
{
    return MOSQ_PLUGIN_VERSION;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **userdata, struct mosquitto_opt *options, int option_count)
{
    for (int i = 0; i < option_count; i++)
        if (strcmp(options[i].key, "record") == 0)
            record = fopen(options[i].value, "w");
    mosquitto_callback_register(id, MOSQ_EVT_BASIC_AUTH, on_basic_auth, NULL, NULL);
    mosquitto_callback_register(id, MOSQ_EVT_ACL_CHECK, on_acl_check, NULL, NULL);
    mosquitto_callback_register(id, MOSQ_EVT_EXT_AUTH_START, on_auth_start, NULL, NULL);
    mosquitto_callback_register(id, MOSQ_EVT_EXT_AUTH_CONTINUE, on_auth_continue, NULL, NULL);
    return ERR_SUCCESS;
}

int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int option_count)
{
    if (record != NULL)
        fclose(record);
    return ERR_SUCCESS;
}
