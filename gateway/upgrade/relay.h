/*
 * Requests that come from the process before this one, after an upgrade: their clients are
 * connected there, the ledger is here. Each comes over a stream of its own, one end of a
 * socketpair, as an ordinary HTTP/1.1 request; what HTTP cannot say stands here. To that process
 * such a request is a job whose "pod" is this one (job_relay). It is counted and logged here, where
 * its pod, its wait and its outcome are known; there it is not.
 */
#ifndef SLOTGATE_GATEWAY_UPGRADE_RELAY_H
#define SLOTGATE_GATEWAY_UPGRADE_RELAY_H

#include "gateway/exchange.h"
#include "gateway/job.h"

enum { RELAY_NAME_BYTES = 64, RELAY_TLS_BYTES = 16 };

struct relay {
	char service[RELAY_NAME_BYTES];			     /* that it was routed to */
	char tenant[RELAY_NAME_BYTES];			     /* that let it in; "": nobody */
	struct net_address peer;			     /* its client */
	char tls[RELAY_TLS_BYTES], cipher[RELAY_NAME_BYTES]; /* that it speaks; "": clear text */
	int64_t begun_us;
	uint64_t job; /* that keeps its place in the queue; 0: it waited in none yet */
};

/* Takes the stream over, also if it fails (no memory). */
bool relay_begin(struct gateway *, const struct relay *, int fd);

/* The job that has kept this request's place; NULL: it has none, or now takes something else. */
struct job *relay_awaited(struct exchange *, struct backend *, enum ticket_kind);

/* The connection has ended: a place that it has not come to take is free. NULL is harmless. */
void relay_free(struct gateway *, struct relay *);

#endif
