/* The promises of activator/core/service.h, looked at after every operation. */
#include "tests/fuzz/core_ops.h"

#include "tests/fuzz/fuzz.h"

static bool takes_slot(const struct ops_ticket *t)
{
	return t->ticket.kind != TICKET_PASS;
}

int64_t ops_tenant_jobs(const struct ops *o, int tenant)
{
	int64_t n = 0;
	for (const struct ops_ticket *t = o->tickets; t < o->tickets + OPS_TICKETS; t++)
		n += t->has_slot && takes_slot(t) && t->tenant == tenant;
	return n;
}

void ops_allow(struct ops *o, int tenant)
{
	if (tenant < 0)
		return;
	int64_t jobs = ops_tenant_jobs(o, tenant), most = o->tenants[tenant].caps.max_working;
	most = most ? most : INT64_MAX;
	o->tenants[tenant].allowed = jobs > most ? jobs : most;
}

/* Its tenant works on as many as it may, or has one place left that may be kept for another. */
static bool may_be_held_back(const struct ops *o, const struct ops_ticket *t)
{
	int64_t most = t->tenant < 0 ? 0 : o->tenants[t->tenant].caps.max_working;
	return most && takes_slot(t) && ops_tenant_jobs(o, t->tenant) >= most - 1;
}

/* "Tickets of a kind are granted in order of arrival, but for pods that have failed them." */
void ops_check_grant(const struct ops *o, const struct ops_ticket *granted)
{
	const struct pod *p = service_pod(o->service, granted->pod);
	FUZZ_CHECK(p && (p->state == POD_READY || p->state == POD_FULL), granted->pod, 0);
	FUZZ_CHECK(!ticket_skips(&granted->ticket, p->tenure), granted->ticket.attempts, 0);
	FUZZ_CHECK(!o->closed, 0, 0);
	for (const struct ops_ticket *t = o->tickets; t < o->tickets + OPS_TICKETS; t++)
		if (t->phase == OPS_WAITING && t->ticket.state == TICKET_WAITING &&
		    t->ticket.kind == granted->ticket.kind && t->arrival < granted->arrival &&
		    (t->tenant == granted->tenant || !may_be_held_back(o, t)))
			FUZZ_CHECK(ticket_skips(&t->ticket, p->tenure), t->arrival,
				   granted->arrival);
}

/* Places in use at a pod, by the grants that have not ended. */
static int64_t places_used(const struct ops *o, uint64_t pod, int64_t capacity)
{
	int64_t n = 0;
	for (const struct ops_ticket *t = o->tickets; t < o->tickets + OPS_TICKETS; t++)
		if (t->has_slot && t->pod == pod && takes_slot(t))
			n += t->ticket.kind == TICKET_EXCLUSIVE ? capacity : 1;
	return n;
}

static void check_pod(struct ops *o, int i)
{
	const struct pod *p = service_pod(o->service, o->pods[i]);
	if (!o->pods[i] || !p) {
		FUZZ_CHECK(!p && !o->pods[i], i, o->pods[i]);
		return;
	}
	int64_t in_lists = 0, passes = 0, used = places_used(o, p->id, p->capacity);
	for (int s = 0; s < SLOT_STATES; s++) {
		LIST_EACH(slot, &p->slots[s], struct slot, link) {
			FUZZ_CHECK(slot->pod == p && (int)slot->state == s, i, s);
			FUZZ_CHECK(service_grant_owner(o->service, slot->id) == slot->owner, i, s);
			in_lists += slot->weight;
			passes += slot->is_pass;
		}
	}
	FUZZ_CHECK(p->used == in_lists && p->used == used, p->used, used);
	FUZZ_CHECK(p->passes == passes, p->passes, passes);
	FUZZ_CHECK(p->capacity == ops_concurrency(o), p->capacity, ops_concurrency(o));
	if (p->used < o->allowed[i])
		o->allowed[i] = p->used > p->capacity ? p->used : p->capacity;
	FUZZ_CHECK(p->used <= o->allowed[i], p->used, o->allowed[i]);
}

/* "No ticket waits while a pod has room that match() finds it eligible for." */
static void check_busy(const struct ops *o, const struct ops_ticket *t)
{
	for (int i = 0; i < OPS_PODS; i++) {
		const struct pod *p = service_pod(o->service, o->pods[i]);
		if (may_be_held_back(o, t))
			return;
		if (!p || p->state != POD_READY || ticket_skips(&t->ticket, p->tenure))
			continue;
		if (t->ticket.kind == TICKET_PASS) {
			int64_t most = o->configs[o->config].pass_through.max_requests_per_pod;
			FUZZ_CHECK(p->passes >= most, p->passes, t->arrival);
		} else if (t->ticket.kind == TICKET_EXCLUSIVE) {
			FUZZ_CHECK(p->used > 0, i, t->arrival);
		} else {
			FUZZ_CHECK(p->reserved_for && p->reserved_for < t->ticket.id, i,
				   t->arrival);
		}
	}
}

static void check_counts(const struct ops *o)
{
	struct service_counts c;
	int64_t slots = 0, pods = 0, free_slots = 0, passes = 0;
	service_count(o->service, o->now_us, &c);
	for (int i = 0; i < SLOT_STATES; i++)
		slots += c.slots[i];
	for (int i = 0; i < POD_STATES; i++)
		pods += c.pods[i];
	for (int i = 0; i < OPS_PODS; i++) {
		const struct pod *p = service_pod(o->service, o->pods[i]);
		pods -= p != NULL;
		free_slots += p && p->state == POD_READY ? pod_free_places(p) : 0;
	}
	for (const struct ops_ticket *t = o->tickets; t < o->tickets + OPS_TICKETS; t++) {
		bool waits = t->phase == OPS_WAITING && t->ticket.state == TICKET_WAITING;
		c.uploading -= t->phase == OPS_ADMITTED;
		c.waiting -= waits && takes_slot(t);
		c.waiting_passes -= waits && !takes_slot(t);
		slots -= t->has_slot && takes_slot(t);
		passes += t->has_slot && !takes_slot(t);
	}
	FUZZ_CHECK(slots == 0 && pods == 0, slots, pods);
	FUZZ_CHECK(c.uploading == 0, c.uploading, 0);
	FUZZ_CHECK(c.waiting == 0 && c.waiting_passes == 0, c.waiting, c.waiting_passes);
	FUZZ_CHECK(c.passes == passes, c.passes, passes);
	FUZZ_CHECK(c.free_slots == free_slots, c.free_slots, free_slots);
	FUZZ_CHECK(c.desired >= 0 && c.concurrency >= 0, c.desired, c.concurrency);
	FUZZ_CHECK(c.stable_concurrency >= 0 && c.stable_concurrency <= OPS_TICKETS,
		   c.stable_concurrency * 1000, 0);
}

static void check_tenant(const struct ops *o, int i)
{
	const struct tenant *tn = service_tenant(o->service, o->tenants[i].id);
	int64_t jobs = ops_tenant_jobs(o, i), waiting = 0, uploading = 0;
	for (const struct ops_ticket *t = o->tickets; t < o->tickets + OPS_TICKETS; t++) {
		bool is_its = t->tenant == i && takes_slot(t);
		waiting += is_its && t->phase == OPS_WAITING;
		uploading += is_its && t->phase == OPS_ADMITTED;
	}
	FUZZ_CHECK(jobs <= o->tenants[i].allowed, jobs, i);
	FUZZ_CHECK(tn || (o->tenants[i].is_dropped && !jobs && !waiting && !uploading), i, jobs);
	FUZZ_CHECK(!tn || (tn->working == jobs && tn->waiting == waiting), jobs, waiting);
	FUZZ_CHECK(!tn || tn->uploading == uploading, uploading, i);
}

void ops_check_all(struct ops *o)
{
	for (int i = 0; i < OPS_TENANTS; i++)
		check_tenant(o, i);
	for (int i = 0; i < OPS_PODS; i++)
		check_pod(o, i);
	for (const struct ops_ticket *t = o->tickets; t < o->tickets + OPS_TICKETS; t++) {
		if (t->phase == OPS_WAITING) {
			FUZZ_CHECK(t->ticket.state == TICKET_WAITING, t->ticket.state, 0);
			FUZZ_CHECK(!o->closed, t->arrival, 0);
			check_busy(o, t);
		}
		FUZZ_CHECK(!t->forgotten_due, t->grant, 0);
		FUZZ_CHECK(!t->has_slot || service_grant_owner(o->service, t->grant), t->grant, 0);
	}
	for (unsigned i = 0; i < OPS_ENDED; i++)
		FUZZ_CHECK(!service_grant_owner(o->service, o->ended[i]), o->ended[i], i);
	check_counts(o);
}
