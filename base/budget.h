/*
 * A budget of memory: what others can make the process hold, counted in one place. Each holder
 * reports what it has; nobody asks malloc. Two marks: TIGHT from nine tenths on, where new work is
 * turned away and what can go to the disk goes; SPENT at the limit, where nothing may grow.
 */
#ifndef SLOTGATE_BASE_BUDGET_H
#define SLOTGATE_BASE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
	int64_t used_bytes;
	int64_t limit_bytes;
};

bool budget_is_tight(const struct budget *);
bool budget_is_spent(const struct budget *);

/* One holder's part: `*held` is what it has reported so far, and becomes `bytes`. */
void budget_hold(struct budget *, int64_t *held, int64_t bytes);

/* What this process may use: the least of the machine's memory and its control groups' limits. */
int64_t budget_machine_bytes(void);

#endif
