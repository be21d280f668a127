/*
 * Who may come in: a backend's tenants by their keys, the rate that each may come at, and what is
 * counted of them. How much of them may wait and work is the ledger's business.
 */
#ifndef SLOTGATE_GATEWAY_TENANTS_H
#define SLOTGATE_GATEWAY_TENANTS_H

#include "base/list.h"
#include "base/map.h"
#include "base/net.h"
#include "gateway/http/http.h"

struct backend;

/* Of one backend. */
struct tenants {
	struct list list;
	struct map by_name;
	int named;	/* how many have series of their own in the metrics */
	int64_t denied; /* since the last line about it in the log */
	int64_t denied_log_us;
};

void tenants_init(struct tenants *);
void tenants_release(struct tenants *);

/* The backend's config is another: start-up and reload. Those known keep their rates' state; of
 * those that are in no file any more the series go. */
void tenants_configure(struct backend *);

enum verdict {
	VERDICT_WELCOME,
	VERDICT_NO_KEY,	     /* 401 */
	VERDICT_UNKNOWN_KEY, /* 401 */
	VERDICT_DISABLED,    /* 403 */
	VERDICT_ELSEWHERE,   /* 403: the key is for other services */
	VERDICT_TWO_KEYS,    /* 400 */
	VERDICT_TOO_FAST,    /* 429 */
	VERDICT_NO_MEMORY,   /* 503 */
};

/* What of a request's head is not for the pod. */
struct withheld {
	bool api_keys;	     /* every x-api-key */
	struct slice bearer; /* an Authorization with this key; empty: none */
};

struct visitor {
	enum verdict verdict;
	const char *name; /* of the tenant, until the next reload; NULL: nobody that is known */
	uint64_t tenant;  /* the ledger's id of it; 0: nobody */
	int64_t retry_after_us;
	struct withheld withheld; /* what of its head is not for the pod */
};

/* Whether a request may come in; takes a token of its tenant's rate. */
struct visitor tenants_ask(struct backend *, const struct http_head *, struct slice target,
			   const struct net_address *peer, int64_t now_us);

/* The same of a request that the process before this one has let in, for
 * this tenant ("": nobody). */
struct visitor tenants_let_in_before(const struct backend *, const char *name);

/* A request has ended; `class` as in service_stats. Harmless if the tenant is unknown by now. */
void tenants_count(struct backend *, const char *name, int class);

/* The label of a tenant in the metrics; NULL: it is configured no more. */
const char *tenants_label(const struct backend *, const char *name);

#endif
