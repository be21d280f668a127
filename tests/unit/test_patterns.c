/* Tests of config/patterns.c: wildcards, and that no spelling of a path gets past its pattern. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "config/config.h"

/* Whether a request matches one pattern; in memory of just that length, for ASan. */
static bool matches_n(const char *method, const char *pattern, const char *path, size_t len)
{
	char m[16], p[128];
	snprintf(m, sizeof(m), "%s", method);
	snprintf(p, sizeof(p), "%s", pattern);
	struct slot_pattern one = {.method = m, .path = p};
	char *copy = mem_copy(path, len);
	assert_non_null(copy);
	bool found = slot_pattern_match(&one, 1, SLICE("POST"), (struct slice){copy, len}) == &one;
	mem_free(copy);
	return found;
}

static bool matches(const char *pattern, const char *path)
{
	return matches_n("*", pattern, path, strlen(path));
}

struct row {
	const char *pattern, *path;
	bool expected;
};

static void check(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (matches(rows[i].pattern, rows[i].path) != rows[i].expected)
			fail_msg("%s on %s: expected %d", rows[i].pattern, rows[i].path,
				 rows[i].expected);
}
#define CHECK(rows) check(rows, sizeof(rows) / sizeof(*(rows)))

static void test_wildcards(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"/a", "/a", true},
		{"/a", "/b", false},
		{"/a", "/ab", false},
		{"/ab", "/a", false},
		{"/a", "", false},
		{"/*", "/", true},
		{"/*", "/a/b/c", true},
		{"*", "/a", true},
		{"*", "*", true},
		{"/*", "*", true},
		{"/a*", "/a", true},
		{"/a*c", "/ac", true},
		{"/a*c", "/abbc", true},
		{"/a*c", "/abcd", false},
		{"/a*b*c", "/aXbYc", true},
		{"/a*b*c", "/abc", true},
		{"/a*b*c", "/acb", false},
		{"/a*bc*bc", "/abc", false},
		{"/a*bc*bc", "/abcbc", true},
		{"/ab*ba", "/aba", false}, /* the two ends do not share a byte */
		{"*ab*ab*", "/xabyab", true},
		{"*ab*ab*", "/xaby", false},
		{"/a**b", "/ab", true},
		{"*/generate", "/x/generate", true},
		{"/a", "/a?b=/c", true},
		{"/a*z", "/a?z", false},
		{"/a", "/A", false},
	};
	CHECK(rows);
}

static void test_no_spelling_gets_past(void **state)
{
	(void)state;
	static const char *const spellings[] = {
		"/sdapi/v1/server-kill",
		"/sdapi/v1/server-kill/",
		"/sdapi/v1/server-kill//",
		"/sdapi/v1/server-kill?x=1",
		"/sdapi/v1/server-kill#x",
		"//sdapi/v1/server-kill",
		"/sdapi//v1///server-kill",
		"/sdapi/v1/%73erver-kill",
		"/sdapi/v1/%73%65%72%76%65%72%2d%6B%69%6c%6C",
		"/sdapi/v1/server%2Dkill",
		"/sdapi%2fv1%2Fserver-kill",
		"/%2fsdapi/v1/server-kill",
		"/./sdapi/v1/server-kill",
		"/sdapi/./v1/./server-kill",
		"/sdapi/x/../v1/server-kill",
		"/x/y/../../sdapi/v1/server-kill",
		"/../../sdapi/v1/server-kill",
		"/sdapi/v1/x/%2e%2E/server-kill",
		"/sdapi/v1/x/.%2e/server-kill",
		"/sdapi/v1/x%2f..%2fserver-kill",
		"/sdapi/v1/server-kill/.",
		"/sdapi/v1/server-kill/x/..",
		"/sdapi/v1/server-kill/%2e",
		"/sdapi/v1/%73erver-kill/?a=b",
		"sdapi/v1/server-kill",
		"http://sd.example.com/sdapi/v1/server-kill",
		"http://sd.example.com:80//sdapi/v1/%73erver-kill?x",
	};
	for (size_t i = 0; i < sizeof(spellings) / sizeof(*spellings); i++) {
		if (!matches("/sdapi/v1/server-kill", spellings[i]))
			fail_msg("got past: %s", spellings[i]);
		/* The default pattern must see it as well. */
		if (!matches("/sdapi/v1/server-*", spellings[i]))
			fail_msg("got past the wildcard: %s", spellings[i]);
	}
}

static void test_other_paths_do_not_match(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"/a/b", "/a%252fb", false}, /* decoded once, as servers do */
		{"/a/b", "/a/%62c", false},
		{"/a/b", "/a/b/../c", false},
		{"/a/b", "/a/b/..", false},
		{"/a", "/a/b/..", true},
		{"/a", "/a/b/../", true},
		{"/a/b", "/a/...b", false},
		{"/a/...", "/a/...", true},
		{"/a/.b", "/a/%2eb", true},
		{"/a/..b", "/a//..b", true},
		{"/", "/..", true},
		{"/", "//", true},
		{"/", "/.", true},
		{"/", "/a/..", true},
		{"/", "/%2e", true},
		{"/a%", "/a%", true}, /* an escape that is none stands for itself */
		{"/a%4", "//a%4", true},
		{"/a%zz", "//a%zz", true},
		{"/%41", "/%2541", true},
		{"/a/", "/a/", true},
		{"/a/", "/a//", true},
		{"/a/", "/a", false},
		{"/a/*", "/a/", true},
		{"/a/*", "/a", false},
		{"/a b", "/a%20b", true},
		{"/x", "http://host", false},
		{"/", "http://host", true},
		{"/", "", true}, /* a server takes no path for the root */
	};
	CHECK(rows);
}

static void test_nul_is_a_byte(void **state)
{
	(void)state;
	assert_false(matches("/a", "/a%00"));
	assert_true(matches("/a*", "/a%00"));
	assert_false(matches_n("*", "/a", "/a\0b", 4));
	assert_true(matches_n("*", "/a*b", "/a\0b", 4));
}

static void test_methods(void **state)
{
	(void)state;
	assert_true(matches_n("POST", "/a", "/a", 2));
	assert_false(matches_n("GET", "/a", "/a", 2));
	assert_false(matches_n("POS", "/a", "/a", 2));
	assert_false(matches_n("POSTS", "/a", "/a", 2));
}

/* Whoever answers a HEAD may do what a GET does: it takes what that takes,
 * but needs no less a key. */
static void test_head_is_a_get(void **state)
{
	static char get[] = "GET", post[] = "POST", path[] = "/a";
	static const char *const heads[] = {"HEAD", "head"};
	struct slot_pattern p = {.method = get, .path = path};
	struct slot_pattern q = {.method = post, .path = path};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct slice head = slice_of(heads[i]);
		assert_ptr_equal(slot_pattern_match(&p, 1, head, SLICE("/a")), &p);
		assert_null(slot_pattern_match(&q, 1, head, SLICE("/a")));
		assert_false(slot_pattern_surely_matches(&p, 1, head, SLICE("/a")));
	}
}

static void test_the_first_pattern_wins(void **state)
{
	(void)state;
	char get[] = "GET", post[] = "POST", any[] = "*", a[] = "/a", all[] = "/*";
	struct slot_pattern p[] = {{.method = get, .path = a},
				   {.method = post, .path = a},
				   {.method = any, .path = all}};
	assert_ptr_equal(slot_pattern_match(p, 3, SLICE("POST"), SLICE("/a")), &p[1]);
	assert_ptr_equal(slot_pattern_match(p, 3, SLICE("POST"), SLICE("/x/../a/")), &p[1]);
	assert_ptr_equal(slot_pattern_match(p, 3, SLICE("PUT"), SLICE("/a")), &p[2]);
	assert_null(slot_pattern_match(p, 2, SLICE("PUT"), SLICE("/a")));
	assert_null(slot_pattern_match(NULL, 0, SLICE("PUT"), SLICE("/a")));
}

/* A path of `n` times `unit`, then `tail`; the caller frees. */
static struct slice repeat(const char *unit, size_t n, const char *tail)
{
	size_t each = strlen(unit), last = strlen(tail);
	char *text = mem_alloc(n * each + last);
	assert_non_null(text);
	for (size_t i = 0; i < n; i++)
		memcpy(text + i * each, unit, each);
	memcpy(text + n * each, tail, last);
	return (struct slice){text, n * each + last};
}

static bool long_matches(const char *pattern, const char *unit, size_t n, const char *tail)
{
	struct slice path = repeat(unit, n, tail);
	bool found = matches_n("*", pattern, path.at, path.len);
	mem_free((char *)path.at);
	return found;
}

static void test_long_paths(void **state)
{
	(void)state;
	/* What is long only as sent is compared in full. */
	assert_true(long_matches("/sdapi/x", "/a/..", 100000, "/sdapi/x"));
	assert_true(long_matches("/sdapi/x", "/", 1000000, "sdapi/x"));
	assert_false(long_matches("/sdapi/x", "/a/..", 100000, "/sdapi/y"));
	/* A long path in normal form costs nothing. */
	assert_false(long_matches("/x", "/a", 500000, ""));
	assert_true(long_matches("/a*b", "/a", 500000, "b"));
	/* One that stays long is on the safe side: around the limit of 4096. */
	assert_false(long_matches("/x", "/aaaaaaa", 511, "/aaaaa%61"));
	assert_false(long_matches("/x", "/aaaaaaa", 511, "/aaaaaa%61"));
	assert_true(long_matches("/x", "/aaaaaaa", 511, "/aaaaaaa%61"));
	assert_true(long_matches("/x", "/aaaaaaa", 511, "/aaaaaa%61/"));
	assert_true(long_matches("/x", "/aaaaaaa", 5000, "%61"));
}

static bool surely(const char *pattern, const char *path)
{
	struct slot_pattern p = {.method = "GET", .path = (char *)(uintptr_t)pattern};
	return slot_pattern_surely_matches(&p, 1, SLICE("GET"), slice_of(path));
}

/* Where a match lets in, no spelling brings another path in, however long. */
static void test_a_sure_match(void **state)
{
	(void)state;
	char path[6000];
	assert_true(surely("/health", "/health?x=/../y"));
	assert_true(surely("/public/*", "/public/a%20b"));
	assert_false(surely("/health", "/private/../health"));
	assert_false(surely("/health", "//health"));
	assert_false(surely("/public/*", "/public/..%2fprivate"));
	assert_false(surely("/public/*", "/private/../public/x"));
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	snprintf(path + 5000, sizeof(path) - 5000, "/../private");
	assert_false(surely("/health", path));
}

/* Many wildcards against what almost matches them: exponential or quadratic code hangs here. */
static void test_time_is_linear(void **state)
{
	(void)state;
	int64_t began = clock_now_us();
	assert_false(long_matches("/*a*a*a*a*a*a*a*a*a*a*a*a*b", "/a", 1000000, ""));
	assert_false(long_matches("*/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/b*c", "/a", 1000000, ""));
	assert_false(long_matches("*/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/b*c", "/a", 1000000, "c"));
	assert_true(clock_now_us() - began < 5 * US_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wildcards),
		cmocka_unit_test(test_no_spelling_gets_past),
		cmocka_unit_test(test_other_paths_do_not_match),
		cmocka_unit_test(test_nul_is_a_byte),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_head_is_a_get),
		cmocka_unit_test(test_the_first_pattern_wins),
		cmocka_unit_test(test_long_paths),
		cmocka_unit_test(test_a_sure_match),
		cmocka_unit_test(test_time_is_linear),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
