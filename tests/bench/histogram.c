/* Times in buckets. */
#include "tests/bench/histogram.h"

#include <string.h>

void histogram_clear(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
}

/* Below 2^FINE_BITS each value has its own bucket; above, the leading bits choose it. */
static unsigned bucket_of(uint64_t ns)
{
	if (ns >> HISTOGRAM_FINE_BITS == 0)
		return (unsigned)ns;
	unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - HISTOGRAM_FINE_BITS;
	return (shift << HISTOGRAM_FINE_BITS) + (unsigned)(ns >> shift);
}

static double middle_ns(unsigned bucket)
{
	unsigned shift = bucket >> HISTOGRAM_FINE_BITS;
	if (shift == 0)
		return bucket;
	shift--;
	uint64_t low = (uint64_t)(bucket - (shift << HISTOGRAM_FINE_BITS)) << shift;
	return (double)low + (double)(UINT64_C(1) << shift) / 2;
}

void histogram_add(struct histogram *h, int64_t ns)
{
	uint64_t value = ns < 0 ? 0 : (uint64_t)ns;
	h->count++;
	h->sum_ns += value;
	if (value > h->max_ns)
		h->max_ns = value;
	h->buckets[bucket_of(value)]++;
}

double histogram_quantile_us(const struct histogram *h, double part)
{
	uint64_t before = 0, wanted = (uint64_t)(part * (double)h->count);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		before += h->buckets[i];
		if (before > wanted || (before && before == h->count))
			return middle_ns(i) / 1e3;
	}
	return 0;
}

void histogram_print(const struct histogram *h, FILE *out)
{
	double mean_ns = h->count ? (double)h->sum_ns / (double)h->count : 0;
	fprintf(out,
		"{\"count\": %llu, \"mean_us\": %.3f, \"p50_us\": %.3f, \"p90_us\": %.3f, "
		"\"p99_us\": %.3f, \"max_us\": %.3f}",
		(unsigned long long)h->count, mean_ns / 1e3, histogram_quantile_us(h, 0.5),
		histogram_quantile_us(h, 0.9), histogram_quantile_us(h, 0.99),
		(double)h->max_ns / 1e3);
}
