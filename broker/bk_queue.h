/* What one session has to get with QoS 1 and 2: sent and not acknowledged yet, or waiting (MQTT 5.0 sections 4.3, 4.4,
 * 4.9). One ring in the order of delivery:
 *
 *    head                      next                     tail
 *     | SENT | done | RELEASED | WAITING | WAITING | ... |
 *     '-- packet ids given ----'
 *
 *   push: WAITING --begin: a packet id--> SENT --PUBACK, or PUBREC >= 0x80--> done
 *                                           '--PUBREC--> RELEASED --PUBCOMP--> done
 *
 * Packet ids follow each other, so an id tells its place. An exchange that is still open when the ids have gone round
 * once steps aside (`stragglers`), its id is passed over. Every call is O(1) but for those. One loop. */
#ifndef BK_QUEUE_H
#define BK_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bk_message;
struct bk_segment;
struct bk_tag;

enum bk_entry_state {
    BK_ENTRY_DONE = 0,
    BK_ENTRY_WAITING,
    BK_ENTRY_SENT,     /* PUBLISH has been sent on some connection */
    BK_ENTRY_RELEASED, /* QoS 2: PUBREC has come, PUBREL has been sent */
};

struct bk_entry {
    struct bk_message *message; /* one reference; NULL: nobody can ask for it again, or it is paged out */
    struct bk_segment *segment; /* paged out (bk_page.h), and lies in this one; NULL: it is not */
    struct bk_tag *tag;         /* one reference; NULL: none */
    uint64_t number;            /* its place among all of the session */
    uint32_t bytes;             /* of the message, here or not */
    uint16_t id;                /* packet id; 0 while WAITING */
    uint8_t qos : 2;
    uint8_t state : 2; /* enum bk_entry_state */
    bool retain : 1;
    bool is_unsent : 1;     /* after a resume: SENT or RELEASED before, not repeated on this connection yet */
    bool is_in_journal : 1; /* its segment says that it is due, or will */
};

struct bk_queue {
    struct bk_entry *ring;
    uint32_t cap; /* of the ring, a power of two; 0: no ring */
    uint32_t n_stragglers;
    uint64_t head, next, tail; /* numbers of entries, counted from the session's beginning */
    uint64_t paged_to;         /* what waits before this number has been paged out, or stays */
    uint32_t n_paged;          /* entries whose message is paged out */
    uint32_t open;             /* SENT or RELEASED, stragglers included */
    uint32_t skips;            /* ids passed over since the stragglers began */
    uint16_t last_id;
    size_t bytes;                /* of the messages, those that are paged out too */
    struct bk_entry *stragglers; /* in their order */
};

/* All zero is a good queue too. */
void bk_queue_deinit(struct bk_queue *q);

static inline uint64_t bk_queue_waiting(const struct bk_queue *q)
{
    return q->tail - q->next;
}

static inline bool bk_queue_is_empty(const struct bk_queue *q)
{
    return q->head == q->tail && q->n_stragglers == 0;
}

/* One more at the end, WAITING. Takes over both references, on failure too. 0 or -ENOMEM. */
int bk_queue_push(struct bk_queue *q, struct bk_message *message, struct bk_tag *tag, uint8_t qos, bool retain);
/* What was pushed last. There is one. */
struct bk_entry *bk_queue_last(struct bk_queue *q);
/* The first that waits; NULL: none does. */
struct bk_entry *bk_queue_waiting_first(struct bk_queue *q);
/* It has a packet id now and is SENT. There is one. NULL: all ids are in use, or out of memory; it stays WAITING. */
struct bk_entry *bk_queue_begin(struct bk_queue *q);
/* The open exchange of ID; NULL: there is none. */
struct bk_entry *bk_queue_find(struct bk_queue *q, uint16_t id);
/* The open exchange of NUMBER; NULL: it is done, or waits. */
struct bk_entry *bk_queue_find_number(struct bk_queue *q, uint64_t number);
/* The same, or what waits with NUMBER. */
struct bk_entry *bk_queue_find_due(struct bk_queue *q, uint64_t number);
/* PUBREC has come: the message is needed no more, the exchange goes on. */
void bk_queue_release(struct bk_queue *q, struct bk_entry *entry);
/* Nobody can ask for the message again, though it is not acknowledged. */
void bk_queue_forget(struct bk_queue *q, struct bk_entry *entry);
/* It is done with: acknowledged, or dropped. ENTRY and others may move. */
void bk_queue_done(struct bk_queue *q, struct bk_entry *entry);
/* The message of ENTRY, which waits, leaves memory: it lies in SEGMENT. */
void bk_queue_page_out(struct bk_queue *q, struct bk_entry *entry, struct bk_segment *segment);
/* It is back: MESSAGE is taken over. */
void bk_queue_page_in(struct bk_queue *q, struct bk_entry *entry, struct bk_message *message);
/* Drop the first that waits, without ever sending it (it uses up an id). False: no id is free now. */
bool bk_queue_skip(struct bk_queue *q);

/* --- After a restart: Q, all zero, is to go on with number NEXT; LAST_ID was the last packet id given. First the open
 * exchanges in the order of their numbers (below NEXT), then all others, which wait. 0 or -ENOMEM, or -EINVAL for what
 * cannot be. */
int bk_queue_restore(struct bk_queue *q, uint64_t next, uint16_t last_id);
int bk_queue_restore_open(struct bk_queue *q, uint64_t number, uint16_t id, enum bk_entry_state state);
/* MESSAGE and TAG belong to NUMBER: taken over if that is still open or waits, else they go. True: taken over. */
int bk_queue_restore_message(struct bk_queue *q, uint64_t number, struct bk_message *message, struct bk_tag *tag,
                             uint8_t qos, bool retain);

/* All has been restored: PUBLISHes that were sent and whose message is not there are done with (it had been
 * acknowledged, or was lost with a part of the store). */
void bk_queue_restored(struct bk_queue *q);

/* Walk the open exchanges in the order of delivery: *POS starts at 0. NULL at the end. Nothing is pushed or done
 * meanwhile. */
struct bk_entry *bk_queue_open_next(struct bk_queue *q, uint64_t *pos);
/* Likewise all that wait. */
struct bk_entry *bk_queue_waiting_next(struct bk_queue *q, uint64_t *pos);

#endif
