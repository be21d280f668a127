/*
 * A backend: one service as the data plane sees it. It outlives its removal from the configuration
 * until its last job has ended.
 */
#ifndef SLOTGATE_GATEWAY_BACKEND_H
#define SLOTGATE_GATEWAY_BACKEND_H

#include "activator/activator.h"
#include "config/config.h"
#include "gateway/autoscalers/demand.h"
#include "gateway/autoscalers/knative.h"
#include "gateway/stats.h"
#include "gateway/tenants.h"
#include "gateway/tracing/span.h"

struct gateway;
struct history;

struct backend {
	struct list link;
	struct gateway *gateway;
	struct config *holding;		     /* what `config` belongs to */
	const struct service_config *config; /* the newest of this service */
	struct activator *activator;
	struct service_stats stats;
	struct tenants tenants;
	struct warming warming;	 /* of the pod that ended the last time without any */
	int64_t cold_us;	 /* when a request last found none */
	struct history *history; /* what it did lately, for people */
	struct demand_watchers watchers;
	struct knative_report knative;
	uint64_t arrived; /* requests that have joined the queue, so far */
	char *name;
	uint64_t number; /* of this process, by which another one knows it */
	bool is_retired; /* out of the configuration */
	bool is_bound;	 /* a listener names it: it serves no other one, unless it has hosts */
	bool is_ending;	 /* retired, and nothing of it is at work any more */
	int64_t users;	 /* requests and jobs that have not ended */
	struct task retire;
};

/* Start-up and reload: ends the process without memory. NULL: it cannot be started; logged. */
struct backend *backend_new(struct gateway *, struct config *, const struct service_config *);
void backend_configure(struct backend *, struct config *, const struct service_config *);

/* Takes no more requests, refuses those that wait, and frees itself after its last job. */
void backend_retire(struct backend *);

/* A request or a job has come, or ended. */
void backend_hold(struct backend *);
void backend_drop(struct backend *);
void backend_free(struct backend *);

/* The connections to a pod; NULL: it is not known, or no memory. */
struct upstream_pool *backend_pool(struct backend *, uint64_t pod);

struct backend *backend_by_name(struct gateway *, const char *name);

/* The one that a configuration means by this name, if there is one: also one that was taken out and
 * still has jobs, which is revived. */
struct backend *backend_to_configure(struct gateway *, const char *name);

static inline struct service *backend_service(const struct backend *b)
{
	return activator_service(b->activator);
}

#endif
