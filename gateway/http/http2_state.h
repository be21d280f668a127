/*
 * Inside HTTP/2: what http2.c (the connection) and http2_stream.c (its streams) share.
 */
#ifndef SLOTGATE_GATEWAY_HTTP_HTTP2_STATE_H
#define SLOTGATE_GATEWAY_HTTP_HTTP2_STATE_H

#include "base/h2.h"
#include "gateway/http/http2.h"
#include "gateway/rate_floor.h"

/* What the connection waits for, in the order of what matters. */
enum http2_wait {
	WAIT_ROOM,    /* for the client to read */
	WAIT_HEAD,    /* for the rest of a request's head */
	WAIT_STREAMS, /* for what is under way; that has timers of its own */
	WAIT_REQUEST, /* for a next one */
	WAIT_GOODBYE, /* for the client to hear that no next one is wanted */
};

struct http2 {
	struct connection *connection;
	struct h2 *h2;
	struct list streams; /* that are open */
	struct list sent;    /* whose answers have been handed out whole */
	struct str out;	     /* frames on their way to the socket */
	size_t out_start;
	/* Of all frames so far: made, and surely with the kernel. */
	uint64_t made_bytes, written_bytes;
	enum http2_wait wait;
	struct rate_floor floor; /* under what the client takes, in WAIT_ROOM */
	int64_t held_bytes;	 /* of memory, as reported to the gateway's budget */
	bool served;		 /* at least one request */
};

struct http2_stream {
	struct list link; /* in one of the speaker's two lists */
	struct http2 *speaker;
	struct exchange exchange;
	int32_t id;
	bool wants_body, body_has_ended, expects_continue;
	enum answer_progress progress;
	struct spool *out; /* of the answer, what has not been handed out; NULL: nothing */
	struct body_limits body_limits;
	struct timer timer;	 /* of the body, then of a client that takes too little */
	struct rate_floor floor; /* under these */
	int64_t body_deadline_us;
	int64_t held_bytes; /* of memory, without the spool, as reported */
	uint64_t sent_at;   /* once its answer is handed out whole: where that ends; else 0 */
	bool is_broken;	    /* to be reset at the turn's end */
	enum exchange_end broken_why;
};

/* http2_stream.c */
extern const struct exchange_ops http2_exchange_ops;
extern const struct h2_handler http2_handler;
void http2_stream_end_broken(struct http2_stream *); /* if it is */
void http2_stream_deliver(struct http2_stream *);    /* if it has ended, and the kernel has it */
void http2_stream_lose(struct http2_stream *, enum exchange_end); /* its connection goes */

#endif
