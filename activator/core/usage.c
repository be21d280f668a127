/* What the pods' time goes into: exact integrals over all pods of a service. */
#include "activator/core/ledger.h"

const char *pod_use_name(enum pod_use use)
{
	static const char *const names[POD_USES] = {
		[POD_USE_STARTING] = "starting",
		[POD_USE_WORKING] = "working",
		[POD_USE_IDLE] = "idle",
		[POD_USE_OUT] = "out",
	};
	return names[use];
}

static enum pod_use use_of(const struct pod *p)
{
	if (p->used > 0)
		return POD_USE_WORKING;
	switch (p->state) {
	case POD_STARTING:
	case POD_CHECKING:
		return POD_USE_STARTING;
	case POD_READY:
	case POD_FULL:
		return POD_USE_IDLE;
	default:
		return POD_USE_OUT;
	}
}

int64_t service_use_us(const struct service *s, enum pod_use use, int64_t now_us)
{
	int64_t since_us = now_us > s->use_since_us ? now_us - s->use_since_us : 0;
	return s->use_us[use] + s->use_counts[use] * since_us;
}

static void advance(struct service *s, int64_t now_us)
{
	int64_t since_us = now_us - s->use_since_us;
	if (since_us <= 0)
		return;
	for (int i = 0; i < POD_USES; i++)
		s->use_us[i] += s->use_counts[i] * since_us;
	s->use_since_us = now_us;
}

void pod_use_begin(struct service *s, struct pod *p, int64_t now_us)
{
	advance(s, now_us);
	p->use = use_of(p);
	s->use_counts[p->use]++;
}

void pod_use_settle(struct service *s, struct pod *p, int64_t now_us)
{
	enum pod_use use = use_of(p);
	if (use == p->use)
		return;
	advance(s, now_us);
	s->use_counts[p->use]--;
	p->use = use;
	s->use_counts[use]++;
}

void pod_use_end(struct service *s, struct pod *p, int64_t now_us)
{
	advance(s, now_us);
	s->use_counts[p->use]--;
}
