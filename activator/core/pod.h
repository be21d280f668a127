/*
 * Pods and their slots. A state is a list: a pod is on exactly one of its service's lists, a slot
 * that is in use on exactly one of its pod's. pod_move and slot_move are the only functions that
 * change one, and they tell the observer.
 *
 *   STARTING ---probe---> CHECKING ---idle---> READY <---> FULL     READY has a free slot, FULL none
 *      (past known: straight to READY)           |
 *   READY, FULL --failures--> EJECTED --back-off, probe--> READY
 *   READY, FULL --timeout, broken connection--> QUARANTINED --idle, or all its slots freed--> READY
 *   READY --scale-down--> WITHDRAWN --idle--> REMOVING --gone--> (freed)
 *   any but REMOVING --left discovery--> ABSENT --back under the same name--> STARTING
 *
 * A pod that is back has kept its count. Slots that are free are only counted: capacity - used.
 */
#ifndef SLOTGATE_ACTIVATOR_CORE_POD_H
#define SLOTGATE_ACTIVATOR_CORE_POD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/list.h"

enum pod_state {
	POD_STARTING, /* not known to be ready: probed */
	POD_CHECKING, /* ready, its past unknown: checked idle before its first grant */
	POD_READY,
	POD_FULL,
	POD_EJECTED,
	POD_QUARANTINED, /* may still be computing for nobody: no grants */
	POD_WITHDRAWN,	 /* chosen for removal: no grants, checked idle once more */
	POD_REMOVING,	 /* the provider was told to stop it */
	POD_ABSENT,	 /* not in discovery, but it was at work when it left */
	POD_STATES
};

enum slot_state {
	SLOT_GRANTED, /* no byte has been written to the pod */
	SLOT_WORKING,
	SLOT_DRAINING,	  /* its client left: the pod goes on computing */
	SLOT_CONFIRMING,  /* answered; the idle check says when the job has ended */
	SLOT_QUARANTINED, /* timed out, or its connection broke: nobody knows */
	SLOT_STATES
};

/* What a pod's time, and its GPU's, goes into. */
enum pod_use {
	POD_USE_STARTING,
	POD_USE_WORKING, /* a slot of it is in use, whatever its state */
	POD_USE_IDLE,	 /* ready, with nothing to do */
	POD_USE_OUT,	 /* ejected, quarantined, going or gone, and not known to work */
	POD_USES
};

const char *pod_use_name(enum pod_use);	      /* "starting" */
const char *pod_state_name(enum pod_state);   /* "starting" */
const char *slot_state_name(enum slot_state); /* "granted" */

struct tenant;

struct slot {
	struct list link;
	struct pod *pod;
	uint64_t id;	       /* the grant's id and its fencing token: the greater is the newer */
	uint64_t owner;	       /* the caller's id for the job */
	struct tenant *tenant; /* whose work it is; a pass is nobody's */
	int64_t since_us;      /* in this state */
	int64_t granted_us;
	int64_t weight; /* places taken: 1, the pod's capacity if exclusive, 0 for a pass */
	enum slot_state state;
	bool is_pass;
	bool is_exclusive;
	bool freed_by_idle;
	bool is_interrupted;   /* the runtime is being told to stop it */
	bool connection_broke; /* nothing more will be heard of it from the pod */
};

struct pod {
	struct list link;
	enum pod_state state;
	int64_t since_us; /* in this state */
	enum pod_use use;
	uint64_t id;
	uint64_t tenure; /* new with each return to READY: what a ticket skips */
	uint64_t first_tenure;
	char *name; /* its identity: an address, a process, a UID */
	void *provider_data;
	void *attachment; /* of the one who runs the ledger; set by its observer, freed there too */

	int64_t capacity;		  /* places; INT32_MAX where there is no limit */
	int64_t used;			  /* places taken by the slots below */
	int64_t slot_counts[SLOT_STATES]; /* without passes */
	int64_t passes;			  /* pass-through requests in flight */
	int interrupts;			  /* calls under way that stop what it works on */
	struct list slots[SLOT_STATES];
	uint64_t reserved_for; /* the exclusive ticket that this pod runs empty for; 0 = none */

	bool past_is_known;	       /* else it is checked idle before its first grant */
	bool was_ready;		       /* at least once */
	enum pod_state withdrawn_from; /* where it goes back to if it may stay */
	int64_t added_us;	       /* when it was asked for */
	int64_t answered_us;	       /* first found ready, before any idle check; 0: not yet */
	uint64_t start;		       /* its cold start (coldstart.h); 0: none is followed */
	int failures;		       /* in a row */
	int ejections;		       /* in a row: the back-off doubles */
	int64_t ejected_until_us;

	struct heap_node timer;	   /* when to look at it again, on its service's heap */
	struct list question_link; /* on the list of questions to hand out */
	struct list removal_link;  /* on the list of removals to hand out */
	uint64_t question;	   /* the probe or check under way; 0 = none */
	bool question_is_check;	   /* idle? rather than: ready? */
	int64_t question_us;	   /* when this state's last one was asked; -1: none */
	int idle_answers;	   /* in a row */
	const char *last_answer;   /* to a question, in this state: "not ready"; NULL: none yet */
};

static inline int64_t pod_free_places(const struct pod *p)
{
	return p->capacity - p->used;
}

/* Nothing at all is under way at it, as far as is known. */
static inline bool pod_is_idle(const struct pod *p)
{
	return p->used == 0 && p->passes == 0;
}

/* Slots of which only an idle check, or the pod's end, can say that they are free. */
static inline int64_t pod_doubtful_slots(const struct pod *p)
{
	return p->slot_counts[SLOT_QUARANTINED] + p->slot_counts[SLOT_CONFIRMING];
}

#endif
