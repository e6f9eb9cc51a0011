/* libmqtt-broker as somebody else's program uses it: a broker whose users stand in a directory that takes its time, and
 * where nobody may publish below "forbidden/". Built by the Makefile beside it with pkg-config alone.
 *
 *   ./broker_example [NAME VALUE]...       options of the broker; ends at the end of its standard input */
#include <broker.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTIONS = 32 };

/* --- The directory: one thread that looks up one user after the other */

struct lookup {
    struct lookup *next;
    struct mqtt_broker_question *question;
    char user[64], password[64];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct lookup *first, **last = &first;
static int is_ending;

/* What a question is about lives until the hook returns: this is the copy for later. */
static void keep(char *dst, size_t size, struct mqtt_broker_text text)
{
    snprintf(dst, size, "%.*s", (int)text.len, text.ptr ? text.ptr : "");
}

static struct lookup *next_lookup(void)
{
    pthread_mutex_lock(&lock);
    while (!first && !is_ending)
        pthread_cond_wait(&changed, &lock);
    struct lookup *l = first;
    if (l && !(first = l->next))
        last = &first;
    pthread_mutex_unlock(&lock);
    return l;
}

static void *directory(void *arg)
{
    struct lookup *l;
    (void)arg;
    while ((l = next_lookup())) {
        struct mqtt_broker_reply reply = {.verdict = MQTT_BROKER_REFUSE, .reason = 0x86}; /* bad user or password */
        usleep(20000);                                                                    /* as if it were far away */
        if (strcmp(l->user, "alice") == 0 && strcmp(l->password, "secret") == 0)
            reply = (struct mqtt_broker_reply){.verdict = MQTT_BROKER_ALLOW};
        mqtt_broker_answer(l->question, &reply);
        free(l);
    }
    return NULL;
}

/* --- Hooks */

static void on_connect(void *arg, const struct mqtt_broker_client *client, const struct mqtt_broker_connect *connect,
                       struct mqtt_broker_question *question)
{
    struct lookup *l = calloc(1, sizeof *l);
    (void)arg;
    if (!l) {
        mqtt_broker_answer(question, &(struct mqtt_broker_reply){.verdict = MQTT_BROKER_REFUSE, .reason = 0x88});
        return;
    }
    l->question = question;
    keep(l->user, sizeof l->user, client->user);
    keep(l->password, sizeof l->password, connect->password);
    pthread_mutex_lock(&lock);
    *last = l;
    last = &l->next;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void on_publish(void *arg, const struct mqtt_broker_client *client,
                       const struct mqtt_broker_publication *publication, struct mqtt_broker_question *question)
{
    static const char forbidden[] = "forbidden/";
    const struct mqtt_broker_text topic = publication->topic;
    struct mqtt_broker_reply reply = {.verdict = MQTT_BROKER_NEXT};
    (void)arg;
    (void)client;
    if (topic.len >= strlen(forbidden) && memcmp(topic.ptr, forbidden, strlen(forbidden)) == 0)
        reply.verdict = MQTT_BROKER_REFUSE;
    mqtt_broker_answer(question, &reply);
}

static void on_disconnect(void *arg, const struct mqtt_broker_client *client, uint8_t reason, const char *text)
{
    (void)arg;
    (void)reason;
    printf("%.*s has gone: %s\n", (int)client->client_id.len, client->client_id.ptr, text);
}

/* --- The program */

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, mqtt_broker_error_text());
    return EXIT_FAILURE;
}

static int serve(struct mqtt_broker *broker)
{
    const struct mqtt_broker_message hello = {{"hello", 5}, {"from inside", 11}, 1, true};
    char line[256];
    if (mqtt_broker_start(broker) < 0)
        return fail("start");
    if (mqtt_broker_publish(broker, &hello) < 0)
        return fail("publish");
    printf("%s\n", mqtt_broker_listener(broker, 0));
    while (fgets(line, sizeof line, stdin))
        ;
    mqtt_broker_stop(broker);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const struct mqtt_broker_hook hook = {
        .on_connect = on_connect, .on_publish = on_publish, .on_disconnect = on_disconnect};
    struct mqtt_broker_option options[OPTIONS];
    struct mqtt_broker *broker = NULL;
    pthread_t thread;
    size_t n = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i + 1 < argc && n < OPTIONS; i += 2)
        options[n++] = (struct mqtt_broker_option){argv[i], argv[i + 1]};
    if (mqtt_broker_new(options, n, &broker) < 0)
        return fail("options");
    if (mqtt_broker_add_hook(broker, &hook) < 0 || pthread_create(&thread, NULL, directory, NULL) != 0)
        return fail("begin");
    const int status = serve(broker);
    pthread_mutex_lock(&lock);
    is_ending = 1;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL); /* it has answered whatever it was asked */
    mqtt_broker_free(broker);
    return status;
}
