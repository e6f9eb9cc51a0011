/* What of this worker has to survive, on its way to the store (common/store).
 *
 *   changes of a turn --> [ journal grows ] --end of the turn, when no commit is on its way--> one batch --> store
 *        acknowledgements wait --------------------------------------------------------------> done: they leave
 *
 * Sessions, subscriptions and retained messages are records of their own (bk_record.h). Deliveries are not: the
 * messages of a batch, each with the sessions that it is for and their numbers there, are a few values, segments. What
 * has been acknowledged is said by the window of its session (which numbers are open, which are done), written anew
 * with each batch in which it has changed. A segment is deleted when nothing in it is due any more. A message whose
 * deliveries are all done before its batch begins is never written. A segment of which little is due for some time is
 * read again and written without the rest, under its own key (bk_compact.h), so that one old message does not keep
 * thousands. (Not those from before a restart that several workers share.)
 *
 * Kept are sessions that outlive their connection (expiry above 0), and all retained messages. Without a store (or with
 * one in memory) a worker has no journal: every function here takes that.
 *
 * With several workers an answer waits for more: for the others to have with the store what they were sent before its
 * batch began (bk_peers_hold()). Batches themselves wait for nobody.
 *
 * A QoS 2 message and the id of its exchange have to be with the store at the same time. If all who get it are at one
 * other worker, that one writes the id too. If they are at several, each worker writes with its copies who of its
 * sessions has had it (bk_marks.h), and the id is written when all have confirmed. If the process ends in between the
 * client repeats its PUBLISH, and it goes to those alone who have not had it.
 *
 * Rules of QoS 2: a PUBLISH leaves when its message is with the disk, PUBREC, PUBREL and PUBCOMP when the state that
 * they tell of is. QoS 1 and 0 leave at once. */
#ifndef BK_JOURNAL_H
#define BK_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "mqtt_packet.h"
#include "store.h"

struct bk_client;
struct bk_entry;
struct bk_journal;
struct bk_message;
struct bk_peer;
struct bk_publication;
struct bk_segment;
struct bk_session;
struct bk_shared_segment;
struct bk_worker;

/* NULL if memory is short. On the worker's loop. Until bk_journal_start() only the restore functions may be used. */
struct bk_journal *bk_journal_new(struct bk_worker *w);
/* Writing begins. 0 or negative errno with err_text(). */
int bk_journal_start(struct bk_journal *j, struct store *store);
/* Writes what is left and waits for it: nothing is written from here on. NULL is fine. */
void bk_journal_stop(struct bk_journal *j);
/* No session is left. NULL is fine. Returns NULL. */
struct bk_journal *bk_journal_free(struct bk_journal *j);

/* --- Changes */

/* S is new, or its client, its expiry or its Will have changed. */
void bk_journal_session(struct bk_session *s);
/* S ends, its records too. */
void bk_journal_session_gone(struct bk_session *s);
/* S is freed: the journal forgets it, its records stay as they are. */
void bk_journal_leave(struct bk_session *s);
/* Subscription SERIAL of S is new or has other options. */
void bk_journal_subscription(struct bk_session *s, uint32_t serial, struct mqtt_bytes filter, uint32_t options,
                             uint32_t identifier);
void bk_journal_subscription_gone(struct bk_session *s, uint32_t serial);
/* What is retained under TOPIC is M from now on; NULL: nothing. */
void bk_journal_retained(struct bk_worker *w, struct mqtt_bytes topic, struct bk_message *m);
/* P's message as it goes into S's queue: the one that P has, or a copy where that one is in a segment already. A
 * reference stays P's. NULL: out of memory. */
struct bk_message *bk_journal_message(struct bk_session *s, struct bk_publication *p);
/* E, the last of S's queue, is due. */
void bk_journal_delivery(struct bk_session *s, struct bk_entry *e);
/* E's message is not needed any more. */
void bk_journal_done(struct bk_session *s, struct bk_entry *e);
/* Numbers of S have been begun or done, or its inbound ids have changed. */
void bk_journal_window(struct bk_session *s);

/* --- Paging, see bk_page.h */

/* S, which has no client, is to be paged out with the next commit. */
void bk_journal_page_later(struct bk_session *s);
/* E's message leaves memory, where that is of use. E waits. False: later, it is not with the disk yet. */
bool bk_journal_page_out(struct bk_session *s, struct bk_entry *e);
/* It is back as M, a reference of which stays the caller's: one for all entries of a message that come back together.
 * M is new, E is paged out. */
void bk_journal_page_in(struct bk_session *s, struct bk_entry *e, struct bk_message *m);
/* Read SEGMENT: a page of one record, or of none. */
void bk_journal_read(struct bk_journal *j, const struct bk_segment *segment, store_scan_fn *fn, void *arg);

/* Regularly: compact what is sparse. */
void bk_journal_tick(struct bk_journal *j);

/* --- Waiting */

/* Whether E's message is where it survives, or never will be. */
bool bk_journal_is_safe(const struct bk_session *s, const struct bk_entry *e);
/* Counts changes: if it differs before and after, what was done in between must wait for the next commit. */
uint64_t bk_journal_changes(const struct bk_worker *w);

struct bk_waiter {
    struct bk_client *client; /* NULL: it has gone */
    struct bk_peer *peer;     /* not a client's answer: batch NUMBER of this peer is to be confirmed; or */
    bool is_return;           /* what this peer has returned is kept here, or batch NUMBER waited for that */
    uint64_t number;          /* or, IS_EXCHANGE: of the session whose exchange ID has got so far */
    bool is_exchange;
    bool is_written; /* the id is in the store, see bk_journal_inbound() */
    uint8_t *packet; /* encoded, owned; NULL: an acknowledgement of the fields below, or CONNACK */
    uint32_t packet_len;
    uint16_t id;
    uint8_t type; /* enum mqtt_type */
    uint8_t reason;
};

/* Send it when everything changed so far has been committed; takes over W->packet. */
void bk_journal_wait(struct bk_worker *w, const struct bk_waiter *waiter);
/* A peer has been sent what has to survive: counts as a change, without one here. */
void bk_journal_promise(struct bk_worker *w);
/* P, as this worker keeps it, is part of an exchange, if it says so: its id, or P's marks, are written with it. */
void bk_journal_inbound(struct bk_worker *w, const struct bk_publication *p);
/* Exchange ID of S is over. */
void bk_journal_inbound_gone(struct bk_session *s, uint16_t id);
/* C goes: what waits for it is forgotten. */
void bk_journal_forget(struct bk_client *c);
/* The store has no room for something of any worker: nothing new can be promised. */
bool bk_journal_is_full(const struct bk_worker *w);

/* --- After a restart, see bk_recover.c */

/* S is known from its record. 0 or -ENOMEM. */
int bk_journal_restore_session(struct bk_journal *j, struct bk_session *s);
/* NULL: there is none. */
struct bk_session *bk_journal_find_session(const struct bk_journal *j, uint64_t number);
/* A segment with this KEY that was written before; SHARED is who has it besides (bk_recover.h). NULL: out of memory. */
struct bk_segment *bk_journal_restore_segment(struct bk_journal *j, const void *key, size_t key_len,
                                              struct bk_shared_segment *shared);
/* M, of SEGMENT, is due to N. */
void bk_journal_restore_message(struct bk_segment *segment, struct bk_message *m, uint32_t n);
/* All of it has been read, N messages in BYTES: it goes if nothing in it is due. */
void bk_journal_restore_done(struct bk_segment *segment, uint32_t n, size_t bytes);

#endif
