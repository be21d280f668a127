/* The live state as JSON. */
#include "gateway/admin/services_json.h"

#include <string.h>

#include "base/clock.h"
#include "gateway/backend.h"
#include "gateway/gateway.h"

static void add_text(struct str *s, const char *key, const char *value)
{
	str_printf(s, "\"%s\":", key);
	str_add_json(s, value, strlen(value));
}

static void add_slots(struct str *s, const int64_t counts[SLOT_STATES], int64_t free_slots)
{
	str_printf(s, "\"slots\":{\"free\":%lld", (long long)free_slots);
	for (int i = 0; i < SLOT_STATES; i++)
		str_printf(s, ",\"%s\":%lld", slot_state_name((enum slot_state)i),
			   (long long)counts[i]);
	str_add_char(s, '}');
}

static int64_t shown_free(const struct backend *b, const struct pod *p)
{
	bool limited = b->config->container_concurrency > 0;
	return limited && p->state == POD_READY ? pod_free_places(p) : 0;
}

/* What stands between two members of a list. */
static void next_member(struct page *page)
{
	str_add_text(&page->text, page->inner_comma ? ",{" : "{");
	page->inner_comma = true;
}

static void add_pod(struct page *page, const struct backend *b, const struct pod *p)
{
	struct str *s = &page->text;
	int64_t now_us = loop_now_us(page->gateway->loop);
	char where[NET_TEXT_BYTES] = "";
	const struct net_address *address = activator_pod_address(b->activator, p->id);
	if (address)
		net_format(address, where);
	next_member(page);
	add_text(s, "name", p->name);
	str_add_char(s, ',');
	add_text(s, "address", where);
	str_printf(s, ",\"state\":\"%s\",\"stateSeconds\":%.3f", pod_state_name(p->state),
		   (double)(now_us - p->since_us) / US_PER_S);
	str_printf(s, ",\"capacity\":%lld,\"used\":%lld,\"passThrough\":%lld,\"failures\":%d,",
		   p->capacity == INT32_MAX ? 0LL : (long long)p->capacity, (long long)p->used,
		   (long long)p->passes, p->failures);
	add_text(s, "lastAnswer", p->last_answer ? p->last_answer : "");
	str_add_char(s, ',');
	add_slots(s, p->slot_counts, shown_free(b, p));
	str_add_char(s, '}');
}

static void add_scale(struct str *s, const struct backend *b, const struct service_counts *c)
{
	const struct autoscaling_config *a = &b->config->autoscaling;
	str_printf(s, "\"scale\":{\"desired\":%lld,\"ready\":%lld,\"starting\":%lld,",
		   (long long)c->desired, (long long)(c->pods[POD_READY] + c->pods[POD_FULL]),
		   (long long)c->pods[POD_STARTING]);
	str_printf(s, "\"minScale\":%lld,\"maxScale\":%lld,\"panicking\":%s,",
		   (long long)a->min_scale, (long long)a->max_scale,
		   c->panicking ? "true" : "false");
	str_printf(s, "\"stableConcurrency\":%.3f,\"panicConcurrency\":%.3f,",
		   c->stable_concurrency, c->panic_concurrency);
	add_text(s, "failure", service_scaling_failure(backend_service(b)));
	str_add_char(s, '}');
}

static void add_tenant(struct page *page, const struct tenant *tn)
{
	struct str *s = &page->text;
	next_member(page);
	add_text(s, "name", tn->name);
	str_printf(s, ",\"waiting\":%lld,\"waitingPassThrough\":%lld,\"uploading\":%lld,",
		   (long long)tn->waiting, (long long)tn->waiting_passes,
		   (long long)(tn->uploading + tn->uploading_passes));
	str_printf(s, "\"working\":%lld,\"maxQueued\":%lld,\"maxWorking\":%lld,\"leaving\":%s}",
		   (long long)tn->working, (long long)tn->caps.max_queued,
		   (long long)tn->caps.max_working, tn->is_dropped ? "true" : "false");
}

/* All of a service but its tenants and pods, which follow. */
static void begin_service(struct page *page, const struct backend *b)
{
	struct str *s = &page->text;
	struct service_counts c;
	service_count(backend_service(b), loop_now_us(page->gateway->loop), &c);
	str_add_text(s, page->comma ? ",{" : "{");
	page->comma = true;
	add_text(s, "name", b->name);
	str_printf(s, ",\"concurrency\":%g,\"passThrough\":%lld,", c.concurrency,
		   (long long)c.passes);
	str_printf(s,
		   "\"queue\":{\"waiting\":%lld,\"waitingPassThrough\":%lld,\"uploading\":%lld,"
		   "\"maxRequests\":%lld},",
		   (long long)c.waiting, (long long)c.waiting_passes, (long long)c.uploading,
		   (long long)b->config->queue.max_requests);
	add_slots(s, c.slots, b->config->container_concurrency > 0 ? c.free_slots : 0);
	str_add_char(s, ',');
	add_scale(s, b, &c);
	str_add_text(s, ",\"tenants\":[");
	page->inner_comma = false;
}

/* From the tenants on to the pods; also where there are none. */
static void begin_pods(struct page *page)
{
	if (!page->at++) {
		str_add_text(&page->text, "],\"pods\":[");
		page->inner_comma = false;
	}
}

static void begin(struct page *page)
{
	fleet_begin(&page->fleet, page->gateway);
	str_add_text(&page->text, "{\"services\":[");
}

static bool step(struct page *page)
{
	struct fleet_walk *w = &page->fleet;
	switch (fleet_next(w)) {
	case FLEET_SERVICE:
		page->at = 0;
		begin_service(page, w->backend);
		return true;
	case FLEET_TENANT:
		add_tenant(page, w->tenant);
		return true;
	case FLEET_POD:
		begin_pods(page);
		add_pod(page, w->backend, w->pod);
		return true;
	case FLEET_SERVICE_END:
		begin_pods(page);
		str_add_text(&page->text, "]}");
		return true;
	case FLEET_END:
		str_add_text(&page->text, "]}\n");
		return false;
	}
	return false;
}

static void end(struct page *page)
{
	fleet_end(&page->fleet);
}

const struct page_kind services_page = {"/v1/services", begin, step, end};
