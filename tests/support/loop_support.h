/* Turning a real loop in a test: until something is true, or a few turns to show that nothing happens. */
#ifndef LOOP_SUPPORT_H
#define LOOP_SUPPORT_H

#include <stdbool.h>

struct loop;

typedef bool loop_support_fn(void *arg);
/* Turns until FN(ARG) is true; the loop waits in poll as it does in life. Fails the test after some seconds. */
void loop_support_until(struct loop *loop, loop_support_fn *fn, void *arg);
/* N turns that do not wait. */
void loop_support_turns(struct loop *loop, int n);
/* Turns until nothing is left that could happen. Fails the test after some seconds. */
void loop_support_to_end(struct loop *loop);
/* How many times LOOP turns within MS milliseconds: a loop that has nothing to do does not. */
int loop_support_count_turns(struct loop *loop, unsigned ms);

#endif
