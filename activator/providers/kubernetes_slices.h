/* The EndpointSlices of one service, and what they say together: each of its pods once. Sans-IO. */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_SLICES_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_SLICES_H

#include "activator/providers/kubernetes_model.h"
#include "base/list.h"

enum { KUBE_SLICES_MAX = 10000, KUBE_SLICES_ENDPOINTS_MAX = 100000 };

struct kube_slices {
	struct list all;
	size_t count, endpoints; /* of all of them */
};

void kube_slices_init(struct kube_slices *);
void kube_slices_release(struct kube_slices *);

/* Adds it, or takes the place of the one of its name; what it owns is taken over, also on failure.
 * False: no memory, or too many. */
bool kube_slices_put(struct kube_slices *, struct kube_slice *);
void kube_slices_remove(struct kube_slices *, const char *name);

/* While a new list is read: what it does not name is gone at its end. */
void kube_slices_mark(struct kube_slices *);
void kube_slices_sweep(struct kube_slices *);

struct kube_endpoints {
	struct kube_endpoint *at; /* by uid */
	size_t count;
};

/*
 * Joins them. A pod that several slices name (while the controller moves it, or one for each
 * family) is there once, at its address of the preferred family if it has one; it is terminating
 * if any says so, for that is for ever, and ready if any says so. `port` is the name of the
 * service's port; "": whichever each slice has first, which says nothing where there are
 * several. False: no memory.
 */
bool kube_slices_join(const struct kube_slices *, const char *port, bool prefer_ipv6,
		      struct kube_endpoints *);
void kube_endpoints_release(struct kube_endpoints *);

/* NULL: not among them. */
const struct kube_endpoint *kube_endpoints_find(const struct kube_endpoints *, const char *uid);

#endif
