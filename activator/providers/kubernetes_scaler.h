/*
 * Writes replicas, through the /scale of whatever owns the pods. One step at a time:
 *
 *   more:   read the scale -> write it with the resourceVersion that was read
 *   fewer:  mark the pods that may go as the cheapest to delete, all of a batch -> the same
 *
 * Who may go is kubernetes_choice's to say: those that the ledger has withdrawn and found idle, and
 * those that it never had (no address yet). A pod that the ledger gave up as sick is deleted
 * instead where its place is still wanted, also where somebody else writes replicas. A conflict is
 * read and tried again at once, any other failure with back-off.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_SCALER_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_SCALER_H

#include "activator/providers/kubernetes_choice.h"
#include "activator/providers/kubernetes_client.h"
#include "base/loop.h"
#include "config/config.h"

struct kube_scaler {
	struct kube_client *client;
	struct kube_fleet *fleet;
	struct loop *loop;
	struct str workload;   /* the path of what is scaled */
	bool by_ordinal;       /* a StatefulSet: the highest goes first, whatever the cost; */
	int64_t first_ordinal; /* as it was when it was looked at last */
	bool is_on;
	bool scales;		 /* else it only deletes what is sick */
	int64_t writes_until_us; /* this process is the one that writes replicas, until then */
	int64_t wanted;		 /* -1: nobody has said */
	struct kube_scale scale;
	bool knows_scale;
	bool has_looked; /* an answer has come, if only to say no */
	bool is_writing; /* what is read now is read to be written */
	int64_t read_us, wrote_us, looked_us;
	int64_t lower_at_us; /* not before then: others may come to be removed with these */
	int64_t rest_until_us;
	int failures; /* in a row */
	struct http_exchange *exchange;
	char uid[KUBE_UID_BYTES]; /* of the pod that is being marked or deleted */
	bool makes_cheap;
	char in_the_way[KUBE_UID_BYTES]; /* of the pod that is known to keep others; "": none */
	struct timer timer;
	struct task task;
	char event
		[KUBE_VERSION_BYTES]; /* the last failure to create pods that was there before... */
	bool knows_event;	      /* ...pods were missing, as far as is known */
	bool may_not_see_events;
	int64_t refused_us; /* the API says no to reading or writing them since; 0: it does not */
	char why[KUBE_WHY_BYTES];    /* the last step failed; "": it did not */
	char stuck[KUBE_TEXT_BYTES]; /* why its pods cannot be created; "": they can */
	uint64_t writes, conflicts, deletions;
	void (*changed)(void *owner); /* the fleet must be settled, or what is known has changed */
	void *owner;
};

bool kube_scaler_init(struct kube_scaler *, struct loop *, struct kube_client *,
		      struct kube_fleet *, void (*changed)(void *owner), void *owner);
void kube_scaler_release(struct kube_scaler *);

/* The access's namespace counts where the configuration names none. */
void kube_scaler_configure(struct kube_scaler *, const struct kubernetes_pods_config *,
			   const char *name_space);
void kube_scaler_want(struct kube_scaler *, int64_t replicas);
void kube_scaler_remove(struct kube_scaler *, struct kube_member *);
void kube_scaler_wake(struct kube_scaler *); /* the pods have changed, or who may write */
void kube_scaler_stop(struct kube_scaler *);

#endif
