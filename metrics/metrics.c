/* The registry: finds, creates and drops the cells of all metrics. */
#include "metrics/metrics.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "metrics/label.h"
#include "metrics/series.h"

#define OTHER "other"

/* One value of one label of one metric, shared by the series that carry it. */
struct metrics_value {
	size_t series;
	char text[]; /* escaped */
};

/* A metric and all its series. */
struct family {
	struct list series;
	struct map by_labels;
	struct map values[CATALOGUE_MAX_LABELS]; /* metrics_value by text */
};

struct collector {
	struct list link;
	metrics_collect_fn *fn;
	void *owner;
};

struct metrics_registry {
	struct family families[METRIC_COUNT];
	size_t max_label_values;
	struct list walks, collectors;
	uint64_t collection; /* counts metrics_collect() */

	/* Scratch of a lookup. Kept, so that a label that could be added can also be dropped
	 * without an allocation. */
	struct str texts[CATALOGUE_MAX_LABELS], labels;

	/* What callers get when there is no memory. */
	struct metrics_counter no_counter;
	struct metrics_gauge no_gauge;
	struct metrics_histogram no_histogram;
};

struct metrics_registry *metrics_new(size_t max_label_values)
{
	struct metrics_registry *r = mem_must_zalloc(sizeof(*r));
	r->max_label_values = max_label_values;
	list_init(&r->walks);
	list_init(&r->collectors);
	for (size_t m = 0; m < METRIC_COUNT; m++)
		list_init(&r->families[m].series);
	return r;
}

/* --- series ------------------------------------------------------------------------------- */

static struct metrics_value *take_value(struct map *values, const struct str *text)
{
	struct metrics_value *v = map_get(values, text->at);
	if (!v) {
		v = mem_zalloc(sizeof(*v) + text->len + 1);
		if (!v)
			return NULL;
		memcpy(v->text, text->at, text->len + 1);
		if (!map_put(values, v->text, v)) {
			mem_free(v);
			return NULL;
		}
	}
	v->series++;
	return v;
}

static void give_value(struct map *values, struct metrics_value *v)
{
	if (!v || --v->series)
		return;
	map_remove(values, v->text);
	mem_free(v);
}

/* Takes a series, perhaps one half made, out of everything that knows it. */
static void free_series(struct metrics_registry *r, struct metrics_series *s)
{
	struct family *f = &r->families[s->metric];
	LIST_EACH(w, &r->walks, struct metrics_walk, link)
		if (w->next == &s->link)
			w->next = s->link.next;
	list_remove(&s->link);
	map_remove(&f->by_labels, s->labels);
	for (size_t i = 0; i < CATALOGUE_MAX_LABELS; i++)
		give_value(&f->values[i], s->values[i]);
	mem_free(s);
}

/* Makes the series that the scratch describes. NULL: no memory, and all is as it was. */
static struct metrics_series *new_series(struct metrics_registry *r, enum metric m)
{
	struct family *f = &r->families[m];
	struct metrics_series *s = mem_zalloc(sizeof(*s) + r->labels.len + 1);
	if (!s)
		return NULL;
	s->metric = m;
	list_init(&s->link);
	memcpy(s->labels, r->labels.at, r->labels.len + 1);
	for (size_t i = 0; i < catalogue_label_count(m); i++) {
		s->values[i] = take_value(&f->values[i], &r->texts[i]);
		if (!s->values[i])
			goto no_memory;
	}
	if (!map_put(&f->by_labels, s->labels, s))
		goto no_memory;
	list_push_back(&f->series, &s->link);
	return s;

no_memory:
	free_series(r, s);
	return NULL;
}

static bool is_full(const struct metrics_registry *r, const struct map *values)
{
	size_t named = values->count - (map_get(values, OTHER) != NULL);
	return named >= r->max_label_values;
}

/* Writes one label into the scratch, folded if it is one too many. False: no memory. */
static bool write_label(struct metrics_registry *r, enum metric m, size_t i, const char *value)
{
	const struct map *values = &r->families[m].values[i];
	struct str *text = &r->texts[i];
	assert(value);
	str_clear(text);
	label_escape(text, value);
	if (text->failed)
		return false;
	if (!map_get(values, text->at) && is_full(r, values)) {
		str_clear(text);
		str_add_text(text, OTHER);
	}
	if (i)
		str_add_char(&r->labels, ',');
	str_add_text(&r->labels, catalogue_get(m)->labels[i]);
	str_add_text(&r->labels, "=\"");
	str_add(&r->labels, text->at, text->len);
	str_add_char(&r->labels, '"');
	return !text->failed && !r->labels.failed;
}

/* Finds or makes a series. NULL: no memory. */
static struct metrics_series *obtain(struct metrics_registry *r, enum metric m,
				     const char *const *values)
{
	str_clear(&r->labels);
	str_add_text(&r->labels, ""); /* also no labels are a text */
	if (r->labels.failed)
		return NULL;
	for (size_t i = 0; i < catalogue_label_count(m); i++)
		if (!write_label(r, m, i, values[i]))
			return NULL;
	struct metrics_series *s = map_get(&r->families[m].by_labels, r->labels.at);
	return s ? s : new_series(r, m);
}

/* --- cells -------------------------------------------------------------------------------- */

struct metrics_counter *metrics_counter(struct metrics_registry *r, enum metric m,
					const char *const *values)
{
	assert(catalogue_get(m)->kind == METRIC_KIND_COUNTER);
	struct metrics_series *s = obtain(r, m, values);
	return s ? &s->counter : &r->no_counter;
}

struct metrics_gauge *metrics_gauge(struct metrics_registry *r, enum metric m,
				    const char *const *values)
{
	assert(catalogue_get(m)->kind == METRIC_KIND_GAUGE);
	struct metrics_series *s = obtain(r, m, values);
	return s ? &s->gauge : &r->no_gauge;
}

struct metrics_histogram *metrics_histogram(struct metrics_registry *r, enum metric m,
					    const char *const *values)
{
	assert(catalogue_get(m)->kind == METRIC_KIND_HISTOGRAM);
	struct metrics_series *s = obtain(r, m, values);
	return s ? &s->histogram : &r->no_histogram;
}

/* Finds what a metric calls these label values. False: no series of it carries them all. */
static bool find_values(struct metrics_registry *r, enum metric m, const char *const *labels,
			struct metrics_value *wanted[CATALOGUE_MAX_LABELS])
{
	for (; labels[0]; labels += 2) {
		int i = catalogue_label_index(m, labels[0]);
		if (i < 0)
			return false;
		struct str *text = &r->texts[i];
		str_clear(text);
		label_escape(text, labels[1]);
		wanted[i] = text->failed ? NULL : map_get(&r->families[m].values[i], text->at);
		if (!wanted[i])
			return false;
	}
	return true;
}

static bool carries(const struct metrics_series *s,
		    struct metrics_value *const wanted[CATALOGUE_MAX_LABELS])
{
	for (size_t i = 0; i < CATALOGUE_MAX_LABELS; i++)
		if (wanted[i] && s->values[i] != wanted[i])
			return false;
	return true;
}

void metrics_drop(struct metrics_registry *r, const char *const *labels)
{
	assert(labels[0]);
	for (size_t m = 0; m < METRIC_COUNT; m++) {
		struct metrics_value *wanted[CATALOGUE_MAX_LABELS] = {NULL};
		if (!find_values(r, m, labels, wanted))
			continue;
		LIST_EACH(s, &r->families[m].series, struct metrics_series, link)
			if (carries(s, wanted))
				free_series(r, s);
	}
}

/* --- histograms --------------------------------------------------------------------------- */

#define TOLD(ms)                                                                                   \
	{                                                                                          \
		(ms) * (int64_t)US_PER_MS, true                                                    \
	}
#define FINE(ms)                                                                                   \
	{                                                                                          \
		(ms) * (int64_t)US_PER_MS, false                                                   \
	}

static const struct bound {
	int64_t us;
	bool is_told;
} bounds[METRICS_BOUNDS] = {
	TOLD(5),      FINE(6),	    FINE(8),	  TOLD(10),	FINE(12),     FINE(16),
	FINE(20),     TOLD(25),	    FINE(30),	  FINE(40),	TOLD(50),     FINE(60),
	FINE(75),     TOLD(100),    FINE(125),	  FINE(150),	FINE(200),    TOLD(250),
	FINE(300),    FINE(400),    TOLD(500),	  FINE(600),	FINE(700),    FINE(900),
	TOLD(1000),   FINE(1100),   FINE(1250),	  TOLD(1500),	FINE(1750),   FINE(2000),
	FINE(2250),   TOLD(2500),   FINE(3000),	  TOLD(3500),	FINE(4000),   FINE(4500),
	TOLD(5000),   FINE(5500),   FINE(6000),	  FINE(6750),	TOLD(7500),   FINE(8500),
	TOLD(10000),  FINE(12000),  TOLD(15000),  FINE(17500),	TOLD(20000),  FINE(25000),
	TOLD(30000),  FINE(37000),  TOLD(45000),  FINE(52000),	TOLD(60000),  FINE(75000),
	TOLD(90000),  TOLD(120000), FINE(150000), TOLD(180000), FINE(240000), TOLD(300000),
	FINE(420000), TOLD(600000), TOLD(900000),
};

int64_t metrics_bound_us(size_t bucket)
{
	assert(bucket < METRICS_BOUNDS);
	return bounds[bucket].us;
}

bool metrics_bound_is_told(size_t bucket)
{
	assert(bucket <= METRICS_BOUNDS);
	return bucket == METRICS_BOUNDS || bounds[bucket].is_told;
}

void metrics_observe(struct metrics_histogram *h, int64_t us)
{
	if (us < 0)
		us = 0;
	/* How many bounds are below it, in six compares. */
	size_t bucket = 0;
	for (size_t step = 32; step; step /= 2)
		if (bucket + step <= METRICS_BOUNDS && bounds[bucket + step - 1].us < us)
			bucket += step;
	h->buckets[bucket]++;
	h->sum_us += us;
}

/* --- collectors --------------------------------------------------------------------------- */

void metrics_add_collector(struct metrics_registry *r, metrics_collect_fn *fn, void *owner)
{
	struct collector *c = mem_must_zalloc(sizeof(*c));
	c->fn = fn;
	c->owner = owner;
	list_push_back(&r->collectors, &c->link);
}

static void free_collector(struct collector *c)
{
	list_remove(&c->link);
	mem_free(c);
}

void metrics_remove_collector(struct metrics_registry *r, metrics_collect_fn *fn, void *owner)
{
	LIST_EACH(c, &r->collectors, struct collector, link)
		if (c->fn == fn && c->owner == owner)
			free_collector(c);
}

void metrics_collect_begin(struct metrics_collection *c, struct metrics_registry *r)
{
	r->collection++;
	*c = (struct metrics_collection){.registry = r, .next = r->collectors.next};
}

bool metrics_collect_step(struct metrics_collection *c)
{
	struct list *end = &c->registry->collectors;
	if (c->next == end)
		return false;
	struct collector *it = LIST_OWNER(c->next, struct collector, link);
	struct list *after = it->link.next;
	if (!it->fn(c->registry, it->owner, c->turn++)) {
		c->next = after;
		c->turn = 0;
	}
	return c->next != end;
}

void metrics_collect(struct metrics_registry *r)
{
	struct metrics_collection c;
	metrics_collect_begin(&c, r);
	while (metrics_collect_step(&c))
		;
}

void metrics_sample(struct metrics_registry *r, struct metrics_gauge *g, int64_t value)
{
	g->value = g->collection == r->collection ? g->value + value : value;
	g->collection = r->collection;
}

/* --- walks -------------------------------------------------------------------------------- */

void metrics_walk_begin(struct metrics_walk *w, struct metrics_registry *r)
{
	*w = (struct metrics_walk){.registry = r, .next = r->families[0].series.next};
	list_push_back(&r->walks, &w->link);
}

/* A gauge whose collector no longer knows it. */
static bool is_forgotten(const struct metrics_registry *r, const struct metrics_series *s)
{
	if (catalogue_get(s->metric)->kind != METRIC_KIND_GAUGE)
		return false;
	return s->gauge.collection && s->gauge.collection != r->collection;
}

static struct metrics_series *next_in_metric(struct metrics_walk *w)
{
	const struct list *head = &w->registry->families[w->metric].series;
	while (w->next != head) {
		struct metrics_series *s = LIST_OWNER(w->next, struct metrics_series, link);
		w->next = s->link.next;
		if (!is_forgotten(w->registry, s))
			return s;
	}
	return NULL;
}

const struct metrics_series *metrics_walk_next(struct metrics_walk *w)
{
	while (w->metric < METRIC_COUNT) {
		struct metrics_series *s = next_in_metric(w);
		if (s)
			return s;
		if (++w->metric < METRIC_COUNT)
			w->next = w->registry->families[w->metric].series.next;
	}
	return NULL;
}

void metrics_walk_end(struct metrics_walk *w)
{
	list_remove(&w->link);
	w->metric = METRIC_COUNT;
}

/* --- the end ------------------------------------------------------------------------------ */

static void free_family(struct metrics_registry *r, struct family *f)
{
	LIST_EACH(s, &f->series, struct metrics_series, link)
		free_series(r, s);
	map_release(&f->by_labels);
	for (size_t i = 0; i < CATALOGUE_MAX_LABELS; i++)
		map_release(&f->values[i]);
}

void metrics_free(struct metrics_registry *r)
{
	if (!r)
		return;
	assert(list_is_empty(&r->walks));
	for (size_t m = 0; m < METRIC_COUNT; m++)
		free_family(r, &r->families[m]);
	LIST_EACH(c, &r->collectors, struct collector, link)
		free_collector(c);
	for (size_t i = 0; i < CATALOGUE_MAX_LABELS; i++)
		str_release(&r->texts[i]);
	str_release(&r->labels);
	mem_free(r);
}
