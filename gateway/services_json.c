/* The live state as JSON. */
#include "gateway/services_json.h"

#include <string.h>

#include "base/clock.h"
#include "gateway/backend.h"
#include "gateway/gateway.h"

struct writer {
	struct str *out;
	struct backend *backend;
	int64_t now_us;
	bool comma;
};

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

static void add_pod(void *arg, const struct pod *p)
{
	struct writer *w = arg;
	struct str *s = w->out;
	char where[NET_TEXT_BYTES] = "";
	const struct net_address *address = activator_pod_address(w->backend->activator, p->id);
	if (address)
		net_format(address, where);
	str_add_text(s, w->comma ? ",{" : "{");
	w->comma = true;
	add_text(s, "name", p->name);
	str_add_char(s, ',');
	add_text(s, "address", where);
	str_printf(s, ",\"state\":\"%s\",\"stateSeconds\":%.3f", pod_state_name(p->state),
		   (double)(w->now_us - p->since_us) / US_PER_S);
	str_printf(s, ",\"capacity\":%lld,\"used\":%lld,\"passThrough\":%lld,\"failures\":%d,",
		   p->capacity == INT32_MAX ? 0LL : (long long)p->capacity, (long long)p->used,
		   (long long)p->passes, p->failures);
	add_text(s, "lastAnswer", p->last_answer ? p->last_answer : "");
	str_add_char(s, ',');
	add_slots(s, p->slot_counts, shown_free(w->backend, p));
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

static void add_tenant(void *arg, const struct tenant *tn)
{
	struct writer *w = arg;
	struct str *s = w->out;
	str_add_text(s, w->comma ? ",{" : "{");
	w->comma = true;
	add_text(s, "name", tn->name);
	str_printf(s, ",\"waiting\":%lld,\"waitingPassThrough\":%lld,\"uploading\":%lld,",
		   (long long)tn->waiting, (long long)tn->waiting_passes,
		   (long long)(tn->uploading + tn->uploading_passes));
	str_printf(s, "\"working\":%lld,\"maxQueued\":%lld,\"maxWorking\":%lld,\"leaving\":%s}",
		   (long long)tn->working, (long long)tn->caps.max_queued,
		   (long long)tn->caps.max_working, tn->is_dropped ? "true" : "false");
}

static void add_service(struct writer *w, struct backend *b)
{
	struct str *s = w->out;
	struct service_counts c;
	int64_t free_slots = 0;
	service_count(backend_service(b), w->now_us, &c);
	if (b->config->container_concurrency > 0)
		free_slots = c.free_slots;
	str_add_char(s, '{');
	add_text(s, "name", b->name);
	str_printf(s, ",\"concurrency\":%g,\"passThrough\":%lld,", c.concurrency,
		   (long long)c.passes);
	str_printf(s,
		   "\"queue\":{\"waiting\":%lld,\"waitingPassThrough\":%lld,\"uploading\":%lld,"
		   "\"maxRequests\":%lld},",
		   (long long)c.waiting, (long long)c.waiting_passes, (long long)c.uploading,
		   (long long)b->config->queue.max_requests);
	add_slots(s, c.slots, free_slots);
	str_add_char(s, ',');
	add_scale(s, b, &c);
	w->backend = b;
	str_add_text(s, ",\"tenants\":[");
	w->comma = false;
	service_each_tenant(backend_service(b), add_tenant, w);
	str_add_text(s, "],\"pods\":[");
	w->comma = false;
	service_each_pod(backend_service(b), add_pod, w);
	str_add_text(s, "]}");
}

void services_json_write(struct gateway *gw, struct str *s)
{
	struct writer w = {.out = s, .now_us = loop_now_us(gw->loop)};
	bool comma = false;
	str_add_text(s, "{\"services\":[");
	LIST_EACH(b, &gw->backends, struct backend, link) {
		if (comma)
			str_add_char(s, ',');
		comma = true;
		add_service(&w, b);
	}
	str_add_text(s, "]}\n");
}
