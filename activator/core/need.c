/* Since when so many pods are needed. */
#include "activator/core/need.h"

#include <math.h>

#include "activator/core/coldstart.h"

void need_init(struct need *d)
{
	*d = (struct need){.low_at = -1};
}

void need_settle(struct need *d, double concurrency, double target, int64_t now_us)
{
	double pods = target > 0 ? ceil(concurrency / target) : 0;
	int64_t level = pods < (double)INT32_MAX ? (int64_t)pods : INT32_MAX;
	for (int64_t i = d->level; i < level && i < NEED_PODS; i++)
		d->since_us[i] = d->is_blind ? COLDSTART_UNKNOWN : now_us;
	d->level = level;
	d->target = target;
	d->up_at = (double)level * target;
	d->low_at = d->up_at - target;
}

bool need_since(const struct need *d, int64_t pod, int64_t *since_us)
{
	if (pod < 1 || pod > d->level)
		return false;
	*since_us = pod <= NEED_PODS ? d->since_us[pod - 1] : COLDSTART_UNKNOWN;
	return true;
}
