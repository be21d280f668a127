/*
 * Inside HTTP/1: what http1.c (reading, states), http1_time.c (how long) and http1_out.c (writing)
 * share.
 */
#ifndef SLOTGATE_GATEWAY_HTTP_HTTP1_STATE_H
#define SLOTGATE_GATEWAY_HTTP_HTTP1_STATE_H

#include "gateway/http/http1.h"
#include "gateway/rate_floor.h"

enum http1_state {
	HTTP1_IDLE,	/* between two requests */
	HTTP1_HEAD,	/* part of a head has come */
	HTTP1_HELD,	/* its handler has the request: nothing is read */
	HTTP1_BODY,	/* a body is read */
	HTTP1_TUNNEL,	/* upgraded: bytes both ways */
	HTTP1_FLUSHING, /* the answer has ended, its client takes the rest */
	HTTP1_CLOSED,	/* nothing more is said: the connection lingers, or is dead */
};

/* How the client knows where the answer ends. */
enum answer_framing { FRAMED_BY_LENGTH, FRAMED_BY_CHUNKS, FRAMED_BY_CLOSE, FRAMED_AS_TUNNEL };

struct http1 {
	struct connection *connection;
	struct exchange exchange;
	enum http1_state state;
	int minor;	   /* the client's HTTP/1.x */
	bool served;	   /* at least one request */
	bool has_cr;	   /* of an empty line before a request */
	bool has_exchange; /* between the handler's begin and its left or delivered */
	bool wants_body;   /* its handler has asked for it */
	bool body_has_ended;
	bool expects_continue;
	bool keep_alive;   /* the client would go on after this exchange */
	bool held;	   /* a tunnel whose other side is slow */
	bool has_read_all; /* a tunnel whose client has closed its side */
	bool must_close;
	bool is_broken; /* writing failed, or the handler has reset it */
	enum exchange_end broken_why;
	enum answer_progress progress;
	enum answer_framing framing;

	struct http_parser *parser; /* while a head or a body is read */
	struct str unread;	    /* read, but of a later message */
	size_t unread_start;
	int64_t held_bytes; /* of memory, as reported to the gateway's budget */
	struct body_limits body_limits;
	int64_t body_deadline_us;
	struct rate_floor floor; /* under a body that comes, or under an answer that is taken */

	struct str head_out; /* an answer's head and small pieces of its body: until a larger one
			      * goes with them, or until the turn's end */
	struct spool *out;   /* what the client has not taken yet; NULL: nothing */
};

extern const struct exchange_ops http1_exchange_ops;

/* http1_out.c: writing. None of these calls a handler: they mark and defer. */
void http1_flush_head(struct http1 *);
void http1_flush(struct http1 *); /* the client can take more */
bool http1_has_output(const struct http1 *);
void http1_break(struct http1 *, enum exchange_end);

/* http1_time.c: the time that a state has, from when it begins; and whether a body, or what a
 * client takes of an answer, is below its floor: if not, it is looked at again later. */
void http1_begin_time(struct http1 *);
bool http1_is_too_slow(struct http1 *);

/* http1.c: what the exchange's operations need of the reading side. */
void http1_read_body(struct http1 *, struct body_limits);
void http1_hold(struct http1 *, bool hold);
bool http1_look(struct http1 *); /* true: the client has left, and its handler has been told */

#endif
