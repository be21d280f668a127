/* What the metrics API's texts are made of: label selectors, quantities, targets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/autoscalers/label_selector.h"
#include "gateway/autoscalers/quantity.h"
#include "gateway/autoscalers/target.h"

static enum label_selection look(const char *selector, const char *labels)
{
	return label_selector_look(slice_of(selector), label_find_in_text, labels);
}

/* As k8s.io/apimachinery/pkg/labels/selector_test.go has it, where that
 * is not about "<" and ">". */
static void test_selectors(void **state)
{
	static const struct {
		const char *selector, *labels;
		enum label_selection is;
	} cases[] = {
		{"", "x=y", LABELS_FIT},
		{"  ", "", LABELS_FIT},
		{"x=y", "x=y", LABELS_FIT},
		{"x=y,z=w", "x=y,z=w", LABELS_FIT},
		{"x!=y,z!=w", "x=z,z=a", LABELS_FIT},
		{"x!=y", "", LABELS_FIT},
		{"notin=in", "notin=in", LABELS_FIT},
		{"x", "x=z", LABELS_FIT},
		{"!x", "y=z", LABELS_FIT},
		{"x=", "x=", LABELS_FIT},
		{"x= , z= ", "x=,z=", LABELS_FIT},
		{"x=z", "", LABELS_DIFFER},
		{"x=y", "x=z", LABELS_DIFFER},
		{"x=", "", LABELS_DIFFER},
		{"x=y,z=w", "x=w,z=w", LABELS_DIFFER},
		{"x!=y,z!=w", "x=z,z=w", LABELS_DIFFER},
		{"x", "y=z", LABELS_DIFFER},
		{"!x", "x=z", LABELS_DIFFER},
		{"x in (a,b)", "x=b", LABELS_FIT},
		{"x in ( a , b )", "x=a", LABELS_FIT},
		{"x in (a,b)", "y=a", LABELS_DIFFER},
		{"x in (a,b)", "x=ab", LABELS_DIFFER},
		{"x in (a,)", "x=", LABELS_FIT},
		{"x in()", "x=", LABELS_FIT},
		{"x notin (a,b)", "x=c", LABELS_FIT},
		{"x notin (a,b)", "y=a", LABELS_FIT},
		{"x notin (a,b)", "x=b", LABELS_DIFFER},
		{"x notin (a,b), y=1", "y=1", LABELS_FIT},
		{"example.com/tier==gpu", "example.com/tier=gpu", LABELS_FIT},
		{"xx=y", "x=y", LABELS_DIFFER},
		{"x=y", "xx=y,x=yy", LABELS_DIFFER},
		{"x=a||y=b", "x=a", LABELS_UNCLEAR},
		{"x==a==b", "x=a", LABELS_UNCLEAR},
		{"!x=a", "x=a", LABELS_UNCLEAR},
		{"x<a", "x=a", LABELS_UNCLEAR},
		{",", "x=a", LABELS_UNCLEAR},
		{"x=a,", "x=a", LABELS_UNCLEAR},
		{",x=a", "x=a", LABELS_UNCLEAR},
		{"x in a", "x=a", LABELS_UNCLEAR},
		{"x in (a", "x=a", LABELS_UNCLEAR},
		{"x (a)", "x=a", LABELS_UNCLEAR},
		{"=a", "x=a", LABELS_UNCLEAR},
		{"!", "x=a", LABELS_UNCLEAR},
		{"x=b,x in (a", "x=a", LABELS_UNCLEAR}, /* also behind what differs */
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (look(cases[i].selector, cases[i].labels) != cases[i].is)
			fail_msg("\"%s\" of \"%s\" is %d", cases[i].selector, cases[i].labels,
				 look(cases[i].selector, cases[i].labels));
}

/* Every byte is looked at where it stands: a sanitizer sees a step too far. */
static void test_any_bytes_as_selector(void **state)
{
	static const char bytes[] = "abin=!(),< notin\t.";
	uint64_t random = 88172645463325252;
	(void)state;
	for (int i = 0; i < 200000; i++) {
		size_t n = (size_t)(i % 24);
		char *text = malloc(n + 1);
		assert_non_null(text);
		for (size_t k = 0; k < n; k++) {
			random = random * 6364136223846793005 + 1442695040888963407;
			text[k] = bytes[(random >> 33) % (sizeof(bytes) - 1)];
		}
		char *exact = n ? realloc(text, n) : text;
		assert_non_null(exact);
		label_selector_look((struct slice){exact, n}, label_find_in_text, "a=b,i=n");
		free(exact);
	}
}

static void test_quantities(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {
		{0, "0"},	    {1, "1"},	       {7.5, "7500m"}, {0.001, "1m"},
		{0.0004, "0"},	    {0.9996, "1"},     {12, "12"},     {999, "999"},
		{1000, "1k"},	    {1500, "1500"},    {12000, "12k"}, {12000.5, "12000500m"},
		{1e6, "1M"},	    {1.0 / 3, "333m"}, {2e12, "2T"},   {-1.5, "-1500m"},
		{123456, "123456"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct str s;
		str_init_must(&s);
		quantity_add(&s, cases[i].value);
		assert_string_equal(s.at, cases[i].text);
		str_release(&s);
	}
}

static void test_segments(void **state)
{
	char segment[8];
	struct slice path = slice_of("/a/b%23c/%2F");
	(void)state;
	assert_true(target_next_segment(&path, segment, sizeof(segment)));
	assert_string_equal(segment, "a");
	assert_true(target_next_segment(&path, segment, sizeof(segment)));
	assert_string_equal(segment, "b#c");
	assert_true(target_next_segment(&path, segment, sizeof(segment)));
	assert_string_equal(segment, "/");
	assert_false(target_next_segment(&path, segment, sizeof(segment)));

	static const char *const bad[] = {"", "a", "/", "//a", "/%00", "/12345678", "/1234567%38"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		path = slice_of(bad[i]);
		assert_false(target_next_segment(&path, segment, sizeof(segment)));
	}
	static const char *const odd[] = {"/%", "/%2", "/%2g", "/%+1", "/% 1"};
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		path = slice_of(odd[i]);
		assert_true(target_next_segment(&path, segment, sizeof(segment)));
		assert_string_equal(segment, odd[i] + 1);
	}
}

static void test_queries(void **state)
{
	static const struct {
		const char *target, *value; /* NULL: absent; "!": bad */
	} cases[] = {
		{"/a", NULL},
		{"/a?", NULL},
		{"/a?b=1", NULL},
		{"/a?k=1", "1"},
		{"/a?b=2&k=1&k=3", "1"},
		{"/a?k", ""},
		{"/a?k=", ""},
		{"/a?kk=1&k=a%3Db+c%2B", "a=b c+"},
		{"/a?k=x?y", "x?y"},
		{"/a?&&k=1&", "1"},
		{"/a?k=%00", "!"},
		{"/a?k=1234567890", "!"},
	};
	char value[10];
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		enum target_answer is =
			target_query(slice_of(cases[i].target), "k", value, sizeof(value));
		const char *wanted = cases[i].value;
		assert_int_equal(is, !wanted	      ? TARGET_ABSENT
				     : *wanted == '!' ? TARGET_BAD
						      : TARGET_FOUND);
		if (is == TARGET_FOUND)
			assert_string_equal(value, wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_selectors),  cmocka_unit_test(test_any_bytes_as_selector),
		cmocka_unit_test(test_quantities), cmocka_unit_test(test_segments),
		cmocka_unit_test(test_queries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
