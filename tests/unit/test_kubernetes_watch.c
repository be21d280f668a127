/* List and watch, told what a server might say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "activator/providers/kubernetes_watch.h"
#include "base/clock.h"
#include "base/mem.h"

static struct kube_watch watch;
static struct str seen; /* what the sink heard: "[+a+b]-a" */
static int64_t now_us;

static void on_listing(void *owner)
{
	(void)owner;
	str_add_char(&seen, '[');
}

static void note(char what, const struct json *object)
{
	struct kube_meta meta;
	str_add_char(&seen, what);
	if (kube_meta_read(object, &meta))
		str_add_text(&seen, meta.name);
}

static void on_put(void *owner, const struct json *object)
{
	(void)owner;
	note('+', object);
}

static void on_gone(void *owner, const struct json *object)
{
	(void)owner;
	note('-', object);
}

static void on_synced(void *owner)
{
	(void)owner;
	str_add_char(&seen, ']');
}

static int set_up(void **state)
{
	static const struct kube_sink sink = {on_listing, on_put, on_gone, on_synced};
	(void)state;
	str_init(&seen);
	now_us = 100 * US_PER_S;
	kube_watch_init(&watch, &sink, NULL, 240, 3);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kube_watch_release(&watch);
	str_release(&seen);
	return 0;
}

static void heard(const char *what)
{
	assert_string_equal(seen.len ? seen.at : "", what);
	str_clear(&seen);
}

/* What is asked now must hold this. */
static void asks(enum kube_ask what, const char *holds)
{
	struct str query;
	str_init(&query);
	assert_int_equal(kube_watch_next(&watch, now_us, &query), what);
	assert_false(query.failed || (holds && !query.at));
	if (holds && !strstr(query.at, holds))
		fail_msg("%s is not in %s", holds, query.at);
	str_release(&query);
}

static void rests_for(int64_t least_us, int64_t most_us)
{
	int64_t us = kube_watch_deadline_us(&watch) - now_us;
	assert_int_equal(watch.state, KUBE_RESTING);
	assert_in_range(us, least_us, most_us);
	asks(KUBE_ASK_NOTHING, NULL);
	now_us += us;
}

static void answer(int status, const char *text)
{
	struct json_error error;
	struct json *j = text ? json_parse(text, strlen(text), &error) : NULL;
	kube_watch_listed(&watch, status, j, "", now_us);
	json_free(j);
}

#define LIST(version, more, items)                                                                 \
	"{\"metadata\":{\"resourceVersion\":\"" version "\",\"continue\":\"" more                  \
	"\"},\"items\":[" items "]}"
#define OBJECT(name, version)                                                                      \
	"{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" OBJECT(name, version) "}\n"
#define FAULT(code)                                                                                \
	"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":" code                       \
	",\"message\":\"m\"}}\n"

static bool feed(const char *text)
{
	return kube_watch_feed(&watch, 200, slice_of(text), now_us);
}

static void begin(void)
{
	asks(KUBE_ASK_LIST, "limit=");
	answer(200, LIST("7", "", OBJECT("a", "5")));
	heard("[+a]");
	asks(KUBE_ASK_WATCH, "resourceVersion=7");
}

static void lists_page_by_page_and_then_watches(void **state)
{
	(void)state;
	asks(KUBE_ASK_LIST, "limit=");
	assert_true(kube_watch_is_failing(&watch));
	answer(200, LIST("7", "p+2&", OBJECT("a", "5")));
	heard("[+a");
	asks(KUBE_ASK_LIST, "continue=p%2B2%26");
	answer(200, LIST("7", "", OBJECT("b", "6")));
	heard("+b]");
	assert_false(kube_watch_is_failing(&watch));
	asks(KUBE_ASK_WATCH, "allowWatchBookmarks=true");
	assert_true(feed(EVENT("MODIFIED", "a", "8") EVENT("BOOKMARK", "", "9")));
	assert_true(feed(EVENT("DELETED", "b", "10")));
	heard("+a-b");
	now_us += 240 * US_PER_S;
	kube_watch_ended(&watch, 200, "", now_us);
	asks(KUBE_ASK_WATCH, "resourceVersion=10");
}

static void an_event_may_come_in_any_pieces(void **state)
{
	(void)state;
	static const char text[] = EVENT("ADDED", "b", "8") "\r\n" EVENT("DELETED", "b", "9");
	begin();
	for (size_t i = 0; text[i]; i++)
		assert_true(kube_watch_feed(&watch, 200, (struct slice){text + i, 1}, now_us));
	heard("+b-b");
}

static void a_watch_cut_in_an_event_goes_on_from_the_last_whole_one(void **state)
{
	(void)state;
	begin();
	assert_true(feed(EVENT("ADDED", "b", "8") "{\"type\":\"ADD"));
	kube_watch_ended(&watch, 0, "reset", now_us);
	heard("+b");
	rests_for(US_PER_S / 4, US_PER_S / 2);
	asks(KUBE_ASK_WATCH, "resourceVersion=8");
	assert_true(feed(EVENT("ADDED", "c", "9"))); /* the beginning of the old one is forgotten */
	heard("+c");
}

static void gone_is_listed_anew(void **state)
{
	(void)state;
	begin();
	now_us += 10 * US_PER_S;
	assert_false(feed(FAULT("410")));
	kube_watch_ended(&watch, 200, "", now_us);
	asks(KUBE_ASK_LIST, NULL); /* at once */
	answer(200, LIST("20", "", OBJECT("z", "19")));
	heard("[+z]");
	asks(KUBE_ASK_WATCH, "resourceVersion=20");
	kube_watch_ended(&watch, 410, "", now_us); /* and again: not in a circle */
	rests_for(1, 60 * US_PER_S);
	asks(KUBE_ASK_LIST, NULL);
}

static void a_page_that_is_gone_starts_the_list_anew(void **state)
{
	(void)state;
	asks(KUBE_ASK_LIST, NULL);
	answer(200, LIST("7", "old", OBJECT("a", "5")));
	asks(KUBE_ASK_LIST, "continue=old");
	answer(410, NULL);
	now_us = kube_watch_deadline_us(&watch);
	struct str query;
	str_init(&query);
	assert_int_equal(kube_watch_next(&watch, now_us, &query), KUBE_ASK_LIST);
	assert_false(query.failed);
	assert_null(strstr(query.at, "continue"));
	str_release(&query);
	answer(200, LIST("9", "", ""));
	heard("[+a[]");
}

static void a_page_that_is_too_long_is_asked_for_in_parts(void **state)
{
	(void)state;
	static const char *const limits[] = {"limit=100", "limit=50", "limit=25", "limit=12",
					     "limit=6",	  "limit=3",  "limit=1",  "limit=1"};
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		asks(KUBE_ASK_LIST, limits[i]);
		kube_watch_listed(&watch, KUBE_TOO_LONG, NULL, "longer", now_us);
		now_us = kube_watch_deadline_us(&watch);
	}
	asks(KUBE_ASK_LIST, "limit=1");
	answer(200, LIST("7", "rest", OBJECT("a", "5")));
	asks(KUBE_ASK_LIST, "limit=1&continue=rest");
	answer(503, NULL); /* says nothing of its length */
	now_us = kube_watch_deadline_us(&watch);
	asks(KUBE_ASK_LIST, "limit=1");
	heard("[+a");
}

static void failures_rest_longer_and_longer(void **state)
{
	(void)state;
	int64_t most = US_PER_S / 2;
	for (int i = 0; i < 10; i++) {
		asks(KUBE_ASK_LIST, NULL);
		answer(i % 2 ? 0 : 500, NULL);
		rests_for(most / 2, most);
		most = most * 2 > 30 * US_PER_S ? 30 * US_PER_S : most * 2;
	}
	asks(KUBE_ASK_LIST, NULL);
	answer(200, "[]");
	assert_int_equal(watch.failures, 11);
	now_us += 30 * US_PER_S;
	asks(KUBE_ASK_LIST, NULL);
	answer(200, LIST("1", "", ""));
	assert_int_equal(watch.failures, 0);
}

static void a_watch_that_ends_at_once_is_a_failure(void **state)
{
	(void)state;
	begin();
	kube_watch_ended(&watch, 200, "", now_us);
	rests_for(US_PER_S / 4, US_PER_S / 2);
	asks(KUBE_ASK_WATCH, NULL);
	kube_watch_ended(&watch, 403, "its role lacks a rule", now_us);
	assert_true(kube_watch_is_failing(&watch));
	assert_string_equal(watch.why, "its role lacks a rule");
	rests_for(US_PER_S / 2, US_PER_S);
}

static void garbage_ends_the_watch_and_lists(void **state)
{
	(void)state;
	static const char *const garbage[] = {"<html>\n", "{}\n", "{\"type\":\"ADDED\"}\n",
					      FAULT("500"), "\0\n"};
	for (size_t i = 0; i < sizeof(garbage) / sizeof(*garbage); i++) {
		asks(KUBE_ASK_LIST, NULL);
		answer(200, LIST("7", "", ""));
		asks(KUBE_ASK_WATCH, NULL);
		size_t len = i == 4 ? 2 : strlen(garbage[i]);
		assert_false(kube_watch_feed(&watch, 200, (struct slice){garbage[i], len}, now_us));
		kube_watch_ended(&watch, 200, "", now_us);
		assert_true(watch.failures > 0);
		now_us += 60 * US_PER_S;
	}
}

static void an_event_is_bounded(void **state)
{
	(void)state;
	enum { PIECE = 1 << 20 };
	char *piece = mem_zalloc(PIECE);
	assert_non_null(piece);
	memset(piece, 'x', PIECE);
	begin();
	for (int i = 0; i < 4; i++)
		assert_true(kube_watch_feed(&watch, 200, (struct slice){piece, PIECE}, now_us));
	assert_false(kube_watch_feed(&watch, 200, (struct slice){piece, 1}, now_us));
	kube_watch_ended(&watch, 200, "", now_us);
	assert_string_equal(watch.why, "an event is longer than 4 MiB");
	mem_free(piece);
}

static void silence_is_noticed(void **state)
{
	(void)state;
	begin();
	now_us += 100 * US_PER_S;
	assert_true(feed(EVENT("BOOKMARK", "", "8")));
	now_us += 149 * US_PER_S;
	assert_false(kube_watch_is_silent(&watch, now_us));
	now_us += 2 * US_PER_S;
	assert_true(kube_watch_is_silent(&watch, now_us));
	kube_watch_ended(&watch, 0, "silent", now_us);
	rests_for(1, US_PER_S);
	asks(KUBE_ASK_WATCH, "resourceVersion=8");
}

static void one_that_stands_has_not_failed(void **state)
{
	(void)state;
	begin();
	kube_watch_ended(&watch, 0, "reset", now_us);
	rests_for(1, US_PER_S / 2);
	asks(KUBE_ASK_WATCH, "resourceVersion=7");
	assert_true(feed("")); /* its head, and then nothing happens for long */
	assert_true(kube_watch_is_failing(&watch));
	now_us = kube_watch_deadline_us(&watch);
	assert_false(kube_watch_is_silent(&watch, now_us));
	asks(KUBE_ASK_NOTHING, NULL);
	assert_false(kube_watch_is_failing(&watch));
	now_us += 148 * US_PER_S;
	assert_false(kube_watch_is_silent(&watch, now_us));
	kube_watch_ended(&watch, 0, "reset", now_us);
	rests_for(1, US_PER_S / 2);
	asks(KUBE_ASK_WATCH, "resourceVersion=7");
	now_us += 29 * US_PER_S; /* this one is not even answered */
	assert_false(kube_watch_is_silent(&watch, now_us));
	now_us += US_PER_S;
	assert_true(kube_watch_is_silent(&watch, now_us));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(lists_page_by_page_and_then_watches),
		TEST(an_event_may_come_in_any_pieces),
		TEST(a_watch_cut_in_an_event_goes_on_from_the_last_whole_one),
		TEST(gone_is_listed_anew),
		TEST(a_page_that_is_gone_starts_the_list_anew),
		TEST(a_page_that_is_too_long_is_asked_for_in_parts),
		TEST(failures_rest_longer_and_longer),
		TEST(a_watch_that_ends_at_once_is_a_failure),
		TEST(garbage_ends_the_watch_and_lists),
		TEST(an_event_is_bounded),
		TEST(silence_is_noticed),
		TEST(one_that_stands_has_not_failed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
