/*
 * A ticket: a request's place in a service's queue. The caller owns the memory, embeds the ticket
 * in its job, and keeps it in place until the ticket is outside again.
 *
 *              service_admit     service_enqueue           service_next
 *   OUTSIDE ----------------> ADMITTED --------> WAITING ------------------------> OUTSIDE
 *      ^                         |                  |         granted, or refused
 *      +---- service_cancel -----+------------------+
 *
 * A ticket whose job provably never reached its pod waits again by service_requeue, at its old
 * place. One that may not try again is REFUSED until service_next hands that out.
 */
#ifndef SLOTGATE_ACTIVATOR_CORE_TICKET_H
#define SLOTGATE_ACTIVATOR_CORE_TICKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

enum ticket_kind {
	TICKET_SLOT,	  /* takes one slot */
	TICKET_EXCLUSIVE, /* takes all slots of a pod */
	TICKET_PASS,	  /* takes none, but wants a pod that is ready */
};

enum ticket_state { TICKET_OUTSIDE, TICKET_ADMITTED, TICKET_WAITING, TICKET_REFUSED };

enum refusal {
	REFUSAL_NONE,
	REFUSAL_QUEUE_FULL,
	REFUSAL_TENANT_QUEUE_FULL, /* as many of its tenant's wait as may */
	REFUSAL_EXPIRED,	   /* waited as long as it may for a slot */
	REFUSAL_COLD_START,	   /* waited as long as it may for a first pod */
	REFUSAL_SCALING_FAILED,	   /* no pod can be started */
	REFUSAL_NO_PODS,	   /* there is none, and this route does not wait for one */
	REFUSAL_ATTEMPTS,	   /* as many pods as allowed could not be reached */
	REFUSAL_CLOSING,	   /* the service is going away */
	REFUSAL_PASSES_FULL,	   /* as many beside the slots as the service allows */
	REFUSAL_NO_MEMORY,
	REFUSALS
};

const char *refusal_name(enum refusal); /* "queue_full", for metrics and logs */

enum { TICKET_SKIPS_MAX = 4 };

struct ticket {
	/* Set by the caller before service_admit. */
	uint64_t owner;	     /* the caller's id for it, handed back in decisions */
	uint64_t prefer_pod; /* TICKET_PASS: goes to this pod while that is ready; 0 = any */
	uint64_t tenant;     /* whose it is; 0, or one that is known no more: nobody's */
	int64_t deadline_us; /* these four are carried for the matching that looks at them */
	uint64_t cost;
	uint64_t model_key;
	int32_t priority;
	enum ticket_kind kind;
	bool freed_by_idle; /* the answer's end leaves the slot to the idle check */

	/* The ledger's. */
	bool is_awaited; /* holds a place for a request that is still on its way: see handover.h */
	enum ticket_state state;
	enum refusal refusal;
	int attempts; /* pods that it could not reach */
	struct list link;
	uint64_t id;			 /* assigned when it first waits; never used again */
	uint64_t order;			 /* likewise: who is before whom, also after a return */
	int64_t enqueued_us;		 /* when it first waited */
	uint64_t skip[TICKET_SKIPS_MAX]; /* the tenures of the pods that it could not reach */
	int64_t retry_after_us; /* of a refusal: when trying again may help, from what is known */
};

/* No ticket needs releasing. */
void ticket_init(struct ticket *, enum ticket_kind);

/* Whether the pod of this tenure has failed it. */
bool ticket_skips(const struct ticket *, uint64_t tenure);
void ticket_skip(struct ticket *, uint64_t tenure);

#endif
