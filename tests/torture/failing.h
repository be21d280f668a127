/*
 * Memory that fails when a test says so. Linking failing.c puts it behind base/mem.h; any thread
 * may allocate meanwhile.
 */
#ifndef TESTS_TORTURE_FAILING_H
#define TESTS_TORTURE_FAILING_H

#include <stdint.h>

#include "base/mem.h"

/* From now on, one allocation in `period` fails, at no regular distance; 0: none does. */
void mem_fail_every(long period);

/* Since the program has started. */
long mem_calls(void);
long mem_failures(void);

/* How long a unit test waits for what must happen; without memory it often does not. */
int64_t test_patience_us(void);

#endif
