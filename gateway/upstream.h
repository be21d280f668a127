/*
 * Connections to pods. A pool holds the idle ones of one pod; a job takes one, or a new one, and
 * gives it back if it can be used again.
 *
 *   CONNECTING -> SECURING (TLS) -> BUSY <-> IDLE -> DEAD
 *
 * An idle one is kept for less time than the pod keeps it, and is looked at before it is used:
 * found closed, it is provably unused, and another is taken.
 */
#ifndef SLOTGATE_GATEWAY_UPSTREAM_H
#define SLOTGATE_GATEWAY_UPSTREAM_H

#include "base/loop.h"
#include "base/net.h"
#include "base/stream.h"

struct backend;
struct upstream_pool;

enum upstream_state {
	UPSTREAM_CONNECTING,
	UPSTREAM_SECURING,
	UPSTREAM_BUSY,
	UPSTREAM_IDLE,
	UPSTREAM_DEAD
};

enum upstream_event {
	UPSTREAM_CONNECTED,
	UPSTREAM_REFUSED,	 /* nothing listens there */
	UPSTREAM_CONNECT_FAILED, /* it could not be reached */
	UPSTREAM_NOT_SECURE,	 /* the TLS handshake has failed: it is there, and has nothing */
	UPSTREAM_READY,		 /* there may be bytes to read, or room to write */
	UPSTREAM_TIMER,		 /* the time that its user set has come */
};

typedef void upstream_fn(void *owner, enum upstream_event, unsigned what);

struct upstream {
	struct list link;
	enum upstream_state state;
	struct upstream_pool *pool;
	struct stream stream;
	struct timer timer; /* its user's while it has one */
	struct task reap;
	upstream_fn *fn;
	void *owner;
	int64_t idle_us; /* since when, in IDLE */
	bool is_reused;
	bool is_dry;	/* its user's last read has emptied the socket */
	bool has_ended; /* the pod has closed its side */
};

struct upstream_pool *upstream_pool_new(struct backend *, const struct net_address *);

/* Closes the idle ones; those in use outlive it. */
void upstream_pool_free(struct upstream_pool *);

/* An idle connection (BUSY at once), or a new one (CONNECTING: its user will be told).
 * NULL: errno says why; no byte was sent. */
struct upstream *upstream_take(struct upstream_pool *, bool must_be_new, upstream_fn *,
			       void *owner);

/* A connection that stands already and that nobody uses again (BUSY). Takes fd over, also if it
 * fails: NULL, no memory. */
struct upstream *upstream_adopt(struct backend *, int fd, upstream_fn *, void *owner);

/* Back to the pool. */
void upstream_give(struct upstream *);
void upstream_close(struct upstream *);

#endif
