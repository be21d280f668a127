/* What to run for one pod: its configured command and environment with {port} and {index} filled
 * in. */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_PROCESS_SPEC_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_PROCESS_SPEC_H

#include <stdbool.h>

#include "activator/providers/supervisor.h"
#include "config/config.h"

struct process_spec {
	char **argv, **env;	 /* its own */
	struct child_spec child; /* points to them, and into the config */
};

/* False: no memory, and nothing to release. */
bool process_spec_init(struct process_spec *, const struct process_pods_config *, int port,
		       int index);
void process_spec_release(struct process_spec *);

#endif
