/* Refusals of requests. */
#include "gateway/refuse.h"

#include "base/clock.h"
#include "gateway/gateway.h"
#include "gateway/reply.h"
#include "gateway/shed.h"

void refuse_with(struct request *r, int status, const char *reason, const char *detail,
		 int64_t retry_after_us)
{
	bool is_nonsense = status == 400 || status == 501; /* what follows it may be too */
	r->status = status;
	r->reason = reason;
	r->has_responded = true;
	reply_problem(r->exchange, &(struct problem){
					   .status = status,
					   .reason = reason,
					   .detail = detail,
					   .retry_after_us = retry_after_us,
					   .request_id = r->id,
					   .authenticate = status == 401 ? "Bearer" : NULL,
					   .no_body = r->is_head,
					   .close = is_nonsense,
				   });
}

static void refuse_plainly(struct request *r, int status, const char *reason, const char *detail)
{
	r->outcome = OUTCOME_REFUSED;
	refuse_with(r, status, reason, detail, 0);
}

static const char *refusal_detail(const struct request *r, enum refusal why)
{
	switch (why) {
	case REFUSAL_QUEUE_FULL:
		return "as many requests wait as queue.maxRequests allows";
	case REFUSAL_TENANT_QUEUE_FULL:
		return "as many requests of this tenant wait as its maxQueued allows";
	case REFUSAL_EXPIRED:
		return "no slot became free within queue.maxWait";
	case REFUSAL_COLD_START:
		return "no pod became ready within queue.coldStartMaxWait";
	case REFUSAL_SCALING_FAILED:
		return service_scaling_failure(backend_service(r->backend));
	case REFUSAL_NO_PODS:
		return "no pod is ready, and this route does not wait for one";
	case REFUSAL_ATTEMPTS:
		return "as many pods as queue.maxAttempts allows could not be reached";
	case REFUSAL_PASSES_FULL:
		return "as many requests are beside the slots as passThrough.maxRequests allows";
	case REFUSAL_CLOSING:
		return "the service is being removed, or the gateway is stopping";
	default:
		return "the gateway is out of memory";
	}
}

void refuse_ticket(struct request *r, enum refusal why, int64_t retry_after_us)
{
	if (r->takes_slot)
		metrics_count(r->backend->stats.queue_outcomes[why]);
	r->outcome = OUTCOME_REFUSED;
	/* 0 would leave the header out, but a refused client should be told when to come again. */
	int status = why == REFUSAL_TENANT_QUEUE_FULL ? 429 : 503;
	refuse_with(r, status, refusal_name(why), refusal_detail(r, why),
		    retry_after_us > 0 ? retry_after_us : 1);
}

/* It asks about the last one that it may reach: that is the gateway. */
static void answer_options(struct request *r)
{
	r->route = "none";
	r->status = 200;
	r->has_responded = true;
	reply_text(r->exchange, 200, "text/plain", "", 0, false);
}

/* Two who probe: ingresses, whether their rules have come this far ("probe", and the hash of the
 * rules), and the autoscaler, whether an activator is in the way before the last pod goes. */
static void answer_probe(struct request *r, const struct route *route)
{
	bool is_network = slice_is(route->probe, "probe");
	struct http_header headers[] = {
		{SLICE("Date"), reply_date(), HEADER_DATE},
		{SLICE("K-Network-Hash"), route->hash, HEADER_KNATIVE_HASH},
	};
	struct answer a = {.status = 200, .headers = headers, .count = 2, .content_length = 0};
	r->route = "probe";
	if (is_network ? !route->hash.len : !slice_is(route->probe, "activator")) {
		refuse_plainly(r, 400, "bad_probe",
			       is_network
				       ? "a probe must have a K-Network-Hash"
				       : "K-Network-Probe is neither \"activator\" nor \"probe\"");
		return;
	}
	r->status = 200;
	r->has_responded = true;
	if (is_network) {
		exchange_respond(r->exchange, &a);
		exchange_end(r->exchange);
	} else {
		static const char name[] = "activator";
		reply_text(r->exchange, 200, "text/plain", name, sizeof(name) - 1, r->is_head);
	}
}

void refuse_route(struct request *r, const struct route *route)
{
	switch (route->kind) {
	case ROUTE_PROBE:
		answer_probe(r, route);
		break;
	case ROUTE_NO_SERVICE:
		if (r->exchange->relay) { /* it was configured when the client asked */
			refuse_plainly(r, 503, "closing", "the service has been removed");
			break;
		}
		refuse_plainly(r, 404, "no_service", "no service is configured for this host");
		break;
	case ROUTE_BAD_METHOD:
		refuse_plainly(r, 501, "bad_method", "this method is not served here");
		break;
	case ROUTE_BLOCKED:
		r->route = route->pattern->text;
		refuse_plainly(r, 403, "blocked",
			       "this route is blocked for clients of this service");
		break;
	case ROUTE_END:
		answer_options(r);
		break;
	default:
		refuse_plainly(r, 400, "bad_target",
			       "the request target is neither a path nor a URL");
		break;
	}
}

void refuse_visitor(struct request *r, const struct visitor *v)
{
	switch (v->verdict) {
	case VERDICT_WELCOME:
		break; /* nobody is refused for that */
	case VERDICT_NO_KEY:
		refuse_plainly(r, 401, "unauthorized",
			       "a key is needed, as Authorization: Bearer KEY or x-api-key: KEY");
		break;
	case VERDICT_UNKNOWN_KEY:
		refuse_plainly(r, 401, "unauthorized", "this key is not known here");
		break;
	case VERDICT_DISABLED:
		refuse_plainly(r, 403, "forbidden", "this key is disabled");
		break;
	case VERDICT_ELSEWHERE:
		refuse_plainly(r, 403, "forbidden", "this key is not for this service");
		break;
	case VERDICT_TWO_KEYS:
		refuse_plainly(r, 400, "two_keys", "the request presents two different keys");
		break;
	case VERDICT_TOO_FAST:
		r->outcome = OUTCOME_REFUSED;
		refuse_with(r, 429, "rate_limited",
			    "this tenant sends more requests than its requestsPerSecond allows",
			    v->retry_after_us);
		break;
	case VERDICT_NO_MEMORY:
		refuse_ticket(r, REFUSAL_NO_MEMORY, 0);
		break;
	}
}

void refuse_body(struct request *r)
{
	refuse_plainly(r, 413, "body_too_large", "the request's body is larger than body.maxBytes");
}

void refuse_for_memory(struct request *r)
{
	int64_t wait_us = service_expected_wait_us(backend_service(r->backend), 0,
						   loop_now_us(request_gateway(r)->loop));
	shed_count(request_gateway(r), SHED_REQUEST);
	r->outcome = OUTCOME_REFUSED;
	refuse_with(r, 503, "overloaded",
		    "clients hold as much of the gateway's memory as limits.memory allows",
		    wait_us > 0 ? wait_us : US_PER_S);
}
