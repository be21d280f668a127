/* The core's promises, recomputed naively: every ticket with every machine. */
#include <string.h>

#include "base/clock.h"
#include "tests/unit/core_model.h"

/* --- who may go where ------------------------------------------------------------------------ */

static bool has_failed_at(const struct model *m, const struct work *w, int machine)
{
	const struct machine *it = &m->machines[machine];
	for (int i = 0; i < w->attempts && i < TICKET_SKIPS_MAX; i++)
		if (w->failed_at[i].pod == it->pod && w->failed_at[i].number == it->stint)
			return true;
	return false;
}

/* Whether so much is free for it there, by the slots that were granted and not freed. */
static bool has_room(const struct model *m, const struct work *w, int machine)
{
	int64_t jobs = model_jobs(m, machine, false), most = m->config->container_concurrency;
	if (w->ticket.kind == TICKET_PASS)
		return model_passes(m, machine) < m->config->pass_through.max_requests_per_pod;
	if (w->ticket.kind == TICKET_EXCLUSIVE)
		return jobs == 0;
	return !model_has_exclusive(m, machine, false) && (most == 0 || jobs < most);
}

static bool may_go(const struct model *m, const struct work *w, int machine)
{
	enum pod_state state = m->machines[machine].state;
	bool is_open = state == POD_READY || (state == POD_FULL && w->ticket.kind == TICKET_PASS);
	return is_open && has_room(m, w, machine) && !has_failed_at(m, w, machine);
}

const struct work *check_reserving(const struct model *m)
{
	for (int i = 0; i < MACHINES; i++) {
		const struct pod *p = service_pod(m->service, m->machines[i].pod);
		for (const struct work *w = m->works; p && w < m->works + WORKS; w++)
			if (p->reserved_for && w->phase == WAITING &&
			    w->ticket.id == p->reserved_for)
				return w;
	}
	return NULL;
}

/* Its tenant works on as many as it may; a place is kept for its ticket that has a pod reserved. */
static bool is_held_back(const struct model *m, const struct work *w)
{
	int64_t room = model_tenant_room(m, w->tenant);
	const struct work *first = m->reserving;
	if (w->ticket.kind == TICKET_PASS)
		return false;
	if (first && first->tenant == w->tenant && first->order < w->order)
		return room <= 1;
	return room == 0;
}

/* Those after an exclusive ticket keep off the machine that runs empty for it. */
static bool is_reserved_for_earlier(const struct model *m, const struct work *w, int machine)
{
	uint64_t id = service_pod(m->service, m->machines[machine].pod)->reserved_for;
	if (!id || w->ticket.kind == TICKET_PASS)
		return false;
	for (const struct work *it = m->works; it < m->works + WORKS; it++)
		if (it->phase == WAITING && it->ticket.id == id)
			return it->order < w->order;
	return false;
}

/* --- at a decision --------------------------------------------------------------------------- */

/* Its own count, the machine's true work, and those before it. */
void check_grant(struct model *m, const struct work *w, const struct decision *d)
{
	int to = w->machine;
	const struct machine *it = &m->machines[to];
	MODEL_CHECK(m, it->state == POD_READY || it->state == POD_FULL, it->state, to);
	MODEL_CHECK(m, has_room(m, w, to), model_index(m, w), to);
	MODEL_CHECK(m, !has_failed_at(m, w, to), model_index(m, w), to);
	MODEL_CHECK(m, !m->closed && it->discovered && !it->stopping, to, it->state);
	MODEL_CHECK(m, service_grant_owner(m->service, d->grant) == w->owner, d->grant, w->owner);
	MODEL_CHECK(m, !is_held_back(m, w), model_index(m, w), w->tenant);
	if (w->ticket.kind != TICKET_PASS) {
		int64_t most = w->ticket.kind == TICKET_EXCLUSIVE ? 1 : it->allowed;
		MODEL_CHECK(m, model_jobs(m, to, true) < most, to, model_jobs(m, to, true));
		MODEL_CHECK(m, !model_has_exclusive(m, to, true), to, 0);
		MODEL_CHECK(m, !it->has_foreign_job, to, it->state);
	}
	for (const struct work *other = m->works; other < m->works + WORKS; other++) {
		if (other->ticket.state != TICKET_WAITING || other->order >= w->order)
			continue;
		if ((other->ticket.kind == TICKET_PASS) != (w->ticket.kind == TICKET_PASS))
			continue;
		bool overtaken = has_room(m, other, to) && !has_failed_at(m, other, to) &&
				 !is_held_back(m, other);
		MODEL_CHECK(m, !overtaken, model_index(m, other), model_index(m, w));
	}
	for (int i = 0; i < MACHINES; i++)
		if (w->ticket.kind == TICKET_PASS && m->machines[i].pod == w->ticket.prefer_pod)
			MODEL_CHECK(m, i == to || !w->ticket.prefer_pod || !may_go(m, w, i), i, to);
}

/* Pods that are out for a while count as there: the wait is not for a first one. */
static bool waits_for_first_pod(struct model *m)
{
	struct service_counts c;
	service_count(m->service, m->now_us, &c);
	return m->open_pods == 0 && c.pods[POD_EJECTED] + c.pods[POD_QUARANTINED] == 0;
}

static int64_t deadline_of(struct model *m, const struct work *w)
{
	if (waits_for_first_pod(m))
		return w->enqueued_us + m->config->queue.cold_start_max_wait_us;
	int64_t from_us = w->enqueued_us > m->warm_us ? w->enqueued_us : m->warm_us;
	return from_us + m->config->queue.max_wait_us;
}

/* Refused for a reason that holds. */
void check_refusal(struct model *m, const struct work *w)
{
	const struct ticket *t = &w->ticket;
	bool is_late = deadline_of(m, w) <= m->now_us, holds = false;
	switch (t->refusal) {
	case REFUSAL_EXPIRED:
		holds = is_late && !waits_for_first_pod(m);
		break;
	case REFUSAL_COLD_START:
		holds = is_late && waits_for_first_pod(m);
		break;
	case REFUSAL_SCALING_FAILED:
		holds = m->scaling_fails_until_us > m->now_us && m->open_pods == 0;
		break;
	case REFUSAL_ATTEMPTS:
		holds = w->attempts >= m->config->queue.max_attempts;
		break;
	case REFUSAL_CLOSING:
		holds = m->closed;
		break;
	default:
		break;
	}
	MODEL_CHECK(m, holds, t->refusal, deadline_of(m, w) - m->now_us);
	MODEL_CHECK(m, t->retry_after_us >= US_PER_S && t->retry_after_us <= 3600 * US_PER_S,
		    t->retry_after_us, t->refusal);
}

/* No machine that works is stopped, unless it was quarantined for too long. */
void check_removal(struct model *m, const struct machine *it)
{
	int machine = (int)(it - m->machines);
	int64_t limit_us = m->config->quarantine.restart_after_us;
	const struct pod *p = service_pod(m->service, it->pod);
	MODEL_CHECK(m, m->scalable && it->state == POD_REMOVING, machine, it->state);
	bool may_be_at_work = p->slot_counts[SLOT_QUARANTINED] > 0 && limit_us > 0;
	MODEL_CHECK(m, may_be_at_work || !model_is_working(m, machine), machine, it->state);
}

/* --- after each event ------------------------------------------------------------------------ */

void check_truth(struct model *m, int machine)
{
	int64_t jobs = model_jobs(m, machine, true);
	MODEL_CHECK(m, jobs <= m->machines[machine].allowed, machine, jobs);
	MODEL_CHECK(m, jobs <= 1 || !model_has_exclusive(m, machine, true), machine, jobs);
}

/* Scaling fails, and there is no pod that could come to be granted. */
static bool is_hopeless(const struct model *m)
{
	for (int i = 0; i < MACHINES; i++)
		if (m->machines[i].state <= POD_WITHDRAWN)
			return false;
	return m->scaling_fails_until_us > m->now_us;
}

/* No slot idles while somebody waits who may have it, and nobody waits for ever. */
static void check_waiting(struct model *m)
{
	int64_t wake_us = service_next_deadline_us(m->service);
	for (const struct work *w = m->works; w < m->works + WORKS; w++) {
		MODEL_CHECK(m, !w->forget_due, model_index(m, w), w->phase);
		if (w->phase != WAITING)
			continue;
		MODEL_CHECK(m, !m->closed && w->ticket.state == TICKET_WAITING, w->ticket.state, 0);
		MODEL_CHECK(m, !is_hopeless(m), model_index(m, w), m->scaling_fails_until_us);
		MODEL_CHECK(m, deadline_of(m, w) > m->now_us, model_index(m, w), m->now_us);
		MODEL_CHECK(m, wake_us <= deadline_of(m, w), wake_us, deadline_of(m, w));
		for (int i = 0; i < MACHINES; i++)
			if (may_go(m, w, i) && !is_held_back(m, w))
				MODEL_CHECK(m, is_reserved_for_earlier(m, w, i), model_index(m, w),
					    i);
	}
}

/* The first in the queue, if it wants a whole pod, has one running empty wherever there is any. */
static void check_reservation(struct model *m)
{
	const struct work *first = NULL;
	int reserved = 0;
	for (const struct work *w = m->works; w < m->works + WORKS; w++)
		if (w->phase == WAITING && w->ticket.kind != TICKET_PASS &&
		    model_tenant_room(m, w->tenant) > 0 && (!first || w->order < first->order))
			first = w;
	for (int i = 0; i < MACHINES; i++) {
		const struct pod *p = service_pod(m->service, m->machines[i].pod);
		if (!p || !p->reserved_for)
			continue;
		bool waits = false;
		for (const struct work *w = m->works; w < m->works + WORKS; w++)
			waits |= w->phase == WAITING && w->ticket.id == p->reserved_for &&
				 w->ticket.kind == TICKET_EXCLUSIVE &&
				 model_tenant_room(m, w->tenant) > 0;
		MODEL_CHECK(m, waits && ++reserved == 1, i, p->reserved_for);
		MODEL_CHECK(m, p->state == POD_READY || p->state == POD_FULL, i, p->state);
	}
	if (!first || first->ticket.kind != TICKET_EXCLUSIVE || reserved)
		return;
	for (int i = 0; i < MACHINES; i++)
		if (m->machines[i].state == POD_READY)
			MODEL_CHECK(m, has_failed_at(m, first, i), model_index(m, first), i);
}

struct recount {
	struct model *m;
	struct service_counts counts;
	int64_t pods;
};

static void count_pod(void *arg, const struct pod *p)
{
	struct recount *r = arg;
	struct model *m = r->m;
	int machine = p->name[1] - '0';
	int64_t weight = 0, passes = 0;
	MODEL_CHECK(m, m->machines[machine].state == p->state, p->state, machine);
	MODEL_CHECK(m, m->machines[machine].pod == p->id, p->id, machine);
	for (int state = 0; state < SLOT_STATES; state++) {
		int64_t n = 0;
		LIST_EACH(slot, &p->slots[state], struct slot, link) {
			MODEL_CHECK(m, slot->pod == p && (int)slot->state == state, state, machine);
			weight += slot->weight;
			passes += slot->is_pass;
			n += !slot->is_pass;
		}
		MODEL_CHECK(m, n == p->slot_counts[state], n, machine);
		r->counts.slots[state] += n;
	}
	MODEL_CHECK(m, weight == p->used && passes == p->passes, weight, machine);
	MODEL_CHECK(m, model_passes(m, machine) == passes, passes, machine);
	bool has_free = pod_free_places(p) > 0, lost = p->slot_counts[SLOT_QUARANTINED] > 0;
	MODEL_CHECK(m, p->state != POD_READY || (has_free && !lost), machine, p->used);
	MODEL_CHECK(m, p->state != POD_FULL || (!has_free && !lost), machine, p->used);
	MODEL_CHECK(m, p->state != POD_QUARANTINED || lost, machine, p->used);
	r->counts.pods[p->state]++;
	r->counts.passes += passes;
	r->counts.free_slots += p->state == POD_READY ? pod_free_places(p) : 0;
	r->pods++;
}

static enum pod_use true_use(const struct pod *p)
{
	bool is_open = p->state == POD_READY || p->state == POD_FULL;
	bool is_coming = p->state == POD_STARTING || p->state == POD_CHECKING;
	return p->used	   ? POD_USE_WORKING
	       : is_open   ? POD_USE_IDLE
	       : is_coming ? POD_USE_STARTING
			   : POD_USE_OUT;
}

static void count_use(void *arg, const struct pod *p)
{
	int64_t *uses = arg;
	uses[true_use(p)]++;
}

/* Time passes between two events, so pods spent it as they were after the last one. */
void check_uses(struct model *m)
{
	int64_t uses[POD_USES] = {0};
	struct service_counts c;
	service_count(m->service, m->now_us, &c);
	service_each_pod(m->service, count_use, uses);
	for (int i = 0; i < POD_USES; i++) {
		m->use_us[i] += m->uses[i] * (m->now_us - m->uses_since_us);
		if (!m->is_timed)
			m->use_us[i] = c.use_us[i];
		MODEL_CHECK(m, c.uses[i] == uses[i], i, c.uses[i]);
		MODEL_CHECK(m, c.use_us[i] == m->use_us[i], i, c.use_us[i]);
		m->uses[i] = uses[i];
	}
	m->uses_since_us = m->now_us;
	m->is_timed = true;
}

static void check_counts(struct model *m)
{
	struct recount r = {.m = m};
	struct service_counts c;
	int64_t slots = 0, held = 0, known = 0;
	service_each_pod(m->service, count_pod, &r);
	service_count(m->service, m->now_us, &c);
	MODEL_CHECK(m, memcmp(c.pods, r.counts.pods, sizeof(c.pods)) == 0, 0, 0);
	MODEL_CHECK(m, memcmp(c.slots, r.counts.slots, sizeof(c.slots)) == 0, 0, 0);
	MODEL_CHECK(m, c.passes == r.counts.passes, c.passes, r.counts.passes);
	MODEL_CHECK(m, c.free_slots == r.counts.free_slots, c.free_slots, r.counts.free_slots);
	for (const struct work *w = m->works; w < m->works + WORKS; w++) {
		bool is_pass = w->ticket.kind == TICKET_PASS;
		c.uploading -= w->phase == ADMITTED;
		c.waiting -= w->phase == WAITING && !is_pass;
		c.waiting_passes -= w->phase == WAITING && is_pass;
		held += w->has_slot && !is_pass;
	}
	for (int i = 0; i < SLOT_STATES; i++)
		slots += c.slots[i];
	for (int i = 0; i < MACHINES; i++)
		known += m->machines[i].pod != 0;
	MODEL_CHECK(m, slots == held && known == r.pods, slots, held);
	MODEL_CHECK(m, c.uploading == 0, c.uploading, 0);
	MODEL_CHECK(m, c.waiting == 0 && c.waiting_passes == 0, c.waiting, c.waiting_passes);
}

/* What the core believes of a tenant, and that it never has more at work than it may. */
static void check_tenant(struct model *m, int tenant)
{
	const struct model_tenant *it = &m->tenants[tenant];
	const struct tenant *tn = service_tenant(m->service, it->id);
	int64_t uploading = 0, waiting = 0, passes = 0, jobs = model_tenant_jobs(m, tenant, false);
	for (const struct work *w = m->works; w < m->works + WORKS; w++) {
		bool is_pass = w->ticket.kind == TICKET_PASS, waits = w->phase == WAITING;
		bool uploads = w->phase == ADMITTED;
		if (w->tenant != tenant)
			continue;
		uploading += uploads && !is_pass;
		waiting += waits && !is_pass;
		passes += is_pass && (waits || uploads);
	}
	MODEL_CHECK(m, model_tenant_jobs(m, tenant, true) <= it->allowed, tenant, it->allowed);
	MODEL_CHECK(m, jobs <= it->allowed, tenant, jobs);
	if (!tn) {
		MODEL_CHECK(m, tenant == 0 || it->is_dropped, tenant, it->id);
		MODEL_CHECK(m, tenant == 0 || uploading + waiting + passes + jobs == 0, tenant, 0);
		return;
	}
	MODEL_CHECK(m, tn->uploading == uploading && tn->waiting == waiting, tn->uploading,
		    tn->waiting);
	MODEL_CHECK(m, tn->uploading_passes + tn->waiting_passes == passes, tenant, passes);
	MODEL_CHECK(m, tn->working == jobs, tn->working, jobs);
}

/* The autoscaler sees what works, and of those that wait only whom their tenants let run. */
static void check_concurrency(struct model *m)
{
	struct service_counts c;
	double expected = 0;
	service_count(m->service, m->now_us, &c);
	for (int i = 0; i < SLOT_STATES; i++)
		expected += i == SLOT_QUARANTINED ? 0 : (double)c.slots[i];
	for (int i = 0; i < TENANTS; i++) {
		int64_t waiting = 0, room = model_tenant_room(m, i);
		for (const struct work *w = m->works; w < m->works + WORKS; w++)
			waiting += w->tenant == i && w->phase == WAITING &&
				   w->ticket.kind != TICKET_PASS;
		expected += (double)(waiting < room ? waiting : room);
	}
	MODEL_CHECK(m, c.concurrency == expected, c.concurrency, expected);
}

void check_all(struct model *m)
{
	m->reserving = check_reserving(m);
	for (int i = 0; i < TENANTS; i++)
		check_tenant(m, i);
	check_concurrency(m);
	for (int i = 0; i < MACHINES; i++)
		check_truth(m, i);
	check_waiting(m);
	check_reservation(m);
	check_counts(m);
	check_uses(m);
}
