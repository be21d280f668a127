/* The metrics API's values: a page, made in slices, as there may be a thousand pods. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "gateway/admin/pages.h"
#include "gateway/autoscalers/label_selector.h"
#include "gateway/autoscalers/metrics_api_parts.h"
#include "gateway/autoscalers/quantity.h"
#include "gateway/backend.h"
#include "gateway/gateway.h"

/* --- the metrics ----------------------------------------------------------------------------- */

static double concurrency(const struct demand *d)
{
	return d->concurrency;
}

static double stable_concurrency(const struct demand *d)
{
	return d->stable_concurrency;
}

static double panic_concurrency(const struct demand *d)
{
	return d->panic_concurrency;
}

static double queued(const struct demand *d)
{
	return (double)d->waiting;
}

static double in_flight(const struct demand *d)
{
	return (double)d->in_flight;
}

static double desired(const struct demand *d)
{
	return (double)d->desired_pods;
}

static int64_t slots_of(const struct pod *p)
{
	int64_t n = 0;
	for (int i = 0; i < SLOT_STATES; i++)
		n += p->slot_counts[i];
	return n;
}

static double in_flight_of(const struct demand *d, const struct pod *p)
{
	(void)d;
	return (double)slots_of(p);
}

/* What it works on, and its share of what waits: over all pods that is the service's. */
static double concurrency_of(const struct demand *d, const struct pod *p)
{
	bool is_open = p->state == POD_READY || p->state == POD_FULL;
	double waiting = d->concurrency - (double)d->working;
	double works = (double)(slots_of(p) - p->slot_counts[SLOT_QUARANTINED]);
	return works + (is_open && d->ready_pods ? waiting / (double)d->ready_pods : 0);
}

const struct api_metric api_metrics[API_METRICS] = {
	{"slotgate_concurrency", concurrency, concurrency_of},
	{"slotgate_in_flight_requests", in_flight, in_flight_of},
	{"slotgate_stable_concurrency", stable_concurrency, NULL},
	{"slotgate_panic_concurrency", panic_concurrency, NULL},
	{"slotgate_queued_requests", queued, NULL},
	{"slotgate_desired_pods", desired, NULL},
};

/* --- a question being answered --------------------------------------------------------------- */

struct answering {
	struct api_question question;
	char time[CLOCK_TEXT_BYTES];
	struct demand demand; /* of the service that it is in, also for all of its pods */
	bool has_any;
};

static struct answering *answering_of(const struct page *page)
{
	return page->detail;
}

/* Of the service itself, where it is not an object of Kubernetes'. */
static struct slice find_service_label(const void *arg, struct slice key)
{
	const struct backend *b = arg;
	return slice_is(key, "service") ? slice_of(b->name) : (struct slice){NULL, 0};
}

static bool fits(const char *selector, label_find_fn *find, const void *arg)
{
	return label_selector_look(slice_of(selector), find, arg) == LABELS_FIT;
}

/* Whether the backend is seen in the question's namespace. */
static bool is_seen(const struct page *page, const struct backend *b, struct provider_object *o,
		    bool *is_object)
{
	const struct api_question *q = &answering_of(page)->question;
	const char *own = page->gateway->config->metrics_api.name_space;
	if (b->is_retired)
		return false;
	*is_object = provider_object(activator_provider(b->activator), 0, o);
	if (*is_object)
		own = o->name_space;
	return !own || strcmp(own, q->name_space) == 0;
}

static void open_list(struct page *page)
{
	const struct answering *a = answering_of(page);
	const struct metrics_api *api = a->question.api;
	str_printf(&page->text,
		   "{\"kind\":\"%s\",\"apiVersion\":\"%s/%s\",\"metadata\":{},\"items\":[",
		   api->is_custom ? "MetricValueList" : "ExternalMetricValueList", api->group,
		   api->version);
}

static void begin_item(struct page *page)
{
	struct answering *a = answering_of(page);
	if (!a->has_any)
		open_list(page);
	str_add_text(&page->text, a->has_any ? ",{" : "{");
	a->has_any = true;
}

static void end_item(struct page *page, double value)
{
	str_printf(&page->text, "\"timestamp\":\"%s\",\"value\":\"", answering_of(page)->time);
	quantity_add(&page->text, value);
	str_add_text(&page->text, "\"}");
}

static void add_external(struct page *page, struct backend *b, double value)
{
	begin_item(page);
	str_printf(&page->text, "\"metricName\":\"%s\",\"metricLabels\":{\"service\":\"%s\"},",
		   answering_of(page)->question.metric->name, b->name);
	end_item(page, value);
}

static void add_text(struct page *page, const char *key, const char *value)
{
	str_add_text(&page->text, key);
	str_add_json(&page->text, value, strlen(value));
}

static void add_custom(struct page *page, const struct provider_object *o, double value)
{
	const struct api_question *q = &answering_of(page)->question;
	bool is_first_version = strcmp(q->api->version, "v1beta1") == 0;
	begin_item(page);
	str_printf(&page->text, "\"describedObject\":{\"kind\":\"%s\",\"apiVersion\":\"v1\"",
		   q->subject == ABOUT_PODS ? "Pod" : "Service");
	add_text(page, ",\"namespace\":", o->name_space);
	add_text(page, ",\"name\":", o->name);
	add_text(page, ",\"uid\":", o->uid);
	str_add_text(&page->text, "},");
	str_printf(&page->text,
		   is_first_version ? "\"metricName\":\"%s\",\"selector\":null,"
				    : "\"metric\":{\"name\":\"%s\",\"selector\":null},",
		   q->metric->name);
	end_item(page, value);
}

static bool is_meant(const struct api_question *q, const struct provider_object *o)
{
	if (strcmp(q->object, "*") != 0)
		return strcmp(q->object, o->name) == 0;
	return fits(q->selector, label_find_in_text, o->labels);
}

/* --- the steps ------------------------------------------------------------------------------- */

/* Whether its pods are meant, perhaps. */
static bool add_service(struct page *page, struct backend *b)
{
	struct answering *a = answering_of(page);
	const struct api_question *q = &a->question;
	struct provider_object o;
	bool is_object;
	if (!is_seen(page, b, &o, &is_object))
		return false;
	demand_read(b, &a->demand);
	bool is_of_it = fits(q->subject == ABOUT_LABELS ? q->selector : q->metric_selector,
			     find_service_label, b);
	if (q->subject == ABOUT_LABELS && is_of_it)
		add_external(page, b, q->metric->of_service(&a->demand));
	if (q->subject == ABOUT_SERVICES && is_of_it && is_object && is_meant(q, &o))
		add_custom(page, &o, q->metric->of_service(&a->demand));
	return q->subject == ABOUT_PODS && is_of_it && is_object;
}

static void add_pod(struct page *page, const struct backend *b, const struct pod *p)
{
	const struct answering *a = answering_of(page);
	struct provider_object o;
	if (provider_object(activator_provider(b->activator), p->id, &o) &&
	    is_meant(&a->question, &o))
		add_custom(page, &o, a->question.metric->of_pod(&a->demand, p));
}

/* An autoscaler tells its people what it was answered: an empty list would say nothing. */
static void add_nothing(struct page *page)
{
	static const char *const remedies[] = {
		[ABOUT_LABELS] = "no service of slotgate's is in the namespace \"%s\" and has "
				 "these labels; the one label is service=NAME, as /v1/services of "
				 "the admin address lists them",
		[ABOUT_SERVICES] = "no service of slotgate's has pods behind such a Service in the "
				   "namespace \"%s\" (pods.kubernetes.service in its "
				   "configuration)",
		[ABOUT_PODS] = "slotgate knows no such pod in the namespace \"%s\": there may be "
			       "none yet, and the Service that is its pods.kubernetes.service "
			       "must select it",
	};
	const struct api_question *q = &answering_of(page)->question;
	struct str why;
	str_init(&why);
	str_printf(&why, remedies[q->subject], q->name_space);
	page->status = api_status(API_NOT_FOUND);
	api_add_status(&page->text, API_NOT_FOUND, why.failed ? "" : why.at);
	str_release(&why);
}

static void begin(struct page *page)
{
	struct answering *a = answering_of(page);
	fleet_begin(&page->fleet, page->gateway);
	page->fleet.services_only = a->question.subject != ABOUT_PODS;
	clock_format(clock_wall_us(), a->time);
	char *fraction = strchr(a->time, '.'); /* Kubernetes' times are of whole seconds */
	if (fraction)
		snprintf(fraction, 2, "Z");
}

static bool step(struct page *page)
{
	struct fleet_walk *w = &page->fleet;
	switch (fleet_next(w)) {
	case FLEET_SERVICE:
		page->is_inside = add_service(page, w->backend);
		return true;
	case FLEET_TENANT:
	case FLEET_SERVICE_END:
		return true;
	case FLEET_POD:
		if (page->is_inside)
			add_pod(page, w->backend, w->pod);
		return true;
	case FLEET_END:
		if (answering_of(page)->has_any)
			str_add_text(&page->text, "]}\n");
		else
			add_nothing(page);
		return false;
	}
	return false;
}

static void end(struct page *page)
{
	fleet_end(&page->fleet);
}

static const struct page_kind values_page = {"/apis", begin, step, end};

void api_show_values(struct exchange *x, const struct api_question *q, bool is_head)
{
	struct answering *a = mem_zalloc(sizeof(*a));
	struct page *page = a ? page_new(x, &values_page, "application/json", is_head) : NULL;
	if (!a)
		api_refuse(x, API_UNAVAILABLE, "there is no memory for it: ask again", is_head);
	if (!page) {
		mem_free(a);
		return;
	}
	a->question = *q;
	page->detail = a;
	page_start(page);
}
