/*
 * W3C Trace Context: which trace a request belongs to, and how that is told from one to the next
 * (the headers traceparent and tracestate). No I/O but randomness.
 */
#ifndef SLOTGATE_GATEWAY_TRACING_TRACE_CONTEXT_H
#define SLOTGATE_GATEWAY_TRACING_TRACE_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/http/http.h"

enum { TRACE_ID_BYTES = 16, SPAN_ID_BYTES = 8, TRACEPARENT_BYTES = 56, TRACESTATE_BYTES = 256 };

/* Flags of a context. */
enum { TRACE_IS_SAMPLED = 1, TRACE_IS_RANDOM = 2 };

struct trace_context {
	uint8_t trace[TRACE_ID_BYTES];
	uint8_t span[SPAN_ID_BYTES];
	uint8_t flags;
};

/* The context that a request's head names; false: none, two, or one that breaks the rules. */
bool trace_context_read(const struct http_head *, struct trace_context *);
bool trace_context_parse(struct slice, struct trace_context *);

/* As a traceparent's value, with a NUL. */
void trace_context_format(const struct trace_context *, char text[TRACEPARENT_BYTES]);

/* A new trace, of which the part `ratio` (0 to 1) is sampled. */
struct trace_context trace_context_new(double ratio);

/* An id for one more span: random, and not all zero, which would be none. */
void trace_new_span_id(uint8_t id[SPAN_ID_BYTES]);

/* Whether the head's lines of tracestate are, together, a list by the rules; none is one too. */
bool trace_state_is_good(const struct http_head *);

/* Joins the lines of a good one; members that find no room are left out whole. */
void trace_state_read(const struct http_head *, char text[TRACESTATE_BYTES]);

#endif
