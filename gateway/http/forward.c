/* Heads on their way through the gateway. */
#include "gateway/http/forward.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/crypto.h"
#include "gateway/gateway.h"
#include "gateway/http/forwarding.h"
#include "gateway/http/syntax.h"

/* What forwarding_add and Via add, but for the host. */
enum { ADDED_BYTES = 184 };

/* What the Connection headers name: those headers are hop-by-hop, too. */
struct nominations {
	struct slice names[HTTP_CONNECTION_OPTIONS_MAX];
	size_t count;
};

static void list_nominations(struct nominations *n, const struct http_head *head)
{
	n->count = 0;
	for (size_t i = 0; head->connection_options && i < head->count; i++) {
		struct slice list = head->headers[i].value, element;
		if (head->headers[i].id != HEADER_CONNECTION)
			continue;
		while (n->count < HTTP_CONNECTION_OPTIONS_MAX &&
		       slice_next_in_list(&list, &element))
			n->names[n->count++] = element;
	}
}

static bool is_nominated(const struct nominations *n, struct slice name)
{
	for (size_t i = 0; i < n->count; i++)
		if (n->names[i].len == name.len &&
		    strncasecmp(n->names[i].at, name.at, name.len) == 0)
			return true;
	return false;
}

/* --- requests --- */

static bool is_id_byte(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       strchr("-_.:+/=", c) != NULL;
}

void forward_request_id(const struct http_head *head, char id[REQUEST_ID_BYTES])
{
	struct slice given = http_find(head, HEADER_X_REQUEST_ID);
	bool sane = given.len > 0 && given.len < REQUEST_ID_BYTES;
	for (size_t i = 0; sane && i < given.len; i++)
		sane = given.at[i] && is_id_byte(given.at[i]);
	if (sane) {
		memcpy(id, given.at, given.len);
		id[given.len] = '\0';
		return;
	}
	crypto_random_hex(id, 32);
}

struct slice forward_key(const struct http_header *h)
{
	static const char scheme[] = "bearer ";
	size_t n = sizeof(scheme) - 1;
	if (h->id == HEADER_X_API_KEY)
		return slice_trim(h->value);
	if (h->id != HEADER_AUTHORIZATION || h->value.len < n ||
	    strncasecmp(h->value.at, scheme, n) != 0)
		return SLICE("");
	return slice_trim((struct slice){h->value.at + n, h->value.len - n});
}

static bool is_withheld(const struct http_header *h, const struct withheld *w)
{
	if (h->id == HEADER_X_API_KEY)
		return w->api_keys;
	struct slice key = h->id == HEADER_AUTHORIZATION ? forward_key(h) : SLICE("");
	return key.len && key.len == w->bearer.len && memcmp(key.at, w->bearer.at, key.len) == 0;
}

static void add_header(struct str *s, const char *name, struct slice value)
{
	str_add_text(s, name);
	str_add(s, ": ", 2);
	str_add_slice(s, value);
	str_add(s, "\r\n", 2);
}

static void add_via(struct str *s, const char *version, const char *name)
{
	str_add_text(s, "Via: ");
	str_add_text(s, version);
	str_add_char(s, ' ');
	str_add_text(s, name);
	str_add(s, "\r\n", 2);
}

/* Those that are passed on under another value, or as framing. */
static bool is_rewritten(enum header_id id)
{
	return id == HEADER_HOST || id == HEADER_CONTENT_LENGTH || id == HEADER_EXPECT ||
	       id == HEADER_X_REQUEST_ID;
}

/* Max-Forwards counts down for OPTIONS only (RFC 9110, 7.6.2); what is no number is nobody's. */
int64_t forward_hops_left(const struct http_head *head)
{
	struct slice value = http_find(head, HEADER_MAX_FORWARDS);
	int64_t hops = 0;
	if (!value.at || !syntax_is_length(value) || !slice_is(head->method, "OPTIONS"))
		return -1;
	for (size_t i = 0; i < value.len; i++)
		hops = hops * 10 + (value.at[i] - '0');
	return hops;
}

static void add_max_forwards(struct str *s, int64_t hops)
{
	str_add_text(s, "Max-Forwards: ");
	str_add_u64(s, (uint64_t)hops);
	str_add(s, "\r\n", 2);
}

/* What was for an activator, as which this service stands. */
static bool is_for_activator(const struct route *route, enum header_id id)
{
	if (!route->backend || !route->backend->config->revision.name)
		return false;
	return id == HEADER_KNATIVE_REVISION || id == HEADER_KNATIVE_NAMESPACE ||
	       id == HEADER_KNATIVE_HASH || id == HEADER_KNATIVE_PROXY;
}

static bool is_of_other_trace(const struct told_trace *t, enum header_id id)
{
	return t->is_ours &&
	       (id == HEADER_TRACEPARENT || (id == HEADER_TRACESTATE && !t->keeps_state));
}

static void add_trace(struct str *s, const struct told_trace *t)
{
	char text[TRACEPARENT_BYTES];
	if (!t->is_ours)
		return;
	trace_context_format(&t->context, text);
	add_header(s, "traceparent", slice_of(text));
}

/* The client's headers that go on as they are. */
static void add_kept(struct str *s, const struct http_head *head, const struct route *route,
		     const struct exchange *x, int64_t hops, const struct told_trace *trace,
		     const struct withheld *withheld)
{
	const struct forwarding_config *f = &x->gateway->config->forwarding;
	struct nominations nominations;
	list_nominations(&nominations, head);
	for (size_t i = 0; i < head->count; i++) {
		const struct http_header *h = &head->headers[i];
		if (header_is_hop_by_hop(h->id) || is_rewritten(h->id) ||
		    (h->id == HEADER_MAX_FORWARDS && hops >= 0) || is_withheld(h, withheld) ||
		    is_of_other_trace(trace, h->id) || is_for_activator(route, h->id) ||
		    (!x->relay && forwarding_replaces(f, x->peer, h->id)) ||
		    (is_nominated(&nominations, h->name) && h->id != HEADER_VIA))
			continue;
		str_add_slice(s, h->name);
		str_add(s, ": ", 2);
		str_add_slice(s, h->value);
		str_add(s, "\r\n", 2);
	}
}

/* As long as a head gets that is not changed much. It waits with its request, which costs no more
 * than it must; more room is made if that was too little. */
static size_t usual_length(const struct http_head *head, const struct route *route,
			   const struct own_headers *own)
{
	size_t n = head->method.len + route->target.len + 3 * route->host.len + ADDED_BYTES;
	if (own->trace->is_ours)
		n += sizeof("traceparent: \r\n") + TRACEPARENT_BYTES;
	if (is_for_activator(route, HEADER_KNATIVE_PROXY))
		n += sizeof("K-Proxy-Request: activator\r\n");
	for (size_t i = 0; i < head->count; i++)
		n += head->headers[i].name.len + head->headers[i].value.len + 4;
	return n;
}

void forward_request_head(struct str *s, const struct http_head *head, const struct route *route,
			  const struct exchange *x, const struct own_headers *own,
			  const struct withheld *withheld)
{
	const char *via = x->gateway->config->forwarding.via;
	/* What comes from the process before this one has been told of the client there. */
	bool is_first = !x->relay;
	int64_t hops = is_first ? forward_hops_left(head) : -1;
	str_fit(s, usual_length(head, route, own));
	str_add_slice(s, head->method);
	str_add_text(s, route->lacks_path ? " /" : " ");
	str_add_slice(s, route->target);
	str_add_text(s, " HTTP/1.1\r\n");
	add_header(s, "Host", route->host.len ? route->host : SLICE("localhost"));
	add_kept(s, head, route, x, hops, own->trace, withheld);
	/* Ours come after what the client may have had dropped by naming it in Connection. */
	if (is_first)
		forwarding_add(s, head, route, x);
	if (hops > 0)
		add_max_forwards(s, hops - 1);
	if (is_first && x->gateway->config->forwarding.answer_via[0])
		add_via(s, x->version, via);
	add_header(s, "X-Request-Id", slice_of(own->request_id));
	add_trace(s, own->trace);
	/* To a queue-proxy in the pod it has been counted here. */
	if (is_for_activator(route, HEADER_KNATIVE_PROXY))
		add_header(s, "K-Proxy-Request", SLICE("activator"));
	if (head->wants_upgrade) {
		add_header(s, "Connection", SLICE("upgrade"));
		add_header(s, "Upgrade", http_find(head, HEADER_UPGRADE));
	}
}

void forward_request_framing(struct str *s, int64_t content_length)
{
	if (content_length >= 0) {
		str_add_text(s, "Content-Length: ");
		str_add_u64(s, (uint64_t)content_length);
		str_add(s, "\r\n", 2);
	}
	str_add(s, "\r\n", 2);
}

struct slice forward_cookie(const struct http_head *head, const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < head->count; i++) {
		struct slice rest = head->headers[i].value;
		if (head->headers[i].id != HEADER_COOKIE)
			continue;
		while (rest.len) {
			const char *semicolon = memchr(rest.at, ';', rest.len);
			size_t len = semicolon ? (size_t)(semicolon - rest.at) : rest.len;
			struct slice pair = slice_trim((struct slice){rest.at, len});
			if (pair.len > n && memcmp(pair.at, name, n) == 0 && pair.at[n] == '=')
				return (struct slice){pair.at + n + 1, pair.len - n - 1};
			size_t used = semicolon ? len + 1 : len;
			rest.at += used;
			rest.len -= used;
		}
	}
	return (struct slice){0};
}

/* --- answers --- */

size_t forward_answer_headers(const struct http_head *head, struct http_header *kept, size_t max,
			      bool is_upgrade)
{
	struct nominations nominations;
	size_t n = 0;
	list_nominations(&nominations, head);
	for (size_t i = 0; i < head->count && n < max; i++) {
		const struct http_header *h = &head->headers[i];
		bool is_the_upgrade = is_upgrade && h->id == HEADER_UPGRADE;
		if (!is_the_upgrade &&
		    (header_is_hop_by_hop(h->id) || h->id == HEADER_CONTENT_LENGTH ||
		     is_nominated(&nominations, h->name)))
			continue;
		kept[n++] = *h;
	}
	return n;
}
