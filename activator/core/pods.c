/* The pods' states, and what brings them from one to another. */
#include <string.h>

#include "activator/core/ledger.h"
#include "base/mem.h"

const char *pod_state_name(enum pod_state state)
{
	static const char *const names[POD_STATES] = {
		[POD_STARTING] = "starting",   [POD_CHECKING] = "checking",
		[POD_READY] = "ready",	       [POD_FULL] = "full",
		[POD_EJECTED] = "ejected",     [POD_QUARANTINED] = "quarantined",
		[POD_WITHDRAWN] = "withdrawn", [POD_REMOVING] = "removing",
		[POD_ABSENT] = "absent",
	};
	return names[state];
}

const char *slot_state_name(enum slot_state state)
{
	static const char *const names[SLOT_STATES] = {
		[SLOT_GRANTED] = "granted",	    [SLOT_WORKING] = "working",
		[SLOT_DRAINING] = "draining",	    [SLOT_CONFIRMING] = "confirming",
		[SLOT_QUARANTINED] = "quarantined",
	};
	return names[state];
}

static bool is_open(enum pod_state state)
{
	return state == POD_READY || state == POD_FULL;
}

bool service_is_cold(const struct service *s)
{
	return s->pod_counts[POD_READY] + s->pod_counts[POD_FULL] == 0;
}

bool service_may_have_pods(const struct service *s)
{
	for (int i = POD_STARTING; i <= POD_WITHDRAWN; i++)
		if (s->pod_counts[i])
			return true;
	return false;
}

/* --- moving ---------------------------------------------------------------------------------- */

/* Takes the pod off its list; the counts say then that it is nowhere. */
static void unlist(struct service *s, struct pod *p)
{
	list_remove(&p->link);
	s->pod_counts[p->state]--;
	if (p->state == POD_READY)
		s->free_places -= pod_free_places(p);
}

/* Ready pods are in order of use, the last used first: packing work there lets the others go idle,
 * and one that has never been used comes last. */
static void enlist(struct service *s, struct pod *p, enum pod_state to, bool was_open)
{
	p->state = to;
	s->pod_counts[to]++;
	if (to == POD_READY && was_open)
		list_push_front(&s->pods[to], &p->link);
	else
		list_push_back(&s->pods[to], &p->link);
	if (to == POD_READY)
		s->free_places += pod_free_places(p);
}

void pod_move(struct service *s, struct pod *p, enum pod_state to, int64_t now_us)
{
	enum pod_state from = p->state;
	bool was_cold = service_is_cold(s), was_open = is_open(from);
	unlist(s, p);
	if (is_open(to) && !was_open)
		p->tenure = ++s->last_tenure;
	if (!p->first_tenure)
		p->first_tenure = p->tenure;
	if (!is_open(to))
		match_unreserve(s, p->reserved_for);
	enlist(s, p, to, was_open);
	pod_use_settle(s, p, now_us);
	s->match_due |= is_open(to); /* a full one still takes passes */
	if (from == to)
		return;
	if (was_cold && is_open(to))
		s->warm_us = now_us;
	if (from == POD_CHECKING && is_open(to))
		starts_note(s, p, COLDSTART_CHECKED, now_us);
	p->since_us = now_us;
	p->last_answer = NULL;
	p->idle_answers = 0;
	p->question = 0; /* an answer under way is about another state */
	p->question_us = -1;
	s->observer->pod_moved(s->observer_arg, p, from);
	pod_watch(s, p, now_us);
}

void pod_open(struct service *s, struct pod *p, int64_t now_us)
{
	pod_move(s, p, pod_free_places(p) > 0 ? POD_READY : POD_FULL, now_us);
}

static void eject(struct service *s, struct pod *p, int64_t now_us)
{
	const struct ejection_config *c = &s->config->ejection;
	int64_t back_off_us = c->base_us;
	for (int i = 0; i < p->ejections && back_off_us < c->max_us; i++)
		back_off_us *= 2;
	if (back_off_us > c->max_us)
		back_off_us = c->max_us;
	p->ejections++;
	p->ejected_until_us = now_us + back_off_us;
	pod_move(s, p, POD_EJECTED, now_us);
}

void pod_settle(struct service *s, struct pod *p, int64_t now_us)
{
	if (p->state == POD_ABSENT && pod_is_idle(p)) {
		pod_free(s, p, now_us);
		return;
	}
	if (!is_open(p->state) && p->state != POD_QUARANTINED) {
		pod_watch(s, p, now_us);
		return;
	}
	if (p->slot_counts[SLOT_QUARANTINED])
		pod_move(s, p, POD_QUARANTINED, now_us);
	else if (p->failures >= s->config->ejection.consecutive_failures)
		eject(s, p, now_us);
	else
		pod_open(s, p, now_us);
}

void pod_fail(struct service *s, struct pod *p, const char *kind, int64_t now_us)
{
	p->failures++;
	s->observer->pod_failed(s->observer_arg, p, kind);
	pod_settle(s, p, now_us);
}

void pod_is_away(struct service *s, struct pod *p, int64_t now_us)
{
	p->past_is_known = true; /* what comes back there starts idle */
	if (is_open(p->state) || p->state == POD_CHECKING || p->state == POD_QUARANTINED)
		pod_move(s, p, POD_STARTING, now_us);
}

void pod_is_ready(struct service *s, struct pod *p, int64_t now_us)
{
	if (!p->was_ready)
		service_learn_cold_start(s, now_us - p->added_us);
	if (!p->answered_us)
		p->answered_us = now_us;
	if (!p->was_ready)
		starts_note(s, p, COLDSTART_READY, now_us);
	p->was_ready = true;
	/* Once back, one more failure is enough. */
	if (p->failures >= s->config->ejection.consecutive_failures)
		p->failures = (int)s->config->ejection.consecutive_failures - 1;
	if (p->slot_counts[SLOT_QUARANTINED])
		pod_move(s, p, POD_QUARANTINED, now_us);
	else if (!p->past_is_known && s->config->idle.kind != CHECK_NONE)
		pod_move(s, p, POD_CHECKING, now_us);
	else
		pod_open(s, p, now_us);
	scale_apply(s, now_us);
}

/* An exclusive job has the whole pod, whatever that now is. */
static void resize_pod(struct service *s, struct pod *p, int64_t now_us)
{
	int64_t free_before = pod_free_places(p);
	p->capacity = pod_capacity(s);
	for (int i = 0; i < SLOT_STATES; i++) {
		LIST_EACH(slot, &p->slots[i], struct slot, link) {
			if (!slot->is_exclusive)
				continue;
			p->used += p->capacity - slot->weight;
			slot->weight = p->capacity;
		}
	}
	int64_t free_now = pod_free_places(p);
	if (p->state == POD_READY)
		s->free_places += free_now - free_before;
	if ((free_before > 0) != (free_now > 0)) /* the others stay in their order of use */
		pod_settle(s, p, now_us);
}

void pods_resize(struct service *s, int64_t now_us)
{
	for (int i = 0; i < POD_STATES; i++)
		LIST_EACH(p, &s->pods[i], struct pod, link)
			resize_pod(s, p, now_us);
}

/* --- coming ---------------------------------------------------------------------------------- */

int64_t pod_capacity(const struct service *s)
{
	int64_t c = s->config->container_concurrency;
	return c ? c : INT32_MAX;
}

static struct pod *pod_new(struct service *s, const char *name, int64_t now_us)
{
	struct pod *p = mem_zalloc(sizeof(*p));
	if (!p)
		return NULL;
	list_init(&p->link);
	list_init(&p->question_link);
	list_init(&p->removal_link);
	for (int i = 0; i < SLOT_STATES; i++)
		list_init(&p->slots[i]);
	p->name = mem_copy(name, strlen(name) + 1);
	p->id = p->name ? table_add(&s->pod_ids, p) : 0;
	if (!p->id || !heap_reserve(&s->pod_timers, s->pod_ids.count) ||
	    !map_put(&s->pod_names, p->name, p)) {
		table_remove(&s->pod_ids, p->id);
		mem_free(p->name);
		mem_free(p);
		return NULL;
	}
	p->capacity = pod_capacity(s);
	p->added_us = p->since_us = now_us;
	p->question_us = -1;
	return p;
}

uint64_t service_pod_add(struct service *s, const char *name, bool past_is_known,
			 void *provider_data, int64_t now_us)
{
	struct pod *p = map_get(&s->pod_names, name);
	if (p) {
		p->provider_data = provider_data;
		if (p->state == POD_ABSENT)
			pod_move(s, p, POD_STARTING, now_us);
		return p->id;
	}
	p = pod_new(s, name, now_us);
	if (!p)
		return 0;
	p->past_is_known = past_is_known;
	p->provider_data = provider_data;
	enlist(s, p, POD_STARTING, false);
	pod_use_begin(s, p, now_us);
	s->observer->pod_moved(s->observer_arg, p, POD_STATES);
	pod_watch(s, p, now_us);
	return p->id;
}

/* --- going ----------------------------------------------------------------------------------- */

void pod_free(struct service *s, struct pod *p, int64_t now_us)
{
	pod_use_end(s, p, now_us);
	match_unreserve(s, p->reserved_for);
	s->observer->pod_freed(s->observer_arg, p);
	unlist(s, p);
	list_remove(&p->question_link);
	list_remove(&p->removal_link);
	heap_remove(&s->pod_timers, &p->timer);
	map_remove(&s->pod_names, p->name);
	table_remove(&s->pod_ids, p->id);
	mem_free(p->name);
	mem_free(p);
}

static void free_slots(struct service *s, struct pod *p, int64_t now_us)
{
	for (int i = 0; i < SLOT_STATES; i++)
		LIST_EACH(slot, &p->slots[i], struct slot, link)
			slot_free(s, slot, true, now_us);
}

void service_pod_gone(struct service *s, uint64_t pod, int64_t now_us)
{
	struct pod *p = table_get(&s->pod_ids, pod);
	if (!p)
		return;
	free_slots(s, p, now_us);
	pod_free(s, p, now_us);
	scale_apply(s, now_us);
}

void service_pod_absent(struct service *s, uint64_t pod, int64_t now_us)
{
	struct pod *p = table_get(&s->pod_ids, pod);
	if (!p || p->state == POD_ABSENT)
		return;
	if (p->state == POD_REMOVING && !pod_is_idle(p))
		return; /* were it ABSENT, it could come back and be granted while it is stopped */
	pod_move(s, p, POD_ABSENT, now_us);
	pod_settle(s, p, now_us);
	scale_apply(s, now_us);
}

bool service_pod_release(struct service *s, const char *name, int64_t now_us)
{
	struct pod *p = map_get(&s->pod_names, name);
	if (!p)
		return false;
	pod_is_known_idle(s, p, now_us);
	return true;
}

/* The service was out of the configuration: others may have used its pods meanwhile. */
void pods_ask_again(struct service *s, int64_t now_us)
{
	const enum pod_state open[] = {POD_READY, POD_FULL};
	for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++)
		LIST_EACH(p, &s->pods[open[i]], struct pod, link)
			pod_move(s, p, POD_STARTING, now_us);
}

void pods_free(struct service *s)
{
	for (int i = 0; i < POD_STATES; i++) {
		LIST_EACH(p, &s->pods[i], struct pod, link) {
			free_slots(s, p, 0);
			pod_free(s, p, 0);
		}
	}
}
