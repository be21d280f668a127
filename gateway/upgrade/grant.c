/* What becomes of grants. */
#include "gateway/upgrade/grant.h"

#include <string.h>

#include "gateway/gateway.h"
#include "gateway/upgrade/upgrade.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const char *const names[GRANT_EVENTS] = {
	[GRANT_STARTED] = "started",
	[GRANT_CLIENT_LEFT] = "clientLeft",
	[GRANT_TIMED_OUT] = "timedOut",
	[GRANT_BROKE] = "broke",
	[GRANT_DROPPED] = "dropped",
	[GRANT_INTERRUPTING] = "interrupting",
	[GRANT_INTERRUPTED] = "interrupted",
	[GRANT_FINISHED] = "finished",
	[GRANT_UNSENT_STALE] = "unsentStale",
	[GRANT_UNSENT_REFUSED] = "unsentRefused",
	[GRANT_UNSENT_TIMEOUT] = "unsentTimeout",
	[GRANT_UNSENT_SAFE] = "unsentSafe",
	[GRANT_UNSENT_NOT_SECURE] = "unsentNotSecure",
};

const char *grant_event_name(enum grant_event e)
{
	return names[e];
}

enum grant_event grant_event_by_name(const char *name)
{
	int e = 0;
	while (e < GRANT_EVENTS && (!name || strcmp(names[e], name) != 0))
		e++;
	return (enum grant_event)e;
}

enum grant_event grant_unsent(enum unsent how)
{
	switch (how) {
	case UNSENT_STALE:
		return GRANT_UNSENT_STALE;
	case UNSENT_REFUSED:
		return GRANT_UNSENT_REFUSED;
	case UNSENT_TIMEOUT:
		return GRANT_UNSENT_TIMEOUT;
	case UNSENT_SAFE:
		return GRANT_UNSENT_SAFE;
	case UNSENT_NOT_SECURE:
		return GRANT_UNSENT_NOT_SECURE;
	}
	return GRANT_UNSENT_STALE;
}

const char *grant_failure_kind(const char *kind)
{
	static const char *const kinds[] = {"response_timeout", "garbage", "spool", "interrupt",
					    "upgrade"};
	for (size_t i = 0; kind && i < COUNT(kinds); i++)
		if (strcmp(kinds[i], kind) == 0)
			return kinds[i];
	return kind ? "broken" : NULL;
}

static void apply(struct service *s, uint64_t grant, enum grant_event e, const char *kind,
		  struct ticket *t, int64_t now_us)
{
	switch (e) {
	case GRANT_STARTED:
		service_started(s, grant, now_us);
		break;
	case GRANT_CLIENT_LEFT:
		service_client_left(s, grant, now_us);
		break;
	case GRANT_TIMED_OUT:
		service_timed_out(s, grant, now_us);
		break;
	case GRANT_BROKE:
		service_broken(s, grant, kind, now_us);
		break;
	case GRANT_DROPPED:
		service_dropped(s, grant, kind, now_us);
		break;
	case GRANT_INTERRUPTING:
	case GRANT_INTERRUPTED:
		service_interrupting(s, grant, e == GRANT_INTERRUPTING, now_us);
		break;
	case GRANT_FINISHED:
		service_finished(s, grant, now_us);
		break;
	case GRANT_UNSENT_STALE:
		service_returned(s, grant, t, UNSENT_STALE, now_us);
		break;
	case GRANT_UNSENT_REFUSED:
		service_returned(s, grant, t, UNSENT_REFUSED, now_us);
		break;
	case GRANT_UNSENT_TIMEOUT:
		service_returned(s, grant, t, UNSENT_TIMEOUT, now_us);
		break;
	case GRANT_UNSENT_SAFE:
		service_returned(s, grant, t, UNSENT_SAFE, now_us);
		break;
	case GRANT_UNSENT_NOT_SECURE:
		service_returned(s, grant, t, UNSENT_NOT_SECURE, now_us);
		break;
	case GRANT_EVENTS:
		break;
	}
}

void grant_tell(struct backend *b, uint64_t grant, enum grant_event e, const char *kind,
		struct ticket *t)
{
	if (!grant)
		return;
	apply(backend_service(b), grant, e, kind, t, loop_now_us(b->gateway->loop));
	activator_changed(b->activator);
	upgrade_tell(b, grant, e, kind);
}
