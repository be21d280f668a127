/*
 * Inside the ledger: what the files of activator/core/ share of a service. Nobody else includes it.
 *
 *   service.c  the interface: requests, grants, decisions
 *   tenants.c  who waits: tenants, their caps, and their lanes
 *   estimate.c  how long things last, and so what a refused client is told
 *   match.c    who gets a place at which pod
 *   pods.c     the pods' states and failures
 *   usage.c    what the pods' time goes into
 *   questions.c  when a pod is asked whether it is ready or idle, and what the answers mean
 *   scale.c    how many pods, and which ones go
 *   starts.c   what the ledger sees of cold starts
 */
#ifndef SLOTGATE_ACTIVATOR_CORE_LEDGER_H
#define SLOTGATE_ACTIVATOR_CORE_LEDGER_H

#include "activator/core/need.h"
#include "activator/core/service.h"
#include "base/map.h"
#include "base/table.h"

#define NEVER INT64_MAX

struct service {
	const struct service_config *config;
	const struct service_observer *observer;
	void *observer_arg;
	bool scalable;
	bool closed;

	/* Requests. */
	struct heap lanes;	/* tenants of whom tickets wait for a slot, by their first one */
	struct heap runnable;	/* those of them that may start another job */
	struct list pass_queue; /* tickets that wait for any pod, by order */
	struct list refused;	/* tickets to be told */
	int64_t uploading, waiting; /* passes upload too, but wait apart */
	int64_t uploading_passes, waiting_passes;
	int64_t runnable_waiting; /* of those that wait: how many their tenants' caps let run */
	uint64_t last_order;
	bool match_due;	       /* something changed that may let a ticket go */
	uint64_t reserved_pod; /* runs empty for an exclusive ticket; 0 = none */
	struct ticket *reserved_ticket;

	/* Tenants. */
	struct list tenants;
	struct map tenant_names;
	struct table tenant_ids;
	struct tenant nobody; /* of tickets without one */
	int64_t dropped_tenants;

	/* Pods and slots. */
	struct list pods[POD_STATES];
	int64_t pod_counts[POD_STATES];
	int64_t slot_counts[SLOT_STATES];
	int64_t passes;
	int64_t free_places;	      /* of the pods in POD_READY */
	int64_t use_counts[POD_USES]; /* pods by their use, */
	int64_t use_us[POD_USES];     /* and the time of all pods that has gone into it, */
	int64_t use_since_us;	      /* up to here */
	struct map pod_names;
	struct table pod_ids, slot_ids;
	struct heap pod_timers;
	uint64_t last_tenure, last_question;
	int64_t warm_us; /* since when there has been a pod to grant */

	/* Decisions to hand out. */
	struct list questions, removals, forgotten;
	bool scale_due;
	bool applying; /* in the middle of scale_apply */

	/* Scale. */
	struct autoscaler autoscaler;
	int64_t replicas;		 /* as told to the provider */
	int64_t ordered;		 /* the same, as the cold starts were told */
	int64_t elsewhere;		 /* pods that other gateways want besides */
	int64_t scaling_failed_until_us; /* 0: it works */
	char scaling_reason[256];
	struct need need;
	struct coldstarts starts;

	/* What is known of times, for estimates; 0: nothing yet. */
	int64_t service_time_us, cold_start_us;
	int64_t busy_since_us; /* there has been a job at work without a pause; 0: there is none */
};

/* pods.c */
void pod_move(struct service *, struct pod *, enum pod_state, int64_t now_us);
void pod_open(struct service *, struct pod *, int64_t now_us); /* READY or FULL, last used first */
void pod_settle(struct service *, struct pod *, int64_t now_us); /* where its slots put it; one
								    that is absent and idle is freed */
void pod_fail(struct service *, struct pod *, const char *kind, int64_t now_us);
void pod_is_away(struct service *, struct pod *, int64_t now_us); /* nothing listens there */
void pod_is_ready(struct service *, struct pod *, int64_t now_us);
void pod_free(struct service *, struct pod *, int64_t now_us);
int64_t pod_capacity(const struct service *);
void pods_resize(struct service *, int64_t now_us); /* containerConcurrency has changed */
void pods_ask_again(struct service *,
		    int64_t now_us); /* open ones prove anew that they are ready */
void pods_free(struct service *);
bool service_may_have_pods(const struct service *); /* one is there, or may come to be open */

/* usage.c: to be called after each change of a pod's state or of the places used at it. */
void pod_use_begin(struct service *, struct pod *, int64_t now_us);
void pod_use_settle(struct service *, struct pod *, int64_t now_us);
void pod_use_end(struct service *, struct pod *, int64_t now_us);
int64_t service_use_us(const struct service *, enum pod_use, int64_t now_us);

/* questions.c */
void pod_watch(struct service *, struct pod *, int64_t now_us); /* sets its timer anew */
void pods_hurry(struct service *, int64_t now_us);		/* somebody waits: probe faster */
void pod_doubt(struct service *, struct pod *, int64_t now_us); /* asks anew whether it is idle */
void pods_trust(struct service *, int64_t now_us); /* no idle check is named any more */
void pod_is_known_idle(struct service *, struct pod *, int64_t now_us);
void pods_tick(struct service *, int64_t now_us);
bool pods_next_question(struct service *, int64_t now_us, struct decision *);

/* service.c */
struct slot *slot_new(struct service *, struct pod *, const struct ticket *, int64_t now_us);
void slot_move(struct service *, struct slot *, enum slot_state, int64_t now_us);
/* `forget`: its job is told that nobody waits for the pod's answer any more. */
void slot_free(struct service *, struct slot *, bool forget, int64_t now_us);
void ticket_wait(struct service *, struct ticket *, int64_t now_us);  /* where its order says */
void ticket_leave(struct service *, struct ticket *, int64_t now_us); /* it waits no longer */
void service_observe(struct service *, int64_t now_us);

/* estimate.c */
void service_learn_cold_start(struct service *, int64_t took_us);
void service_learn_service_time(struct service *, int64_t took_us);
/* For a ticket whose refusal is set: from what is known, and within reason. */
int64_t service_retry_after_us(const struct service *, const struct ticket *, int64_t now_us);

/* tenants.c */
bool lanes_init(struct service *); /* false: no memory */
void lanes_release(struct service *);
void tenants_reap(struct service *); /* frees those that were dropped, once they are unused */
struct tenant *tenant_of(struct service *, const struct ticket *);
/* After every change of who waits in it, and of what its tenant works on or may. */
void lane_settle(struct service *, struct tenant *);
struct ticket *lane_first(const struct tenant *); /* it must not be empty */
/* Puts it where its order says; old tickets that return belong near the front. */
void lane_insert(struct list *lane, struct ticket *);
struct ticket *queue_first(const struct service *); /* over all lanes; NULL: nobody waits */

/* match.c */
struct ticket *match(struct service *, const struct pod *);
bool match_next(struct service *, int64_t now_us, struct decision *);
void match_unreserve(struct service *, uint64_t ticket); /* no pod runs empty for it any more */

/* starts.c */
void starts_init(struct service *);
void starts_note(struct service *, const struct pod *, enum coldstart_mark, int64_t now_us);
void starts_order(struct service *, int64_t want, int64_t ready, int64_t now_us);
void starts_found(struct service *, int64_t replicas);
void starts_answer_over(struct service *, const struct pod *);

/* scale.c */
void scale_tick(struct service *, int64_t now_us);
void scale_wake(struct service *, int64_t now_us);  /* something waits and no pod is ready */
void scale_apply(struct service *, int64_t now_us); /* pods have come or gone */
void scale_remove(struct service *, struct pod *, int64_t now_us);
bool scale_next_removal(struct service *, int64_t now_us, struct decision *);

#endif
