/*
 * Ranges of addresses ("10.0.0.0/8", "2001:db8::/32", or one address alone), and addresses without
 * a port as proxies write them.
 */
#ifndef SLOTGATE_BASE_NET_RANGE_H
#define SLOTGATE_BASE_NET_RANGE_H

#include "base/net.h"
#include "base/str.h"

enum { NET_RANGE_BYTES = 16 };

struct net_range {
	unsigned char bytes[NET_RANGE_BYTES]; /* of IPv4, mapped into IPv6 */
	int bits;			      /* that must agree */
};

/* NULL, or what is wrong with it. */
const char *net_range_parse(const char *text, struct net_range *);

/* An IPv4 client of an IPv6 socket is in the ranges of IPv4. */
bool net_range_holds(const struct net_range *, const struct net_address *);

/* "192.0.2.7", "192.0.2.7:80", "2001:db8::7", "[2001:db8::7]" or "[2001:db8::7]:80"; the port is
 * thrown away. */
bool net_parse_host(struct slice text, struct net_address *);

#endif
