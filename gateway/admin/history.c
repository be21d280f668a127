/* What a service did lately, for people. */
#include "gateway/admin/history.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "gateway/backend.h"
#include "gateway/gateway.h"

enum {
	POINTS = 360,
	INTERVAL_S = 5,
	WINDOW = 12, /* points that percentiles look back over: a minute */
	TROUBLES = 16,
	QUANTILES = 4,
	POINTS_A_STEP = 8,
};

enum times { TIMES_ALL, TIMES_WAIT, TIMES_WORK, TIMES };
enum totals { TOTAL_OK, TOTAL_4XX, TOTAL_5XX, TOTAL_ABORTED, TOTAL_REFUSED, TOTALS };

static const double quantiles[QUANTILES] = {0.5, 0.9, 0.95, 0.99};

/* How often each bucket was met, since the start. */
struct snapshot {
	uint64_t buckets[TIMES][METRICS_BOUNDS + 1];
};

struct point {
	int64_t at_ms;
	int64_t wanted, starting, ready, working, waiting, at_work;
	uint64_t totals[TOTALS];	    /* in this interval */
	int64_t times_us[TIMES][QUANTILES]; /* of the last minute; -1: there was none */
};

struct trouble {
	int64_t first_ms, last_ms;
	uint64_t count; /* 0: unused */
	char kind[24], what[96], pod[80];
};

struct history {
	struct backend *backend;
	struct timer timer;
	struct point points[POINTS];
	size_t point_count; /* ever; the ring has the last POINTS of them */
	struct snapshot snapshots[WINDOW + 1];
	uint64_t totals[TOTALS];
	struct trouble troubles[TROUBLES];
};

/* --- percentiles ----------------------------------------------------------------------------- */

/* As Prometheus does it: linear within a bucket, and no further than the last bound. */
static int64_t quantile_us(const uint64_t *now, const uint64_t *before, double q)
{
	uint64_t total = 0, below = 0;
	for (size_t i = 0; i <= METRICS_BOUNDS; i++)
		total += now[i] - before[i];
	if (!total)
		return -1;
	double rank = q * (double)total;
	for (size_t i = 0; i < METRICS_BOUNDS; i++) {
		uint64_t n = now[i] - before[i];
		if (n && (double)(below + n) >= rank) {
			int64_t from = i ? metrics_bound_us(i - 1) : 0;
			double part = (rank - (double)below) / (double)n;
			return from + (int64_t)((double)(metrics_bound_us(i) - from) * part);
		}
		below += n;
	}
	return metrics_bound_us(METRICS_BOUNDS - 1);
}

/* --- sampling -------------------------------------------------------------------------------- */

static void read_totals(const struct service_stats *s, uint64_t totals[TOTALS])
{
	totals[TOTAL_OK] = s->classes[1]->value + s->classes[2]->value + s->classes[3]->value;
	totals[TOTAL_4XX] = s->classes[4]->value;
	totals[TOTAL_5XX] = s->classes[5]->value;
	totals[TOTAL_ABORTED] = s->classes[0]->value;
	totals[TOTAL_REFUSED] = s->refused;
}

static void take_snapshot(const struct service_stats *s, struct snapshot *to)
{
	const struct metrics_histogram *const sources[TIMES] = {s->duration, s->queue_wait,
								s->service_time};
	for (int i = 0; i < TIMES; i++)
		memcpy(to->buckets[i], sources[i]->buckets, sizeof(to->buckets[i]));
}

static void sample_times(struct history *h, struct point *p)
{
	size_t number = h->point_count + 1; /* snapshot 0 is that of the start */
	struct snapshot *now = &h->snapshots[number % (WINDOW + 1)];
	size_t oldest = number < WINDOW ? 0 : number - WINDOW;
	const struct snapshot *before = &h->snapshots[oldest % (WINDOW + 1)];
	take_snapshot(&h->backend->stats, now);
	for (int i = 0; i < TIMES; i++)
		for (int q = 0; q < QUANTILES; q++)
			p->times_us[i][q] =
				quantile_us(now->buckets[i], before->buckets[i], quantiles[q]);
}

static void sample(struct history *h)
{
	struct point *p = &h->points[h->point_count % POINTS];
	struct service_counts c;
	uint64_t totals[TOTALS];
	service_count(backend_service(h->backend), loop_now_us(h->backend->gateway->loop), &c);
	memset(p, 0, sizeof(*p));
	p->at_ms = clock_wall_us() / US_PER_MS;
	p->wanted = c.desired;
	p->starting = c.uses[POD_USE_STARTING];
	p->ready = c.pods[POD_READY] + c.pods[POD_FULL];
	p->working = c.uses[POD_USE_WORKING];
	p->waiting = c.waiting;
	for (int i = 0; i < SLOT_STATES; i++)
		p->at_work += c.slots[i];
	read_totals(&h->backend->stats, totals);
	for (int i = 0; i < TOTALS; i++)
		p->totals[i] = totals[i] - h->totals[i];
	memcpy(h->totals, totals, sizeof(totals));
	sample_times(h, p);
	h->point_count++;
}

static void on_timer(void *owner)
{
	struct history *h = owner;
	if (h->backend->activator) {
		activator_settle(h->backend->activator); /* between two jobs nothing is at work */
		sample(h);
	}
	timer_set(&h->timer, loop_now_us(h->backend->gateway->loop) + INTERVAL_S * US_PER_S);
}

struct history *history_new(struct backend *b)
{
	struct history *h = mem_must_zalloc(sizeof(*h));
	h->backend = b;
	read_totals(&b->stats, h->totals);
	take_snapshot(&b->stats, &h->snapshots[0]);
	if (!timer_init(&h->timer, b->gateway->loop, on_timer, h)) {
		mem_free(h); /* it goes without one */
		return NULL;
	}
	/* Services take their turns: not all of them are sampled in one. */
	timer_set(&h->timer, loop_now_us(b->gateway->loop) + US_PER_S +
				     (int64_t)(b->number % 50) * 20 * US_PER_MS);
	return h;
}

void history_free(struct history *h)
{
	if (!h)
		return;
	timer_release(&h->timer);
	mem_free(h);
}

/* --- what happens ---------------------------------------------------------------------------- */

/* The same again, or the one that is longest ago. */
static struct trouble *place_for(struct history *h, const struct trouble *new)
{
	struct trouble *oldest = h->troubles;
	for (struct trouble *t = h->troubles; t < h->troubles + TROUBLES; t++) {
		if (t->count && strcmp(t->kind, new->kind) == 0 &&
		    strcmp(t->what, new->what) == 0 && strcmp(t->pod, new->pod) == 0)
			return t;
		if (t->last_ms < oldest->last_ms)
			oldest = t;
	}
	oldest->count = 0;
	return oldest;
}

void history_trouble(struct history *h, const char *kind, const char *what, const char *pod)
{
	struct trouble new = {.last_ms = clock_wall_us() / US_PER_MS};
	if (!h)
		return;
	snprintf(new.kind, sizeof(new.kind), "%s", kind);
	snprintf(new.what, sizeof(new.what), "%s", what ? what : "");
	snprintf(new.pod, sizeof(new.pod), "%s", pod);
	struct trouble *t = place_for(h, &new);
	new.count = t->count + 1;
	new.first_ms = t->count ? t->first_ms : new.last_ms;
	*t = new;
}

/* --- the page -------------------------------------------------------------------------------- */

static void add_text(struct str *s, const char *key, const char *value)
{
	str_printf(s, ",\"%s\":", key);
	str_add_json(s, value, strlen(value));
}

static void add_troubles(struct str *s, const struct history *h)
{
	bool comma = false;
	str_add_text(s, "],\"troubles\":[");
	for (size_t i = 0; i < TROUBLES; i++) {
		const struct trouble *it = &h->troubles[i];
		if (!it->count)
			continue;
		str_printf(s, "%s{\"at\":%lld,\"firstAt\":%lld,\"count\":%llu", comma ? "," : "",
			   (long long)it->last_ms, (long long)it->first_ms,
			   (unsigned long long)it->count);
		add_text(s, "kind", it->kind);
		add_text(s, "what", it->what);
		add_text(s, "pod", it->pod);
		str_add_char(s, '}');
		comma = true;
	}
}

static void add_point(struct page *page, const struct point *p)
{
	struct str *s = &page->text;
	str_printf(s, "%s[%lld,%lld,%lld,%lld,%lld,%lld,%lld", page->inner_comma ? "," : "",
		   (long long)p->at_ms, (long long)p->wanted, (long long)p->starting,
		   (long long)p->ready, (long long)p->working, (long long)p->waiting,
		   (long long)p->at_work);
	page->inner_comma = true;
	for (int i = 0; i < TOTALS; i++)
		str_printf(s, ",%llu", (unsigned long long)p->totals[i]);
	for (int i = 0; i < TIMES * QUANTILES; i++) {
		int64_t us = p->times_us[i / QUANTILES][i % QUANTILES];
		if (us < 0)
			str_add_text(s, ",null");
		else
			str_printf(s, ",%.3f", (double)us / US_PER_S);
	}
	str_add_char(s, ']');
}

static void begin_service(struct page *page, const struct backend *b)
{
	const struct history *h = b->history;
	str_add_text(&page->text, page->comma ? ",{\"name\":" : "{\"name\":");
	str_add_json(&page->text, b->name, strlen(b->name));
	str_add_text(&page->text, ",\"points\":[");
	page->comma = true;
	page->inner_comma = false;
	page->at = h && h->point_count > POINTS ? h->point_count - POINTS : 0;
}

/* Some more points of the service; at their end, the rest of it. */
static bool add_some(struct page *page, const struct backend *b)
{
	const struct history *h = b ? b->history : NULL;
	size_t end = h ? h->point_count : 0;
	if (h && end > POINTS && page->at < end - POINTS)
		page->at = end - POINTS; /* the ring has moved on meanwhile */
	for (int n = 0; n < POINTS_A_STEP && page->at < end; page->at++) {
		const struct point *p = &h->points[page->at % POINTS];
		if (p->at_ms <= page->since_ms)
			continue;
		add_point(page, p);
		n++;
	}
	if (page->at < end)
		return true;
	if (h)
		add_troubles(&page->text, h);
	str_add_text(&page->text, "]}");
	return false;
}

static void begin(struct page *page)
{
	fleet_begin(&page->fleet, page->gateway);
	page->fleet.services_only = true;
	str_printf(&page->text, "{\"now\":%lld,\"intervalSeconds\":%d,\"columns\":[",
		   (long long)(clock_wall_us() / US_PER_MS), INTERVAL_S);
	str_add_text(&page->text,
		     "\"at\",\"wanted\",\"starting\",\"ready\",\"working\",\"waiting\",\"atWork\","
		     "\"ok\",\"clientErrors\",\"serverErrors\",\"aborted\",\"refused\","
		     "\"p50\",\"p90\",\"p95\",\"p99\",\"waitP50\",\"waitP90\",\"waitP95\","
		     "\"waitP99\",\"workP50\",\"workP90\",\"workP95\",\"workP99\"],"
		     "\"services\":[");
}

static bool step(struct page *page)
{
	return page_step_services(page, begin_service, add_some);
}

static void end(struct page *page)
{
	fleet_end(&page->fleet);
}

const struct page_kind history_page = {"/v1/history", begin, step, end};
