/* See rpc_tls.h. */
#include "rpc_tls_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "list.h"
#include "loop.h"

enum { N_FILES = 4, WATCH_MS = 1000, GRPC_WATCH_S = 1 };

/* What tells a file from its successor. */
struct stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed;
};

struct rpc_tls {
    atomic_uint refs;
    bool is_server;
    rpc_tls_refused_fn *on_refused;
    void *arg;
    struct rpc_tls_files files; /* copies; of the thread that made it */
    int fd;                     /* server: key and certificate, for libgrpc's file watcher; else -1 */
    time_t generation;

    struct {
        struct loop_timer timer;
        rpc_tls_reloaded_fn *fn; /* NULL: nobody watches */
        void *arg;
        struct stamp read[N_FILES]; /* what the present material was read from, or tried to be */
        struct stamp seen[N_FILES];
    } watch;

    struct {
        pthread_mutex_t mutex;
        struct rpc_tls_material *material;
    } shared;
};

/* --- Paths */

static const char **path_of(struct rpc_tls_files *files, unsigned i)
{
    const char **paths[N_FILES] = {&files->ca, &files->certificate, &files->key, &files->crl};
    return paths[i];
}

static void files_free(struct rpc_tls_files *files)
{
    for (unsigned i = 0; i < N_FILES; i++)
        free((char *)*path_of(files, i));
}

static int files_copy(const struct rpc_tls_files *from, struct rpc_tls_files *ret_files)
{
    struct rpc_tls_files source = *from, copy = {.ca = NULL};
    for (unsigned i = 0; i < N_FILES; i++) {
        const char *path = *path_of(&source, i);
        if (!path)
            continue;
        *path_of(&copy, i) = strdup(path);
        if (!*path_of(&copy, i)) {
            files_free(&copy);
            return err_errno(-ENOMEM, "%s", path);
        }
    }
    *ret_files = copy;
    return 0;
}

static void stamp_files(struct rpc_tls_files *files, struct stamp *stamps)
{
    memset(stamps, 0, N_FILES * sizeof(*stamps));
    for (unsigned i = 0; i < N_FILES; i++) {
        struct stat st;
        const char *path = *path_of(files, i);
        if (!path || stat(path, &st) < 0)
            continue;
        stamps[i].dev = st.st_dev;
        stamps[i].ino = st.st_ino;
        stamps[i].size = st.st_size;
        stamps[i].changed = st.st_ctim;
    }
}

/* --- What libgrpc reads */

static int write_all(int fd, const char *text)
{
    size_t n = strlen(text);
    return write(fd, text, n) == (ssize_t)n ? 0 : -EIO; /* memory: all or nothing */
}

/* A file in memory with key and certificate, so that libgrpc's watcher, which reads the one after the other, cannot get
 * them from different generations unnoticed: it compares the time of modification before and after, in seconds. */
static int make_identity_file(const struct rpc_tls_material *m, time_t generation)
{
    const struct timespec times[2] = {{.tv_sec = generation}, {.tv_sec = generation}};
    int fd = memfd_create("trunk-tls", MFD_CLOEXEC);
    if (fd < 0)
        return err_errno(-errno, "file in memory");
    int r = write_all(fd, m->key);
    if (r == 0)
        r = write_all(fd, "\n");
    if (r == 0)
        r = write_all(fd, m->certificate);
    if (r == 0 && futimens(fd, times) < 0)
        r = -errno;
    if (r < 0) {
        close(fd);
        return err_errno(r, "file in memory");
    }
    return fd;
}

static int publish_identity(struct rpc_tls *t, const struct rpc_tls_material *m)
{
    int fd = make_identity_file(m, t->generation + 1);
    if (fd < 0)
        return fd;
    t->generation++;
    if (t->fd < 0) {
        t->fd = fd;
        return 0;
    }
    int r = dup3(fd, t->fd, O_CLOEXEC) < 0 ? err_errno(-errno, "file in memory") : 0;
    close(fd);
    return r;
}

/* --- Life */

static void take_material(struct rpc_tls *t, struct rpc_tls_material *m)
{
    pthread_mutex_lock(&t->shared.mutex);
    struct rpc_tls_material *before = t->shared.material;
    t->shared.material = m;
    pthread_mutex_unlock(&t->shared.mutex);
    rpc_tls_material_unref(before);
}

static int load(struct rpc_tls *t, const struct rpc_tls_files *files)
{
    struct rpc_tls_material *m;
    int r = rpc_tls_material_read(files, t->is_server, &m);
    if (r < 0)
        return r;
    if (t->is_server)
        r = publish_identity(t, m);
    if (r < 0)
        rpc_tls_material_unref(m);
    else
        take_material(t, m);
    return r;
}

int rpc_tls_new(const struct rpc_tls_params *params, struct rpc_tls **ret_tls)
{
    struct rpc_tls *t = calloc(1, sizeof(*t));
    if (!t)
        return err_errno(-ENOMEM, "TLS");
    atomic_init(&t->refs, 1);
    pthread_mutex_init(&t->shared.mutex, NULL);
    t->fd = -1;
    t->is_server = params->is_server;
    t->on_refused = params->on_refused;
    t->arg = params->arg;
    int r = files_copy(&params->files, &t->files);
    stamp_files(&t->files, t->watch.read);
    if (r == 0)
        r = load(t, &t->files);
    if (r < 0) {
        rpc_tls_unref(t);
        return r;
    }
    *ret_tls = t;
    return 0;
}

struct rpc_tls *rpc_tls_ref(struct rpc_tls *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

struct rpc_tls *rpc_tls_unref(struct rpc_tls *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    assert(!t->watch.fn);
    rpc_tls_material_unref(t->shared.material);
    pthread_mutex_destroy(&t->shared.mutex);
    files_free(&t->files);
    if (t->fd >= 0)
        close(t->fd);
    free(t);
    return NULL;
}

/* --- Changes */

int rpc_tls_reload(struct rpc_tls *t, const struct rpc_tls_files *files)
{
    struct rpc_tls_files copy;
    int r = files_copy(files ? files : &t->files, &copy);
    if (r < 0)
        return r;
    stamp_files(&copy, t->watch.read); /* before they are read: what changes meanwhile is read again */
    if (t->is_server && !copy.ca != !t->files.ca)
        r = err_set(-EINVAL, "whether clients need a certificate changes at the next start");
    else
        r = load(t, &copy);
    if (r < 0) {
        files_free(&copy);
        return r;
    }
    files_free(&t->files);
    t->files = copy;
    return 0;
}

static void on_watch(struct loop_timer *timer)
{
    struct rpc_tls *t = container_of(timer, struct rpc_tls, watch.timer);
    struct stamp now[N_FILES];
    stamp_files(&t->files, now);
    const bool is_at_rest = memcmp(now, t->watch.seen, sizeof(now)) == 0;
    const bool is_new = memcmp(now, t->watch.read, sizeof(now)) != 0;
    memcpy(t->watch.seen, now, sizeof(now));
    loop_timer_start(timer, WATCH_MS);
    if (!is_at_rest || !is_new)
        return;
    char text[512];
    int r = rpc_tls_reload(t, NULL);
    t->watch.fn(r, r < 0 ? err_text() : rpc_tls_describe(t, text, sizeof(text)), t->watch.arg);
}

void rpc_tls_watch(struct rpc_tls *t, struct loop *loop, rpc_tls_reloaded_fn *fn, void *arg)
{
    assert(!t->watch.fn);
    t->watch.fn = fn;
    t->watch.arg = arg;
    memcpy(t->watch.seen, t->watch.read, sizeof(t->watch.seen));
    loop_timer_init(&t->watch.timer, loop, on_watch);
    loop_timer_start(&t->watch.timer, WATCH_MS);
}

void rpc_tls_unwatch(struct rpc_tls *t)
{
    if (!t->watch.fn)
        return;
    loop_timer_stop(&t->watch.timer);
    t->watch.fn = NULL;
}

char *rpc_tls_describe(struct rpc_tls *t, char *text, size_t n)
{
    struct rpc_tls_material *m = rpc_tls_material(t);
    if (m->certificate)
        snprintf(text, n, "certificate %s, valid until %s", m->subject, m->valid_until);
    else
        snprintf(text, n, "no certificate of our own");
    rpc_tls_material_unref(m);
    return text;
}

/* --- For the other files of rpc */

struct rpc_tls_material *rpc_tls_material(struct rpc_tls *t)
{
    pthread_mutex_lock(&t->shared.mutex);
    struct rpc_tls_material *m = t->shared.material;
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&t->shared.mutex);
    return m;
}

void rpc_tls_refused(struct rpc_tls *t, const char *text)
{
    if (t->on_refused)
        t->on_refused(text, t->arg);
}

static grpc_tls_credentials_options *make_options(struct rpc_tls *t, const char *host,
                                                  grpc_tls_certificate_provider *provider)
{
    grpc_tls_credentials_options *options = grpc_tls_credentials_options_create();
    grpc_tls_certificate_verifier *verifier = rpc_tls_verifier(t, host);
    if (!verifier)
        abort(); /* memory is short; without it anybody would be believed */
    grpc_tls_credentials_options_set_certificate_verifier(options, verifier);
    grpc_tls_certificate_verifier_release(verifier);
    if (provider) {
        grpc_tls_credentials_options_set_certificate_provider(options, provider);
        grpc_tls_credentials_options_watch_identity_key_cert_pairs(options);
        grpc_tls_certificate_provider_release(provider);
    }
    return options;
}

static grpc_tls_certificate_provider *client_provider(const struct rpc_tls_material *m)
{
    if (!m->certificate)
        return NULL;
    grpc_tls_identity_pairs *pairs = grpc_tls_identity_pairs_create();
    grpc_tls_identity_pairs_add_pair(pairs, m->key, m->certificate);
    return grpc_tls_certificate_provider_static_data_create(NULL, pairs);
}

/* "[::1]:50516", "cloud.example:50516", "localhost" without the port. */
static void host_of(const char *authority, char *host, size_t n)
{
    const char *colon = strrchr(authority, ':');
    size_t len = colon ? (size_t)(colon - authority) : strlen(authority);
    if (len >= 2 && authority[0] == '[' && authority[len - 1] == ']') {
        authority++;
        len -= 2;
    }
    snprintf(host, n, "%.*s", (int)len, authority);
}

/* A channel lasts for one attempt (rpc_channel.h), so that a certificate once read is good enough for it. */
int rpc_tls_channel_credentials(struct rpc_tls *t, const char *authority, grpc_channel_credentials **ret_credentials)
{
    char host[256];
    host_of(authority ? authority : "", host, sizeof(host));
    if (host[0] == '\0')
        return err_set(-EINVAL, "TLS: the other side has no name to be checked");
    struct rpc_tls_material *m = rpc_tls_material(t);
    grpc_tls_credentials_options *options = make_options(t, host, client_provider(m));
    rpc_tls_material_unref(m);
    grpc_tls_credentials_options_set_verify_server_cert(options, 0); /* the verifier does, completely */
    grpc_tls_credentials_options_set_check_call_host(options, 0);    /* all calls are to the host that it knows */
    *ret_credentials = grpc_tls_credentials_create(options);
    return 0;
}

grpc_server_credentials *rpc_tls_server_credentials(struct rpc_tls *t)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", t->fd);
    grpc_tls_credentials_options *options =
        make_options(t, NULL, grpc_tls_certificate_provider_file_watcher_create(path, path, NULL, GRPC_WATCH_S));
    /* Whoever shows none is refused by the verifier, which can say so. */
    grpc_tls_credentials_options_set_cert_request_type(options,
                                                       t->files.ca ? GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY
                                                                   : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
    return grpc_tls_server_credentials_create(options);
}
