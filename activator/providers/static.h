/*
 * Pods at configured addresses. slotgate neither starts nor stops them and knows nothing of their
 * past; a pod is known by its address. One that a reload takes away is absent: its jobs go on.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_STATIC_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_STATIC_H

#include "activator/providers/provider.h"

/* Adds the config's pods at once. NULL: no memory. */
struct provider *static_provider_new(const struct provider_host *, const struct service_config *);

#endif
