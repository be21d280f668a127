/*
 * The messages of externalscaler.proto as plain values: the only file that includes what protobuf-c
 * makes of it.
 */
#ifndef SLOTGATE_GATEWAY_AUTOSCALERS_KEDA_MESSAGES_H
#define SLOTGATE_GATEWAY_AUTOSCALERS_KEDA_MESSAGES_H

#include <stdbool.h>

#include "base/str.h"

struct keda_pair {
	const char *key, *value;
};

/* A ScaledObjectRef; of a GetMetricsRequest also which metric. Texts are never NULL. */
struct keda_question {
	const char *name, *name_space, *metric;
	struct keda_pair *metadata;
	size_t count;
	void *decoded; /* owns the texts */
};

enum keda_read { KEDA_READ, KEDA_MALFORMED, KEDA_NO_MEMORY };

/* Release it if it was read. */
enum keda_read keda_question_read(struct keda_question *, const char *message, size_t len,
				  bool is_of_metric);
void keda_question_release(struct keda_question *);

/* An answer's message, in a frame of gRPC. The str has failed: no memory. */
void keda_add_active(struct str *, bool is_active);
void keda_add_spec(struct str *, const char *metric, double target);
void keda_add_value(struct str *, const char *metric, double value);

#endif
