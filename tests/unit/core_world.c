/* One service under a fake clock, for scenario tests. */
#include "tests/unit/core_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const int64_t BEGIN_US = 1000 * US_PER_S;

static void on_pod_moved(void *arg, struct pod *p, enum pod_state from)
{
	(void)p;
	(void)from;
	((struct world *)arg)->moved++;
}

static void on_slot_moved(void *arg, const struct slot *slot, enum slot_state from)
{
	(void)arg;
	(void)slot;
	(void)from;
}

static void on_slot_freed(void *arg, const struct slot *slot, int64_t now_us)
{
	(void)arg;
	(void)slot;
	(void)now_us;
}

static void on_pod_freed(void *arg, struct pod *p)
{
	(void)arg;
	(void)p;
}

static void on_pod_failed(void *arg, const struct pod *p, const char *kind)
{
	(void)p;
	(void)kind;
	((struct world *)arg)->failures++;
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

/* --- life ------------------------------------------------------------------------------------ */

void world_init(struct world *w)
{
	*w = (struct world){.now_us = BEGIN_US, .replicas = -1};
	w->config = (struct service_config){
		.name = (char[]){"w"},
		.container_concurrency = 1,
		.queue = {10, 10 * US_PER_S, 30 * US_PER_S, 3},
		.pass_through = {.max_requests = 100,
				 .max_requests_per_pod = 2,
				 .wait_when_cold = true},
		.readiness = {CHECK_TCP_SOCKET, NULL, US_PER_S, 4 * US_PER_MS, US_PER_S},
		.idle = {.kind = CHECK_HTTP_GET,
			 .period_us = 500 * US_PER_MS,
			 .success_threshold = 2},
		.ejection = {3, US_PER_S, 4 * US_PER_S},
		.autoscaling = {.max_scale = 5,
				.activation_scale = 1,
				.target_utilization = 1,
				.stable_window_us = 6 * US_PER_S,
				.panic_window_percentage = 10,
				.panic_threshold_percentage = 200,
				.max_scale_up_rate = 1000,
				.max_scale_down_rate = 2,
				.tick_us = 2 * US_PER_S},
	};
	for (int i = 0; i < WORLD_TICKETS; i++)
		ticket_init(&w->tickets[i], TICKET_SLOT);
}

void world_start(struct world *w, bool scalable)
{
	w->service = service_new(&w->config, scalable, &observer, w, w->now_us);
	assert_non_null(w->service);
	world_settle(w);
}

void world_stop(struct world *w)
{
	for (int i = 0; i < WORLD_TICKETS; i++)
		service_cancel(w->service, &w->tickets[i], w->now_us);
	service_free(w->service);
}

/* --- decisions ------------------------------------------------------------------------------- */

/* The pod's own place, or else a free one. */
static void remember_question(struct world *w, const struct decision *d)
{
	int at = -1;
	for (int i = 0; i < WORLD_PODS; i++)
		if (at < 0 && !w->asked[i].question)
			at = i;
	for (int i = 0; i < WORLD_PODS; i++)
		if (w->asked[i].pod == d->pod)
			at = i;
	assert_true(at >= 0);
	w->asked[at].pod = d->pod;
	w->asked[at].question = d->question;
	w->asked[at].is_check = d->kind == DECIDE_CHECK_IDLE;
}

static void carry_out(struct world *w, const struct decision *d)
{
	int i = (int)d->owner - 1;
	switch (d->kind) {
	case DECIDE_GRANT:
		w->grants[i] = d->grant;
		w->pod_ids[i] = d->pod;
		break;
	case DECIDE_REFUSE:
		w->refused[i] = d->ticket->refusal;
		break;
	case DECIDE_PROBE:
	case DECIDE_CHECK_IDLE:
		remember_question(w, d);
		break;
	case DECIDE_REMOVE:
		w->removed[w->removed_count++ % WORLD_PODS] = d->pod;
		break;
	case DECIDE_FORGET:
		w->forgotten[i]++;
		break;
	case DECIDE_SCALE:
		w->replicas = d->replicas;
		break;
	}
}

void world_settle(struct world *w)
{
	struct decision d;
	while (service_next(w->service, w->now_us, &d))
		carry_out(w, &d);
}

void world_at(struct world *w, int64_t us)
{
	int64_t until_us = BEGIN_US + us;
	assert_true(until_us >= w->now_us);
	for (;;) {
		int64_t at_us = service_next_deadline_us(w->service);
		if (at_us > until_us)
			break;
		w->now_us = at_us > w->now_us ? at_us : w->now_us;
		service_tick(w->service, w->now_us);
		world_settle(w);
	}
	w->now_us = until_us;
	world_settle(w);
}

/* --- pods ------------------------------------------------------------------------------------ */

static const struct pod *pod_named(const struct world *w, const char *name)
{
	return service_pod_by_name(w->service, name);
}

enum pod_state world_state(const struct world *w, const char *name)
{
	const struct pod *p = pod_named(w, name);
	return p ? p->state : POD_STATES;
}

int64_t world_used(const struct world *w, const char *name)
{
	const struct pod *p = pod_named(w, name);
	assert_non_null(p);
	return p->used;
}

struct service_counts world_counts(const struct world *w)
{
	struct service_counts c;
	service_count(w->service, w->now_us, &c);
	return c;
}

static uint64_t come(struct world *w, const char *name, bool known)
{
	uint64_t id = service_pod_add(w->service, name, known, NULL, w->now_us);
	assert_int_not_equal(id, 0);
	/* A question is due at once; other deadlines are left to world_at. */
	service_tick(w->service, w->now_us);
	world_settle(w);
	return id;
}

uint64_t world_pod_new(struct world *w, const char *name)
{
	return come(w, name, false);
}

uint64_t world_pod(struct world *w, const char *name)
{
	uint64_t id = come(w, name, true);
	world_answer(w, name, ANSWER_YES);
	return id;
}

struct world *world_of_one_pod(struct world *w, int64_t slots)
{
	w->config.container_concurrency = slots;
	world_start(w, false);
	world_pod(w, "a");
	assert_int_equal(world_state(w, "a"), POD_READY);
	return w;
}

bool world_is_asked(const struct world *w, const char *name, bool is_check)
{
	const struct pod *p = pod_named(w, name);
	for (int i = 0; p && i < WORLD_PODS; i++)
		if (w->asked[i].pod == p->id && w->asked[i].question)
			return w->asked[i].is_check == is_check;
	return false;
}

void world_answer(struct world *w, const char *name, enum pod_answer answer)
{
	const struct pod *p = pod_named(w, name);
	assert_non_null(p);
	for (int i = 0; i < WORLD_PODS; i++) {
		if (w->asked[i].pod != p->id || !w->asked[i].question)
			continue;
		uint64_t question = w->asked[i].question;
		w->asked[i].question = 0;
		service_pod_answered(w->service, p->id, question, answer, w->now_us);
		service_tick(w->service, w->now_us);
		world_settle(w);
		return;
	}
	fail_msg("%s was asked nothing", name);
}

void world_idle(struct world *w, const char *name)
{
	for (int64_t i = 0; i < w->config.idle.success_threshold; i++) {
		world_at(w, w->now_us - BEGIN_US + w->config.idle.period_us);
		assert_true(world_is_asked(w, name, true));
		world_answer(w, name, ANSWER_YES);
	}
}

void world_absent(struct world *w, const char *name)
{
	service_pod_absent(w->service, pod_named(w, name)->id, w->now_us);
	world_settle(w);
}

void world_gone(struct world *w, const char *name)
{
	service_pod_gone(w->service, pod_named(w, name)->id, w->now_us);
	world_settle(w);
}

/* --- tickets and jobs ------------------------------------------------------------------------ */

bool world_wait_as(struct world *w, int i, struct ticket like)
{
	w->tickets[i] = like;
	list_init(&w->tickets[i].link);
	w->tickets[i].owner = (uint64_t)i + 1;
	w->grants[i] = 0;
	w->refused[i] = REFUSAL_NONE;
	w->forgotten[i] = 0;
	if (!service_admit(w->service, &w->tickets[i], w->now_us)) {
		w->refused[i] = w->tickets[i].refusal;
		return false;
	}
	service_enqueue(w->service, &w->tickets[i], w->now_us);
	world_settle(w);
	return true;
}

bool world_wait(struct world *w, int i, enum ticket_kind kind)
{
	return world_wait_as(w, i, (struct ticket){.kind = kind});
}

const char *world_where(const struct world *w, int i)
{
	const struct pod *p = w->grants[i] ? service_pod(w->service, w->pod_ids[i]) : NULL;
	return p ? p->name : "";
}

void world_start_job(struct world *w, int i)
{
	assert_int_not_equal(w->grants[i], 0);
	service_started(w->service, w->grants[i], w->now_us);
	world_settle(w);
}

void world_work(struct world *w, int i, enum ticket_kind kind)
{
	assert_true(world_wait(w, i, kind));
	world_start_job(w, i);
}

void world_finish(struct world *w, int i)
{
	service_finished(w->service, w->grants[i], w->now_us);
	world_settle(w);
}

void world_leave(struct world *w, int i)
{
	service_client_left(w->service, w->grants[i], w->now_us);
	world_settle(w);
}

void world_time_out(struct world *w, int i)
{
	service_timed_out(w->service, w->grants[i], w->now_us);
	world_settle(w);
}

void world_break(struct world *w, int i)
{
	service_broken(w->service, w->grants[i], "reset", w->now_us);
	world_settle(w);
}

void world_return(struct world *w, int i, enum unsent how)
{
	service_returned(w->service, w->grants[i], &w->tickets[i], how, w->now_us);
	w->grants[i] = 0;
	service_requeue(w->service, &w->tickets[i], w->now_us);
	world_settle(w);
}

void world_cancel(struct world *w, int i)
{
	service_cancel(w->service, &w->tickets[i], w->now_us);
	world_settle(w);
}
