/* Paho's asynchronous C client: each step follows from the callback of the one before, all messages are published
 * without waiting for one another. What arrives is printed. */
#include <MQTTAsync.h>

#include "paho_common.h"

static struct {
    MQTTAsync client;
    int version;
    const char *topic;
    int arrived;
    bool is_over;
    pthread_mutex_t lock;
    pthread_cond_t over;
} run = {.lock = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER};

static void over(void)
{
    pthread_mutex_lock(&run.lock);
    run.is_over = true;
    pthread_cond_signal(&run.over);
    pthread_mutex_unlock(&run.lock);
}

static void on_failure(void *context, MQTTAsync_failureData *data)
{
    check(context, data != NULL && data->code != 0 ? data->code : -1);
}

static void on_failure5(void *context, MQTTAsync_failureData5 *data)
{
    check(context, data->code != 0 ? data->code : -1);
}

static void on_disconnected(void *context, MQTTAsync_successData *data)
{
    over();
}

static void on_disconnected5(void *context, MQTTAsync_successData5 *data)
{
    over();
}

static int on_message(void *context, char *topic, int topic_len, MQTTAsync_message *message)
{
    print_message(topic, message->qos, message->retained, message->payload, message->payloadlen);
    print_properties(&message->properties);
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    if (++run.arrived < MESSAGES)
        return 1;

    MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;
    MQTTAsync_disconnectOptions options5 = MQTTAsync_disconnectOptions_initializer5;
    options.onSuccess = on_disconnected;
    options5.onSuccess5 = on_disconnected5;
    check("disconnect", MQTTAsync_disconnect(run.client, run.version == MQTTVERSION_5 ? &options5 : &options));
    return 1;
}

/* All at once, without waiting for one another. Only QoS 1, so that the broker must keep their order. */
static void publish_all(void)
{
    for (int i = 0; i < MESSAGES; i++) {
        MQTTAsync_message message = MQTTAsync_message_initializer;
        MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer; /* without it they are left out */

        message.payload = big;
        message.payloadlen = samples[i].len;
        message.qos = 1;
        if (run.version == MQTTVERSION_5)
            add_user_property(&message.properties, "async", "yes");
        check("publish", MQTTAsync_sendMessage(run.client, run.topic, &message, &options));
        MQTTProperties_free(&message.properties);
    }
}

static void on_subscribed(void *context, MQTTAsync_successData *data)
{
    publish_all();
}

static void on_subscribed5(void *context, MQTTAsync_successData5 *data)
{
    publish_all();
}

static void subscribe(void)
{
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;

    options.context = (void *)"subscribe";
    if (run.version == MQTTVERSION_5) {
        options.onSuccess5 = on_subscribed5;
        options.onFailure5 = on_failure5;
    } else {
        options.onSuccess = on_subscribed;
        options.onFailure = on_failure;
    }
    check("subscribe", MQTTAsync_subscribe(run.client, run.topic, 2, &options));
}

static void on_connected(void *context, MQTTAsync_successData *data)
{
    subscribe();
}

static void on_connected5(void *context, MQTTAsync_successData5 *data)
{
    subscribe();
}

static void connect(void)
{
    MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
    MQTTAsync_connectOptions options5 = MQTTAsync_connectOptions_initializer5;

    options.MQTTVersion = run.version;
    options.onSuccess = on_connected;
    options.onFailure = on_failure;
    options5.onSuccess5 = on_connected5;
    options5.onFailure5 = on_failure5;
    options.context = options5.context = (void *)"connect";
    check("connect", MQTTAsync_connect(run.client, run.version == MQTTVERSION_5 ? &options5 : &options));
}

int main(int argc, char **argv)
{
    struct paho_arguments a;
    MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer5;

    parse_arguments(argc, argv, &a);
    run.version = create.MQTTVersion = a.version;
    run.topic = a.topic;
    check("create",
          MQTTAsync_createWithOptions(&run.client, a.uri, "paho-async", MQTTCLIENT_PERSISTENCE_NONE, NULL, &create));
    check("callbacks", MQTTAsync_setCallbacks(run.client, NULL, NULL, on_message, NULL));
    connect();
    pthread_mutex_lock(&run.lock);
    while (!run.is_over)
        pthread_cond_wait(&run.over, &run.lock);
    pthread_mutex_unlock(&run.lock);
    MQTTAsync_destroy(&run.client);
    return 0;
}
