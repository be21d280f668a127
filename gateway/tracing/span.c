/* Spans in OTLP's JSON, by OpenTelemetry's semantic conventions for HTTP. */
#include "gateway/tracing/span.h"

#include <stdio.h>
#include <string.h>

#include "gateway/http/syntax.h"

enum otlp_kind { OTLP_INTERNAL = 1, OTLP_SERVER = 2, OTLP_CLIENT = 3 };
enum { OTLP_ERROR = 2, OTLP_HAS_REMOTE = 0x100, OTLP_IS_REMOTE = 0x200 };

void span_copy(char *to, size_t size, struct slice from)
{
	size_t n = from.len < size - 1 ? from.len : size - 1;
	if (n)
		memcpy(to, from.at, n);
	to[n] = '\0';
}

/* --- values ---------------------------------------------------------------------------------- */

/* Attributes stand in a list, of a span, an event, a link or the resource. */
struct writer {
	struct str *to;
	bool comma;
};

static struct writer begin_attributes(struct str *s)
{
	str_add_text(s, ",\"attributes\":[");
	return (struct writer){s, false};
}

static void add_key(struct writer *w, const char *key)
{
	str_printf(w->to, "%s{\"key\":\"%s\",\"value\":", w->comma ? "," : "", key);
	w->comma = true;
}

static void add_text(struct writer *w, const char *key, const char *value)
{
	if (!value || !*value)
		return;
	add_key(w, key);
	str_add_text(w->to, "{\"stringValue\":");
	str_add_json(w->to, value, strlen(value));
	str_add_text(w->to, "}}");
}

static void add_number(struct writer *w, const char *key, int64_t value)
{
	add_key(w, key);
	str_printf(w->to, "{\"intValue\":\"%lld\"}}", (long long)value);
}

static void add_bool(struct writer *w, const char *key, bool value)
{
	add_key(w, key);
	str_printf(w->to, "{\"boolValue\":%s}}", value ? "true" : "false");
}

static void end_attributes(struct writer *w)
{
	str_add_char(w->to, ']');
}

static void add_hex(struct str *s, const char *key, const uint8_t *id, size_t bytes)
{
	static const char digits[] = "0123456789abcdef";
	str_printf(s, "\"%s\":\"", key);
	for (size_t i = 0; i < bytes; i++)
		str_add(s, (char[]){digits[id[i] >> 4], digits[id[i] & 15]}, 2);
	str_add_char(s, '"');
}

static void add_time(struct str *s, const char *key, const struct span *of, int64_t us)
{
	str_printf(s, ",\"%s\":\"%lld000\"", key, (long long)(us + of->wall_us));
}

static void add_event(struct str *s, const struct span *of, const char *name, int64_t us,
		      bool comma)
{
	str_printf(s, "%s{\"name\":\"%s\"", comma ? "," : "", name);
	add_time(s, "timeUnixNano", of, us);
	str_add_char(s, '}');
}

/* --- what all spans have --------------------------------------------------------------------- */

struct outline {
	const uint8_t *id, *parent; /* parent NULL: it has none */
	const char *state;	    /* NULL: none */
	enum otlp_kind kind;
	bool parent_is_remote;
	int64_t begun_us, ended_us;
};

/* Its name and its other members follow. */
static void begin_span(struct str *s, const struct span *of, const struct outline *o)
{
	unsigned flags = of->context.flags | OTLP_HAS_REMOTE;
	str_add_char(s, '{');
	add_hex(s, "traceId", of->context.trace, TRACE_ID_BYTES);
	str_add_char(s, ',');
	add_hex(s, "spanId", o->id, SPAN_ID_BYTES);
	if (o->parent) {
		str_add_char(s, ',');
		add_hex(s, "parentSpanId", o->parent, SPAN_ID_BYTES);
	}
	if (o->state && *o->state) {
		str_add_text(s, ",\"traceState\":");
		str_add_json(s, o->state, strlen(o->state));
	}
	str_printf(s, ",\"flags\":%u,\"kind\":%d",
		   flags | (o->parent_is_remote ? OTLP_IS_REMOTE : 0), (int)o->kind);
	add_time(s, "startTimeUnixNano", of, o->begun_us);
	/* Clocks that were read at different turns must not make it end before it began. */
	add_time(s, "endTimeUnixNano", of, o->ended_us > o->begun_us ? o->ended_us : o->begun_us);
	str_add_text(s, ",\"name\":");
}

static void end_span(struct str *s, bool is_error)
{
	if (is_error)
		str_printf(s, ",\"status\":{\"code\":%d}", OTLP_ERROR);
	str_add_char(s, '}');
}

static bool is_known_method(const char *method)
{
	static const char *const known[] = {"GET",     "HEAD",	  "POST",  "PUT",  "DELETE",
					    "CONNECT", "OPTIONS", "TRACE", "PATCH"};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(known[i], method) == 0)
			return true;
	return false;
}

static void add_method(struct writer *w, const char *method)
{
	bool known = is_known_method(method);
	add_text(w, "http.request.method", known ? method : "_OTHER");
	if (!known)
		add_text(w, "http.request.method_original", method);
}

/* Without its query, in which secrets may be. */
static struct slice path_of(const struct span *of)
{
	return (struct slice){of->path, strcspn(of->path, "?")};
}

static void add_path(struct writer *w, const struct span *of)
{
	char path[SPAN_PATH_BYTES];
	span_copy(path, sizeof(path), path_of(of));
	add_text(w, "url.path", path);
}

static void add_status(struct writer *w, const struct span *of, bool is_error)
{
	char status[16];
	if (of->status)
		add_number(w, "http.response.status_code", of->status);
	snprintf(status, sizeof(status), "%d", of->status);
	if (is_error)
		add_text(w, "error.type", of->error ? of->error : status);
}

static void add_address(struct writer *w, const char *address, const char *port,
			const struct net_address *a)
{
	char text[NET_TEXT_BYTES];
	net_format_host(a, text);
	add_text(w, address, text);
	if (port)
		add_number(w, port, net_port(a));
}

/* --- a request ------------------------------------------------------------------------------- */

/* Low in number: a route that has a name, or the method alone. */
static void add_request_name(struct str *s, const struct request_span *r)
{
	const char *method = is_known_method(r->span.method) ? r->span.method : "HTTP";
	char name[SPAN_METHOD_BYTES + SPAN_PATH_BYTES + 1];
	snprintf(name, sizeof(name), "%s%s%s", method, r->route[0] ? " " : "", r->route);
	str_add_json(s, name, strlen(name));
}

/* As the client wrote it; "[::1]:8080" has its port behind the bracket. */
static void add_host(struct writer *w, const char *host)
{
	const char *bracket = strrchr(host, ']'), *colon = strrchr(host, ':');
	char name[SPAN_NAME_BYTES];
	bool has_port = colon && (!bracket || colon > bracket) &&
			syntax_is_length(slice_of(colon + 1)) && strlen(colon) <= 6;
	span_copy(name, sizeof(name),
		  (struct slice){host, has_port ? (size_t)(colon - host) : strlen(host)});
	add_text(w, "server.address", name);
	if (has_port) {
		int64_t port = 0;
		for (const char *at = colon + 1; *at; at++)
			port = port * 10 + (*at - '0');
		add_number(w, "server.port", port);
	}
}

static void add_request_attributes(struct str *s, const struct request_span *r, bool is_error)
{
	struct writer w = begin_attributes(s);
	add_method(&w, r->span.method);
	add_path(&w, &r->span);
	add_text(&w, "url.scheme", r->span.is_secure ? "https" : "http");
	add_text(&w, "http.route", r->route);
	add_text(&w, "network.protocol.version", r->version);
	add_host(&w, r->host);
	if (r->client.len)
		add_address(&w, "client.address", r->client_is_peer ? "client.port" : NULL,
			    &r->client);
	if (r->peer.len)
		add_address(&w, "network.peer.address", "network.peer.port", &r->peer);
	add_status(&w, &r->span, is_error);
	add_text(&w, "slotgate.service", r->service);
	add_text(&w, "slotgate.tenant", r->tenant);
	add_text(&w, "slotgate.pod", r->span.pod);
	add_text(&w, "slotgate.request_id", r->id);
	add_text(&w, "slotgate.outcome", r->outcome);
	add_text(&w, "slotgate.reason", r->reason);
	add_number(&w, "slotgate.attempts", r->attempts);
	add_bool(&w, "slotgate.takes_slot", r->takes_slot);
	end_attributes(&w);
}

static void write_request(struct str *s, const struct request_span *r)
{
	bool is_error = r->span.error || r->span.status >= 500;
	struct outline o = {
		.id = r->span.context.span,
		.parent = r->span.has_parent ? r->span.parent : NULL,
		.parent_is_remote = r->span.has_parent,
		.state = r->state,
		.kind = OTLP_SERVER,
		.begun_us = r->span.begun_us,
		.ended_us = r->span.ended_us,
	};
	begin_span(s, &r->span, &o);
	add_request_name(s, r);
	add_request_attributes(s, r, is_error);
	end_span(s, is_error);
}

static void write_queue(struct str *s, const struct request_span *r, const uint8_t *id)
{
	struct outline o = {
		.id = id,
		.parent = r->span.context.span,
		.state = r->state,
		.kind = OTLP_INTERNAL,
		.begun_us = r->queued_us,
		.ended_us = r->granted_us ? r->granted_us : r->span.ended_us,
	};
	str_add_char(s, ',');
	begin_span(s, &r->span, &o);
	str_add_text(s, "\"queue\"");
	struct writer w = begin_attributes(s);
	add_text(&w, "slotgate.service", r->service);
	add_bool(&w, "slotgate.cold", r->found_cold);
	end_attributes(&w);
	end_span(s, false);
}

/* Part of the waiting: until the first pod was ready, or for all of it if none was. */
static int64_t cold_end_us(const struct request_span *r)
{
	int64_t ready_us = r->warming.ready_us;
	int64_t last_us = r->granted_us ? r->granted_us : r->span.ended_us;
	return ready_us > r->queued_us && ready_us < last_us ? ready_us : last_us;
}

static void add_warming(struct str *s, const struct request_span *r)
{
	const struct warming *m = &r->warming;
	str_add_text(s, ",\"events\":[");
	add_event(s, &r->span, "pod requested", m->asked_us, false);
	if (m->answered_us)
		add_event(s, &r->span, "pod answered", m->answered_us, true);
	add_event(s, &r->span, "pod ready", m->ready_us, true);
	str_add_char(s, ']');
}

static void write_cold_start(struct str *s, const struct request_span *r, const uint8_t *queue)
{
	bool is_known = r->warming.ready_us > r->queued_us;
	uint8_t id[SPAN_ID_BYTES];
	trace_new_span_id(id);
	struct outline o = {
		.id = id,
		.parent = queue,
		.state = r->state,
		.kind = OTLP_INTERNAL,
		.begun_us = r->queued_us,
		.ended_us = cold_end_us(r),
	};
	str_add_char(s, ',');
	begin_span(s, &r->span, &o);
	str_add_text(s, "\"cold start\"");
	struct writer w = begin_attributes(s);
	add_text(&w, "slotgate.service", r->service);
	add_text(&w, "slotgate.pod", is_known ? r->warming.pod : "");
	end_attributes(&w);
	if (is_known)
		add_warming(s, r);
	end_span(s, !r->granted_us && r->span.error);
}

/* --- work ------------------------------------------------------------------------------------ */

/* OpenTelemetry wants all of it in one for a client; the query is left out here too. */
static void add_url(struct writer *w, const struct work_span *k)
{
	char address[NET_TEXT_BYTES];
	char url[NET_TEXT_BYTES + SPAN_PATH_BYTES + 16];
	struct slice path = path_of(&k->span);
	net_format(&k->address, address);
	snprintf(url, sizeof(url), "%s://%s%.*s", k->span.is_secure ? "https" : "http", address,
		 (int)path.len, path.at);
	add_text(w, "url.full", url);
}

static void add_earlier(struct str *s, const struct work_span *k)
{
	str_add_text(s, ",\"links\":[{");
	add_hex(s, "traceId", k->span.context.trace, TRACE_ID_BYTES);
	str_add_char(s, ',');
	add_hex(s, "spanId", k->earlier, SPAN_ID_BYTES);
	str_add_text(s, "}]");
}

static void write_work(struct str *s, const struct work_span *k)
{
	bool is_error = k->span.error || k->span.status >= 400;
	struct outline o = {
		.id = k->span.context.span,
		.parent = k->span.parent,
		.kind = OTLP_CLIENT,
		.begun_us = k->span.begun_us,
		.ended_us = k->span.ended_us,
	};
	begin_span(s, &k->span, &o);
	str_add_text(s, "\"work\"");
	struct writer w = begin_attributes(s);
	add_method(&w, k->span.method);
	if (k->has_address) {
		add_url(&w, k);
		add_address(&w, "server.address", "server.port", &k->address);
	}
	add_status(&w, &k->span, is_error);
	if (k->attempt > 1)
		add_number(&w, "http.request.resend_count", k->attempt - 1);
	add_text(&w, "slotgate.service", k->service);
	add_text(&w, "slotgate.pod", k->span.pod);
	add_number(&w, "slotgate.attempt", k->attempt);
	add_bool(&w, "slotgate.client_left", k->client_left);
	end_attributes(&w);
	if (k->has_earlier)
		add_earlier(s, k);
	end_span(s, is_error);
}

/* --- all ------------------------------------------------------------------------------------- */

static const struct request_span *request_of(const struct span *span)
{
	return (const struct request_span *)(const void *)span;
}

int span_count(const struct span *span)
{
	const struct request_span *r = request_of(span);
	if (span->kind == SPAN_OF_WORK || !r->queued_us)
		return 1;
	return 2 + r->found_cold;
}

void span_write(struct str *s, const struct span *span)
{
	const struct request_span *r = request_of(span);
	uint8_t queue[SPAN_ID_BYTES];
	if (span->kind == SPAN_OF_WORK) {
		write_work(s, (const struct work_span *)(const void *)span);
		return;
	}
	write_request(s, r);
	if (!r->queued_us)
		return;
	trace_new_span_id(queue);
	write_queue(s, r, queue);
	if (r->found_cold)
		write_cold_start(s, r, queue);
}

void span_write_head(struct str *s, const struct span_resource *r)
{
	str_add_text(s, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
	struct writer w = {s, false};
	add_text(&w, "service.name", r->service);
	add_text(&w, "service.version", r->version);
	add_text(&w, "service.instance.id", r->instance);
	add_text(&w, "host.name", r->host);
	add_number(&w, "process.pid", r->pid);
	str_add_text(s, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"slotgate\",\"version\":");
	str_add_json(s, r->version, strlen(r->version));
	str_add_text(s, "},\"spans\":[");
}

void span_write_tail(struct str *s)
{
	str_add_text(s, "]}]}]}");
}
