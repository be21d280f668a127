/*
 * How many connections each client address has (see net_format_client). An entry is there while it
 * has any, so there are never more than connections.
 */
#ifndef SLOTGATE_GATEWAY_CLIENTS_H
#define SLOTGATE_GATEWAY_CLIENTS_H

#include <stdint.h>

#include "base/map.h"
#include "base/net.h"

struct client;

/* 0 for one that has none. */
int64_t clients_count(const struct map *, const struct net_address *);

/* One more; NULL: no memory. Each must be given back with clients_leave. */
struct client *clients_enter(struct map *, const struct net_address *);
void clients_leave(struct map *, struct client *); /* NULL is harmless */

#endif
