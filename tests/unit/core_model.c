/* The world around one service, and what its core is told about it. */
#include "tests/unit/core_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

/* --- chance and messages --------------------------------------------------------------------- */

/* splitmix64 (Steele, Lea, Flood 2014). */
uint64_t model_random(struct model *m, uint64_t below)
{
	uint64_t z = m->random += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % below;
}

bool model_chance(struct model *m, int percent)
{
	return model_random(m, 100) < (uint64_t)percent;
}

void model_note(struct model *m, const char *what, int64_t a, int64_t b)
{
	m->notes[m->note_count++ % NOTES] = (struct note){what, a, b};
}

void model_fail(struct model *m, const char *what, int64_t a, int64_t b)
{
	int64_t first = m->note_count > NOTES ? m->note_count - NOTES : 0;
	for (int64_t i = first; i < m->note_count; i++) {
		const struct note *n = &m->notes[i % NOTES];
		print_error("  %6lld %s %lld %lld\n", (long long)i, n->what, (long long)n->a,
			    (long long)n->b);
	}
	for (int i = 0; i < MACHINES; i++)
		print_error("  %s: %s, %lld jobs, really %lld\n", m->machines[i].name,
			    m->machines[i].state < POD_STATES ? pod_state_name(m->machines[i].state)
							      : "unknown",
			    (long long)model_jobs(m, i, false), (long long)model_jobs(m, i, true));
	print_error("seed %llu, %s, concurrency %lld, at %lld us\n", (unsigned long long)m->seed,
		    m->scalable ? "scalable" : "static",
		    (long long)m->config->container_concurrency, (long long)m->now_us);
	fail_msg("broken: %s (%lld, %lld)", what, (long long)a, (long long)b);
	abort();
}

/* --- the truth ------------------------------------------------------------------------------- */

int model_index(const struct model *m, const struct work *w)
{
	return (int)(w - m->works);
}

int64_t model_jobs(const struct model *m, int machine, bool really)
{
	int64_t n = 0;
	for (const struct work *w = m->works; w < m->works + WORKS; w++)
		n += w->machine == machine && w->ticket.kind != TICKET_PASS &&
		     (really ? w->runs : w->has_slot);
	return n;
}

bool model_has_exclusive(const struct model *m, int machine, bool really)
{
	for (const struct work *w = m->works; w < m->works + WORKS; w++)
		if (w->machine == machine && w->ticket.kind == TICKET_EXCLUSIVE &&
		    (really ? w->runs : w->has_slot))
			return true;
	return false;
}

int64_t model_passes(const struct model *m, int machine)
{
	int64_t n = 0;
	for (const struct work *w = m->works; w < m->works + WORKS; w++)
		n += w->machine == machine && w->ticket.kind == TICKET_PASS && w->has_slot;
	return n;
}

int64_t model_all_passes(const struct model *m)
{
	int64_t n = 0;
	for (const struct work *w = m->works; w < m->works + WORKS; w++)
		n += w->ticket.kind == TICKET_PASS &&
		     (w->has_slot || w->phase == ADMITTED ||
		      /* a refused one has only still to be told */
		      (w->phase == WAITING && w->ticket.state != TICKET_REFUSED));
	return n;
}

int64_t model_tenant_jobs(const struct model *m, int tenant, bool really)
{
	int64_t n = 0;
	for (const struct work *w = m->works; w < m->works + WORKS; w++)
		n += w->tenant == tenant && w->ticket.kind != TICKET_PASS &&
		     (really ? w->runs : w->has_slot);
	return n;
}

int64_t model_tenant_room(const struct model *m, int tenant)
{
	int64_t most = m->tenants[tenant].caps.max_working;
	int64_t jobs = model_tenant_jobs(m, tenant, false);
	return !most ? INT64_MAX : most > jobs ? most - jobs : 0;
}

bool model_is_working(const struct model *m, int machine)
{
	return m->machines[machine].has_foreign_job || model_jobs(m, machine, true) > 0;
}

/* What an honest pod answers at this moment. */
enum pod_answer model_truth(const struct model *m, int machine, bool is_check)
{
	if (!m->machines[machine].listens)
		return ANSWER_REFUSED;
	return is_check && model_is_working(m, machine) ? ANSWER_NO : ANSWER_YES;
}

/* --- what the core tells --------------------------------------------------------------------- */

static bool is_open(enum pod_state state)
{
	return state == POD_READY || state == POD_FULL;
}

static struct machine *machine_of(struct model *m, const struct pod *p)
{
	return &m->machines[atoi(p->name + 1)];
}

static void on_pod_moved(void *arg, struct pod *p, enum pod_state from)
{
	struct model *m = arg;
	struct machine *it = machine_of(m, p);
	MODEL_CHECK(m, it->state == from, it->state, from);
	model_note(m, pod_state_name(p->state), it - m->machines, from);
	if (!is_open(from) && is_open(p->state)) {
		it->stint++;
		if (m->open_pods++ == 0)
			m->warm_us = m->now_us;
	} else if (from < POD_STATES && is_open(from) && !is_open(p->state)) {
		m->open_pods--;
	}
	it->pod = p->id;
	it->state = p->state;
	it->since_us = m->now_us;
}

static void on_pod_freed(void *arg, struct pod *p)
{
	struct model *m = arg;
	struct machine *it = machine_of(m, p);
	if (m->is_deaf)
		return;
	m->open_pods -= is_open(it->state);
	it->state = POD_STATES;
	it->pod = 0;
}

static struct work *work_of(struct model *m, uint64_t owner)
{
	struct work *w = &m->works[owner % WORKS];
	MODEL_CHECK(m, w->owner == owner, owner, w->owner);
	return w;
}

static int64_t concurrency(const struct model *m)
{
	int64_t c = m->config->container_concurrency;
	return c ? c : INT64_MAX;
}

/* What is at work beyond a lowered cap may go on, and no more. */
static void allow(struct model *m, int tenant)
{
	struct model_tenant *tn = &m->tenants[tenant];
	int64_t jobs = model_tenant_jobs(m, tenant, false);
	int64_t most = tn->caps.max_working ? tn->caps.max_working : INT64_MAX;
	tn->allowed = jobs > most ? jobs : most;
}

/* A slot may only be freed when its job is over. */
static void on_slot_freed(void *arg, const struct slot *slot, int64_t now_us)
{
	struct model *m = arg;
	(void)now_us;
	if (m->is_deaf)
		return;
	struct work *w = work_of(m, slot->owner);
	MODEL_CHECK(m, w->phase == HELD && w->has_slot && w->grant == slot->id, slot->id, w->grant);
	if (w->ticket.kind == TICKET_PASS)
		w->runs = false;
	MODEL_CHECK(m, !w->runs, w->owner, w->machine);
	w->has_slot = false;
	w->forget_due = !w->ending;
	w->phase = AT_REST;
	m->ended[m->ended_count++ % ENDED] = slot->id;
	struct machine *it = &m->machines[w->machine];
	int64_t jobs = model_jobs(m, w->machine, false);
	it->allowed = jobs > concurrency(m) ? jobs : concurrency(m);
	allow(m, w->tenant);
}

static void on_slot_moved(void *arg, const struct slot *slot, enum slot_state from)
{
	(void)arg;
	(void)slot;
	(void)from;
}

static void on_pod_failed(void *arg, const struct pod *p, const char *kind)
{
	struct model *m = arg;
	model_note(m, kind, machine_of(m, p) - m->machines, p->failures);
}

static void on_scaling_failed(void *arg, const char *reason)
{
	(void)arg, (void)reason;
}

static const struct service_observer observer = {
	.pod_moved = on_pod_moved,
	.slot_moved = on_slot_moved,
	.slot_freed = on_slot_freed,
	.pod_freed = on_pod_freed,
	.pod_failed = on_pod_failed,
	.scaling_failed = on_scaling_failed,
};

/* --- carrying out decisions ------------------------------------------------------------------ */

static int machine_by_pod(struct model *m, uint64_t pod)
{
	for (int i = 0; i < MACHINES; i++)
		if (m->machines[i].pod == pod)
			return i;
	model_fail(m, "a decision names a pod that is known", (int64_t)pod, 0);
}

static void carry_out_grant(struct model *m, const struct decision *d)
{
	struct work *w = work_of(m, d->owner);
	MODEL_CHECK(m, d->ticket == &w->ticket && w->ticket.state == TICKET_OUTSIDE, d->owner, 0);
	MODEL_CHECK(m, w->phase == WAITING, w->phase, 0);
	int machine = machine_by_pod(m, d->pod);
	model_note(m, "granted: work, machine", model_index(m, w), machine);
	w->machine = machine;
	check_grant(m, w, d);
	w->phase = HELD;
	w->grant = d->grant;
	w->has_slot = w->connected = true;
	w->started = w->runs = w->crashed = w->timed_out = w->ending = false;
}

static void carry_out_refusal(struct model *m, const struct decision *d)
{
	struct work *w = work_of(m, d->owner);
	MODEL_CHECK(m, d->ticket == &w->ticket && w->ticket.state == TICKET_OUTSIDE, d->owner, 0);
	MODEL_CHECK(m, w->phase == WAITING, w->phase, 0);
	model_note(m, refusal_name(w->ticket.refusal), model_index(m, w), 0);
	check_refusal(m, w);
	w->phase = AT_REST;
}

static void remember_question(struct model *m, const struct decision *d)
{
	if (m->question_count == QUESTIONS) /* the oldest is answered late, but it is */
		model_answer(m, 0, m->questions[0].early);
	int machine = machine_by_pod(m, d->pod);
	bool is_check = d->kind == DECIDE_CHECK_IDLE;
	MODEL_CHECK(m, !is_check || m->config->idle.kind != CHECK_NONE, machine, 0);
	model_note(m, is_check ? "asked whether idle" : "asked whether ready", machine, 0);
	m->questions[m->question_count++] = (struct question){
		.pod = d->pod,
		.id = d->question,
		.machine = machine,
		.is_check = is_check,
		.early = model_truth(m, machine, is_check),
	};
}

static void carry_out(struct model *m, const struct decision *d)
{
	switch (d->kind) {
	case DECIDE_GRANT:
		carry_out_grant(m, d);
		break;
	case DECIDE_REFUSE:
		carry_out_refusal(m, d);
		break;
	case DECIDE_PROBE:
	case DECIDE_CHECK_IDLE:
		remember_question(m, d);
		break;
	case DECIDE_REMOVE:
		check_removal(m, &m->machines[machine_by_pod(m, d->pod)]);
		m->machines[machine_by_pod(m, d->pod)].stopping = true;
		break;
	case DECIDE_FORGET: {
		struct work *w = work_of(m, d->owner);
		MODEL_CHECK(m, w->forget_due && w->grant == d->grant, d->owner, w->phase);
		w->forget_due = false;
		break;
	}
	case DECIDE_SCALE:
		MODEL_CHECK(m, m->scalable, d->replicas, 0);
		m->replicas = d->replicas;
		break;
	}
}

void model_drain(struct model *m)
{
	struct decision d;
	for (;;) {
		m->reserving = check_reserving(m);
		if (!service_next(m->service, m->now_us, &d))
			return;
		carry_out(m, &d);
	}
}

/* --- machines -------------------------------------------------------------------------------- */

/* It is discovered: started anew, or back. A pod that the core still knows keeps its id. */
void model_come(struct model *m, int machine, bool past_is_known)
{
	struct machine *it = &m->machines[machine];
	uint64_t before = it->pod;
	if (!it->up)
		it->up = it->listens = true;
	it->discovered = true;
	if (!before)
		it->allowed = concurrency(m);
	uint64_t pod = service_pod_add(m->service, it->name, past_is_known, NULL, m->now_us);
	MODEL_CHECK(m, pod && pod == it->pod && (!before || pod == before), pod, before);
}

/* Its process ends, and with it all its jobs; nobody has heard of it yet. */
void model_crash(struct model *m, int machine)
{
	struct machine *it = &m->machines[machine];
	it->up = it->listens = it->has_foreign_job = false;
	for (struct work *w = m->works; w < m->works + WORKS; w++) {
		if (w->machine == machine && w->has_slot && w->started) {
			w->runs = false;
			w->crashed = true;
		}
	}
}

void model_gone(struct model *m, int machine)
{
	struct machine *it = &m->machines[machine];
	uint64_t pod = it->pod;
	model_crash(m, machine);
	it->discovered = it->stopping = false;
	service_pod_gone(m->service, pod, m->now_us);
	MODEL_CHECK(m, it->pod == 0 && !service_pod(m->service, pod), machine, pod);
	MODEL_CHECK(m, model_jobs(m, machine, false) + model_passes(m, machine) == 0, machine, 0);
}

void model_answer(struct model *m, int question, enum pod_answer answer)
{
	struct question q = m->questions[question];
	memmove(&m->questions[question], &m->questions[question + 1],
		(size_t)(--m->question_count - question) * sizeof(q));
	model_note(m, "answered", q.machine, answer);
	service_pod_answered(m->service, q.pod, q.id, answer, m->now_us);
}

/* --- jobs ------------------------------------------------------------------------------------ */

void model_start_job(struct model *m, struct work *w)
{
	service_started(m->service, w->grant, m->now_us);
	w->started = true;
	w->runs = m->machines[w->machine].up;
	w->crashed = !w->runs;
	check_truth(m, w->machine);
}

/* A process that is shutting down (it listens no more) waits for its connections alone. */
static bool outlives_connection(struct model *m, const struct work *w)
{
	return m->machines[w->machine].listens && model_chance(m, 60);
}

/* Its answer has ended, and so has the job, unless the pattern says that this does not follow. */
void model_finish_job(struct model *m, struct work *w)
{
	bool by_idle = w->ticket.freed_by_idle && w->ticket.kind != TICKET_PASS &&
		       m->config->idle.kind != CHECK_NONE;
	w->runs = w->runs && by_idle && outlives_connection(m, w);
	w->connected = false;
	w->ending = !by_idle;
	service_finished(m->service, w->grant, m->now_us);
	MODEL_CHECK(m, w->has_slot == by_idle, model_index(m, w), w->machine);
}

void model_break(struct model *m, struct work *w)
{
	w->runs = w->runs && outlives_connection(m, w);
	w->connected = false;
	w->ending = w->ticket.kind == TICKET_PASS;
	service_broken(m->service, w->grant, "reset", m->now_us);
	MODEL_CHECK(m, w->has_slot == (w->ticket.kind != TICKET_PASS), model_index(m, w), 0);
}

void model_return(struct model *m, struct work *w, enum unsent how, bool wants_more)
{
	struct machine *it = &m->machines[w->machine];
	struct stint here = {w->machine, it->stint, it->pod};
	w->ending = true;
	service_returned(m->service, w->grant, wants_more ? &w->ticket : NULL, how, m->now_us);
	MODEL_CHECK(m, !w->has_slot, model_index(m, w), w->machine);
	if (!wants_more)
		return;
	w->phase = RETURNED;
	if (how != UNSENT_STALE)
		w->failed_at[w->attempts++ % TICKET_SKIPS_MAX] = here;
	MODEL_CHECK(m, w->attempts == w->ticket.attempts, w->attempts, w->ticket.attempts);
}

void model_cancel(struct model *m, struct work *w)
{
	service_cancel(m->service, &w->ticket, m->now_us);
	MODEL_CHECK(m, w->ticket.state == TICKET_OUTSIDE, model_index(m, w), w->phase);
	if (w->phase != HELD)
		w->phase = AT_REST;
}

/* --- beginning and end ----------------------------------------------------------------------- */

void model_reload(struct model *m, const struct service_config *config)
{
	struct service_config *next = &m->configs[m->config == &m->configs[0]];
	*next = *config;
	m->config = next;
	for (int i = 0; i < MACHINES; i++) {
		int64_t jobs = model_jobs(m, i, false);
		m->machines[i].allowed = jobs > concurrency(m) ? jobs : concurrency(m);
	}
	service_configure(m->service, next, m->now_us);
}

void model_set_tenant(struct model *m, int tenant, struct tenant_caps caps)
{
	struct model_tenant *tn = &m->tenants[tenant];
	bool is_known = service_tenant(m->service, tn->id) != NULL;
	uint64_t id = service_tenant_set(m->service, tn->name, caps, m->now_us);
	MODEL_CHECK(m, id && (id == tn->id) == is_known, id, tn->id);
	for (struct work *w = m->works; w < m->works + WORKS; w++)
		if (!is_known && w->tenant == tenant)
			w->tenant = 0; /* it was forgotten, and with it whose this was */
	tn->id = id;
	tn->caps = caps;
	tn->is_dropped = false;
	allow(m, tenant);
}

void model_drop_tenant(struct model *m, int tenant)
{
	service_tenant_drop(m->service, m->tenants[tenant].name);
	m->tenants[tenant].is_dropped = true;
}

static struct tenant_caps caps_for(struct model *m)
{
	return (struct tenant_caps){(int64_t)model_random(m, 5), (int64_t)model_random(m, 4)};
}

void model_start(struct model *m, const struct service_config *config, bool scalable, uint64_t seed)
{
	*m = (struct model){.scalable = scalable, .seed = seed, .random = seed};
	m->now_us = (int64_t)model_random(m, 1000 * US_PER_S);
	m->warm_us = m->now_us;
	m->configs[0] = *config;
	m->config = &m->configs[0];
	for (int i = 0; i < MACHINES; i++) {
		m->machines[i].state = POD_STATES;
		snprintf(m->machines[i].name, sizeof(m->machines[i].name), "m%d", i);
	}
	for (int i = 0; i < WORKS; i++) {
		ticket_init(&m->works[i].ticket, TICKET_SLOT);
		m->works[i].machine = NOBODY;
	}
	model_renew(m);
}

void model_renew(struct model *m)
{
	m->service = service_new(m->config, m->scalable, &observer, m, m->now_us);
	assert_non_null(m->service);
	m->is_timed = false;
	m->tenants[0].allowed = INT64_MAX;
	for (int i = 1; i < TENANTS; i++) {
		snprintf(m->tenants[i].name, sizeof(m->tenants[i].name), "t%d", i);
		model_set_tenant(m, i, caps_for(m));
	}
}

/* Everything that goes on goes on to its end; nobody new comes. */
static void let_work_end(struct model *m, struct work *w, bool patient)
{
	if (w->phase == ADMITTED || w->phase == RETURNED || (w->phase == WAITING && !patient))
		model_cancel(m, w);
	if (w->phase != HELD)
		return;
	if (!w->connected)
		w->runs = false;
	else if (!w->started)
		model_return(m, w, UNSENT_STALE, false);
	else if (w->crashed)
		model_break(m, w);
	else
		model_finish_job(m, w);
}

static void let_machine_end(struct model *m, int i)
{
	struct machine *it = &m->machines[i];
	it->has_foreign_job = false;
	if (it->stopping && it->pod)
		model_gone(m, i);
	if (it->pod && !it->up)
		it->up = true;
	it->listens = it->up;
	/* Without an idle check only an operator can tell. */
	if (it->pod && m->config->idle.kind == CHECK_NONE && !model_is_working(m, i))
		service_pod_release(m->service, it->name, m->now_us);
}

static bool is_over(const struct model *m)
{
	for (const struct work *w = m->works; w < m->works + WORKS; w++)
		if (w->phase != AT_REST)
			return false;
	for (int i = 0; i < MACHINES; i++)
		if (m->machines[i].pod && m->scalable && m->config->autoscaling.min_scale == 0)
			return false;
	return true;
}

void model_finish(struct model *m)
{
	bool patient = model_chance(m, 30);
	for (int turn = 0; !is_over(m); turn++) {
		MODEL_CHECK(m, turn < 5000, turn, 0);
		for (struct work *w = m->works; w < m->works + WORKS; w++)
			let_work_end(m, w, patient);
		for (int i = 0; i < MACHINES; i++)
			let_machine_end(m, i);
		model_drain(m);
		while (m->question_count)
			model_answer(
				m, 0,
				model_truth(m, m->questions[0].machine, m->questions[0].is_check));
		model_drain(m);
		check_all(m);
		/* One that a change has brought forward may be over already. */
		int64_t wake_us = service_next_deadline_us(m->service);
		m->now_us = wake_us > m->now_us ? wake_us : m->now_us;
		service_tick(m->service, m->now_us);
		model_drain(m);
		check_all(m);
	}
	for (int i = 0; i < MACHINES; i++)
		if (m->machines[i].pod)
			model_gone(m, i);
	model_drain(m);
	check_all(m);
	service_free(m->service);
}
