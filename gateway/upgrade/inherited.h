/*
 * Listening sockets that another process has opened: the service manager (socket activation), or
 * the slotgate that this one takes over from. A listener that is configured with such an address
 * uses it instead of opening its own; what nobody uses is closed.
 */
#ifndef SLOTGATE_GATEWAY_UPGRADE_INHERITED_H
#define SLOTGATE_GATEWAY_UPGRADE_INHERITED_H

#include <stdbool.h>

#include "base/net.h"
#include "config/config.h"

/* A listener's and the admin's, twice over: more are refused. */
enum { INHERITED_MAX = 256 };

struct inherited_socket {
	int fd;	       /* -1: taken */
	char *address; /* as its listener was configured; NULL: known by what it is bound to */
	int kind;      /* of its listener: see listener.h */
	struct net_address bound;
};

struct inherited {
	struct inherited_socket sockets[INHERITED_MAX];
	int count;
};

/* Those that the service manager has passed: LISTEN_PID, LISTEN_FDS. */
void inherited_from_manager(struct inherited *);

/* Takes the descriptor over, also if it fails: it listens to nothing, or there are too many. */
bool inherited_add(struct inherited *, int fd, const char *address, int kind);

/* The socket for this listener, or -1. */
int inherited_take(struct inherited *, const struct listener_config *, int kind,
		   struct net_address *bound);

/* Closes those that nobody took, and says so. */
void inherited_close(struct inherited *);

#endif
