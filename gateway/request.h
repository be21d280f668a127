/*
 * A request: a client's exchange with a service, from its head to its answer's last byte. Steps,
 * each in request.c, in this order:
 *
 *   begin -> route -> admit -> read the body -> queue -> (the job works) -> answer -> finish
 *
 * It attaches to a job, which outlives it if the client leaves. request_finish is its only exit:
 * whatever ends it ends there, with one access-log line.
 */
#ifndef SLOTGATE_GATEWAY_REQUEST_H
#define SLOTGATE_GATEWAY_REQUEST_H

#include "gateway/exchange.h"
#include "gateway/http/forward.h"
#include "gateway/job.h"

enum { REQUEST_POD_BYTES = 80 };

/* How it ended, for the access log. */
enum outcome {
	OUTCOME_OK,	 /* the pod's answer was delivered, whatever its status */
	OUTCOME_REFUSED, /* the gateway said no: the reason says why */
	OUTCOME_CLIENT_LEFT,
	OUTCOME_TOO_SLOW, /* the client did not take its answer */
	OUTCOME_BAD_BODY,
	OUTCOME_TIMEOUT,    /* the pod took too long */
	OUTCOME_POD_FAILED, /* the pod's answer broke, or was none */
	OUTCOMES
};

struct request {
	struct list link;
	struct exchange *exchange;
	struct config *config; /* that its backend had then: `route` points into it */
	struct backend *backend;
	struct job *job;		  /* NULL: none yet, or no more */
	const char *route;		  /* the pattern it matched, or what else it was */
	const char *id, *method, *target; /* for the log, cut; in `text` */
	char *pod;			  /* that works on it, or did last; NULL: none yet */
	char *tenant;			  /* NULL: nobody that is known */
	uint64_t tenant_id;		  /* the ledger's */
	bool is_head;
	bool takes_slot; /* else it passes beside the slots */
	bool found_cold; /* there was no pod when it joined the queue */
	bool has_responded;
	bool is_relayed; /* another process does, counts and logs it */
	enum client_phase phase;
	int attempts;
	int status; /* of the answer; 0: none */
	enum outcome outcome;
	const char *reason;					/* of a refusal or a failure */
	int64_t begun_us, queued_us, granted_us, first_byte_us; /* 0: not yet */
	struct net_address *client; /* as a proxy that is trusted says; NULL: the peer is */
	struct request_span *span;  /* NULL: it is not recorded */
	char text[];
};

static inline struct gateway *request_gateway(const struct request *r)
{
	return r->exchange->gateway;
}

/* The handler of the listeners that serve clients. */
extern const struct exchange_handler request_handler;

/* Whether its client has left while it waited, in this very moment too: then it has
 * ended, and left its job. */
bool request_has_left(struct request *);

/* What the job tells. After refused, failed and answer_end it is the job
 * of this request no more. */
void request_granted(struct request *, const struct pod *);
void request_requeued(struct request *);
void request_refused(struct request *, enum refusal, int64_t retry_after_us);
void request_answer_interim(struct request *, const struct http_head *);
void request_answer_head(struct request *, const struct http_head *);
void request_answer_body(struct request *, const char *bytes, size_t len);
void request_answer_end(struct request *);

/* The job will bring no (more) answer. */
void request_failed(struct request *, enum outcome, int status, const char *reason,
		    const char *detail);

#endif
