/* The token bucket at its edges, and over long times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/bucket.h"
#include "base/clock.h"

#define S US_PER_S

static const int64_t BEGIN_US = 77 * S + 13;

static int take_all(struct bucket *b, int64_t now_us)
{
	int n = 0;
	while (bucket_take(b, now_us))
		n++;
	return n;
}

static void begins_full_and_refills_one_by_one(void **state)
{
	struct bucket b;
	(void)state;
	bucket_init(&b, 2, 5, BEGIN_US);
	assert_int_equal(take_all(&b, BEGIN_US), 5);
	assert_int_equal(bucket_wait_us(&b, BEGIN_US), S / 2);
	assert_false(bucket_take(&b, BEGIN_US + S / 2 - 1));
	assert_int_equal(bucket_wait_us(&b, BEGIN_US + S / 2 - 1), 1);
	assert_true(bucket_take(&b, BEGIN_US + S / 2));
	assert_false(bucket_take(&b, BEGIN_US + S / 2));
	assert_int_equal(take_all(&b, BEGIN_US + 3 * S), 5);	/* 5 since */
	assert_int_equal(take_all(&b, BEGIN_US + 1000 * S), 5); /* and never more */
}

/* A third of a second is no whole number of anything. */
static void is_exact_over_days(void **state)
{
	struct bucket b;
	int64_t now_us = BEGIN_US, taken = 0;
	(void)state;
	bucket_init(&b, 3, 2, now_us); /* one would overflow while the wait is rounded */
	assert_true(bucket_take(&b, now_us));
	while (now_us < BEGIN_US + 400000 * S) {
		assert_true(bucket_take(&b, now_us));
		taken++;
		assert_false(bucket_take(&b, now_us));
		now_us += bucket_wait_us(&b, now_us);
	}
	/* The wait is rounded up, and what is over is not lost. */
	assert_int_equal(taken, 3 * 400000);
}

static void asking_often_gives_no_more(void **state)
{
	struct bucket b;
	int taken = 0;
	(void)state;
	bucket_init(&b, 0.7, 2, BEGIN_US);
	take_all(&b, BEGIN_US);
	for (int64_t us = 0; us <= 1000 * S; us += 997)
		taken += take_all(&b, BEGIN_US + us);
	assert_int_equal(taken, 699); /* the 700th comes with the 1000th second */
	assert_int_equal(take_all(&b, BEGIN_US + 1000 * S), 1);
}

static void extremes(void **state)
{
	struct bucket b;
	(void)state;
	bucket_init(&b, BUCKET_MAX_PER_SECOND, BUCKET_MAX_BURST, 0);
	assert_int_equal(take_all(&b, 0), BUCKET_MAX_BURST);
	assert_int_equal(bucket_wait_us(&b, 0), 1);
	assert_int_equal(take_all(&b, INT64_MAX), BUCKET_MAX_BURST);
	bucket_init(&b, 1e-9, 1, 0); /* as seldom as it goes: one in a million seconds */
	assert_int_equal(take_all(&b, 0), 1);
	assert_int_equal(bucket_wait_us(&b, 0), INT64_C(1000000) * S);
	assert_false(bucket_take(&b, INT64_C(1000000) * S - 1));
	assert_true(bucket_take(&b, INT64_C(1000000) * S));
}

static void a_burst_that_is_not_named_is_that_of_a_second(void **state)
{
	struct bucket b;
	(void)state;
	bucket_init(&b, 4, 0, 0);
	assert_int_equal(take_all(&b, 0), 4);
	bucket_init(&b, 2.5, 0, 0);
	assert_int_equal(take_all(&b, 0), 3);
	bucket_init(&b, 0.1, 0, 0);
	assert_int_equal(take_all(&b, 0), 1);
	assert_int_equal(bucket_wait_us(&b, 0), 10 * S);
}

static void without_a_rate_there_is_no_limit(void **state)
{
	struct bucket b;
	(void)state;
	bucket_init(&b, 0, 0, BEGIN_US);
	for (int i = 0; i < 1000; i++)
		assert_true(bucket_take(&b, BEGIN_US));
	assert_int_equal(bucket_wait_us(&b, BEGIN_US), 0);
}

static void time_that_goes_back_stands_still(void **state)
{
	struct bucket b;
	(void)state;
	bucket_init(&b, 1, 2, BEGIN_US);
	assert_int_equal(take_all(&b, BEGIN_US), 2);
	assert_false(bucket_take(&b, 0));
	assert_false(bucket_take(&b, BEGIN_US));
	assert_true(bucket_take(&b, BEGIN_US + S));
}

static void another_rate_keeps_what_was_used(void **state)
{
	struct bucket b;
	(void)state;
	bucket_init(&b, 1, 10, BEGIN_US);
	for (int i = 0; i < 4; i++)
		bucket_take(&b, BEGIN_US);
	bucket_configure(&b, 1, 20, BEGIN_US); /* a larger burst has to fill first */
	assert_int_equal(take_all(&b, BEGIN_US), 6);
	bucket_configure(&b, 10, 20, BEGIN_US + S); /* the second before was of the old rate */
	assert_int_equal(take_all(&b, BEGIN_US + S), 1);
	assert_int_equal(bucket_wait_us(&b, BEGIN_US + S), S / 10);
	bucket_configure(&b, 0, 0, BEGIN_US + S);
	assert_true(bucket_take(&b, BEGIN_US + S));
	bucket_configure(&b, 1, 3, BEGIN_US + 2 * S);
	assert_int_equal(take_all(&b, BEGIN_US + 2 * S), 3);
	bucket_configure(&b, 1, 10, BEGIN_US + 12 * S);
	bucket_configure(&b, 1, 2, BEGIN_US + 12 * S); /* a smaller one holds less */
	assert_int_equal(take_all(&b, BEGIN_US + 12 * S), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begins_full_and_refills_one_by_one),
		cmocka_unit_test(is_exact_over_days),
		cmocka_unit_test(asking_often_gives_no_more),
		cmocka_unit_test(extremes),
		cmocka_unit_test(a_burst_that_is_not_named_is_that_of_a_second),
		cmocka_unit_test(without_a_rate_there_is_no_limit),
		cmocka_unit_test(time_that_goes_back_stands_still),
		cmocka_unit_test(another_rate_keeps_what_was_used),
	};
	return cmocka_run_group_tests_name("token bucket", tests, NULL, NULL);
}
