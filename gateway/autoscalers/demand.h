/*
 * What a service asks of whoever scales its pods. KEDA, an HPA, Knative's autoscaler and people
 * read it in formats of their own, and all get the same figures from here.
 *
 * The concurrency is the true one, as slotgate's own autoscaler sees it: jobs that pods work on,
 * also those that nobody waits for any more, and tickets that wait and may run. Requests beside the
 * slots are not in it, but keep a service active.
 */
#ifndef SLOTGATE_GATEWAY_AUTOSCALERS_DEMAND_H
#define SLOTGATE_GATEWAY_AUTOSCALERS_DEMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/str.h"

struct backend;

struct demand {
	double concurrency;    /* now; */
	double concurrency_us; /* its integral: between two moments the difference says the average */
	double stable_concurrency; /* on average over autoscaling.stableWindow, */
	double panic_concurrency;  /* and over the panic window */
	double target;		   /* concurrency that a pod should have */
	/* For those who know but one number, and divide it by the target: the concurrency, or where
	 * nothing but requests beside the slots need a pod, as much as asks for one. */
	double load;
	int64_t waiting, working; /* tickets and jobs; tenants' caps may keep tickets out of it */
	int64_t in_flight;	  /* jobs that hold a slot, also one in quarantine */
	int64_t ready_pods;	  /* free or at work */
	int64_t desired_pods;	  /* by slotgate's own autoscaler */
	bool is_active;		  /* it needs at least one pod */
};

/* Of this moment: what waits for the end of the turn is carried out first. Not from inside an
 * activator's events or a job's. */
void demand_read(struct backend *, struct demand *);

/* As JSON, for those who ask the admin address. */
void demand_add_json(struct str *, struct backend *);

/* --- being told ------------------------------------------------------------------------------ */

/* Somebody who wants to know at once when a service becomes active, and when it is no more. */
struct demand_watch {
	struct list link; /* to be initialised; unlinked: it is told nothing */
	void *owner;
	void (*changed)(void *owner, bool is_active); /* in the turn in which it has */
	void (*gone)(void *owner); /* the service is out of the configuration: told last */
};

/* What a backend keeps for it. */
struct demand_watchers {
	struct list list;
	bool were_told_active;
};

void demand_watch(struct backend *, struct demand_watch *);
void demand_unwatch(struct demand_watch *); /* harmless on one that is told nothing */

/* --- the backend's part ---------------------------------------------------------------------- */

void demand_init(struct backend *);
void demand_settled(struct backend *); /* anything may have changed */
void demand_retired(struct backend *); /* harmless twice */

#endif
