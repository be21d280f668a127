/*
 * A tenant: whose tickets these are, how many of them may queue and work at once, and its lane, the
 * tickets of it that wait for a slot. Tickets without a tenant share one that has no caps, so a
 * service that knows nobody has one lane.
 *
 * A lane is in order of arrival. It is on its service's heap of lanes while anybody waits in it,
 * and on the heap of runnable lanes while its tenant may also start another job; both are in order
 * of the lanes' first tickets. So a lane at its cap costs nothing, however long it is.
 */
#ifndef SLOTGATE_ACTIVATOR_CORE_TENANT_H
#define SLOTGATE_ACTIVATOR_CORE_TENANT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/list.h"

struct tenant_caps {
	int64_t max_queued; /* tickets that upload or wait, beyond what could start at once */
	int64_t max_working; /* jobs with a slot, until their pod has stopped; 0 = no limit, of both */
};

struct tenant {
	struct list link;
	uint64_t id; /* what tickets carry; 0: the tenant of those that have none */
	char *name;
	struct tenant_caps caps;
	bool is_dropped; /* freed when nothing of it is left */

	int64_t uploading, uploading_passes, waiting_passes;
	int64_t waiting; /* for a slot */
	int64_t working; /* slots of it that are not free, whatever their state */

	struct list lane;	   /* tickets, by order */
	struct heap_node in_lanes; /* by the first ticket's order */
	struct heap_node runnable;
	int64_t counted; /* of those that wait: how many the autoscaler sees */
};

/* How many more jobs it may start. */
static inline int64_t tenant_room(const struct tenant *tn)
{
	int64_t most = tn->caps.max_working ? tn->caps.max_working : INT64_MAX;
	return most > tn->working ? most - tn->working : 0;
}

#endif
