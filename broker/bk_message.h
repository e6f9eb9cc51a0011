/* A published message: while it is routed (struct bk_publication, a view), and where it has to last (struct
 * bk_message).
 *
 *   PUBLISH --view--> bk_publication --form: bytes as they go out, made once for each variant--> outputs of subscribers
 *                          '--keep: one copy for all who must have it later--> bk_message: queues, retained, wills
 *
 * Both belong to one loop: what crosses to another loop is made anew there, so counting references costs no lock.
 * A view points into bytes of the caller, which last while it is routed. */
#ifndef BK_MESSAGE_H
#define BK_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt_packet.h"

struct bk_client;
struct bk_peer;
struct bk_segment;
struct bk_writer;
struct buf;

enum { BK_NEVER = 0 }; /* expires_ms of what does not */

/* One allocation; a payload of more than BK_PAYLOAD_INLINE bytes is a buf beside it, which outputs refer to. */
enum { BK_PAYLOAD_INLINE = 1024 };

struct bk_message {
    uint32_t refs;
    uint32_t payload_len, properties_len;
    uint16_t topic_len;
    uint8_t qos; /* as published */
    bool retain;
    bool is_in_journal;         /* it is in a segment, or will be */
    uint64_t expires_ms;        /* loop_now_ms(), or BK_NEVER */
    uint64_t publisher;         /* hash of its client id, for No Local; 0 = none */
    struct buf *payload;        /* NULL: inline, behind topic and properties */
    struct bk_segment *segment; /* of the journal, where it is with the disk; NULL: it is not, or not yet */
    uint32_t due;               /* deliveries that have it here, that the journal knows of and that are not done */
    uint8_t bytes[];            /* topic, properties without Message Expiry Interval and Topic Alias, payload */
};

/* How a PUBLISH differs on the wire: with or without properties, with or without a packet id. */
enum { BK_FORMS = 4 };

struct bk_form {
    const uint8_t *bytes; /* the whole packet, or all but the payload where that is a buf; QoS, RETAIN and DUP are 0 */
    uint32_t len;         /* of `bytes` */
    uint32_t id_at;       /* where the packet id stands; 0: none */
    uint32_t total;       /* of the whole packet */
};

/* Memory of one loop for what lasts as long as one publication: its forms and its properties. */
struct bk_scratch {
    struct {
        uint8_t *bytes;
        size_t cap;
    } slots[BK_FORMS + 1];
};

struct bk_publication {
    struct mqtt_bytes topic, payload;
    struct mqtt_properties properties; /* as forwarded: no Topic Alias; Message Expiry Interval as it is now */
    uint64_t expires_ms;               /* as in bk_message */
    uint64_t publisher;
    uint64_t inbound_session; /* QoS 2, published by this session that is kept, as its exchange INBOUND_ID; 0: not */
    struct mqtt_bytes had;    /* who has had it before a restart, see bk_marks.h */
    struct bk_writer *marks;  /* where those of this worker are entered in whose journal it is; NULL: not wanted */
    size_t whole_at;          /* where LAST_PEER's outbox says IS_WHOLE */
    uint16_t inbound_id;
    bool is_whole;              /* whoever keeps it here is all who get it: its exchange has got so far with that */
    struct bk_peer *last_peer;  /* that P has been sent to; NULL: none */
    uint32_t n_peers;           /* that it has been sent to */
    struct bk_client *source;   /* whose PUBLISH it is, to be held back for slow subscribers; NULL: nobody's here */
    struct bk_peer *far;        /* the worker that it comes from; NULL: this one */
    uint64_t far_source;        /* who is to be held back there; 0: nobody */
    struct bk_message *message; /* what bk_publication_keep() has made; one reference; NULL: nothing yet */
    struct buf *rest;           /* the payload as a buf, once somebody needed it; one reference */
    struct bk_scratch *scratch;
    uint8_t qos;
    bool retain;
    uint8_t forms_made; /* bit for each */
    struct bk_form forms[BK_FORMS];
};

void bk_scratch_deinit(struct bk_scratch *s);

/* Begin with everything empty; the caller fills in what was published. */
void bk_publication_init(struct bk_publication *p, struct bk_scratch *scratch);
/* A view of MESSAGE, whose remaining time at NOW_MS goes into its properties (which then lie in SCRATCH). The view has
 * a reference of its own until bk_publication_end(). False: it has expired, nothing to end. */
bool bk_publication_of(struct bk_publication *p, struct bk_message *message, uint64_t now_ms,
                       struct bk_scratch *scratch);
/* Done with P: its forms are gone, its reference is dropped. */
void bk_publication_end(struct bk_publication *p);
/* The lasting copy: made at the first call. The reference stays P's. NULL: out of memory. */
struct bk_message *bk_publication_keep(struct bk_publication *p);
/* The payload as a buf, made from the view if it is not there; the reference stays P's. NULL: out of memory. */
struct buf *bk_publication_rest(struct bk_publication *p);
/* How P goes out to clients of 5.0 (IS_V5) or 3.x, with a packet id or without; payloads above BK_PAYLOAD_INLINE are in
 * P->rest. NULL: out of memory, or a packet above MQTT's limit. */
const struct bk_form *bk_publication_form(struct bk_publication *p, bool is_v5, bool has_id);

/* The same, alone: for another segment. One reference. NULL: out of memory. */
struct bk_message *bk_message_copy(const struct bk_message *m);
struct bk_message *bk_message_ref(struct bk_message *m);
/* NULL is fine. Returns NULL. */
struct bk_message *bk_message_unref(struct bk_message *m);
/* What it holds, for limits. */
size_t bk_message_bytes(const struct bk_message *m);
bool bk_message_is_expired(const struct bk_message *m, uint64_t now_ms);

#endif
