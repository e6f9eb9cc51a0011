/* A program with the broker inside (libmqtt-broker), whose hooks do what names and topics ask for; its arguments are
 * options of the broker, as pairs "--name value". What hooks are told and decide is a line on stdout.
 *
 *   user "mallory"                       refused with 0x8A, at once
 *   user "later-NAME"                    allowed as NAME, later, by another thread
 *   user "stuck"                         never answered while the broker runs
 *   .../veto/..., .../veto               nobody may publish or subscribe
 *   .../later/..., .../later             answered later, by another thread: NEXT; with .../veto... too: refused
 *   .../stuck                            answered when "host/release" is published, or after the broker has gone
 *   "host/say"                           its payload is published as "host/said", retained, by the program itself */
#include <broker.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUE = 4096, OPTIONS = 64 };

struct waiting {
    struct mqtt_broker_question *question;
    struct mqtt_broker_reply reply;
    char user[64];
};

static struct mqtt_broker *host;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_work = PTHREAD_COND_INITIALIZER;
static struct waiting queue[QUEUE]; /* what the other thread answers, in turn */
static size_t first, last;
static struct waiting stuck[QUEUE];
static size_t n_stuck;
static bool is_ending;

static bool says(struct mqtt_broker_text text, const char *word)
{
    return text.ptr && memmem(text.ptr, text.len, word, strlen(word));
}

static bool is_text(struct mqtt_broker_text text, const char *word)
{
    return text.ptr && text.len == strlen(word) && memcmp(text.ptr, word, text.len) == 0;
}

static void say(const char *what, const struct mqtt_broker_client *client, struct mqtt_broker_text about)
{
    printf("host: %s %.*s %.*s\n", what, (int)client->client_id.len, client->client_id.ptr, (int)about.len, about.ptr);
}

/* --- Answers */

static void *answer_later(void *arg)
{
    pthread_mutex_lock(&lock);
    while (!is_ending || first != last) {
        if (first == last) {
            pthread_cond_wait(&has_work, &lock);
            continue;
        }
        struct waiting w = queue[first++ % QUEUE];
        pthread_mutex_unlock(&lock);
        w.reply.user = w.user[0] ? w.user : NULL;
        mqtt_broker_answer(w.question, &w.reply);
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void put_later(const struct waiting *w)
{
    pthread_mutex_lock(&lock);
    queue[last++ % QUEUE] = *w;
    pthread_cond_signal(&has_work);
    pthread_mutex_unlock(&lock);
}

static void put_stuck(struct mqtt_broker_question *question)
{
    pthread_mutex_lock(&lock);
    stuck[n_stuck++] = (struct waiting){.question = question};
    pthread_mutex_unlock(&lock);
}

static void release(void)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < n_stuck; i++)
        queue[last++ % QUEUE] = stuck[i];
    n_stuck = 0;
    pthread_cond_signal(&has_work);
    pthread_mutex_unlock(&lock);
}

static void decide(struct mqtt_broker_text about, struct mqtt_broker_question *question)
{
    struct waiting w = {.question = question};
    if (says(about, "/veto"))
        w.reply = (struct mqtt_broker_reply){.verdict = MQTT_BROKER_REFUSE};
    if (says(about, "/stuck"))
        put_stuck(question);
    else if (says(about, "/later"))
        put_later(&w);
    else
        mqtt_broker_answer(question, &w.reply);
}

/* --- Hooks */

static void on_connect(void *arg, const struct mqtt_broker_client *client, const struct mqtt_broker_connect *connect,
                       struct mqtt_broker_question *question)
{
    static const char later[] = "later-";
    struct waiting w = {.question = question};
    if (is_text(client->user, "mallory"))
        w.reply = (struct mqtt_broker_reply){.verdict = MQTT_BROKER_REFUSE, .reason = 0x8A};
    if (is_text(client->user, "stuck")) {
        put_stuck(question);
    } else if (client->user.len >= sizeof later && memcmp(client->user.ptr, later, sizeof later - 1) == 0) {
        snprintf(w.user, sizeof w.user, "%.*s", (int)(client->user.len - (sizeof later - 1)),
                 client->user.ptr + sizeof later - 1);
        w.reply.verdict = MQTT_BROKER_ALLOW;
        put_later(&w);
    } else {
        mqtt_broker_answer(question, &w.reply);
    }
}

static void on_publish(void *arg, const struct mqtt_broker_client *client,
                       const struct mqtt_broker_publication *publication, struct mqtt_broker_question *question)
{
    if (is_text(publication->topic, "host/release"))
        release();
    if (is_text(publication->topic, "host/say")) {
        const struct mqtt_broker_message said = {{"host/said", 9}, publication->payload, 1, true};
        if (mqtt_broker_publish(host, &said) < 0)
            printf("host: cannot publish: %s\n", mqtt_broker_error_text());
    }
    say("publishes", client, publication->topic);
    decide(publication->topic, question);
}

static void on_subscribe(void *arg, const struct mqtt_broker_client *client, const struct mqtt_broker_filter *filter,
                         struct mqtt_broker_question *question)
{
    decide(filter->filter, question);
}

static void on_disconnect(void *arg, const struct mqtt_broker_client *client, uint8_t reason, const char *text)
{
    say("disconnected", client, client->user);
}

static void on_session_end(void *arg, struct mqtt_broker_text client_id)
{
    printf("host: session ends %.*s\n", (int)client_id.len, client_id.ptr);
}

/* Which is asked first and has no opinion, at once or later, and wants to know of filters that are given up. */
static void before_publish(void *arg, const struct mqtt_broker_client *client,
                           const struct mqtt_broker_publication *publication, struct mqtt_broker_question *question)
{
    const struct waiting w = {.question = question};
    if (says(publication->topic, "/later"))
        put_later(&w);
    else
        mqtt_broker_answer(question, &w.reply);
}

static void on_unsubscribe(void *arg, const struct mqtt_broker_client *client, const struct mqtt_broker_filter *filter,
                           struct mqtt_broker_question *question)
{
    const struct waiting w = {
        .question = question,
        .reply = {.verdict = says(filter->filter, "/keep") ? MQTT_BROKER_REFUSE : MQTT_BROKER_NEXT}};
    put_later(&w);
}

/* --- Life */

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, mqtt_broker_error_text());
    return EXIT_FAILURE;
}

static int serve(void)
{
    const struct mqtt_broker_hook before = {.on_publish = before_publish, .on_unsubscribe = on_unsubscribe};
    const struct mqtt_broker_hook hook = {.on_connect = on_connect,
                                          .on_publish = on_publish,
                                          .on_subscribe = on_subscribe,
                                          .on_disconnect = on_disconnect,
                                          .on_session_end = on_session_end};
    pthread_t thread;
    sigset_t ends;
    int signum;
    if (mqtt_broker_add_hook(host, &before) < 0 || mqtt_broker_add_hook(host, &hook) < 0 || mqtt_broker_start(host) < 0)
        return fail("start");
    pthread_create(&thread, NULL, answer_later, NULL);
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    printf("host: ready\n");
    sigwait(&ends, &signum);
    mqtt_broker_stop(host);
    mqtt_broker_free(host);
    release(); /* nobody is there any more who could hear it */
    pthread_mutex_lock(&lock);
    is_ending = true;
    pthread_cond_signal(&has_work);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    printf("host: ended\n");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct mqtt_broker_option options[OPTIONS];
    size_t n = 0;
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i + 1 < argc && n < OPTIONS; i += 2)
        options[n++] = (struct mqtt_broker_option){argv[i] + 2, argv[i + 1]};
    if (mqtt_broker_new(options, n, &host) < 0)
        return fail("options");
    return serve();
}
