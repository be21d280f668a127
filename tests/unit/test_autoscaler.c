/*
 * The autoscaler against decisions worked out by hand from the published KPA algorithm, and the
 * window that it averages over.
 *
 *   target  = max(0.01, total x utilisation)
 *   for one average: ceil(average / target), at least floor(ready / downRate), at most
 *             ceil(upRate x ready), where ready counts as 1 if it is 0
 *   panic   = ceil(panic average / target) / ready >= threshold
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "activator/core/autoscaler.h"
#include "base/clock.h"
#include "base/mem.h"

#define S	    US_PER_S
#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static const int64_t BEGIN_US = 5000 * US_PER_S;

/* Knative's defaults, but for a utilisation of 100 %. */
static struct autoscaling_config defaults(void)
{
	return (struct autoscaling_config){
		.initial_scale = 0,
		.activation_scale = 1,
		.target_utilization = 1,
		.stable_window_us = 60 * S,
		.panic_window_percentage = 10,
		.panic_threshold_percentage = 200,
		.max_scale_up_rate = 1000,
		.max_scale_down_rate = 2,
		.scale_to_zero_grace_us = 30 * S,
		.tick_us = 2 * S,
	};
}

static void start(struct autoscaler *a, const struct autoscaling_config *c, int64_t concurrency)
{
	assert_true(autoscaler_init(a, c, concurrency, BEGIN_US));
}

/* --- the target ------------------------------------------------------------------------------ */

static void the_target_is_a_part_of_the_total(void **state)
{
	(void)state;
	static const struct {
		double target, utilization;
		int64_t concurrency;
		double expected;
	} rows[] = {
		{0, 1.0, 1, 1}, /* 1 x 100 % */
		{0, 0.7, 1, 0.7},     {0, 0.7, 10, 7},
		{0, 1.0, 0, 100},		       /* no limit: Knative's default of 100 */
		{0, 0.7, 0, 70},      {5, 1.0, 10, 5}, /* a target beats the concurrency */
		{5, 0.5, 0, 2.5},     {0.5, 1.0, 1, 0.5},
		{0.01, 0.5, 1, 0.01}, /* 0.005, but never below 0.01 */
		{0, 0.01, 1, 0.01},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct autoscaling_config c = defaults();
		struct autoscaler a;
		c.target = rows[i].target;
		c.target_utilization = rows[i].utilization;
		start(&a, &c, rows[i].concurrency);
		assert_float_equal(a.target, rows[i].expected, 1e-9);
		autoscaler_release(&a);
	}
}

/* --- one decision ---------------------------------------------------------------------------- */

struct row {
	double utilization;
	int64_t concurrency, ready;
	double stable, panic; /* averages */
	double up, down;      /* rates */
	int64_t activation;
	int64_t expected;
	bool panics;
};

static const struct row decisions[] = {
	/* Target 1, not panicking: ceil(stable), within [floor(ready / 2), 1000 x ready]. */
	{1, 1, 1, 0.0, 0.0, 1000, 2, 1, 0, false}, /* floor(1/2) = 0 */
	{1, 1, 1, 0.1, 0.1, 1000, 2, 1, 1, false},
	{1, 1, 1, 1.0, 1.0, 1000, 2, 1, 1, false}, /* exactly full is one pod */
	{1, 1, 2, 1.0, 1.0, 1000, 2, 1, 1, false},
	{1, 1, 2, 1.01, 1.0, 1000, 2, 1, 2, false},
	{1, 1, 2, 2.5, 3.0, 1000, 2, 1, 3, false}, /* panic: 3/2 = 1.5 < 2 */
	{1, 1, 4, 4.0, 4.0, 1000, 2, 1, 4, false},
	{1, 1, 4, 5.0, 7.0, 1000, 2, 1, 5, false},     /* 7/4 = 1.75 < 2 */
	{1, 1, 10, 11.2, 19.0, 1000, 2, 1, 12, false}, /* 19/10 < 2 */
	/* Down by half at most. */
	{1, 1, 2, 0.0, 0.0, 1000, 2, 1, 1, false},
	{1, 1, 3, 0.0, 0.0, 1000, 2, 1, 1, false}, /* floor(1.5) */
	{1, 1, 8, 1.0, 1.0, 1000, 2, 1, 4, false},
	{1, 1, 9, 1.0, 1.0, 1000, 2, 1, 4, false}, /* floor(4.5) */
	{1, 1, 8, 6.0, 6.0, 1000, 2, 1, 6, false}, /* more than half is wanted */
	{1, 1, 10, 0.0, 0.0, 1000, 10, 1, 1, false},
	{1, 1, 9, 0.0, 0.0, 1000, 10, 1, 0, false}, /* floor(0.9) */
	{1, 1, 10, 0.0, 0.0, 1000, 1.25, 1, 8, false},
	{1, 1, 10, 0.0, 0.0, 1000, 1.1, 1, 9, false}, /* floor(9.09) */
	/* Up by the rate at most; ready 0 counts as 1. */
	{1, 1, 1, 5.0, 1.0, 2, 2, 1, 2, false},
	{1, 1, 3, 5.0, 5.0, 1.5, 2, 1, 5, false}, /* ceil(4.5) = 5 */
	{1, 1, 3, 9.0, 5.0, 1.5, 2, 1, 5, false},
	{1, 1, 10, 50.0, 10.0, 1.01, 2, 1, 11, false}, /* ceil(10.1) */
	{1, 1, 0, 0.5, 0.5, 1000, 2, 1, 1, false},
	{1, 1, 0, 50.0, 1.0, 10, 2, 1, 10, false},
	/* The utilisation of 70 %: one busy pod of one slot asks for two, and panics at once. */
	{0.7, 1, 1, 1.0, 1.0, 1000, 2, 1, 2, true}, /* ceil(1 / 0.7) = 2, 2/1 >= 2 */
	{0.7, 1, 1, 0.7, 0.7, 1000, 2, 1, 1, false},
	{0.7, 1, 2, 1.4, 1.4, 1000, 2, 1, 2, false},
	{0.7, 1, 2, 2.0, 2.0, 1000, 2, 1, 3, false}, /* 2.86; 3/2 < 2 */
	{0.7, 10, 1, 7.0, 7.0, 1000, 2, 1, 1, false},
	{0.7, 10, 1, 7.1, 7.1, 1000, 2, 1, 2, true},
	{0.7, 10, 3, 21.0, 35.0, 1000, 2, 1, 3, false}, /* 35/7 = 5, 5/3 < 2 */
	{0.7, 10, 3, 21.0, 35.1, 1000, 2, 1, 6, true},	/* 6, 6/3 >= 2 */
	{0.7, 0, 1, 70.0, 70.0, 1000, 2, 1, 1, false},	/* no limit: 100 x 0.7 */
	{0.7, 0, 2, 280.0, 140.0, 1000, 2, 1, 4, false},
	/* Several slots. */
	{1, 4, 1, 3.9, 3.9, 1000, 2, 1, 1, false},
	{1, 4, 1, 4.1, 4.1, 1000, 2, 1, 2, true},
	{1, 4, 2, 9.0, 9.0, 1000, 2, 1, 3, false},
	{1, 4, 5, 8.0, 8.0, 1000, 2, 1, 2, false},
	/* Panic: from twice the ready ones on; then the greater of both averages. */
	{1, 1, 1, 1.0, 1.9, 1000, 2, 1, 2, true}, /* ceil(1.9) = 2 */
	{1, 1, 2, 1.0, 4.0, 1000, 2, 1, 4, true},
	{1, 1, 2, 1.0, 3.0, 1000, 2, 1, 1, false},
	{1, 1, 5, 3.0, 9.1, 1000, 2, 1, 10, true},
	{1, 1, 5, 30.0, 10.0, 1000, 2, 1, 30, true}, /* the stable one may be the greater */
	{1, 1, 0, 0.2, 2.0, 1000, 2, 1, 2, true},
	{1, 1, 0, 0.2, 1.0, 1000, 2, 1, 1, false},
	{1, 1, 1, 0.5, 20.0, 5, 2, 1, 5, true}, /* panic keeps to the rate too */
	{1, 1, 4, 0.0, 8.0, 1.5, 2, 1, 6, true},
	/* The activation scale: not fewer, once any is wanted. */
	{1, 1, 0, 0.3, 0.3, 1000, 2, 3, 3, false},
	{1, 1, 1, 0.0, 0.0, 1000, 2, 3, 0, false},
	{1, 1, 3, 1.0, 1.0, 1000, 2, 3, 3, false},
	{1, 1, 3, 5.0, 5.0, 1000, 2, 3, 5, false},
	{1, 1, 1, 0.5, 2.0, 1000, 2, 6, 6, true},
	{1, 1, 1, 0.5, 0.5, 2, 2, 4, 4, false}, /* beyond the rate */
};

static void decisions_are_the_kpas(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(decisions); i++) {
		const struct row *r = &decisions[i];
		struct autoscaling_config c = defaults();
		struct autoscaler a;
		c.target_utilization = r->utilization;
		c.max_scale_up_rate = r->up;
		c.max_scale_down_rate = r->down;
		c.activation_scale = r->activation;
		start(&a, &c, r->concurrency);
		int64_t got = autoscaler_decide(&a, r->ready, r->stable, r->panic, BEGIN_US);
		if (got != r->expected || (a.panic_us >= 0) != r->panics)
			fail_msg("row %zu: %lld pods, %s", i, (long long)got,
				 a.panic_us >= 0 ? "panic" : "no panic");
		autoscaler_release(&a);
	}
}

static void other_thresholds_of_panic(void **state)
{
	(void)state;
	static const struct {
		double threshold, panic;
		int64_t ready;
		bool panics;
	} rows[] = {
		{110, 11, 10, true}, /* 1.1 */
		{120, 11, 10, false}, {150, 3, 2, true},   {300, 5, 2, false},
		{300, 6, 2, true},    {1000, 9, 1, false}, {1000, 10, 1, true},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct autoscaling_config c = defaults();
		struct autoscaler a;
		c.panic_threshold_percentage = rows[i].threshold;
		start(&a, &c, 1);
		autoscaler_decide(&a, rows[i].ready, 0, rows[i].panic, BEGIN_US);
		assert_int_equal(a.panic_us >= 0, rows[i].panics);
		autoscaler_release(&a);
	}
}

/* --- one decision after another -------------------------------------------------------------- */

static void panic_never_goes_down_and_ends_a_stable_window_after_the_last_breach(void **state)
{
	(void)state;
	static const struct {
		int64_t at_s, ready;
		double stable, panic;
		int64_t expected;
		bool panics;
	} rows[] = {
		{0, 1, 1, 6, 6, true}, /* 6/1: a breach */
		{2, 1, 1, 4, 6, true}, /* fewer are wanted: not while panicking */
		{4, 3, 2, 8, 8, true}, /* 8/3 >= 2: a breach, and more */
		{6, 8, 3, 8, 8, true}, /* 8/8: no breach any more */
		{30, 8, 2, 1, 8, true},
		{64, 8, 2, 1, 8, true},	 /* 60 s after 4 s: not yet over */
		{66, 8, 2, 1, 4, false}, /* over: max(2, floor(8/2)) */
		{68, 4, 2, 1, 2, false},
		{70, 2, 3, 4, 4, true}, /* 4/2: anew, and the most asked for starts anew */
		{72, 4, 3, 3, 4, true},
	};
	struct autoscaling_config c = defaults();
	struct autoscaler a;
	start(&a, &c, 1);
	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t got = autoscaler_decide(&a, rows[i].ready, rows[i].stable, rows[i].panic,
						BEGIN_US + rows[i].at_s * S);
		if (got != rows[i].expected || (a.panic_us >= 0) != rows[i].panics)
			fail_msg("row %zu: %lld pods", i, (long long)got);
	}
	autoscaler_release(&a);
}

/* Feeds a constant concurrency from the start, and ticks there. */
static int64_t tick_at(struct autoscaler *a, int64_t at_s, int64_t ready)
{
	return autoscaler_tick(a, ready, false, BEGIN_US + at_s * S);
}

static void min_and_max_bound_every_decision(void **state)
{
	(void)state;
	static const struct {
		int64_t min, max;
		double concurrency;
		int64_t ready, expected;
	} rows[] = {
		{0, 0, 7, 7, 7},  {0, 5, 7, 7, 5},	  {3, 5, 1, 1, 3}, {3, 5, 0, 0, 3},
		{1, 1, 50, 1, 1}, {0, 0, 5000, 10, 5000}, {2, 0, 0, 2, 2}, {0, 3, 0, 0, 0},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct autoscaling_config c = defaults();
		struct autoscaler a;
		c.min_scale = rows[i].min;
		c.max_scale = rows[i].max;
		start(&a, &c, 1);
		autoscaler_observe(&a, rows[i].concurrency, BEGIN_US);
		int64_t got = tick_at(&a, 60, rows[i].ready);
		if (got != rows[i].expected)
			fail_msg("row %zu: %lld pods", i, (long long)got);
		assert_int_equal(a.next_tick_us, BEGIN_US + 62 * S);
		autoscaler_release(&a);
	}
}

static void the_last_pod_stays_for_the_grace_or_the_retention(void **state)
{
	(void)state;
	static const struct {
		int64_t grace_s, retention_s, stays_s;
	} rows[] = {{30, 0, 30}, {30, 10, 30}, {30, 90, 90}, {0, 0, 0}, {0, 20, 20}};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct autoscaling_config c = defaults();
		struct autoscaler a;
		c.scale_to_zero_grace_us = rows[i].grace_s * S;
		c.scale_to_zero_retention_us = rows[i].retention_s * S;
		start(&a, &c, 1);
		autoscaler_observe(&a, 1, BEGIN_US);
		assert_int_equal(tick_at(&a, 10, 1), 1);
		autoscaler_observe(&a, 0, BEGIN_US + 10 * S);
		int64_t at = 11;
		for (; tick_at(&a, at, 1) == 1; at++)
			assert_true(at < 300);
		/* None is wanted from 70 s on: the 60 whole seconds before hold nothing. */
		assert_int_equal(at, 70 + rows[i].stays_s);
		assert_int_equal(tick_at(&a, at + 1, 0), 0);
		autoscaler_release(&a);
	}
}

static void a_new_request_ends_the_grace(void **state)
{
	(void)state;
	struct autoscaling_config c = defaults();
	struct autoscaler a;
	start(&a, &c, 1);
	autoscaler_observe(&a, 1, BEGIN_US);
	assert_int_equal(tick_at(&a, 1, 1), 1);
	autoscaler_observe(&a, 0, BEGIN_US + 1 * S);
	assert_int_equal(tick_at(&a, 80, 1), 1); /* in grace since 80 s */
	autoscaler_observe(&a, 1, BEGIN_US + 100 * S);
	autoscaler_observe(&a, 0, BEGIN_US + 101 * S);
	assert_int_equal(tick_at(&a, 102, 1), 1);
	assert_int_equal(tick_at(&a, 170, 1), 1); /* in grace again, since 170 s */
	assert_int_equal(tick_at(&a, 199, 1), 1);
	assert_int_equal(tick_at(&a, 200, 1), 0);
	autoscaler_release(&a);
}

static void a_scale_down_waits_for_its_delay(void **state)
{
	(void)state;
	struct autoscaling_config c = defaults();
	struct autoscaler a;
	c.stable_window_us = 6 * S;
	c.scale_down_delay_us = 20 * S;
	start(&a, &c, 1);
	autoscaler_observe(&a, 4, BEGIN_US);
	assert_int_equal(tick_at(&a, 0, 4), 4);
	assert_int_equal(tick_at(&a, 10, 4), 4);
	autoscaler_observe(&a, 2, BEGIN_US + 10 * S);
	/* 4 was last wanted at 10 s. It passes for 20 s more, within the second. */
	assert_int_equal(tick_at(&a, 20, 4), 4);
	assert_int_equal(tick_at(&a, 30, 4), 4);
	assert_int_equal(tick_at(&a, 31, 4), 2);
	autoscaler_observe(&a, 3, BEGIN_US + 31 * S);
	assert_int_equal(tick_at(&a, 40, 2), 3); /* up at once */
	autoscaler_release(&a);
}

static void the_initial_scale_holds_until_it_had_a_stable_window(void **state)
{
	(void)state;
	struct autoscaling_config c = defaults();
	struct autoscaler a;
	c.initial_scale = 3;
	c.scale_to_zero_grace_us = 0;
	start(&a, &c, 1);
	assert_int_equal(tick_at(&a, 0, 0), 3);
	assert_int_equal(tick_at(&a, 500, 0), 3); /* none is ready yet */
	assert_int_equal(tick_at(&a, 510, 3), 3); /* now they are */
	assert_int_equal(tick_at(&a, 569, 3), 3);
	assert_int_equal(tick_at(&a, 570, 3), 1); /* floor(3/2) */
	assert_int_equal(tick_at(&a, 572, 1), 0);
	assert_int_equal(tick_at(&a, 600, 0), 0); /* and never again */
	autoscaler_release(&a);
}

static void pods_that_were_there_stand_in_for_the_initial_scale(void **state)
{
	(void)state;
	struct autoscaling_config c = defaults();
	struct autoscaler a;
	c.initial_scale = 1;
	c.max_scale = 5;
	c.scale_to_zero_grace_us = 0;
	start(&a, &c, 1);
	autoscaler_found(&a, 4, BEGIN_US);
	assert_int_equal(a.desired, 4);
	assert_int_equal(tick_at(&a, 10, 4), 4);
	assert_int_equal(tick_at(&a, 69, 4), 4);
	assert_int_equal(tick_at(&a, 70, 4), 2); /* floor(4/2) */
	autoscaler_found(&a, 4, BEGIN_US + 71 * S);
	assert_int_equal(a.desired, 2); /* only at the start */
	autoscaler_release(&a);
	start(&a, &c, 1);
	autoscaler_found(&a, 0, BEGIN_US);
	assert_int_equal(tick_at(&a, 0, 0), 0); /* it was scaled to zero, and stays there */
	autoscaler_observe(&a, 7, BEGIN_US);
	autoscaler_found(&a, 0, BEGIN_US);
	assert_int_equal(a.desired, 5); /* those who wait already count */
	autoscaler_release(&a);
}

static void from_zero_the_queue_of_the_moment_counts(void **state)
{
	(void)state;
	static const struct {
		double utilization, concurrency;
		int64_t slots, max, activation;
		bool wake;
		int64_t expected;
		bool panics;
	} rows[] = {
		{1.0, 1, 1, 0, 1, false, 1, false},
		{1.0, 5, 1, 0, 1, false, 5, true},
		{1.0, 5, 1, 3, 1, false, 3, true},
		{1.0, 5, 4, 0, 1, false, 2, true}, /* ceil(5/4) */
		{0.7, 1, 1, 0, 1, false, 2, true}, /* ceil(1/0.7) */
		{1.0, 1, 1, 0, 4, false, 4, true}, /* the activation scale */
		{1.0, 0, 1, 0, 1, true, 1, false}, /* something waits that is not counted */
		{1.0, 0, 1, 0, 1, false, 0, false},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct autoscaling_config c = defaults();
		struct autoscaler a;
		c.target_utilization = rows[i].utilization;
		c.max_scale = rows[i].max;
		c.activation_scale = rows[i].activation;
		start(&a, &c, rows[i].slots);
		assert_int_equal(tick_at(&a, 0, 0), 0);
		autoscaler_observe(&a, rows[i].concurrency, BEGIN_US + 1 * S);
		int64_t got = autoscaler_from_zero(&a, rows[i].wake, BEGIN_US + 1 * S);
		if (got != rows[i].expected || (a.panic_us >= 0) != rows[i].panics)
			fail_msg("row %zu: %lld pods", i, (long long)got);
		/* The next decision, still with none ready, asks for no fewer. */
		assert_int_equal(autoscaler_tick(&a, 0, rows[i].wake, BEGIN_US + 2 * S),
				 rows[i].expected);
		autoscaler_release(&a);
	}
}

static void from_zero_never_asks_for_fewer(void **state)
{
	(void)state;
	struct autoscaling_config c = defaults();
	struct autoscaler a;
	start(&a, &c, 1);
	autoscaler_observe(&a, 5, BEGIN_US);
	assert_int_equal(autoscaler_from_zero(&a, false, BEGIN_US), 5);
	autoscaler_observe(&a, 2, BEGIN_US + 1);
	assert_int_equal(autoscaler_from_zero(&a, false, BEGIN_US + 1), 5);
	autoscaler_observe(&a, 6, BEGIN_US + 2);
	assert_int_equal(autoscaler_from_zero(&a, false, BEGIN_US + 2), 6);
	autoscaler_release(&a);
}

static void the_averages_are_of_their_windows(void **state)
{
	(void)state;
	struct autoscaling_config c = defaults();
	struct autoscaler a;
	double stable, panic;
	start(&a, &c, 1);
	autoscaler_observe(&a, 2, BEGIN_US);
	autoscaler_observe(&a, 8, BEGIN_US + 57 * S);
	autoscaler_averages(&a, BEGIN_US + 60 * S, &stable, &panic);
	assert_float_equal(stable, (2 * 57 + 8 * 3) / 60.0, 1e-9);
	assert_float_equal(panic, (2 * 3 + 8 * 3) / 6.0, 1e-9); /* 10 % of 60 s are 6 s */
	autoscaler_release(&a);
}

static void the_integral_is_exact(void **state)
{
	(void)state;
	struct autoscaling_config c = defaults();
	struct autoscaler a;
	start(&a, &c, 1);
	double before = autoscaler_area(&a, BEGIN_US);
	autoscaler_observe(&a, 2, BEGIN_US + 1 * S);
	autoscaler_observe(&a, 2, BEGIN_US + 3 * S); /* the same again changes nothing */
	autoscaler_observe(&a, 5, BEGIN_US + 4 * S);
	assert_true(autoscaler_area(&a, BEGIN_US + 6 * S) - before == 2 * 3 * S + 5 * 2 * S);
	assert_true(autoscaler_area(&a, BEGIN_US + 4 * S) - before == 2 * 3 * S);
	assert_true(autoscaler_area(&a, BEGIN_US + 3 * S) - before ==
		    2 * 3 * S); /* none backwards */
	autoscaler_release(&a);
}

static void a_reload_keeps_the_history_if_the_window_stays(void **state)
{
	(void)state;
	struct autoscaling_config c = defaults();
	struct autoscaler a;
	double stable, panic;
	start(&a, &c, 1);
	autoscaler_observe(&a, 2, BEGIN_US);
	autoscaler_observe(&a, 4, BEGIN_US + 30 * S);
	c.target_utilization = 0.5;
	assert_true(autoscaler_configure(&a, &c, 1, BEGIN_US + 60 * S));
	autoscaler_averages(&a, BEGIN_US + 60 * S, &stable, &panic);
	assert_float_equal(stable, 3, 1e-9);
	assert_float_equal(a.target, 0.5, 1e-9);
	c.stable_window_us = 30 * S; /* a new length starts a new history with what is now */
	mem_fail_after(0);
	assert_false(autoscaler_configure(&a, &c, 1, BEGIN_US + 60 * S));
	autoscaler_averages(&a, BEGIN_US + 60 * S, &stable, &panic);
	assert_float_equal(stable, 3, 1e-9);
	assert_true(autoscaler_configure(&a, &c, 1, BEGIN_US + 60 * S));
	autoscaler_averages(&a, BEGIN_US + 61 * S, &stable, &panic);
	assert_float_equal(stable, 4, 1e-9);
	autoscaler_release(&a);
}

/* --- the window ------------------------------------------------------------------------------ */

/* The value changes at these times; the average is asked for at the last of them. */
struct change {
	double at_s, value;
};

static double average_of(const struct change *changes, size_t count, int64_t seconds, double at_s)
{
	struct window w;
	assert_true(window_init(&w, 10));
	for (size_t i = 0; i < count; i++)
		window_set(&w, changes[i].value, BEGIN_US + (int64_t)(changes[i].at_s * 1e6));
	double average = window_average(&w, seconds, BEGIN_US + (int64_t)(at_s * 1e6));
	window_release(&w);
	return average;
}

#define AVERAGE(seconds, at_s, ...)                                                                \
	average_of((const struct change[]){__VA_ARGS__},                                           \
		   COUNT(((const struct change[]){__VA_ARGS__})), seconds, at_s)

static void averages_are_exact_integrals(void **state)
{
	(void)state;
	const double e = 1e-9;
	assert_float_equal(AVERAGE(10, 5, {0, 0}), 0, e);    /* nothing was set */
	assert_float_equal(AVERAGE(10, 0, {0, 3}), 3, e);    /* only just set */
	assert_float_equal(AVERAGE(10, 0.25, {0, 3}), 3, e); /* time before does not count */
	assert_float_equal(AVERAGE(10, 4, {0, 3}), 3, e);
	assert_float_equal(AVERAGE(10, 2, {0, 2}, {1, 4}), 3, e);     /* (2 + 4) / 2 */
	assert_float_equal(AVERAGE(10, 2, {0, 2}, {1.5, 4}), 2.5, e); /* (2x1.5 + 4x0.5) / 2 */
	assert_float_equal(AVERAGE(10, 1, {0.5, 8}), 8, e);	      /* from 0.5 on */
	/* Within one bucket: (1x0.25 + 5x0.5) / 0.75. */
	assert_float_equal(AVERAGE(10, 0.75, {0, 1}, {0.25, 5}), 2.75 / 0.75, e);
	/* Over a bucket's border: (4x0.3 + 2x0.4) / 0.7. */
	assert_float_equal(AVERAGE(10, 1.4, {0.7, 4}, {1, 2}), 2.0 / 0.7, e);
	/* The last 2 whole buckets and what there is of the newest: 8 s to 10.5 s. */
	assert_float_equal(AVERAGE(2, 10.5, {0, 1}, {9, 6}), (1 * 1 + 6 * 1.5) / 2.5, e);
	/* More than the ring holds is what it holds: 2 s to 12 s. */
	assert_float_equal(AVERAGE(99, 12, {0, 5}, {7, 10}), (5 * 5 + 10 * 5) / 10.0, e);
	/* Once it counts, zero counts. */
	assert_float_equal(AVERAGE(10, 4, {0, 4}, {1, 0}), 1, e);
}

static void long_gaps_keep_the_value(void **state)
{
	(void)state;
	const double e = 1e-9;
	assert_float_equal(AVERAGE(10, 1e6, {0, 7}), 7, e);
	assert_float_equal(AVERAGE(10, 1e6 + 0.5, {0, 7}, {1e6, 1}), (7 * 10 + 0.5) / 10.5, e);
	assert_float_equal(AVERAGE(10, 11, {0, 100}, {0.5, 2}), 2, e); /* gone: exactly a ring */
	assert_float_equal(AVERAGE(10, 10, {0, 100}, {1, 2}), (100 + 2 * 9) / 10.0, e);
	assert_float_equal(AVERAGE(10, 5000, {0, 100}, {1, 0}), 0, e);
}

static void a_quiet_window_starts_anew(void **state)
{
	(void)state;
	struct window w;
	assert_true(window_init(&w, 10));
	window_set(&w, 4, BEGIN_US);
	window_set(&w, 0, BEGIN_US + 1 * S);
	assert_float_equal(window_average(&w, 10, BEGIN_US + 4 * S), 1, 1e-9);
	assert_float_equal(window_average(&w, 10, BEGIN_US + 60 * S), 0, 1e-9);
	/* After a quiet minute a burst is not averaged with the quiet. */
	window_set(&w, 6, BEGIN_US + 61 * S);
	assert_float_equal(window_average(&w, 10, BEGIN_US + 62 * S), 6, 1e-9);
	window_release(&w);
}

/* Against the integral taken second by second in a plain array. */
static void averages_agree_with_a_plain_array(void **state)
{
	(void)state;
	enum { LENGTH = 10, STEPS = 20000 };
	static double areas[60000];
	struct window w;
	uint64_t x = 7;
	double value = 0;
	int64_t now = 0;
	assert_true(window_init(&w, LENGTH));
	window_set(&w, value = 1, now); /* never zero from here on: it never starts anew */
	for (int step = 0; step < STEPS; step++) {
		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		int64_t by = (int64_t)((x >> 33) % ((x >> 60) == 0 ? 15 * S : S));
		for (int64_t until = now + by; now < until;) {
			int64_t border = (now / S + 1) * S, end = until < border ? until : border;
			areas[now / S] += value * (double)(end - now);
			now = end;
		}
		int64_t seconds = 1 + (int64_t)((x >> 40) % LENGTH);
		int64_t from = (now / S - seconds) * S > 0 ? (now / S - seconds) * S : 0;
		double area = 0;
		for (int64_t s = from / S; s <= now / S; s++)
			area += areas[s];
		if (now > from)
			assert_float_equal(window_average(&w, seconds, now),
					   area / (double)(now - from), 1e-6);
		window_set(&w, value = (double)(1 + (x >> 50) % 9), now);
		assert_true(now / S < (int64_t)COUNT(areas) - 20);
	}
	window_release(&w);
}

/* In a panic no fewer pods are wanted for a stable window after the last breach: also by the one
 * that takes over amid it. Likewise the last pod's grace goes on. */
static void who_takes_over_panics_on(void **state)
{
	(void)state;
	struct autoscaling_config c = defaults();
	struct autoscaler old, a;
	struct autoscaler_record r;
	start(&old, &c, 1);
	autoscaler_observe(&old, 10, BEGIN_US);
	assert_int_equal(autoscaler_from_zero(&old, false, BEGIN_US), 10);
	autoscaler_observe(&old, 0, BEGIN_US + 10 * S);
	autoscaler_record(&old, BEGIN_US + 10 * S, &r);
	start(&a, &c, 1);
	autoscaler_resume(&a, &r, BEGIN_US + 10 * S);
	autoscaler_observe(&a, 0, BEGIN_US + 10 * S);
	assert_int_equal(autoscaler_tick(&a, 10, false, BEGIN_US + 11 * S), 10);
	assert_int_equal(autoscaler_tick(&a, 10, false, BEGIN_US + 59 * S), 10);
	assert_true(autoscaler_tick(&a, 10, false, BEGIN_US + 71 * S) < 10);
	autoscaler_release(&a);
	r = (struct autoscaler_record){.desired = 1, .panic_us = -1, .zero_us = BEGIN_US};
	start(&a, &c, 1);
	autoscaler_resume(&a, &r, BEGIN_US + 20 * S);
	assert_int_equal(autoscaler_tick(&a, 1, false, BEGIN_US + 29 * S), 1);
	assert_int_equal(autoscaler_tick(&a, 1, false, BEGIN_US + 31 * S), 0);
	autoscaler_release(&a);
	autoscaler_release(&old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_target_is_a_part_of_the_total),
		cmocka_unit_test(decisions_are_the_kpas),
		cmocka_unit_test(other_thresholds_of_panic),
		cmocka_unit_test(
			panic_never_goes_down_and_ends_a_stable_window_after_the_last_breach),
		cmocka_unit_test(min_and_max_bound_every_decision),
		cmocka_unit_test(the_last_pod_stays_for_the_grace_or_the_retention),
		cmocka_unit_test(a_new_request_ends_the_grace),
		cmocka_unit_test(a_scale_down_waits_for_its_delay),
		cmocka_unit_test(the_initial_scale_holds_until_it_had_a_stable_window),
		cmocka_unit_test(pods_that_were_there_stand_in_for_the_initial_scale),
		cmocka_unit_test(from_zero_the_queue_of_the_moment_counts),
		cmocka_unit_test(from_zero_never_asks_for_fewer),
		cmocka_unit_test(the_averages_are_of_their_windows),
		cmocka_unit_test(the_integral_is_exact),
		cmocka_unit_test(a_reload_keeps_the_history_if_the_window_stays),
		cmocka_unit_test(averages_are_exact_integrals),
		cmocka_unit_test(long_gaps_keep_the_value),
		cmocka_unit_test(a_quiet_window_starts_anew),
		cmocka_unit_test(averages_agree_with_a_plain_array),
		cmocka_unit_test(who_takes_over_panics_on),
	};
	return cmocka_run_group_tests_name("autoscaler", tests, NULL, NULL);
}
