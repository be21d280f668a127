/*
 * A walk over all services with their tenants and pods that may be left for other work and
 * continued, while they come and go: it remembers ids, and passes over what is no more. What is new
 * may be missed. What a service still has to decide in this turn is carried out before it is shown:
 * between two of a pod's jobs it would seem to have none.
 *
 *	fleet_begin(&walk, gateway);
 *	while ((what = fleet_next(&walk)) != FLEET_END)
 *		... FLEET_SERVICE, then its tenants, its pods, and FLEET_SERVICE_END ...
 *	fleet_end(&walk);
 */
#ifndef SLOTGATE_GATEWAY_FLEET_H
#define SLOTGATE_GATEWAY_FLEET_H

#include "base/str.h"

struct gateway;
struct backend;
struct tenant;
struct pod;

enum fleet_what { FLEET_SERVICE, FLEET_TENANT, FLEET_POD, FLEET_SERVICE_END, FLEET_END };

/* The last three are what fleet_next has come to; good until others had their turn. */
struct fleet_walk {
	struct gateway *gateway;
	struct ids {
		struct str list; /* of uint64_t */
		size_t at;
	} services, tenants, pods;
	bool services_only; /* may be set after fleet_begin: neither tenants nor pods */
	uint64_t number;    /* of the service that it is in; 0: in none */
	struct backend *backend;
	const struct tenant *tenant;
	const struct pod *pod;
};

/* Begins anew if it was begun. Without memory the walk is shorter: see fleet_failed. */
void fleet_begin(struct fleet_walk *, struct gateway *);
enum fleet_what fleet_next(struct fleet_walk *);

/* The service that it is in, also after others had their turn; NULL: it is gone. */
struct backend *fleet_service(const struct fleet_walk *);

bool fleet_failed(const struct fleet_walk *);
void fleet_end(struct fleet_walk *); /* harmless if it has ended, or was never begun */

#endif
