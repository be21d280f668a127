/* Records as OTLP's JSON: ids, parents, times, and text that anybody may have written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "gateway/tracing/span.h"

static const struct span_resource resource = {"gw", "1.0", "instance", "host", 42};
static struct json *document;
static char ids[8][2][40]; /* of each span: its own and its parent's */

static struct request_span a_request(void)
{
	struct request_span r = {
		.span = {.kind = SPAN_OF_REQUEST,
			 .begun_us = 1000,
			 .ended_us = 9000,
			 .wall_us = 1700000000000000,
			 .status = 200,
			 .method = "POST",
			 .path = "/x?q=secret"},
		.route = "/x*",
		.host = "[::1]:8080",
		.version = "1.1",
		.outcome = "ok",
	};
	r.span.context = trace_context_new(1);
	return r;
}

static const struct json *spans_of(const struct span *one, const struct span *two)
{
	struct str s;
	struct json_error error;
	str_init_must(&s);
	span_write_head(&s, &resource);
	span_write(&s, one);
	if (two) {
		str_add_char(&s, ',');
		span_write(&s, two);
	}
	span_write_tail(&s);
	json_free(document);
	document = json_parse(s.at, s.len, &error);
	if (!document)
		fail_msg("%s at %zu: %s", error.message, error.column, s.at);
	str_release(&s);
	const struct json *scope = json_first(json_find(document, "resourceSpans"));
	return json_find(json_first(json_get(scope, "scopeSpans")), "spans");
}

static const struct json *nth(const struct json *list, int n)
{
	const struct json *at = json_first(list);
	while (at && n--)
		at = json_next(at);
	assert_non_null(at);
	return at;
}

/* The text of an attribute's value, whatever its type; NULL: it has none of this key. */
static const char *attribute(const struct json *span, const char *key)
{
	JSON_EACH(it, json_get(span, "attributes")) {
		if (strcmp(json_text(json_get(it, "key")), key) == 0)
			return json_text(json_first(json_get(it, "value")));
	}
	return NULL;
}

static void note_ids(const struct json *spans)
{
	int n = 0;
	JSON_EACH(it, spans) {
		const char *parent = json_text(json_get(it, "parentSpanId"));
		snprintf(ids[n][0], sizeof(ids[n][0]), "%s", json_text(json_get(it, "spanId")));
		snprintf(ids[n++][1], sizeof(ids[0][0]), "%s", parent ? parent : "");
	}
}

static void test_all_of_a_request(void **unused)
{
	(void)unused;
	struct request_span r = a_request();
	r.found_cold = true;
	r.queued_us = 2000;
	r.granted_us = 6000;
	r.warming = (struct warming){.asked_us = 2100, .answered_us = 3000, .ready_us = 4000};
	assert_int_equal(span_count(&r.span), 3);
	const struct json *spans = spans_of(&r.span, NULL);
	assert_int_equal(json_count(spans), 3);
	note_ids(spans);
	assert_string_equal(ids[0][1], "");
	assert_string_equal(ids[1][1], ids[0][0]);
	assert_string_equal(ids[2][1], ids[1][0]);
	const struct json *root = nth(spans, 0), *queue = nth(spans, 1), *cold = nth(spans, 2);
	assert_string_equal(json_text(json_get(root, "name")), "POST /x*");
	assert_string_equal(json_text(json_get(queue, "name")), "queue");
	assert_string_equal(json_text(json_get(cold, "name")), "cold start");
	assert_string_equal(json_text(json_get(root, "startTimeUnixNano")), "1700000000001000000");
	assert_string_equal(json_text(json_get(root, "endTimeUnixNano")), "1700000000009000000");
	assert_string_equal(json_text(json_get(queue, "endTimeUnixNano")), "1700000000006000000");
	assert_string_equal(json_text(json_get(cold, "endTimeUnixNano")), "1700000000004000000");
	assert_int_equal(json_count(json_get(cold, "events")), 3);
	assert_null(json_get(root, "status"));
	assert_string_equal(attribute(root, "url.path"), "/x");
	assert_string_equal(attribute(root, "server.address"), "[::1]");
	assert_string_equal(attribute(root, "server.port"), "8080");
	/* The ids of children are made when they are written: others each time. */
	char queue_id[40];
	memcpy(queue_id, ids[1][0], sizeof(queue_id));
	note_ids(spans_of(&r.span, NULL));
	assert_string_not_equal(ids[1][0], queue_id);
}

static void test_one_that_never_waited(void **unused)
{
	(void)unused;
	struct request_span r = a_request();
	r.span.status = 503;
	r.reason = r.span.error = "queue_full";
	assert_int_equal(span_count(&r.span), 1);
	const struct json *root = nth(spans_of(&r.span, NULL), 0);
	double code = 0;
	json_number(json_find(root, "status.code"), &code);
	assert_true(code == 2);
	assert_string_equal(attribute(root, "error.type"), "queue_full");
	assert_string_equal(attribute(root, "http.response.status_code"), "503");
}

/* Refused while it was cold: all of its wait was, and nobody is known to have ended it. */
static void test_a_cold_start_that_never_ended(void **unused)
{
	(void)unused;
	struct request_span r = a_request();
	r.found_cold = true;
	r.queued_us = 2000;
	r.span.error = "cold_start_expired";
	r.warming.ready_us = 1500; /* of another time */
	const struct json *spans = spans_of(&r.span, NULL);
	assert_string_equal(json_text(json_get(nth(spans, 2), "endTimeUnixNano")),
			    "1700000000009000000");
	assert_null(json_get(nth(spans, 2), "events"));
	assert_non_null(json_get(nth(spans, 2), "status"));
}

static void test_times_never_run_backwards(void **unused)
{
	(void)unused;
	struct request_span r = a_request();
	r.span.ended_us = 500;
	const struct json *root = nth(spans_of(&r.span, NULL), 0);
	assert_string_equal(json_text(json_get(root, "endTimeUnixNano")),
			    json_text(json_get(root, "startTimeUnixNano")));
}

static void test_work(void **unused)
{
	(void)unused;
	struct request_span r = a_request();
	struct work_span w = {
		.span = {.kind = SPAN_OF_WORK,
			 .begun_us = 6000,
			 .ended_us = 8000,
			 .has_parent = true,
			 .method = "BREW",
			 .path = "/x?q=1",
			 .pod = "p",
			 .status = 418,
			 .is_secure = true},
		.attempt = 2,
		.has_earlier = true,
		.earlier = {1, 2, 3},
		.has_address = true,
	};
	assert_null(net_parse("[::1]:7860", &w.address));
	w.span.context = trace_context_new(1);
	memcpy(w.span.parent, r.span.context.span, SPAN_ID_BYTES);
	const struct json *spans = spans_of(&r.span, &w.span);
	note_ids(spans);
	assert_string_equal(ids[1][1], ids[0][0]);
	const struct json *work = nth(spans, 1);
	assert_string_equal(attribute(work, "http.request.method"), "_OTHER");
	assert_string_equal(attribute(work, "http.request.method_original"), "BREW");
	assert_string_equal(attribute(work, "url.full"), "https://[::1]:7860/x");
	assert_string_equal(attribute(work, "http.request.resend_count"), "1");
	assert_string_equal(attribute(work, "error.type"), "418");
	const struct json *link = json_first(json_get(work, "links"));
	assert_string_equal(json_text(json_get(link, "spanId")), "0102030000000000");
}

/* Text of a client's: quotes, control characters, broken UTF-8, and all of each field. */
static void test_any_text(void **unused)
{
	(void)unused;
	struct request_span r = a_request();
	for (int seed = 1; seed < 256; seed++) {
		char *fields[] = {r.span.path, r.host, r.tenant, r.id, r.route, r.span.method};
		const size_t sizes[] = {sizeof(r.span.path), sizeof(r.host),
					sizeof(r.tenant),    sizeof(r.id),
					sizeof(r.route),     sizeof(r.span.method)};
		char wild[400];
		for (size_t i = 0; i < sizeof(wild); i++)
			wild[i] = (char)((size_t)seed * (i + 7) % 255 + 1);
		for (size_t i = 0; i < 6; i++)
			span_copy(fields[i], sizes[i], (struct slice){wild, sizeof(wild)});
		assert_int_equal(json_count(spans_of(&r.span, NULL)), 1);
	}
}

static int tear_down(void **unused)
{
	(void)unused;
	json_free(document);
	document = NULL;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_of_a_request),
		cmocka_unit_test(test_one_that_never_waited),
		cmocka_unit_test(test_a_cold_start_that_never_ended),
		cmocka_unit_test(test_times_never_run_backwards),
		cmocka_unit_test(test_work),
		cmocka_unit_test(test_any_text),
	};
	return cmocka_run_group_tests(tests, NULL, tear_down);
}
