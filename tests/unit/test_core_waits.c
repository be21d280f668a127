/* The core's promises about waiting, one scenario each: every wait ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
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
	mem_fail_after(-1);
	world_stop(*state);
	return 0;
}

/* --- every wait ends ------------------------------------------------------------------------- */

static void a_full_queue_refuses_before_the_body(void **state)
{
	struct world *w = *state;
	w->config.queue.max_requests = 2;
	w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_SLOT);
	w->tickets[1].owner = 2;
	assert_true(service_admit(w->service, &w->tickets[1], w->now_us)); /* uploads */
	assert_true(world_wait(w, 2, TICKET_SLOT));
	assert_int_equal(world_counts(w).uploading, 1);
	assert_int_equal(world_counts(w).waiting, 1);
	assert_false(world_wait(w, 3, TICKET_SLOT));
	assert_int_equal(w->refused[3], REFUSAL_QUEUE_FULL);
	world_cancel(w, 1);
	assert_int_equal(world_counts(w).uploading, 0);
	assert_true(world_wait(w, 3, TICKET_SLOT));
}

/* With nothing learned a job is taken to last 10 s; then the average of those that ended. */
static void retry_after_is_computed_from_what_is_known(void **state)
{
	struct world *w = *state;
	w->config.queue.max_requests = 1;
	w->config.queue.max_wait_us = 1000 * S;
	w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_SLOT);
	world_wait(w, 1, TICKET_SLOT);
	assert_false(world_wait(w, 2, TICKET_SLOT));
	assert_int_equal(w->tickets[2].retry_after_us, 10 * S); /* when the next slot frees */
	/* One waits: the newcomer would be in the second round of one slot. */
	assert_int_equal(service_expected_wait_us(w->service, 0, w->now_us), 2 * 10 * S);
	world_at(w, 4 * S);
	world_finish(w, 0); /* learned: 4 s */
	world_start_job(w, 1);
	assert_int_equal(service_expected_wait_us(w->service, 0, w->now_us), 4 * S);
	world_wait(w, 3, TICKET_SLOT);
	assert_false(world_wait(w, 2, TICKET_SLOT));
	assert_int_equal(w->tickets[2].retry_after_us, 4 * S);
	world_at(w, 16 * S);
	world_finish(w, 1); /* 12 s; the average moves by an eighth: 4 + (12 - 4) / 8 = 5 */
	assert_false(world_wait(w, 4, TICKET_SLOT) && world_wait(w, 5, TICKET_SLOT));
	assert_int_equal(w->tickets[5].retry_after_us, 5 * S);
	world_finish(w, 3);
	world_finish(w, 4);
	assert_int_equal(service_expected_wait_us(w->service, 0, w->now_us), 0); /* one is free */
}

/* A first job that goes on for an hour is no reason to promise ten seconds. */
static void before_any_job_has_ended_its_age_is_what_is_known(void **state)
{
	struct world *w = *state;
	w->config.queue.max_requests = 1;
	w->config.queue.max_wait_us = 100000 * S;
	w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_SLOT);
	world_wait(w, 1, TICKET_SLOT);
	world_at(w, 300 * S);
	assert_false(world_wait(w, 2, TICKET_SLOT));
	assert_int_equal(w->tickets[2].retry_after_us, 300 * S);
	world_at(w, 30000 * S);
	assert_false(world_wait(w, 3, TICKET_SLOT));
	assert_int_equal(w->tickets[3].retry_after_us, 3600 * S); /* but no longer than that */
	world_time_out(w, 0);
	world_break(w, 0);
	assert_int_equal(service_expected_wait_us(w->service, 0, w->now_us), 30 * S + 30000 * S);
}

static void retry_after_is_never_below_a_second(void **state)
{
	struct world *w = *state;
	w->config.queue.max_requests = 1;
	w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_SLOT);
	world_at(w, MS);
	world_finish(w, 0); /* learned: a millisecond */
	world_work(w, 0, TICKET_SLOT);
	world_wait(w, 1, TICKET_SLOT);
	assert_false(world_wait(w, 2, TICKET_SLOT));
	assert_int_equal(w->tickets[2].retry_after_us, S);
}

/* A full queue of a service without pods has room again with the first of them, not when the last
 * who waits has been served. */
static void a_full_cold_queue_moves_with_the_first_pod(void **state)
{
	struct world *w = *state;
	w->config.queue.max_requests = 3;
	world_start(w, true);
	for (int i = 0; i < 3; i++)
		assert_true(world_wait(w, i, TICKET_SLOT));
	assert_false(world_wait(w, 3, TICKET_SLOT));
	assert_int_equal(w->tickets[3].retry_after_us, 30 * S);
}

/* Those that upload and those that wait count like those at a pod. */
static void what_passes_beside_the_slots_is_capped(void **state)
{
	struct world *w = *state;
	w->config.pass_through.max_requests = 3;
	w->config.pass_through.max_requests_per_pod = 1;
	w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_PASS);
	assert_true(world_wait(w, 1, TICKET_PASS));
	ticket_init(&w->tickets[2], TICKET_PASS);
	w->tickets[2].owner = 3;
	assert_true(service_admit(w->service, &w->tickets[2], w->now_us));
	assert_false(world_wait(w, 3, TICKET_PASS));
	assert_int_equal(w->refused[3], REFUSAL_PASSES_FULL);
	assert_int_equal(w->tickets[3].retry_after_us, S);
	world_work(w, 4, TICKET_SLOT); /* slots are another matter */
	world_cancel(w, 2);
	assert_true(world_wait(w, 3, TICKET_PASS));
	assert_false(world_wait(w, 5, TICKET_PASS));
	world_finish(w, 0);
	assert_true(world_wait(w, 5, TICKET_PASS));
}

static void a_wait_ends_at_its_deadline(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_SLOT);
	world_at(w, 3 * S);
	world_wait(w, 1, TICKET_SLOT);
	world_at(w, 13 * S - 1);
	assert_int_equal(w->refused[1], REFUSAL_NONE);
	world_at(w, 13 * S);
	assert_int_equal(w->refused[1], REFUSAL_EXPIRED);
	assert_int_equal(world_counts(w).waiting, 0);
}

static void a_cold_start_has_its_own_deadline(void **state)
{
	struct world *w = *state;
	world_start(w, false);
	world_wait(w, 0, TICKET_SLOT);
	world_at(w, 30 * S - 1);
	assert_int_equal(w->refused[0], REFUSAL_NONE);
	world_at(w, 30 * S);
	assert_int_equal(w->refused[0], REFUSAL_COLD_START);
}

/* From the first pod on, who waited for it has as long again as one who comes now. */
static void the_first_pod_changes_the_deadline(void **state)
{
	struct world *w = *state;
	world_start(w, false);
	world_wait(w, 0, TICKET_SLOT);
	world_wait(w, 1, TICKET_SLOT);
	world_at(w, 25 * S);
	world_pod(w, "a");
	assert_string_equal(world_where(w, 0), "a");
	world_at(w, 35 * S - 1);
	assert_int_equal(w->refused[1], REFUSAL_NONE);
	world_at(w, 35 * S);
	assert_int_equal(w->refused[1], REFUSAL_EXPIRED);
}

static void without_pods_again_the_cold_deadline_counts(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_SLOT);
	world_wait(w, 1, TICKET_SLOT);
	world_at(w, 9 * S);
	world_gone(w, "a");
	world_at(w, 30 * S - 1);
	assert_int_equal(w->refused[1], REFUSAL_NONE);
	world_at(w, 30 * S);
	assert_int_equal(w->refused[1], REFUSAL_COLD_START);
}

static void who_leaves_while_waiting_never_reaches_a_pod(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_SLOT);
	world_wait(w, 1, TICKET_SLOT);
	world_wait(w, 2, TICKET_SLOT);
	world_cancel(w, 1);
	world_cancel(w, 1);
	assert_int_equal((int64_t)world_counts(w).concurrency, 2); /* nor the autoscaler */
	world_finish(w, 0);
	assert_int_equal(w->grants[1], 0);
	assert_string_equal(world_where(w, 2), "a");
}

static void closing_refuses_who_waits_and_lets_work_go_on(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_SLOT);
	world_wait(w, 1, TICKET_SLOT);
	world_wait(w, 3, TICKET_PASS);
	w->tickets[2].owner = 3;
	assert_true(service_admit(w->service, &w->tickets[2], w->now_us));
	service_close(w->service, w->now_us);
	world_settle(w);
	assert_int_equal(w->refused[1], REFUSAL_CLOSING);
	service_enqueue(w->service, &w->tickets[2], w->now_us);
	world_settle(w);
	assert_int_equal(w->refused[2], REFUSAL_CLOSING);
	assert_false(world_wait(w, 4, TICKET_SLOT));
	assert_int_equal(w->refused[4], REFUSAL_CLOSING);
	assert_int_equal(world_used(w, "a"), 1);
	world_finish(w, 0);
	assert_int_equal(world_used(w, "a"), 0);
	assert_int_equal(w->failures, 0);
}

static void without_memory_only_that_request_is_refused(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	world_work(w, 0, TICKET_SLOT);
	world_wait(w, 1, TICKET_EXCLUSIVE);
	world_wait(w, 2, TICKET_SLOT);
	mem_fail_after(0);
	world_finish(w, 0);
	assert_int_equal(w->refused[1], REFUSAL_NO_MEMORY);
	assert_string_equal(world_where(w, 2), "a");
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO(a_full_queue_refuses_before_the_body),
		SCENARIO(retry_after_is_computed_from_what_is_known),
		SCENARIO(before_any_job_has_ended_its_age_is_what_is_known),
		SCENARIO(retry_after_is_never_below_a_second),
		SCENARIO(a_full_cold_queue_moves_with_the_first_pod),
		SCENARIO(what_passes_beside_the_slots_is_capped),
		SCENARIO(a_wait_ends_at_its_deadline),
		SCENARIO(a_cold_start_has_its_own_deadline),
		SCENARIO(the_first_pod_changes_the_deadline),
		SCENARIO(without_pods_again_the_cold_deadline_counts),
		SCENARIO(who_leaves_while_waiting_never_reaches_a_pod),
		SCENARIO(closing_refuses_who_waits_and_lets_work_go_on),
		SCENARIO(without_memory_only_that_request_is_refused),
	};
	return cmocka_run_group_tests_name("core: waits", tests, NULL, NULL);
}
