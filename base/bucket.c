/* A token bucket in whole numbers. */
#include "base/bucket.h"

/* A microsecond at a rate of a millionth of a token a second brings one of these. */
static const int64_t TOKEN = INT64_C(1000000000000);

static void set(struct bucket *b, double per_second, int64_t burst)
{
	double rate = per_second * 1e6 + 0.5;
	int64_t whole = (int64_t)per_second + ((double)(int64_t)per_second < per_second);
	b->rate = (int64_t)rate;
	if (per_second > 0 && b->rate == 0)
		b->rate = 1; /* so seldom is still not without limit */
	b->most = (burst ? burst : whole) * TOKEN;
}

void bucket_init(struct bucket *b, double per_second, int64_t burst, int64_t now_us)
{
	*b = (struct bucket){.at_us = now_us};
	set(b, per_second, burst);
	b->level = b->most;
}

/* Brings the level up to now. */
static void fill(struct bucket *b, int64_t now_us)
{
	int64_t passed_us = now_us - b->at_us, missing = b->most - b->level;
	if (passed_us <= 0 || !b->rate)
		return;
	b->at_us = now_us;
	/* Divided, as the product could be more than a number holds. */
	if (passed_us > missing / b->rate)
		b->level = b->most;
	else
		b->level += passed_us * b->rate;
}

void bucket_configure(struct bucket *b, double per_second, int64_t burst, int64_t now_us)
{
	bool was_unlimited = !b->rate;
	fill(b, now_us);
	set(b, per_second, burst);
	if (was_unlimited || b->level > b->most)
		b->level = b->most;
	if (was_unlimited)
		b->at_us = now_us;
}

bool bucket_take(struct bucket *b, int64_t now_us)
{
	if (!b->rate)
		return true;
	fill(b, now_us);
	if (b->level < TOKEN)
		return false;
	b->level -= TOKEN;
	return true;
}

int64_t bucket_wait_us(struct bucket *b, int64_t now_us)
{
	if (!b->rate)
		return 0;
	fill(b, now_us);
	return b->level >= TOKEN ? 0 : (TOKEN - b->level + b->rate - 1) / b->rate;
}
