/*
 * What the API shows of one service: the Service, its EndpointSlices, the pods that it selects and
 * their Events, each listed and watched; and the fleet and the cold starts that come of that. A pod
 * that left the lists with work is asked for by its name: it may be over, or relabelled.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_VIEW_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_VIEW_H

#include "activator/providers/kubernetes_fleet.h"
#include "activator/providers/kubernetes_follow.h"
#include "activator/providers/kubernetes_starts.h"
#include "config/config.h"

struct kube_view {
	const struct service_config *config;
	struct loop *loop;
	struct kube_client *client;
	struct kube_fleet fleet;
	struct kube_starts starts;
	struct kube_follower services, slices, pods;
	bool is_on;
	bool has_service; /* the API knows it, as far as is known */
	struct http_exchange *confirming;
	char confirmed_uid[KUBE_UID_BYTES];
	void (*changed)(void *owner); /* the fleet is to be settled */
	void *owner;
};

/* The fleet is held back until its owner knows the scale. False: no memory; release it all the
 * same. */
bool kube_view_init(struct kube_view *, struct loop *, struct kube_client *, struct service *,
		    const struct service_config *, void (*changed)(void *owner), void *owner);
void kube_view_release(struct kube_view *);
void kube_view_configure(struct kube_view *, const struct service_config *);

/* Follows what can be by now (the pods once the Service names them), where there is a way to the
 * API. */
void kube_view_follow(struct kube_view *);
void kube_view_stop(struct kube_view *);

/* What has come is told to the ledger. */
void kube_view_settle(struct kube_view *);

/* It is known which pods there are. */
bool kube_view_is_whole(const struct kube_view *);

/* What cannot be seen, and why; NULL: all is. KUBE_NOT_LISTED: it never was yet. */
const char *kube_view_fault(const struct kube_view *);
extern const char KUBE_NOT_LISTED[];

/* Why nobody will ever hear of a pod: the API says no. NULL: it does not, or pods are known. */
const char *kube_view_refusal(const struct kube_view *);

uint64_t kube_view_lists(const struct kube_view *); /* that were asked for */

#endif
