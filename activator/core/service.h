/*
 * The ledger of one service: its queue, its pods and their slots, and how many pods it wants.
 *
 * Sans-IO. It is told what happened, with the time, and hands out decisions; it reads no clock,
 * opens no socket and calls nobody back but the observer. Grants and refusals are decisions too,
 * never return values, so that the same ledger can stand on the other side of a wire.
 *
 *	service_enqueue(s, &ticket, now);
 *	while (service_next(s, now, &d))
 *		carry_out(&d);
 *	wake_me_at(service_next_deadline_us(s));	// then service_tick(s, now)
 *
 * What it keeps, whatever it is told:
 *  - a pod's slots in use never exceed its capacity, and each grant ends exactly once; an end told
 *    twice, or after the pod is gone, is ignored (ids are fencing tokens);
 *  - no ticket waits while a pod has room that match() finds it eligible for;
 *  - tickets of a kind are granted in order of arrival, but for pods that have failed them and for
 *    tenants that work on as many jobs as they may; a tenant's own are never overtaken by its own;
 *  - no tenant has more jobs than it may, each counted until its pod has stopped;
 *  - every ticket leaves the queue once: granted, refused or cancelled.
 */
#ifndef SLOTGATE_ACTIVATOR_CORE_SERVICE_H
#define SLOTGATE_ACTIVATOR_CORE_SERVICE_H

#include "activator/core/autoscaler.h"
#include "activator/core/coldstart.h"
#include "activator/core/pod.h"
#include "activator/core/tenant.h"
#include "activator/core/ticket.h"
#include "config/config.h"

struct service;

/* Told of every transition, in the middle of it: it may count and log, but call nothing here. */
struct service_observer {
	/* `from` is POD_STATES for one that is new. */
	void (*pod_moved)(void *arg, struct pod *, enum pod_state from);
	/* `from` is SLOT_STATES for one that is new. */
	void (*slot_moved)(void *arg, const struct slot *, enum slot_state from);
	void (*slot_freed)(void *arg, const struct slot *, int64_t now_us);
	void (*pod_freed)(void *arg, struct pod *);
	void (*pod_failed)(void *arg, const struct pod *, const char *kind);
	void (*scaling_failed)(void *arg, const char *reason);
	/* A pod that became ready spent so long in a phase of its start; NULL: nobody counts it. */
	void (*start_spent)(void *arg, enum coldstart_mark phase, int64_t us);
};

/* `scalable`: its provider starts and stops pods as told. The config must stay until configured
 * anew. NULL: no memory. */
struct service *service_new(const struct service_config *, bool scalable,
			    const struct service_observer *, void *arg, int64_t now_us);
void service_free(struct service *); /* no ticket may be waiting */
void service_configure(struct service *, const struct service_config *, int64_t now_us);

/* --- tenants ------------------------------------------------------------------------------- */

/* The tenant of this name may do so much from now on; if it is known, it keeps its counts, and what
 * works beyond a lowered cap goes on. The name is copied. Its id; 0: no memory. */
uint64_t service_tenant_named(const struct service *, const char *name); /* 0: unknown */
uint64_t service_tenant_set(struct service *, const char *name, struct tenant_caps, int64_t now_us);

/* It is configured no more. What waits goes on waiting under the caps it had, what works goes on,
 * and it is forgotten with the last of that, unless it is set again before. */
void service_tenant_drop(struct service *, const char *name);

/* --- requests ---------------------------------------------------------------------------- */

/* Asks for a place before the body is read. Fills refusal and retry_after_us if there is none. */
bool service_admit(struct service *, struct ticket *, int64_t now_us);

/* The body is here: from now on it waits for a slot. */
void service_enqueue(struct service *, struct ticket *, int64_t now_us);

/* Its client left, or the decision is no longer wanted; harmless when outside. */
void service_cancel(struct service *, struct ticket *, int64_t now_us);

/* No more tickets: those that wait are refused, what works goes on. Opening it again takes
 * newcomers as before; what it knows of its pods was kept. */
void service_close(struct service *, int64_t now_us);
void service_open(struct service *, int64_t now_us);

/* --- grants: an unknown or ended one is ignored -------------------------------------------- */

/* The first byte is about to be written: from here on the job may have reached the pod. */
void service_started(struct service *, uint64_t grant, int64_t now_us);
void service_client_left(struct service *, uint64_t grant, int64_t now_us);
void service_timed_out(struct service *, uint64_t grant, int64_t now_us);

/* The connection broke after the start, or carried garbage: nobody knows if the pod goes on. */
void service_broken(struct service *, uint64_t grant, const char *kind, int64_t now_us);

/* A request beside the slots has been given up: `kind` names the pod's
 * failure, NULL: it has none. */
void service_dropped(struct service *, uint64_t grant, const char *kind, int64_t now_us);

/* The runtime is being told to stop what it works on, or that call is over. Until then, and until
 * idle answers that were asked for later, the slot is not free: the call could hit the next job. */
void service_interrupting(struct service *, uint64_t grant, bool begun, int64_t now_us);

/* The answer has ended: the slot is free, unless its pattern leaves that to the idle check. */
void service_finished(struct service *, uint64_t grant, int64_t now_us);

/* The job provably never reached the pod: gives the slot back, and tells the ticket to skip the pod
 * (NULL: its client has left, nobody will try again). A stale kept connection is nobody's fault. */
enum unsent {
	UNSENT_STALE,
	UNSENT_REFUSED,
	UNSENT_TIMEOUT,
	UNSENT_SAFE,	   /* it was sent and broke, but takes no slot and may be sent twice */
	UNSENT_NOT_SECURE, /* the TLS handshake with the pod has failed */
};
void service_returned(struct service *, uint64_t grant, struct ticket *, enum unsent,
		      int64_t now_us);

/* Whether a ticket that passes beside the slots could go to another pod at once. */
bool service_has_another(struct service *, const struct ticket *, uint64_t pod);

/* Then: it waits again at its old place, skips the pod that failed it, or is refused when it has
 * tried enough. */
void service_requeue(struct service *, struct ticket *, int64_t now_us);

/* --- pods ---------------------------------------------------------------------------------- */

/* A pod was started or discovered; the name is copied. If one of this name is known it is that one,
 * back with its count. Its id; 0: no memory. */
uint64_t service_pod_add(struct service *, const char *name, bool past_is_known,
			 void *provider_data, int64_t now_us);

/* It is out of discovery, but may still be at work. */
void service_pod_absent(struct service *, uint64_t pod, int64_t now_us);

/* It is known to have ended, and with it all that it worked on. */
void service_pod_gone(struct service *, uint64_t pod, int64_t now_us);

/* The answers to DECIDE_PROBE and DECIDE_CHECK_IDLE; an answer to an older question is ignored.
 * `refused`: its port takes no connections, so its process is not there. */
enum pod_answer { ANSWER_YES, ANSWER_NO, ANSWER_REFUSED };
void service_pod_answered(struct service *, uint64_t pod, uint64_t question, enum pod_answer,
			  int64_t now_us);

/* An operator vouches that it is idle. False: unknown. */
bool service_pod_release(struct service *, const char *name, int64_t now_us);

/* The provider cannot start pods until `until_us`: without any pod, waiters are refused and
 * newcomers too. The reason is copied; NULL: it can again. */
void service_scaling_failed(struct service *, const char *reason, int64_t until_us, int64_t now_us);

/* At the start: so many pods are wanted already, and stay for a stable
 * window as initialScale's do. */
void service_found_scale(struct service *, int64_t replicas, int64_t now_us);

/* Other gateways want so many of the same pods besides. */
void service_elsewhere(struct service *, int64_t replicas, int64_t now_us);

/* --- cold starts --------------------------------------------------------------------------- */

/* Providers begin and end them, and set the marks that they hear of. */
struct coldstarts *service_coldstarts(struct service *);

/* The pod that this is the start of has been created: it came for what was ordered, or where others
 * decide how many there are, for the work that no pod before it could do. */
void service_start_comes(struct service *, struct coldstart *, int64_t created_us);

/* This pod is the one that starts so: what the ledger sees of it belongs
 * there. NULL is harmless. */
void service_pod_starts(struct service *, uint64_t pod, struct coldstart *);

/* Its port took a connection; the first byte of an answer came from it. */
void service_pod_listens(struct service *, uint64_t pod, int64_t now_us);
void service_pod_speaks(struct service *, uint64_t pod, int64_t now_us);

/* --- time and decisions -------------------------------------------------------------------- */

void service_tick(struct service *, int64_t now_us);
int64_t service_next_deadline_us(const struct service *);

enum decision_kind {
	DECIDE_GRANT,	   /* ticket `owner` has `grant` on `pod` */
	DECIDE_REFUSE,	   /* ticket `owner`: see the ticket's refusal */
	DECIDE_PROBE,	   /* ask `pod` whether it is ready: `question` */
	DECIDE_CHECK_IDLE, /* ask `pod` whether it is idle: `question` */
	DECIDE_REMOVE,	   /* stop `pod` */
	DECIDE_FORGET,	   /* job `owner`: its slot was freed without its answer; nobody needs it */
	DECIDE_SCALE,	   /* have `replicas` pods, those that are being removed not counted */
};

struct decision {
	enum decision_kind kind;
	struct ticket *ticket; /* GRANT, REFUSE: outside again, its fields filled in */
	uint64_t owner;
	uint64_t grant;
	uint64_t pod;
	uint64_t question;
	int64_t replicas;
};

/* The next decision; false: none is left. Freed slots are given to waiters here, so ask until then
 * after every call above. */
bool service_next(struct service *, int64_t now_us, struct decision *);

/* --- looking ------------------------------------------------------------------------------- */

struct service_counts {
	int64_t pods[POD_STATES];
	int64_t slots[SLOT_STATES]; /* over all pods */
	int64_t uses[POD_USES];	    /* pods, by what their time goes into */
	int64_t use_us[POD_USES];   /* that time, of all pods since the ledger was made */
	int64_t free_slots;	    /* of pods that may be granted */
	int64_t passes;
	int64_t uploading, waiting, waiting_passes;
	int64_t desired;       /* pods, by the autoscaler */
	double concurrency;    /* now: in flight and waiting */
	double concurrency_us; /* its integral since the ledger was made */
	double target;	       /* that a pod should have */
	double stable_concurrency, panic_concurrency;
	bool panicking;
};

void service_count(struct service *, int64_t now_us, struct service_counts *);
const struct pod *service_pod(const struct service *, uint64_t pod); /* NULL: unknown */
const struct pod *service_pod_by_name(const struct service *, const char *name);
uint64_t service_grant_owner(const struct service *, uint64_t grant); /* 0: it has ended */

/* Whether the end of this grant's job is still to be told: it has not ended, nor
 * has it been lost sight of. */
bool service_grant_is_open(const struct service *, uint64_t grant);

/* Something waits or is at work, also beside the slots: a first pod is
 * wanted, or the last one needed.
 */
bool service_is_active(const struct service *);

/* No pod is open to grants: a newcomer waits for the first one. */
bool service_is_cold(const struct service *);

/* Calls for each pod, by state. */
void service_each_pod(const struct service *, void (*)(void *arg, const struct pod *), void *arg);

/* Why no pod can be started; "" while it can. */
const char *service_scaling_failure(const struct service *);

const struct tenant *service_tenant(const struct service *, uint64_t id); /* NULL: unknown */

/* Calls for each that is known, also those dropped that are not forgotten yet. */
void service_each_tenant(const struct service *, void (*)(void *arg, const struct tenant *),
			 void *arg);

/* When a newcomer of this tenant may expect a slot, from what is known. */
int64_t service_expected_wait_us(const struct service *, uint64_t tenant, int64_t now_us);

#endif
