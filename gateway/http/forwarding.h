/*
 * Who the client is, and what the pod is told of it (X-Forwarded-*, X-Real-IP, RFC 7239).
 *
 * Anybody can write these headers, so they are believed and added to only where the peer is one of
 * `forwarding.trustedProxies`; from everybody else they are taken out, and ours stand alone. A name
 * written with "_" counts as the one with "-": CGI and WSGI make the same variable of both.
 */
#ifndef SLOTGATE_GATEWAY_HTTP_FORWARDING_H
#define SLOTGATE_GATEWAY_HTTP_FORWARDING_H

#include "gateway/exchange.h"
#include "gateway/router.h"

/* The address that a request came from, as far as it can be believed: the peer, or the last one of
 * those it names that is no trusted proxy itself. */
struct net_address forwarding_client(const struct forwarding_config *,
				     const struct net_address *peer, const struct http_head *);

/* Whether a header of the client's does not go on as it is. */
bool forwarding_replaces(const struct forwarding_config *, const struct net_address *peer,
			 enum header_id);

/* Writes ours. */
void forwarding_add(struct str *, const struct http_head *, const struct route *,
		    const struct exchange *);

#endif
