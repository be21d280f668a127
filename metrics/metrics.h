/*
 * The registry of metrics. Whoever counts something obtains a cell once, keeps the pointer, and
 * then only adds to an integer. The loop's thread only; no locks.
 *
 *	struct metrics_counter *c =
 *		metrics_counter(registry, METRIC_REQUESTS, (const char *[]){"sd", "2xx"});
 *	metrics_count(c);
 *
 * Label values are given in the catalogue's order and are copied. The same metric and values are
 * the same cell. Obtaining one never fails: without memory the caller gets a cell that nobody
 * reads. It is a lookup, though: not for each request.
 *
 * A cell lives until metrics_drop() takes it, so whoever drops must be the last to hold it; mind
 * that two objects of the same name share their cells. To keep cardinality bounded, each label of
 * a metric has at most `max_label_values` values; later ones share the value "other".
 *
 * Values kept in whole units or, for the catalogue's MICRO metrics, in millionths.
 */
#ifndef SLOTGATE_METRICS_METRICS_H
#define SLOTGATE_METRICS_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "metrics/catalogue.h"

enum {
	METRICS_MAX_LABEL_VALUES = 2000, /* a default for metrics_new */
	METRICS_BOUNDS = 63,		 /* of a histogram: 5 ms to 900 s, then +Inf */
};

struct metrics_registry;

struct metrics_counter {
	uint64_t value;
};

struct metrics_gauge {
	int64_t value;
	uint64_t collection; /* in which it was last sampled; 0: it is kept in step */
};

struct metrics_histogram {
	int64_t sum_us;
	uint64_t buckets[METRICS_BOUNDS + 1]; /* each with its own observations only */
};

/* Start-up: ends the process without memory. Freeing takes all cells; NULL is harmless. */
struct metrics_registry *metrics_new(size_t max_label_values);
void metrics_free(struct metrics_registry *);

/* --- cells -------------------------------------------------------------------------------- */

struct metrics_counter *metrics_counter(struct metrics_registry *, enum metric,
					const char *const *values);
struct metrics_gauge *metrics_gauge(struct metrics_registry *, enum metric,
				    const char *const *values);
struct metrics_histogram *metrics_histogram(struct metrics_registry *, enum metric,
					    const char *const *values);

/* Frees all cells that carry these labels: {"service", "sd", "pod", "10.0.0.1:80", NULL}. Metrics
 * without one of the labels are left alone. Never fails. */
void metrics_drop(struct metrics_registry *, const char *const *labels);

static inline void metrics_add(struct metrics_counter *c, uint64_t n)
{
	c->value += n;
}

static inline void metrics_count(struct metrics_counter *c)
{
	c->value++;
}

/* For a total that is counted elsewhere; it never goes down. */
static inline void metrics_mirror(struct metrics_counter *c, uint64_t total)
{
	if (total > c->value)
		c->value = total;
}

static inline void metrics_gauge_set(struct metrics_gauge *g, int64_t value)
{
	g->value = value;
}

static inline void metrics_gauge_add(struct metrics_gauge *g, int64_t n)
{
	g->value += n;
}

/* A real number for a MICRO gauge. */
static inline int64_t metrics_millionths(double value)
{
	return (int64_t)(value * 1e6 + (value < 0 ? -0.5 : 0.5));
}

/* Bounds are inclusive, as `le` says; a negative time counts as 0. */
void metrics_observe(struct metrics_histogram *, int64_t us);
int64_t metrics_bound_us(size_t bucket); /* bucket < METRICS_BOUNDS */

/* Whether Prometheus is told of this bound, each of which is a series of every label. The others
 * are between them, for percentiles that people look at. +Inf is told. */
bool metrics_bound_is_told(size_t bucket);

/* --- collectors: state that is read at the time of a scrape ------------------------------- */

/* Samples gauges with metrics_sample() and mirrors totals. May obtain cells, and drop them. It is
 * called until it returns false, and should do only a little at each `turn` (from 0), since others
 * may have theirs in between. A collection that is left ends without a last call. */
typedef bool metrics_collect_fn(struct metrics_registry *, void *owner, unsigned turn);

/* Start-up and configuration: ends the process without memory. Removing one that is not there
 * is harmless. Not to be called during a collection, except that a collector may remove
 * itself in its last turn. */
void metrics_add_collector(struct metrics_registry *, metrics_collect_fn *, void *owner);
void metrics_remove_collector(struct metrics_registry *, metrics_collect_fn *, void *owner);

/* Turn by turn; only the collection that was begun last may go on. False: all have been called. */
struct metrics_collection {
	struct metrics_registry *registry;
	struct list *next;
	unsigned turn;
};
void metrics_collect_begin(struct metrics_collection *, struct metrics_registry *);
bool metrics_collect_step(struct metrics_collection *);

/* All of it at once. */
void metrics_collect(struct metrics_registry *);

/* Sets a gauge in a collector. If it is sampled again in the same collection, the values add up
 * (pods that share the value "other"); once sampled, it is left out of scrapes whose collection
 * did not sample it. */
void metrics_sample(struct metrics_registry *, struct metrics_gauge *, int64_t value);

#endif
