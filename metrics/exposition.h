/*
 * The page that Prometheus and its kin scrape, in either of their text formats.
 *
 * It is rendered slice by slice, so that a thousand pods do not hold up the loop:
 *
 *	exposition_begin(&cursor, registry, exposition_choose(accept));
 *	while (exposition_step(&cursor, &page, 500))
 *		... let others have their turn ...
 *
 * or at once with exposition_render(). The first steps run the collectors; values are those of the
 * moment at which they are collected or rendered. One page at a time: a second one takes over the
 * collection of the first.
 */
#ifndef SLOTGATE_METRICS_EXPOSITION_H
#define SLOTGATE_METRICS_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "metrics/metrics.h"
#include "metrics/series.h"

enum exposition_format {
	EXPOSITION_TEXT,	/* Prometheus text 0.0.4 */
	EXPOSITION_OPENMETRICS, /* OpenMetrics 1.0.0 */
};

/* By the value of an Accept header, empty if there is none: OpenMetrics where it is named and not
 * liked less than text, else text. */
enum exposition_format exposition_choose(struct slice accept);
const char *exposition_content_type(enum exposition_format);

struct exposition_cursor {
	struct metrics_collection collection;
	struct metrics_walk walk;
	bool is_collecting;
	enum exposition_format format;
	unsigned metric; /* whose header was written last; METRIC_COUNT: none yet */
};

void exposition_begin(struct exposition_cursor *, struct metrics_registry *,
		      enum exposition_format);

/* Collects for as many turns, or appends as many series (a histogram is one). False: that
 * was the end of the page, and the cursor has ended. The text turns `failed` without memory;
 * then call exposition_end. */
bool exposition_step(struct exposition_cursor *, struct str *, size_t max_series);

/* Leaves the page where it is; harmless if it has ended. */
void exposition_end(struct exposition_cursor *);

/* The whole page. */
void exposition_render(struct metrics_registry *, enum exposition_format, struct str *);

#endif
