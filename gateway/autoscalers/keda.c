/* KEDA's external scaler. */
#include "gateway/autoscalers/keda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/fault.h"
#include "gateway/autoscalers/grpc.h"
#include "gateway/autoscalers/keda_messages.h"
#include "gateway/backend.h"
#include "gateway/gateway.h"
#include "gateway/reply.h"
#include "gateway/upgrade/upgrade.h"

enum {
	MESSAGE_MAX_BYTES = 64 << 10,
	CALLS_MAX = 1024,	 /* at once, over all connections */
	SPOOL_BYTES = 4 << 10,	 /* of pushes that are not read: past that the stream is reset */
	METRIC_NAME_BYTES = 128, /* a service's name is a DNS label */
};

/* One request after another makes a service active and idle again, and each push makes KEDA write
 * to the API server: idle is what stays so. */
static const int64_t QUIET_US = US_PER_S;

struct call;

struct method {
	const char *name;
	bool is_of_metric; /* takes a GetMetricsRequest */
	void (*answer)(struct call *, struct backend *, const struct keda_question *);
};

enum call_state { CALL_ASKING, CALL_FOLLOWING, CALL_ANSWERED };

struct call {
	struct list link;
	struct gateway *gateway;
	struct exchange *exchange;
	const struct method *method;
	enum call_state state;
	struct grpc_reader reader;
	struct timer deadline; /* the client's */
	struct demand_watch watch;
	struct timer quiet; /* it is idle, and is told so if it stays */
	bool was_told_active;
	double target;	    /* the trigger's own; 0: it names none */
	int64_t held_bytes; /* of memory, as reported to the gateway's budget */
};

void keda_init(struct gateway *gw)
{
	list_init(&gw->keda.calls);
}

/* --- ends ------------------------------------------------------------------------------------ */

static void count_call(struct gateway *gw, const char *method, enum grpc_status status)
{
	metrics_count(metrics_counter(gw->metrics, METRIC_KEDA_CALLS,
				      (const char *[]){method, grpc_status_name(status)}));
}

static void move(struct call *c, enum call_state to)
{
	static const char *const names[] = {"asking", "following", "answered"};
	log_debug("keda: %s: %s -> %s", c->method->name, names[c->state], names[to]);
	c->state = to;
}

/* The one way to CALL_ANSWERED. NULL: well, and what was to be said has been written. */
static void finish(struct call *c, const struct grpc_fault *f)
{
	bool has_begun = c->state == CALL_FOLLOWING || !f;
	demand_unwatch(&c->watch);
	timer_clear(&c->deadline);
	timer_clear(&c->quiet);
	count_call(c->gateway, c->method->name, f ? f->status : GRPC_OK);
	move(c, CALL_ANSWERED);
	if (has_begun)
		grpc_end(c->exchange, f);
	else
		grpc_refuse(c->exchange, f);
}

static void fail(struct call *c, enum grpc_status status, const char *text)
{
	struct grpc_fault f;
	grpc_fail(&f, status, "%s", text);
	finish(c, &f);
}

static void call_free(struct call *c)
{
	if (!c)
		return;
	demand_unwatch(&c->watch);
	timer_release(&c->deadline);
	timer_release(&c->quiet);
	grpc_reader_release(&c->reader);
	budget_hold(&c->gateway->memory, &c->held_bytes, 0);
	list_remove(&c->link);
	c->gateway->keda.count--;
	mem_free(c);
}

/* A message that has been made; without memory for it the client must not take what there is for
 * all. */
static void send_message(struct call *c, struct str *message)
{
	if (message->failed)
		exchange_reset(c->exchange);
	else
		exchange_write(c->exchange, message->at, message->len);
	str_release(message);
}

/* --- which service --------------------------------------------------------------------------- */

static const char *metadata(const struct keda_question *q, const char *key)
{
	for (size_t i = 0; i < q->count; i++)
		if (strcmp(q->metadata[i].key, key) == 0)
			return q->metadata[i].value;
	return NULL;
}

/* KEDA hands on all of a trigger's metadata, its own too: only what is meant to be one of these and
 * is none can be told. */
static bool check_keys(const struct keda_question *q, struct grpc_fault *f)
{
	static const char *const keys[] = {"service", "target"};
	for (size_t i = 0; i < q->count; i++) {
		for (size_t k = 0; k < sizeof(keys) / sizeof(*keys); k++) {
			const char *key = q->metadata[i].key;
			if (strcmp(key, keys[k]) != 0 &&
			    fault_distance(key, slice_of(keys[k])) != SIZE_MAX)
				return grpc_fail(f, GRPC_INVALID_ARGUMENT,
						 "scalerMetadata.%.64s: did you mean \"%s\"?", key,
						 keys[k]);
		}
	}
	return true;
}

/* In digits, as people write it: strtod takes more. Kubernetes counts in thousandths. */
static bool read_target(const struct keda_question *q, double *target, struct grpc_fault *f)
{
	char *end;
	const char *text = metadata(q, "target");
	*target = 0;
	if (!text)
		return true;
	if (!text[strspn(text, "0123456789.")])
		*target = strtod(text, &end);
	if (*target >= 0.001 && *target <= 1e6 && !*end)
		return true;
	return grpc_fail(
		f, GRPC_INVALID_ARGUMENT,
		"scalerMetadata.target: \"%.64s\": must be a number from 0.001 to 1000000, "
		"the requests at once that a pod should have",
		text);
}

static void list_services(const struct gateway *gw, char *text, size_t size)
{
	size_t n = 0;
	*text = '\0';
	LIST_EACH(b, &gw->backends, struct backend, link)
		if (!b->is_retired && n < size)
			n += (size_t)snprintf(text + n, size - n, "%s%s", n ? ", " : "", b->name);
}

/* The one service, where there is but one; else NULL. */
static struct backend *only_service(const struct gateway *gw)
{
	struct backend *found = NULL;
	LIST_EACH(b, &gw->backends, struct backend, link) {
		if (!b->is_retired && found)
			return NULL;
		if (!b->is_retired)
			found = b;
	}
	return found;
}

static struct backend *find_service(struct gateway *gw, const struct keda_question *q,
				    struct grpc_fault *f)
{
	char known[200];
	const char *name = metadata(q, "service");
	struct backend *b = name ? backend_by_name(gw, name) : only_service(gw);
	if (b)
		return b;
	list_services(gw, known, sizeof(known));
	if (name)
		grpc_fail(f, GRPC_NOT_FOUND,
			  "scalerMetadata.service: no service has the name \"%.64s\": name one of "
			  "%s",
			  name, known);
	else
		grpc_fail(f, GRPC_INVALID_ARGUMENT,
			  "scalerMetadata.service: required, as there are several services: name "
			  "one of %s",
			  known);
	return NULL;
}

/* --- the methods ----------------------------------------------------------------------------- */

static void name_metric(const struct backend *b, char name[METRIC_NAME_BYTES])
{
	snprintf(name, METRIC_NAME_BYTES, "slotgate-%s", b->name);
}

static void is_active(struct call *c, struct backend *b, const struct keda_question *q)
{
	struct demand d;
	struct str message;
	(void)q;
	demand_read(b, &d);
	str_init(&message);
	keda_add_active(&message, d.is_active);
	grpc_begin(c->exchange);
	send_message(c, &message);
	finish(c, NULL);
}

static void get_metric_spec(struct call *c, struct backend *b, const struct keda_question *q)
{
	struct demand d;
	struct str message;
	char metric[METRIC_NAME_BYTES];
	(void)q;
	demand_read(b, &d);
	name_metric(b, metric);
	str_init(&message);
	keda_add_spec(&message, metric, c->target > 0 ? c->target : d.target);
	grpc_begin(c->exchange);
	send_message(c, &message);
	finish(c, NULL);
}

static void get_metrics(struct call *c, struct backend *b, const struct keda_question *q)
{
	struct demand d;
	struct grpc_fault f;
	struct str message;
	char metric[METRIC_NAME_BYTES];
	name_metric(b, metric);
	if (*q->metric && strcmp(q->metric, metric) != 0) {
		grpc_fail(&f, GRPC_NOT_FOUND,
			  "metricName: there is no metric \"%.64s\": that of this service is "
			  "\"%s\"",
			  q->metric, metric);
		finish(c, &f);
		return;
	}
	demand_read(b, &d);
	str_init(&message);
	keda_add_value(&message, metric, d.concurrency);
	grpc_begin(c->exchange);
	send_message(c, &message);
	finish(c, NULL);
}

/* --- following a service --------------------------------------------------------------------- */

static void tell(struct call *c, bool active)
{
	struct str message;
	c->was_told_active = active;
	str_init(&message);
	keda_add_active(&message, active);
	send_message(c, &message);
}

static void on_changed(void *owner, bool active)
{
	struct call *c = owner;
	timer_clear(&c->quiet);
	if (active == c->was_told_active)
		return;
	if (active)
		tell(c, true);
	else
		timer_set(&c->quiet, loop_now_us(c->gateway->loop) + QUIET_US);
}

static void on_quiet(void *owner)
{
	tell(owner, false);
}

static void on_gone(void *owner)
{
	fail(owner, GRPC_NOT_FOUND,
	     "scalerMetadata.service: this service is not configured any more");
}

static void log_follower(const struct backend *b, const struct keda_question *q)
{
	struct str who;
	str_init(&who);
	fault_quote(&who, q->name_space);
	str_add_char(&who, '/');
	fault_quote(&who, q->name);
	if (!who.failed)
		log_info("keda: %s follows %s", who.at, b->name);
	str_release(&who);
}

static void follow(struct call *c, struct backend *b, const struct keda_question *q)
{
	struct demand d;
	demand_read(b, &d);
	move(c, CALL_FOLLOWING);
	log_follower(b, q);
	grpc_begin(c->exchange);
	tell(c, d.is_active);
	if (c->gateway->draining)
		finish(c, NULL); /* it asks again, perhaps the one that comes after this process */
	else
		demand_watch(b, &c->watch);
}

void keda_step_aside(struct gateway *gw)
{
	LIST_EACH(c, &gw->keda.calls, struct call, link)
		if (c->state == CALL_FOLLOWING)
			finish(c, NULL);
}

/* --- a call ---------------------------------------------------------------------------------- */

static const char service_path[] = "/externalscaler.ExternalScaler/";
static const struct method methods[] = {
	{"IsActive", false, is_active},
	{"StreamIsActive", false, follow},
	{"GetMetricSpec", false, get_metric_spec},
	{"GetMetrics", true, get_metrics},
};

static const struct method *find_method(struct slice path)
{
	size_t n = sizeof(service_path) - 1;
	if (!slice_starts(path, service_path))
		return NULL;
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (slice_is((struct slice){path.at + n, path.len - n}, methods[i].name))
			return &methods[i];
	return NULL;
}

static void on_deadline(void *owner)
{
	struct call *c = owner;
	fail(c, GRPC_DEADLINE_EXCEEDED,
	     c->state == CALL_ASKING ? "the call's message did not come in its time (grpc-timeout)"
				     : "the call's time (grpc-timeout) is over");
}

static struct call *call_new(struct exchange *x, const struct method *method, int64_t time_us)
{
	struct gateway *gw = x->gateway;
	struct call *c = gw->keda.count < CALLS_MAX ? mem_zalloc(sizeof(*c)) : NULL;
	if (!c)
		return NULL;
	c->gateway = gw;
	c->exchange = x;
	c->method = method;
	list_init(&c->link);
	list_init(&c->watch.link);
	c->watch.owner = c;
	c->watch.changed = on_changed;
	c->watch.gone = on_gone;
	grpc_reader_init(&c->reader, MESSAGE_MAX_BYTES);
	gw->keda.count++;
	if (!timer_init(&c->deadline, gw->loop, on_deadline, c) ||
	    !timer_init(&c->quiet, gw->loop, on_quiet, c)) {
		call_free(c);
		return NULL;
	}
	list_push_back(&gw->keda.calls, &c->link);
	budget_hold(&gw->memory, &c->held_bytes, (int64_t)sizeof(*c));
	if (time_us != INT64_MAX)
		timer_set(&c->deadline, loop_now_us(gw->loop) + time_us);
	return c;
}

static void refuse(struct exchange *x, const char *method, const struct grpc_fault *f)
{
	count_call(x->gateway, method, f->status);
	grpc_refuse(x, f);
}

static void begin(struct exchange *x, const struct http_head *head)
{
	struct grpc_head h;
	struct grpc_fault f;
	x->owner = NULL;
	if (!grpc_read_head(&h, head, x->version, &f)) {
		if (h.http_status)
			reply_problem(x,
				      &(struct problem){.status = h.http_status,
							.reason = "not_grpc",
							.detail = h.http_fault,
							.no_body = slice_is(head->method, "HEAD")});
		else
			refuse(x, "unknown", &f);
		return;
	}
	const struct method *method = find_method(h.method);
	struct call *c = method ? call_new(x, method, h.time_us) : NULL;
	if (!method) {
		grpc_fail(&f, GRPC_UNIMPLEMENTED,
			  "no method %.*s: there are IsActive, StreamIsActive, GetMetricSpec and "
			  "GetMetrics of externalscaler.ExternalScaler",
			  (int)(h.method.len < 100 ? h.method.len : 100), h.method.at);
		refuse(x, "unknown", &f);
	} else if (!c) {
		grpc_fail(&f, GRPC_RESOURCE_EXHAUSTED,
			  "%d calls are under way, or memory is short: ask again later",
			  x->gateway->keda.count);
		refuse(x, method->name, &f);
	} else {
		x->owner = c;
		exchange_read_body(
			x, (struct body_limits){
				   .timeout_us = x->gateway->config->limits.header_timeout_us,
				   .spool = {SPOOL_BYTES, SPOOL_BYTES},
			   });
	}
}

static void body(struct exchange *x, const char *bytes, size_t len)
{
	struct call *c = x->owner;
	struct grpc_fault f;
	bool fits = grpc_reader_feed(&c->reader, bytes, len, &f);
	budget_hold(&c->gateway->memory, &c->held_bytes,
		    (int64_t)(sizeof(*c) + c->reader.message.capacity));
	if (!fits)
		finish(c, &f);
}

/* After an upgrade this process's ledgers are another's. */
static bool has_handed_over(struct call *c)
{
	if (!upgrade_is_over(c->gateway))
		return false;
	if (c->method->answer == follow) {
		grpc_begin(c->exchange);
		finish(c, NULL);
	} else {
		fail(c, GRPC_UNAVAILABLE, "another process serves this address now: ask again");
	}
	return true;
}

static void answer(struct call *c, const struct keda_question *q)
{
	struct grpc_fault f;
	bool is_clear = check_keys(q, &f) && read_target(q, &c->target, &f);
	struct backend *b = is_clear ? find_service(c->gateway, q, &f) : NULL;
	if (b)
		c->method->answer(c, b, q);
	else
		finish(c, &f);
}

static void body_end(struct exchange *x)
{
	struct call *c = x->owner;
	const struct str *m = &c->reader.message;
	struct keda_question q;
	struct grpc_fault f;
	if (!grpc_reader_end(&c->reader, &f)) {
		finish(c, &f);
		return;
	}
	if (has_handed_over(c))
		return;
	switch (keda_question_read(&q, m->len ? m->at : "", m->len, c->method->is_of_metric)) {
	case KEDA_READ:
		answer(c, &q);
		keda_question_release(&q);
		break;
	case KEDA_MALFORMED:
		fail(c, GRPC_INTERNAL, "the message is no protobuf, or not of this method");
		break;
	case KEDA_NO_MEMORY:
		fail(c, GRPC_RESOURCE_EXHAUSTED, "out of memory: ask again");
		break;
	}
}

static void left(struct exchange *x, enum exchange_end why)
{
	(void)why;
	call_free(x->owner);
	x->owner = NULL;
}

static void delivered(struct exchange *x)
{
	call_free(x->owner);
}

const struct exchange_handler keda_handler = {
	.begin = begin,
	.body = body,
	.body_end = body_end,
	.left = left,
	.delivered = delivered,
};
