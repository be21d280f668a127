/*
 * Pods that are local processes: as many as the ledger wants, each with the smallest free index and
 * a port of its own.
 *
 *   start --> STARTING --became_ready--> READY --remove--> STOPPING --> (ended)
 *                |  exits                  | exits
 *                |  or is not ready in time|
 *                v                         v
 *             a failure: back-off       started again, no sooner than
 *             that doubles              backoffBase after its start
 *
 * The ledger knows a pod from the moment its program runs, by a name that is new with each start.
 * An index and its port are in use until the pod has wholly ended (supervisor.h). After
 * `startupFailures` failures in a row, or at once where the program cannot be executed, the ledger
 * is told that scaling fails, with the reason; when a pod becomes ready, that it works again.
 * Failures of pods that were started together count as one. A port where a stranger listens is a
 * failure before the start: the stranger would pass for the pod.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_PROCESS_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_PROCESS_H

#include "activator/providers/provider.h"

/* Starts none yet. The config stays until a reload. NULL: no memory. */
struct provider *process_provider_new(const struct provider_host *, const struct service_config *);

#endif
