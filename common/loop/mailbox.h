/* Work from one thread to another: the only way threads meet.
 *
 *   any thread --mailbox_post(mail)--> [ list under a mutex ] --one wake-up per batch--> loop thread: mail->fn(mail),
 * in order
 *
 * A post to a mailbox that already has unread mail costs no system call. A mail is memory of the poster (usually the
 * first member of its own struct); it must stay until its function runs, which owns it from then on. */
#ifndef MAILBOX_H
#define MAILBOX_H

#include <stdbool.h>

#include "list.h"

struct loop;
struct mailbox;
struct mail;
typedef void mail_fn(struct mail *mail);
struct mail {
    mail_fn *fn;
    struct mail *next; /* private to the mailbox while posted */
};

/* Belongs to LOOP, wakes it and keeps it alive: loop_run() waits for mail until loop_stop() or mailbox_free(). */
int mailbox_new(struct loop *loop, struct mailbox **ret_mailbox);
/* Loop thread only. Mail still unread is run first; posting afterwards is an error of the caller. */
struct mailbox *mailbox_free(struct mailbox *m);
/* The loop that it belongs to. */
struct loop *mailbox_loop(const struct mailbox *m);
/* Any thread. Mails of one poster run in the order posted. */
void mailbox_post(struct mailbox *m, struct mail *mail);

#endif
