/* A client's exchange with a service, step by step. */
#include "gateway/request.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/access_log.h"
#include "gateway/gateway.h"
#include "gateway/http/forwarding.h"
#include "gateway/rate_floor.h"
#include "gateway/refuse.h"
#include "gateway/reply.h"
#include "gateway/router.h"
#include "gateway/shed.h"
#include "gateway/tracing/traced.h"
#include "gateway/upgrade/ending.h"
#include "gateway/upgrade/relay.h"
#include "gateway/upgrade/upgrade.h"

enum { LOGGED_METHOD_BYTES = 15, LOGGED_TARGET_BYTES = 127 };

static int64_t now_of(const struct request *r)
{
	return loop_now_us(request_gateway(r)->loop);
}

/* --- the only exit --------------------------------------------------------------------------- */

static void request_finish(struct request *r, enum outcome outcome)
{
	int64_t now_us = now_of(r);
	if (outcome != OUTCOME_OK)
		r->outcome = outcome;
	if (r->job)
		job_leave(r->job);
	if (r->backend && !r->is_relayed) {
		struct ending ending;
		ending_describe(&ending, r, now_us);
		ending_book(r->backend, &ending);
	}
	if (!r->is_relayed)
		access_log_write(r, now_us);
	traced_end(r, now_us);
	if (r->backend)
		backend_drop(r->backend);
	config_drop(r->config);
	mem_free(r->pod);
	mem_free(r->tenant);
	mem_free(r->client);
	list_remove(&r->link);
	mem_free(r);
}

/* --- begin: what it is ----------------------------------------------------------------------- */

static struct slice cut(struct slice s, size_t most)
{
	return (struct slice){s.at, s.len < most ? s.len : most};
}

/* Where the next text goes. */
static char *copy(char *to, struct slice from)
{
	memcpy(to, from.at, from.len);
	to[from.len] = '\0';
	return to + from.len + 1;
}

static void copy_texts(struct request *r, struct slice id, struct slice method, struct slice target)
{
	char *at = r->text;
	r->id = at;
	r->method = at = copy(at, id);
	r->target = at = copy(at, method);
	copy(at, target);
}

static bool describe_client(struct request *r, const struct http_head *head)
{
	const struct net_address *peer = r->exchange->peer;
	struct net_address client =
		forwarding_client(&request_gateway(r)->config->forwarding, peer, head);
	if (net_is_same(&client, peer))
		return true;
	r->client = mem_copy(&client, sizeof(client));
	return r->client;
}

static struct request *request_new(struct gateway *gw, struct exchange *x,
				   const struct http_head *head)
{
	char id[REQUEST_ID_BYTES];
	forward_request_id(head, id);
	struct slice method = cut(head->method, LOGGED_METHOD_BYTES);
	struct slice target = cut(head->target, LOGGED_TARGET_BYTES);
	struct request *r = mem_zalloc(sizeof(*r) + strlen(id) + method.len + target.len + 3);
	if (!r)
		return NULL;
	r->exchange = x;
	if (!describe_client(r, head)) {
		mem_free(r);
		return NULL;
	}
	copy_texts(r, slice_of(id), method, target);
	list_init(&r->link);
	list_push_back(&gw->requests, &r->link);
	r->begun_us = x->relay ? x->relay->begun_us : x->begun_us;
	r->route = "none";
	r->is_head = slice_is(head->method, "HEAD");
	x->owner = r;
	return r;
}

static void meet(struct request *r, const struct visitor *v)
{
	if (v->name)
		r->tenant = mem_copy(v->name, strlen(v->name) + 1);
	r->tenant_id = v->tenant;
}

/* A cookie that names a ready pod keeps a browser on it: its session lives there. */
static void follow_cookie(struct request *r, const struct http_head *head, struct ticket *t)
{
	const char *cookie = r->backend->config->pass_through.sticky_cookie;
	char name[REQUEST_POD_BYTES];
	if (!cookie)
		return;
	struct slice value = forward_cookie(head, cookie);
	copy(name, cut(value.at ? value : SLICE(""), sizeof(name) - 1));
	const struct pod *p = service_pod_by_name(backend_service(r->backend), name);
	if (p)
		t->prefer_pod = p->id;
}

/* No other upgrade: behind h2c, say, requests would pass that nobody has looked at. */
static bool wants_websocket(const struct http_head *head)
{
	struct slice to = http_find(head, HEADER_UPGRADE);
	return head->wants_upgrade && head->minor == 1 && to.at && slice_is_nocase(to, "websocket");
}

static struct job *make_job(struct request *r, const struct route *route,
			    const struct http_head *head)
{
	const struct slot_pattern *pattern = route->pattern;
	enum ticket_kind kind = route->kind == ROUTE_PASS ? TICKET_PASS
				: pattern->exclusive	  ? TICKET_EXCLUSIVE
							  : TICKET_SLOT;
	struct job *j = relay_awaited(r->exchange, r->backend, kind);
	if (!j)
		j = job_new(r->backend, r, kind);
	if (!j)
		return NULL;
	j->request = r;
	j->is_head = r->is_head;
	j->content_length = head->content_length;
	j->is_safe =
		r->is_head || slice_is(head->method, "GET") || slice_is(head->method, "OPTIONS");
	/* A job with a slot is answered, not tunnelled. */
	j->wants_upgrade = kind == TICKET_PASS && !head->has_body && wants_websocket(head);
	if (!j->ticket.is_awaited) /* its place is its tenant's already */
		j->ticket.tenant = r->tenant_id;
	j->ticket.freed_by_idle = pattern && pattern->freed_by_idle;
	if (kind == TICKET_PASS)
		follow_cookie(r, head, &j->ticket);
	r->job = j;
	return j;
}

static bool body_is_too_large(const struct request *r, int64_t bytes)
{
	return bytes > r->backend->config->body.max_bytes;
}

static void drop_job(struct request *r)
{
	struct job *j = r->job;
	r->job = NULL;
	if (j)
		job_leave(j);
}

/* Asks for a place in the queue before the body is read. */
static bool admit(struct request *r, const struct route *route, const struct http_head *head,
		  const struct told_trace *trace, const struct withheld *withheld)
{
	struct service *s = backend_service(r->backend);
	struct job *j = make_job(r, route, head);
	if (!j) {
		refuse_ticket(r, REFUSAL_NO_MEMORY, 0);
		return false;
	}
	/* After an upgrade it is the other process that admits. */
	bool has_place = j->ticket.is_awaited || upgrade_is_over(request_gateway(r));
	if (!has_place && !service_admit(s, &j->ticket, now_of(r))) {
		enum refusal why = j->ticket.refusal;
		int64_t retry_after_us = j->ticket.retry_after_us;
		drop_job(r);
		refuse_ticket(r, why, retry_after_us);
		return false;
	}
	struct http_head upgradeless = *head;
	upgradeless.wants_upgrade = j->wants_upgrade;
	struct own_headers own = {r->id, trace};
	forward_request_head(&j->head, &upgradeless, route, r->exchange, &own, withheld);
	job_account(j);
	return true;
}

static void begin(struct exchange *x, const struct http_head *head)
{
	struct gateway *gw = x->gateway;
	struct request *r = request_new(gw, x, head);
	if (!r) {
		exchange_reset(x);
		return;
	}
	struct route route = router_find(gw, x, head);
	struct told_trace trace = {0};
	if (route.kind != ROUTE_PROBE)
		trace = traced_begin(r, head);
	r->backend = route.backend;
	if (r->backend) {
		backend_hold(r->backend);
		r->config = config_hold(r->backend->holding);
	}
	if (route.kind != ROUTE_SLOT && route.kind != ROUTE_PASS) {
		refuse_route(r, &route);
		return;
	}
	r->takes_slot = route.kind == ROUTE_SLOT;
	r->route = r->takes_slot ? route.pattern->text : "pass-through";
	struct visitor v =
		x->relay ? tenants_let_in_before(r->backend, x->relay->tenant)
			 : tenants_ask(r->backend, head, route.target, x->peer, now_of(r));
	meet(r, &v);
	if (v.verdict != VERDICT_WELCOME) {
		refuse_visitor(r, &v);
		return;
	}
	if (body_is_too_large(r, head->content_length)) {
		refuse_body(r);
		return;
	}
	if (!x->relay && shed_is_due(gw)) { /* a relayed one has been let in already */
		refuse_for_memory(r);
		return;
	}
	if (!admit(r, &route, head, &trace, &v.withheld))
		return;
	const struct service_config *c = r->backend->config;
	struct body_limits limits = {
		.timeout_us = c->body.timeout_us,
		.least_bytes = rate_floor_bytes(c->body.min_rate, c->body.min_rate_window_us),
		.window_us = c->body.min_rate_window_us,
		.spool = {c->spool.memory_bytes, c->spool.max_bytes},
	};
	exchange_read_body(x, limits);
}

/* --- read the body --------------------------------------------------------------------------- */

static void refuse_to_keep(struct request *r, enum spool_error error)
{
	bool is_overload = error == SPOOL_NO_BUDGET;
	log_write(is_overload ? LOG_INFO : LOG_ERROR, "%s: cannot keep a request's body: %s",
		  r->backend->name, spool_error_text(error));
	drop_job(r);
	r->outcome = OUTCOME_REFUSED;
	refuse_with(r, 503, is_overload ? "overloaded" : "spool", spool_error_text(error),
		    US_PER_S);
}

static void on_body(struct exchange *x, const char *bytes, size_t len)
{
	struct request *r = x->owner;
	if (!r || !r->job)
		return;
	if (r->job->state == JOB_TUNNEL) {
		job_tunnel_write(r->job, bytes, len);
		return;
	}
	if (body_is_too_large(r, x->bytes_in)) {
		drop_job(r);
		refuse_body(r);
		return;
	}
	enum spool_error error = job_add_body(r->job, bytes, len);
	if (error)
		refuse_to_keep(r, error);
}

/* --- queue ----------------------------------------------------------------------------------- */

static void on_body_end(struct exchange *x)
{
	struct request *r = x->owner;
	if (!r || !r->job)
		return;
	struct job *j = r->job;
	if (j->state == JOB_TUNNEL) {
		job_tunnel_end(j);
		return;
	}
	bool needs_length = j->body || !j->is_safe;
	forward_request_framing(&j->head, needs_length ? j->body_bytes : -1);
	if (j->head.failed) {
		drop_job(r);
		refuse_ticket(r, REFUSAL_NO_MEMORY, 0);
		return;
	}
	r->found_cold = service_is_cold(backend_service(r->backend));
	r->backend->arrived += r->takes_slot;
	if (r->found_cold)
		r->backend->cold_us = now_of(r);
	r->queued_us = j->ticket.is_awaited ? j->ticket.enqueued_us : now_of(r);
	r->phase = PHASE_QUEUED;
	job_enqueue(j);
}

void request_refused(struct request *r, enum refusal why, int64_t retry_after_us)
{
	r->job = NULL;
	refuse_ticket(r, why, retry_after_us);
}

void request_requeued(struct request *r)
{
	r->granted_us = 0;
	r->exchange->is_in_work = false;
	r->phase = PHASE_QUEUED;
	mem_free(r->pod);
	r->pod = NULL;
}

/* --- the job works --------------------------------------------------------------------------- */

/* Nobody waits who is granted in the turn in which it came. */
bool request_has_left(struct request *r)
{
	return now_of(r) > r->queued_us && exchange_look(r->exchange);
}

void request_granted(struct request *r, const struct pod *p)
{
	r->granted_us = now_of(r);
	r->exchange->is_in_work = true;
	r->phase = PHASE_WORKING;
	r->attempts++;
	if (r->attempts == 1 && r->takes_slot)
		metrics_count(r->backend->stats.queue_outcomes[REFUSAL_NONE]);
	r->pod = mem_copy(p->name, strlen(p->name) + 1);
	traced_granted(r);
}

void request_failed(struct request *r, enum outcome outcome, int status, const char *reason,
		    const char *detail)
{
	r->job = NULL;
	r->outcome = outcome;
	if (r->has_responded) {
		r->reason = reason;
		exchange_reset(r->exchange);
		return;
	}
	refuse_with(r, status, reason, detail, status == 503 ? US_PER_S : 0);
}

enum { OWN_HEADERS = 4, STATUS_MAX = 599 };

/* --- answer ---------------------------------------------------------------------------------- */

static size_t add_via(const struct request *r, const struct http_head *head,
		      struct http_header *headers, size_t n)
{
	const char *via = request_gateway(r)->config->forwarding.answer_via[head->minor > 0];
	if (via && !r->is_relayed && head->status != 101)
		headers[n++] = (struct http_header){SLICE("Via"), slice_of(via), HEADER_VIA};
	return n;
}

static size_t add_own_headers(struct request *r, const struct http_head *head,
			      struct http_header *headers, size_t n, struct str *own)
{
	if (!http_find(head, HEADER_X_REQUEST_ID).at)
		headers[n++] = (struct http_header){SLICE("X-Request-Id"), slice_of(r->id),
						    HEADER_X_REQUEST_ID};
	if (!http_find(head, HEADER_DATE).at && head->status >= 200)
		headers[n++] = (struct http_header){SLICE("Date"), reply_date(), HEADER_DATE};
	n = add_via(r, head, headers, n);
	const char *cookie = r->backend->config->pass_through.sticky_cookie;
	if (cookie && r->pod && !r->is_relayed && r->job && r->job->ticket.kind == TICKET_PASS) {
		str_printf(own, "%s=%s; Path=/; HttpOnly; SameSite=Lax", cookie, r->pod);
		if (!own->failed)
			headers[n++] = (struct http_header){
				SLICE("Set-Cookie"), {own->at, own->len}, HEADER_OTHER};
	}
	return n;
}

void request_answer_interim(struct request *r, const struct http_head *head)
{
	struct http_header headers[FORWARD_HEADERS_MAX];
	struct answer a = {
		.status = head->status,
		.headers = headers,
		.count = forward_answer_headers(head, headers, FORWARD_HEADERS_MAX, false),
		.content_length = -1,
	};
	exchange_inform(r->exchange, &a);
}

/* One that HTTP does not have is to be taken for a 5xx (RFC 9110, 15), so that is what it becomes:
 * who knows how a client takes it. The answer itself is as whole as any. */
static int status_of(const struct request *r, const struct http_head *head)
{
	if (head->status <= STATUS_MAX)
		return head->status;
	log_info("%s: pod %s answers with the status %d, which HTTP does not have: 502",
		 r->backend->name, r->pod ? r->pod : "", head->status);
	return 502;
}

void request_answer_head(struct request *r, const struct http_head *head)
{
	struct http_header headers[FORWARD_HEADERS_MAX + OWN_HEADERS];
	struct str own; /* what of them is made here */
	bool is_upgrade = head->status == 101;
	str_init(&own);
	size_t n = forward_answer_headers(head, headers, FORWARD_HEADERS_MAX, is_upgrade);
	n = add_own_headers(r, head, headers, n, &own);
	r->status = status_of(r, head);
	r->first_byte_us = now_of(r);
	r->phase = PHASE_STREAMING;
	r->has_responded = true;
	struct answer a = {
		.status = r->status,
		.headers = headers,
		.count = n,
		.content_length = head->status == 204 ? -1 : head->content_length,
		.has_body = head->has_body || is_upgrade,
	};
	exchange_respond(r->exchange, &a);
	str_release(&own);
}

void request_answer_body(struct request *r, const char *bytes, size_t len)
{
	exchange_write(r->exchange, bytes, len);
}

void request_answer_end(struct request *r)
{
	r->job = NULL;
	exchange_end(r->exchange);
}

/* --- finish ---------------------------------------------------------------------------------- */

static void on_delivered(struct exchange *x)
{
	if (x->owner)
		request_finish(x->owner, OUTCOME_OK);
}

static void on_left(struct exchange *x, enum exchange_end why)
{
	struct request *r = x->owner;
	if (!r)
		return;
	switch (why) {
	case END_CLIENT_LEFT:
		request_finish(r, OUTCOME_CLIENT_LEFT);
		break;
	case END_TOO_SLOW:
		request_finish(r, OUTCOME_TOO_SLOW);
		break;
	case END_BAD_BODY:
		r->status = 400;
		request_finish(r, OUTCOME_BAD_BODY);
		break;
	case END_BODY_TIMEOUT:
		r->status = 408;
		request_finish(r, OUTCOME_BAD_BODY);
		break;
	case END_RESET:
		/* It was our own wish, and the outcome was set with it. */
		request_finish(r, r->outcome);
		break;
	}
}

const struct exchange_handler request_handler = {
	.begin = begin,
	.body = on_body,
	.body_end = on_body_end,
	.left = on_left,
	.delivered = on_delivered,
};
