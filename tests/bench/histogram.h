/*
 * Times in nanoseconds, counted in buckets that are at most 1.6 % wide: adding one is a few
 * instructions, whatever their number.
 */
#ifndef SLOTGATE_TESTS_BENCH_HISTOGRAM_H
#define SLOTGATE_TESTS_BENCH_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

enum {
	HISTOGRAM_FINE_BITS = 6, /* buckets of a power of two: 2^6 */
	HISTOGRAM_BUCKETS = (64 - HISTOGRAM_FINE_BITS + 1) << HISTOGRAM_FINE_BITS,
};

struct histogram {
	uint64_t count, sum_ns, max_ns;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_clear(struct histogram *);
void histogram_add(struct histogram *, int64_t ns); /* a negative one counts as 0 */

/* The middle of the bucket that holds this part (0..1) of them; 0 if there are none. */
double histogram_quantile_us(const struct histogram *, double part);

/* A JSON object with the count, the mean, the percentiles and the maximum, in microseconds. */
void histogram_print(const struct histogram *, FILE *);

#endif
