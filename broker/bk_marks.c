/* See bk_marks.h. */
#include "bk_marks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bk_record.h"
#include "bk_session.h"

enum bk_mark_kind { BK_MARK_SESSION = 0, BK_MARK_SHARE };

struct bk_cut_exchange {
    struct bk_cut_exchange *next;
    uint8_t *bytes; /* owned */
    uint32_t len;
    uint16_t id;
};

void bk_marks_put_session(struct bk_writer *marks, uint64_t number)
{
    bk_put_u8(marks, BK_MARK_SESSION);
    bk_put_u64(marks, number);
}

void bk_marks_put_share(struct bk_writer *marks, struct mqtt_bytes text)
{
    bk_put_u8(marks, BK_MARK_SHARE);
    bk_put_bytes(marks, text.ptr, text.len);
}

struct bk_mark {
    uint8_t kind; /* enum bk_mark_kind */
    uint64_t number;
    struct mqtt_bytes text;
};

static int bk_mark_next(struct cursor *c, struct bk_mark *ret_mark)
{
    if (cursor_read_u8(c, &ret_mark->kind) != 0)
        return BK_RECORD_BAD;
    if (ret_mark->kind == BK_MARK_SESSION)
        return bk_get_u64(c, &ret_mark->number);
    return ret_mark->kind == BK_MARK_SHARE ? bk_get_bytes(c, &ret_mark->text) : BK_RECORD_BAD;
}

bool bk_marks_has_session(struct mqtt_bytes marks, uint64_t number)
{
    struct cursor c = cursor_make(marks.ptr, marks.len);
    struct bk_mark mark;
    while (c.len > 0 && bk_mark_next(&c, &mark) == 0)
        if (mark.kind == BK_MARK_SESSION && mark.number == number)
            return true;
    return false;
}

bool bk_marks_has_share(struct mqtt_bytes marks, struct mqtt_bytes text)
{
    struct cursor c = cursor_make(marks.ptr, marks.len);
    struct bk_mark mark;
    while (c.len > 0 && bk_mark_next(&c, &mark) == 0)
        if (mark.kind == BK_MARK_SHARE && mark.text.len == text.len && memcmp(mark.text.ptr, text.ptr, text.len) == 0)
            return true;
    return false;
}

bool bk_marks_is_good(struct mqtt_bytes marks)
{
    struct cursor c = cursor_make(marks.ptr, marks.len);
    struct bk_mark mark;
    while (c.len > 0)
        if (bk_mark_next(&c, &mark) != 0)
            return false;
    return true;
}

/* --- Of one session */

static struct bk_cut_exchange **bk_marks_place(struct bk_cut_exchange **list, uint16_t id)
{
    while (*list && (*list)->id != id)
        list = &(*list)->next;
    return list;
}

int bk_marks_keep(struct bk_session *s, uint16_t id, struct mqtt_bytes marks)
{
    struct bk_cut_exchange **place = bk_marks_place(&s->cut_exchanges, id);
    if (!*place) {
        *place = calloc(1, sizeof **place);
        if (!*place)
            return -ENOMEM;
        (*place)->id = id;
    }
    struct bk_cut_exchange *x = *place;
    uint8_t *bytes = realloc(x->bytes, x->len + marks.len + 1);
    if (!bytes)
        return -ENOMEM;
    x->bytes = bytes;
    if (marks.len > 0)
        memcpy(x->bytes + x->len, marks.ptr, marks.len);
    x->len += marks.len;
    return 0;
}

struct mqtt_bytes bk_marks_find(const struct bk_session *s, uint16_t id)
{
    struct bk_cut_exchange *list = s->cut_exchanges;
    const struct bk_cut_exchange *x = *bk_marks_place(&list, id);
    return x ? (struct mqtt_bytes){x->bytes, x->len} : (struct mqtt_bytes){NULL, 0};
}

static void bk_marks_remove(struct bk_cut_exchange **place)
{
    struct bk_cut_exchange *x = *place;
    *place = x->next;
    free(x->bytes);
    free(x);
}

void bk_marks_drop(struct bk_session *s, uint16_t id)
{
    struct bk_cut_exchange **place = bk_marks_place(&s->cut_exchanges, id);
    if (*place)
        bk_marks_remove(place);
}

void bk_marks_drop_all(struct bk_session *s)
{
    while (s->cut_exchanges)
        bk_marks_remove(&s->cut_exchanges);
}
