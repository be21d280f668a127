/* The core's promises about slots, one scenario each (waits: test_core_waits.c, pods:
 * test_core_pods.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

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

/* --- exact ----------------------------------------------------------------------------------- */

static void a_slot_is_held_from_grant_to_answer(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_SLOT);
	assert_int_equal(world_state(w, "a"), POD_FULL);
	assert_int_equal(service_grant_owner(w->service, w->grants[0]), 1);
	world_wait(w, 1, TICKET_SLOT);
	assert_int_equal(w->grants[1], 0);
	world_finish(w, 0);
	assert_string_equal(world_where(w, 1), "a");
	assert_true(w->grants[1] > w->grants[0]); /* a fencing token */
	assert_int_equal(service_grant_owner(w->service, w->grants[0]), 0);
	assert_int_equal(w->forgotten[0], 0);
}

static void a_client_that_leaves_does_not_free_the_slot(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_SLOT);
	world_wait(w, 1, TICKET_SLOT);
	world_leave(w, 0);
	assert_int_equal(world_counts(w).slots[SLOT_DRAINING], 1);
	assert_int_equal(w->grants[1], 0);
	/* For the autoscaler it is in flight still: one works, one waits. */
	assert_int_equal((int64_t)world_counts(w).concurrency, 2);
	world_finish(w, 0);
	assert_string_equal(world_where(w, 1), "a");
}

static void an_end_is_told_once(void **state)
{
	struct world *w = world_of_one_pod(*state, 2);
	world_work(w, 0, TICKET_SLOT);
	world_work(w, 1, TICKET_SLOT);
	world_finish(w, 0);
	world_finish(w, 0);
	world_break(w, 0);
	world_time_out(w, 0);
	world_leave(w, 0);
	assert_int_equal(world_used(w, "a"), 1);
	assert_int_equal(world_state(w, "a"), POD_READY);
	assert_int_equal(w->failures, 0);
	world_gone(w, "a");
	assert_int_equal(w->forgotten[0], 0);
	assert_int_equal(w->forgotten[1], 1);
	world_finish(w, 1);
	assert_int_equal(w->forgotten[1], 1);
}

static void a_timeout_quarantines_until_the_answer_ends(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_SLOT);
	world_wait(w, 1, TICKET_SLOT);
	world_time_out(w, 0);
	assert_int_equal(world_state(w, "a"), POD_QUARANTINED);
	assert_int_equal(w->grants[1], 0);
	/* A quarantined slot works for nobody: one waits. */
	assert_int_equal((int64_t)world_counts(w).concurrency, 1);
	world_finish(w, 0);
	assert_string_equal(world_where(w, 1), "a");
	assert_int_equal(w->forgotten[0], 0);
}

static void a_timeout_quarantines_until_the_idle_check_passes_often_enough(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_SLOT);
	world_wait(w, 1, TICKET_SLOT);
	world_time_out(w, 0);
	world_at(w, 0);
	assert_true(world_is_asked(w, "a", true)); /* at once */
	world_answer(w, "a", ANSWER_YES);
	assert_int_equal(world_state(w, "a"), POD_QUARANTINED);
	world_at(w, 499 * MS);
	assert_false(world_is_asked(w, "a", true));
	world_at(w, 500 * MS);
	world_answer(w, "a", ANSWER_NO); /* not in a row */
	world_at(w, 1000 * MS);
	world_answer(w, "a", ANSWER_YES);
	assert_int_equal(world_state(w, "a"), POD_QUARANTINED);
	world_at(w, 1500 * MS);
	world_answer(w, "a", ANSWER_YES);
	assert_string_equal(world_where(w, 1), "a");
	assert_int_equal(w->forgotten[0], 1); /* nobody need wait for its answer */
}

static void a_second_lost_job_is_asked_about_anew(void **state)
{
	struct world *w = world_of_one_pod(*state, 2);
	world_work(w, 0, TICKET_SLOT);
	world_work(w, 1, TICKET_SLOT);
	world_time_out(w, 0);
	world_at(w, 0); /* asked; the answer is of before the second timeout */
	uint64_t pod = service_pod_by_name(w->service, "a")->id;
	uint64_t question = service_pod(w->service, pod)->question;
	world_time_out(w, 1);
	service_pod_answered(w->service, pod, question, ANSWER_YES, w->now_us);
	assert_int_equal(service_pod(w->service, pod)->idle_answers, 0);
	world_idle(w, "a");
	assert_int_equal(world_state(w, "a"), POD_READY);
	assert_int_equal(world_used(w, "a"), 0);
}

static void a_broken_connection_quarantines(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_SLOT);
	world_break(w, 0);
	assert_int_equal(world_state(w, "a"), POD_QUARANTINED);
	assert_int_equal(w->failures, 1);
	world_break(w, 0);
	world_finish(w, 0); /* nothing more can be heard of it */
	assert_int_equal(w->failures, 1);
	assert_int_equal(world_state(w, "a"), POD_QUARANTINED);
	world_idle(w, "a");
	assert_int_equal(world_state(w, "a"), POD_READY);
	assert_int_equal(w->forgotten[0], 1);
}

static void the_end_of_the_pod_ends_its_quarantine(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_SLOT);
	world_break(w, 0);
	world_gone(w, "a");
	assert_int_equal(w->forgotten[0], 1);
	assert_null(service_pod_by_name(w->service, "a"));
	assert_int_equal(world_counts(w).slots[SLOT_QUARANTINED], 0);
}

static void an_operator_may_release(void **state)
{
	struct world *w = world_of_one_pod(*state, 2);
	world_work(w, 0, TICKET_SLOT);
	world_work(w, 1, TICKET_SLOT);
	world_time_out(w, 0);
	assert_false(service_pod_release(w->service, "nobody", w->now_us));
	assert_true(service_pod_release(w->service, "a", w->now_us));
	world_settle(w);
	assert_int_equal(world_state(w, "a"), POD_READY);
	assert_int_equal(world_used(w, "a"), 1); /* what works keeps its slot */
}

static void without_an_idle_check_a_refused_probe_frees_what_is_broken(void **state)
{
	struct world *w = *state;
	w->config.idle.kind = CHECK_NONE;
	w = world_of_one_pod(*state, 2);
	world_work(w, 0, TICKET_SLOT);
	world_work(w, 1, TICKET_SLOT);
	world_break(w, 0);
	world_time_out(w, 1); /* its connection stands */
	world_at(w, 0);
	assert_true(world_is_asked(w, "a", false));
	world_answer(w, "a", ANSWER_YES); /* it is there: that says nothing */
	assert_int_equal(world_used(w, "a"), 2);
	world_at(w, 500 * MS);
	world_answer(w, "a", ANSWER_REFUSED);
	assert_int_equal(w->forgotten[0], 1);
	assert_int_equal(w->forgotten[1], 0);
	assert_int_equal(world_used(w, "a"), 1);
	assert_int_equal(world_state(w, "a"), POD_QUARANTINED);
	world_break(w, 1);
	world_at(w, 1000 * MS);
	world_answer(w, "a", ANSWER_REFUSED);
	assert_int_equal(world_used(w, "a"), 0);
	assert_int_equal(world_state(w, "a"), POD_STARTING); /* probed before it gets any */
}

static void a_slot_may_be_freed_by_the_idle_check(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_wait_as(w, 0, (struct ticket){.kind = TICKET_SLOT, .freed_by_idle = true});
	world_start_job(w, 0);
	world_wait(w, 1, TICKET_SLOT);
	world_finish(w, 0);
	world_finish(w, 0);
	assert_int_equal(world_counts(w).slots[SLOT_CONFIRMING], 1);
	assert_int_equal(w->grants[1], 0);
	world_idle(w, "a");
	assert_string_equal(world_where(w, 1), "a");
}

static void without_an_idle_check_the_answer_frees_it(void **state)
{
	struct world *w = *state;
	w->config.idle.kind = CHECK_NONE;
	w = world_of_one_pod(*state, 1);
	world_wait_as(w, 0, (struct ticket){.kind = TICKET_SLOT, .freed_by_idle = true});
	world_start_job(w, 0);
	world_finish(w, 0);
	assert_int_equal(world_used(w, "a"), 0);
}

static void a_reload_without_an_idle_check_trusts_what_waited_for_it(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_wait_as(w, 0, (struct ticket){.kind = TICKET_SLOT, .freed_by_idle = true});
	world_start_job(w, 0);
	world_finish(w, 0);
	world_pod_new(w, "b");
	world_answer(w, "b", ANSWER_YES);
	assert_int_equal(world_state(w, "b"), POD_CHECKING);
	struct service_config next = w->config;
	next.idle.kind = CHECK_NONE;
	service_configure(w->service, &next, w->now_us);
	world_settle(w);
	assert_int_equal(world_state(w, "a"), POD_READY);
	assert_int_equal(world_used(w, "a"), 0);
	assert_int_equal(world_state(w, "b"), POD_READY);
	service_configure(w->service, &w->config, w->now_us);
}

/* --- never twice ----------------------------------------------------------------------------- */

static void a_returned_job_keeps_its_place_and_skips_the_pod(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_wait(w, 0, TICKET_SLOT);
	world_wait(w, 1, TICKET_SLOT);
	world_wait(w, 2, TICKET_SLOT);
	world_at(w, 1 * S);
	world_return(w, 0, UNSENT_TIMEOUT);
	assert_string_equal(world_where(w, 1), "a"); /* the next one that may */
	assert_int_equal(w->tickets[0].enqueued_us, 1000 * S);
	world_pod(w, "b");
	assert_string_equal(world_where(w, 0), "b"); /* before 2, that came later */
	assert_int_equal(w->grants[2], 0);
}

static void a_stale_connection_is_nobodys_fault(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	for (int i = 0; i < 10; i++) {
		world_wait(w, 0, TICKET_SLOT);
		world_return(w, 0, UNSENT_STALE);
		assert_string_equal(world_where(w, 0), "a");
		assert_int_equal(w->tickets[0].attempts, 0);
		world_return(w, 0, UNSENT_STALE);
		world_finish(w, 0);
	}
	assert_int_equal(w->failures, 0);
}

static void attempts_are_bounded(void **state)
{
	static const char *const names[] = {"b", "c", "d"};
	struct world *w = world_of_one_pod(*state, 1);
	world_wait(w, 0, TICKET_SLOT);
	for (int i = 0; i < 2; i++) {
		world_return(w, 0, UNSENT_TIMEOUT);
		assert_int_equal(w->grants[0], 0); /* it has failed at all that there are */
		world_pod(w, names[i]);
		assert_string_equal(world_where(w, 0), names[i]);
	}
	world_return(w, 0, UNSENT_TIMEOUT);
	assert_int_equal(w->refused[0], REFUSAL_ATTEMPTS);
	world_pod(w, names[2]);
	assert_int_equal(w->grants[0], 0);
}

static void a_refused_ticket_may_leave_before_it_is_told(void **state)
{
	struct world *w = *state;
	w->config.queue.max_attempts = 1;
	w = world_of_one_pod(*state, 1);
	world_wait(w, 0, TICKET_SLOT);
	service_returned(w->service, w->grants[0], &w->tickets[0], UNSENT_TIMEOUT, w->now_us);
	service_requeue(w->service, &w->tickets[0], w->now_us);
	assert_int_equal(w->tickets[0].state, TICKET_REFUSED);
	world_cancel(w, 0);
	assert_int_equal(w->tickets[0].state, TICKET_OUTSIDE);
	assert_int_equal(w->refused[0], REFUSAL_NONE);
}

static void a_job_whose_client_left_unsent_gives_its_slot_back(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_wait(w, 0, TICKET_SLOT);
	world_leave(w, 0);
	service_returned(w->service, w->grants[0], NULL, UNSENT_STALE, w->now_us);
	assert_int_equal(world_used(w, "a"), 0);
}

static void a_pod_that_failed_a_ticket_may_have_it_after_its_return(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_wait(w, 0, TICKET_SLOT);
	world_return(w, 0, UNSENT_REFUSED);
	assert_int_equal(world_state(w, "a"), POD_STARTING); /* nothing listens there */
	world_at(w, 0);
	world_answer(w, "a", ANSWER_YES);
	assert_string_equal(world_where(w, 0), "a");
}

/* --- exclusive ------------------------------------------------------------------------------- */

static void an_exclusive_ticket_runs_a_pod_empty(void **state)
{
	struct world *w = world_of_one_pod(*state, 2);
	world_pod(w, "b");
	world_work(w, 0, TICKET_SLOT);
	world_work(w, 1, TICKET_SLOT);
	world_work(w, 2, TICKET_SLOT);
	/* Two work at a, one at b (or the other way round): the one with one runs empty. */
	const char *busy = world_where(w, 0), *emptying = world_where(w, 2);
	assert_string_not_equal(busy, emptying);
	world_wait(w, 3, TICKET_EXCLUSIVE);
	world_wait(w, 4, TICKET_SLOT);
	assert_int_equal(w->grants[4], 0); /* it would fit, but the exclusive one was first */
	world_finish(w, 0);
	assert_string_equal(world_where(w, 4), busy); /* others use the other pod */
	world_finish(w, 2);
	assert_string_equal(world_where(w, 3), emptying);
	assert_int_equal(world_used(w, emptying), 2);
	world_wait(w, 5, TICKET_SLOT);
	assert_int_equal(w->grants[5], 0);
	world_finish(w, 3);
	assert_string_equal(world_where(w, 5), emptying);
}

static void another_ticket_that_leaves_does_not_end_the_reservation(void **state)
{
	struct world *w = world_of_one_pod(*state, 2);
	world_work(w, 0, TICKET_SLOT);
	world_wait(w, 1, TICKET_EXCLUSIVE);
	world_wait(w, 2, TICKET_SLOT);
	world_wait(w, 3, TICKET_SLOT);
	world_cancel(w, 3);
	assert_int_equal(w->grants[2], 0);
	world_cancel(w, 1);
	assert_string_equal(world_where(w, 2), "a");
}

static void who_came_before_the_exclusive_ticket_still_goes_first(void **state)
{
	struct world *w = world_of_one_pod(*state, 2);
	world_work(w, 0, TICKET_SLOT);
	world_wait(w, 1, TICKET_SLOT);
	world_wait(w, 2, TICKET_EXCLUSIVE);
	world_finish(w, 0);
	assert_int_equal(service_pod_by_name(w->service, "a")->reserved_for, w->tickets[2].id);
	world_return(w, 1, UNSENT_STALE);
	assert_string_equal(world_where(w, 1), "a");
	assert_int_equal(w->grants[2], 0);
	world_finish(w, 1);
	assert_string_equal(world_where(w, 2), "a");
}

static void an_exclusive_job_keeps_the_whole_pod_over_a_resize(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_EXCLUSIVE);
	struct service_config next = w->config;
	next.container_concurrency = 3;
	service_configure(w->service, &next, w->now_us);
	world_wait(w, 1, TICKET_SLOT);
	assert_int_equal(w->grants[1], 0);
	world_finish(w, 0);
	assert_string_equal(world_where(w, 1), "a");
	service_configure(w->service, &w->config, w->now_us);
}

/* --- passes ---------------------------------------------------------------------------------- */

static void passes_take_no_slot_but_have_a_limit(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_SLOT);
	world_work(w, 1, TICKET_PASS);
	world_work(w, 2, TICKET_PASS);
	assert_int_equal(world_counts(w).passes, 2);
	assert_int_equal(world_used(w, "a"), 1);
	world_wait(w, 3, TICKET_PASS);
	assert_int_equal(w->grants[3], 0);
	assert_int_equal(world_counts(w).waiting_passes, 1);
	world_break(w, 1); /* frees what it took, which was no slot */
	assert_string_equal(world_where(w, 3), "a");
	assert_int_equal(world_state(w, "a"), POD_FULL);
}

static void a_pass_goes_to_its_pod_while_that_is_ready(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	uint64_t b = world_pod(w, "b");
	struct ticket sticky = {.kind = TICKET_PASS, .prefer_pod = b};
	for (int i = 0; i < 2; i++) {
		world_wait_as(w, i, sticky);
		assert_string_equal(world_where(w, i), "b");
	}
	world_wait_as(w, 2, sticky); /* b has as many as it may */
	assert_string_equal(world_where(w, 2), "a");
	world_finish(w, 0);
	world_finish(w, 1);
	world_absent(w, "b");
	world_wait_as(w, 3, sticky);
	assert_string_equal(world_where(w, 3), "a");
}

static void a_pass_waits_when_cold_or_is_refused(void **state)
{
	struct world *w = *state;
	world_start(w, true);
	assert_true(world_wait(w, 0, TICKET_PASS));
	assert_int_equal(w->replicas, 1); /* it wakes the service */
	struct service_config next = w->config;
	next.pass_through.wait_when_cold = false;
	service_configure(w->service, &next, w->now_us);
	assert_false(world_wait(w, 1, TICKET_PASS));
	assert_int_equal(w->refused[1], REFUSAL_NO_PODS);
	assert_true(world_wait(w, 2, TICKET_SLOT));
	world_pod(w, "a");
	assert_string_equal(world_where(w, 0), "a");
	assert_true(world_wait(w, 3, TICKET_PASS));
	service_configure(w->service, &w->config, w->now_us);
}

static void a_pod_that_comes_back_full_takes_waiting_passes(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_SLOT);
	world_absent(w, "a");
	world_wait(w, 1, TICKET_PASS);
	world_pod(w, "a");
	assert_int_equal(world_state(w, "a"), POD_FULL);
	assert_string_equal(world_where(w, 1), "a");
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO(a_slot_is_held_from_grant_to_answer),
		SCENARIO(a_client_that_leaves_does_not_free_the_slot),
		SCENARIO(an_end_is_told_once),
		SCENARIO(a_timeout_quarantines_until_the_answer_ends),
		SCENARIO(a_timeout_quarantines_until_the_idle_check_passes_often_enough),
		SCENARIO(a_second_lost_job_is_asked_about_anew),
		SCENARIO(a_broken_connection_quarantines),
		SCENARIO(the_end_of_the_pod_ends_its_quarantine),
		SCENARIO(an_operator_may_release),
		SCENARIO(without_an_idle_check_a_refused_probe_frees_what_is_broken),
		SCENARIO(a_slot_may_be_freed_by_the_idle_check),
		SCENARIO(without_an_idle_check_the_answer_frees_it),
		SCENARIO(a_reload_without_an_idle_check_trusts_what_waited_for_it),
		SCENARIO(a_returned_job_keeps_its_place_and_skips_the_pod),
		SCENARIO(a_stale_connection_is_nobodys_fault),
		SCENARIO(attempts_are_bounded),
		SCENARIO(a_refused_ticket_may_leave_before_it_is_told),
		SCENARIO(a_job_whose_client_left_unsent_gives_its_slot_back),
		SCENARIO(a_pod_that_failed_a_ticket_may_have_it_after_its_return),
		SCENARIO(an_exclusive_ticket_runs_a_pod_empty),
		SCENARIO(another_ticket_that_leaves_does_not_end_the_reservation),
		SCENARIO(who_came_before_the_exclusive_ticket_still_goes_first),
		SCENARIO(an_exclusive_job_keeps_the_whole_pod_over_a_resize),
		SCENARIO(passes_take_no_slot_but_have_a_limit),
		SCENARIO(a_pass_goes_to_its_pod_while_that_is_ready),
		SCENARIO(a_pass_waits_when_cold_or_is_refused),
		SCENARIO(a_pod_that_comes_back_full_takes_waiting_passes),
	};
	return cmocka_run_group_tests_name("core: slots", tests, NULL, NULL);
}
