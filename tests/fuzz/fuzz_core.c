/*
 * The ledger: a string of bytes is a sequence of operations, two bytes each (what, and whom or how
 * long); the first byte chooses the config. After each of them all decisions are carried out and
 * every promise is checked (core_ops.c).
 */
#include <string.h>

#include "base/clock.h"
#include "tests/fuzz/core_ops.h"
#include "tests/fuzz/fuzz.h"

enum { MOST_OPERATIONS = 2000 };

/* --- what the model knows -------------------------------------------------------------------- */

struct ops_ticket *ops_ticket_of(struct ops *o, uint64_t owner)
{
	struct ops_ticket *t = &o->tickets[owner % OPS_TICKETS];
	FUZZ_CHECK(t->ticket.owner == owner, t->ticket.owner, owner);
	return t;
}

int ops_pod_index(const struct ops *o, uint64_t pod)
{
	for (int i = 0; i < OPS_PODS; i++)
		if (o->pods[i] == pod)
			return i;
	fuzz_fail(__FILE__, __LINE__, "a pod that is known", (long long)pod, 0);
}

int64_t ops_concurrency(const struct ops *o)
{
	int64_t c = o->configs[o->config].container_concurrency;
	return c ? c : INT32_MAX;
}

static void on_pod_moved(void *arg, struct pod *p, enum pod_state from)
{
	struct ops *o = arg;
	if (from == POD_STATES) {
		o->pods[p->name[0] - 'a'] = p->id;
		o->allowed[p->name[0] - 'a'] = ops_concurrency(o);
	}
	FUZZ_CHECK(from != p->state, from, p->state);
	FUZZ_CHECK(o->pods[p->name[0] - 'a'] == p->id, p->id, from);
}

static void on_pod_freed(void *arg, struct pod *p)
{
	struct ops *o = arg;
	FUZZ_CHECK(pod_is_idle(p), p->used, p->passes);
	o->pods[ops_pod_index(o, p->id)] = 0;
}

static void on_slot_moved(void *arg, const struct slot *slot, enum slot_state from)
{
	struct ops *o = arg;
	struct ops_ticket *t = ops_ticket_of(o, slot->owner);
	FUZZ_CHECK(from == SLOT_STATES || t->has_slot, slot->owner, from);
	FUZZ_CHECK(from == SLOT_STATES || t->grant == slot->id, slot->id, t->grant);
	if (from != SLOT_STATES)
		return;
	t->has_slot = true;
	t->grant = slot->id;
	t->pod = slot->pod->id;
	t->forgotten_due = false;
}

/* "Each grant ends exactly once." */
static void on_slot_freed(void *arg, const struct slot *slot, int64_t now_us)
{
	struct ops *o = arg;
	struct ops_ticket *t = ops_ticket_of(o, slot->owner);
	FUZZ_CHECK(t->has_slot && t->grant == slot->id, t->grant, slot->id);
	FUZZ_CHECK(now_us == 0 || now_us == o->now_us, now_us, o->now_us);
	t->has_slot = false;
	t->forgotten_due = true; /* unless the operation itself has ended it */
	t->phase = t->phase == OPS_GRANTED ? OPS_FREE : t->phase;
	ops_allow(o, t->tenant);
	o->ended[o->ended_count++ % OPS_ENDED] = slot->id;
}

static void on_pod_failed(void *arg, const struct pod *p, const char *kind)
{
	(void)arg;
	FUZZ_CHECK(p->failures > 0 && kind, p->failures, 0);
}

static void on_scaling_failed(void *arg, const char *reason)
{
	const struct ops *o = arg;
	FUZZ_CHECK(o->service && reason, 0, 0);
}

static const struct service_observer observer = {
	.scaling_failed = on_scaling_failed,
	.pod_moved = on_pod_moved,
	.slot_moved = on_slot_moved,
	.slot_freed = on_slot_freed,
	.pod_freed = on_pod_freed,
	.pod_failed = on_pod_failed,
};

/* --- decisions ------------------------------------------------------------------------------- */

static void carry_out(struct ops *o, const struct decision *d)
{
	struct ops_ticket *t;
	switch (d->kind) {
	case DECIDE_GRANT:
		t = ops_ticket_of(o, d->owner);
		FUZZ_CHECK(t->phase == OPS_WAITING && d->ticket == &t->ticket, t->phase, 0);
		FUZZ_CHECK(t->has_slot && t->grant == d->grant && t->pod == d->pod, t->grant,
			   d->grant);
		FUZZ_CHECK(t->ticket.state == TICKET_OUTSIDE, t->ticket.state, 0);
		ops_check_grant(o, t);
		t->phase = OPS_GRANTED;
		t->started = false;
		break;
	case DECIDE_REFUSE:
		t = ops_ticket_of(o, d->owner);
		FUZZ_CHECK(t->phase == OPS_WAITING && d->ticket == &t->ticket, t->phase, 0);
		FUZZ_CHECK(t->ticket.state == TICKET_OUTSIDE, t->ticket.state, 0);
		FUZZ_CHECK(t->ticket.refusal != REFUSAL_NONE && t->ticket.retry_after_us > 0,
			   t->ticket.refusal, t->ticket.retry_after_us);
		t->phase = OPS_FREE;
		break;
	case DECIDE_PROBE:
	case DECIDE_CHECK_IDLE:
		ops_pod_index(o, d->pod);
		FUZZ_CHECK(d->question, d->pod, 0);
		o->questions[o->question_count % OPS_QUESTIONS].pod = d->pod;
		o->questions[o->question_count++ % OPS_QUESTIONS].id = d->question;
		break;
	case DECIDE_REMOVE:
		FUZZ_CHECK(service_pod(o->service, d->pod)->state == POD_REMOVING, d->pod, 0);
		break;
	case DECIDE_FORGET:
		t = ops_ticket_of(o, d->owner);
		FUZZ_CHECK(t->forgotten_due && t->grant == d->grant, t->grant, d->grant);
		t->forgotten_due = false;
		break;
	case DECIDE_SCALE:
		FUZZ_CHECK(o->scalable && d->replicas >= 0, d->replicas, 0);
		break;
	}
}

static void drain(struct ops *o)
{
	struct decision d;
	int guard = 0;
	while (service_next(o->service, o->now_us, &d)) {
		carry_out(o, &d);
		FUZZ_CHECK(++guard < 10000, d.kind, d.pod);
	}
}

/* --- operations ------------------------------------------------------------------------------ */

static void arrive(struct ops *o, struct ops_ticket *t, unsigned how)
{
	/* A job that has gone on without its ticket keeps its owner's number. */
	if (t->phase != OPS_FREE || t->has_slot || t->forgotten_due)
		return;
	memset(t, 0, sizeof(*t));
	ticket_init(&t->ticket, (enum ticket_kind)(how % 3));
	t->ticket.owner = ++o->serial * OPS_TICKETS + (uint64_t)(t - o->tickets);
	t->ticket.freed_by_idle = how & 4;
	t->ticket.prefer_pod = how & 8 ? o->pods[how % OPS_PODS] : 0;
	t->tenant = how & 16 || how & 2 ? (int)(how % OPS_TENANTS) : -1;
	if (t->tenant >= 0 && o->tenants[t->tenant].is_dropped)
		t->tenant = -1;
	t->ticket.tenant = t->tenant < 0 ? 0 : o->tenants[t->tenant].id;
	if (!service_admit(o->service, &t->ticket, o->now_us)) {
		FUZZ_CHECK(t->ticket.refusal != REFUSAL_NONE, 0, 0);
		FUZZ_CHECK(t->ticket.state == TICKET_OUTSIDE, t->ticket.state, 0);
		return;
	}
	FUZZ_CHECK(!o->closed, 0, 0);
	t->phase = OPS_ADMITTED;
}

static void enqueue(struct ops *o, struct ops_ticket *t)
{
	if (t->phase == OPS_ADMITTED) {
		t->arrival = ++o->arrivals;
		t->phase = OPS_WAITING;
		service_enqueue(o->service, &t->ticket, o->now_us);
	} else if (t->phase == OPS_RETURNED) {
		if (!service_tenant(o->service, t->ticket.tenant))
			t->tenant = -1; /* forgotten while this was nowhere */
		t->phase = OPS_WAITING;
		service_requeue(o->service, &t->ticket, o->now_us);
	}
}

static void cancel(struct ops *o, struct ops_ticket *t)
{
	service_cancel(o->service, &t->ticket, o->now_us);
	FUZZ_CHECK(t->ticket.state == TICKET_OUTSIDE, t->ticket.state, 0);
	if (t->phase != OPS_GRANTED)
		t->phase = OPS_FREE;
}

static void start(struct ops *o, struct ops_ticket *t)
{
	service_started(o->service, t->grant, o->now_us);
	t->started = true;
}

/* A call about a job that ends it: nobody need be told of that. */
static void has_told(struct ops_ticket *t, bool had_slot)
{
	if (had_slot && !t->has_slot)
		t->forgotten_due = false;
}

static void finish(struct ops *o, struct ops_ticket *t)
{
	bool had_slot = t->has_slot;
	service_finished(o->service, t->grant, o->now_us);
	has_told(t, had_slot);
}

static void time_out(struct ops *o, struct ops_ticket *t)
{
	bool had_slot = t->has_slot;
	service_timed_out(o->service, t->grant, o->now_us);
	has_told(t, had_slot);
}

static void break_off(struct ops *o, struct ops_ticket *t)
{
	bool had_slot = t->has_slot;
	service_broken(o->service, t->grant, "reset", o->now_us);
	FUZZ_CHECK(t->has_slot == (had_slot && t->ticket.kind != TICKET_PASS), had_slot, 0);
	has_told(t, had_slot);
}

static void give_back(struct ops *o, struct ops_ticket *t, enum unsent how)
{
	if (t->phase != OPS_GRANTED || t->started || !t->has_slot)
		return;
	t->phase = OPS_RETURNED;
	service_returned(o->service, t->grant, &t->ticket, how, o->now_us);
	FUZZ_CHECK(!t->has_slot, t->grant, 0);
	has_told(t, true);
}

static void answer(struct ops *o, unsigned how)
{
	unsigned i = how % OPS_QUESTIONS;
	service_pod_answered(o->service, o->questions[i].pod, o->questions[i].id,
			     (enum pod_answer)(how / OPS_QUESTIONS % 3), o->now_us);
}

static void pod_comes(struct ops *o, unsigned how)
{
	char name[2] = {(char)('a' + how % OPS_PODS), '\0'};
	uint64_t before = o->pods[how % OPS_PODS];
	uint64_t id = service_pod_add(o->service, name, how & 16, NULL, o->now_us);
	FUZZ_CHECK(id && id == o->pods[how % OPS_PODS], id, o->pods[how % OPS_PODS]);
	FUZZ_CHECK(!before || before == id, before, id);
}

static void release(struct ops *o, unsigned i)
{
	char name[2] = {(char)('a' + i), '\0'};
	bool known = o->pods[i] != 0;
	FUZZ_CHECK(service_pod_release(o->service, name, o->now_us) == known, i, known);
}

static void set_tenant(struct ops *o, int i, unsigned how)
{
	char name[2] = {(char)('A' + i), '\0'};
	struct ops_tenant *tn = &o->tenants[i];
	bool is_known = service_tenant(o->service, tn->id) != NULL;
	tn->caps = (struct tenant_caps){how % 3, how / 3 % 3};
	uint64_t id = service_tenant_set(o->service, name, tn->caps, o->now_us);
	FUZZ_CHECK(id && (id == tn->id) == is_known, id, tn->id);
	for (struct ops_ticket *t = o->tickets; t < o->tickets + OPS_TICKETS; t++)
		if (!is_known && t->tenant == i)
			t->tenant = -1;
	tn->id = id;
	tn->is_dropped = false;
	ops_allow(o, i);
}

static void reload_tenants(struct ops *o, unsigned how)
{
	int i = how & 1;
	char name[2] = {(char)('A' + i), '\0'};
	if (how & 2) {
		set_tenant(o, i, how / 4 % 8 + 1);
		return;
	}
	service_tenant_drop(o->service, name);
	o->tenants[i].is_dropped = true;
}

static void reload(struct ops *o)
{
	o->config = !o->config;
	for (int i = 0; i < OPS_PODS; i++) {
		const struct pod *p = service_pod(o->service, o->pods[i]);
		/* Exclusive jobs grow with the pod. */
		o->allowed[i] = p ? p->used + ops_concurrency(o) * OPS_TICKETS : 0;
	}
	service_configure(o->service, &o->configs[o->config], o->now_us);
	for (int i = 0; i < OPS_PODS; i++) {
		const struct pod *p = service_pod(o->service, o->pods[i]);
		if (p)
			o->allowed[i] = p->used > p->capacity ? p->used : p->capacity;
	}
}

/* Time goes on to the next deadline or by so much; a deadline that stays
 * due would spin the loop. */
static void pass_time(struct ops *o, unsigned how)
{
	int64_t due_us = service_next_deadline_us(o->service);
	int64_t by_us = how & 128 ? (how & 127) * US_PER_S : (how & 127) * US_PER_MS;
	if (how == 0 && due_us > o->now_us && due_us < o->now_us + 3600 * US_PER_S)
		o->now_us = due_us;
	else
		o->now_us += by_us;
	/* What a tick brings about may be due at once, but not for ever. */
	for (int i = 0; i < 3 && service_next_deadline_us(o->service) <= o->now_us; i++) {
		service_tick(o->service, o->now_us);
		drain(o);
	}
	FUZZ_CHECK(service_next_deadline_us(o->service) > o->now_us,
		   service_next_deadline_us(o->service), o->now_us);
}

static void close_or_open(struct ops *o, unsigned how)
{
	o->closed = how % 4 == 0;
	if (o->closed)
		service_close(o->service, o->now_us);
	else
		service_open(o->service, o->now_us);
}

static void operate_on_pods(struct ops *o, unsigned what, unsigned how)
{
	unsigned pod = how % OPS_PODS;
	switch (what) {
	case 12:
	case 13:
		answer(o, how);
		break;
	case 14:
		pod_comes(o, how);
		break;
	case 15:
		service_pod_absent(o->service, o->pods[pod], o->now_us);
		break;
	case 16:
		service_pod_gone(o->service, o->pods[pod], o->now_us);
		break;
	case 17:
		if (how & 128)
			reload_tenants(o, how & 31);
		else if (how & 64)
			reload(o);
		else
			release(o, pod);
		break;
	case 18:
		service_scaling_failed(o->service, how & 1 ? "no" : NULL,
				       o->now_us + how * US_PER_S, o->now_us);
		break;
	case 19:
		pass_time(o, how);
		break;
	default:
		close_or_open(o, how);
		break;
	}
}

static void operate(struct ops *o, unsigned what, unsigned how)
{
	struct ops_ticket *t = &o->tickets[how % OPS_TICKETS];
	switch (what) {
	case 0: /* the commonest ones twice */
	case 1:
		arrive(o, t, how / OPS_TICKETS);
		break;
	case 2:
		enqueue(o, t);
		break;
	case 3:
		arrive(o, t, how / OPS_TICKETS);
		enqueue(o, t);
		break;
	case 4:
		cancel(o, t);
		break;
	case 5:
	case 6:
		start(o, t);
		break;
	case 7:
		finish(o, t);
		break;
	case 8:
		service_client_left(o->service, t->grant, o->now_us);
		break;
	case 9:
		time_out(o, t);
		break;
	case 10:
		break_off(o, t);
		break;
	case 11:
		give_back(o, t, (enum unsent)(how / OPS_TICKETS % 3));
		break;
	default:
		operate_on_pods(o, what, how);
		break;
	}
}

/* --- life ------------------------------------------------------------------------------------ */

static struct service_config config_for(unsigned n)
{
	return (struct service_config){
		.name = (char[]){"fuzz"},
		.container_concurrency = (int64_t)(n % 4),
		.queue = {4, 10 * US_PER_S, 30 * US_PER_S, 3},
		.pass_through = {.max_requests = 6,
				 .max_requests_per_pod = 2,
				 .wait_when_cold = n & 4},
		.readiness = {CHECK_TCP_SOCKET, NULL, US_PER_S, 4 * US_PER_MS, US_PER_S},
		.idle = {.kind = n & 8 ? CHECK_HTTP_GET : CHECK_NONE,
			 .period_us = 500 * US_PER_MS,
			 .success_threshold = 1 + (n >> 4 & 1)},
		.ejection = {2, US_PER_S, 4 * US_PER_S},
		.quarantine = {n & 32 ? 5 * US_PER_S : 0},
		.autoscaling = {.max_scale = 3,
				.min_scale = n >> 6 & 1,
				.activation_scale = 1,
				.target_utilization = 1,
				.stable_window_us = 6 * US_PER_S,
				.panic_window_percentage = 10,
				.panic_threshold_percentage = 200,
				.max_scale_up_rate = 1000,
				.max_scale_down_rate = 2,
				.scale_down_delay_us = n & 64 ? 3 * US_PER_S : 0,
				.tick_us = 2 * US_PER_S},
	};
}

static void end(struct ops *o)
{
	for (int i = 0; i < OPS_TICKETS; i++)
		cancel(o, &o->tickets[i]);
	service_free(o->service);
}

int fuzz_core(const uint8_t *data, size_t size)
{
	static struct ops o;
	if (size < 3)
		return 0;
	memset(&o, 0, sizeof(o));
	for (int i = 0; i < OPS_TICKETS; i++) {
		o.tickets[i].tenant = -1;
		ticket_init(&o.tickets[i].ticket, TICKET_SLOT);
	}
	o.scalable = data[0] & 128;
	o.configs[0] = config_for(data[0]);
	o.configs[1] = config_for(data[1]);
	o.now_us = 1000 * US_PER_S;
	o.service = service_new(&o.configs[0], o.scalable, &observer, &o, o.now_us);
	FUZZ_CHECK(o.service, 0, 0);
	for (int i = 0; i < OPS_TENANTS; i++)
		set_tenant(&o, i, data[1]);
	for (size_t i = 2; i + 1 < size && i < 2 * MOST_OPERATIONS; i += 2) {
		operate(&o, data[i] % 21, data[i + 1]);
		if (data[i] & 64)
			continue; /* several things happen before the core is asked */
		drain(&o);
		ops_check_all(&o);
	}
	end(&o);
	return 0;
}
