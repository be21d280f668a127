/* Judges whether a peer moves its bytes fast enough. */
#include "gateway/rate_floor.h"

#include "base/clock.h"

int64_t rate_floor_bytes(int64_t bytes_per_second, int64_t window_us)
{
	double bytes = (double)bytes_per_second * (double)window_us / (double)US_PER_S;
	/* A rate that a short window rounds to nothing still is one. */
	return bytes_per_second && bytes < 1 ? 1 : (int64_t)bytes;
}

void rate_floor_begin(struct rate_floor *f, int64_t least_bytes, int64_t window_us,
		      int64_t total_bytes, int64_t now_us)
{
	*f = (struct rate_floor){
		.least_bytes = least_bytes,
		.window_us = window_us,
		.start_us = now_us,
		.start_bytes = total_bytes,
	};
}

void rate_floor_begin_sending(struct rate_floor *f, const struct limits_config *limits,
			      int64_t total_bytes, int64_t now_us)
{
	int64_t least = rate_floor_bytes(limits->min_send_rate, limits->send_timeout_us);
	rate_floor_begin(f, least ? least : 1, limits->send_timeout_us, total_bytes, now_us);
}

int64_t rate_floor_due_us(const struct rate_floor *f)
{
	return f->least_bytes ? f->start_us + f->window_us : INT64_MAX;
}

bool rate_floor_is_met(struct rate_floor *f, int64_t total_bytes, int64_t now_us)
{
	if (now_us < rate_floor_due_us(f))
		return true;
	if (total_bytes - f->start_bytes < f->least_bytes)
		return false;
	f->start_us = now_us;
	f->start_bytes = total_bytes;
	return true;
}
