/* The records of requests and jobs, filled in as they go. */
#include "gateway/tracing/traced.h"

#include <string.h>

#include "gateway/access_log.h"
#include "gateway/gateway.h"
#include "gateway/job_state.h"
#include "gateway/tracing/tracing.h"

#define COPY(to, from)	    span_copy(to, sizeof(to), from)
#define COPY_TEXT(to, text) span_copy(to, sizeof(to), slice_of((text) ? (text) : ""))

/* --- requests -------------------------------------------------------------------------------- */

static void record(struct request *r, const struct http_head *head, const struct told_trace *told,
		   const struct trace_context *parent)
{
	struct exchange *x = r->exchange;
	struct request_span *s =
		tracing_record(request_gateway(r)->tracing, SPAN_OF_REQUEST, sizeof(*s));
	if (!s)
		return;
	r->span = s;
	s->span.context = told->context;
	s->span.begun_us = r->begun_us;
	s->span.is_secure = exchange_tls(x) != NULL;
	s->work = told->context;
	trace_new_span_id(s->work.span);
	if (parent) {
		memcpy(s->span.parent, parent->span, SPAN_ID_BYTES);
		s->span.has_parent = true;
		if (told->keeps_state)
			trace_state_read(head, s->state);
	}
	COPY(s->host, http_find(head, HEADER_HOST));
	COPY_TEXT(s->version, x->version);
}

struct told_trace traced_begin(struct request *r, const struct http_head *head)
{
	const struct tracing_config *c = tracing_config(request_gateway(r)->tracing);
	struct told_trace told = {0};
	struct trace_context parent;
	if (!c)
		return told;
	/* The process before this one has decided already. */
	bool may_go_on = !c->restarts || r->exchange->relay;
	bool goes_on = may_go_on && trace_context_read(head, &parent);
	if (goes_on && !(parent.flags & TRACE_IS_SAMPLED))
		return told; /* nobody records it: it passes through as it is */
	told.is_ours = true;
	told.keeps_state = goes_on && trace_state_is_good(head);
	told.context = goes_on ? parent : trace_context_new(c->sample_ratio);
	if (goes_on)
		trace_new_span_id(told.context.span);
	if (told.context.flags & TRACE_IS_SAMPLED)
		record(r, head, &told, goes_on ? &parent : NULL);
	if (r->span)
		told.context = r->span->work;
	return told;
}

void traced_granted(struct request *r)
{
	struct request_span *s = r->span;
	if (s && r->found_cold && r->backend->warming.ready_us > r->queued_us)
		s->warming = r->backend->warming;
}

/* A slot's pattern without its method; all else has no name that would be one of few. */
static const char *route_of(const struct request *r)
{
	const char *space = strchr(r->route, ' ');
	return space ? space + 1 : "";
}

static const char *error_of(const struct request *r)
{
	bool is_ours = r->outcome == OUTCOME_TIMEOUT || r->outcome == OUTCOME_POD_FAILED ||
		       (r->outcome == OUTCOME_REFUSED && r->status >= 500);
	return is_ours ? r->reason : NULL;
}

void traced_end(struct request *r, int64_t now_us)
{
	struct request_span *s = r->span;
	if (!s)
		return;
	r->span = NULL;
	s->span.ended_us = now_us;
	s->span.status = r->status;
	s->span.error = error_of(r);
	s->found_cold = r->found_cold;
	s->takes_slot = r->takes_slot;
	s->attempts = r->attempts;
	s->queued_us = r->queued_us;
	s->granted_us = r->granted_us;
	s->outcome = access_log_outcome(r);
	s->reason = r->reason;
	if (r->exchange->peer)
		s->peer = *r->exchange->peer;
	s->client = r->client ? *r->client : s->peer;
	s->client_is_peer = !r->client;
	COPY_TEXT(s->span.method, r->method);
	COPY_TEXT(s->span.path, r->target);
	COPY_TEXT(s->span.pod, r->pod);
	COPY_TEXT(s->route, route_of(r));
	COPY_TEXT(s->service, r->backend ? r->backend->name : "");
	COPY_TEXT(s->tenant, r->tenant);
	COPY_TEXT(s->id, r->id);
	tracing_submit(request_gateway(r)->tracing, &s->span);
}

/* --- work ------------------------------------------------------------------------------------ */

void traced_work_begin(struct job *j)
{
	struct request *r = j->request;
	const struct request_span *of = r ? r->span : NULL;
	const struct net_address *address = activator_pod_address(j->backend->activator, j->pod);
	struct work_span *s =
		of ? tracing_record(j->backend->gateway->tracing, SPAN_OF_WORK, sizeof(*s)) : NULL;
	if (!s)
		return;
	j->span = s;
	s->span.context = of->work;
	memcpy(s->span.parent, of->span.context.span, SPAN_ID_BYTES);
	s->span.has_parent = true;
	s->span.wall_us = of->span.wall_us;
	s->span.begun_us = job_now(j);
	s->span.is_secure = j->backend->config->pod_tls.context != NULL;
	memcpy(s->earlier, of->last_attempt, SPAN_ID_BYTES);
	s->has_earlier = of->has_attempt;
	s->attempt = r->attempts;
	s->has_address = address && !j->is_relayed;
	if (s->has_address)
		s->address = *address;
	COPY_TEXT(s->span.method, r->method);
	COPY_TEXT(s->span.path, r->target);
	COPY_TEXT(s->span.pod, j->is_relayed ? "the process that has taken over" : r->pod);
	COPY_TEXT(s->service, j->backend->name);
}

static void end(struct job *j, const char *error)
{
	struct work_span *s = j->span;
	j->span = NULL;
	s->span.ended_us = job_now(j);
	s->span.error = error;
	tracing_submit(j->backend->gateway->tracing, &s->span);
}

/* No pod knows this attempt: it gives up its id, which the next one's head names again. */
void traced_work_unsent(struct job *j, enum unsent how)
{
	static const char *const errors[] = {
		[UNSENT_STALE] = "stale_connection",  [UNSENT_REFUSED] = "refused",
		[UNSENT_TIMEOUT] = "connect_timeout", [UNSENT_SAFE] = "broken",
		[UNSENT_NOT_SECURE] = "tls",
	};
	struct request_span *of = j->request ? j->request->span : NULL;
	if (!j->span)
		return;
	trace_new_span_id(j->span->span.context.span);
	if (of) {
		memcpy(of->last_attempt, j->span->span.context.span, SPAN_ID_BYTES);
		of->has_attempt = true;
	}
	end(j, errors[how]);
}

void traced_work_end(struct job *j, enum job_end how, const char *kind)
{
	bool is_over = how == JOB_ANSWERED || how == JOB_ABANDONED || how == JOB_DROPPED;
	if (!j->span)
		return;
	if (j->has_timed_out)
		end(j, "response_timeout");
	else if (kind || is_over)
		end(j, kind);
	else
		end(j, "forgotten"); /* its slot was freed without it */
}
