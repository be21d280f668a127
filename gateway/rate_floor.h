/*
 * A floor under a rate: in each window of time so many bytes must have moved, or the peer is too
 * slow. Sans-IO: it is told a total that only grows, and the time.
 *
 * Windows follow each other, so a fast start is no credit for a trickle later on. A look that comes
 * late judges what has come until then by the one window: our own slowness is not the peer's.
 */
#ifndef SLOTGATE_GATEWAY_RATE_FLOOR_H
#define SLOTGATE_GATEWAY_RATE_FLOOR_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

struct rate_floor {
	int64_t least_bytes; /* in a window; 0: there is no floor */
	int64_t window_us;
	int64_t start_us, start_bytes; /* of the window under way */
};

/* What a rate makes of a window. */
int64_t rate_floor_bytes(int64_t bytes_per_second, int64_t window_us);

void rate_floor_begin(struct rate_floor *, int64_t least_bytes, int64_t window_us,
		      int64_t total_bytes, int64_t now_us);

/* Under what a client takes of an answer: it must take something, even if no rate is asked for. */
void rate_floor_begin_sending(struct rate_floor *, const struct limits_config *,
			      int64_t total_bytes, int64_t now_us);

/* When to look again; INT64_MAX: never. */
int64_t rate_floor_due_us(const struct rate_floor *);

/* At or after that time: judges the window, and begins the next one if it was met. Before: true. */
bool rate_floor_is_met(struct rate_floor *, int64_t total_bytes, int64_t now_us);

#endif
