/*
 * The pods of one service as Kubernetes tells of them, and what the ledger is told of that. Sans-IO
 * but for the ledger, which is so itself.
 *
 *   EXPECTED --has an address--> OFFERED <--not ready, in trouble / ready again--> AWAY
 *      the ledger does not          the ledger's: its probe decides        POD_ABSENT there, with its
 *      know it                      when it gets work                      count, or forgotten if idle
 *
 * A member is a UID: an address that is used again is another member's. Of several that are said to
 * have one address the youngest has it; the older ones are AWAY. A member is over when its UID is
 * known to be deleted, or all its containers have ended for good. One that was merely not named any
 * more (a relabelled pod is "deleted" from a watch by label) is AWAY until somebody has looked.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_FLEET_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_FLEET_H

#include "activator/core/service.h"
#include "activator/providers/kubernetes_slices.h"
#include "base/map.h"
#include "base/net.h"

enum kube_member_state { KUBE_EXPECTED, KUBE_OFFERED, KUBE_AWAY };

enum { KUBE_LEDGER_NAME_BYTES = KUBE_NAME_BYTES + NET_TEXT_BYTES + KUBE_UID_BYTES + 4 };

struct kube_member {
	struct list link;
	struct kube_pod pod;
	enum kube_member_state state;
	bool is_listed;	   /* the API has a pod of this UID, as far as is known */
	bool is_pod;	   /* one can ask the API for it by its name */
	bool in_slices;	   /* they name it, and pods are not listed: that has to do */
	bool is_marked;	   /* while a new list is read: not named by it yet */
	bool was_ready;	   /* by the kubelet's word, at least once */
	bool had_endpoint; /* without one it is on its way out */
	bool seen_young;   /* it was known before it had an address: nobody has used it */
	struct net_address address;
	int port; /* 0: not known */
	char host[NET_TEXT_BYTES];
	char container[KUBE_PORT_BYTES]; /* of its, the one that serves */
	char where[NET_TEXT_BYTES];	 /* the address as text */
	bool is_displaced;		 /* a younger one has that address, */
	bool displaces;			 /* or this one has it, and others had it before */
	bool left_work;			 /* it was over with work that nobody has seen the end of */
	char ledger_name[KUBE_LEDGER_NAME_BYTES]; /* "": the ledger was never told of it */
	uint64_t id;				  /* in the ledger; 0: not there */
	int64_t trouble_us;			  /* since when it is in trouble */

	/* The scaler's (kubernetes_choice.h). */
	bool is_removing;    /* the ledger has chosen it */
	bool told_cheap;     /* the API was told last that it has the mark, or has it no more, */
	int64_t told_us;     /* then; 0: it was not told */
	bool is_unmarkable;  /* we may not change its mark, */
	bool is_undeletable; /* nor delete it */
	int64_t doomed_us;   /* since when replicas were lowered by it; 0: they were not */
	int64_t asked_us;    /* when somebody last looked, or told it to go */
};

enum { KUBE_HAUNTED = 256 };

struct kube_fleet {
	struct service *service;
	const char *label; /* for the log */
	struct list members;
	size_t count;
	struct map by_uid, by_place;
	uint64_t haunted[KUBE_HAUNTED]; /* addresses, hashed, where such work was; the last ones */
	size_t haunted_next;
	struct kube_slices slices;
	struct kube_service about; /* the Kubernetes service */
	bool knows_service;
	bool is_held;	       /* nothing is offered yet */
	bool has_others;       /* other gateways use the same pods */
	bool pods_are_synced;  /* all pods are known, not only those that slices name */
	const char *port_name; /* "" is the first */
	int target_port;       /* 0: as the service says */
};

enum { KUBE_MEMBERS_MAX = 20000 };

void kube_fleet_init(struct kube_fleet *, struct service *, const char *label);
void kube_fleet_release(struct kube_fleet *); /* the ledger is not told */

/* What the API says; then kube_fleet_settle. */
void kube_fleet_put_service(struct kube_fleet *, const struct json *object);
void kube_fleet_listing_pods(struct kube_fleet *);
void kube_fleet_put_pod(struct kube_fleet *, const struct json *object);
void kube_fleet_gone_pod(struct kube_fleet *, const struct json *object, int64_t now_us);
void kube_fleet_listed_pods(struct kube_fleet *);
void kube_fleet_put_slice(struct kube_fleet *, const struct json *object);

/* The UID is known to be there no more. */
void kube_fleet_over(struct kube_fleet *, struct kube_member *, int64_t now_us);

/* Joins all that is known, and tells the ledger. */
void kube_fleet_settle(struct kube_fleet *, int64_t now_us);

/* A pod of the ledger's that came from another process: known by its name again. */
bool kube_fleet_adopt(struct kube_fleet *, const char *ledger_name, int64_t now_us);

/* It will not come up any more: its cold start ends here, if it was not ready yet. */
void kube_fleet_gives_up(const struct kube_fleet *, const char *uid);

/* Whether a pod of this UID is known already. */
bool kube_fleet_knows(const struct kube_fleet *, const struct json *pod);
struct kube_member *kube_fleet_member(const struct kube_fleet *, uint64_t pod); /* NULL: none */

/* The ledger chose it to go, but it may stay: it is offered anew. False: it still works. */
bool kube_fleet_revive(struct kube_fleet *, struct kube_member *, int64_t now_us);

/* The API names it. */
static inline bool kube_member_is_named(const struct kube_member *m)
{
	return m->is_listed || m->in_slices;
}

/* It is there, and not on its way out. */
static inline bool kube_member_exists(const struct kube_member *m)
{
	return kube_member_is_named(m) && !m->pod.meta.is_deleted && !m->pod.has_ended;
}

#endif
