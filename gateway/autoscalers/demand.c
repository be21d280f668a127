/* What a service asks of whoever scales its pods. */
#include "gateway/autoscalers/demand.h"

#include "gateway/backend.h"
#include "gateway/gateway.h"

/* Of the target: more than nothing, and never a second pod. */
static const double PASSES_SHARE = 0.1;

void demand_read(struct backend *b, struct demand *d)
{
	struct service_counts c;
	activator_settle(b->activator);
	service_count(backend_service(b), loop_now_us(b->gateway->loop), &c);
	int64_t in_flight = 0;
	for (int i = 0; i < SLOT_STATES; i++)
		in_flight += c.slots[i];
	*d = (struct demand){
		.concurrency = c.concurrency,
		.concurrency_us = c.concurrency_us,
		.stable_concurrency = c.stable_concurrency,
		.panic_concurrency = c.panic_concurrency,
		.target = c.target,
		.load = c.concurrency,
		.waiting = c.waiting,
		.working = c.slots[SLOT_GRANTED] + c.slots[SLOT_WORKING] + c.slots[SLOT_DRAINING] +
			   c.slots[SLOT_CONFIRMING],
		.in_flight = in_flight,
		.desired_pods = c.desired,
		.ready_pods = c.pods[POD_READY] + c.pods[POD_FULL],
		.is_active = service_is_active(backend_service(b)),
	};
	if (d->is_active && d->load <= 0)
		d->load = d->target * PASSES_SHARE;
}

void demand_add_json(struct str *s, struct backend *b)
{
	struct demand d;
	demand_read(b, &d);
	str_printf(s, "{\"service\":\"%s\",\"active\":%s,\"concurrency\":%g,", b->name,
		   d.is_active ? "true" : "false", d.concurrency);
	str_printf(s, "\"load\":%g,", d.load);
	str_printf(s, "\"stableConcurrency\":%.3f,\"panicConcurrency\":%.3f,\"target\":%g,",
		   d.stable_concurrency, d.panic_concurrency, d.target);
	str_printf(s, "\"waiting\":%lld,\"working\":%lld,\"readyPods\":%lld}\n",
		   (long long)d.waiting, (long long)d.working, (long long)d.ready_pods);
}

void demand_init(struct backend *b)
{
	list_init(&b->watchers.list);
}

void demand_watch(struct backend *b, struct demand_watch *w)
{
	list_push_back(&b->watchers.list, &w->link);
}

void demand_unwatch(struct demand_watch *w)
{
	list_remove(&w->link);
}

void demand_settled(struct backend *b)
{
	bool is_active = service_is_active(backend_service(b));
	if (is_active == b->watchers.were_told_active)
		return;
	b->watchers.were_told_active = is_active;
	LIST_EACH(w, &b->watchers.list, struct demand_watch, link)
		w->changed(w->owner, is_active);
}

void demand_retired(struct backend *b)
{
	LIST_EACH(w, &b->watchers.list, struct demand_watch, link) {
		list_remove(&w->link);
		w->gone(w->owner);
	}
}
