/*
 * The messages of autoscaler.proto as plain values: the only file that includes
 * what protobuf-c makes of it.
 */
#ifndef SLOTGATE_GATEWAY_AUTOSCALERS_KNATIVE_MESSAGES_H
#define SLOTGATE_GATEWAY_AUTOSCALERS_KNATIVE_MESSAGES_H

#include "base/str.h"

struct knative_stat {
	const char *name_space, *revision, *pod;
	double concurrency, requests;
};

/* Adds one to a WireStatMessages; an empty str is one without any. */
void knative_add_stat(struct str *, const struct knative_stat *);

#endif
