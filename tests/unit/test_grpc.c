/* gRPC's frames, heads and texts, and KEDA's messages in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "gateway/autoscalers/grpc.h"
#include "gateway/autoscalers/keda_messages.h"

enum { MOST_BYTES = 1000 };

/* --- messages -------------------------------------------------------------------------------- */

/* What a reader makes of bytes in pieces of `step`; its verdict, and how much of them it took. */
static bool read_in_steps(struct grpc_reader *r, const char *bytes, size_t len, size_t step,
			  struct grpc_fault *f)
{
	grpc_reader_init(r, MOST_BYTES);
	for (size_t at = 0; at < len; at += step)
		if (!grpc_reader_feed(r, bytes + at, len - at < step ? len - at : step, f))
			return false;
	return grpc_reader_end(r, f);
}

static void add_raw(struct str *s, char flag, uint32_t length, size_t bytes)
{
	const char prefix[] = {flag, (char)(length >> 24), (char)(length >> 16),
			       (char)(length >> 8), (char)length};
	str_add(s, prefix, sizeof(prefix));
	for (size_t i = 0; i < bytes; i++)
		str_add_char(s, (char)i);
}

static void test_a_message_in_pieces(void **unused)
{
	static const size_t sizes[] = {0, 1, 4, 5, 6, 255, 256, MOST_BYTES};
	(void)unused;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		for (size_t step = 1; step <= sizes[i] + GRPC_PREFIX_BYTES; step++) {
			struct str message, framed;
			struct grpc_reader r;
			struct grpc_fault f;
			str_init_must(&message);
			str_init_must(&framed);
			for (size_t k = 0; k < sizes[i]; k++)
				str_add_char(&message, (char)(k * 7));
			grpc_add_message(&framed, sizes[i] ? message.at : "", sizes[i]);
			assert_true(read_in_steps(&r, framed.at, framed.len, step, &f));
			assert_int_equal(r.message.len, sizes[i]);
			if (sizes[i])
				assert_memory_equal(r.message.at, message.at, sizes[i]);
			grpc_reader_release(&r);
			str_release(&message);
			str_release(&framed);
		}
	}
}

static void test_faults_of_messages(void **unused)
{
	static const struct {
		char flag;
		uint32_t length;
		size_t bytes, cut; /* as they come, and how many of all are left */
		enum grpc_status status;
		const char *word;
	} rows[] = {
		{0, 10, 10, 0, GRPC_UNIMPLEMENTED, "none was sent"},
		{0, 10, 10, 1, GRPC_INTERNAL, "ends within"},
		{0, 10, 10, 5, GRPC_INTERNAL, "ends within"},
		{0, 10, 10, 14, GRPC_INTERNAL, "ends within"},
		{0, 10, 11, 16, GRPC_UNIMPLEMENTED, "more were sent"},
		{0, 0, 1, 6, GRPC_UNIMPLEMENTED, "more were sent"},
		{1, 10, 10, 15, GRPC_INTERNAL, "compressed"},
		{-1, 10, 10, 15, GRPC_INTERNAL, "begins with 255"},
		{0, MOST_BYTES + 1, 10, 15, GRPC_RESOURCE_EXHAUSTED, "at most 1000"},
		{0, UINT32_MAX, 10, 15, GRPC_RESOURCE_EXHAUSTED, "4294967295"},
	};
	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		for (size_t step = 1; step < 20; step++) {
			struct str s;
			struct grpc_reader r;
			struct grpc_fault f = {0};
			str_init_must(&s);
			add_raw(&s, rows[i].flag, rows[i].length, rows[i].bytes);
			assert_false(read_in_steps(&r, s.at, rows[i].cut, step, &f));
			assert_int_equal(f.status, rows[i].status);
			assert_non_null(strstr(f.text, rows[i].word));
			grpc_reader_release(&r);
			str_release(&s);
		}
	}
}

static void test_texts(void **unused)
{
	struct str s;
	(void)unused;
	str_init_must(&s);
	grpc_add_text(&s, "a \"b\" 100%\n\xc3\xbc\x7f");
	assert_string_equal(s.at, "a \"b\" 100%25%0A%C3%BC%7F");
	str_release(&s);
}

/* --- heads ----------------------------------------------------------------------------------- */

static bool read_head(struct http_header *headers, size_t count, struct grpc_head *h,
		      struct grpc_fault *f)
{
	struct http_head head = {.method = SLICE("POST"),
				 .target = SLICE("/a.B/C"),
				 .headers = headers,
				 .count = count};
	return grpc_read_head(h, &head, "2", f);
}

static void test_timeouts(void **unused)
{
	static const struct {
		const char *text;
		int64_t us; /* -1: refused */
	} rows[] = {
		{"1H", INT64_C(3600000000)},
		{"2M", 120000000},
		{"3S", 3000000},
		{"4m", 4000},
		{"5u", 5},
		{"6000n", 6},
		{"999n", 0},
		{"0S", 0},
		{"00000001S", 1000000},
		{"99999999H", INT64_C(359999996400000000)},
		{"000000001S", -1},
		{"S", -1},
		{"", -1},
		{"1", -1},
		{"1s", -1},
		{"+1S", -1},
		{"-1S", -1},
		{"1.5S", -1},
		{" 1S", -1},
	};
	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct http_header headers[] = {
			{SLICE("content-type"), SLICE("application/grpc"), HEADER_OTHER},
			{SLICE("grpc-timeout"), slice_of(rows[i].text), HEADER_OTHER},
		};
		struct grpc_head h;
		struct grpc_fault f;
		assert_int_equal(read_head(headers, 2, &h, &f), rows[i].us >= 0);
		if (rows[i].us >= 0)
			assert_int_equal(h.time_us, rows[i].us);
		else
			assert_int_equal(f.status, GRPC_INTERNAL);
	}
}

static void test_content_types(void **unused)
{
	static const struct {
		const char *type;
		bool good;
		int http_status;
	} rows[] = {
		{"application/grpc", true, 0},
		{"application/grpc+proto", true, 0},
		{"application/grpc;x", true, 0},
		{"application/grpc+proto;x", true, 0},
		{"application/grpc+protobuf", false, 0},
		{"application/grpc+json", false, 0},
		{"application/grpc-web", false, 0},
		{"application/json", false, 415},
		{"", false, 415},
	};
	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct http_header type = {SLICE("content-type"), slice_of(rows[i].type),
					   HEADER_OTHER};
		struct grpc_head h;
		struct grpc_fault f;
		assert_int_equal(read_head(&type, 1, &h, &f), rows[i].good);
		assert_int_equal(h.http_status, rows[i].http_status);
	}
}

/* --- KEDA's messages ------------------------------------------------------------------------- */

/* A GetMetricsRequest of the metric "m" for the object "o" in "n", with two pairs of metadata. */
static const char request[] = "\x0a\x16\x0a\x01o\x12\x01n\x1a\x06\x0a\x01"
			      "a\x12\x01"
			      "b\x1a\x06\x0a\x01k\x12\x01v\x12\x01m";

static void test_a_question(void **unused)
{
	struct keda_question q;
	(void)unused;
	assert_int_equal(keda_question_read(&q, request, sizeof(request) - 1, true), KEDA_READ);
	assert_string_equal(q.name, "o");
	assert_string_equal(q.name_space, "n");
	assert_string_equal(q.metric, "m");
	assert_int_equal(q.count, 2);
	assert_string_equal(q.metadata[1].key, "k");
	assert_string_equal(q.metadata[1].value, "v");
	keda_question_release(&q);
}

static void test_an_empty_question(void **unused)
{
	(void)unused;
	for (int is_of_metric = 0; is_of_metric < 2; is_of_metric++) {
		struct keda_question q;
		assert_int_equal(keda_question_read(&q, "", 0, is_of_metric), KEDA_READ);
		assert_string_equal(q.name, "");
		assert_string_equal(q.metric, "");
		assert_int_equal(q.count, 0);
		keda_question_release(&q);
	}
}

/* Cut anywhere but between two fields, a message is none. */
static void test_a_question_that_is_cut(void **unused)
{
	(void)unused;
	for (size_t len = 1; len < sizeof(request) - 1; len++) {
		struct keda_question q;
		enum keda_read read = keda_question_read(&q, request, len, true);
		assert_int_equal(read == KEDA_READ, len == 24);
		if (read == KEDA_READ)
			keda_question_release(&q);
	}
}

static void test_answers(void **unused)
{
	static const char value[] =
		"\0\0\0\0\x12\x0a\x10\x0a\x03s-a\x10\x03\x19\0\0\0\0\0\0\x04\x40";
	static const char spec[] =
		"\0\0\0\0\x12\x0a\x10\x0a\x03s-a\x10\x01\x19\0\0\0\0\0\0\xe0\x3f";
	static const char active[] = "\0\0\0\0\2\x08\1";
	struct str s;
	(void)unused;
	str_init_must(&s);
	keda_add_value(&s, "s-a", 2.5);
	assert_int_equal(s.len, sizeof(value) - 1);
	assert_memory_equal(s.at, value, s.len);
	str_clear(&s);
	keda_add_spec(&s, "s-a", 0.5);
	assert_int_equal(s.len, sizeof(spec) - 1);
	assert_memory_equal(s.at, spec, s.len);
	str_clear(&s);
	keda_add_active(&s, true);
	assert_int_equal(s.len, sizeof(active) - 1);
	assert_memory_equal(s.at, active, s.len);
	str_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_message_in_pieces),
		cmocka_unit_test(test_faults_of_messages),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_content_types),
		cmocka_unit_test(test_a_question),
		cmocka_unit_test(test_an_empty_question),
		cmocka_unit_test(test_a_question_that_is_cut),
		cmocka_unit_test(test_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
