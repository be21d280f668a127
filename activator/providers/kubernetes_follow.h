/* A kube_watch over the network: it asks what that wants to know. */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_FOLLOW_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_FOLLOW_H

#include "activator/providers/kubernetes_client.h"
#include "activator/providers/kubernetes_watch.h"
#include "base/loop.h"

struct kube_follower {
	struct kube_watch watch;
	struct kube_client *client;
	struct loop *loop;
	struct str path; /* with the selectors: "...?labelSelector=app%3Dsd" */
	struct http_exchange *exchange;
	struct timer timer;
	struct task task;
	bool is_on;
	int64_t refused_us; /* the API says no to its lists since; 0: it does not */
	/* After whatever the sink was told, and when it begins or ceases to fail. */
	void (*changed)(void *owner);
	void *owner;
};

/* False: no memory. The sink and the owner are as of kube_watch_init. */
bool kube_follower_init(struct kube_follower *, struct loop *, struct kube_client *,
			const struct kube_sink *, void (*changed)(void *owner), void *owner);
void kube_follower_release(struct kube_follower *);

/* Follows this path from now on; the same one again changes nothing. */
void kube_follower_start(struct kube_follower *, const char *path, int64_t timeout_s);
void kube_follower_stop(struct kube_follower *);

/* Tries again at once what rests after a failure. */
void kube_follower_hurry(struct kube_follower *);

#endif
