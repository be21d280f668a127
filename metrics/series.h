/*
 * What the exposition sees of the registry: its series, and a walk over them that may be left for
 * other work and continued. Series dropped meanwhile are not seen; new ones may be.
 */
#ifndef SLOTGATE_METRICS_SERIES_H
#define SLOTGATE_METRICS_SERIES_H

#include "base/list.h"
#include "metrics/metrics.h"

struct metrics_value;

struct metrics_series {
	struct list link; /* in its metric's list, in order of creation */
	enum metric metric;
	struct metrics_value *values[CATALOGUE_MAX_LABELS];
	union {
		struct metrics_counter counter;
		struct metrics_gauge gauge;
		struct metrics_histogram histogram;
	};
	char labels[]; /* escaped, as they are printed: service="sd",class="2xx" */
};

struct metrics_walk {
	struct list link; /* among the registry's walks */
	struct metrics_registry *registry;
	unsigned metric;   /* being walked; METRIC_COUNT: at the end */
	struct list *next; /* series, or the head of the metric's list */
};

void metrics_walk_begin(struct metrics_walk *, struct metrics_registry *);

/* Metric by metric, in the catalogue's order. NULL: there are no more. */
const struct metrics_series *metrics_walk_next(struct metrics_walk *);

/* Harmless if it has ended. The registry must outlive its walks. */
void metrics_walk_end(struct metrics_walk *);

#endif
