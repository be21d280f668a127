/*
 * What is kept of a sampled request for its trace, and how OpenTelemetry is told it. No I/O.
 *
 * Two records, as there are two lifetimes: a request's becomes the spans "POST /route" (of kind
 * SERVER), "queue" and "cold start"; a job's becomes a span "work" (CLIENT) for each attempt at a
 * pod, which goes on as long as the pod does, also after the client has left. They are bounded,
 * plain structs; their text is made later, off the request's path.
 *
 *   POST /sdapi/v1/txt2img  |--------------------------------------------------|
 *     queue                   |-----------------------|
 *       cold start            |-------------|
 *     work                                            |----------------------|
 */
#ifndef SLOTGATE_GATEWAY_TRACING_SPAN_H
#define SLOTGATE_GATEWAY_TRACING_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/net.h"
#include "base/str.h"
#include "gateway/tracing/trace_context.h"

enum {
	SPAN_METHOD_BYTES = 16,
	SPAN_PATH_BYTES = 128,
	SPAN_NAME_BYTES = 80, /* of hosts, pods, tenants, services, requests */
};

/* A pod's way from being asked for to its first request; times of the loop, 0: not known. */
struct warming {
	int64_t asked_us, answered_us, ready_us;
	char pod[SPAN_NAME_BYTES];
};

enum span_kind { SPAN_OF_REQUEST, SPAN_OF_WORK };

struct span {
	struct list link; /* among those that wait to be exported */
	enum span_kind kind;
	struct trace_context context; /* its trace and its own id */
	uint8_t parent[SPAN_ID_BYTES];
	bool has_parent;
	int64_t begun_us, ended_us; /* by the loop's clock, as all times here */
	int64_t wall_us;	    /* what turns them into Unix time */
	const char *error;	    /* a constant; NULL: it ended well */
	int status;		    /* of HTTP; 0: no answer */
	char method[SPAN_METHOD_BYTES];
	char path[SPAN_PATH_BYTES];
	char pod[SPAN_NAME_BYTES]; /* that works on it, or did last; "": none */
	bool is_secure;
};

struct request_span {
	struct span span;
	struct trace_context work; /* that the pod is told: the work's span */
	uint8_t last_attempt[SPAN_ID_BYTES];
	bool has_attempt;
	bool found_cold, takes_slot;
	int attempts;
	int64_t queued_us, granted_us; /* 0: not yet, or never */
	struct warming warming;
	const char *outcome, *reason; /* constants */
	char version[4];
	char state[TRACESTATE_BYTES];
	char route[SPAN_PATH_BYTES]; /* "": it is none that has a name */
	char host[SPAN_NAME_BYTES], service[SPAN_NAME_BYTES], tenant[SPAN_NAME_BYTES],
		id[SPAN_NAME_BYTES];
	struct net_address client, peer;
	bool client_is_peer;
};

struct work_span {
	struct span span;
	uint8_t earlier[SPAN_ID_BYTES]; /* the attempt before this one */
	bool has_earlier;
	int attempt; /* from 1 */
	bool client_left;
	bool has_address;
	struct net_address address;
	char service[SPAN_NAME_BYTES];
};

/* Copies what fits. */
void span_copy(char *to, size_t size, struct slice from);

/* How many spans a record becomes; those as OTLP's JSON, with commas between. */
int span_count(const struct span *);
void span_write(struct str *, const struct span *);

/* What goes around them: the resource that they are all of. */
struct span_resource {
	const char *service, *version, *instance, *host;
	int64_t pid;
};
void span_write_head(struct str *, const struct span_resource *);
void span_write_tail(struct str *);

#endif
