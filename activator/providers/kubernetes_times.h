/*
 * When what happened to a pod as it came up, as the API tells it: the pod's conditions and the states of
 * its containers, and Events. Read from JSON without I/O, and bounded.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_TIMES_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_TIMES_H

#include "activator/providers/kubernetes_model.h"

/* When something was so, by its own word: since 1970. */
struct kube_moment {
	int64_t at_us; /* 0: it does not say */
	bool is_exact; /* else it names a second */
};

/* What a pod says of how it came up. */
struct kube_times {
	struct kube_moment created, scheduled, sandboxed, initialized, started, ready;
	bool has_init; /* containers that run before the others; initialized is their end */
	bool is_ready, was_ready; /* it is; it is not, but had been */
	int64_t restarts;	  /* of its container */
	char node[KUBE_NAME_BYTES];
	char container[KUBE_PORT_BYTES]; /* the one that has the port, or the first */
};

bool kube_times_read(const struct json *object, int port, struct kube_times *);

/* An Event of the core API, about a pod. */
struct kube_report {
	char uid[KUBE_UID_BYTES];
	char reason[KUBE_PORT_BYTES];
	char container[KUBE_PORT_BYTES]; /* "": it is about the pod as a whole */
	char message[KUBE_TEXT_BYTES];
	bool of_init; /* that container is one of those that run before the others */
	bool is_warning;
	struct kube_moment at;
	int64_t image_bytes; /* 0: it does not say */
};

bool kube_report_read(const struct json *object, struct kube_report *);

#endif
