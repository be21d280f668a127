/*
 * What a ledger hands over to another process's ledger, and how that one takes it in: pods with
 * what is known of them, slots in use, and places in the queue. Plain records; how they travel is
 * the caller's concern.
 *
 *	service_resume
 *	service_restore_pod, service_restore_slot ..., service_restore_pod_state	for each pod
 *	service_restore_start, coldstarts_restore_order				for each of these
 *	service_keep_place							for each ticket
 *
 * A restored slot counts as any other: it ends by the same calls, made in the old owner's stead.
 */
#ifndef SLOTGATE_ACTIVATOR_CORE_HANDOVER_H
#define SLOTGATE_ACTIVATOR_CORE_HANDOVER_H

#include "activator/core/service.h"

struct service_record {
	uint64_t last_order;
	int64_t service_time_us, cold_start_us; /* as estimated */
	int64_t warm_us;			/* since when there has been a pod to grant */
	struct autoscaler_record autoscaler;
	int64_t ordered; /* pods, as the cold starts were told */
};

struct pod_record {
	const char *name;
	enum pod_state state;
	bool past_is_known, was_ready;
	int64_t failures, ejections, added_us, ejected_until_us;
};

struct slot_record {
	uint64_t owner;	    /* the caller's id for its job; 0: nobody need be told of it */
	const char *tenant; /* NULL: nobody's */
	enum slot_state state;
	bool is_pass, is_exclusive, freed_by_idle, is_interrupted, connection_broke;
	int64_t granted_us;
};

void service_record(struct service *, int64_t now_us, struct service_record *);
void service_record_pod(const struct pod *, struct pod_record *);
void service_record_slot(const struct slot *, struct slot_record *);

/* A pod is known by its name: one that the provider has added already is that one. Its id; 0: no
 * memory. */
uint64_t service_restore_pod(struct service *, const struct pod_record *, int64_t now_us);

/* The grant's new id; 0: no memory. */
uint64_t service_restore_slot(struct service *, uint64_t pod, const struct slot_record *,
			      int64_t now_us);

/* Once its slots are there: the pod goes where it was. */
void service_restore_pod_state(struct service *, uint64_t pod, const struct pod_record *,
			       int64_t now_us);
void service_resume(struct service *, const struct service_record *, int64_t now_us);

/* A cold start, under way or over; `pod` is whose it is, by the ledger's name for it, if there is
 * one. False: no memory, or it makes no sense. */
bool service_restore_start(struct service *, const struct coldstart *, const char *pod);

/* The ticket, with its tenant, waits at this place from now on, though its request
 * is still to come: it is not granted before service_arrived, nor is anybody behind
 * it, and it does not expire. */
void service_keep_place(struct service *, struct ticket *, uint64_t order, int64_t enqueued_us,
			int64_t now_us);
void service_arrived(struct service *, struct ticket *, int64_t now_us);

#endif
