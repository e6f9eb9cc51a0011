/* See rpc_stream.h. Life of a stream and the loop's side of it; rpc_stream_send.c and rpc_stream_receive.c
 * are what goes through the completion queue. */
#include "rpc_stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <grpc/grpc_security.h>
#include <grpc/grpc_security_constants.h>
#include <grpc/support/alloc.h>
#include <openssl/crypto.h>

#include "err.h"
#include "list.h"
#include "rpc_poll.h"
#include "rpc_stream_internal.h"
#include "rpc_tokens.h"

enum { DEFAULT_LOW_MARK = 64 * 1024 };

const char *rpc_status_name(int status)
{
    static const char *const names[] = {
        "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
        "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
        "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
        "DATA_LOSS", "UNAUTHENTICATED",
    };
    if (status < 0 || (size_t)status >= sizeof(names) / sizeof(names[0]))
        return "status out of range";
    return names[status];
}

/* --- Memory */

void rpc_stream_ref(struct rpc_stream *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
}

static void destroy(struct rpc_stream *s)
{
    rpc_queue_clear(&s->shared.outbox);
    rpc_queue_clear(&s->shared.inbox);
    rpc_queue_clear(&s->loop.inbox);
    rpc_message_free(s->loop.message);
    grpc_slice_unref(s->status_text);
    grpc_metadata_array_destroy(&s->metadata);
    grpc_metadata_array_destroy(&s->trailing);
    rpc_metadata_texts_free(s->loop.texts);
    gpr_free(s->loop.peer);
    free(s->shared.finish_text);
    free(s->loop.cancel_text);
    if (s->call)
        grpc_call_unref(s->call);
    pthread_mutex_destroy(&s->shared.mutex);
    free(s);
}

void rpc_stream_unref(struct rpc_stream *s)
{
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        destroy(s);
}

static enum gate_answer pass_inbound(void *arg);
static void read_mail(struct mail *mail);

/* What both sides need. One reference, for the owner. */
static struct rpc_stream *stream_new(grpc_call *call, struct mailbox *mailbox)
{
    struct rpc_stream *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->call = call;
    s->mailbox = mailbox;
    atomic_init(&s->refs, 1);
    s->status_text = grpc_empty_slice();
    s->mail.fn = read_mail;
    s->send_mail.fn = rpc_stream_send_here;
    s->receive_mail.fn = rpc_stream_receive_here;
    s->headers.kind = RPC_ITEM_HEADERS;
    s->half_close.kind = RPC_ITEM_HALF_CLOSE;
    s->end.kind = RPC_ITEM_END;
    pthread_mutex_init(&s->shared.mutex, NULL);
    s->shared.low_mark = DEFAULT_LOW_MARK;
    gate_init(&s->loop.gate, pass_inbound, s);
    return s;
}

/* What the user wants to say, and the token of the channel. *N becomes the number of both. */
static int request_metadata(const struct rpc_channel *ch, const struct rpc_metadata *metadata, unsigned *n,
                            grpc_metadata **ret_made)
{
    enum { MAX = 16 };
    struct rpc_metadata all[MAX + 1];
    char token[RPC_TOKENS_VALUE_MAX];
    assert(*n <= MAX);
    if (!rpc_channel_tokens(ch))
        return rpc_metadata_make(metadata, *n, ret_made);
    if (*n > 0)
        memcpy(all, metadata, *n * sizeof(all[0]));
    all[*n] = (struct rpc_metadata){"authorization", rpc_tokens_value(rpc_channel_tokens(ch), token)};
    int r = rpc_metadata_make(all, *n + 1, ret_made);
    *n += r == 0;
    OPENSSL_cleanse(token, sizeof(token));
    return r;
}

int rpc_stream_open(struct rpc_channel *ch, struct mailbox *mailbox, const char *path,
                    const struct rpc_metadata *metadata, unsigned n_metadata, const struct rpc_stream_cbs *cbs,
                    void *arg, struct rpc_stream **ret_stream)
{
    grpc_metadata *made;
    int r = request_metadata(ch, metadata, &n_metadata, &made);
    if (r < 0)
        return err_context(r, "stream %s", path);
    struct rpc_stream *s = stream_new(NULL, mailbox);
    if (!s) {
        rpc_metadata_unmake(made, n_metadata);
        return err_errno(-ENOMEM, "stream %s", path);
    }
    s->call = rpc_channel_call(ch, path);
    s->is_proxied = rpc_channel_is_proxied(ch);
    s->loop.cbs = cbs;
    s->loop.arg = arg;
    rpc_stream_start_client(s, made, n_metadata);
    rpc_metadata_unmake(made, n_metadata);
    *ret_stream = s;
    return 0;
}

struct rpc_stream *rpc_stream_incoming(grpc_call *call, grpc_metadata_array *metadata, struct mailbox *mailbox)
{
    struct rpc_stream *s = stream_new(call, mailbox);
    if (!s)
        return NULL;
    s->is_server = s->loop.is_peer_known = true;
    s->metadata = *metadata;
    grpc_metadata_array_init(metadata);
    return s;
}

int rpc_stream_accept(struct rpc_stream *s, const struct rpc_metadata *metadata, unsigned n_metadata,
                      const struct rpc_stream_cbs *cbs, void *arg)
{
    grpc_metadata *made;
    int r = rpc_metadata_make(metadata, n_metadata, &made);
    if (r < 0)
        return r;
    s->loop.cbs = cbs;
    s->loop.arg = arg;
    rpc_stream_start_server(s, made, n_metadata);
    rpc_metadata_unmake(made, n_metadata);
    return 0;
}

static bool is_accepted(const struct rpc_stream *s)
{
    return s->loop.cbs != NULL;
}

void rpc_stream_finish(struct rpc_stream *s, int status, const char *text)
{
    assert(s->is_server);
    char *copy = rpc_metadata_clean_copy(text);
    if (is_accepted(s)) {
        rpc_stream_send_status(s, status, copy);
        return;
    }
    if (s->call)
        rpc_op_refuse(s->call, status, copy ? copy : "");
    free(copy);
    s->call = NULL;
}

struct rpc_stream *rpc_stream_free(struct rpc_stream *s)
{
    if (!s)
        return NULL;
    s->loop.is_freed = true;
    gate_close(&s->loop.gate);
    rpc_queue_clear(&s->loop.inbox);

    pthread_mutex_lock(&s->shared.mutex);
    struct rpc_queue dropped = rpc_stream_break_send(s);
    s->shared.is_freed = true;
    bool is_over = s->shared.is_over;
    pthread_mutex_unlock(&s->shared.mutex);

    rpc_queue_clear(&dropped);
    if (!is_over && s->call) {
        grpc_call_cancel(s->call, NULL);
        rpc_poll_touch();
    }
    rpc_stream_unref(s);
    return NULL;
}

/* --- From the completion queue to the owner */

static enum gate_answer pass_message(struct rpc_stream *s, struct rpc_message *m)
{
    rpc_message_flatten(m);
    s->loop.message = m;
    size_t n = GRPC_SLICE_LENGTH(m->slice);
    s->loop.passed_bytes += n;
    return s->loop.cbs->on_message(s, GRPC_SLICE_START_PTR(m->slice), n, s->loop.arg);
}

static void pass_end(struct rpc_stream *s)
{
    int status = RPC_OK;
    char text[RPC_STATUS_TEXT_MAX] = "";
    if (!s->is_server) {
        status = (int)s->status;
        rpc_metadata_clean(text, sizeof(text), GRPC_SLICE_START_PTR(s->status_text), GRPC_SLICE_LENGTH(s->status_text));
    } else if (s->cancelled) {
        bool is_ours = s->loop.cancel_status != RPC_OK;
        const char *ours = is_ours && s->loop.cancel_text ? s->loop.cancel_text : "";
        status = is_ours ? s->loop.cancel_status : RPC_CANCELLED;
        rpc_metadata_clean(text, sizeof(text), ours, strlen(ours));
    }
    s->loop.cbs->on_end(s, status, text, s->loop.arg);
}

static enum gate_answer pass_one(struct rpc_stream *s, struct rpc_item *item)
{
    switch (item->kind) {
    case RPC_ITEM_MESSAGE:
        return pass_message(s, rpc_item_message(item));
    case RPC_ITEM_HEADERS:
        s->loop.is_peer_known = true;
        if (s->loop.cbs->on_headers)
            s->loop.cbs->on_headers(s, s->loop.arg);
        return GATE_PASS;
    case RPC_ITEM_HALF_CLOSE:
        if (s->loop.cbs->on_half_close)
            s->loop.cbs->on_half_close(s, s->loop.arg);
        return GATE_PASS;
    case RPC_ITEM_END:
        pass_end(s);
        return GATE_PASS;
    }
    return GATE_PASS;
}

static void read_on(struct rpc_stream *s)
{
    size_t bytes = s->loop.passed_bytes;
    s->loop.passed_bytes = 0;
    rpc_stream_read_on(s, bytes);
}

/* The gate's `next`. */
static enum gate_answer pass_inbound(void *arg)
{
    struct rpc_stream *s = arg;
    s->loop.message = rpc_message_free(s->loop.message);
    const struct rpc_item *head = s->loop.inbox.head;
    if (!head || (head->kind == RPC_ITEM_MESSAGE && s->loop.is_paused)) {
        if (s->loop.passed_bytes)
            read_on(s);
        return GATE_EMPTY;
    }
    rpc_stream_ref(s); /* the callback may free it */
    enum gate_answer answer = pass_one(s, rpc_queue_pop(&s->loop.inbox));
    if (s->loop.is_freed)
        answer = GATE_CLOSED;
    rpc_stream_unref(s);
    return answer;
}

static void read_mail(struct mail *mail)
{
    struct rpc_stream *s = container_of(mail, struct rpc_stream, mail);
    struct rpc_stream_shared *sh = &s->shared;
    pthread_mutex_lock(&sh->mutex);
    sh->is_posted = false;
    bool is_drained = sh->is_drain_due && !sh->is_end_queued;
    sh->is_drain_due = false;
    if (sh->has_headers)
        rpc_queue_splice(&s->loop.inbox, &sh->inbox);
    pthread_mutex_unlock(&sh->mutex);

    if (is_drained && !s->loop.is_freed && s->loop.cbs->on_drain)
        s->loop.cbs->on_drain(s, s->loop.arg);
    if (!s->loop.is_freed)
        gate_run(&s->loop.gate);
    rpc_stream_unref(s);
}

struct gate_wait *rpc_stream_hold(struct rpc_stream *s)
{
    return gate_hold(&s->loop.gate);
}

void rpc_stream_pause(struct rpc_stream *s)
{
    s->loop.is_paused = true;
    pthread_mutex_lock(&s->shared.mutex);
    s->shared.is_paused = true;
    pthread_mutex_unlock(&s->shared.mutex);
}

void rpc_stream_resume(struct rpc_stream *s)
{
    if (!s->loop.is_paused)
        return;
    s->loop.is_paused = false;
    pthread_mutex_lock(&s->shared.mutex);
    s->shared.is_paused = false;
    if (s->loop.inbox.head)
        rpc_stream_post(s); /* never from inside a call of the user */
    pthread_mutex_unlock(&s->shared.mutex);
    read_on(s);
}

/* --- Cancelling */

void rpc_stream_cancel(struct rpc_stream *s, int status, const char *text)
{
    assert(status != RPC_OK && is_accepted(s));
    pthread_mutex_lock(&s->shared.mutex);
    struct rpc_queue dropped = rpc_stream_break_send(s);
    pthread_mutex_unlock(&s->shared.mutex);
    rpc_queue_clear(&dropped);
    if (s->loop.cancel_status != RPC_OK)
        return; /* the first one counts */
    s->loop.cancel_status = status;
    s->loop.cancel_text = rpc_metadata_clean_copy(text);
    grpc_call_cancel_with_status(s->call, (grpc_status_code)status, s->loop.cancel_text ? s->loop.cancel_text : "",
                                 NULL);
    rpc_poll_touch();
}

/* --- What is known of the peer */

const char *rpc_stream_metadata(const struct rpc_stream *s, const char *key)
{
    if (!s->loop.is_peer_known)
        return NULL; /* libgrpc may be writing it */
    /* The texts are a cache. */
    return rpc_metadata_find(&s->metadata, key, (struct rpc_metadata_text **)&s->loop.texts);
}

static bool any_property(const grpc_auth_context *context, const char *name, rpc_name_fn *fn, void *arg)
{
    grpc_auth_property_iterator it = grpc_auth_context_find_properties_by_name(context, name);
    const grpc_auth_property *property;
    while ((property = grpc_auth_property_iterator_next(&it))) {
        if (fn(property->value, property->value_length, arg))
            return true;
    }
    return false;
}

bool rpc_stream_any_name(const struct rpc_stream *s, rpc_name_fn *fn, void *arg)
{
    grpc_auth_context *context = s->call ? grpc_call_auth_context(s->call) : NULL;
    if (!context)
        return false;
    const bool is_one = any_property(context, GRPC_X509_CN_PROPERTY_NAME, fn, arg) ||
                        any_property(context, GRPC_X509_SAN_PROPERTY_NAME, fn, arg);
    grpc_auth_context_release(context);
    return is_one;
}

struct mailbox *rpc_stream_mailbox(const struct rpc_stream *s)
{
    return s->mailbox;
}

const char *rpc_stream_peer(const struct rpc_stream *s)
{
    struct rpc_stream *cache = (struct rpc_stream *)s;
    if (!cache->loop.peer)
        cache->loop.peer = grpc_call_get_peer(s->call);
    return cache->loop.peer;
}

/* --- Where the peer is */

/* The host in "ipv6:[::1]:50122"; libgrpc writes the brackets as %5B and %5D. */
static const char *skip_bracket(const char *host)
{
    if (*host == '[')
        return host + 1;
    return strncasecmp(host, "%5B", 3) == 0 ? host + 3 : host;
}

static bool is_loopback_v6(const char *host)
{
    static const char mapped[] = "::ffff:127.";
    if (strncasecmp(host, mapped, sizeof(mapped) - 1) == 0)
        return true;
    return strncmp(host, "::1", 3) == 0 && (host[3] == ']' || host[3] == '%');
}

bool rpc_peer_is_loopback(const char *peer)
{
    static const char v4[] = "ipv4:127.", v6[] = "ipv6:", local[] = "unix";
    if (strncmp(peer, v6, sizeof(v6) - 1) == 0)
        return is_loopback_v6(skip_bracket(peer + sizeof(v6) - 1));
    return strncmp(peer, v4, sizeof(v4) - 1) == 0 || strncmp(peer, local, sizeof(local) - 1) == 0;
}

bool rpc_stream_is_loopback(const struct rpc_stream *s)
{
    return !s->is_proxied && rpc_peer_is_loopback(rpc_stream_peer(s));
}
