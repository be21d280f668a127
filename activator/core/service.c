/* The ledger's interface: requests, grants and decisions. */
#include "activator/core/service.h"

#include <assert.h>
#include <string.h>

#include "activator/core/ledger.h"
#include "base/mem.h"

/* --- life ------------------------------------------------------------------------------------ */

struct service *service_new(const struct service_config *config, bool scalable,
			    const struct service_observer *observer, void *arg, int64_t now_us)
{
	struct service *s = mem_zalloc(sizeof(*s));
	if (!s)
		return NULL;
	if (!lanes_init(s))
		goto no_memory;
	if (!autoscaler_init(&s->autoscaler, &config->autoscaling, config->container_concurrency,
			     now_us))
		goto no_memory;
	s->config = config;
	s->observer = observer;
	s->observer_arg = arg;
	s->scalable = scalable;
	list_init(&s->pass_queue);
	list_init(&s->refused);
	list_init(&s->questions);
	list_init(&s->removals);
	list_init(&s->forgotten);
	for (int i = 0; i < POD_STATES; i++)
		list_init(&s->pods[i]);
	map_init(&s->pod_names);
	table_init(&s->pod_ids);
	table_init(&s->slot_ids);
	heap_init(&s->pod_timers);
	starts_init(s);
	s->warm_us = now_us;
	return s;

no_memory:
	lanes_release(s);
	mem_free(s);
	return NULL;
}

void service_free(struct service *s)
{
	if (!s)
		return;
	assert(!heap_top(&s->lanes) && list_is_empty(&s->pass_queue));
	pods_free(s);
	LIST_EACH(slot, &s->forgotten, struct slot, link)
		mem_free(slot);
	lanes_release(s);
	autoscaler_release(&s->autoscaler);
	map_release(&s->pod_names);
	table_release(&s->pod_ids);
	table_release(&s->slot_ids);
	heap_release(&s->pod_timers);
	coldstarts_release(&s->starts);
	mem_free(s);
}

void service_configure(struct service *s, const struct service_config *config, int64_t now_us)
{
	bool resized = config->container_concurrency != s->config->container_concurrency;
	s->config = config;
	/* Without memory for another window the old one goes on: nothing is lost by that. */
	autoscaler_configure(&s->autoscaler, &config->autoscaling, config->container_concurrency,
			     now_us);
	for (int i = 0; i < POD_STATES; i++)
		LIST_EACH(p, &s->pods[i], struct pod, link)
			pod_watch(s, p, now_us);
	if (resized)
		pods_resize(s, now_us);
	if (config->idle.kind == CHECK_NONE)
		pods_trust(s, now_us);
	s->match_due = true;
	scale_tick(s, now_us);
}

/* --- slots ----------------------------------------------------------------------------------- */

/* What the autoscaler sees: all that works or waits. A quarantined slot works for nobody. Of a
 * tenant's tickets only as many count as its cap lets run: for the others no pod, however many
 * there were, would do anything. */
void service_observe(struct service *s, int64_t now_us)
{
	int64_t busy = s->slot_counts[SLOT_GRANTED] + s->slot_counts[SLOT_WORKING] +
		       s->slot_counts[SLOT_DRAINING] + s->slot_counts[SLOT_CONFIRMING];
	if (!busy)
		s->busy_since_us = 0;
	else if (!s->busy_since_us)
		s->busy_since_us = now_us;
	double concurrency = (double)(busy + s->runnable_waiting);
	autoscaler_observe(&s->autoscaler, concurrency, now_us);
	need_observe(&s->need, concurrency, s->autoscaler.target, now_us);
}

static void count_slot(struct service *s, struct slot *slot, int by)
{
	if (slot->is_pass)
		return;
	slot->pod->slot_counts[slot->state] += by;
	s->slot_counts[slot->state] += by;
}

/* Changes what a tenant works on, and with it whether more of it may run. */
static void use_tenant(struct service *s, struct tenant *tn, int by)
{
	if (!tn)
		return;
	tn->working += by;
	if (tn->caps.max_working)
		lane_settle(s, tn);
}

/* Changes what a pod has in use, and with it what may be granted. */
static void use_places(struct service *s, struct pod *p, int64_t by, int64_t now_us)
{
	p->used += by;
	if (p->state == POD_READY)
		s->free_places -= by;
	pod_use_settle(s, p, now_us);
}

struct slot *slot_new(struct service *s, struct pod *p, const struct ticket *t, int64_t now_us)
{
	struct slot *slot = mem_zalloc(sizeof(*slot));
	if (!slot)
		return NULL;
	slot->id = table_add(&s->slot_ids, slot);
	if (!slot->id) {
		mem_free(slot);
		return NULL;
	}
	slot->pod = p;
	slot->owner = t->owner;
	slot->since_us = slot->granted_us = now_us;
	slot->is_pass = t->kind == TICKET_PASS;
	slot->is_exclusive = t->kind == TICKET_EXCLUSIVE;
	slot->freed_by_idle = t->freed_by_idle && !slot->is_pass;
	slot->weight = slot->is_pass ? 0 : slot->is_exclusive ? p->capacity : 1;
	slot->state = SLOT_GRANTED;
	slot->tenant = slot->is_pass ? NULL : tenant_of(s, t);
	list_push_back(&p->slots[SLOT_GRANTED], &slot->link);
	count_slot(s, slot, 1);
	use_places(s, p, slot->weight, now_us);
	use_tenant(s, slot->tenant, 1);
	p->passes += slot->is_pass;
	s->passes += slot->is_pass;
	s->observer->slot_moved(s->observer_arg, slot, SLOT_STATES);
	return slot;
}

void slot_move(struct service *s, struct slot *slot, enum slot_state to, int64_t now_us)
{
	enum slot_state from = slot->state;
	if (from == to)
		return;
	list_remove(&slot->link);
	count_slot(s, slot, -1);
	slot->state = to;
	slot->since_us = now_us;
	count_slot(s, slot, 1);
	list_push_back(&slot->pod->slots[to], &slot->link);
	s->observer->slot_moved(s->observer_arg, slot, from);
	if (to == SLOT_WORKING && !slot->is_pass)
		starts_note(s, slot->pod, COLDSTART_REQUESTED, now_us);
	service_observe(s, now_us);
}

void slot_free(struct service *s, struct slot *slot, bool forget, int64_t now_us)
{
	struct pod *p = slot->pod;
	int64_t could_run = s->runnable_waiting;
	list_remove(&slot->link);
	count_slot(s, slot, -1);
	use_places(s, p, -slot->weight, now_us);
	use_tenant(s, slot->tenant, -1);
	p->passes -= slot->is_pass;
	p->interrupts -= slot->is_interrupted;
	s->passes -= slot->is_pass;
	table_remove(&s->slot_ids, slot->id);
	s->observer->slot_freed(s->observer_arg, slot, now_us);
	slot->pod = NULL;
	slot->tenant = NULL;
	if (s->runnable_waiting > could_run && service_is_cold(s))
		s->autoscaler.next_tick_us = now_us; /* it may be worth a first pod now */
	if (forget)
		list_push_back(&s->forgotten, &slot->link);
	else
		mem_free(slot);
	s->match_due = true;
	service_observe(s, now_us);
}

/* --- requests -------------------------------------------------------------------------------- */

static void refuse(struct service *s, struct ticket *t, enum refusal why, int64_t now_us)
{
	t->refusal = why;
	t->retry_after_us = service_retry_after_us(s, t, now_us);
}

/* No pod, and none can be had. */
static bool is_hopeless(const struct service *s, int64_t now_us)
{
	return s->scaling_failed_until_us > now_us && !service_may_have_pods(s);
}

/* As for the whole queue, what could go to a pod at once does not count as queued. */
static bool is_tenant_full(const struct service *s, const struct tenant *tn, bool is_pass)
{
	int64_t jobs = tn->uploading + tn->waiting;
	int64_t passes = tn->uploading_passes + tn->waiting_passes;
	int64_t room = tenant_room(tn) < s->free_places ? tenant_room(tn) : s->free_places;
	if (!tn->caps.max_queued)
		return false;
	if (is_pass)
		return passes >= tn->caps.max_queued + s->config->pass_through.max_requests_per_pod;
	return jobs >= tn->caps.max_queued + room;
}

static enum refusal refusal_for(struct service *s, const struct ticket *t, int64_t now_us)
{
	int64_t most = s->config->queue.max_requests;
	bool is_pass = t->kind == TICKET_PASS;
	int64_t held = s->uploading + (is_pass ? s->waiting_passes : s->waiting);
	if (s->closed)
		return REFUSAL_CLOSING;
	if (is_hopeless(s, now_us))
		return REFUSAL_SCALING_FAILED;
	if (is_pass && service_is_cold(s) && !s->config->pass_through.wait_when_cold)
		return REFUSAL_NO_PODS;
	if (is_pass && s->uploading_passes + s->waiting_passes + s->passes >=
			       s->config->pass_through.max_requests)
		return REFUSAL_PASSES_FULL;
	if (held >= most + (is_pass ? 1 : s->free_places))
		return REFUSAL_QUEUE_FULL;
	if (is_tenant_full(s, tenant_of(s, t), is_pass))
		return REFUSAL_TENANT_QUEUE_FULL;
	return REFUSAL_NONE;
}

static void count_uploading(struct service *s, const struct ticket *t, int by)
{
	struct tenant *tn = tenant_of(s, t);
	s->uploading += by;
	s->uploading_passes += t->kind == TICKET_PASS ? by : 0;
	*(t->kind == TICKET_PASS ? &tn->uploading_passes : &tn->uploading) += by;
}

/* Puts it on its queue, or takes it off. */
static void set_waiting(struct service *s, struct ticket *t, bool waits, int64_t now_us)
{
	struct tenant *tn = tenant_of(s, t);
	bool is_pass = t->kind == TICKET_PASS;
	int by = waits ? 1 : -1;
	if (waits)
		lane_insert(is_pass ? &s->pass_queue : &tn->lane, t);
	else
		list_remove(&t->link);
	*(is_pass ? &s->waiting_passes : &s->waiting) += by;
	*(is_pass ? &tn->waiting_passes : &tn->waiting) += by;
	if (!is_pass)
		lane_settle(s, tn);
	s->match_due = true; /* another may be first now, and want a whole pod */
	service_observe(s, now_us);
}

bool service_admit(struct service *s, struct ticket *t, int64_t now_us)
{
	assert(t->state == TICKET_OUTSIDE);
	enum refusal why = refusal_for(s, t, now_us);
	if (why != REFUSAL_NONE) {
		refuse(s, t, why, now_us);
		return false;
	}
	t->state = TICKET_ADMITTED;
	count_uploading(s, t, 1);
	return true;
}

void ticket_wait(struct service *s, struct ticket *t, int64_t now_us)
{
	t->state = TICKET_WAITING;
	set_waiting(s, t, true, now_us);
	if (s->waiting + s->waiting_passes == 1)
		pods_hurry(s, now_us);
	if (service_is_cold(s))
		scale_wake(s, now_us);
}

void service_enqueue(struct service *s, struct ticket *t, int64_t now_us)
{
	assert(t->state == TICKET_ADMITTED);
	count_uploading(s, t, -1);
	t->order = t->id = ++s->last_order;
	t->enqueued_us = now_us;
	ticket_wait(s, t, now_us);
}

void ticket_leave(struct service *s, struct ticket *t, int64_t now_us)
{
	match_unreserve(s, t->id);
	t->state = TICKET_OUTSIDE;
	set_waiting(s, t, false, now_us);
}

void service_cancel(struct service *s, struct ticket *t, int64_t now_us)
{
	switch (t->state) {
	case TICKET_OUTSIDE:
		break;
	case TICKET_ADMITTED:
		t->state = TICKET_OUTSIDE;
		count_uploading(s, t, -1);
		break;
	case TICKET_WAITING:
		ticket_leave(s, t, now_us);
		break;
	case TICKET_REFUSED:
		list_remove(&t->link);
		t->state = TICKET_OUTSIDE;
		break;
	}
}

void service_close(struct service *s, int64_t now_us)
{
	s->closed = true;
	service_observe(s, now_us);
}

void service_open(struct service *s, int64_t now_us)
{
	s->closed = false;
	s->match_due = true;
	pods_ask_again(s, now_us);
	service_observe(s, now_us);
}

/* --- grants ---------------------------------------------------------------------------------- */

static struct slot *slot_get(const struct service *s, uint64_t grant)
{
	return table_get(&s->slot_ids, grant);
}

void service_started(struct service *s, uint64_t grant, int64_t now_us)
{
	struct slot *slot = slot_get(s, grant);
	if (slot && slot->state == SLOT_GRANTED)
		slot_move(s, slot, SLOT_WORKING, now_us);
}

void service_client_left(struct service *s, uint64_t grant, int64_t now_us)
{
	struct slot *slot = slot_get(s, grant);
	if (slot && (slot->state == SLOT_GRANTED || slot->state == SLOT_WORKING))
		slot_move(s, slot, SLOT_DRAINING, now_us);
}

static void quarantine(struct service *s, struct slot *slot, const char *kind, int64_t now_us)
{
	struct pod *p = slot->pod;
	if (slot->is_pass) {
		/* It takes no slot, so it can hold none. */
		if (slot->connection_broke)
			slot_free(s, slot, false, now_us);
		pod_fail(s, p, kind, now_us);
		return;
	}
	slot_move(s, slot, SLOT_QUARANTINED, now_us);
	pod_fail(s, p, kind, now_us);
	pod_doubt(s, p, now_us);
	scale_apply(s, now_us);
}

void service_timed_out(struct service *s, uint64_t grant, int64_t now_us)
{
	struct slot *slot = slot_get(s, grant);
	if (!slot || slot->state == SLOT_QUARANTINED || slot->state == SLOT_CONFIRMING)
		return;
	if (!slot->is_pass && slot->state == SLOT_WORKING)
		service_learn_service_time(s,
					   now_us - slot->granted_us); /* it takes at least that */
	quarantine(s, slot, "response_timeout", now_us);
}

void service_broken(struct service *s, uint64_t grant, const char *kind, int64_t now_us)
{
	struct slot *slot = slot_get(s, grant);
	if (!slot || slot->connection_broke)
		return;
	slot->connection_broke = true;
	quarantine(s, slot, kind, now_us);
}

void service_dropped(struct service *s, uint64_t grant, const char *kind, int64_t now_us)
{
	struct slot *slot = slot_get(s, grant);
	if (!slot || !slot->is_pass)
		return;
	struct pod *p = slot->pod;
	slot_free(s, slot, false, now_us);
	if (kind)
		pod_fail(s, p, kind, now_us);
	else
		pod_settle(s, p, now_us);
	scale_apply(s, now_us);
}

void service_interrupting(struct service *s, uint64_t grant, bool begun, int64_t now_us)
{
	struct slot *slot = slot_get(s, grant);
	if (!slot || slot->is_interrupted == begun)
		return;
	slot->is_interrupted = begun;
	slot->pod->interrupts += begun ? 1 : -1;
	if (!begun)
		pod_doubt(s, slot->pod, now_us); /* answers from before do not count */
}

void service_finished(struct service *s, uint64_t grant, int64_t now_us)
{
	struct slot *slot = slot_get(s, grant);
	if (!slot || slot->connection_broke)
		return;
	struct pod *p = slot->pod;
	p->failures = p->ejections = 0;
	if (!slot->is_pass)
		starts_answer_over(s, p);
	if (!slot->is_pass && slot->state == SLOT_WORKING)
		service_learn_service_time(s, now_us - slot->granted_us);
	if (slot->freed_by_idle && s->config->idle.kind != CHECK_NONE) {
		slot->connection_broke = true; /* nothing more will be heard of it */
		slot_move(s, slot, SLOT_CONFIRMING, now_us);
		pod_settle(s, p, now_us);
		pod_doubt(s, p, now_us);
		return;
	}
	slot_free(s, slot, false, now_us);
	pod_settle(s, p, now_us);
}

void service_returned(struct service *s, uint64_t grant, struct ticket *t, enum unsent how,
		      int64_t now_us)
{
	static const char *const kinds[] = {
		[UNSENT_REFUSED] = "refused",
		[UNSENT_TIMEOUT] = "connect_timeout",
		[UNSENT_SAFE] = "broken",
		[UNSENT_NOT_SECURE] = "tls",
	};
	struct slot *slot = slot_get(s, grant);
	if (!slot)
		return;
	struct pod *p = slot->pod;
	uint64_t pod = p->id;
	slot_free(s, slot, false, now_us);
	if (how == UNSENT_STALE) {
		/* The next try opens a connection of its own. */
		pod_settle(s, p, now_us);
		return;
	}
	if (t)
		ticket_skip(t, p->tenure);
	pod_fail(s, p, kinds[how], now_us);
	p = table_get(&s->pod_ids, pod); /* an absent one may have been freed with its last slot */
	if (p && how == UNSENT_REFUSED)
		pod_is_away(s, p, now_us);
	scale_apply(s, now_us);
}

void service_requeue(struct service *s, struct ticket *t, int64_t now_us)
{
	assert(t->state == TICKET_OUTSIDE);
	if (t->attempts < s->config->queue.max_attempts && !s->closed) {
		ticket_wait(s, t, now_us);
		return;
	}
	refuse(s, t, s->closed ? REFUSAL_CLOSING : REFUSAL_ATTEMPTS, now_us);
	t->state = TICKET_REFUSED;
	list_push_back(&s->refused, &t->link);
}

/* --- time and decisions ---------------------------------------------------------------------- */

/* There is no pod, and there never was one that might come back soon. */
static bool waits_for_first_pod(const struct service *s)
{
	return service_is_cold(s) && !s->pod_counts[POD_EJECTED] && !s->pod_counts[POD_QUARANTINED];
}

static int64_t deadline_of(const struct service *s, const struct ticket *t)
{
	const struct queue_config *q = &s->config->queue;
	if (waits_for_first_pod(s))
		return t->enqueued_us + q->cold_start_max_wait_us;
	int64_t from_us = t->enqueued_us > s->warm_us ? t->enqueued_us : s->warm_us;
	return from_us + q->max_wait_us;
}

/* All queues are in order of arrival, so the first to expire is at the front. */
static struct ticket *first_in(const struct list *queue)
{
	return list_is_empty(queue) ? NULL : LIST_FIRST(queue, struct ticket, link);
}

int64_t service_next_deadline_us(const struct service *s)
{
	int64_t at_us = s->autoscaler.next_tick_us;
	const struct heap_node *pod = heap_top(&s->pod_timers);
	const struct ticket *t = queue_first(s), *pass = first_in(&s->pass_queue);
	if (pod && pod->key < at_us)
		at_us = pod->key;
	if (s->scaling_failed_until_us && s->scaling_failed_until_us < at_us)
		at_us = s->scaling_failed_until_us;
	if (t && !t->is_awaited && deadline_of(s, t) < at_us)
		at_us = deadline_of(s, t);
	if (pass && !pass->is_awaited && deadline_of(s, pass) < at_us)
		at_us = deadline_of(s, pass);
	return at_us;
}

void service_tick(struct service *s, int64_t now_us)
{
	if (s->scaling_failed_until_us && now_us >= s->scaling_failed_until_us)
		service_scaling_failed(s, NULL, 0, now_us);
	pods_tick(s, now_us);
	if (now_us >= s->autoscaler.next_tick_us)
		scale_tick(s, now_us);
}

/* Why the first of a queue may wait no longer. */
static enum refusal over(const struct service *s, const struct ticket *t, int64_t now_us)
{
	if (s->closed)
		return REFUSAL_CLOSING;
	if (is_hopeless(s, now_us))
		return REFUSAL_SCALING_FAILED;
	if (t->is_awaited || now_us < deadline_of(s, t))
		return REFUSAL_NONE;
	return waits_for_first_pod(s) ? REFUSAL_COLD_START : REFUSAL_EXPIRED;
}

static bool refuse_late(struct service *s, struct ticket *t, int64_t now_us, struct decision *d)
{
	enum refusal why = t ? over(s, t, now_us) : REFUSAL_NONE;
	if (why == REFUSAL_NONE)
		return false;
	ticket_leave(s, t, now_us);
	refuse(s, t, why, now_us);
	*d = (struct decision){.kind = DECIDE_REFUSE, .ticket = t, .owner = t->owner};
	return true;
}

static bool tell_refused(struct service *s, struct decision *d)
{
	struct ticket *t = first_in(&s->refused);
	if (!t)
		return false;
	list_remove(&t->link);
	t->state = TICKET_OUTSIDE;
	*d = (struct decision){.kind = DECIDE_REFUSE, .ticket = t, .owner = t->owner};
	return true;
}

static bool tell_forgotten(struct service *s, struct decision *d)
{
	if (list_is_empty(&s->forgotten))
		return false;
	struct slot *slot = LIST_FIRST(&s->forgotten, struct slot, link);
	list_remove(&slot->link);
	*d = (struct decision){.kind = DECIDE_FORGET, .owner = slot->owner, .grant = slot->id};
	mem_free(slot);
	return true;
}

static bool tell_scale(struct service *s, struct decision *d)
{
	if (!s->scale_due)
		return false;
	s->scale_due = false;
	*d = (struct decision){.kind = DECIDE_SCALE, .replicas = s->replicas};
	return true;
}

static bool next(struct service *s, int64_t now_us, struct decision *d)
{
	return match_next(s, now_us, d) || refuse_late(s, queue_first(s), now_us, d) ||
	       refuse_late(s, first_in(&s->pass_queue), now_us, d) || tell_refused(s, d) ||
	       tell_forgotten(s, d) || pods_next_question(s, now_us, d) ||
	       scale_next_removal(s, now_us, d) || tell_scale(s, d);
}

bool service_next(struct service *s, int64_t now_us, struct decision *d)
{
	/* A removal that is called off opens a pod: then there is something to match again. */
	do
		if (next(s, now_us, d))
			return true;
	while (s->match_due && !s->closed);
	tenants_reap(s);
	return false;
}

/* --- looking --------------------------------------------------------------------------------- */

void service_count(struct service *s, int64_t now_us, struct service_counts *c)
{
	struct autoscaler *a = &s->autoscaler;
	memset(c, 0, sizeof(*c));
	memcpy(c->pods, s->pod_counts, sizeof(c->pods));
	memcpy(c->slots, s->slot_counts, sizeof(c->slots));
	memcpy(c->uses, s->use_counts, sizeof(c->uses));
	for (int i = 0; i < POD_USES; i++)
		c->use_us[i] = service_use_us(s, (enum pod_use)i, now_us);
	c->free_slots = s->free_places;
	c->passes = s->passes;
	c->uploading = s->uploading;
	c->waiting = s->waiting;
	c->waiting_passes = s->waiting_passes;
	c->desired = a->desired;
	c->concurrency = a->current;
	c->concurrency_us = autoscaler_area(a, now_us);
	c->target = a->target;
	autoscaler_averages(a, now_us, &c->stable_concurrency, &c->panic_concurrency);
	c->panicking = a->panic_us >= 0;
}

bool service_is_active(const struct service *s)
{
	return s->autoscaler.current > 0 || s->waiting_passes > 0 || s->passes > 0;
}

const struct pod *service_pod(const struct service *s, uint64_t pod)
{
	return table_get(&s->pod_ids, pod);
}

const struct pod *service_pod_by_name(const struct service *s, const char *name)
{
	return map_get(&s->pod_names, name);
}

uint64_t service_grant_owner(const struct service *s, uint64_t grant)
{
	const struct slot *slot = slot_get(s, grant);
	return slot ? slot->owner : 0;
}

bool service_grant_is_open(const struct service *s, uint64_t grant)
{
	const struct slot *slot = slot_get(s, grant);
	return slot && !slot->connection_broke;
}

void service_each_pod(const struct service *s, void (*fn)(void *arg, const struct pod *), void *arg)
{
	for (int i = 0; i < POD_STATES; i++)
		LIST_EACH(p, &s->pods[i], struct pod, link)
			fn(arg, p);
}
