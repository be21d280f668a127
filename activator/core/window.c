/* The time-weighted average of a value over the last seconds. */
#include "activator/core/window.h"

#include "base/clock.h"
#include "base/mem.h"

bool window_init(struct window *w, int64_t seconds)
{
	int64_t length = seconds + 1; /* the newest bucket is only partly over */
	*w = (struct window){.length = length, .since_us = -1};
	w->areas = mem_zalloc((size_t)length * sizeof(*w->areas));
	return w->areas != NULL;
}

void window_release(struct window *w)
{
	mem_free(w->areas);
	w->areas = NULL;
}

static void clear(struct window *w)
{
	for (int64_t i = 0; i < w->length; i++)
		w->areas[i] = 0;
}

/* Adds the value's area from updated_us up to now, bucket by bucket. */
static void advance(struct window *w, int64_t now_us)
{
	if (now_us <= w->updated_us)
		return;
	int64_t newest = now_us / US_PER_S;
	if (newest - w->bucket >= w->length) {
		/* All that the ring holds is older than it is long. */
		clear(w);
		w->bucket = newest - w->length;
		if (w->updated_us < (w->bucket + 1) * US_PER_S)
			w->updated_us = (w->bucket + 1) * US_PER_S;
	}
	while (w->bucket <= newest) {
		int64_t end_us = (w->bucket + 1) * US_PER_S;
		int64_t until_us = now_us < end_us ? now_us : end_us;
		if (until_us > w->updated_us) {
			w->areas[w->bucket % w->length] +=
				w->value * (double)(until_us - w->updated_us);
			w->updated_us = until_us;
		}
		if (w->bucket == newest)
			break;
		w->bucket++;
		w->areas[w->bucket % w->length] = 0;
	}
}

void window_set(struct window *w, double value, int64_t now_us)
{
	if (w->since_us < 0) {
		if (value <= 0)
			return;
		w->since_us = w->updated_us = now_us;
		w->bucket = now_us / US_PER_S;
		clear(w);
	}
	advance(w, now_us);
	w->value = value;
}

/* A window that was empty throughout starts anew with the next value. */
static void forget_if_quiet(struct window *w)
{
	for (int64_t i = 0; i < w->length; i++)
		if (w->areas[i] > 0)
			return;
	if (w->value <= 0)
		w->since_us = -1;
}

double window_average(struct window *w, int64_t seconds, int64_t now_us)
{
	if (w->since_us < 0)
		return 0;
	advance(w, now_us);
	if (seconds > w->length - 1)
		seconds = w->length - 1;
	/* The last `seconds` whole buckets, and what there is of the newest. */
	int64_t from_us = (w->bucket - seconds) * US_PER_S;
	if (from_us < w->since_us)
		from_us = w->since_us;
	if (now_us <= from_us)
		return w->value; /* only just set */
	double area = 0;
	for (int64_t b = from_us / US_PER_S; b <= w->bucket; b++)
		area += w->areas[b % w->length];
	forget_if_quiet(w);
	return area / (double)(now_us - from_us);
}
