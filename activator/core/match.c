/* Who gets a place at which pod: the one place where a slot is given away. */
#include "activator/core/ledger.h"

/* --- tickets that take slots --- */

static int64_t places_needed(const struct ticket *t, const struct pod *p)
{
	return t->kind == TICKET_EXCLUSIVE ? p->capacity : 1;
}

static bool is_eligible(const struct ticket *t, const struct pod *p)
{
	/* Those before the exclusive ticket that it runs empty for may still go there. */
	return places_needed(t, p) <= pod_free_places(p) &&
	       (!p->reserved_for || t->id <= p->reserved_for) && !ticket_skips(t, p->tenure);
}

/* The first of a lane that is eligible for this pod, of those before `end`. One that is awaited
 * stands for itself: those behind it must not overtake it. */
static struct ticket *match_lane(struct service *s, struct tenant *tn, const struct pod *p,
				 uint64_t end)
{
	const struct ticket *r = s->reserved_ticket;
	/* For a ticket that a pod runs empty for, its tenant's last place is kept as well. */
	if (r && r->order < end && tenant_room(tn) == 1 && tenant_of(s, r) == tn)
		end = r->order + 1;
	LIST_EACH(t, &tn->lane, struct ticket, link) {
		if (t->order >= end)
			return NULL;
		if (t->is_awaited || is_eligible(t, p))
			return t;
	}
	return NULL;
}

/* The same over the lanes of a heap from this node on: those below it have later first tickets. */
static struct ticket *match_below(struct service *s, struct heap_node *at, const struct pod *p,
				  struct ticket *best)
{
	uint64_t end = best ? best->order : p->reserved_for ? p->reserved_for + 1 : UINT64_MAX;
	if ((uint64_t)at->key >= end)
		return best;
	struct ticket *t = match_lane(s, HEAP_OWNER(at, struct tenant, runnable), p, end);
	best = t ? t : best;
	struct heap_node *child;
	for (size_t i = 0; i < HEAP_ARITY && (child = heap_child(&s->runnable, at, i)); i++)
		best = match_below(s, child, p, best);
	return best;
}

/*
 * The ticket that goes to this pod next, or NULL: the first in order that is eligible for it, of
 * all tenants that may start another job. All but a few are eligible for every pod with room, so
 * this looks at the first one or two of the first lane, and at the others only if those are not.
 */
struct ticket *match(struct service *s, const struct pod *p)
{
	struct heap_node *top = heap_top(&s->runnable);
	struct ticket *t = top ? match_below(s, top, p, NULL) : NULL;
	return t && t->is_awaited ? NULL : t;
}

static struct pod *reserved_pod(struct service *s)
{
	return table_get(&s->pod_ids, s->reserved_pod);
}

void match_unreserve(struct service *s, uint64_t ticket)
{
	struct pod *p = reserved_pod(s);
	if (!p || p->reserved_for != ticket)
		return;
	p->reserved_for = 0;
	s->reserved_pod = 0;
	s->reserved_ticket = NULL;
	s->match_due = true;
}

/* The first ticket that may run wants a whole pod and none is empty: let the least busy one run
 * empty, or it would wait for ever behind the small ones that fit in between. */
static void reserve(struct service *s)
{
	struct heap_node *top = heap_top(&s->runnable);
	struct ticket *t = top ? lane_first(HEAP_OWNER(top, struct tenant, runnable)) : NULL;
	struct pod *least = NULL;
	if (!t || t->kind != TICKET_EXCLUSIVE || reserved_pod(s))
		return;
	const enum pod_state open[] = {POD_READY, POD_FULL};
	for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++)
		LIST_EACH(p, &s->pods[open[i]], struct pod, link)
			if (!ticket_skips(t, p->tenure) && (!least || p->used < least->used))
				least = p;
	if (!least)
		return;
	least->reserved_for = t->id;
	s->reserved_pod = least->id;
	s->reserved_ticket = t;
}

/* --- tickets that pass beside the slots --- */

static bool may_pass(const struct service *s, const struct ticket *t, const struct pod *p)
{
	return (p->state == POD_READY || p->state == POD_FULL) &&
	       p->passes < s->config->pass_through.max_requests_per_pod &&
	       !ticket_skips(t, p->tenure);
}

static struct pod *pod_to_pass(struct service *s, const struct ticket *t)
{
	struct pod *preferred = table_get(&s->pod_ids, t->prefer_pod);
	if (preferred && may_pass(s, t, preferred))
		return preferred;
	const enum pod_state open[] = {POD_READY, POD_FULL};
	for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++)
		LIST_EACH(p, &s->pods[open[i]], struct pod, link)
			if (may_pass(s, t, p))
				return p;
	return NULL;
}

bool service_has_another(struct service *s, const struct ticket *t, uint64_t pod)
{
	const enum pod_state open[] = {POD_READY, POD_FULL};
	for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++)
		LIST_EACH(p, &s->pods[open[i]], struct pod, link)
			if (p->id != pod && may_pass(s, t, p))
				return true;
	return false;
}

/* --- granting --- */

static bool grant(struct service *s, struct pod *p, struct ticket *t, int64_t now_us,
		  struct decision *d)
{
	ticket_leave(s, t, now_us);
	const struct slot *slot = slot_new(s, p, t, now_us);
	if (!slot) {
		t->refusal = REFUSAL_NO_MEMORY;
		t->retry_after_us = service_retry_after_us(s, t, now_us);
		*d = (struct decision){.kind = DECIDE_REFUSE, .ticket = t, .owner = t->owner};
		return true;
	}
	pod_open(s, p, now_us);
	service_observe(s, now_us);
	*d = (struct decision){.kind = DECIDE_GRANT,
			       .ticket = t,
			       .owner = t->owner,
			       .grant = slot->id,
			       .pod = p->id};
	return true;
}

static bool grant_slot(struct service *s, int64_t now_us, struct decision *d)
{
	if (!heap_top(&s->runnable))
		return false;
	LIST_EACH(p, &s->pods[POD_READY], struct pod, link) {
		struct ticket *t = match(s, p);
		if (t)
			return grant(s, p, t, now_us, d);
	}
	reserve(s);
	return false;
}

static bool grant_pass(struct service *s, int64_t now_us, struct decision *d)
{
	LIST_EACH(t, &s->pass_queue, struct ticket, link) {
		if (t->is_awaited)
			break;
		struct pod *p = pod_to_pass(s, t);
		if (p)
			return grant(s, p, t, now_us, d);
		if (t->attempts == 0)
			break; /* it would take any, so the next one finds none either */
	}
	return false;
}

bool match_next(struct service *s, int64_t now_us, struct decision *d)
{
	if (!s->match_due || s->closed)
		return false;
	if (grant_slot(s, now_us, d) || grant_pass(s, now_us, d))
		return true;
	s->match_due = false;
	return false;
}
