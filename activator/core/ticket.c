/* Tickets: what there is to do without a service. */
#include "activator/core/ticket.h"

#include <stddef.h>

const char *refusal_name(enum refusal r)
{
	static const char *const names[REFUSALS] = {
		[REFUSAL_NONE] = "none",
		[REFUSAL_QUEUE_FULL] = "queue_full",
		[REFUSAL_TENANT_QUEUE_FULL] = "tenant_queue_full",
		[REFUSAL_EXPIRED] = "expired",
		[REFUSAL_COLD_START] = "cold_start_expired",
		[REFUSAL_SCALING_FAILED] = "scaling_failed",
		[REFUSAL_NO_PODS] = "no_pods",
		[REFUSAL_ATTEMPTS] = "pods_unreachable",
		[REFUSAL_CLOSING] = "closing",
		[REFUSAL_PASSES_FULL] = "pass_through_full",
		[REFUSAL_NO_MEMORY] = "no_memory",
	};
	return names[r];
}

void ticket_init(struct ticket *t, enum ticket_kind kind)
{
	*t = (struct ticket){.kind = kind};
	list_init(&t->link);
}

bool ticket_skips(const struct ticket *t, uint64_t tenure)
{
	int n = t->attempts < TICKET_SKIPS_MAX ? t->attempts : TICKET_SKIPS_MAX;
	for (int i = 0; i < n; i++)
		if (t->skip[i] == tenure)
			return true;
	return false;
}

void ticket_skip(struct ticket *t, uint64_t tenure)
{
	t->skip[t->attempts++ % TICKET_SKIPS_MAX] = tenure;
}
