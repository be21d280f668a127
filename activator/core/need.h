/*
 * Since when so many pods are needed. The autoscaler decides by averages, and so some time after
 * demand has appeared: this remembers when the concurrency last rose above what N - 1 pods serve,
 * which is when demand for pod N appeared.
 */
#ifndef SLOTGATE_ACTIVATOR_CORE_NEED_H
#define SLOTGATE_ACTIVATOR_CORE_NEED_H

#include <stdbool.h>
#include <stdint.h>

enum { NEED_PODS = 256 }; /* of pods beyond these it is not known */

struct need {
	double target;	      /* what one pod serves */
	double up_at, low_at; /* between the two, the level stays */
	int64_t level;	      /* pods that the concurrency needs */
	bool is_blind;	      /* what rises now has risen before, elsewhere */
	int64_t since_us[NEED_PODS];
};

void need_init(struct need *);
void need_settle(struct need *, double concurrency, double target, int64_t now_us);

/* Called at each change; nearly none changes the level. */
static inline void need_observe(struct need *d, double concurrency, double target, int64_t now_us)
{
	if (concurrency > d->up_at || concurrency <= d->low_at || target != d->target)
		need_settle(d, concurrency, target, now_us);
}

/* When demand for pod N (from 1) appeared: COLDSTART_UNKNOWN if nobody knows. False: no work asks
 * for it; if it is wanted all the same, the decision is the demand. */
bool need_since(const struct need *, int64_t pod, int64_t *since_us);

#endif
