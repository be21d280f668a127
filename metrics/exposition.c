/* Renders the registry as Prometheus text 0.0.4 or OpenMetrics 1.0. */
#include "metrics/exposition.h"

#include <assert.h>
#include <string.h>

#include "metrics/accept.h"

const char *exposition_content_type(enum exposition_format format)
{
	return format == EXPOSITION_OPENMETRICS
		       ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		       : "text/plain; version=0.0.4; charset=utf-8";
}

enum exposition_format exposition_choose(struct slice accept)
{
	/* By name only: a browser's or curl's wildcard is no wish for OpenMetrics. */
	int open = accept_quality_by_name(accept, "application/openmetrics-text", "1.0.0");
	int text = accept_quality(accept, "text/plain", "0.0.4");
	return open > 0 && open >= text ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT;
}

/* --- numbers ------------------------------------------------------------------------------ */

/* Millionths as a decimal, without zeros at its end. */
static void add_millionths(struct str *out, uint64_t v)
{
	char digits[7] = ".";
	size_t len = 1;
	str_add_u64(out, v / 1000000);
	uint64_t rest = v % 1000000;
	for (uint64_t unit = 100000; rest; rest %= unit, unit /= 10)
		digits[len++] = (char)('0' + rest / unit);
	if (len > 1)
		str_add(out, digits, len);
}

static void add_number(struct str *out, int64_t value, enum metric_scale scale)
{
	uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	if (value < 0)
		str_add_char(out, '-');
	if (scale == METRIC_SCALE_MICRO)
		add_millionths(out, size);
	else
		str_add_u64(out, size);
}

/* --- a metric's header -------------------------------------------------------------------- */

static bool ends_with(struct slice s, const char *end)
{
	size_t n = strlen(end);
	return s.len >= n && memcmp(s.at + s.len - n, end, n) == 0;
}

/* What TYPE and HELP name: OpenMetrics' counters leave their suffix to the sample. */
static struct slice family_name(const struct metric_info *info, enum exposition_format format)
{
	struct slice name = slice_of(info->name);
	if (format == EXPOSITION_OPENMETRICS && info->kind == METRIC_KIND_COUNTER)
		name.len -= strlen("_total");
	return name;
}

static void add_header_line(struct str *out, const char *what, struct slice name, const char *text)
{
	str_add_text(out, what);
	str_add_slice(out, name);
	str_add_char(out, ' ');
	str_add_text(out, text);
	str_add_char(out, '\n');
}

static void add_header(struct str *out, const struct metric_info *info,
		       enum exposition_format format)
{
	struct slice name = family_name(info, format);
	/* The catalogue's sentences contain nothing that would need escaping; a test sees to it. */
	add_header_line(out, "# HELP ", name, info->help);
	add_header_line(out, "# TYPE ", name, catalogue_kind_name(info->kind));
	if (format != EXPOSITION_OPENMETRICS)
		return;
	if (ends_with(name, "_seconds"))
		add_header_line(out, "# UNIT ", name, "seconds");
	else if (ends_with(name, "_bytes"))
		add_header_line(out, "# UNIT ", name, "bytes");
}

/* --- a series ----------------------------------------------------------------------------- */

/* NAME{LABELS} and the space before the value. */
static void add_sample_name(struct str *out, const char *name, const char *suffix,
			    const char *labels)
{
	str_add_text(out, name);
	str_add_text(out, suffix);
	if (*labels) {
		str_add_char(out, '{');
		str_add_text(out, labels);
		str_add_char(out, '}');
	}
	str_add_char(out, ' ');
}

/* OpenMetrics writes a bucket's bound as a float, "1.0", where text has "1". */
static void add_bound(struct str *out, size_t bucket, enum exposition_format format)
{
	if (bucket == METRICS_BOUNDS) {
		str_add_text(out, "+Inf");
		return;
	}
	int64_t us = metrics_bound_us(bucket);
	add_millionths(out, (uint64_t)us);
	if (format == EXPOSITION_OPENMETRICS && us % 1000000 == 0)
		str_add_text(out, ".0");
}

static void add_histogram(struct str *out, const char *name, const struct metrics_series *s,
			  enum exposition_format format)
{
	const struct metrics_histogram *h = &s->histogram;
	uint64_t count = 0;
	for (size_t i = 0; i <= METRICS_BOUNDS; i++) {
		count += h->buckets[i];
		if (!metrics_bound_is_told(i))
			continue;
		str_add_text(out, name);
		str_add_text(out, "_bucket{");
		str_add_text(out, s->labels);
		str_add_text(out, *s->labels ? ",le=\"" : "le=\"");
		add_bound(out, i, format);
		str_add_text(out, "\"} ");
		str_add_u64(out, count);
		str_add_char(out, '\n');
	}
	add_sample_name(out, name, "_sum", s->labels);
	add_number(out, h->sum_us, METRIC_SCALE_MICRO);
	str_add_char(out, '\n');
	add_sample_name(out, name, "_count", s->labels);
	str_add_u64(out, count);
	str_add_char(out, '\n');
}

static void add_series(struct str *out, const struct metric_info *info,
		       const struct metrics_series *s, enum exposition_format format)
{
	if (info->kind == METRIC_KIND_HISTOGRAM) {
		add_histogram(out, info->name, s, format);
		return;
	}
	bool counts = info->kind == METRIC_KIND_COUNTER;
	add_sample_name(out, info->name, "", s->labels);
	add_number(out, counts ? (int64_t)s->counter.value : s->gauge.value, info->scale);
	str_add_char(out, '\n');
}

/* --- the page ----------------------------------------------------------------------------- */

void exposition_begin(struct exposition_cursor *c, struct metrics_registry *r,
		      enum exposition_format format)
{
	metrics_collect_begin(&c->collection, r);
	c->is_collecting = true;
	metrics_walk_begin(&c->walk, r);
	c->format = format;
	c->metric = METRIC_COUNT;
}

bool exposition_step(struct exposition_cursor *c, struct str *out, size_t max_series)
{
	assert(max_series);
	while (max_series && c->is_collecting) {
		c->is_collecting = metrics_collect_step(&c->collection);
		max_series -= c->is_collecting;
	}
	for (; max_series; max_series--) {
		const struct metrics_series *s = metrics_walk_next(&c->walk);
		if (!s) {
			if (c->format == EXPOSITION_OPENMETRICS)
				str_add_text(out, "# EOF\n");
			exposition_end(c);
			return false;
		}
		const struct metric_info *info = catalogue_get(s->metric);
		if (c->metric != s->metric)
			add_header(out, info, c->format);
		c->metric = s->metric;
		add_series(out, info, s, c->format);
	}
	return true;
}

void exposition_end(struct exposition_cursor *c)
{
	metrics_walk_end(&c->walk);
}

void exposition_render(struct metrics_registry *r, enum exposition_format format, struct str *out)
{
	struct exposition_cursor c;
	exposition_begin(&c, r, format);
	while (exposition_step(&c, out, SIZE_MAX))
		;
}
