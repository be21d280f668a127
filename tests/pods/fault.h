/*
 * fault: what a request's X-Demo-* headers ask the pod to do wrong. See fault_help for each.
 */
#ifndef DEMO_POD_FAULT_H
#define DEMO_POD_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "http.h"

/* What happens to the connection; at most one per request. */
enum fault_kind {
	FAULT_NONE,
	FAULT_CLOSE_BEFORE_HEADERS,
	FAULT_CLOSE_MID_HEADERS,
	FAULT_CLOSE_MID_BODY,
	FAULT_RESET,
	FAULT_GARBAGE,
	FAULT_HANG,
	FAULT_NO_ANSWER,
	FAULT_CRASH,
	FAULT_EARLY_RESPONSE,
};

struct fault {
	enum fault_kind kind;
	uint64_t after_us; /* X-Demo-Fault-After: how long into the job it strikes */
	/* How the answer is written; these combine. */
	enum http_framing framing;
	int status; /* 0 = the route's own */
	uint64_t bytes_per_second;
	uint64_t stream_chunks;
	bool has_time;
	uint64_t time_us; /* X-Demo-Time */
};

/* The --help section on the headers. */
extern const char fault_help[];

/* Reads the headers. On a value it does not know returns false with a sentence in *problem. */
bool fault_parse(struct fault *f, const struct http_request *r, struct buf *problem);

/*
 * Breaks the connection as the kind says, in the middle of a job that goes on; `reply` supplies
 * the head and body of which a part is written. FAULT_CRASH does not return.
 */
void fault_strike(const struct fault *f, struct http_conn *c, const struct http_request *r,
		  const struct http_reply *reply);

#endif
