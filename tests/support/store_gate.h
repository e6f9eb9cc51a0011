/* A driver for tests: `memory` behind a gate that holds commits up, and that can make them fail. */
#ifndef STORE_GATE_H
#define STORE_GATE_H

#include "store_driver.h"

/* For store_open_driver(); one at a time. Open at first, and nothing fails. */
extern const struct store_driver_ops store_gate_ops;

/* Commits wait from now on, in the store thread. */
void store_gate_close(void);
/* Returns when one waits there. */
void store_gate_wait(void);
void store_gate_open(void);
/* Each commit answers all of its batches with RESULT and does nothing; 0: no more. */
void store_gate_fail(int result);
/* How many commits there were. */
unsigned store_gate_commits(void);

#endif
