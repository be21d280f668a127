/*
 * The activator of one service: its ledger, brought to life. It gives the ledger a clock and a
 * timer, asks its pods what the ledger wants to know, lets the provider start and stop them, and
 * hands the rest of the decisions (grants, refusals) to its owner.
 */
#ifndef SLOTGATE_ACTIVATOR_ACTIVATOR_H
#define SLOTGATE_ACTIVATOR_ACTIVATOR_H

#include "activator/core/service.h"
#include "activator/providers/provider.h"

struct activator;

struct activator_events {
	/* GRANT, REFUSE and FORGET; at the end of a turn. */
	void (*decided)(void *owner, const struct decision *);
	/* Told in the middle of the ledger's calls: to count, no more. */
	void (*pod_moved)(void *owner, const struct pod *, enum pod_state from);
	void (*pod_failed)(void *owner, const struct pod *, const char *kind);
	void (*slot_moved)(void *owner, const struct slot *, enum slot_state from);
	void (*slot_freed)(void *owner, const struct slot *, int64_t now_us);
	void (*scaling_failed)(void *owner, const char *reason);
	void (*start_spent)(void *owner, enum coldstart_mark phase, int64_t us);
	void (*probed)(void *owner, bool idle_check, enum pod_answer);
	/* All that was to be decided has been, at the end of a turn in which anything changed. */
	void (*settled)(void *owner);
	/* Whether another service still has work at a pod of this address (a reload has given it to
	 * this one): until it has not, this one's pod is not ready. */
	bool (*is_taken)(void *owner, const struct net_address *);
	/* The pod is gone; `data` is what the owner keeps of it, if anything. */
	void (*pod_freed)(void *owner, const struct pod *, void *data);
};

/* The config stays until configured anew. `host` needs only loop, http and supervisor. NULL: no
 * memory. */
struct activator *activator_new(const struct provider_host *host, const struct service_config *,
				const struct activator_events *, void *owner);
void activator_configure(struct activator *, const struct service_config *);

/* Stops the provider's pods; calls back when they are gone. */
void activator_shutdown(struct activator *, provider_gone_fn *, void *owner);
void activator_free(struct activator *);

/* The ledger; after any call that changes it, activator_changed has its decisions carried out at
 * the end of the turn. */
struct service *activator_service(const struct activator *);
void activator_changed(struct activator *);

/* Carries out at once what waits for the end of the turn, so that a look at the ledger does not
 * find it half-way. Not from inside the activator's events. */
void activator_settle(struct activator *);

/* --- handing over: see activator/core/handover.h and provider.h ------------------------------- */

/* Frozen it decides nothing: no grant, no refusal, no pod started or stopped, no question. What it
 * is told is noted, and carried out if it thaws. */
void activator_freeze(struct activator *);
void activator_thaw(struct activator *);

/* For good: its ledger is a mirror from here on, and its pods are another's. */
void activator_let_go(struct activator *);
struct provider *activator_provider(const struct activator *);

/* Where a pod is, and what the owner keeps of it. NULL: unknown pod. */
const struct net_address *activator_pod_address(const struct activator *, uint64_t pod);
void **activator_pod_data(const struct activator *, uint64_t pod);

#endif
