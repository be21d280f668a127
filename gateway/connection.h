/*
 * A client's connection that speaks HTTP/1.0 or 1.1. It reads one request at a time and makes it an
 * exchange; what is pipelined behind it waits in the socket or in `unread`.
 *
 *   IDLE -> HEAD -> HELD -> BODY -> HELD -> FLUSHING -> IDLE ...      LINGERING -> DEAD
 *                     `-> TUNNEL                  `-- close ------------^
 *
 * A client that closes its sending side has left, unless the listener allows half-close; that is
 * seen at once, also behind unread bytes (see IO_HANGUP).
 */
#ifndef SLOTGATE_GATEWAY_CONNECTION_H
#define SLOTGATE_GATEWAY_CONNECTION_H

#include "gateway/exchange.h"
#include "gateway/gateway.h"

struct listener;
struct connection;

/* Takes over an accepted socket. It frees itself. */
void connection_start(struct gateway *, struct listener *, int fd, const struct net_address *peer);

/* Ends those that wait for a next request, and lets the others end with their answer. */
void connections_drain(struct gateway *);

/* Ends all of them now. */
void connections_abort(struct gateway *);

#endif
