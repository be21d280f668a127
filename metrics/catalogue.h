/*
 * What metrics there are. The list itself is catalogue.def; METRICS.md is printed from it.
 */
#ifndef SLOTGATE_METRICS_CATALOGUE_H
#define SLOTGATE_METRICS_CATALOGUE_H

#include <stddef.h>

#include "base/str.h"

enum { CATALOGUE_MAX_LABELS = 3 };

enum metric_kind { METRIC_KIND_COUNTER, METRIC_KIND_GAUGE, METRIC_KIND_HISTOGRAM };
enum metric_scale { METRIC_SCALE_WHOLE, METRIC_SCALE_MICRO }; /* MICRO: kept in millionths */

enum metric {
#define METRIC(id, kind, scale, name, labels, help) METRIC_##id,
#include "metrics/catalogue.def"
#undef METRIC
	METRIC_COUNT /* how many there are */
};

struct metric_info {
	const char *name; /* in full: "slotgate_requests_total" */
	enum metric_kind kind;
	enum metric_scale scale;
	const char *labels[CATALOGUE_MAX_LABELS + 1]; /* NULL after the last */
	const char *help;			      /* one sentence: what it counts */
};

const struct metric_info *catalogue_get(enum metric);

/* "counter", "gauge" or "histogram". */
const char *catalogue_kind_name(enum metric_kind);

/* How many labels a metric has, and which of them this is (-1: none). */
size_t catalogue_label_count(enum metric);
int catalogue_label_index(enum metric, const char *label);

/* The whole list as METRICS.md. */
void catalogue_write_markdown(struct str *);

#endif
