/*
 * Cold starts as Kubernetes tells of them: what pods and the Events about them say, as marks of
 * activator/core/coldstart.h. Sans-IO but for the follower of Events.
 *
 * Events come over a watch of their own, and may be there before their pod: some are kept for a
 * while. Where they may not be read, what only they tell stays unknown.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_STARTS_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_STARTS_H

#include "activator/core/coldstart.h"
#include "activator/providers/kubernetes_fleet.h"
#include "activator/providers/kubernetes_follow.h"
#include "activator/providers/kubernetes_times.h"

enum { KUBE_REPORTS_KEPT = 128 };

struct kube_starts {
	struct kube_fleet *fleet;
	struct loop *loop;
	struct kube_follower events;
	struct kube_report reports[KUBE_REPORTS_KEPT]; /* about pods that are not known, a ring */
	size_t report_count;			       /* ever */
	bool was_told;				       /* that Events may not be read */
};

bool kube_starts_init(struct kube_starts *, struct loop *, struct kube_client *,
		      struct kube_fleet *); /* false: no memory */
void kube_starts_release(struct kube_starts *);

/* A pod as it is now, once the fleet has it; `is_new`: it had not before. `is_fresh`: a watch tells
 * of it as it changes; of what a list names, nobody knows since when it is so. */
void kube_starts_pod(struct kube_starts *, const struct json *object, bool is_new, bool is_fresh);

/* --- what is said, as marks: for those who have it from elsewhere ----------------------------- */

/* When it was heard, by the clock of the marks and since 1970. If it is fresh, a stamp of that same
 * second is as good as this. Both 0: the marks are since 1970 themselves. */
struct kube_heard {
	int64_t now_us, wall_us;
	bool is_fresh;
};

void kube_start_set_pod(struct coldstart *, const struct kube_times *, struct kube_heard);
void kube_start_set_report(struct coldstart *, const struct kube_report *, const char *container,
			   struct kube_heard);

#endif
