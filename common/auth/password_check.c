/* See password_check.h. Everything that threads share stands in the checker, under its one lock, which nobody holds
 * while a hash is computed. */
#include "password_check.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "err.h"
#include "list.h"
#include "mailbox.h"
#include "map.h"
#include "password_file.h"
#include "random.h"
#include "thread.h"

enum {
    DIGEST_LEN = 32,
    REMEMBERED_WAYS = 8, /* places where one digest may stand */
    REMEMBERED_SETS = PASSWORD_CHECK_REMEMBERED / REMEMBERED_WAYS,
    PASSWORD_CHECK_NICE = 5, /* how much less than a loop's is the priority of a thread */
};

/* One who waits. Owned by the loop that asked. */
struct password_check {
    struct mail mail;
    struct list link; /* in job->waiters, under the lock; linked to itself: the mail is on its way */
    struct password_checker *checker;
    struct password_job *job;
    struct mailbox *mailbox;
    password_check_fn *fn; /* NULL: cancelled */
    void *arg;
    enum password_answer answer;
};

/* One computation, and those who wait for it. */
struct password_job {
    struct list link; /* in a bucket, then in `running` */
    struct list waiters;
    struct password_bucket *bucket; /* NULL: a thread has it */
    struct password_file *file;     /* one reference, for the hash */
    const struct password_hash *hash;
    bool is_known;
    uint8_t digest[DIGEST_LEN]; /* of all that decides the answer */
    size_t len;
    char password[];
};

struct password_bucket {
    struct list jobs;
    unsigned count;
};

struct remembered {
    uint8_t digest[DIGEST_LEN];
    uint64_t used; /* when, by the checker's count of uses; 0: empty */
};

struct password_checker {
    uint8_t secret[DIGEST_LEN];
    pthread_t *threads;
    unsigned n_threads;
    struct { /* only under the lock */
        pthread_mutex_t lock;
        pthread_cond_t has_work;
        bool is_stopping;
        struct password_file *file;
        struct password_bucket buckets[PASSWORD_CHECK_BUCKETS];
        unsigned next_bucket;
        struct list running;
        struct remembered *remembered; /* REMEMBERED_SETS times REMEMBERED_WAYS */
        uint64_t n_uses;
        struct password_checker_counts counts;
    } _shared;
};

/* --- What was right before */

static struct remembered *remembered_set(const struct password_checker *c, const uint8_t *digest)
{
    uint32_t number;
    memcpy(&number, digest, sizeof(number));
    return &c->_shared.remembered[(size_t)(number % REMEMBERED_SETS) * REMEMBERED_WAYS];
}

static bool is_remembered(struct password_checker *c, const uint8_t *digest)
{
    struct remembered *set = remembered_set(c, digest);
    for (int i = 0; i < REMEMBERED_WAYS; i++) {
        if (set[i].used && memcmp(set[i].digest, digest, DIGEST_LEN) == 0) {
            set[i].used = ++c->_shared.n_uses;
            return true;
        }
    }
    return false;
}

/* In place of what has not been used for the longest time. */
static void remember(struct password_checker *c, const uint8_t *digest)
{
    struct remembered *set = remembered_set(c, digest), *oldest = set;
    for (int i = 1; i < REMEMBERED_WAYS; i++)
        oldest = set[i].used < oldest->used ? &set[i] : oldest;
    memcpy(oldest->digest, digest, DIGEST_LEN);
    oldest->used = ++c->_shared.n_uses;
}

/* All that decides the answer, with the secret around it: nobody outside can tell which digest a password has. */
static bool digest_of(const struct password_checker *c, const struct password_job *job, const void *user,
                      size_t user_len, uint8_t *ret_digest)
{
    const struct password_hash *h = job->hash;
    const uint64_t lengths[] = {user_len, job->len, h->salt_len, h->key_len, job->is_known};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const bool is_done =
        ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
        EVP_DigestUpdate(ctx, c->secret, sizeof(c->secret)) == 1 &&
        EVP_DigestUpdate(ctx, lengths, sizeof(lengths)) == 1 && EVP_DigestUpdate(ctx, user, user_len) == 1 &&
        EVP_DigestUpdate(ctx, job->password, job->len) == 1 && EVP_DigestUpdate(ctx, h->salt, h->salt_len) == 1 &&
        EVP_DigestUpdate(ctx, h->key, h->key_len) == 1 && EVP_DigestUpdate(ctx, c->secret, sizeof(c->secret)) == 1 &&
        EVP_DigestFinal_ex(ctx, ret_digest, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return is_done;
}

/* --- Jobs */

static struct password_file *take_file(struct password_checker *c)
{
    pthread_mutex_lock(&c->_shared.lock);
    struct password_file *file = password_file_ref(c->_shared.file);
    pthread_mutex_unlock(&c->_shared.lock);
    return file;
}

static struct password_job *job_free(struct password_job *job)
{
    if (!job)
        return NULL;
    password_file_unref(job->file);
    OPENSSL_clear_free(job, sizeof(*job) + job->len);
    return NULL;
}

/* NULL: no memory. Its hash is NULL if the file holds nobody. */
static struct password_job *job_new(struct password_checker *c, const void *user, size_t user_len, const void *password,
                                    size_t len)
{
    struct password_job *job = OPENSSL_zalloc(sizeof(*job) + len);
    if (!job)
        return NULL;
    list_init(&job->link);
    list_init(&job->waiters);
    job->len = len;
    if (len > 0)
        memcpy(job->password, password, len);
    job->file = take_file(c);
    job->hash = password_file_find(job->file, user, user_len, &job->is_known);
    if (job->hash && !digest_of(c, job, user, user_len, job->digest))
        return job_free(job);
    return job;
}

static struct password_job *job_find_in(struct list *jobs, const uint8_t *digest)
{
    list_for_each (it, jobs) {
        struct password_job *job = list_entry(it, struct password_job, link);
        if (memcmp(job->digest, digest, DIGEST_LEN) == 0)
            return job;
    }
    return NULL;
}

static struct password_bucket *bucket_of(struct password_checker *c, const void *user, size_t len)
{
    return &c->_shared.buckets[map_hash_bytes(user, len) % PASSWORD_CHECK_BUCKETS];
}

static void job_enqueue(struct password_checker *c, struct password_job *job, struct password_bucket *bucket)
{
    job->bucket = bucket;
    list_add_tail(&bucket->jobs, &job->link);
    bucket->count++;
    c->_shared.counts.waiting++;
    pthread_cond_signal(&c->_shared.has_work);
}

static void job_dequeue(struct password_checker *c, struct password_job *job)
{
    list_del(&job->link);
    job->bucket->count--;
    job->bucket = NULL;
    c->_shared.counts.waiting--;
}

/* The next one in turn; NULL when there is nothing to do. */
static struct password_job *job_next(struct password_checker *c)
{
    for (unsigned i = 0; i < PASSWORD_CHECK_BUCKETS; i++) {
        struct password_bucket *bucket = &c->_shared.buckets[c->_shared.next_bucket++ % PASSWORD_CHECK_BUCKETS];
        struct list *first = list_first(&bucket->jobs);
        if (first)
            return list_entry(first, struct password_job, link);
    }
    return NULL;
}

/* --- Threads */

static struct password_job *wait_for_job(struct password_checker *c)
{
    struct password_job *job;
    while (!c->_shared.is_stopping) {
        job = job_next(c);
        if (job)
            return job;
        pthread_cond_wait(&c->_shared.has_work, &c->_shared.lock);
    }
    return NULL;
}

/* Posting under the lock: whoever cancels afterwards knows that the mail is on its way. */
static void job_answer(struct password_job *job, enum password_answer answer)
{
    list_for_each_safe (it, next, &job->waiters) {
        struct password_check *check = list_entry(it, struct password_check, link);
        list_del(&check->link);
        check->answer = answer;
        mailbox_post(check->mailbox, &check->mail);
    }
}

static void job_run(struct password_checker *c, struct password_job *job)
{
    job_dequeue(c, job);
    list_add_tail(&c->_shared.running, &job->link);
    pthread_mutex_unlock(&c->_shared.lock);
    const int r = password_hash_check(job->hash, job->password, job->len);
    pthread_mutex_lock(&c->_shared.lock);
    list_del(&job->link);
    c->_shared.counts.computed++;
    if (r == 0 && job->is_known)
        remember(c, job->digest);
    job_answer(job, r < 0 ? PASSWORD_BUSY : r == 0 && job->is_known ? PASSWORD_RIGHT : PASSWORD_WRONG);
    job_free(job);
}

static void *password_checker_run(void *arg)
{
    struct password_checker *c = arg;
    struct password_job *job;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), PASSWORD_CHECK_NICE); /* of this thread, on Linux */
    pthread_mutex_lock(&c->_shared.lock);
    while ((job = wait_for_job(c)))
        job_run(c, job);
    pthread_mutex_unlock(&c->_shared.lock);
    return NULL;
}

static int start_threads(struct password_checker *c, unsigned n)
{
    c->threads = calloc(n, sizeof(c->threads[0]));
    if (!c->threads)
        return err_errno(-ENOMEM, "password threads");
    while (c->n_threads < n) {
        char name[THREAD_NAME_MAX];
        snprintf(name, sizeof(name), "password-%u", c->n_threads % 1000); /* so that it fits: gcc asks, with TSan */
        int r = thread_start(name, password_checker_run, c, &c->threads[c->n_threads]);
        if (r < 0)
            return r;
        c->n_threads++;
    }
    return 0;
}

static void stop_threads(struct password_checker *c)
{
    pthread_mutex_lock(&c->_shared.lock);
    c->_shared.is_stopping = true;
    pthread_cond_broadcast(&c->_shared.has_work);
    pthread_mutex_unlock(&c->_shared.lock);
    for (unsigned i = 0; i < c->n_threads; i++)
        pthread_join(c->threads[i], NULL);
    free(c->threads);
}

/* --- Life */

static int password_checker_init(struct password_checker *c, const char *file, unsigned n_threads)
{
    c->_shared.remembered = calloc(PASSWORD_CHECK_REMEMBERED, sizeof(struct remembered));
    if (!c->_shared.remembered)
        return err_errno(-ENOMEM, "%s", file);
    int r = random_bytes(c->secret, sizeof(c->secret));
    if (r == 0)
        r = password_file_load(file, &c->_shared.file);
    return r == 0 ? start_threads(c, n_threads) : r;
}

int password_checker_new(const char *file, unsigned n_threads, struct password_checker **ret_checker)
{
    struct password_checker *c = calloc(1, sizeof(*c));
    if (!c)
        return err_errno(-ENOMEM, "%s", file);
    pthread_mutex_init(&c->_shared.lock, NULL);
    pthread_cond_init(&c->_shared.has_work, NULL);
    list_init(&c->_shared.running);
    for (int i = 0; i < PASSWORD_CHECK_BUCKETS; i++)
        list_init(&c->_shared.buckets[i].jobs);
    int r = password_checker_init(c, file, n_threads);
    if (r < 0)
        password_checker_free(c);
    else
        *ret_checker = c;
    return r;
}

struct password_checker *password_checker_free(struct password_checker *c)
{
    if (!c)
        return NULL;
    stop_threads(c);
    assert(!job_next(c));
    password_file_unref(c->_shared.file);
    if (c->_shared.remembered)
        OPENSSL_cleanse(c->_shared.remembered, PASSWORD_CHECK_REMEMBERED * sizeof(struct remembered));
    free(c->_shared.remembered);
    pthread_cond_destroy(&c->_shared.has_work);
    pthread_mutex_destroy(&c->_shared.lock);
    OPENSSL_cleanse(c->secret, sizeof(c->secret));
    free(c);
    return NULL;
}

int password_checker_reload(struct password_checker *c, const char *file)
{
    struct password_file *fresh, *before;
    int r = password_file_load(file, &fresh);
    if (r < 0)
        return r;
    pthread_mutex_lock(&c->_shared.lock);
    before = c->_shared.file;
    c->_shared.file = fresh;
    pthread_mutex_unlock(&c->_shared.lock);
    password_file_unref(before);
    return 0;
}

struct password_checker_counts password_checker_counts(struct password_checker *c)
{
    pthread_mutex_lock(&c->_shared.lock);
    const struct password_checker_counts counts = c->_shared.counts;
    pthread_mutex_unlock(&c->_shared.lock);
    return counts;
}

/* --- Checks */

static void password_check_on_mail(struct mail *mail)
{
    struct password_check *check = container_of(mail, struct password_check, mail);
    password_check_fn *fn = check->fn;
    void *arg = check->arg;
    const enum password_answer answer = check->answer;
    free(check);
    if (fn)
        fn(answer, arg);
}

/* JOB, or one that computes the same, is what CHECK waits for. JOB is taken only if it is put into the queue: *JOB is
 * NULL then. */
static enum password_answer wait_for(struct password_checker *c, struct password_job **job,
                                     struct password_bucket *bucket, struct password_check *check)
{
    if ((*job)->is_known && is_remembered(c, (*job)->digest)) {
        c->_shared.counts.remembered++;
        return PASSWORD_RIGHT;
    }
    struct password_job *same = job_find_in(&bucket->jobs, (*job)->digest);
    if (!same)
        same = job_find_in(&c->_shared.running, (*job)->digest);
    if (!same && bucket->count >= PASSWORD_CHECK_WAITING_MAX * c->n_threads) {
        c->_shared.counts.busy++;
        return PASSWORD_BUSY;
    }
    if (!same) {
        same = *job;
        *job = NULL;
        job_enqueue(c, same, bucket);
    }
    check->job = same;
    list_add_tail(&same->waiters, &check->link);
    return PASSWORD_LATER;
}

/* NULL: no memory. */
static struct password_check *check_new(struct password_checker *c, struct mailbox *m, password_check_fn *fn, void *arg)
{
    struct password_check *check = malloc(sizeof(*check));
    if (!check)
        return NULL;
    *check =
        (struct password_check){.mail.fn = password_check_on_mail, .checker = c, .mailbox = m, .fn = fn, .arg = arg};
    list_init(&check->link);
    return check;
}

enum password_answer password_check_start(struct password_checker *c, struct mailbox *m, const void *user,
                                          size_t user_len, const void *password, size_t password_len,
                                          password_check_fn *fn, void *arg, struct password_check **ret_check)
{
    struct password_check *check = check_new(c, m, fn, arg);
    struct password_job *job = job_new(c, user, user_len, password, password_len);
    enum password_answer answer = PASSWORD_BUSY;
    if (check && job && job->hash) {
        pthread_mutex_lock(&c->_shared.lock);
        answer = wait_for(c, &job, bucket_of(c, user, user_len), check);
        pthread_mutex_unlock(&c->_shared.lock);
    } else if (check && job) {
        answer = PASSWORD_WRONG; /* nobody is in the file */
    }
    job_free(job);
    if (answer == PASSWORD_LATER)
        *ret_check = check;
    else
        free(check);
    return answer;
}

/* A job that nobody waits for any more is not begun. */
static void stop_waiting(struct password_checker *c, struct password_check *check)
{
    struct password_job *job = check->job;
    list_del(&check->link);
    if (!list_is_empty(&job->waiters) || !job->bucket)
        return;
    job_dequeue(c, job);
    job_free(job);
}

struct password_check *password_check_cancel(struct password_check *check)
{
    if (!check)
        return NULL;
    struct password_checker *c = check->checker;
    check->fn = NULL;
    pthread_mutex_lock(&c->_shared.lock);
    const bool is_waiting = list_is_linked(&check->link);
    if (is_waiting)
        stop_waiting(c, check);
    pthread_mutex_unlock(&c->_shared.lock);
    if (is_waiting)
        free(check);
    return NULL;
}
