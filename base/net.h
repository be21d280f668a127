/*
 * Sockets: addresses as text ("127.0.0.1:8080", "[::1]:8080"), non-blocking TCP, and what can be
 * learned of a peer without reading from it.
 */
#ifndef SLOTGATE_BASE_NET_H
#define SLOTGATE_BASE_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum { NET_TEXT_BYTES = 64, NET_ADDRESS_BYTES = sizeof(struct sockaddr_in6) };

struct net_address {
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t len;
};

/* Parses a numeric "HOST:PORT", IPv6 in brackets; HOST may be empty or "*" for every interface
 * (IPv4), or "localhost" (127.0.0.1). NULL, or what is wrong with it. */
const char *net_parse(const char *text, struct net_address *);

/* "HOST:PORT", or only the host. */
void net_format(const struct net_address *, char text[NET_TEXT_BYTES]);
void net_format_host(const struct net_address *, char text[NET_TEXT_BYTES]);

/* Whom an address stands for, when clients are counted: an IPv4 host (also one mapped into IPv6),
 * or the /64 network that one IPv6 subscriber has. */
void net_format_client(const struct net_address *, char text[NET_TEXT_BYTES]);

int net_port(const struct net_address *);
bool net_is_loopback(const struct net_address *);
bool net_is_any(const struct net_address *); /* every interface: good for listening only */
bool net_is_same(const struct net_address *, const struct net_address *);

/* A non-blocking listening socket; -1 and errno. `bound` gets the address with its real port. */
int net_listen(const struct net_address *, struct net_address *bound);

/* The address that a listening TCP socket which somebody else has opened is bound to. False: it is
 * none. */
bool net_bound(int fd, struct net_address *);

/* Starts a non-blocking connect; -1 and errno if it was refused at once. */
int net_connect(const struct net_address *);

/* Accepts one, non-blocking and close-on-exec, without Nagle; -1 and errno. */
int net_accept(int listener, struct net_address *peer);

/* Notices within minutes that the peer's machine is gone, while nobody has anything to say. */
void net_keep_alive(int fd);

/* The pending error of a socket (0: none); reading it clears it. */
int net_take_error(int fd);

enum net_peer {
	NET_OPEN,
	NET_CLOSED, /* it has closed its sending side, perhaps behind unread bytes */
	NET_BROKEN, /* it is gone altogether */
};

/* What has become of the peer, without reading a byte. */
enum net_peer net_peer(int fd);

/* Bytes that were written and that the peer has not yet acknowledged. */
int64_t net_unsent_bytes(int fd);

/* Whether a connection that should be silent is: open, and nothing to read. */
bool net_is_idle(int fd);

/* Raises the limit of open descriptors as far as it goes, and returns it. */
int64_t net_raise_descriptor_limit(void);

#endif
