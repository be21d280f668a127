/*
 * Which pods go when there are to be fewer, judged from what is known. Sans-IO.
 *
 * Who lowers replicas does not choose: a ReplicaSet does, by rank (enum kube_rank) and then by the
 * mark. So nobody goes who may have work, if
 *  - all that may go have the mark, and none of those that may have work;
 *  - only so many go as stand, by rank, not behind one that may have work. One that works and is
 *    not Ready to the kubelet would be taken before the idle ones: then they wait.
 * A mark counts once the API has told of it, and so the controllers, too. A StatefulSet takes the
 * highest ordinals, whatever the marks.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_CHOICE_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_CHOICE_H

#include "activator/providers/kubernetes_fleet.h"

struct kube_choice {
	int64_t existing; /* that are there and not on their way out */
	int64_t staying;  /* of them, those that the ledger has not given up */
	int64_t least;	  /* the fewest replicas at which nobody goes who may have work */
	struct kube_member *to_mark, *to_unmark; /* the next ones; NULL: none */
	const struct kube_member *in_the_way; /* it is not Ready, and may have work; NULL: none */
};

enum { KUBE_BY_MARK = -1 }; /* who goes: in the place of a StatefulSet's first ordinal */

void kube_choose(const struct kube_fleet *, int64_t first_ordinal, int64_t now_us,
		 struct kube_choice *);

/* The scale is about to be lowered: those that may go are kept from work
 * until it is known who went. */
void kube_choice_lowered(struct kube_fleet *, int64_t now_us);

/* Those that were to go and may stay after all: more are wanted again, or others went. Those that
 * are sick stay so. Whether anything has changed: then the fleet must be settled. `scale` is what
 * the scale says; `wanted` INT64_MAX: all may stay. */
bool kube_choice_revive(struct kube_fleet *, int64_t wanted, int64_t scale, int64_t now_us);

/* One that the ledger gave up as sick, and whose place is still wanted. NULL: there is none. */
struct kube_member *kube_choice_sick(const struct kube_fleet *, int64_t wanted, int64_t now_us);

#endif
