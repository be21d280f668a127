/*
 * Pods that Kubernetes runs: found by the EndpointSlices and the selector of one Service, scaled
 * through a /scale, or by somebody else.
 *
 *   kubernetes_access    how the API server is reached
 *   kubernetes_client    requests to it, and their answers
 *   kubernetes_model     what it says, as structs (single values: kubernetes_values)
 *   kubernetes_watch     list and watch, sans-IO; kubernetes_follow asks for it
 *   kubernetes_slices    EndpointSlices, joined
 *   kubernetes_fleet     the pods by UID, and what the ledger is told of them
 *   kubernetes_starts    where cold starts go, by what pods and Events say (kubernetes_times)
 *   kubernetes_view      all that is followed of one service
 *   kubernetes_choice    which pods go, sans-IO
 *   kubernetes_scaler    replicas, marks and deletions, written
 *   kubernetes_election  which gateway writes them
 *
 * Losing the API server loses no pod: what is known stays, and provider_status says so.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_H

#include "activator/providers/provider.h"

/* The config must stay until reloaded. NULL: no memory. */
struct provider *kubernetes_provider_new(const struct provider_host *,
					 const struct service_config *);

#endif
