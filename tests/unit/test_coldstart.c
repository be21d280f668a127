/* Where cold starts go: marks that several clocks tell of, put in order, and never guessed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "activator/core/coldstart.h"
#include "activator/core/need.h"
#include "base/clock.h"

#define S US_PER_S

static struct coldstarts starts;
static int64_t spent_us[COLDSTART_MARKS + 1];
static int spent_count;

static void on_spent(void *arg, enum coldstart_mark phase, int64_t us)
{
	(void)arg;
	spent_us[phase] += us;
	spent_count++;
}

static int set_up(void **state)
{
	(void)state;
	coldstarts_init(&starts);
	starts.spent = on_spent;
	memset(spent_us, 0, sizeof(spent_us));
	spent_count = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	coldstarts_release(&starts);
	return 0;
}

static struct coldstart *begin(const char *key, unsigned possible)
{
	struct coldstart *c = coldstarts_begin(&starts, key, key, possible, 100 * S);
	assert_non_null(c);
	return c;
}

/* "order 2, create 1, trigger+schedule 5": the spans in whole seconds;
 * tenths where there are some. */
static const char *spans_of(const struct coldstart *c)
{
	static char text[1024];
	int64_t at_us[COLDSTART_MARKS], sum_us = 0, first_us = COLDSTART_UNKNOWN, last_us = 0;
	struct coldstart_span span;
	size_t n = 0;
	text[0] = '\0';
	coldstart_read(c, at_us);
	for (enum coldstart_mark from = 0; coldstart_next_span(c, at_us, from, &span);
	     from = span.to) {
		const char *comma = n ? ", " : "";
		for (int i = 0; i < COLDSTART_MARKS; i++) {
			if (!(span.phases & 1U << i))
				continue;
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", comma,
					      coldstart_phase_name((enum coldstart_mark)i));
			comma = "+";
		}
		n += (size_t)snprintf(
			text + n, sizeof(text) - n, span.us % S ? " %lld.%lld" : " %lld",
			(long long)(span.us / S), (long long)(span.us % S / (S / 10)));
		assert_true(span.us >= 0);
		sum_us += span.us;
		if (first_us == COLDSTART_UNKNOWN)
			first_us = span.from_us;
		assert_true(span.from_us == (last_us ? last_us : first_us));
		last_us = span.from_us + span.us;
	}
	if (n)
		assert_true(sum_us == last_us - first_us);
	return text;
}

static void set(struct coldstart *c, enum coldstart_mark mark, double at_s,
		enum coldstart_rank rank)
{
	coldstart_set(c, mark, (int64_t)(at_s * S), rank);
}

/* --- spans ----------------------------------------------------------------------------------- */

static void a_pod_of_which_all_is_told(void **state)
{
	(void)state;
	struct coldstart *c = begin("u-1", COLDSTART_OF_KUBERNETES);
	for (int i = 0; i < COLDSTART_MARKS; i++)
		set(c, (enum coldstart_mark)i, 100 + i, COLDSTART_OWN);
	assert_string_equal(spans_of(c),
			    "order 1, create 1, trigger 1, schedule 1, prepare 1, "
			    "pull_start 1, pull 1, start 1, listen 1, ready 1, check 1, "
			    "request 1, answer 1");
}

static void what_nobody_told_is_not_guessed(void **state)
{
	(void)state;
	struct coldstart *c = begin("u-1", COLDSTART_OF_KUBERNETES);
	set(c, COLDSTART_CREATED, 100, COLDSTART_STAMP);
	set(c, COLDSTART_SCHEDULED, 190, COLDSTART_STAMP);
	set(c, COLDSTART_PULLED, 430, COLDSTART_STAMP);
	set(c, COLDSTART_READY, 500, COLDSTART_OWN);
	assert_string_equal(spans_of(c),
			    "schedule 90, prepare+pull_start+pull 240, start+listen+ready 70");
}

static void a_process_and_a_static_pod_have_their_own_phases(void **state)
{
	(void)state;
	struct coldstart *c = begin("process-0", COLDSTART_OF_PROCESS);
	set(c, COLDSTART_PULLING, 1, COLDSTART_OWN); /* it has none */
	set(c, COLDSTART_DEMANDED, 1, COLDSTART_OWN);
	set(c, COLDSTART_ORDERED, 2, COLDSTART_OWN);
	set(c, COLDSTART_CREATED, 2, COLDSTART_OWN);
	set(c, COLDSTART_STARTED, 3, COLDSTART_OWN);
	set(c, COLDSTART_LISTENING, 10, COLDSTART_OWN);
	set(c, COLDSTART_READY, 14, COLDSTART_OWN);
	set(c, COLDSTART_REQUESTED, 14, COLDSTART_OWN);
	assert_string_equal(spans_of(c),
			    "order 1, create 0, start 1, listen 7, ready 4, request 0");
	c = begin("10.0.0.1:80", COLDSTART_OF_STATIC);
	set(c, COLDSTART_CREATED, 1, COLDSTART_OWN);
	set(c, COLDSTART_READY, 4, COLDSTART_OWN);
	set(c, COLDSTART_CHECKED, 5, COLDSTART_OWN);
	assert_string_equal(spans_of(c), "listen+ready 3, check 1");
}

static void nothing_known_is_no_span(void **state)
{
	(void)state;
	struct coldstart *c = begin("u-1", COLDSTART_OF_KUBERNETES);
	assert_string_equal(spans_of(c), "");
	set(c, COLDSTART_ANSWERED, 4, COLDSTART_OWN);
	assert_string_equal(spans_of(c), "");
}

/* --- several clocks -------------------------------------------------------------------------- */

static void a_stamp_names_a_second(void **state)
{
	(void)state;
	struct coldstart *c = begin("u-1", COLDSTART_OF_KUBERNETES);
	set(c, COLDSTART_ORDERED, 100.7, COLDSTART_OWN);
	set(c, COLDSTART_CREATED, 100, COLDSTART_STAMP); /* cut off: it was 100.7 or later */
	set(c, COLDSTART_SCHEDULED, 100.8, COLDSTART_EXACT);
	set(c, COLDSTART_STARTED, 104, COLDSTART_STAMP);
	set(c, COLDSTART_LISTENING, 103.5, COLDSTART_OWN); /* that clock is a little ahead */
	assert_string_equal(spans_of(c),
			    "create 0, schedule 0.1, prepare+pull_start+pull+start 2.7, listen 0");
}

static void a_clock_that_is_wrong_is_not_believed(void **state)
{
	(void)state;
	struct coldstart *c = begin("u-1", COLDSTART_OF_KUBERNETES);
	set(c, COLDSTART_ORDERED, 100, COLDSTART_OWN);
	set(c, COLDSTART_CREATED, 90, COLDSTART_STAMP);
	set(c, COLDSTART_STARTED, 130, COLDSTART_STAMP);
	set(c, COLDSTART_READY, 120, COLDSTART_OWN);
	int64_t at_us[COLDSTART_MARKS];
	coldstart_read(c, at_us);
	assert_true(at_us[COLDSTART_CREATED] == COLDSTART_UNKNOWN);
	assert_true(at_us[COLDSTART_STARTED] == COLDSTART_UNKNOWN);
	assert_string_equal(spans_of(c),
			    "create+schedule+prepare+pull_start+pull+start+listen+ready "
			    "20");
}

/* A kubelet writes the condition down when it has done with the pull: the events know better. */
static void a_hint_gives_way(void **state)
{
	(void)state;
	struct coldstart *c = begin("u-1", COLDSTART_OF_KUBERNETES);
	set(c, COLDSTART_SCHEDULED, 100, COLDSTART_STAMP);
	set(c, COLDSTART_PREPARED, 340, COLDSTART_HINT);
	set(c, COLDSTART_PULLING, 103, COLDSTART_STAMP);
	set(c, COLDSTART_PULLED, 340, COLDSTART_STAMP);
	assert_string_equal(spans_of(c), "prepare+pull_start 3, pull 237");
}

static void the_better_word_stands_and_of_equals_the_first(void **state)
{
	(void)state;
	struct coldstart *c = begin("u-1", COLDSTART_OF_KUBERNETES);
	set(c, COLDSTART_SCHEDULED, 100, COLDSTART_STAMP);
	set(c, COLDSTART_SCHEDULED, 101, COLDSTART_STAMP);
	assert_true(c->at_us[COLDSTART_SCHEDULED] == 100 * S);
	set(c, COLDSTART_SCHEDULED, 100.5, COLDSTART_EXACT);
	set(c, COLDSTART_SCHEDULED, 102, COLDSTART_HINT);
	assert_true(c->at_us[COLDSTART_SCHEDULED] == 100 * S + S / 2);
	coldstart_set(c, COLDSTART_PULLED, COLDSTART_UNKNOWN, COLDSTART_OWN);
	assert_true(c->at_us[COLDSTART_PULLED] == COLDSTART_UNKNOWN);
}

static void a_container_that_starts_anew_begins_anew(void **state)
{
	(void)state;
	struct coldstart *c = begin("u-1", COLDSTART_OF_KUBERNETES);
	set(c, COLDSTART_PULLED, 100, COLDSTART_STAMP);
	set(c, COLDSTART_STARTED, 101, COLDSTART_STAMP);
	coldstarts_mark(&starts, c->id, COLDSTART_LISTENING, 102 * S);
	coldstart_restarted(c, 1);
	set(c, COLDSTART_STARTED, 131, COLDSTART_STAMP);
	coldstart_restarted(c, 1);
	coldstarts_mark(&starts, c->id, COLDSTART_LISTENING, 140 * S);
	coldstarts_mark(&starts, c->id, COLDSTART_READY, 150 * S);
	coldstart_restarted(c, 2); /* that is no cold start any more */
	assert_string_equal(spans_of(c), "start 31, listen 9, ready 10");
	assert_int_equal(c->restarts, 1);
}

/* --- orders ---------------------------------------------------------------------------------- */

static void a_pod_comes_for_the_oldest_order(void **state)
{
	(void)state;
	coldstarts_order(&starts, 100 * S, 102 * S);
	coldstarts_order(&starts, 101 * S, 102 * S);
	coldstarts_ordered(&starts, 1, 103 * S);
	struct coldstart *a = begin("a", COLDSTART_OF_KUBERNETES);
	struct coldstart *b = begin("b", COLDSTART_OF_KUBERNETES);
	struct coldstart *c = begin("c", COLDSTART_OF_KUBERNETES);
	coldstarts_take(&starts, c, 90 * S); /* it was there before */
	assert_true(c->at_us[COLDSTART_DEMANDED] == COLDSTART_UNKNOWN);
	coldstarts_take(&starts, a, 103 * S);
	coldstarts_take(&starts, b, 104 * S);
	coldstarts_take(&starts, c, 104 * S); /* nobody ordered a third */
	assert_true(a->at_us[COLDSTART_DEMANDED] == 100 * S);
	assert_true(a->at_us[COLDSTART_ORDERED] == 103 * S);
	assert_true(b->at_us[COLDSTART_DEMANDED] == 101 * S);
	assert_true(b->at_us[COLDSTART_ORDERED] == COLDSTART_UNKNOWN); /* by whom, nobody told */
	assert_true(c->at_us[COLDSTART_DEMANDED] == COLDSTART_UNKNOWN);
}

static void who_comes_in_place_of_one_that_failed_comes_for_the_same(void **state)
{
	(void)state;
	coldstarts_order(&starts, 100 * S, 102 * S);
	coldstarts_ordered(&starts, 1, 102 * S);
	struct coldstart *a = begin("a", COLDSTART_OF_PROCESS);
	coldstarts_take(&starts, a, 102 * S);
	coldstarts_end(&starts, a);
	assert_true(a->is_gone);
	struct coldstart *b = begin("b", COLDSTART_OF_PROCESS);
	coldstarts_take(&starts, b, 110 * S);
	assert_true(b->at_us[COLDSTART_DEMANDED] == 100 * S);
	/* But not once it is not wanted any more. */
	coldstarts_recall(&starts, 1);
	coldstarts_end(&starts, b);
	assert_int_equal(starts.order_count, 0);
}

static void orders_end_with_the_need(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		coldstarts_order(&starts, (100 + i) * S, 105 * S);
	coldstarts_recall(&starts, 2);
	assert_int_equal(starts.order_count, 1);
	assert_true(starts.orders[0].demanded_us == 100 * S);
	coldstarts_filled(&starts, 0);
	assert_int_equal(starts.order_count, 1);
	coldstarts_filled(&starts, 7);
	assert_int_equal(starts.order_count, 0);
	coldstarts_order(&starts, 100 * S, 105 * S);
	coldstarts_fulfilled(&starts);
	assert_int_equal(starts.order_count, 0);
	for (int i = 0; i < 3 * COLDSTART_ORDERS; i++)
		coldstarts_order(&starts, i * S, i * S);
	assert_int_equal(starts.order_count, COLDSTART_ORDERS);
	coldstarts_recall(&starts, INT64_MAX);
	assert_int_equal(starts.order_count, 0);
}

/* --- its end --------------------------------------------------------------------------------- */

static struct coldstart *ready(const char *key)
{
	struct coldstart *c = begin(key, COLDSTART_OF_KUBERNETES);
	set(c, COLDSTART_CREATED, 100, COLDSTART_STAMP);
	coldstarts_mark(&starts, c->id, COLDSTART_READY, 120 * S);
	return c;
}

static void late_words_count(void **state)
{
	(void)state;
	struct coldstart *c = ready("a");
	coldstarts_mark(&starts, c->id, COLDSTART_REQUESTED, 120 * S);
	coldstarts_mark(&starts, c->id, COLDSTART_ANSWERED, 125 * S);
	coldstarts_mark(&starts, c->id, COLDSTART_ANSWERED, 127 * S);
	coldstarts_tick(&starts, 126 * S);
	assert_int_equal(spent_count, 0);
	set(c, COLDSTART_SCHEDULED, 110, COLDSTART_STAMP);
	coldstarts_tick(&starts, 130 * S);
	assert_int_equal(c->state, COLDSTART_ENDED);
	assert_false(c->is_gone);
	assert_true(spent_us[COLDSTART_SCHEDULED] == 10 * S);
	assert_true(spent_us[COLDSTART_MARKS] == 10 * S);
	assert_true(spent_us[COLDSTART_REQUESTED] == 0);
	assert_true(spent_us[COLDSTART_ANSWERED] == 5 * S);
	assert_int_equal(spent_count, 4);
	assert_null(coldstarts_by_key(&starts, "a"));
}

static void what_waits_for_its_first_request_is_counted_so_far(void **state)
{
	(void)state;
	struct coldstart *c = ready("a");
	coldstarts_tick(&starts, 200 * S);
	coldstarts_tick(&starts, 300 * S);
	assert_int_equal(spent_count, 1);
	coldstarts_mark(&starts, c->id, COLDSTART_REQUESTED, 400 * S);
	coldstarts_mark(&starts, c->id, COLDSTART_ANSWERED, 401 * S);
	coldstarts_tick(&starts, 402 * S);
	assert_int_equal(spent_count, 3);
	assert_true(spent_us[COLDSTART_REQUESTED] == 280 * S);
	assert_true(spent_us[COLDSTART_ANSWERED] == S);
}

static void a_pod_that_never_became_ready_is_not_counted(void **state)
{
	(void)state;
	struct coldstart *c = begin("a", COLDSTART_OF_KUBERNETES);
	set(c, COLDSTART_CREATED, 100, COLDSTART_STAMP);
	set(c, COLDSTART_SCHEDULED, 110, COLDSTART_STAMP);
	uint64_t id = c->id;
	coldstarts_end(&starts, c);
	coldstarts_end(&starts, c);
	coldstarts_mark(&starts, id, COLDSTART_READY, 111 * S);
	assert_int_equal(spent_count, 0);
	assert_true(c->is_gone && c->at_us[COLDSTART_READY] == COLDSTART_UNKNOWN);
	assert_int_equal(starts.counts[COLDSTART_ENDED], 1);
}

static void all_is_bounded(void **state)
{
	(void)state;
	char key[32];
	for (int i = 0; i < COLDSTARTS_OPEN + 10; i++) {
		snprintf(key, sizeof(key), "u-%d", i);
		struct coldstart *c =
			coldstarts_begin(&starts, key, key, COLDSTART_OF_KUBERNETES, i * S);
		assert_true((c != NULL) == (i < COLDSTARTS_OPEN));
	}
	for (int i = 0; i < COLDSTARTS_OPEN; i++) {
		snprintf(key, sizeof(key), "u-%d", i);
		coldstarts_end(&starts, coldstarts_by_key(&starts, key));
	}
	assert_int_equal(starts.counts[COLDSTART_ENDED], COLDSTARTS_KEPT);
	int shown = 0;
	uint64_t number = UINT64_MAX;
	for (const struct coldstart *c; (c = coldstarts_before(&starts, number)); shown++) {
		assert_true(c->number < number);
		number = c->number;
	}
	assert_int_equal(shown, COLDSTARTS_KEPT);
	assert_int_equal(number, COLDSTARTS_OPEN - COLDSTARTS_KEPT + 1);
	char long_key[COLDSTART_NAME_BYTES + 1];
	memset(long_key, 'x', sizeof(long_key) - 1);
	long_key[sizeof(long_key) - 1] = '\0';
	assert_null(coldstarts_begin(&starts, long_key, "pod", COLDSTART_OF_STATIC, 0));
}

static void one_that_is_known_goes_on(void **state)
{
	(void)state;
	struct coldstart *c = begin("a", COLDSTART_OF_KUBERNETES);
	assert_ptr_equal(begin("a", COLDSTART_OF_KUBERNETES), c);
	coldstarts_forget(&starts, c);
	assert_null(coldstarts_by_key(&starts, "a"));
	assert_int_equal(starts.counts[COLDSTART_STARTING], 0);
}

/* --- handing over ---------------------------------------------------------------------------- */

static void another_process_goes_on_with_it(void **state)
{
	(void)state;
	static const enum coldstart_mark last[] = {COLDSTART_SCHEDULED, COLDSTART_READY,
						   COLDSTART_REQUESTED, COLDSTART_ANSWERED};
	static const enum coldstart_state then[] = {COLDSTART_STARTING, COLDSTART_IS_READY,
						    COLDSTART_ENDED, COLDSTART_ENDED};
	for (size_t i = 0; i < sizeof(last) / sizeof(*last); i++) {
		struct coldstarts next;
		struct coldstart *c = begin("a", COLDSTART_OF_KUBERNETES);
		for (int mark = 0; mark <= (int)last[i]; mark++)
			coldstarts_mark(&starts, c->id, (enum coldstart_mark)mark,
					(100 + mark) * S);
		coldstarts_init(&next);
		assert_true(coldstarts_restore(&next, c));
		const struct coldstart *there = coldstarts_before(&next, UINT64_MAX);
		assert_int_equal(there->state, then[i]);
		assert_memory_equal(there->at_us, c->at_us, sizeof(c->at_us));
		bool is_open = there->state != COLDSTART_ENDED;
		assert_true((coldstarts_by_key(&next, "a") != NULL) == is_open);
		assert_true((coldstarts_get(&next, there->id) != NULL) == is_open);
		assert_int_equal(next.counts[then[i]], 1);
		assert_false(is_open && coldstarts_restore(&next, c)); /* it is known */
		coldstarts_release(&next);
		coldstarts_forget(&starts, coldstarts_by_key(&starts, "a"));
	}
}

static void nonsense_is_not_taken_over(void **state)
{
	(void)state;
	struct coldstart *c = begin("a", COLDSTART_OF_KUBERNETES), bad[4];
	for (int i = 0; i < 4; i++)
		bad[i] = *c;
	bad[0].state = COLDSTART_STATES;
	bad[1].ranks[3] = COLDSTART_RANKS;
	bad[2].key[0] = '\0';
	bad[3].state = COLDSTART_IS_READY; /* without the mark */
	coldstarts_forget(&starts, c);
	for (int i = 0; i < 4; i++)
		assert_false(coldstarts_restore(&starts, &bad[i]));
}

/* --- demand ---------------------------------------------------------------------------------- */

static void demand_is_as_old_as_the_work_that_asks_for_it(void **state)
{
	(void)state;
	struct need d;
	int64_t since_us;
	need_init(&d);
	need_observe(&d, 0, 2, S);
	assert_false(need_since(&d, 1, &since_us));
	need_observe(&d, 3, 2, 2 * S);
	need_observe(&d, 4, 2, 3 * S);
	need_observe(&d, 5, 2, 4 * S);
	assert_true(need_since(&d, 2, &since_us) && since_us == 2 * S);
	assert_true(need_since(&d, 3, &since_us) && since_us == 4 * S);
	assert_false(need_since(&d, 4, &since_us));
	need_observe(&d, 2, 2, 5 * S); /* it fell, */
	need_observe(&d, 4, 2, 6 * S); /* and rose again */
	assert_true(need_since(&d, 1, &since_us) && since_us == 2 * S);
	assert_true(need_since(&d, 2, &since_us) && since_us == 6 * S);
	need_observe(&d, 4, 1, 7 * S); /* a reload: each pod serves less */
	assert_true(need_since(&d, 4, &since_us) && since_us == 7 * S);
	need_observe(&d, 1e18, 1, 8 * S);
	assert_true(need_since(&d, NEED_PODS, &since_us) && since_us == 8 * S);
	assert_true(need_since(&d, NEED_PODS + 1, &since_us));
	assert_true(since_us == COLDSTART_UNKNOWN);
	assert_false(need_since(&d, 0, &since_us));
}

static void demand_from_before_an_upgrade_is_unknown(void **state)
{
	(void)state;
	struct need d;
	int64_t since_us;
	need_init(&d);
	d.is_blind = true;
	need_observe(&d, 2, 1, S);
	d.is_blind = false;
	need_observe(&d, 3, 1, 2 * S);
	assert_true(need_since(&d, 2, &since_us) && since_us == COLDSTART_UNKNOWN);
	assert_true(need_since(&d, 3, &since_us) && since_us == 2 * S);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_pod_of_which_all_is_told),
		CASE(what_nobody_told_is_not_guessed),
		CASE(a_process_and_a_static_pod_have_their_own_phases),
		CASE(nothing_known_is_no_span),
		CASE(a_stamp_names_a_second),
		CASE(a_clock_that_is_wrong_is_not_believed),
		CASE(a_hint_gives_way),
		CASE(the_better_word_stands_and_of_equals_the_first),
		CASE(a_container_that_starts_anew_begins_anew),
		CASE(a_pod_comes_for_the_oldest_order),
		CASE(who_comes_in_place_of_one_that_failed_comes_for_the_same),
		CASE(orders_end_with_the_need),
		CASE(late_words_count),
		CASE(what_waits_for_its_first_request_is_counted_so_far),
		CASE(a_pod_that_never_became_ready_is_not_counted),
		CASE(all_is_bounded),
		CASE(one_that_is_known_goes_on),
		CASE(another_process_goes_on_with_it),
		CASE(nonsense_is_not_taken_over),
		CASE(demand_is_as_old_as_the_work_that_asks_for_it),
		CASE(demand_from_before_an_upgrade_is_unknown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
