/* A request's way to the pod, whatever protocol it came by. */
#include "tests/fuzz/forward_check.h"

#include <string.h>
#include <strings.h>

#include "gateway/gateway.h"
#include "gateway/http/forward.h"
#include "gateway/router.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/http_check.h"

static const char ours[] = "X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto Via X-Request-Id "
			   "Host Content-Length Connection Upgrade Expect Forwarded X-Real-IP "
			   "Max-Forwards Traceparent";

/* Whether the gateway writes this one itself, or leaves it out. */
static bool is_ours(struct slice name)
{
	for (const char *at = ours; *at;) {
		size_t n = strcspn(at, " ");
		char one[32] = "";
		memcpy(one, at, n);
		if (slice_is_nocase(name, one))
			return true;
		at += n + (at[n] == ' ');
	}
	return false;
}

/* What only a trusted proxy may say, in any spelling that a pod could take for it. */
static bool is_forged(struct slice name)
{
	char one[16] = "";
	for (size_t i = 0; i < name.len && i < sizeof(one) - 1; i++)
		one[i] = name.at[i] == '_' ? '-' : name.at[i];
	return strncasecmp(one, "x-forwarded-", 12) == 0
		       ? name.len > 12
		       : name.len == 9 && !strcasecmp(one, "x-real-ip");
}

static bool stays(const struct http_head *h, const struct http_header *one,
		  const struct told_trace *told)
{
	if (one->id == HEADER_TRACESTATE && !told->keeps_state)
		return false;
	return !is_ours(one->name) && !is_forged(one->name) && !header_is_hop_by_hop(one->id) &&
	       !check_is_nominated(h, one->name);
}

static bool is_same(struct slice a, struct slice b)
{
	return a.len == b.len && (!a.len || memcmp(a.at, b.at, a.len) == 0);
}

/* The other headers are there, in their order, with their values. */
static void check_passed_on(const struct http_head *in, const struct http_head *out,
			    const struct told_trace *told)
{
	size_t at = 0;
	for (size_t i = 0; i < out->count; i++) {
		const struct http_header *h = &out->headers[i];
		check_header(h);
		if (is_ours(h->name))
			continue;
		while (at < in->count && !stays(in, &in->headers[at], told))
			at++;
		FUZZ_CHECK(at < in->count, i, out->count);
		FUZZ_CHECK(is_same(in->headers[at].name, h->name), at, i);
		FUZZ_CHECK(is_same(in->headers[at].value, h->value), at, i);
		at++;
	}
	while (at < in->count && !stays(in, &in->headers[at], told))
		at++;
	FUZZ_CHECK(at == in->count, at, in->count);
}

static size_t count_of(const struct http_head *h, enum header_id id)
{
	size_t n = 0;
	for (size_t i = 0; i < h->count; i++)
		n += h->headers[i].id == id;
	return n;
}

static void check_target(const struct route *route, struct slice target)
{
	size_t slash = route->lacks_path;
	FUZZ_CHECK(target.len > slash && (!slash || target.at[0] == '/'), target.len, slash);
	FUZZ_CHECK(is_same(route->target, (struct slice){target.at + slash, target.len - slash}),
		   route->target.len, target.len);
}

/* The pod is told of one trace, ours, and of no state but that of the client's own. */
static void check_trace(const struct http_head *in, const struct http_head *out,
			const struct told_trace *told)
{
	char state[TRACESTATE_BYTES];
	struct trace_context seen;
	FUZZ_CHECK(trace_context_read(out, &seen), 0, 0);
	FUZZ_CHECK(memcmp(&seen, &told->context, sizeof(seen)) == 0, 0, 0);
	FUZZ_CHECK(told->keeps_state || !count_of(out, HEADER_TRACESTATE), 0, 0);
	FUZZ_CHECK(!told->keeps_state || trace_state_is_good(out), 0, 0);
	trace_state_read(in, state);
	FUZZ_CHECK(strlen(state) < TRACESTATE_BYTES, strlen(state), 0);
}

/* As one that is traced makes it of a client's word. */
static struct told_trace trace_of(const struct http_head *head)
{
	struct told_trace told = {.is_ours = true};
	bool goes_on = trace_context_read(head, &told.context);
	if (!goes_on)
		told.context = trace_context_new(1);
	told.keeps_state = goes_on && trace_state_is_good(head);
	return told;
}

/* Reads what goes to the pod as a pod would. */
static void check_forwarded(const struct str *text, const struct http_head *in,
			    const struct route *route, int64_t length,
			    const struct told_trace *told)
{
	struct http_parser *p = http_parser_new();
	size_t used, lines = 0;
	http_parser_begin(p, HTTP_IS_REQUEST, (struct http_limits){64 << 10, 64, 8192}, NULL, NULL);
	enum http_result r = http_parser_feed(p, text->at, text->len, &used);
	FUZZ_CHECK(r == HTTP_HEAD_END && used == text->len, r, used);
	const struct http_head *out = http_parser_head(p);
	for (size_t i = 0; i + 1 < text->len; i++)
		lines += text->at[i] == '\r' && text->at[i + 1] == '\n';
	FUZZ_CHECK(lines == out->count + 2, lines, out->count);
	FUZZ_CHECK(is_same(in->method, out->method), in->method.len, out->method.len);
	check_target(route, out->target);
	FUZZ_CHECK(count_of(out, HEADER_FORWARDED) == 1, 0, 0);
	FUZZ_CHECK(out->minor == 1 && out->content_length == length, out->content_length, length);
	FUZZ_CHECK(!out->is_chunked && count_of(out, HEADER_HOST) == 1, out->is_chunked, 0);
	FUZZ_CHECK(count_of(out, HEADER_X_REQUEST_ID) == 1, 0, 0);
	FUZZ_CHECK(count_of(out, HEADER_X_FORWARDED_FOR) == 1, 0, 0);
	FUZZ_CHECK(out->wants_upgrade == in->wants_upgrade, out->wants_upgrade, in->wants_upgrade);
	check_passed_on(in, out, told);
	check_trace(in, out, told);
	http_parser_free(p);
}

/* By a gateway that knows no service: the router says then no more than what was asked for. */
void check_forward(const struct http_head *head)
{
	static struct gateway gw;
	static struct config config = {.forwarding = {.headers = FORWARDING_BOTH, .via = "v"}};
	gw.config = &config;
	struct net_address peer;
	list_init(&gw.backends);
	net_parse("192.0.2.7:1234", &peer);
	struct exchange x = {.peer = &peer, .version = "1.1", .gateway = &gw};
	struct route route = router_find(&gw, &x, head);
	if (route.kind != ROUTE_NO_SERVICE)
		return;
	char id[REQUEST_ID_BYTES];
	forward_request_id(head, id);
	FUZZ_CHECK(strlen(id) > 0 && strlen(id) < REQUEST_ID_BYTES, strlen(id), 0);
	int64_t length = head->has_body ? 12345 : head->content_length;
	struct str text;
	str_init(&text);
	struct told_trace told = trace_of(head);
	forward_request_head(&text, head, &route, &x, &(struct own_headers){id, &told},
			     &(struct withheld){0});
	forward_request_framing(&text, length);
	FUZZ_CHECK(!text.failed, 0, 0);
	check_forwarded(&text, head, &route, length, &told);
	str_release(&text);
	struct slice cookie = forward_cookie(head, "slotgate");
	for (size_t i = 0; i < cookie.len; i++)
		FUZZ_CHECK(cookie.at[i] != ';' && cookie.at[i] != '\n', cookie.at[i], i);
}
