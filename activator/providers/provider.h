/*
 * Where a service's pods come from. A provider registers its pods with the service's ledger
 * (service_pod_add, _absent, _gone) and carries out what the ledger decides about them.
 *
 *   DECIDE_SCALE   -> provider_scale
 *   DECIDE_REMOVE  -> provider_remove
 *   a pod moves to POD_READY -> provider_became_ready, once the ledger's call has returned
 *
 * After each of its own calls into the ledger a provider calls host.changed: its owner then drains
 * the decisions, at the end of the turn and never from inside `changed`. None of the functions here
 * may be called from the ledger's observer.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_PROVIDER_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_PROVIDER_H

#include <stdint.h>

#include "activator/core/service.h"
#include "base/loop.h"
#include "base/net.h"
#include "config/config.h"

struct http_client;
struct supervisor;

/* What a provider works with; all of it outlives the provider. */
struct provider_host {
	struct loop *loop;
	struct http_client *http;
	struct supervisor *supervisor; /* NULL where no provider starts processes */
	struct service *service;
	void (*changed)(void *owner);
	void *owner;
};

struct provider;
typedef void provider_gone_fn(void *owner);

/* What another process must know of a pod to go on as its provider. */
struct provider_pod {
	const char *name; /* as the ledger knows it, or will */
	/* Of a local process: */
	int64_t index, port, starts, started_us;
	int64_t state; /* the provider's own */
	uint64_t child;
	int64_t pid; /* 0: not known to have started */
	int output;  /* the pipe it writes to; -1: none */
};

typedef void provider_pod_fn(void *arg, const struct provider_pod *);

/* What Kubernetes calls something; good until the turn ends. */
struct provider_object {
	const char *name_space, *name, *uid;
	const char *labels; /* "app=sd,tier=gpu" */
};

/* How it stands with whatever the pods come from. */
struct provider_status {
	const char *fault; /* why it cannot be heard: the pods that are known stay; NULL: it can */
	bool is_writer;	   /* this gateway is the one that writes the number of pods */
	uint64_t requests, failures, lists; /* so far */
	uint64_t writes, conflicts, deletions;
};

struct provider_ops {
	void (*scale)(struct provider *, int64_t replicas);
	void (*remove)(struct provider *, uint64_t pod);
	void (*became_ready)(struct provider *, uint64_t pod);
	const struct net_address *(*address)(const struct provider *, uint64_t pod);
	void (*reload)(struct provider *, const struct service_config *);
	void (*shutdown)(struct provider *, provider_gone_fn *, void *owner);
	void (*free)(struct provider *);
	void (*each)(const struct provider *, provider_pod_fn *, void *arg);
	bool (*adopt)(struct provider *, const struct provider_pod *);
	void (*let_go)(struct provider *);
	void (*status)(const struct provider *, struct provider_status *); /* NULL: it has none */
	bool (*object)(const struct provider *, uint64_t pod, struct provider_object *); /* NULL */
};

struct provider {
	const struct provider_ops *ops;
};

/* Have so many pods, those that were removed not counted. Only ever starts some: which ones go is
 * the ledger's choice. */
static inline void provider_scale(struct provider *p, int64_t replicas)
{
	p->ops->scale(p, replicas);
}

/* Stop this one. The ledger hears service_pod_gone when it has ended. */
static inline void provider_remove(struct provider *p, uint64_t pod)
{
	p->ops->remove(p, pod);
}

static inline void provider_became_ready(struct provider *p, uint64_t pod)
{
	p->ops->became_ready(p, pod);
}

/* Where the pod is, as long as the ledger knows it; NULL: it does not. */
static inline const struct net_address *provider_address(const struct provider *p, uint64_t pod)
{
	return p->ops->address(p, pod);
}

/* The new config takes the place of the old one, which may go. The ledger has it already. */
static inline void provider_reload(struct provider *p, const struct service_config *config)
{
	p->ops->reload(p, config);
}

/* Stops all pods that are its own, and starts no more. Calls back, at the end of a turn, when all
 * are gone. */
static inline void provider_shutdown(struct provider *p, provider_gone_fn *gone, void *owner)
{
	p->ops->shutdown(p, gone, owner);
}

/* Handing over (see activator/core/handover.h): calls for each pod that another process
 * will provide from here on. */
static inline void provider_each(const struct provider *p, provider_pod_fn *fn, void *arg)
{
	p->ops->each(p, fn, arg);
}

/* It is that process: the ledger knows the pod by its name, if it is known at all. `output` is
 * taken over, also on failure. False: no memory, or no such pod. */
static inline bool provider_adopt(struct provider *p, const struct provider_pod *pod)
{
	return p->ops->adopt(p, pod);
}

/* The pods are another process's now: from here on none is started or stopped, whatever is said. */
static inline void provider_let_go(struct provider *p)
{
	p->ops->let_go(p);
}

/* False: its pods come from nowhere that could fail. The text is good until the turn ends. */
static inline bool provider_status(const struct provider *p, struct provider_status *to)
{
	if (!p->ops->status)
		return false;
	p->ops->status(p, to);
	return true;
}

/* A pod, or with 0 the service that it belongs to. False: Kubernetes does not know it. */
static inline bool provider_object(const struct provider *p, uint64_t pod,
				   struct provider_object *to)
{
	return p->ops->object && p->ops->object(p, pod, to);
}

/* Pods that still run are stopped without anybody hearing of it. The ledger is not told. */
static inline void provider_free(struct provider *p)
{
	if (p)
		p->ops->free(p);
}

#endif
