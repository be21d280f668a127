/*
 * Inside a job: what job.c (its life), job_exchange.c (the exchange with the pod) and job_tunnel.c
 * (an upgraded connection) share.
 */
#ifndef SLOTGATE_GATEWAY_JOB_STATE_H
#define SLOTGATE_GATEWAY_JOB_STATE_H

#include "gateway/gateway.h"
#include "gateway/job.h"
#include "gateway/request.h"
#include "gateway/upgrade/grant.h"

static inline struct gateway *job_gateway(const struct job *j)
{
	return j->backend->gateway;
}

static inline struct service *job_service(const struct job *j)
{
	return backend_service(j->backend);
}

static inline int64_t job_now(const struct job *j)
{
	return loop_now_us(job_gateway(j)->loop);
}

static inline bool job_is_pass(const struct job *j)
{
	return j->ticket.kind == TICKET_PASS;
}

/* job.c */
void job_move(struct job *, enum job_state);
void job_set_timeout(struct job *, int64_t after_us);

/* The only exit. `kind` names the pod's failure, for BROKE and DROPPED; NULL: it has none. The
 * request must have been told. It waits for an interrupt that is under way. */
void job_finish(struct job *, enum job_end, const char *kind);

/* Ends the request with an answer of our own; the job stays. */
void job_disappoint(struct job *, enum outcome, int status, const char *reason, const char *detail);

/* The pod has provably got nothing: the slot goes back, and the job waits again. */
void job_unsent(struct job *, enum unsent);

/* The answer has ended: the slot is free from here on, whatever the client still has to take. */
void job_answered(struct job *);
void job_broke(struct job *, const char *kind, const char *detail);

/* Tells the runtime to stop, if the service says how and the pod works on nothing else. */
void job_interrupt(struct job *);

/* job_exchange.c */
upstream_fn job_on_upstream;
void job_connect(struct job *);
void job_connected(struct job *, struct upstream *); /* one that stands already; NULL: no memory */
void job_send_more(struct job *);
void job_read_more(struct job *);

/*
 * Hands the request (NULL: nobody) what has come of its answer. It is held back until all of a read
 * is understood: a fault in it can then still be told as one, and if the answer ends with it, the
 * pod has its next job before this client has its bytes (job_answered).
 */
void job_hand_on(struct job *, struct request *, const struct http_parser *answer);
bool job_reads(const struct job *);

/* job_tunnel.c */
void job_tunnel_open(struct job *, const char *bytes, size_t len);
void job_tunnel_read(struct job *, const char *bytes, size_t len);
void job_tunnel_sent(struct job *);

#endif
