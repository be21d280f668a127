/*
 * Listening sockets. When descriptors run out, accepting pauses until some are closed; those that
 * come meanwhile wait in the kernel. Over limits.maxConnections a client is told so and closed.
 */
#ifndef SLOTGATE_GATEWAY_LISTENER_H
#define SLOTGATE_GATEWAY_LISTENER_H

#include "base/loop.h"
#include "base/net.h"
#include "base/tls.h"
#include "gateway/exchange.h"

struct gateway;
struct metrics_counter;
struct metrics_gauge;

enum handshake {
	HANDSHAKE_FULL,
	HANDSHAKE_RESUMED,
	HANDSHAKE_FAILED,
	HANDSHAKE_TIMEOUT,
	HANDSHAKES,
};

struct listener {
	struct list link;
	struct gateway *gateway;
	struct io io;
	struct task retry;
	struct timer pause;
	char *address; /* as configured: how a reload knows it again */
	char *service; /* the one that it serves; NULL: by host */
	bool half_close, http2;
	struct tls_context *tls; /* of new connections; NULL: plain */
	bool is_admin;
	struct net_address bound;
	const struct exchange_handler *handler;
	int references;			  /* connections, and the gateway's list */
	struct metrics_counter *accepted; /* NULL for the admin: its clients are not counted */
	struct metrics_gauge *open;
	struct metrics_counter *handshakes[HANDSHAKES];
};

struct listener_config;

/* Addresses do not change; which service it serves, and how, does. */
void listener_configure(struct listener *, const struct listener_config *);

/* Opens one; NULL: errno says why, and the log too. */
struct listener *listener_open(struct gateway *, const struct listener_config *,
			       const struct exchange_handler *, bool is_admin);

/* Takes those that have connected already, then accepts no more; its connections go on. */
void listener_close(struct listener *);
void listener_drop(struct listener *);

/* How a TLS handshake on it has ended. */
void listener_count_handshake(struct listener *, enum handshake);

/* A connection has ended: accepting may go on. */
void listeners_resume(struct gateway *);

#endif
