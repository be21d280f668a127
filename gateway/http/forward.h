/*
 * What the heads of messages become on their way through: hop-by-hop headers go (RFC 9110, 7.6.1),
 * and the pod learns whom it serves.
 */
#ifndef SLOTGATE_GATEWAY_HTTP_FORWARD_H
#define SLOTGATE_GATEWAY_HTTP_FORWARD_H

#include "gateway/exchange.h"
#include "gateway/router.h"
#include "gateway/tracing/trace_context.h"

/* What the pod is told of the trace that its request belongs to. */
struct told_trace {
	bool is_ours;	  /* else it is told what the client has said, if anything */
	bool keeps_state; /* the client's tracestate goes on */
	struct trace_context context;
};

/* What the gateway says of its own. */
struct own_headers {
	const char *request_id;
	const struct told_trace *trace;
};

enum { REQUEST_ID_BYTES = 65, FORWARD_HEADERS_MAX = 512 };

/* The client's X-Request-Id if it is a sane one, else a new one. */
void forward_request_id(const struct http_head *, char id[REQUEST_ID_BYTES]);

/* The API key that a header presents, as x-api-key or as Authorization: Bearer. Empty: none. */
struct slice forward_key(const struct http_header *);

/* The head for the pod, all but its framing, which forward_request_framing adds when the body's
 * length is known (-1: there is none). */
void forward_request_head(struct str *, const struct http_head *, const struct route *,
			  const struct exchange *, const struct own_headers *,
			  const struct withheld *);
void forward_request_framing(struct str *, int64_t content_length);

/* How often an OPTIONS may still be forwarded; -1: it does not say. */
int64_t forward_hops_left(const struct http_head *);

/* The value of a cookie; an empty slice with a NULL `at` if there is none. */
struct slice forward_cookie(const struct http_head *, const char *name);

/* Keeps those of a pod's headers that go to the client, in place; returns how many. */
size_t forward_answer_headers(const struct http_head *, struct http_header *kept, size_t max,
			      bool is_upgrade);

#endif
