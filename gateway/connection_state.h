/*
 * Inside a connection: what connection.c (reading, states) and connection_out.c (writing) share.
 */
#ifndef SLOTGATE_GATEWAY_CONNECTION_STATE_H
#define SLOTGATE_GATEWAY_CONNECTION_STATE_H

#include "base/stream.h"
#include "gateway/connection.h"
#include "gateway/listener.h"

enum connection_state {
	CONNECTION_IDLE,     /* between two requests */
	CONNECTION_HEAD,     /* part of a head has come */
	CONNECTION_HELD,     /* its handler has the request: nothing is read */
	CONNECTION_BODY,     /* a body is read */
	CONNECTION_TUNNEL,   /* upgraded: bytes both ways */
	CONNECTION_FLUSHING, /* the answer has ended, its client takes the rest */
	CONNECTION_LINGERING, /* answered for good: reads what still comes, so that the answer arrives */
	CONNECTION_DEAD,
};

struct connection {
	struct list link;
	enum connection_state state;
	struct gateway *gateway;
	struct listener *listener;
	struct stream stream;
	struct timer timer;
	struct task task; /* goes on where a callback may not */
	struct net_address peer;

	struct exchange exchange;
	bool has_exchange;	    /* between the handler's begin and its left or delivered */
	struct http_parser *parser; /* while a head or a body is read */
	bool served;		    /* at least one request */
	bool may_have_more;	    /* the socket was not read until it had nothing left */
	struct str unread;	    /* read, but of a later message */
	size_t unread_start;

	bool wants_body; /* the handler has asked for it */
	bool body_has_ended;
	bool expects_continue;
	bool keep_alive;   /* the client would go on after this exchange */
	bool held;	   /* a tunnel whose other side is slow */
	bool has_read_all; /* a tunnel whose client has closed its side */
	bool peer_closed;  /* it has closed its sending side */
	int64_t body_timeout_us;

	/* The answer. */
	struct str head_out; /* its head, until the first bytes of its body go with it */
	struct spool *out;   /* what the client has not taken yet; NULL: nothing */
	struct spool_limits spool_limits;
	bool has_responded, has_ended, is_chunked, is_raw, must_close;
	bool is_broken; /* writing failed, or the handler has reset it */
	enum exchange_end broken_why;
};

extern const struct exchange_ops connection_exchange_ops;

/* connection_out.c: writing. None of these calls a handler: they mark and defer. */
void connection_flush_head(struct connection *);
void connection_flush(struct connection *); /* the client can take more */
bool connection_has_output(const struct connection *);
void connection_break(struct connection *, enum exchange_end);

/* The client takes some: a stall begins anew. */
void connection_made_progress(struct connection *);

/* connection.c: what the exchange's operations need of the reading side. */
void connection_read_body(struct connection *, struct body_limits);
void connection_hold(struct connection *, bool hold);

#endif
