/* See mailbox.h. Two lists: posters append to `_shared` under its lock; the loop thread takes all of it at once into
 * `batch` and runs that without a lock. */
#include "mailbox.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <uv.h>

#include "err.h"
#include "loop.h"

/* A flood of mail must leave room for sockets and timers: the rest comes in the next turn. */
enum { MAILBOX_MAILS_PER_TURN = 1024 };

struct mailbox {
    struct loop *loop;
    uv_async_t wake_up;
    struct loop_task turn; /* the wake-up of posts from the loop's own thread: without a system call */
    struct mail *batch;    /* taken and not run yet; loop thread only */
    struct {               /* only under the lock */
        pthread_mutex_t lock;
        struct mail *first;
        struct mail **end; /* where the next mail goes */
    } _shared;
};

/* Everything posted becomes the batch, which is empty. */
static void mailbox_take(struct mailbox *m)
{
    pthread_mutex_lock(&m->_shared.lock);
    m->batch = m->_shared.first;
    m->_shared.first = NULL;
    m->_shared.end = &m->_shared.first;
    pthread_mutex_unlock(&m->_shared.lock);
}

/* False if there is none. */
static bool mailbox_run_one(struct mailbox *m)
{
    if (!m->batch)
        mailbox_take(m);
    struct mail *mail = m->batch;
    if (!mail)
        return false;
    m->batch = mail->next;
    mail->fn(mail); /* the mail is gone from here on; M lasts at least until the end of the turn */
    return true;
}

static void mailbox_run(struct mailbox *m)
{
    for (int i = 0; i < MAILBOX_MAILS_PER_TURN; i++) {
        if (!mailbox_run_one(m))
            return;
    }
    if (!uv_is_closing((uv_handle_t *)&m->wake_up))
        loop_defer(m->loop, &m->turn);
}

static void mailbox_on_wake_up(uv_async_t *wake_up)
{
    mailbox_run(wake_up->data);
}

static void mailbox_on_turn(struct loop_task *turn)
{
    mailbox_run(container_of(turn, struct mailbox, turn));
}

int mailbox_new(struct loop *loop, struct mailbox **ret_mailbox)
{
    struct mailbox *m = calloc(1, sizeof(*m));
    if (!m)
        return err_errno(-ENOMEM, "mailbox");
    int r = uv_async_init(loop_uv(loop), &m->wake_up, mailbox_on_wake_up);
    if (r < 0) {
        free(m);
        return err_errno(r, "mailbox");
    }
    m->loop = loop;
    loop_task_init(&m->turn, mailbox_on_turn);
    m->wake_up.data = m;
    pthread_mutex_init(&m->_shared.lock, NULL);
    m->_shared.end = &m->_shared.first;
    *ret_mailbox = m;
    return 0;
}

static void mailbox_on_closed(uv_handle_t *wake_up)
{
    struct mailbox *m = wake_up->data;
    assert(!m->_shared.first);
    pthread_mutex_destroy(&m->_shared.lock);
    free(m);
}

struct mailbox *mailbox_free(struct mailbox *m)
{
    if (!m)
        return NULL;
    while (mailbox_run_one(m))
        ;
    loop_task_cancel(&m->turn);
    uv_close((uv_handle_t *)&m->wake_up, mailbox_on_closed);
    return NULL;
}

struct loop *mailbox_loop(const struct mailbox *m)
{
    return m->loop;
}

void mailbox_post(struct mailbox *m, struct mail *mail)
{
    mail->next = NULL;
    pthread_mutex_lock(&m->_shared.lock);
    bool was_empty = !m->_shared.first;
    *m->_shared.end = mail;
    m->_shared.end = &mail->next;
    /* Still under the lock: once it is open the loop thread may run this mail and, with it, free the mailbox. */
    if (was_empty && loop_current() == m->loop)
        loop_defer(m->loop, &m->turn);
    else if (was_empty)
        uv_async_send(&m->wake_up);
    pthread_mutex_unlock(&m->_shared.lock);
}
