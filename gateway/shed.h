/*
 * What is done when the memory that clients cause comes near limits.memory: see base/budget.h for
 * the two marks. The admin is never shed.
 */
#ifndef SLOTGATE_GATEWAY_SHED_H
#define SLOTGATE_GATEWAY_SHED_H

#include <stdbool.h>
#include <stddef.h>

struct gateway;

enum shed {
	SHED_REQUEST,	 /* a new one, before its body */
	SHED_CONNECTION, /* a new one, at the door */
	SHED_IDLE,	 /* one that waits for its next request */
	SHED_AHEAD,	 /* one that has sent much ahead of its turn */
	SHED_HEAD,	 /* one whose head has not come yet */
	SHEDS
};

/* Sets the limit: as configured, or a half of what the process may use. */
void shed_configure(struct gateway *);

/* Whether new work is to be turned away; then idle connections are ended too, oldest first and some
 * at a time. */
bool shed_is_due(struct gateway *);

void shed_count(struct gateway *, enum shed);

/* How far a client may send ahead while it waits. */
size_t shed_read_ahead_bytes(const struct gateway *);

#endif
