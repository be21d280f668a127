/*
 * Inside HTTP/2: what http2.c (the connection) and http2_stream.c (its streams) share.
 */
#ifndef SLOTGATE_GATEWAY_HTTP2_STATE_H
#define SLOTGATE_GATEWAY_HTTP2_STATE_H

#include "base/h2.h"
#include "gateway/http2.h"
#include "gateway/rate_floor.h"

/* What the connection's timer waits for. */
enum http2_wait { WAIT_NOTHING, WAIT_HEAD, WAIT_REQUEST, WAIT_ROOM };

struct http2 {
	struct connection *connection;
	struct h2 *h2;
	struct list streams; /* that are open */
	struct list sent;    /* whose answers have been handed out whole */
	struct str out;	     /* frames on their way to the socket */
	size_t out_start;
	enum http2_wait wait;
	struct rate_floor floor; /* under what the client takes, in WAIT_ROOM */
	int64_t held_bytes;	 /* of memory, as reported to the gateway's budget */
	bool served;		 /* at least one request */
	bool is_closed;
};

struct http2_stream {
	struct list link; /* in one of the speaker's two lists */
	struct http2 *speaker;
	struct exchange exchange;
	int32_t id;
	bool has_exchange; /* between the handler's begin and its left or delivered */
	bool wants_body, body_has_ended, expects_continue;
	enum answer_progress progress;
	struct spool *out; /* of the answer, what has not been handed out; NULL: nothing */
	struct body_limits body_limits;
	struct timer timer;	 /* of the body, then of a client that takes too little */
	struct rate_floor floor; /* under these */
	int64_t body_deadline_us;
	int64_t held_bytes; /* of memory, without the spool, as reported */
	bool is_sent;	    /* all of its answer has been handed out */
	bool is_broken;	    /* to be reset at the turn's end */
	enum exchange_end broken_why;
};

/* http2_stream.c */
extern const struct exchange_ops http2_exchange_ops;
extern const struct h2_handler http2_handler;
void http2_stream_end_broken(struct http2_stream *);		  /* if it is */
void http2_stream_deliver(struct http2_stream *);		  /* if it has ended */
void http2_stream_lose(struct http2_stream *, enum exchange_end); /* its connection goes */

#endif
