/* pod: what the whole process shares; set up by demo_pod.c, used by every connection. */
#ifndef DEMO_POD_POD_H
#define DEMO_POD_POD_H

#include <stdatomic.h>
#include <stdbool.h>

#include "audit.h"
#include "gate.h"
#include "gpu.h"
#include "http.h"
#include "options.h"

#define POD_MODELS 3

struct pod_model {
	const char *title, *name, *hash, *filename;
};

extern const struct pod_model pod_models[POD_MODELS];

struct pod {
	struct options options;
	struct gpu gpu;
	struct gate handlers; /* uvicorn's thread pool: every synchronous handler runs in it */
	struct audit audit;
	atomic_bool api_up;
	int stop_fd; /* readable once the pod stops */
};

/* Serves requests on an accepted socket until it closes; owns the socket. */
void pod_serve(struct pod *pod, int fd);
void pod_serve_audit(struct pod *pod, int fd); /* the same, for the audit's own listener */

#endif
