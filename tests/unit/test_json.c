/* Tests of base/json: strictness, places of faults, and access. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"

static struct json *parse(const char *text, size_t len, struct json_error *error)
{
	/* In memory of just that length, so that reading past it is seen. */
	char *copy = mem_copy(text, len);
	assert_non_null(copy);
	struct json *j = json_parse(copy, len, error);
	mem_free(copy);
	return j;
}

static void test_accepts(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"{}",
		"[]",
		" [ ] ",
		"null",
		"true",
		"false",
		"0",
		"-0",
		"1.5e-3",
		"1E+2",
		"\"\"",
		"\"\\u00e9\\ud83d\\ude00\\n\"",
		"[1,\t[2],\r\n{\"a\":[]}]",
		"{\"\":0}",
		"\xef\xbb\xbf{}",
		"\xef\xbb\xbf{\"a\": 1}",
		"\"\xc3\xa9\"",
		"123456789012345678901234567890123456789012345678901234567890123",
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct json_error error;
		struct json *j = parse(texts[i], strlen(texts[i]), &error);
		if (!j)
			fail_msg("%s: %s", texts[i], error.message);
		assert_null(error.message);
		json_free(j);
	}
}

struct refusal {
	const char *text;
	size_t len; /* 0: strlen */
	size_t line, column;
	const char *message;
};

#define EARLY "the text ends too early"

static const struct refusal refusals[] = {
	{"", 0, 1, 1, "the text is empty"},
	{" \n ", 0, 2, 2, "the text is empty"},
	{"{", 0, 1, 2, EARLY},
	{"{\"a\"", 0, 1, 5, EARLY},
	{"{\"a\":", 0, 1, 6, EARLY},
	{"{\"a\":1", 0, 1, 7, EARLY},
	{"[1", 0, 1, 3, EARLY},
	{"tru", 0, 1, 1, "expected a value"},
	{"True", 0, 1, 1, "expected a value"},
	{"{} x", 0, 1, 4, "there is something behind the end of the value"},
	{"{}\0", 3, 1, 3, "there is something behind the end of the value"},
	{"\0{}", 3, 1, 1, "expected a value"},
	{"[\0]", 3, 1, 2, "expected a value"},
	{"\"a\0b\"", 5, 1, 3, "a control character in a string (is its closing quote missing?)"},
	{"{\n \"a\": 1,\n}", 0, 3, 1, "expected a key in double quotes"},
	{"{\n \"a\": 1\n \"b\": 2}", 0, 3, 2, "expected ',' or '}'"},
	{"{a: 1}", 0, 1, 2, "expected a key in double quotes"},
	{"{'a': 1}", 0, 1, 2, "expected a key in double quotes"},
	{"{\"a\" 1}", 0, 1, 6, "expected ':' after the key"},
	{"[1 2]", 0, 1, 4, "expected ',' or ']'"},
	{"[1,]", 0, 1, 4, "expected a value"},
	{"[,1]", 0, 1, 2, "expected a value"},
	{"[1}", 0, 1, 3, "expected ',' or ']'"},
	{"// no\n{}", 0, 1, 1, "expected a value"},
	{"01", 0, 1, 1, "a number must not begin with 0"},
	{"-01", 0, 1, 2, "a number must not begin with 0"},
	{"+1", 0, 1, 1, "expected a value"},
	{"[-]", 0, 1, 3, "expected a digit"},
	{"[1.]", 0, 1, 4, "expected a digit after the point"},
	{"[.5]", 0, 1, 2, "expected a value"},
	{"[1e]", 0, 1, 4, "expected a digit in the exponent"},
	{"1e", 0, 1, 3, EARLY},
	{"1-2", 0, 1, 2, "there is something behind the end of the value"},
	{"NaN", 0, 1, 1, "expected a value"},
	{"1234567890123456789012345678901234567890123456789012345678901234", 0, 1, 1,
	 "a number of more than 63 digits"},
	{"[\"a", 0, 1, 2, "a string without its closing quote"},
	{"[\"a\\", 0, 1, 5, EARLY},
	{"[\"a\nb\"]", 0, 1, 4, "a control character in a string (is its closing quote missing?)"},
	{"[\"\\x\"]", 0, 1, 4, "an unknown escape in a string"},
	{"[\"\\\0\"]", 6, 1, 4, "an unknown escape in a string"},
	{"[\"\\u12\"]", 0, 1, 7, "expected four hexadecimal digits after \\u"},
	{"[\"\\u1", 0, 1, 6, EARLY},
	{"[\"\\u0000\"]", 0, 1, 3, "\\u0000 is not supported"},
	{"[\"\\ud800\"]", 0, 1, 3, "half of a surrogate pair"},
	{"[\"\\ud800\\n\"]", 0, 1, 3, "half of a surrogate pair"},
	{"[\"\\ud800\\u0041\"]", 0, 1, 3, "half of a surrogate pair"},
	{"[\"\\udc00\"]", 0, 1, 3, "half of a surrogate pair"},
	{"[\"\xc3\xa9\xc3\xa9\" x]", 0, 1, 7, "expected ',' or ']'"}, /* columns are characters */
};

static void test_refuses_with_the_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		const struct refusal *r = &refusals[i];
		struct json_error error;
		struct json *j = parse(r->text, r->len ? r->len : strlen(r->text), &error);
		if (j)
			fail_msg("%s: was accepted", r->text);
		if (strcmp(error.message, r->message) != 0 || error.line != r->line ||
		    error.column != r->column)
			fail_msg("%s: %zu:%zu: %s", r->text, error.line, error.column,
				 error.message);
	}
}

/* Whatever prefix of a document is read, it is refused (and read no further: ASan looks on). */
static void test_refuses_every_prefix(void **state)
{
	(void)state;
	static const char text[] = "{\"a\":[1.5e3,true,\"\\ud83d\\ude00\",{\"b\":null}]}";
	struct json_error error;
	for (size_t n = 0; n + 1 < sizeof(text); n++)
		assert_null(parse(text, n, &error));
	struct json *j = parse(text, sizeof(text) - 1, &error);
	assert_non_null(j);
	json_free(j);
}

static void test_depth(void **state)
{
	(void)state;
	char text[2 * JSON_MAX_DEPTH + 2];
	struct json_error error;
	memset(text, '[', JSON_MAX_DEPTH + 1);
	memset(text + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
	struct json *j = parse(text + 1, 2 * JSON_MAX_DEPTH, &error);
	assert_non_null(j);
	json_free(j);
	assert_null(parse(text, sizeof(text), &error));
	assert_string_equal(error.message, "nested too deeply");
	assert_int_equal(error.column, JSON_MAX_DEPTH + 2);
}

static void test_size(void **state)
{
	(void)state;
	struct json_error error;
	char *text = mem_alloc(JSON_MAX_BYTES + 1);
	assert_non_null(text);
	memset(text, ' ', JSON_MAX_BYTES + 1);
	text[0] = '1';
	assert_null(json_parse(text, JSON_MAX_BYTES + 1, &error));
	assert_string_equal(error.message, "more than 16 MiB of JSON");
	assert_int_equal(error.line, 0);
	struct json *j = json_parse(text, JSON_MAX_BYTES, &error);
	assert_non_null(j);
	json_free(j);
	mem_free(text);
}

static void test_values(void **state)
{
	(void)state;
	static const char text[] =
		"{\"n\": -2.5, \"t\": \"x\", \"b\": true, \"z\": null, \"l\": [1, 2, 3],"
		" \"state\": {\"job_count\": 7}, \"n\": 9, \"N\": 1}";
	struct json_error error;
	struct json *j = parse(text, strlen(text), &error);
	double n = 0;
	bool b = false;
	assert_non_null(j);
	assert_int_equal(json_count(j), 8);
	assert_true(json_number(json_get(j, "n"), &n)); /* the first of the two, in its case */
	assert_true(n == -2.5);
	assert_string_equal(json_text(json_get(j, "t")), "x");
	assert_true(json_bool(json_get(j, "b"), &b) && b);
	assert_true(json_is(json_get(j, "z"), JSON_NULL));
	assert_true(json_number(json_find(j, "state.job_count"), &n) && n == 7);
	assert_null(json_find(j, "state.job"));
	assert_null(json_find(j, "state.job_count.x"));
	assert_null(json_find(j, "stat.job_count"));
	assert_null(json_get(j, "state.job_count"));
	int sum = 0;
	JSON_EACH(it, json_get(j, "l"))
		if (json_number(it, &n))
			sum += (int)n;
	assert_int_equal(sum, 6);
	size_t named_n = 0;
	JSON_EACH(it, j)
		named_n += strcmp(json_key(it), "n") == 0;
	assert_int_equal(named_n, 2); /* duplicates can be seen */
	json_free(j);
}

static void test_wrong_type_and_null_are_harmless(void **state)
{
	(void)state;
	struct json_error error;
	struct json *j = parse("[1]", 3, &error);
	double n;
	bool b;
	assert_null(json_text(j));
	assert_false(json_number(j, &n) || json_bool(j, &b));
	assert_null(json_get(j, "a"));
	assert_null(json_find(NULL, "a.b"));
	assert_null(json_first(NULL));
	assert_false(json_is(NULL, JSON_NULL));
	assert_null(json_text(NULL));
	json_free(j);
	json_free(NULL);
}

static void test_every_allocation_fails_once(void **state)
{
	(void)state;
	static const char text[] = "{\"a\": [1, \"two\", {\"three\": null}], \"b\": {}}";
	struct json_error error;
	struct json *j = NULL;
	long failed = 0;
	while (!j) {
		mem_fail_after(failed);
		j = json_parse(text, strlen(text), &error);
		mem_fail_after(-1);
		if (!j) {
			assert_string_equal(error.message, "out of memory");
			failed++;
		}
	}
	assert_true(failed > 5);
	json_free(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts),
		cmocka_unit_test(test_refuses_with_the_place),
		cmocka_unit_test(test_refuses_every_prefix),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_wrong_type_and_null_are_harmless),
		cmocka_unit_test(test_every_allocation_fails_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
