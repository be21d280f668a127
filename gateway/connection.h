/*
 * A client's connection: its stream of bytes, and the protocol that is spoken on it.
 *
 *   SHAKING_HANDS (TLS) -.
 *   SNIFFING (plain) ------`-> OPEN -> LINGERING -> DEAD
 *
 * Which protocol it is was agreed with TLS (ALPN); without TLS, a client that begins with HTTP/2's
 * preface speaks that (RFC 9113, 3.3), every other HTTP/1. While OPEN, events go to the protocol,
 * which makes the exchanges.
 */
#ifndef SLOTGATE_GATEWAY_CONNECTION_H
#define SLOTGATE_GATEWAY_CONNECTION_H

#include "base/stream.h"
#include "gateway/exchange.h"
#include "gateway/gateway.h"
#include "gateway/listener.h"

enum connection_state {
	CONNECTION_SHAKING_HANDS,
	CONNECTION_SNIFFING, /* nothing has come yet that tells the protocol */
	CONNECTION_OPEN,     /* the protocol's */
	CONNECTION_LINGERING, /* answered for good: reads what still comes, so that the answer arrives */
	CONNECTION_DEAD,
};

struct connection {
	struct list link;
	enum connection_state state;
	bool peer_closed;   /* it has closed its sending side */
	bool may_have_more; /* the socket was not read until it had nothing left */
	struct gateway *gateway;
	struct listener *listener;
	struct stream stream;
	struct timer timer; /* the protocol's, while OPEN */
	struct task task;
	struct net_address peer;
	struct client *client; /* its address's count; NULL: the admin's are not counted */
	struct relay *relay; /* of one that comes from the process before this; NULL: a client's */
	const struct protocol *protocol; /* once OPEN */
	void *speaker;			 /* the protocol's own state of this connection */
};

/* What a protocol does with a connection. Each gets its speaker; none is called after `free`. */
struct protocol {
	void *(*open)(struct connection *); /* NULL: no memory */
	void (*readable)(void *);	    /* there may be bytes, or the client's end */
	bool (*wants_bytes)(const void *);  /* asked before each read */
	void (*take)(void *, const char *bytes, size_t len);
	void (*peer_ended)(void *);    /* its end has been read, behind its last byte */
	void (*writable)(void *);      /* there may be room to write */
	void (*timed_out)(void *);     /* connection.timer */
	void (*go_on)(void *);	       /* at the end of a turn, after connection_defer */
	void (*lose)(void *);	       /* the client is gone, or has to go: now */
	bool (*is_idle)(const void *); /* nothing is under way, nor has come in part */
	void (*drain)(void *);	       /* ends when nothing is under way any more */
	void (*free)(void *);
};

/* Takes over an accepted socket. It frees itself. Its `relay` may be set before the loop
 * goes on. NULL: no memory. */
struct connection *connection_start(struct gateway *, struct listener *, int fd,
				    const struct net_address *peer);

/* Ends those that wait for a next request, and lets the others end with their answer. */
void connections_drain(struct gateway *);

/* Ends so many of those that wait for a next request, the oldest first; returns how many. */
int connections_end_idle(struct gateway *, enum listener_kind, int most);

/* Another process serves newcomers: tells those who can be told (HTTP/2), so that they lose
 * nothing; an idle HTTP/1 connection may carry one more request. */
void connections_step_down(struct gateway *);

/* Ends all of them now. */
void connections_abort(struct gateway *);

/* --- for protocols --- */

/* Says in an exchange whose it is. */
void connection_introduce(struct connection *, struct exchange *);

/* Reads until the protocol wants no more, the socket is empty, or others want their turn. */
void connection_read(struct connection *);

void connection_defer(struct connection *);		      /* calls go_on at this turn's end, */
void connection_defer_to_next_turn(struct connection *);      /* or the next one's */
void connection_time_out_in(struct connection *, int64_t us); /* 0: not at all */

/* Nobody waits for an answer any more: seen without reading what may be before it. */
bool connection_has_left(struct connection *);

/* All has been said: ends once the client has taken it. */
void connection_linger(struct connection *);

/* Closes; the memory goes at the end of the turn. */
void connection_die(struct connection *);

#endif
