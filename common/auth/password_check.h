/* Users and passwords checked without keeping a loop: a hash costs 50 to 100 ms of CPU, on purpose.
 *
 *   loop: password_check_start() --known from before--> PASSWORD_RIGHT at once
 *              |  [ bounded queue ] --> checker's threads: the hash --> mailbox of the loop: FN(answer, ARG)
 *              '--the same user and password are being checked already: both wait for one computation
 *
 * What was right is remembered (a keyed SHA-256 of user, password and the line of the file; the key is random and lives
 * in this process only), so that a fleet that comes back costs microseconds each. A changed line is another key:
 * reading the file again forgets exactly those whose line has changed. What was wrong is never remembered.
 *
 * The queue has PASSWORD_CHECK_BUCKETS parts, chosen by user name and served in turn: guessing one user's password
 * delays a few others, not all. An unknown user takes the same way and the same time as a wrong password.
 *
 * One object for the process. The threads run at a lower priority than the loops. */
#ifndef AUTH_PASSWORD_CHECK_H
#define AUTH_PASSWORD_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mailbox;
struct password_check;
struct password_checker;

enum {
    PASSWORD_CHECK_BUCKETS = 16,
    PASSWORD_CHECK_WAITING_MAX = 16, /* computations that wait in one bucket for each thread: about 10 s in all */
    PASSWORD_CHECK_REMEMBERED = 16384,
};

enum password_answer {
    PASSWORD_RIGHT = 0,
    PASSWORD_WRONG, /* wrong password or unknown user: nobody can tell which */
    PASSWORD_LATER, /* of password_check_start() only: FN will tell */
    PASSWORD_BUSY,  /* too many wait already, or no memory: the server is busy (0x89; 3.x: 3) */
};

/* RIGHT, WRONG or BUSY, on the loop of the mailbox. The check is gone with it. */
typedef void password_check_fn(enum password_answer answer, void *arg);

/* Reads FILE (password_file.h) and starts N_THREADS (>= 1). 0 or negative errno with err_text(): file, line, reason. */
int password_checker_new(const char *file, unsigned n_threads, struct password_checker **ret_checker);
/* No check may be under way: their owners have cancelled them. Joins the threads. NULL is fine. Returns NULL. */
struct password_checker *password_checker_free(struct password_checker *c);
/* Read again, from FILE; any thread. Checks that are under way are answered by what was read before. 0; negative errno
 * with err_text(): all is as it was. */
int password_checker_reload(struct password_checker *c, const char *file);

/* Any loop; M is its mailbox. Neither USER nor PASSWORD is needed after the call. Only with PASSWORD_LATER is
 * *RET_CHECK set, owned by the caller until FN runs; FN never runs inside this call. */
enum password_answer password_check_start(struct password_checker *c, struct mailbox *m, const void *user,
                                          size_t user_len, const void *password, size_t password_len,
                                          password_check_fn *fn, void *arg, struct password_check **ret_check);
/* FN will not run any more. On the loop of the check; before its mailbox is freed. NULL is fine. Returns NULL. */
struct password_check *password_check_cancel(struct password_check *check);

/* For metrics; any thread. */
struct password_checker_counts {
    uint64_t computed;   /* hashes */
    uint64_t remembered; /* answers without one */
    uint64_t busy;
    uint64_t waiting; /* computations that wait now */
};
struct password_checker_counts password_checker_counts(struct password_checker *c);

#endif
