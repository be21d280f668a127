/*
 * A token bucket: so many a second on average, and so many at once after a pause. It reads no
 * clock. Whole-number arithmetic in millionths of a millionth of a token, so that nothing is lost
 * or gained to rounding however long it runs.
 */
#ifndef SLOTGATE_BASE_BUCKET_H
#define SLOTGATE_BASE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

enum { BUCKET_MAX_PER_SECOND = 1000000, BUCKET_MAX_BURST = 1000000 };

struct bucket {
	int64_t rate;  /* millionths of a token a second; 0: no limit */
	int64_t most;  /* when it is full */
	int64_t level; /* as of at_us */
	int64_t at_us;
};

/* Full. Both within the maxima; a burst of 0 means the tokens of a second, and at least one. */
void bucket_init(struct bucket *, double per_second, int64_t burst, int64_t now_us);

/* Another rate from now on: what was in it stays, as far as it fits. From no limit it is full. */
void bucket_configure(struct bucket *, double per_second, int64_t burst, int64_t now_us);

/* Takes a token; false: there is none. Time that goes back counts as standing still. */
bool bucket_take(struct bucket *, int64_t now_us);

/* Until there is one: the first moment at which bucket_take succeeds. 0: now. */
int64_t bucket_wait_us(struct bucket *, int64_t now_us);

#endif
