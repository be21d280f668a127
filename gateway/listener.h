/*
 * Listening sockets. When descriptors run out, accepting pauses until some are closed; those that
 * come meanwhile wait in the kernel. Over a limit of connections a client is told so and closed; so
 * it is when the last descriptors would go: those are for pods, for temporary files and for the
 * addresses that are not for clients.
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

/* Whom an address is for. Only clients are counted, limited and waited for in a drain; the others
 * are served to its end, and each may have a few connections. */
enum listener_kind {
	LISTENER_CLIENTS,
	LISTENER_ADMIN, /* people, Prometheus */
	LISTENER_KEDA,
	LISTENER_METRICS_API,
	LISTENER_KINDS,
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
	int64_t max_connections; /* 0: no limit of its own */
	enum listener_kind kind;
	int64_t connection_count;
	bool is_kept; /* by the process that is about to take over */
	struct net_address bound;
	const struct exchange_handler *handler;
	int references;			  /* connections, and the gateway's list */
	struct metrics_counter *accepted; /* NULL where they are not counted */
	struct metrics_gauge *open;
	struct metrics_counter *spoke[2]; /* HTTP/1, HTTP/2 */
	struct metrics_counter *handshakes[HANDSHAKES];
};

struct listener_config;

/* Addresses do not change; which service it serves, and how, does. */
void listener_configure(struct listener *, const struct listener_config *);

/* Opens one; NULL: errno says why, and the log too. */
struct listener *listener_open(struct gateway *, const struct listener_config *,
			       const struct exchange_handler *, enum listener_kind);

/* Takes those that have connected already, then accepts no more; its connections go on. */
void listener_close(struct listener *);

/* Leaves even those to another process, which has the same socket. */
void listener_let_go(struct listener *);

/* One that accepts nothing: for connections that come by another way. */
struct listener *listener_private(struct gateway *, const char *name,
				  const struct exchange_handler *);
void listener_drop(struct listener *);

/* A client of it has begun to speak HTTP/1 or HTTP/2. */
void listener_count_protocol(struct listener *, bool is_http2);

/* How a TLS handshake on it has ended. */
void listener_count_handshake(struct listener *, enum handshake);

/* A connection begins: it holds the listener, and counts, also for its client's address. False: no
 * memory. */
struct client;
bool listener_enter(struct listener *, const struct net_address *, struct client **);

/* It has ended: accepting may go on. */
void listener_leave(struct listener *, struct client *);

#endif
