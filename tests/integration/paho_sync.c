/* Paho's synchronous C client, as its users write it: connects, subscribes, publishes to itself at every QoS and
 * disconnects. What arrives is printed, so that a run through the proxies can be compared with one without. */
#include <MQTTClient.h>

#include "paho_common.h"

static void connect_client(MQTTClient client, int version)
{
    MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
    MQTTClient_connectOptions options5 = MQTTClient_connectOptions_initializer5;
    MQTTClient_willOptions will = MQTTClient_willOptions_initializer;

    will.topicName = "paho/will";
    will.message = "lost";
    if (version == MQTTVERSION_5) {
        options5.will = &will;
        MQTTResponse response = MQTTClient_connect5(client, &options5, NULL, NULL);
        check("connect", (int)response.reasonCode);
        MQTTResponse_free(response);
        return;
    }
    options.MQTTVersion = version;
    options.will = &will;
    options.username = "user";
    options.password = "password";
    check("connect", MQTTClient_connect(client, &options));
}

static void publish(MQTTClient client, int version, const char *topic, const struct sample *sample)
{
    MQTTClient_message message = MQTTClient_message_initializer;
    MQTTClient_deliveryToken token;

    message.payload = big;
    message.payloadlen = sample->len;
    message.qos = sample->qos;
    if (version == MQTTVERSION_5) {
        add_user_property(&message.properties, "first", "1");
        add_user_property(&message.properties, "second", "2");
        MQTTResponse response = MQTTClient_publishMessage5(client, topic, &message, &token);
        check("publish", response.reasonCode >= MQTTREASONCODE_UNSPECIFIED_ERROR ? (int)response.reasonCode : 0);
        MQTTResponse_free(response);
        MQTTProperties_free(&message.properties);
    } else {
        check("publish", MQTTClient_publishMessage(client, topic, &message, &token));
    }
    if (sample->qos > 0)
        check("wait for the acknowledgement", MQTTClient_waitForCompletion(client, token, WAIT_MS));
}

static void receive(MQTTClient client)
{
    MQTTClient_message *message = NULL;
    char *topic = NULL;
    int topic_len;

    check("receive", MQTTClient_receive(client, &topic, &topic_len, &message, WAIT_MS));
    if (message == NULL) {
        fprintf(stderr, "receive: nothing came\n");
        exit(1);
    }
    print_message(topic, message->qos, message->retained, message->payload, message->payloadlen);
    print_properties(&message->properties);
    MQTTClient_freeMessage(&message);
    MQTTClient_free(topic);
}

int main(int argc, char **argv)
{
    struct paho_arguments a;
    MQTTClient client;
    MQTTClient_createOptions create = MQTTClient_createOptions_initializer;

    parse_arguments(argc, argv, &a);
    create.MQTTVersion = a.version;
    check("create",
          MQTTClient_createWithOptions(&client, a.uri, "paho-sync", MQTTCLIENT_PERSISTENCE_NONE, NULL, &create));
    connect_client(client, a.version);
    if (a.version == MQTTVERSION_5) {
        MQTTResponse response = MQTTClient_subscribe5(client, a.topic, 2, NULL, NULL);
        check("subscribe", (int)response.reasonCode - 2);
        MQTTResponse_free(response);
    } else {
        check("subscribe", MQTTClient_subscribe(client, a.topic, 2));
    }
    for (int i = 0; i < MESSAGES; i++) {
        publish(client, a.version, a.topic, &samples[i]);
        receive(client);
    }
    if (a.version == MQTTVERSION_5)
        check("disconnect", MQTTClient_disconnect5(client, WAIT_MS, MQTTREASONCODE_SUCCESS, NULL));
    else
        check("disconnect", MQTTClient_disconnect(client, WAIT_MS));
    MQTTClient_destroy(&client);
    return 0;
}
