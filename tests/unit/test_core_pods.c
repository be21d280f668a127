/* The core's promises about pods, one scenario each (requests and slots: test_core.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/core_world.h"

#define S  US_PER_S
#define MS US_PER_MS

static struct world world;

static int set_up(void **state)
{
	world_init(&world);
	*state = &world;
	return 0;
}

static int tear_down(void **state)
{
	world_stop(*state);
	return 0;
}

static struct world *static_pods(void **state, int64_t slots)
{
	struct world *w = *state;
	w->config.container_concurrency = slots;
	world_start(w, false);
	return w;
}

/* --- coming and going ------------------------------------------------------------------------ */

static void a_pod_is_granted_when_its_probe_passes(void **state)
{
	struct world *w = static_pods(state, 1);
	world_wait(w, 0, TICKET_SLOT);
	assert_int_not_equal(service_pod_add(w->service, "a", true, w, w->now_us), 0);
	service_tick(w->service, w->now_us);
	world_settle(w);
	assert_int_equal(world_state(w, "a"), POD_STARTING);
	assert_ptr_equal(service_pod_by_name(w->service, "a")->provider_data, w);
	world_answer(w, "a", ANSWER_NO);
	assert_int_equal(w->grants[0], 0);
	world_at(w, 4 * MS); /* somebody waits: probed often */
	world_answer(w, "a", ANSWER_YES);
	assert_string_equal(world_where(w, 0), "a");
}

static void while_nobody_waits_it_is_probed_seldom(void **state)
{
	struct world *w = static_pods(state, 1);
	world_pod_new(w, "a");
	world_answer(w, "a", ANSWER_NO);
	world_at(w, 1 * S - 1);
	assert_false(world_is_asked(w, "a", false));
	world_at(w, 1 * S);
	assert_true(world_is_asked(w, "a", false));
	world_answer(w, "a", ANSWER_NO);
	world_wait(w, 0, TICKET_SLOT); /* the first who waits hurries it */
	world_at(w, 1 * S + 4 * MS);
	assert_true(world_is_asked(w, "a", false));
}

static void an_unknown_past_is_checked_idle_first(void **state)
{
	struct world *w = static_pods(state, 1);
	world_wait(w, 0, TICKET_SLOT);
	world_pod_new(w, "a");
	world_answer(w, "a", ANSWER_YES);
	assert_int_equal(world_state(w, "a"), POD_CHECKING);
	assert_int_equal(w->grants[0], 0);
	world_answer(w, "a", ANSWER_NO); /* it works on something from before */
	world_at(w, 500 * MS);
	world_answer(w, "a", ANSWER_YES);
	assert_int_equal(w->grants[0], 0);
	world_at(w, 1000 * MS);
	world_answer(w, "a", ANSWER_YES);
	assert_string_equal(world_where(w, 0), "a");
}

static void an_unknown_past_is_trusted_without_an_idle_check(void **state)
{
	struct world *w = *state;
	w->config.idle.kind = CHECK_NONE;
	w = static_pods(state, 1);
	world_pod_new(w, "a");
	world_answer(w, "a", ANSWER_YES);
	assert_int_equal(world_state(w, "a"), POD_READY);
}

static void an_unknown_past_ends_where_nothing_listens(void **state)
{
	struct world *w = static_pods(state, 1);
	world_pod_new(w, "a");
	world_answer(w, "a", ANSWER_YES);
	world_answer(w, "a", ANSWER_REFUSED);
	assert_int_equal(world_state(w, "a"), POD_STARTING);
	world_at(w, 1 * S);
	world_answer(w, "a", ANSWER_YES);
	assert_int_equal(world_state(w, "a"), POD_READY);
}

static void a_pod_that_leaves_and_returns_keeps_its_count(void **state)
{
	struct world *w = static_pods(state, 1);
	uint64_t id = world_pod(w, "a");
	world_work(w, 0, TICKET_SLOT);
	world_wait(w, 1, TICKET_SLOT);
	world_absent(w, "a");
	assert_int_equal(world_state(w, "a"), POD_ABSENT);
	assert_int_equal(world_pod(w, "a"), id);
	assert_int_equal(world_state(w, "a"), POD_FULL);
	assert_int_equal(w->grants[1], 0);
	world_finish(w, 0);
	assert_string_equal(world_where(w, 1), "a");
}

static void an_absent_pod_is_forgotten_when_its_work_ends(void **state)
{
	struct world *w = static_pods(state, 2);
	world_pod(w, "a");
	world_pod(w, "b");
	world_work(w, 0, TICKET_SLOT);
	const char *busy = world_where(w, 0);
	const char *other = strcmp(busy, "a") == 0 ? "b" : "a";
	world_absent(w, other); /* idle: forgotten at once */
	assert_int_equal(world_state(w, other), POD_STATES);
	world_absent(w, busy);
	assert_int_equal(world_counts(w).pods[POD_ABSENT], 1);
	world_finish(w, 0);
	assert_int_equal(world_counts(w).pods[POD_ABSENT], 0);
}

static void an_old_answer_is_ignored(void **state)
{
	struct world *w = static_pods(state, 1);
	uint64_t id = world_pod(w, "a");
	world_work(w, 0, TICKET_SLOT);
	world_absent(w, "a");
	world_pod_new(w, "a"); /* probed */
	uint64_t question = service_pod(w->service, id)->question;
	assert_int_not_equal(question, 0);
	world_absent(w, "a");
	world_pod_new(w, "a");
	service_pod_answered(w->service, id, question, ANSWER_YES, w->now_us);
	service_pod_answered(w->service, id, 0, ANSWER_YES, w->now_us);
	service_pod_answered(w->service, id, question + 100, ANSWER_YES, w->now_us);
	service_pod_answered(w->service, id + 1, question, ANSWER_YES, w->now_us);
	assert_int_equal(world_state(w, "a"), POD_STARTING);
}

/* --- bad pods -------------------------------------------------------------------------------- */

/* Fails at the pod until it is taken out. */
static void fail_times(struct world *w, int ticket, int times)
{
	for (int i = 0; i < times; i++) {
		world_wait(w, ticket, TICKET_SLOT);
		service_returned(w->service, w->grants[ticket], NULL, UNSENT_TIMEOUT, w->now_us);
		world_settle(w);
	}
}

static void failures_in_a_row_eject_with_a_growing_back_off(void **state)
{
	static const int64_t back_offs[] = {1 * S, 2 * S, 4 * S, 4 * S}; /* doubled, up to 4 s */
	struct world *w = static_pods(state, 1);
	int64_t now = 0;
	world_pod(w, "a");
	fail_times(w, 0, 2);
	assert_int_equal(world_state(w, "a"), POD_READY);
	for (int i = 0; i < 4; i++) {
		fail_times(w, 0, 1); /* once back, one more is enough */
		assert_int_equal(world_state(w, "a"), POD_EJECTED);
		world_at(w, now + back_offs[i] - 1);
		assert_false(world_is_asked(w, "a", false));
		world_at(w, now += back_offs[i]);
		world_answer(w, "a", ANSWER_NO);
		assert_int_equal(world_state(w, "a"), POD_EJECTED);
		world_at(w, now += S);
		world_answer(w, "a", ANSWER_YES); /* a probe before it returns */
		assert_int_equal(world_state(w, "a"), POD_READY);
	}
	assert_int_equal(w->failures, 6);
	/* An answer ends the row. */
	world_work(w, 0, TICKET_SLOT);
	world_finish(w, 0);
	fail_times(w, 0, 3);
	world_at(w, now + 1 * S);
	assert_true(world_is_asked(w, "a", false));
}

static void the_others_take_an_ejected_pods_work(void **state)
{
	struct world *w = static_pods(state, 1);
	world_pod(w, "a");
	fail_times(w, 0, 3);
	world_pod(w, "b");
	world_wait(w, 0, TICKET_SLOT);
	assert_string_equal(world_where(w, 0), "b");
}

/* Failures while it was away do not count against its first job. */
static void a_pod_back_from_a_crash_keeps_its_first_grant(void **state)
{
	struct world *w = static_pods(state, 8);
	world_pod(w, "a");
	world_work(w, 0, TICKET_PASS);
	world_work(w, 1, TICKET_PASS);
	world_wait(w, 4, TICKET_SLOT);
	service_returned(w->service, w->grants[4], NULL, UNSENT_REFUSED, w->now_us);
	world_break(w, 0);
	world_break(w, 1);
	assert_int_equal(w->failures, 3);
	world_at(w, 0);
	world_answer(w, "a", ANSWER_YES);
	assert_int_equal(world_state(w, "a"), POD_READY);
	world_work(w, 5, TICKET_SLOT);
	assert_int_equal(world_state(w, "a"), POD_READY);
	world_wait(w, 6, TICKET_SLOT);
	world_return(w, 6, UNSENT_STALE); /* which is nobody's fault */
	assert_string_equal(world_where(w, 6), "a");
}

/* --- packing --------------------------------------------------------------------------------- */

static void work_is_packed_on_the_pod_used_last(void **state)
{
	struct world *w = static_pods(state, 2);
	world_pod(w, "a");
	world_pod(w, "b");
	world_pod(w, "c");
	world_work(w, 0, TICKET_SLOT);
	world_work(w, 1, TICKET_SLOT);
	assert_string_equal(world_where(w, 0), world_where(w, 1));
	world_work(w, 2, TICKET_SLOT);
	assert_string_not_equal(world_where(w, 2), world_where(w, 0));
	const char *first = world_where(w, 0), *last = world_where(w, 2);
	world_finish(w, 2);
	world_finish(w, 0);
	world_finish(w, 1);
	/* A reload that only makes pods larger leaves the order of use. */
	struct service_config next = w->config;
	next.container_concurrency = 3;
	service_configure(w->service, &next, w->now_us);
	world_work(w, 3, TICKET_SLOT);
	assert_string_equal(world_where(w, 3), first);
	world_work(w, 4, TICKET_EXCLUSIVE);
	assert_string_equal(world_where(w, 4), last);
	service_configure(w->service, &w->config, w->now_us);
}

/* --- resize ---------------------------------------------------------------------------------- */

static void a_reload_resizes_pods(void **state)
{
	struct world *w = static_pods(state, 1);
	struct service_config next = w->config;
	world_pod(w, "a");
	for (int i = 0; i < 4; i++)
		world_wait(w, i, TICKET_SLOT);
	next.container_concurrency = 3;
	service_configure(w->service, &next, w->now_us);
	world_settle(w);
	assert_int_equal(world_used(w, "a"), 3);
	assert_int_equal(world_state(w, "a"), POD_FULL);
	service_configure(w->service, &w->config, w->now_us);
	world_settle(w);
	/* Three go on; none comes until fewer than one are at work. */
	for (int i = 0; i < 2; i++) {
		world_finish(w, i);
		assert_int_equal(w->grants[3], 0);
		assert_int_equal(world_counts(w).free_slots, 0);
	}
	world_finish(w, 2);
	assert_string_equal(world_where(w, 3), "a");
}

/* --- scaling --------------------------------------------------------------------------------- */

static struct world *scalable(void **state)
{
	struct world *w = *state;
	world_start(w, true);
	return w;
}

static void from_zero_it_asks_at_once(void **state)
{
	struct world *w = scalable(state);
	world_at(w, 1 * S);
	assert_int_equal(w->replicas, -1); /* none are wanted, none are there */
	for (int i = 0; i < 3; i++)
		world_wait(w, i, TICKET_SLOT);
	assert_int_equal(w->replicas, 3);
	for (int i = 3; i < 8; i++)
		world_wait(w, i, TICKET_SLOT);
	assert_int_equal(w->replicas, 5); /* maxScale */
}

static void what_others_want_is_wanted_here_too(void **state)
{
	struct world *w = scalable(state);
	service_elsewhere(w->service, 2, w->now_us);
	world_settle(w);
	assert_int_equal(w->replicas, 2);
	world_wait(w, 0, TICKET_SLOT);
	assert_int_equal(w->replicas, 3);
	service_elsewhere(w->service, 9, w->now_us);
	world_settle(w);
	assert_int_equal(w->replicas, 5); /* maxScale */
	service_elsewhere(w->service, 0, w->now_us);
	world_settle(w);
	assert_int_equal(w->replicas, 1);
}

static void two_gateways_do_not_keep_pods_for_each_other(void **state)
{
	struct world *w = scalable(state);
	service_elsewhere(w->service, 1, w->now_us);
	world_wait(w, 0, TICKET_SLOT);
	world_wait(w, 1, TICKET_SLOT);
	assert_int_equal(w->replicas, 3);
	world_pod(w, "a");
	world_pod(w, "b");
	world_start_job(w, 0);
	world_start_job(w, 1);
	world_finish(w, 0);
	world_finish(w, 1);
	world_at(w, 300 * S);
	assert_int_equal(world_counts(w).desired, 0);
	assert_int_equal(w->replicas, 1); /* the other one's, which sees the same */
}

static void if_scaling_fails_all_are_told_at_once(void **state)
{
	struct world *w = scalable(state);
	world_wait(w, 0, TICKET_SLOT);
	world_wait(w, 1, TICKET_PASS);
	service_scaling_failed(w->service, "no GPU is free", w->now_us + 20 * S, w->now_us);
	world_settle(w);
	assert_int_equal(w->refused[0], REFUSAL_SCALING_FAILED);
	assert_int_equal(w->refused[1], REFUSAL_SCALING_FAILED);
	assert_int_equal(w->tickets[0].retry_after_us, 20 * S);
	assert_string_equal(service_scaling_failure(w->service), "no GPU is free");
	world_at(w, 5 * S);
	assert_false(world_wait(w, 2, TICKET_SLOT));
	assert_int_equal(w->refused[2], REFUSAL_SCALING_FAILED);
	assert_int_equal(w->tickets[2].retry_after_us, 15 * S);
	world_at(w, 20 * S);
	assert_string_equal(service_scaling_failure(w->service), "");
	assert_true(world_wait(w, 3, TICKET_SLOT));
	service_scaling_failed(w->service, "again", w->now_us + 20 * S, w->now_us);
	service_scaling_failed(w->service, NULL, 0, w->now_us);
	assert_true(world_wait(w, 4, TICKET_SLOT));
}

static void with_a_pod_coming_a_failure_is_not_the_end(void **state)
{
	struct world *w = scalable(state);
	world_wait(w, 0, TICKET_SLOT);
	world_pod_new(w, "a");
	service_scaling_failed(w->service, "no second GPU", w->now_us + 60 * S, w->now_us);
	world_settle(w);
	assert_int_equal(w->refused[0], REFUSAL_NONE);
	assert_true(world_wait(w, 1, TICKET_SLOT));
	world_gone(w, "a");
	assert_int_equal(w->refused[0], REFUSAL_SCALING_FAILED);
}

/* Three pods, of which the last used is `last`; nothing is wanted any more. */
static struct world *three_idle(void **state)
{
	struct world *w = scalable(state);
	for (int i = 0; i < 3; i++)
		world_wait(w, i, TICKET_SLOT);
	world_pod(w, "a");
	world_pod(w, "b");
	world_pod(w, "c");
	for (int i = 0; i < 3; i++)
		world_start_job(w, i);
	return w;
}

static void scale_down_takes_the_least_recently_used_idle_pod(void **state)
{
	struct world *w = three_idle(state);
	world_finish(w, 1); /* b, then a; c works on */
	world_finish(w, 0);
	assert_string_equal(world_where(w, 1), "b");
	struct service_config next = w->config;
	next.autoscaling.max_scale = 2;
	service_configure(w->service, &next, w->now_us);
	world_settle(w);
	assert_int_equal(world_state(w, "b"), POD_WITHDRAWN);
	assert_int_equal(world_state(w, "a"), POD_READY);
	assert_int_equal(w->replicas, 2);
	next.autoscaling.max_scale = 1;
	service_configure(w->service, &next, w->now_us);
	world_settle(w);
	assert_int_equal(world_state(w, "a"), POD_WITHDRAWN);
	assert_int_equal(world_state(w, "c"), POD_FULL); /* never one that works */
	service_configure(w->service, &w->config, w->now_us);
}

static void a_withdrawn_pod_is_checked_and_then_removed(void **state)
{
	struct world *w = three_idle(state);
	uint64_t b = service_pod_by_name(w->service, "b")->id;
	world_finish(w, 1);
	struct service_config next = w->config;
	next.autoscaling.max_scale = 2;
	service_configure(w->service, &next, w->now_us);
	world_at(w, 0);
	assert_int_equal(world_state(w, "b"), POD_WITHDRAWN);
	world_wait(w, 3, TICKET_SLOT);
	assert_int_equal(w->grants[3], 0); /* it is granted no more */
	world_answer(w, "b", ANSWER_NO);
	world_idle(w, "b");
	assert_int_equal(w->removed_count, 1);
	assert_int_equal(w->removed[0], b);
	assert_int_equal(world_state(w, "b"), POD_REMOVING);
	assert_int_equal(service_pod_add(w->service, "b", true, NULL, w->now_us), b);
	assert_int_equal(world_state(w, "b"), POD_REMOVING);
	world_gone(w, "b");
	assert_int_equal(world_state(w, "b"), POD_STATES);
	service_configure(w->service, &w->config, w->now_us);
}

static void a_withdrawn_pod_may_be_reprieved(void **state)
{
	struct world *w = three_idle(state);
	world_finish(w, 1);
	struct service_config next = w->config;
	next.autoscaling.max_scale = 2;
	service_configure(w->service, &next, w->now_us);
	world_wait(w, 3, TICKET_SLOT);
	assert_int_equal(world_state(w, "b"), POD_WITHDRAWN);
	service_configure(w->service, &w->config, w->now_us);
	world_settle(w);
	assert_string_equal(world_where(w, 3), "b");
	assert_int_equal(w->removed_count, 0);
}

static void a_withdrawn_pod_is_hope_while_scaling_fails(void **state)
{
	struct world *w = *state;
	w->config.autoscaling.min_scale = 1;
	w = scalable(state);
	world_pod(w, "a");
	struct service_config next = w->config;
	next.autoscaling.min_scale = 0;
	service_configure(w->service, &next, w->now_us);
	world_settle(w);
	assert_int_equal(world_state(w, "a"), POD_WITHDRAWN);
	service_scaling_failed(w->service, "no GPU", w->now_us + 60 * S, w->now_us);
	assert_true(world_wait(w, 0, TICKET_SLOT));
	assert_string_equal(world_where(w, 0), "a");
	service_configure(w->service, &w->config, w->now_us);
}

static void an_ejected_pod_is_reprieved_to_its_back_off(void **state)
{
	struct world *w = *state;
	w->config.autoscaling.min_scale = 2;
	w = scalable(state);
	world_pod(w, "a");
	fail_times(w, 0, 3);
	world_pod(w, "b");
	struct service_config next = w->config;
	next.autoscaling.min_scale = 1;
	next.autoscaling.max_scale = 1;
	service_configure(w->service, &next, w->now_us);
	world_settle(w);
	assert_int_equal(world_state(w, "a"), POD_WITHDRAWN);
	service_configure(w->service, &w->config, w->now_us);
	world_settle(w);
	assert_int_equal(world_state(w, "a"), POD_EJECTED);
}

static void an_unknown_past_is_not_removed_unchecked(void **state)
{
	struct world *w = scalable(state);
	world_pod_new(w, "a"); /* found at the start, and none is wanted */
	world_at(w, 0);
	assert_int_equal(world_state(w, "a"), POD_WITHDRAWN);
	assert_int_equal(w->removed_count, 0);
	world_answer(w, "a", ANSWER_REFUSED); /* nothing is there */
	assert_int_equal(w->removed_count, 1);
}

static void a_starting_pod_goes_before_a_ready_one(void **state)
{
	struct world *w = *state;
	w->config.autoscaling.min_scale = 3;
	w = scalable(state);
	world_pod(w, "a");
	service_pod_add(w->service, "b", true, NULL, w->now_us);
	service_pod_add(w->service, "c", true, NULL, w->now_us);
	struct service_config next = w->config;
	next.autoscaling.min_scale = next.autoscaling.max_scale = 2;
	service_configure(w->service, &next, w->now_us);
	world_settle(w);
	assert_int_equal(world_state(w, "c"), POD_REMOVING); /* the newest, never used: at once */
	assert_int_equal(world_state(w, "b"), POD_STARTING);
	assert_int_equal(world_state(w, "a"), POD_READY);
	service_configure(w->service, &w->config, w->now_us);
}

static void a_quarantined_pod_is_replaced_up_to_max_scale(void **state)
{
	struct world *w = *state;
	w->config.autoscaling.max_scale = 2;
	w = scalable(state);
	world_wait(w, 0, TICKET_SLOT);
	assert_int_equal(w->replicas, 1);
	world_pod(w, "a");
	world_start_job(w, 0);
	world_wait(w, 1, TICKET_SLOT);
	world_time_out(w, 0);
	assert_int_equal(w->replicas, 2);
	world_pod(w, "b");
	assert_string_equal(world_where(w, 1), "b");
	world_start_job(w, 1);
	world_time_out(w, 1);
	assert_int_equal(w->replicas, 2); /* and no more */
}

static void a_quarantined_pod_is_restarted_after_its_limit(void **state)
{
	struct world *w = *state;
	w->config.quarantine.restart_after_us = 20 * S;
	w = scalable(state);
	world_wait(w, 0, TICKET_SLOT);
	uint64_t a = world_pod(w, "a");
	world_start_job(w, 0);
	world_at(w, 1 * S);
	world_time_out(w, 0);
	for (int64_t at = 1 * S; at < 21 * S; at += 500 * MS) {
		world_at(w, at);
		assert_int_equal(world_state(w, "a"), POD_QUARANTINED);
		world_answer(w, "a", ANSWER_NO);
	}
	assert_int_equal(w->removed_count, 0);
	world_at(w, 21 * S);
	assert_int_equal(w->removed_count, 1);
	assert_int_equal(w->removed[0], a);
	assert_int_equal(w->forgotten[0], 0);
	world_absent(w, "a"); /* it leaves discovery before it has ended, and flaps back */
	assert_int_equal(service_pod_add(w->service, "a", true, NULL, w->now_us), a);
	assert_int_equal(world_state(w, "a"), POD_REMOVING);
	world_gone(w, "a");
	assert_int_equal(w->forgotten[0], 1);
}

/* Kubernetes replaces a pod that is deleted, whoever writes replicas; of
 * a static one nobody does. */
static void one_whose_number_is_anothers_is_replaced_all_the_same(void **state)
{
	struct world *w = *state;
	for (int kubernetes = 0; kubernetes < 2; kubernetes++) {
		world_stop(w);
		world_init(w);
		w->config.quarantine.restart_after_us = 20 * S;
		w->config.provider = kubernetes ? PROVIDER_KUBERNETES : PROVIDER_STATIC;
		world_start(w, false);
		world_pod(w, "a");
		world_work(w, 0, TICKET_SLOT);
		world_time_out(w, 0);
		world_at(w, 30 * S);
		assert_int_equal(w->removed_count, kubernetes);
		assert_int_equal(world_state(w, "a"), kubernetes ? POD_REMOVING : POD_QUARANTINED);
	}
}

static void an_ejected_pod_that_works_is_not_restarted(void **state)
{
	struct world *w = *state;
	w->config.quarantine.restart_after_us = 20 * S;
	w->config.container_concurrency = 2;
	w->config.autoscaling.min_scale = 1;
	w = scalable(state);
	world_pod(w, "a");
	world_work(w, 0, TICKET_SLOT);
	fail_times(w, 1, 3);
	assert_int_equal(world_state(w, "a"), POD_EJECTED);
	world_at(w, 30 * S);
	assert_int_equal(w->removed_count, 0);
	world_finish(w, 0);
	world_at(w, 30 * S);
	assert_int_equal(w->removed_count, 1);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO(a_pod_is_granted_when_its_probe_passes),
		SCENARIO(while_nobody_waits_it_is_probed_seldom),
		SCENARIO(an_unknown_past_is_checked_idle_first),
		SCENARIO(an_unknown_past_is_trusted_without_an_idle_check),
		SCENARIO(an_unknown_past_ends_where_nothing_listens),
		SCENARIO(a_pod_that_leaves_and_returns_keeps_its_count),
		SCENARIO(an_absent_pod_is_forgotten_when_its_work_ends),
		SCENARIO(an_old_answer_is_ignored),
		SCENARIO(failures_in_a_row_eject_with_a_growing_back_off),
		SCENARIO(the_others_take_an_ejected_pods_work),
		SCENARIO(a_pod_back_from_a_crash_keeps_its_first_grant),
		SCENARIO(work_is_packed_on_the_pod_used_last),
		SCENARIO(a_reload_resizes_pods),
		SCENARIO(from_zero_it_asks_at_once),
		SCENARIO(what_others_want_is_wanted_here_too),
		SCENARIO(two_gateways_do_not_keep_pods_for_each_other),
		SCENARIO(if_scaling_fails_all_are_told_at_once),
		SCENARIO(with_a_pod_coming_a_failure_is_not_the_end),
		SCENARIO(scale_down_takes_the_least_recently_used_idle_pod),
		SCENARIO(a_withdrawn_pod_is_checked_and_then_removed),
		SCENARIO(a_withdrawn_pod_may_be_reprieved),
		SCENARIO(a_withdrawn_pod_is_hope_while_scaling_fails),
		SCENARIO(an_ejected_pod_is_reprieved_to_its_back_off),
		SCENARIO(an_unknown_past_is_not_removed_unchecked),
		SCENARIO(a_starting_pod_goes_before_a_ready_one),
		SCENARIO(a_quarantined_pod_is_replaced_up_to_max_scale),
		SCENARIO(a_quarantined_pod_is_restarted_after_its_limit),
		SCENARIO(one_whose_number_is_anothers_is_replaced_all_the_same),
		SCENARIO(an_ejected_pod_that_works_is_not_restarted),
	};
	return cmocka_run_group_tests_name("core: pods", tests, NULL, NULL);
}
