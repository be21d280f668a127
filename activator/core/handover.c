/* A ledger's contents, given and taken in. */
#include "activator/core/handover.h"

#include <assert.h>

#include "activator/core/ledger.h"

/* --- giving ---------------------------------------------------------------------------------- */

void service_record(struct service *s, int64_t now_us, struct service_record *r)
{
	*r = (struct service_record){
		.last_order = s->last_order,
		.service_time_us = s->service_time_us,
		.cold_start_us = s->cold_start_us,
		.warm_us = s->warm_us,
		.ordered = s->ordered,
	};
	autoscaler_record(&s->autoscaler, now_us, &r->autoscaler);
}

void service_record_pod(const struct pod *p, struct pod_record *r)
{
	*r = (struct pod_record){
		.name = p->name,
		.state = p->state,
		.past_is_known = p->past_is_known,
		.was_ready = p->was_ready,
		.failures = p->failures,
		.ejections = p->ejections,
		.added_us = p->added_us,
		.ejected_until_us = p->ejected_until_us,
	};
	/* One that was only chosen to go may be chosen again. */
	if (p->state == POD_WITHDRAWN)
		r->state = p->withdrawn_from;
}

void service_record_slot(const struct slot *slot, struct slot_record *r)
{
	*r = (struct slot_record){
		.owner = slot->owner,
		.tenant = slot->tenant ? slot->tenant->name : NULL,
		.state = slot->state,
		.is_pass = slot->is_pass,
		.is_exclusive = slot->is_exclusive,
		.freed_by_idle = slot->freed_by_idle,
		.is_interrupted = slot->is_interrupted,
		.connection_broke = slot->connection_broke,
		.granted_us = slot->granted_us,
	};
}

/* --- taking in ------------------------------------------------------------------------------- */

uint64_t service_restore_pod(struct service *s, const struct pod_record *r, int64_t now_us)
{
	struct pod *p = map_get(&s->pod_names, r->name);
	if (!p)
		p = table_get(&s->pod_ids,
			      service_pod_add(s, r->name, r->past_is_known, NULL, now_us));
	if (!p)
		return 0;
	/* How it started is the other process's to tell. */
	coldstarts_forget(&s->starts, coldstarts_get(&s->starts, p->start));
	p->past_is_known = r->past_is_known;
	p->was_ready = r->was_ready;
	p->failures = (int)r->failures;
	p->ejections = (int)r->ejections;
	p->added_us = r->added_us;
	p->ejected_until_us = r->ejected_until_us;
	if (r->was_ready) /* what opens it now is no first time */
		p->first_tenure = ++s->last_tenure;
	return p->id;
}

uint64_t service_restore_slot(struct service *s, uint64_t pod, const struct slot_record *r,
			      int64_t now_us)
{
	struct pod *p = table_get(&s->pod_ids, pod);
	struct ticket t;
	ticket_init(&t, r->is_pass	  ? TICKET_PASS
			: r->is_exclusive ? TICKET_EXCLUSIVE
					  : TICKET_SLOT);
	t.owner = r->owner;
	t.tenant = service_tenant_named(s, r->tenant);
	t.freed_by_idle = r->freed_by_idle;
	struct slot *slot = p ? slot_new(s, p, &t, now_us) : NULL;
	if (!slot)
		return 0;
	slot->granted_us = r->granted_us;
	slot->connection_broke = r->connection_broke;
	slot_move(s, slot, r->state, now_us);
	if (r->is_interrupted)
		service_interrupting(s, slot->id, true, now_us);
	service_observe(s, now_us);
	return slot->id;
}

void service_restore_pod_state(struct service *s, uint64_t pod, const struct pod_record *r,
			       int64_t now_us)
{
	struct pod *p = table_get(&s->pod_ids, pod);
	int64_t warm_us = s->warm_us;
	if (!p)
		return;
	switch (r->state) {
	case POD_READY:
	case POD_FULL:
		pod_open(s, p, now_us);
		break;
	case POD_QUARANTINED:
		if (p->slot_counts[SLOT_QUARANTINED])
			pod_move(s, p, POD_QUARANTINED, now_us);
		break;
	case POD_ABSENT:
		if (!p->provider_data)
			pod_move(s, p, POD_ABSENT, now_us);
		break; /* else it is configured again: as in a reload it is STARTING */
	case POD_CHECKING:
	case POD_EJECTED:
	case POD_REMOVING:
		pod_move(s, p, r->state, now_us);
		break;
	default:
		break; /* STARTING: so it is */
	}
	s->warm_us = warm_us; /* it was no cold start */
	pod_watch(s, p, now_us);
}

void service_resume(struct service *s, const struct service_record *r, int64_t now_us)
{
	if (r->last_order > s->last_order)
		s->last_order = r->last_order;
	s->service_time_us = r->service_time_us;
	s->cold_start_us = r->cold_start_us;
	s->warm_us = r->warm_us;
	s->ordered = r->ordered;
	s->need.is_blind = true; /* what waits has waited there already */
	autoscaler_resume(&s->autoscaler, &r->autoscaler, now_us);
}

bool service_restore_start(struct service *s, const struct coldstart *from, const char *pod)
{
	const struct pod *p = map_get(&s->pod_names, pod);
	if (!coldstarts_restore(&s->starts, from))
		return false;
	if (p)
		service_pod_starts(s, p->id, coldstarts_by_key(&s->starts, from->key));
	return true;
}

void service_keep_place(struct service *s, struct ticket *t, uint64_t order, int64_t enqueued_us,
			int64_t now_us)
{
	assert(t->state == TICKET_OUTSIDE);
	t->is_awaited = true;
	t->order = t->id = order;
	t->enqueued_us = enqueued_us;
	ticket_wait(s, t, now_us);
}

void service_arrived(struct service *s, struct ticket *t, int64_t now_us)
{
	(void)now_us;
	t->is_awaited = false;
	s->match_due = true;
}
