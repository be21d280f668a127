/*
 * What becomes of a grant is told here, in one place: to the service's ledger, and after an upgrade
 * also to the process that has the ledger now.
 */
#ifndef SLOTGATE_GATEWAY_UPGRADE_GRANT_H
#define SLOTGATE_GATEWAY_UPGRADE_GRANT_H

#include "gateway/backend.h"

/* As the calls of service.h. */
enum grant_event {
	GRANT_STARTED,
	GRANT_CLIENT_LEFT,
	GRANT_TIMED_OUT,
	GRANT_BROKE,
	GRANT_DROPPED,
	GRANT_INTERRUPTING,
	GRANT_INTERRUPTED,
	GRANT_FINISHED,
	GRANT_UNSENT_STALE,
	GRANT_UNSENT_REFUSED,
	GRANT_UNSENT_TIMEOUT,
	GRANT_UNSENT_SAFE,
	GRANT_UNSENT_NOT_SECURE,
	GRANT_EVENTS
};

const char *grant_event_name(enum grant_event);
enum grant_event grant_event_by_name(const char *); /* GRANT_EVENTS: none has it */
enum grant_event grant_unsent(enum unsent);

/* A pod's failure by its name, as a text that lasts: what comes from elsewhere may be any. */
const char *grant_failure_kind(const char *);

/* `kind`: of BROKE and DROPPED. `ticket`: of UNSENT, the one that is to skip the pod; NULL: none. A
 * grant of 0 is none: nothing happens. */
void grant_tell(struct backend *, uint64_t grant, enum grant_event, const char *kind,
		struct ticket *);

#endif
