/* Turns of sessions at a broker (sp_broker_turn.h). */
#include "sp_broker_turn.h"

#include <assert.h>
#include <stddef.h>

#include "sp_broker_pick.h"

void sp_broker_turn_init(struct sp_broker_turn *t, sp_broker_turn_fn *fn)
{
    list_init(&t->link);
    t->broker = NULL;
    t->fn = fn;
}

bool sp_broker_turn_take(struct sp_broker_turn *t, struct sp_broker *broker)
{
    assert(!t->broker);
    t->broker = broker;
    if (broker->turns >= broker->turns_max) {
        list_add_tail(&broker->waiting, &t->link);
        return false;
    }
    broker->turns++;
    return true;
}

/* FN may end its turn at once, which comes back here: that is seen to by the loop that called it. */
static void sp_broker_next_turn(struct sp_broker *b)
{
    struct list *first;
    if (b->is_dealing_turns)
        return;
    b->is_dealing_turns = true;
    while (b->turns < b->turns_max && (first = list_first(&b->waiting)) != NULL) {
        struct sp_broker_turn *t = list_entry(first, struct sp_broker_turn, link);
        list_del(first);
        b->turns++;
        t->fn(t);
    }
    b->is_dealing_turns = false;
}

void sp_broker_turn_end(struct sp_broker_turn *t)
{
    struct sp_broker *b = t->broker;
    if (!b)
        return;
    t->broker = NULL;
    if (list_is_linked(&t->link)) {
        list_del(&t->link);
        return;
    }
    b->turns--;
    sp_broker_next_turn(b);
}
