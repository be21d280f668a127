/*
 * Follows one collection of the API: lists it, then watches what changes. Sans-IO: it says what to
 * ask, and is told what came of it, with the time.
 *
 *   RESTING --due--> LISTING --page--> LISTING ... --last page--> (synced) --> FOLLOWING
 *      ^               |  failed, with back-off                      |  ^          |
 *      +---------------+<--------------------------------------------|--+----------+
 *        ended, cut off, silent: goes on from the last version seen; 410 Gone: lists anew
 *
 * The sink hears of each object as it is now. `listing` comes before the first of a new list and
 * `synced` after its last: what was not named between the two is gone.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_WATCH_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_WATCH_H

#include "activator/providers/kubernetes_model.h"
#include "base/str.h"

struct kube_sink {
	void (*listing)(void *owner);
	void (*put)(void *owner, const struct json *object);
	void (*gone)(void *owner, const struct json *object);
	void (*synced)(void *owner);
};

enum kube_watch_state { KUBE_RESTING, KUBE_LISTING, KUBE_FOLLOWING };

enum { KUBE_LINE_BYTES_MAX = 4 << 20, KUBE_REFUSAL_BYTES_MAX = 64 << 10, KUBE_PAGE_ITEMS = 100 };

enum { KUBE_TOO_LONG = -1 }; /* in a status' place */

struct kube_watch {
	const struct kube_sink *sink;
	void *owner;
	enum kube_watch_state state;
	bool is_synced;	 /* a whole list was read, at least once */
	bool is_current; /* a list need not be read again */
	char version[KUBE_VERSION_BYTES], next_page[KUBE_CONTINUE_BYTES];
	struct str line;  /* the beginning of an event whose end has not come, or of a refusal */
	bool is_garbled;  /* the stream said something that is no event, */
	bool is_gone;	  /* or that its version is too old: for a moment, until it has ended */
	bool is_open;	  /* it was answered, and well: it is good once that has lasted a moment */
	bool heard;	  /* an event in this watch */
	int failures;	  /* in a row */
	int page_items;	  /* asked for at once; fewer once a page of so many was too long */
	int64_t began_us; /* of what is under way */
	int64_t rest_until_us;
	int64_t heard_us;  /* when anything came last */
	int64_t timeout_s; /* after which the server ends a watch */
	uint64_t random;
	uint64_t lists, watches, faults; /* so far */
	char why[KUBE_TEXT_BYTES * 2];	 /* the last failure; "" since the last success */
};

/* It is due at once. */
void kube_watch_init(struct kube_watch *, const struct kube_sink *, void *owner, int64_t timeout_s,
		     uint64_t seed);
void kube_watch_release(struct kube_watch *);

enum kube_ask { KUBE_ASK_NOTHING, KUBE_ASK_LIST, KUBE_ASK_WATCH };

/* What to ask now, and its query (without "?"); what it says must be asked, and answered below. */
enum kube_ask kube_watch_next(struct kube_watch *, int64_t now_us, struct str *query);

/* The answer to a list. Status 0: none came; KUBE_TOO_LONG: it is longer than one is read. `why` is
 * for people. */
void kube_watch_listed(struct kube_watch *, int status, const struct json *document,
		       const char *why, int64_t now_us);

/* What has come of a watch. False: the stream must be ended, and kube_watch_ended told. */
bool kube_watch_feed(struct kube_watch *, int status, struct slice bytes, int64_t now_us);

/* What the server said instead of events, as far as it fits; until kube_watch_ended. */
struct slice kube_watch_refusal(const struct kube_watch *, int status);

/* The watch is over. Status 0: without an answer. */
void kube_watch_ended(struct kube_watch *, int status, const char *why, int64_t now_us);

/* When to look again: something is due, or the stream has been silent for too long. */
int64_t kube_watch_deadline_us(const struct kube_watch *);
bool kube_watch_is_silent(const struct kube_watch *, int64_t now_us);

/* Its server does not tell us what changes. */
static inline bool kube_watch_is_failing(const struct kube_watch *w)
{
	return !w->is_synced || w->failures > 0;
}

#endif
