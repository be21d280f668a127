/*
 * Why no pod comes, for those who wait and for people: what the configuration names and is not
 * there, and what the pods, their controller and the API server say.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_WHY_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_WHY_H

#include "activator/providers/kubernetes_election.h"
#include "activator/providers/kubernetes_fleet.h"
#include "activator/providers/kubernetes_scaler.h"

/* No pod can be found under the Service or the port that the configuration names; "": one can. Its
 * Service is known, unless it `is_there` no more. */
void kube_why_misnamed(const struct kube_fleet *, const struct kubernetes_pods_config *,
		       const char *name_space, bool is_there, char why[KUBE_WHY_BYTES]);

/* No pod comes, and none will; "": one may. `misnamed` is as above. */
void kube_why_none(const struct kube_fleet *, const struct kube_scaler *,
		   const struct kube_election *, const struct kubernetes_pods_config *,
		   const char *misnamed, int64_t now_us, char why[KUBE_WHY_BYTES]);

#endif
