/*
 * What requests and jobs tell of themselves to their trace. All of it is harmless, and costs no
 * more than a look, for what is not recorded.
 */
#ifndef SLOTGATE_GATEWAY_TRACING_TRACED_H
#define SLOTGATE_GATEWAY_TRACING_TRACED_H

#include "gateway/request.h"

/* A request has come: finds its trace, or begins one. What the pod is to be told of it. */
struct told_trace traced_begin(struct request *, const struct http_head *);
void traced_granted(struct request *);

/* It has ended: its record is finished and goes to the exporter. */
void traced_end(struct request *, int64_t now_us);

/* An attempt at a pod, or at the process that has taken over. */
void traced_work_begin(struct job *);

/* It provably never reached its pod. */
void traced_work_unsent(struct job *, enum unsent);

/* It has ended as job_finish says. */
void traced_work_end(struct job *, enum job_end, const char *kind);

static inline void traced_work_answered(struct job *j, int status)
{
	if (j->span)
		j->span->span.status = status;
}

static inline void traced_work_left(struct job *j)
{
	if (j->span)
		j->span->client_left = true;
}

#endif
