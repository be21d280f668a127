/* W3C Trace Context: what is one, what is none, and what new ones are like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/tracing/trace_context.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"
#define ZERO  "0000000000000000"

struct lines {
	struct http_header headers[40];
	struct http_head head;
};

static void add(struct lines *l, enum header_id id, const char *value)
{
	l->head.headers = l->headers;
	l->headers[l->head.count++] = (struct http_header){SLICE("x"), slice_of(value), id};
}

static bool parses(const char *text)
{
	struct trace_context c;
	return trace_context_parse(slice_of(text), &c);
}

static void test_what_is_one(void **unused)
{
	(void)unused;
	static const char *const good[] = {
		"00-" TRACE "-" SPAN "-01",	    "00-" TRACE "-" SPAN "-00",
		"00-" TRACE "-" SPAN "-ff",	    "01-" TRACE "-" SPAN "-01",
		"fe-" TRACE "-" SPAN "-01-",	    "cc-" TRACE "-" SPAN "-01-what-comes",
		" 00-" TRACE "-" SPAN "-01\t",	    "00-" ZERO "0000000000000001-" SPAN "-01",
		"00-" TRACE "-0000000000000001-01",
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (!parses(good[i]))
			fail_msg("refused: %s", good[i]);
}

static void test_what_is_none(void **unused)
{
	(void)unused;
	static const char *const bad[] = {
		"",
		"00",
		"ff-" TRACE "-" SPAN "-01",
		"00-" TRACE "-" SPAN "-01-",
		"00-" TRACE "-" SPAN "-01-x",
		"00-" TRACE "-" SPAN "-0",
		"00-" TRACE "-" SPAN "-",
		"00-" TRACE "-" SPAN,
		"01-" TRACE "-" SPAN "-01x",
		"01-" TRACE "-" SPAN "-011",
		"00-" ZERO ZERO "-" SPAN "-01",
		"00-" TRACE "-" ZERO "-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
		"00-" TRACE "-00F067AA0BA902B7-01",
		"00-" TRACE "-" SPAN "-0A",
		"0A-" TRACE "-" SPAN "-01",
		"0x-" TRACE "-" SPAN "-01",
		"00_" TRACE "-" SPAN "-01",
		"00-" TRACE "_" SPAN "-01",
		"00-" TRACE "-" SPAN "_01",
		"00- bf92f3577b34da6a3ce929d0e0e4736-" SPAN "-01",
		"00-" TRACE SPAN "--01",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (parses(bad[i]))
			fail_msg("taken: %s", bad[i]);
}

/* Each byte of a good one, replaced by each other: what is taken is what the rules take, and says
 * the same when it is written again. */
static void test_any_one_byte(void **unused)
{
	(void)unused;
	static const char good[] = "00-" TRACE "-" SPAN "-01";
	char text[sizeof(good)], again[TRACEPARENT_BYTES];
	for (size_t at = 0; at < sizeof(good) - 1; at++) {
		for (int c = 0; c < 256; c++) {
			memcpy(text, good, sizeof(good));
			text[at] = (char)c;
			struct trace_context context;
			bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
			bool is_dash = at == 2 || at == 35 || at == 52;
			bool takes = trace_context_parse((struct slice){text, sizeof(good) - 1},
							 &context);
			assert_int_equal(takes, is_dash ? c == '-' : is_hex);
			if (!takes || at < 2)
				continue;
			trace_context_format(&context, again);
			assert_string_equal(again, text);
		}
	}
}

/* Every prefix, in memory of exactly its size: nothing beyond it is looked at. */
static void test_any_length(void **unused)
{
	(void)unused;
	static const char good[] = "01-" TRACE "-" SPAN "-01-more";
	for (size_t n = 0; n < sizeof(good); n++) {
		char *copy = test_malloc(n + 1);
		struct trace_context c;
		memcpy(copy, good, n);
		assert_int_equal(trace_context_parse((struct slice){copy, n}, &c),
				 n == 55 || (n >= 56 && n < sizeof(good)) || n == sizeof(good));
		test_free(copy);
	}
}

static void test_there_is_one_of_it(void **unused)
{
	(void)unused;
	struct lines l = {0};
	struct trace_context c;
	assert_false(trace_context_read(&l.head, &c));
	add(&l, HEADER_HOST, "00-" TRACE "-" SPAN "-01");
	assert_false(trace_context_read(&l.head, &c));
	add(&l, HEADER_TRACEPARENT, "00-" TRACE "-" SPAN "-ff");
	assert_true(trace_context_read(&l.head, &c));
	assert_int_equal(c.flags, TRACE_IS_SAMPLED | TRACE_IS_RANDOM);
	add(&l, HEADER_TRACEPARENT, "00-" TRACE "-" SPAN "-01");
	assert_false(trace_context_read(&l.head, &c));
}

static void test_new_ones(void **unused)
{
	(void)unused;
	static const double ratios[] = {0, 0.25, 1};
	enum { ROUNDS = 4000 };
	for (size_t i = 0; i < 3; i++) {
		int sampled = 0;
		struct trace_context before = {.span = {1}};
		for (int n = 0; n < ROUNDS; n++) {
			char text[TRACEPARENT_BYTES];
			struct trace_context c = trace_context_new(ratios[i]), read;
			trace_context_format(&c, text);
			assert_true(trace_context_parse(slice_of(text), &read));
			assert_memory_equal(&c, &read, sizeof(c));
			assert_memory_not_equal(c.trace, before.trace, TRACE_ID_BYTES);
			assert_memory_not_equal(c.span, before.span, SPAN_ID_BYTES);
			assert_true(c.flags & TRACE_IS_RANDOM);
			sampled += c.flags & TRACE_IS_SAMPLED;
			before = c;
		}
		/* Ten standard deviations. */
		double expected = ratios[i] * ROUNDS, slack = ratios[i] == 0.25 ? 274 : 0;
		assert_true(sampled >= expected - slack && sampled <= expected + slack);
	}
}

static bool state_is_good(const char *one, const char *two)
{
	struct lines l = {0};
	add(&l, HEADER_TRACESTATE, one);
	if (two)
		add(&l, HEADER_TRACESTATE, two);
	return trace_state_is_good(&l.head);
}

static void test_states(void **unused)
{
	(void)unused;
	char key[260], value[600], many[33 * 8] = "";
	struct lines none = {0};
	assert_true(trace_state_is_good(&none.head));
	assert_true(state_is_good("", NULL));
	assert_true(state_is_good("a=1", "b=2"));
	assert_true(state_is_good("a=1,, ,b=2 x", NULL));
	assert_true(state_is_good("0tenant@system=x/y:z", NULL));
	assert_true(state_is_good("a_-*/b=!~", NULL));
	assert_false(state_is_good("A=1", NULL));
	assert_false(state_is_good("a", NULL));
	assert_false(state_is_good("=1", NULL));
	assert_false(state_is_good("a=", NULL));
	assert_false(state_is_good("a=b=c", NULL));
	assert_false(state_is_good("a=\x01", NULL));
	assert_false(state_is_good("a=\xc3\xa4", NULL));
	assert_false(state_is_good("a b=1", NULL));
	assert_false(state_is_good("a=1", "B=2"));
	memset(key, 'k', sizeof(key));
	memcpy(key + 256, "=1", 3);
	assert_true(state_is_good(key, NULL));
	memcpy(key + 257, "=1", 3);
	key[256] = 'k';
	assert_false(state_is_good(key, NULL));
	memset(value, 'v', sizeof(value));
	memcpy(value, "a=", 2);
	value[2 + 256] = '\0';
	assert_true(state_is_good(value, NULL));
	value[2 + 256] = 'v';
	value[2 + 257] = '\0';
	assert_false(state_is_good(value, NULL));
	for (int i = 0; i < 32; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), "k%d=1,", i);
	assert_true(state_is_good(many, NULL));
	assert_false(state_is_good(many, "k=1"));
}

static void test_states_are_joined(void **unused)
{
	(void)unused;
	struct lines l = {0};
	char text[TRACESTATE_BYTES], one[220];
	trace_state_read(&l.head, text);
	assert_string_equal(text, "");
	add(&l, HEADER_TRACESTATE, "a=1,\tb=2");
	add(&l, HEADER_HOST, "x=1");
	add(&l, HEADER_TRACESTATE, "c=3");
	trace_state_read(&l.head, text);
	assert_string_equal(text, "a=1,b=2,c=3");
	memset(one, 'd', sizeof(one));
	memcpy(one + sizeof(one) - 3, "=4", 3);
	add(&l, HEADER_TRACESTATE, one); /* as long as there is room, just so */
	add(&l, HEADER_TRACESTATE, one);
	add(&l, HEADER_TRACESTATE, "e=5");
	trace_state_read(&l.head, text);
	assert_int_equal(strlen(text), 11 + 1 + 219 + 4);
	assert_string_equal(text + strlen(text) - 4, ",e=5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_one),
		cmocka_unit_test(test_what_is_none),
		cmocka_unit_test(test_any_one_byte),
		cmocka_unit_test(test_any_length),
		cmocka_unit_test(test_there_is_one_of_it),
		cmocka_unit_test(test_new_ones),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_states_are_joined),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
