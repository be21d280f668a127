/*
 * Torture: each scenario runs again and again, and each time another one of its allocations fails.
 * Nothing may crash or leak (the sanitizer looks), the invariants hold, and whoever cannot be
 * served for want of memory is told so. The spool's own is in test_spool.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "activator/core/service.h"
#include "base/clock.h"
#include "base/h2.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/http/forward.h"
#include "gateway/http/http2_head.h"
#include "metrics/exposition.h"
#include "metrics/metrics.h"

enum { MOST_ALLOCATIONS = 3000 };

/* Whether the failure is still to come: the scenario has made fewer allocations than that. */
static bool is_pending(long after)
{
	bool pending = false;
	for (long i = 0; i <= after && !pending; i++) {
		void *p = mem_alloc(1);
		pending = !p;
		mem_free(p);
	}
	mem_fail_after(-1);
	return pending;
}

/* `run` gets whether an allocation may fail; the last run is one in which none did. */
static void torture(void (*run)(bool may_fail), long least)
{
	long after = 0;
	run(false);
	for (bool pending = false; !pending; after++) {
		assert_true(after < MOST_ALLOCATIONS);
		mem_fail_after(after);
		run(true);
		pending = is_pending(after);
	}
	if (after < least)
		fail_msg("only %ld allocations were made to fail", after - 1);
}

static int tear_down(void **state)
{
	(void)state;
	mem_fail_after(-1);
	return 0;
}

/* --- the core --------------------------------------------------------------------------------- */

enum { TICKETS = 90, PODS = 20 };

static struct core {
	struct service *service;
	struct service_config config;
	int64_t now_us;
	struct ticket tickets[TICKETS];
	uint64_t grants[TICKETS];
	uint64_t pods[PODS];
	int granted, refused_for_memory, refused, held;
	bool is_ending;
} core;

static void ignore_pod_move(void *arg, struct pod *p, enum pod_state from)
{
	(void)arg, (void)p, (void)from;
}

static void ignore_slot_move(void *arg, const struct slot *slot, enum slot_state from)
{
	struct core *c = arg;
	c->held += from == SLOT_STATES && !slot->is_pass;
}

static void on_slot_freed(void *arg, const struct slot *slot, int64_t now_us)
{
	struct core *c = arg;
	(void)now_us;
	c->held -= !slot->is_pass;
}

static void ignore_pod_end(void *arg, struct pod *p)
{
	(void)arg, (void)p;
}

static void ignore_failure(void *arg, const struct pod *p, const char *kind)
{
	(void)arg, (void)p, (void)kind;
}

static void ignore_scaling_failure(void *arg, const char *reason)
{
	(void)arg, (void)reason;
}

static const struct service_observer observer = {
	.scaling_failed = ignore_scaling_failure,
	.pod_moved = ignore_pod_move,
	.slot_moved = ignore_slot_move,
	.slot_freed = on_slot_freed,
	.pod_freed = ignore_pod_end,
	.pod_failed = ignore_failure,
};

static void carry_out(struct core *c, const struct decision *d)
{
	switch (d->kind) {
	case DECIDE_GRANT:
		c->granted++;
		c->grants[d->owner - 1] = d->grant;
		break;
	case DECIDE_REFUSE:
		assert_int_equal(d->ticket->state, TICKET_OUTSIDE);
		assert_int_not_equal(d->ticket->refusal, REFUSAL_NONE);
		c->refused++;
		c->refused_for_memory += d->ticket->refusal == REFUSAL_NO_MEMORY;
		break;
	case DECIDE_PROBE:
	case DECIDE_CHECK_IDLE:
		service_pod_answered(c->service, d->pod, d->question, ANSWER_YES, c->now_us);
		break;
	default:
		break;
	}
}

static void check_core(const struct core *c)
{
	struct service_counts n;
	int64_t slots = 0;
	service_count(c->service, c->now_us, &n);
	for (int i = 0; i < SLOT_STATES; i++)
		slots += n.slots[i];
	assert_int_equal(slots, c->held);
	assert_true(n.waiting >= 0 && n.waiting_passes >= 0 && n.uploading >= 0);
	for (int i = 0; i < PODS; i++) {
		const struct pod *p = service_pod(c->service, c->pods[i]);
		if (p)
			assert_in_range(p->used, 0, p->capacity);
		if (p && !c->is_ending && n.waiting)
			assert_true(p->state != POD_READY || p->reserved_for);
	}
}

static void drain(struct core *c)
{
	struct decision d;
	while (service_next(c->service, c->now_us, &d))
		carry_out(c, &d);
	check_core(c);
}

static void pass_time(struct core *c, int64_t us)
{
	for (int64_t end_us = c->now_us + us; c->now_us < end_us; c->now_us += us / 4) {
		service_tick(c->service, c->now_us);
		drain(c);
	}
}

static void let_all_arrive(struct core *c)
{
	for (int i = 0; i < TICKETS; i++) {
		struct ticket *t = &c->tickets[i];
		ticket_init(t, i % 9 == 8   ? TICKET_EXCLUSIVE
			       : i % 5 == 4 ? TICKET_PASS
					    : TICKET_SLOT);
		t->owner = (uint64_t)i + 1;
		if (service_admit(c->service, t, c->now_us))
			service_enqueue(c->service, t, c->now_us);
		drain(c);
	}
}

/* One of each way in which a job can end. */
static void end_job(struct core *c, int i)
{
	uint64_t grant = c->grants[i];
	c->grants[i] = 0;
	switch (i % 4) {
	case 0:
		service_returned(c->service, grant, &c->tickets[i], UNSENT_TIMEOUT, c->now_us);
		service_requeue(c->service, &c->tickets[i], c->now_us);
		break;
	case 1:
		service_started(c->service, grant, c->now_us);
		service_broken(c->service, grant, "reset", c->now_us);
		break;
	default:
		service_started(c->service, grant, c->now_us);
		service_finished(c->service, grant, c->now_us);
		break;
	}
	drain(c);
}

static struct service_config core_config(void)
{
	return (struct service_config){
		.name = (char[]){"torture"},
		.container_concurrency = 2,
		.queue = {100, 60 * US_PER_S, 60 * US_PER_S, 3},
		.pass_through = {.max_requests = 100,
				 .max_requests_per_pod = 4,
				 .wait_when_cold = true},
		.readiness = {CHECK_TCP_SOCKET, NULL, US_PER_S, US_PER_MS, US_PER_S},
		.idle = {.kind = CHECK_HTTP_GET, .period_us = US_PER_S, .success_threshold = 1},
		.ejection = {3, US_PER_S, 4 * US_PER_S},
		.autoscaling = {.max_scale = PODS,
				.min_scale = PODS,
				.activation_scale = 1,
				.target_utilization = 1,
				.stable_window_us = 6 * US_PER_S,
				.panic_window_percentage = 10,
				.panic_threshold_percentage = 200,
				.max_scale_up_rate = 1000,
				.max_scale_down_rate = 2,
				.tick_us = 2 * US_PER_S},
	};
}

static void run_scenario(struct core *c)
{
	struct service_config longer = c->config;
	longer.autoscaling.stable_window_us *= 2;
	longer.autoscaling.scale_down_delay_us = 5 * US_PER_S;
	for (int i = 0; i < PODS; i++) {
		char name[] = {'p', (char)('a' + i), '\0'};
		c->pods[i] = service_pod_add(c->service, name, i % 2, NULL, c->now_us);
		assert_true(c->pods[i] || !service_pod_by_name(c->service, name));
		pass_time(c, 4 * US_PER_MS);
	}
	let_all_arrive(c);
	for (int i = 0; i < TICKETS; i++)
		if (c->grants[i])
			end_job(c, i);
	service_configure(c->service, &longer, c->now_us);
	drain(c);
	pass_time(c, 8 * US_PER_S);
	service_pod_gone(c->service, c->pods[0], c->now_us);
	service_pod_absent(c->service, c->pods[1], c->now_us);
	service_pod_add(c->service, "pb", false, NULL, c->now_us);
	drain(c);
	service_close(c->service, c->now_us);
	c->is_ending = true;
	drain(c);
}

static void run_core(bool may_fail)
{
	core = (struct core){.now_us = 1000 * US_PER_S, .config = core_config()};
	core.service = service_new(&core.config, true, &observer, &core, core.now_us);
	assert_true(core.service || may_fail);
	if (!core.service)
		return;
	run_scenario(&core);
	for (int i = 0; i < TICKETS; i++)
		service_cancel(core.service, &core.tickets[i], core.now_us);
	assert_true(core.refused_for_memory <= (may_fail ? 1 : 0));
	assert_true(core.granted >= 60);
	core.is_ending = true;
	service_free(core.service);
	assert_int_equal(core.held, 0);
}

static void the_core_refuses(void **state)
{
	(void)state;
	torture(run_core, 80);
}

/* --- HTTP ------------------------------------------------------------------------------------- */

static const char request[] =
	"POST http://h/a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
	"X-Forwarded-For: 1.1.1.1\r\nVia: 1.0 p\r\nConnection: X-A\r\nX-A: b\r\n"
	"A1:\r\nA2:\r\nA3:\r\nA4:\r\nA5:\r\nA6:\r\nA7:\r\nA8:\r\nA9:\r\nA10:\r\n"
	"A11:\r\nA12:\r\nA13:\r\nA14:\r\nA15:\r\nA16:\r\nA17:\r\nA18:\r\nA19:\r\n"
	"A20:\r\nA21:\r\nA22:\r\nA23:\r\nA24:\r\nA25:\r\nA26:\r\nA27:\r\nA28:\r\n"
	"A29: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"
	"A30: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"
	"\r\nabc";
static const char answer[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n"
			     "3\r\nabc\r\n0\r\n\r\n";

static void on_body(void *owner, const char *bytes, size_t len)
{
	(void)bytes;
	*(size_t *)owner += len;
}

static void forward(const struct http_head *h, bool may_fail)
{
	struct net_address peer;
	struct config config = {.forwarding = {.headers = FORWARDING_BOTH, .via = "v"}};
	struct gateway gw = {.config = &config};
	struct exchange x = {.peer = &peer, .version = "1.1", .gateway = &gw};
	struct route route = {.host = SLICE("h"), .target = SLICE("/a?b")};
	struct str s;
	net_parse("1.2.3.4:5", &peer);
	str_init(&s);
	forward_request_head(&s, h, &route, &x,
			     &(struct own_headers){"id", &(struct told_trace){0}},
			     &(struct withheld){true, SLICE("k")});
	forward_request_framing(&s, 3);
	assert_true(may_fail || !s.failed);
	if (!s.failed)
		assert_memory_equal(s.at + s.len - 4, "\r\n\r\n", 4);
	str_release(&s);
}

/* The same parser for one message after another: a failure must not spoil the next. */
static enum http_result parse(struct http_parser *p, enum http_kind kind, const char *text,
			      bool may_fail)
{
	size_t at = 0, used, len = strlen(text), body = 0;
	enum http_result r = HTTP_MORE;
	http_parser_begin(p, kind, (struct http_limits){8192, 64, 8192}, on_body, &body);
	while (at < len && (r == HTTP_MORE || r == HTTP_HEAD_END)) {
		r = http_parser_feed(p, text + at, len - at < 50 ? len - at : 50, &used);
		at += used;
		if (r == HTTP_HEAD_END && kind == HTTP_IS_REQUEST)
			forward(http_parser_head(p), may_fail);
	}
	assert_true(r == HTTP_END ? body == 3 : r == HTTP_NO_MEMORY && may_fail);
	return r;
}

static void run_http(bool may_fail)
{
	struct http_parser *p = http_parser_new();
	assert_true(p || may_fail);
	if (!p)
		return;
	enum http_result first = parse(p, HTTP_IS_REQUEST, request, may_fail);
	if (first == HTTP_NO_MEMORY)
		may_fail = false; /* it was this one */
	parse(p, HTTP_IS_RESPONSE, answer, may_fail);
	assert_int_equal(parse(p, HTTP_IS_REQUEST, request, may_fail), HTTP_END);
	http_parser_free(p);
}

static void the_http_parser_says_so(void **state)
{
	(void)state;
	torture(run_http, 8);
}

/* --- HTTP/2 ----------------------------------------------------------------------------------- */

enum { HTTP2_REQUESTS = 4, HTTP2_FIELDS = 40, ANSWER_BYTES = 40000 };

/* What a client does: requests with bodies, whose heads are larger than what is there at first. */
static struct http2_client {
	struct h2 *h2;
	struct str sent;
	int heads, bodies, ended, answered, refused;
	size_t left[HTTP2_REQUESTS]; /* of each answer */
} client;

static void add_frame(struct str *s, char type, char flags, char stream, struct slice payload)
{
	char head[9] = {0,     (char)(payload.len >> 8), (char)payload.len, type, flags, 0, 0, 0,
			stream};
	str_add(s, head, sizeof(head));
	str_add_slice(s, payload);
}

static void write_requests(struct str *s)
{
	struct str block;
	str_init(&block);
	str_add(&block,
		"\x83\x86\x84\x41\x01h\x60\x03"
		"a=b\x60\x03"
		"c=d",
		16);
	for (int i = 0; i < HTTP2_FIELDS; i++)
		str_add(&block,
			"\x40\x01x\x10"
			"aaaaaaaaaaaaaaaa",
			20);
	str_add_text(s, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	add_frame(s, 4, 0, 0, SLICE(""));
	for (char stream = 1; stream < 2 * HTTP2_REQUESTS; stream += 2) {
		add_frame(s, 1, 4, stream, (struct slice){block.at, block.len});
		add_frame(s, 0, 1, stream, SLICE("body"));
	}
	str_release(&block);
}

static void *on_http2_head(void *owner, int32_t stream, const struct h2_head *in)
{
	struct http2_client *c = owner;
	struct http2_head head;
	c->heads++;
	if (in->fault) {
		assert_int_equal(in->fault, H2_HEAD_NO_MEMORY);
		c->refused++;
		h2_reset(c->h2, stream);
		return NULL;
	}
	enum http2_head_result result = http2_head_init(&head, in);
	if (result == HTTP2_HEAD_OK) {
		struct slice cookie = http_find(&head.head, HEADER_COOKIE);
		assert_int_equal(head.head.count, HTTP2_FIELDS + 2);
		assert_memory_equal(cookie.at, "a=b; c=d", 8);
	}
	http2_head_release(&head);
	c->left[stream / 2] = ANSWER_BYTES;
	if (result == HTTP2_HEAD_OK && h2_respond(c->h2, stream, 200, NULL, 0, true))
		return &c->left[stream / 2];
	c->refused++;
	h2_reset(c->h2, stream);
	return NULL;
}

static void on_http2_body(void *left, const char *bytes, size_t len)
{
	assert_memory_equal(bytes, "body", 4);
	h2_consume(client.h2, 1 + 2 * (int32_t)((size_t *)left - client.left), len);
	client.bodies++;
}

static void on_http2_body_end(void *left)
{
	(void)left;
}

static size_t fill_http2(void *owner, char *bytes, size_t size, bool *is_last)
{
	size_t *left = owner, n = *left < size ? *left : size;
	memset(bytes, 'a', n);
	*left -= n;
	*is_last = !*left;
	return n;
}

static void on_http2_sent(void *left)
{
	assert_int_equal(*(size_t *)left, 0);
	client.answered++;
}

static void on_http2_closed(void *left, enum h2_end why)
{
	(void)left, (void)why;
	client.ended++;
}

static void run_http2(bool may_fail)
{
	static const struct h2_handler handler = {on_http2_head, on_http2_body, on_http2_body_end,
						  fill_http2,	 on_http2_sent, on_http2_closed};
	const struct h2_limits limits = {100, 8192, 64, 65536};
	const char *bytes;
	client = (struct http2_client){.sent = client.sent};
	client.h2 = h2_new(&limits, &handler, &client);
	assert_true(client.h2 || may_fail);
	if (!client.h2)
		return;
	for (size_t at = 0; at < client.sent.len; at += 100) {
		size_t rest = client.sent.len - at;
		h2_feed(client.h2, client.sent.at + at, rest < 100 ? rest : 100);
		while (h2_output(client.h2, &bytes))
			;
	}
	const char *fault = h2_fault(client.h2);
	assert_true(!fault || may_fail);
	/* The windows let 65535 bytes go: all of the first answer, and some of the others. */
	int lost = client.refused + client.ended;
	assert_true(fault || client.answered >= 1);
	assert_true(may_fail || (client.heads == HTTP2_REQUESTS && !lost));
	assert_in_range(lost, 0, 1);
	h2_free(client.h2);
}

static void http2_refuses_a_stream_or_ends(void **state)
{
	(void)state;
	str_init(&client.sent);
	write_requests(&client.sent);
	torture(run_http2, 40);
	str_release(&client.sent);
}

/* --- metrics ---------------------------------------------------------------------------------- */

static struct metrics_registry *registry;

static void run_metrics(bool may_fail)
{
	static const char *const services[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
	struct str page;
	for (size_t i = 0; i < sizeof(services) / sizeof(*services); i++) {
		const char *values[CATALOGUE_MAX_LABELS] = {services[i], "x", "y"};
		for (int m = 0; m < METRIC_COUNT; m++) {
			enum metric_kind kind = catalogue_get((enum metric)m)->kind;
			if (kind == METRIC_KIND_COUNTER)
				metrics_count(metrics_counter(registry, (enum metric)m, values));
			else if (kind == METRIC_KIND_GAUGE)
				metrics_gauge_set(metrics_gauge(registry, (enum metric)m, values),
						  1);
			else
				metrics_observe(metrics_histogram(registry, (enum metric)m, values),
						1);
		}
	}
	metrics_collect(registry);
	str_init(&page);
	exposition_render(registry, EXPOSITION_TEXT, &page);
	assert_true(may_fail || (!page.failed && page.len > 1000));
	str_release(&page);
	for (size_t i = 0; i < sizeof(services) / sizeof(*services); i++)
		metrics_drop(registry, (const char *const[]){"service", services[i], NULL});
}

/* The registry belongs to the start, which may end the process: it is there already. */
static void metrics_go_on_counting(void **state)
{
	(void)state;
	registry = metrics_new(METRICS_MAX_LABEL_VALUES);
	torture(run_metrics, 100);
	metrics_free(registry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(the_core_refuses, tear_down),
		cmocka_unit_test_teardown(the_http_parser_says_so, tear_down),
		cmocka_unit_test_teardown(http2_refuses_a_stream_or_ends, tear_down),
		cmocka_unit_test_teardown(metrics_go_on_counting, tear_down),
	};
	return cmocka_run_group_tests_name("torture", tests, NULL, NULL);
}
