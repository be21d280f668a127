/* What happens in the world, drawn at random; after each event every promise is checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/core_model.h"

/* --- picking --------------------------------------------------------------------------------- */

typedef bool work_test(const struct model *, const struct work *);

static bool is_free(const struct model *m, const struct work *w)
{
	(void)m;
	return w->phase == AT_REST && !w->runs && !w->forget_due;
}

static bool is_admitted(const struct model *m, const struct work *w)
{
	(void)m;
	return w->phase == ADMITTED;
}

static bool is_outside_pods(const struct model *m, const struct work *w)
{
	(void)m;
	return w->phase == ADMITTED || w->phase == WAITING || w->phase == RETURNED;
}

static bool is_returned(const struct model *m, const struct work *w)
{
	(void)m;
	return w->phase == RETURNED;
}

static bool is_held(const struct model *m, const struct work *w)
{
	(void)m;
	return w->phase == HELD;
}

static bool is_unsent(const struct model *m, const struct work *w)
{
	(void)m;
	return w->phase == HELD && w->connected && !w->started && !w->timed_out;
}

static bool is_connected(const struct model *m, const struct work *w)
{
	(void)m;
	return w->phase == HELD && w->connected && w->started;
}

static bool is_answering(const struct model *m, const struct work *w)
{
	return is_connected(m, w) && !w->crashed;
}

static bool is_running(const struct model *m, const struct work *w)
{
	(void)m;
	return w->runs;
}

/* One of those that fit, or NULL. */
static struct work *pick(struct model *m, work_test *fits)
{
	struct work *found = NULL;
	size_t from = model_random(m, WORKS);
	for (size_t i = 0; i < WORKS && !found; i++) {
		struct work *w = &m->works[(from + i) % WORKS];
		if (fits(m, w))
			found = w;
	}
	return found;
}

static int pick_machine(struct model *m)
{
	return (int)model_random(m, MACHINES);
}

/* --- clients --------------------------------------------------------------------------------- */

static void enqueue(struct model *m, struct work *w)
{
	model_note(m, "enqueue", model_index(m, w), w->ticket.kind);
	w->order = ++m->last_order;
	w->enqueued_us = m->now_us;
	w->phase = WAITING;
	service_enqueue(m->service, &w->ticket, m->now_us);
	MODEL_CHECK(m, w->ticket.enqueued_us == m->now_us, model_index(m, w), 0);
}

static int64_t queued_of(const struct model *m, int tenant, bool passes)
{
	int64_t n = 0;
	for (const struct work *w = m->works; w < m->works + WORKS; w++)
		n += w->tenant == tenant && (w->ticket.kind == TICKET_PASS) == passes &&
		     (w->phase == ADMITTED || w->ticket.state == TICKET_WAITING);
	return n;
}

/* As many of its tenant's as may wait already do, those not counted that could start at once. */
static bool has_full_tenant(const struct model *m, const struct work *w, int64_t free_slots)
{
	bool is_pass = w->ticket.kind == TICKET_PASS;
	int64_t most = m->tenants[w->tenant].caps.max_queued;
	int64_t room = model_tenant_room(m, w->tenant);
	if (is_pass)
		room = m->config->pass_through.max_requests_per_pod;
	else if (free_slots < room)
		room = free_slots;
	return most && queued_of(m, w->tenant, is_pass) >= most + room;
}

static void check_no_place(struct model *m, const struct work *w)
{
	struct service_counts c;
	service_count(m->service, m->now_us, &c);
	bool is_pass = w->ticket.kind == TICKET_PASS, holds = false;
	switch (w->ticket.refusal) {
	case REFUSAL_CLOSING:
		holds = m->closed;
		break;
	case REFUSAL_SCALING_FAILED:
		holds = m->scaling_fails_until_us > m->now_us && m->open_pods == 0;
		break;
	case REFUSAL_NO_PODS:
		holds = is_pass && m->open_pods == 0;
		break;
	case REFUSAL_TENANT_QUEUE_FULL:
		holds = true; /* the caller knows how many there were */
		break;
	case REFUSAL_QUEUE_FULL:
		holds = c.uploading + (is_pass ? c.waiting_passes : c.waiting) >=
			m->config->queue.max_requests;
		break;
	case REFUSAL_PASSES_FULL:
		holds = is_pass && model_all_passes(m) >= m->config->pass_through.max_requests;
		break;
	default:
		break;
	}
	MODEL_CHECK(m, holds, w->ticket.refusal, c.uploading);
}

static void on_arrival(struct model *m)
{
	struct work *w = pick(m, is_free);
	bool is_quiet = m->steps / 200 % 2 == 1; /* busy and quiet times in turn */
	if (!w || (is_quiet && !model_chance(m, 15)))
		return;
	enum ticket_kind kind = model_chance(m, 75)   ? TICKET_SLOT
				: model_chance(m, 30) ? TICKET_EXCLUSIVE
						      : TICKET_PASS;
	memset(w, 0, sizeof(*w));
	w->machine = NOBODY;
	w->owner = ++m->serial * WORKS + (uint64_t)model_index(m, w);
	ticket_init(&w->ticket, kind);
	w->ticket.owner = w->owner;
	w->ticket.freed_by_idle = model_chance(m, 25);
	if (kind == TICKET_PASS && model_chance(m, 50))
		w->ticket.prefer_pod = m->machines[pick_machine(m)].pod;
	int64_t passes = model_all_passes(m);
	w->tenant = (int)model_random(m, TENANTS);
	if (m->tenants[w->tenant].is_dropped)
		w->tenant = 0;
	w->ticket.tenant = m->tenants[w->tenant].id;
	model_note(m, "arrives: work, kind", model_index(m, w), kind);
	model_note(m, "  of tenant", w->tenant, 0);
	struct service_counts c;
	service_count(m->service, m->now_us, &c);
	bool is_too_many = has_full_tenant(m, w, c.free_slots);
	if (!service_admit(m->service, &w->ticket, m->now_us)) {
		MODEL_CHECK(m, w->ticket.state == TICKET_OUTSIDE, w->ticket.state, 0);
		check_no_place(m, w);
		MODEL_CHECK(m, w->ticket.refusal != REFUSAL_TENANT_QUEUE_FULL || is_too_many,
			    w->tenant, 0);
		return;
	}
	MODEL_CHECK(m, !m->closed && !is_too_many, w->tenant, is_too_many);
	w->phase = ADMITTED;
	MODEL_CHECK(m, kind != TICKET_PASS || passes < m->config->pass_through.max_requests, passes,
		    0);
	if (model_chance(m, 70))
		enqueue(m, w);
}

static void on_body(struct model *m)
{
	struct work *w = pick(m, is_admitted);
	if (w)
		enqueue(m, w);
}

static void on_cancel(struct model *m)
{
	struct work *w = model_chance(m, 90) ? pick(m, is_outside_pods) : pick(m, is_held);
	if (!w)
		return;
	model_note(m, "cancel", model_index(m, w), w->phase);
	model_cancel(m, w);
}

/* --- jobs ------------------------------------------------------------------------------------ */

static void on_start(struct model *m)
{
	struct work *w = pick(m, is_unsent);
	if (!w)
		return;
	model_note(m, "start", model_index(m, w), w->machine);
	model_start_job(m, w);
}

static void on_finish(struct model *m)
{
	struct work *w = pick(m, is_answering);
	if (!w)
		return;
	model_note(m, "finish", model_index(m, w), w->machine);
	model_finish_job(m, w);
}

static void on_client_left(struct model *m)
{
	struct work *w = pick(m, is_held);
	if (!w)
		return;
	model_note(m, "client left", model_index(m, w), w->machine);
	service_client_left(m->service, w->grant, m->now_us);
	MODEL_CHECK(m, w->has_slot, model_index(m, w), w->machine);
}

static void on_timeout(struct model *m)
{
	struct work *w = pick(m, is_connected);
	if (!w)
		return;
	model_note(m, "time out", model_index(m, w), w->machine);
	w->timed_out = true;
	service_timed_out(m->service, w->grant, m->now_us);
	MODEL_CHECK(m, w->has_slot, model_index(m, w), w->machine);
}

static void on_break(struct model *m)
{
	struct work *w = pick(m, is_connected);
	if (!w)
		return;
	model_note(m, "break", model_index(m, w), w->machine);
	model_break(m, w);
}

/* A job ends, and nobody has heard of it yet. */
static void on_silent_end(struct model *m)
{
	struct work *w = pick(m, is_running);
	if (w && (!w->connected || model_chance(m, 30))) {
		model_note(m, "ends", model_index(m, w), w->machine);
		w->runs = false;
	}
}

static void requeue(struct model *m, struct work *w)
{
	model_note(m, "requeue", model_index(m, w), w->attempts);
	if (!service_tenant(m->service, w->ticket.tenant))
		w->tenant = 0; /* forgotten while this was nowhere */
	w->phase = WAITING;
	service_requeue(m->service, &w->ticket, m->now_us);
	bool over = w->attempts >= m->config->queue.max_attempts || m->closed;
	MODEL_CHECK(m, (w->ticket.state == TICKET_REFUSED) == over, w->attempts, over);
	if (model_chance(m, 5)) /* its client leaves before it is told */
		model_cancel(m, w);
}

static void on_return(struct model *m)
{
	struct work *w = pick(m, is_unsent);
	if (!w)
		return;
	enum unsent how = model_chance(m, 40) ? UNSENT_STALE : UNSENT_TIMEOUT;
	if (!m->machines[w->machine].listens && model_chance(m, 80))
		how = UNSENT_REFUSED;
	model_note(m, "return", model_index(m, w), how);
	model_return(m, w, how, model_chance(m, 85));
	if (w->phase == RETURNED && model_chance(m, 80))
		requeue(m, w);
}

static void on_requeue(struct model *m)
{
	struct work *w = pick(m, is_returned);
	if (w)
		requeue(m, w);
}

/* Calls about grants that have ended, or never were, or have no more to tell: nothing changes. */
static void on_late_call(struct model *m)
{
	struct service_counts before, after;
	struct ticket ticket, same;
	uint64_t grant = model_chance(m, 20) ? model_random(m, UINT64_MAX)
					     : m->ended[model_random(m, ENDED)];
	struct work *w = model_chance(m, 40) ? pick(m, is_held) : NULL;
	bool has_ended = !w || w->connected;
	if (!has_ended)
		grant = w->grant; /* broken, or answered: there is no more to come */
	ticket_init(&ticket, TICKET_SLOT);
	same = ticket;
	model_note(m, "late call", (int64_t)grant, has_ended);
	service_count(m->service, m->now_us, &before);
	service_started(m->service, grant, m->now_us);
	service_finished(m->service, grant, m->now_us);
	service_client_left(m->service, grant, m->now_us);
	service_broken(m->service, grant, "late", m->now_us);
	if (has_ended) {
		service_timed_out(m->service, grant, m->now_us);
		service_returned(m->service, grant, &ticket, UNSENT_REFUSED, m->now_us);
		MODEL_CHECK(m, ticket.attempts == same.attempts, ticket.attempts, 0);
		MODEL_CHECK(m, !service_grant_owner(m->service, grant), grant, 0);
	}
	service_count(m->service, m->now_us, &after);
	MODEL_CHECK(m, memcmp(before.slots, after.slots, sizeof(before.slots)) == 0, grant, 0);
	MODEL_CHECK(m, memcmp(before.pods, after.pods, sizeof(before.pods)) == 0, grant, 0);
}

/* --- pods ------------------------------------------------------------------------------------ */

static int64_t provided(const struct model *m)
{
	int64_t n = 0;
	for (int i = 0; i < MACHINES; i++)
		n += m->machines[i].pod && m->machines[i].discovered && !m->machines[i].stopping;
	return n;
}

static void on_pod_come(struct model *m)
{
	int machine = pick_machine(m);
	struct machine *it = &m->machines[machine];
	bool is_new = !it->up;
	if (it->discovered || it->stopping)
		return;
	if (m->scalable && is_new && !it->pod && provided(m) >= m->replicas && !model_chance(m, 5))
		return;
	/* One that the core has forgotten was idle by its account, but for what others began. */
	bool known = is_new ? model_chance(m, 60) : !it->has_foreign_job && model_chance(m, 50);
	if (is_new && !it->pod && !known && m->config->idle.kind != CHECK_NONE)
		it->has_foreign_job = model_chance(m, 50);
	model_note(m, "comes", machine, known);
	model_come(m, machine, known);
}

static void on_pod_absent(struct model *m)
{
	int machine = pick_machine(m);
	struct machine *it = &m->machines[machine];
	if (!it->pod)
		return;
	bool stays = it->state == POD_REMOVING; /* until it is gone, or idle */
	model_note(m, "absent", machine, it->state);
	it->discovered = false;
	service_pod_absent(m->service, it->pod, m->now_us);
	MODEL_CHECK(m, it->state == (stays ? POD_REMOVING : POD_ABSENT) || it->state == POD_STATES,
		    machine, it->state);
	bool is_idle = model_jobs(m, machine, false) + model_passes(m, machine) == 0;
	MODEL_CHECK(m, (it->state == POD_STATES) == is_idle, machine, it->state);
	if (it->stopping && is_idle) { /* stopped, and nobody needs to hear of it */
		model_crash(m, machine);
		it->stopping = false;
	}
}

static void on_pod_gone(struct model *m)
{
	int machine = pick_machine(m);
	struct machine *it = &m->machines[machine];
	if (!it->pod || (m->scalable && !it->stopping && !model_chance(m, 20)))
		return;
	model_note(m, "gone", machine, it->state);
	model_gone(m, machine);
}

/* A machine crashes, or restarts, or closes its port while it works on, or opens it. */
static void on_process(struct model *m)
{
	int machine = pick_machine(m);
	struct machine *it = &m->machines[machine];
	if (!it->up) {
		it->up = it->listens = it->pod != 0;
	} else if (!it->listens) {
		if (model_chance(m, 50) && !model_is_working(m, machine))
			it->listens = true;
		else
			model_crash(m, machine);
	} else if (model_chance(m, 50)) {
		model_crash(m, machine);
	} else {
		/* Shutting down gracefully: what is not connected any more has ended. */
		it->has_foreign_job = it->listens = false;
		for (struct work *w = m->works; w < m->works + WORKS; w++)
			if (w->machine == machine && !w->connected)
				w->runs = false;
	}
	model_note(m, "process: machine, up + listens", machine, it->up + it->listens);
}

static void on_foreign_end(struct model *m)
{
	m->machines[pick_machine(m)].has_foreign_job = false;
}

/* An honest answer, of now or of when it was asked; or none in time; or one to another question. */
static void on_answer(struct model *m)
{
	if (!m->question_count)
		return;
	int i = (int)model_random(m, (uint64_t)m->question_count);
	struct question q = m->questions[i];
	if (model_chance(m, 10)) {
		uint64_t other = model_chance(m, 50) ? q.id + 1 + model_random(m, 5) : 0;
		const struct pod *p = service_pod(m->service, q.pod);
		if (!p || p->question != other)
			service_pod_answered(m->service, q.pod, other, ANSWER_YES, m->now_us);
		return;
	}
	enum pod_answer now = model_truth(m, q.machine, q.is_check);
	bool was_late = model_chance(m, 50), in_time = model_chance(m, 90);
	model_answer(m, i, !in_time ? ANSWER_NO : was_late ? q.early : now);
}

static void on_release(struct model *m)
{
	int machine = pick_machine(m);
	struct machine *it = &m->machines[machine];
	for (const struct work *w = m->works; w < m->works + WORKS; w++)
		if (w->machine == machine && w->runs && (w->timed_out || !w->connected))
			return; /* no honest operator would */
	if (it->has_foreign_job)
		return;
	model_note(m, "release", machine, it->state);
	bool was_known = it->pod != 0;
	bool known = service_pod_release(m->service, it->name, m->now_us);
	MODEL_CHECK(m, known == was_known, machine, known);
}

static void on_scaling(struct model *m)
{
	if (!m->scalable)
		return;
	bool fails = model_chance(m, 50);
	int64_t for_us = (int64_t)model_random(m, 20) * US_PER_S;
	m->scaling_fails_until_us = fails ? m->now_us + for_us : 0;
	model_note(m, "scaling fails for", for_us, fails);
	service_scaling_failed(m->service, fails ? "no GPU" : NULL, m->now_us + for_us, m->now_us);
}

/* --- time and the rest ----------------------------------------------------------------------- */

static void on_reload(struct model *m)
{
	struct service_config c = *m->config;
	model_drain(m); /* what was refused under the old limits is told first */
	c.container_concurrency = (int64_t)model_random(m, 4);
	c.queue.max_requests = 1 + (int64_t)model_random(m, 30);
	c.queue.max_wait_us = (1 + (int64_t)model_random(m, 30)) * US_PER_S;
	c.queue.cold_start_max_wait_us = (1 + (int64_t)model_random(m, 60)) * US_PER_S;
	c.queue.max_attempts = 1 + (int64_t)model_random(m, 6);
	c.pass_through.max_requests = 1 + (int64_t)model_random(m, 12);
	c.pass_through.max_requests_per_pod = 1 + (int64_t)model_random(m, 4);
	c.pass_through.wait_when_cold = model_chance(m, 70);
	c.idle.success_threshold = 1 + (int64_t)model_random(m, 3);
	c.ejection.consecutive_failures = 1 + (int64_t)model_random(m, 4);
	c.quarantine.restart_after_us = (int64_t)model_random(m, 3) * 10 * US_PER_S;
	c.autoscaling.max_scale = 1 + (int64_t)model_random(m, MACHINES);
	model_note(m, "reload: concurrency, most", c.container_concurrency, c.queue.max_requests);
	model_reload(m, &c);
}

/* The tenants are configured anew, or no more. */
static void on_tenants(struct model *m)
{
	int tenant = 1 + (int)model_random(m, TENANTS - 1);
	struct tenant_caps caps = {(int64_t)model_random(m, 5), (int64_t)model_random(m, 4)};
	if (model_chance(m, 25)) {
		model_note(m, "drop tenant", tenant, 0);
		model_drop_tenant(m, tenant);
		return;
	}
	model_note(m, "tenant may have at work", tenant, caps.max_working);
	model_set_tenant(m, tenant, caps);
}

static void on_time(struct model *m)
{
	int64_t wake_us = service_next_deadline_us(m->service);
	int64_t small_us = 1 + (int64_t)model_random(m, 50 * US_PER_MS);
	if (model_chance(m, 40) && wake_us > m->now_us)
		m->now_us = wake_us;
	else if (model_chance(m, 5))
		m->now_us += (int64_t)model_random(m, 40 * US_PER_S);
	else
		m->now_us += small_us;
	model_note(m, "time", m->now_us, wake_us);
	if (m->now_us >= wake_us || model_chance(m, 30))
		service_tick(m->service, m->now_us);
}

static void on_close(struct model *m)
{
	if (!model_chance(m, 2))
		return;
	model_note(m, "close", 0, 0);
	m->closed = true;
	service_close(m->service, m->now_us);
}

static void on_upgrade(struct model *m)
{
	model_note(m, "upgrade", 0, 0);
	model_hand_over(m);
}

static const struct {
	void (*happens)(struct model *);
	int weight;
} events[] = {
	{on_arrival, 200},    {on_body, 60},	    {on_cancel, 40},  {on_start, 160},
	{on_finish, 90},      {on_client_left, 30}, {on_timeout, 12}, {on_break, 15},
	{on_silent_end, 40},  {on_return, 40},	    {on_requeue, 15}, {on_late_call, 15},
	{on_pod_come, 30},    {on_pod_absent, 8},   {on_pod_gone, 8}, {on_process, 12},
	{on_foreign_end, 10}, {on_answer, 120},	    {on_release, 2},  {on_scaling, 3},
	{on_reload, 3},	      {on_time, 100},	    {on_close, 1},    {on_tenants, 6},
	{on_upgrade, 3},
};

void model_step(struct model *m)
{
	int total = 0;
	m->steps++;
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
		total += events[i].weight;
	int at = (int)model_random(m, (uint64_t)total);
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		at -= events[i].weight;
		if (at < 0) {
			events[i].happens(m);
			break;
		}
	}
	check_uses(m);
	/* Often several things happen before the core is asked what follows from them. */
	if (model_chance(m, 15))
		return;
	model_drain(m);
	check_all(m);
}
