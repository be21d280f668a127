/*
 * What the Kubernetes API says, as plain structs: read from JSON without I/O, and bounded. What is
 * missing has the meaning that the API gives to its absence; what cannot be true is left out.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_MODEL_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

enum {
	KUBE_NAME_BYTES = 254,
	KUBE_UID_BYTES = 64,
	KUBE_VERSION_BYTES = 64,
	KUBE_ADDRESS_BYTES = 46,
	KUBE_TIME_BYTES = 40,
	KUBE_PORT_BYTES = 64,
	KUBE_TEXT_BYTES = 200,
	KUBE_SELECTOR_BYTES = 2048,
	KUBE_LABELS_BYTES = 1024,
	KUBE_CONTINUE_BYTES = 4096,
	KUBE_PORTS_MAX = 32,
	KUBE_ENDPOINTS_MAX = 1000, /* of one slice: the API's own limit */
};

struct kube_meta {
	char name[KUBE_NAME_BYTES];
	char uid[KUBE_UID_BYTES];
	char version[KUBE_VERSION_BYTES];
	char created[KUBE_TIME_BYTES]; /* "2026-01-01T00:00:00Z": the later, the greater */
	bool is_deleted;	       /* its deletion has begun */
};

/* False: it is no object, or has no name. Without a uid that is "". */
bool kube_meta_read(const struct json *object, struct kube_meta *);

/* --- pods ------------------------------------------------------------------------------------ */

/* Why a pod does not come up, the worst last. */
enum kube_trouble { KUBE_NO_TROUBLE, KUBE_UNSCHEDULABLE, KUBE_CONFIG, KUBE_IMAGE, KUBE_CRASH };

/* The order in which a ReplicaSet that has too many takes them; those of one rank by their mark. */
enum kube_rank { KUBE_UNASSIGNED, KUBE_PENDING, KUBE_UNREADY, KUBE_READY };

/* The mark of one that is to go first: an annotation and its value. */
#define KUBE_COST  "controller.kubernetes.io/pod-deletion-cost"
#define KUBE_CHEAP "-1000"

struct kube_port {
	char name[KUBE_PORT_BYTES]; /* "": it has none */
	int number;
};

struct kube_pod {
	struct kube_meta meta;
	char address[KUBE_ADDRESS_BYTES]; /* of its primary family; "": none yet */
	char other[KUBE_ADDRESS_BYTES];	  /* of the other one; "": none */
	enum kube_rank rank;
	bool is_cheap;	/* has the mark */
	bool has_ended; /* all its containers have, for good */
	bool is_ready;
	enum kube_trouble trouble;
	char why[KUBE_TEXT_BYTES]; /* for people; "" without trouble */
	struct kube_port ports[KUBE_PORTS_MAX];
	size_t port_count;
	char labels[KUBE_LABELS_BYTES]; /* "app=sd,tier=gpu"; "": none, or too many */
};

bool kube_pod_read(const struct json *object, struct kube_pod *);

/* --- services -------------------------------------------------------------------------------- */

struct kube_service_port {
	char name[KUBE_PORT_BYTES];
	int number;
	int target;			   /* 0: by name, */
	char target_name[KUBE_PORT_BYTES]; /* of a pod's port */
};

struct kube_service {
	struct kube_meta meta;
	char selector[KUBE_SELECTOR_BYTES]; /* "app=sd,tier=gpu"; "": it selects no pods itself */
	char labels[KUBE_LABELS_BYTES];	    /* its own, the same */
	bool is_ipv6;			    /* its primary family */
	struct kube_service_port ports[KUBE_PORTS_MAX];
	size_t port_count;
};

bool kube_service_read(const struct json *object, struct kube_service *);

/* The port of this name, or the first for "". NULL: there is none. */
const struct kube_service_port *kube_service_port(const struct kube_service *, const char *name);

/* The number that a pod has for it; 0: it has none. */
int kube_pod_port(const struct kube_pod *, const struct kube_service_port *);

/* --- slices ---------------------------------------------------------------------------------- */

struct kube_endpoint {
	char uid[KUBE_UID_BYTES]; /* of the pod; of what is none, the address */
	bool is_pod;		  /* of the slice's own namespace, so that one can ask for it */
	char name[KUBE_NAME_BYTES];
	char address[KUBE_ADDRESS_BYTES];
	int port; /* 0: the slice has none of the wanted name */
	bool is_ipv6;
	bool is_ready, is_serving, is_terminating;
};

struct kube_slice {
	struct kube_meta meta;
	struct kube_port ports[KUBE_PORTS_MAX];
	size_t port_count;
	struct kube_endpoint *endpoints;
	size_t endpoint_count;
};

/* False: it is none, it is of host names, or no memory: then nothing is to be released. */
bool kube_slice_read(const struct json *object, struct kube_slice *);
void kube_slice_release(struct kube_slice *);

/* --- scale, leases, workloads ----------------------------------------------------------------- */

struct kube_scale {
	struct kube_meta meta;
	int64_t wanted, actual; /* replicas */
};

bool kube_scale_read(const struct json *object, struct kube_scale *);

struct kube_lease {
	struct kube_meta meta;
	char holder[KUBE_NAME_BYTES]; /* "": nobody */
	char renewed[KUBE_VERSION_BYTES];
	int64_t duration_s, transitions;
	const struct json *annotations; /* in the document; NULL: none */
};

bool kube_lease_read(const struct json *object, struct kube_lease *);

/* Why a Deployment or the like cannot create its pods (a quota, for one). False: it can. */
bool kube_workload_trouble(const struct json *object, char why[KUBE_TEXT_BYTES]);

/* Of a StatefulSet: the number of its first pod. */
int64_t kube_workload_first_ordinal(const struct json *object);

/* The last of a list of Events: its message, and its version, which is another one when it has
 * happened again. False: there is none. */
bool kube_events_last(const struct json *list, char version[KUBE_VERSION_BYTES],
		      char why[KUBE_TEXT_BYTES]);

/* --- lists, events, faults -------------------------------------------------------------------- */

struct kube_list {
	char version[KUBE_VERSION_BYTES];
	char next[KUBE_CONTINUE_BYTES]; /* the token for the rest; "": it is whole */
	const struct json *items;
};

/* False: it is none, or says no version. */
bool kube_list_read(const struct json *document, struct kube_list *);

enum kube_event_kind {
	KUBE_ADDED, /* or changed: the object is as it is now */
	KUBE_GONE,
	KUBE_BOOKMARK, /* only the version is news */
	KUBE_FAULT,    /* a Status; the watch is over */
};

struct kube_event {
	enum kube_event_kind kind;
	const struct json *object;
	char version[KUBE_VERSION_BYTES];
};

bool kube_event_read(const struct json *document, struct kube_event *);

struct kube_status {
	int code; /* 0: not said */
	char reason[KUBE_PORT_BYTES];
	char message[KUBE_TEXT_BYTES * 2];
};

bool kube_status_read(const struct json *document, struct kube_status *);

#endif
