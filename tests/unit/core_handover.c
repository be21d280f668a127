/* The model's ledger moves to another process, as in an upgrade: what it
 * knew, the new one knows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "activator/core/handover.h"
#include "tests/unit/core_model.h"

struct noted_pod {
	char name[16];
	struct pod_record record;
	struct slot_record slots[WORKS];
	int slot_count;
};

struct notebook {
	struct model *model;
	struct service_record service;
	struct noted_pod pods[MACHINES];
	int pod_count;
};

/* The model's, which outlives the ledger's. */
static const char *own_name(const struct model *m, const char *name)
{
	for (int i = 1; name && i < TENANTS; i++)
		if (strcmp(m->tenants[i].name, name) == 0)
			return m->tenants[i].name;
	return NULL;
}

static void note_pod(void *arg, const struct pod *p)
{
	struct notebook *n = arg;
	struct noted_pod *noted = &n->pods[n->pod_count++];
	service_record_pod(p, &noted->record);
	snprintf(noted->name, sizeof(noted->name), "%s", p->name);
	noted->record.name = noted->name;
	noted->slot_count = 0;
	for (int i = 0; i < SLOT_STATES; i++) {
		LIST_EACH(slot, &p->slots[i], struct slot, link) {
			struct slot_record *r = &noted->slots[noted->slot_count++];
			service_record_slot(slot, r);
			r->tenant = own_name(n->model, r->tenant);
		}
	}
}

static struct work *work_of(struct model *m, uint64_t owner)
{
	struct work *w = &m->works[owner % WORKS];
	MODEL_CHECK(m, w->owner == owner && w->phase == HELD, owner, w->phase);
	return w;
}

static void restore_pod(struct model *m, const struct noted_pod *noted)
{
	uint64_t pod = service_restore_pod(m->service, &noted->record, m->now_us);
	MODEL_CHECK(m, pod, 0, 0);
	for (int i = 0; i < noted->slot_count; i++) {
		struct work *w = work_of(m, noted->slots[i].owner);
		w->grant = service_restore_slot(m->service, pod, &noted->slots[i], m->now_us);
		MODEL_CHECK(m, w->grant, model_index(m, w), 0);
	}
	service_restore_pod_state(m->service, pod, &noted->record, m->now_us);
}

/* Its old ledger keeps its place until this one does. */
static void keep_place(struct model *m, struct work *w)
{
	struct ticket old = w->ticket;
	service_cancel(m->service, &w->ticket, m->now_us);
	ticket_init(&w->ticket, old.kind);
	w->ticket.owner = old.owner;
	w->ticket.freed_by_idle = old.freed_by_idle;
	w->ticket.order = old.order;
	w->ticket.enqueued_us = old.enqueued_us;
}

/* They come over in any order, and nobody gets ahead by that. */
static void let_all_arrive(struct model *m)
{
	size_t from = (size_t)model_random(m, WORKS);
	for (size_t i = 0; i < WORKS; i++) {
		struct work *w = &m->works[(from + i * 7) % WORKS];
		if (w->phase == WAITING && w->ticket.is_awaited) {
			service_arrived(m->service, &w->ticket, m->now_us);
			model_drain(m);
		}
	}
	for (struct work *w = m->works; w < m->works + WORKS; w++)
		if (w->phase == WAITING && w->ticket.is_awaited)
			service_arrived(m->service, &w->ticket, m->now_us);
}

static void leave_old_one(struct model *m, struct notebook *n)
{
	service_record(m->service, m->now_us, &n->service);
	service_each_pod(m->service, note_pod, n);
	for (struct work *w = m->works; w < m->works + WORKS; w++) {
		w->attempts = w->ticket.attempts = 0; /* which pods failed it is not handed on */
		if (w->phase == WAITING)
			keep_place(m, w);
		else if (w->phase == ADMITTED || w->phase == RETURNED)
			model_cancel(m, w); /* they ask the new one anew */
	}
	m->is_deaf = true;
	service_free(m->service);
	m->is_deaf = false;
	for (int i = 0; i < MACHINES; i++) {
		m->machines[i].state = POD_STATES;
		m->machines[i].pod = 0;
	}
	m->open_pods = 0;
	m->question_count = 0;
	memset(m->ended, 0, sizeof(m->ended)); /* the old one's numbers mean nothing here */
}

/* The new ledger knows the same tenants, by other numbers and with other caps. */
static void renew(struct model *m)
{
	int tenants[WORKS];
	for (int i = 0; i < WORKS; i++)
		tenants[i] = m->works[i].tenant;
	for (int i = 1; i < TENANTS; i++)
		m->tenants[i].id = 0;
	model_renew(m);
	for (int i = 0; i < WORKS; i++) {
		m->works[i].tenant = tenants[i];
		m->works[i].ticket.tenant = m->tenants[tenants[i]].id;
	}
}

void model_hand_over(struct model *m)
{
	struct notebook n = {.model = m};
	int64_t warm_us = m->warm_us;
	model_drain(m);
	leave_old_one(m, &n);
	renew(m);
	service_resume(m->service, &n.service, m->now_us);
	for (int i = 0; i < n.pod_count; i++)
		restore_pod(m, &n.pods[i]);
	for (int i = 1; i < TENANTS; i++)
		model_set_tenant(m, i, m->tenants[i].caps); /* what works already may go on */
	m->warm_us = warm_us;
	if (m->scaling_fails_until_us > m->now_us)
		service_scaling_failed(m->service, "test", m->scaling_fails_until_us, m->now_us);
	if (m->closed)
		service_close(m->service, m->now_us);
	for (struct work *w = m->works; w < m->works + WORKS; w++)
		if (w->phase == WAITING)
			service_keep_place(m->service, &w->ticket, w->ticket.order,
					   w->ticket.enqueued_us, m->now_us);
	let_all_arrive(m);
}
