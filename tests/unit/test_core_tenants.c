/* The core's promises about tenants, one scenario each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/core_world.h"

#define S US_PER_S

static struct world world;

static int set_up(void **state)
{
	world_init(&world);
	world.config.queue.max_requests = 100000;
	*state = &world;
	return 0;
}

static int tear_down(void **state)
{
	mem_fail_after(-1);
	world_stop(*state);
	return 0;
}

static uint64_t tenant(struct world *w, const char *name, int64_t queued, int64_t working)
{
	struct tenant_caps caps = {queued, working};
	uint64_t id = service_tenant_set(w->service, name, caps, w->now_us);
	assert_int_not_equal(id, 0);
	world_settle(w);
	return id;
}

static bool wait_kind(struct world *w, int i, uint64_t of, enum ticket_kind kind)
{
	return world_wait_as(w, i, (struct ticket){.kind = kind, .tenant = of});
}

static bool wait_of(struct world *w, int i, uint64_t of)
{
	return wait_kind(w, i, of, TICKET_SLOT);
}

static void work_of(struct world *w, int i, uint64_t of)
{
	assert_true(wait_of(w, i, of));
	world_start_job(w, i);
}

static bool is_granted(const struct world *w, int i)
{
	return w->grants[i] != 0;
}

/* --- who is next ----------------------------------------------------------------------------- */

static void a_tenant_at_its_cap_lets_the_next_one_go(void **state)
{
	struct world *w = world_of_one_pod(*state, 3);
	uint64_t a = tenant(w, "a", 0, 1), b = tenant(w, "b", 0, 0);
	work_of(w, 0, a);
	assert_true(wait_of(w, 1, a));
	assert_true(wait_of(w, 2, a));
	assert_true(wait_of(w, 3, b));
	assert_false(is_granted(w, 1) || is_granted(w, 2));
	assert_true(is_granted(w, 3));
	world_start_job(w, 3);
	world_finish(w, 0); /* now the first of a's waiters, and no other */
	assert_true(is_granted(w, 1));
	assert_false(is_granted(w, 2));
}

static void tenants_take_turns_in_order_of_arrival(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	uint64_t a = tenant(w, "a", 0, 1), b = tenant(w, "b", 0, 1);
	const uint64_t of[] = {a, a, b, 0, b, a};
	work_of(w, 6, 0);
	for (int i = 0; i < 6; i++)
		assert_true(wait_of(w, i, of[i]));
	world_finish(w, 6);
	for (int i = 0; i < 6; i++) {
		assert_true(is_granted(w, i));
		assert_true(i == 5 || !is_granted(w, i + 1));
		world_start_job(w, i);
		world_finish(w, i);
	}
}

static void work_for_nobody_counts_until_the_pod_is_done(void **state)
{
	struct world *w = world_of_one_pod(*state, 2);
	uint64_t a = tenant(w, "a", 0, 1);
	work_of(w, 0, a);
	assert_true(wait_of(w, 1, a));
	world_leave(w, 0);
	assert_false(is_granted(w, 1));
	world_time_out(w, 0);
	assert_false(is_granted(w, 1));
	assert_int_equal(service_tenant(w->service, a)->working, 1);
	world_finish(w, 0); /* its late answer */
	assert_true(is_granted(w, 1));
}

static void a_returned_ticket_is_its_tenants_first_again(void **state)
{
	struct world *w = world_of_one_pod(*state, 2);
	uint64_t a = tenant(w, "a", 0, 1);
	assert_true(wait_of(w, 0, a));
	assert_true(wait_of(w, 1, a));
	world_return(w, 0, UNSENT_STALE);
	assert_true(is_granted(w, 0));
	assert_false(is_granted(w, 1));
	world_start_job(w, 0);
	world_finish(w, 0);
	assert_true(is_granted(w, 1));
}

static void requests_beside_the_slots_are_no_work(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	uint64_t a = tenant(w, "a", 1, 1);
	work_of(w, 0, a);
	assert_true(wait_of(w, 1, a));
	assert_true(wait_kind(w, 2, a, TICKET_PASS)); /* also while its queue is full */
	assert_true(is_granted(w, 2));
	assert_int_equal(service_tenant(w->service, a)->working, 1);
}

/* --- whole pods ------------------------------------------------------------------------------ */

/* Else a stream of its tenant's small ones could hold it back for ever. */
static void a_place_is_kept_for_a_ticket_that_wants_a_whole_pod(void **state)
{
	struct world *w = *state;
	w->config.container_concurrency = 2;
	world_start(w, false);
	world_pod(w, "a");
	world_pod(w, "b");
	uint64_t a = tenant(w, "a", 0, 1);
	for (int i = 0; i < 3; i++)
		work_of(w, i, 0);
	assert_true(wait_kind(w, 3, a, TICKET_EXCLUSIVE)); /* b runs empty for it */
	assert_true(wait_of(w, 4, a));
	world_finish(w, 0);
	assert_false(is_granted(w, 4)); /* a has room, but it is its tenant's last place */
	assert_true(wait_of(w, 5, 0));
	assert_string_equal(world_where(w, 5), "a");
	world_finish(w, 2);
	assert_string_equal(world_where(w, 3), "b");
	world_start_job(w, 3);
	world_finish(w, 3);
	assert_true(is_granted(w, 4));
}

static void no_pod_runs_empty_for_a_tenant_at_its_cap(void **state)
{
	struct world *w = world_of_one_pod(*state, 2);
	uint64_t a = tenant(w, "a", 0, 2);
	work_of(w, 0, a);
	assert_true(wait_kind(w, 1, a, TICKET_EXCLUSIVE));
	assert_true(wait_of(w, 2, 0));
	assert_false(is_granted(w, 2)); /* the pod runs empty for it */
	tenant(w, "a", 0, 1);		/* a reload: it could not run now */
	assert_true(is_granted(w, 2));
	world_start_job(w, 2);
	world_finish(w, 0);
	assert_false(is_granted(w, 1));
	world_finish(w, 2);
	assert_true(is_granted(w, 1));
}

/* --- admission ------------------------------------------------------------------------------- */

static void a_tenants_full_queue_refuses_it_alone(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	uint64_t a = tenant(w, "a", 2, 0), b = tenant(w, "b", 0, 0);
	work_of(w, 0, b);
	assert_true(wait_of(w, 1, a));
	assert_true(wait_of(w, 2, a));
	assert_false(wait_of(w, 3, a));
	assert_int_equal(w->refused[3], REFUSAL_TENANT_QUEUE_FULL);
	assert_int_equal(w->tickets[3].retry_after_us, 10 * S);
	assert_true(wait_of(w, 4, b));
	world_cancel(w, 1);
	assert_true(wait_of(w, 3, a));
}

static void what_can_start_at_once_is_not_queued(void **state)
{
	struct world *w = world_of_one_pod(*state, 3);
	uint64_t a = tenant(w, "a", 1, 2);
	for (int i = 0; i < 3; i++) { /* all of them upload: two may start, one may wait */
		w->tickets[i].tenant = a;
		assert_true(service_admit(w->service, &w->tickets[i], w->now_us));
	}
	w->tickets[3].tenant = a;
	assert_false(service_admit(w->service, &w->tickets[3], w->now_us));
	assert_int_equal(w->tickets[3].refusal, REFUSAL_TENANT_QUEUE_FULL);
	assert_int_equal(service_tenant(w->service, a)->uploading, 3);
}

/* A small share of many slots makes for a long wait, for that tenant only. */
static void estimates_know_the_caps(void **state)
{
	struct world *w = world_of_one_pod(*state, 4);
	uint64_t a = tenant(w, "a", 0, 1), b = tenant(w, "b", 0, 0);
	work_of(w, 0, a);
	for (int i = 1; i < 4; i++)
		assert_true(wait_of(w, i, a));
	assert_int_equal(service_expected_wait_us(w->service, a, w->now_us), 4 * 10 * S);
	assert_int_equal(service_expected_wait_us(w->service, b, w->now_us), 0);
	for (int i = 4; i < 7; i++)
		work_of(w, i, b);
	assert_int_equal(service_expected_wait_us(w->service, b, w->now_us), 10 * S);
}

/* --- time and scale -------------------------------------------------------------------------- */

static void all_expire_in_order_of_arrival(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	uint64_t a = tenant(w, "a", 0, 1);
	work_of(w, 0, a);
	assert_true(wait_of(w, 1, a));
	world_at(w, 4 * S);
	assert_true(wait_of(w, 2, 0));
	world_at(w, 10 * S);
	assert_int_equal(w->refused[1], REFUSAL_EXPIRED);
	assert_int_equal(w->refused[2], REFUSAL_NONE);
	world_at(w, 14 * S);
	assert_int_equal(w->refused[2], REFUSAL_EXPIRED);
}

static void a_cap_bounds_the_pods_that_its_tenant_wants(void **state)
{
	struct world *w = *state;
	world_start(w, true);
	uint64_t a = tenant(w, "a", 0, 2);
	for (int i = 0; i < 10; i++)
		assert_true(wait_of(w, i, a));
	assert_int_equal(w->replicas, 2);
	assert_true(world_counts(w).concurrency == 2);
	assert_true(wait_of(w, 10, 0));
	assert_int_equal(w->replicas, 3);
	tenant(w, "a", 0, 4); /* a raised cap is worth pods at once */
	assert_int_equal(w->replicas, 5);
}

static void the_end_of_a_job_may_be_worth_a_first_pod(void **state)
{
	struct world *w = *state;
	world_start(w, true);
	uint64_t a = tenant(w, "a", 0, 1);
	assert_true(wait_of(w, 0, a));
	world_pod(w, "p");
	world_start_job(w, 0);
	world_break(w, 0); /* perhaps it works on: nothing of a's may run */
	assert_int_equal(world_state(w, "p"), POD_QUARANTINED);
	assert_true(wait_of(w, 1, a));
	assert_true(world_counts(w).concurrency == 0);
	world_gone(w, "p");
	assert_true(service_next_deadline_us(w->service) <= w->now_us);
	service_tick(w->service, w->now_us);
	world_settle(w);
	assert_int_equal(w->replicas, 1);
}

/* --- reloads --------------------------------------------------------------------------------- */

static void a_reload_keeps_the_counts(void **state)
{
	struct world *w = world_of_one_pod(*state, 3);
	uint64_t a = tenant(w, "a", 0, 2);
	work_of(w, 0, a);
	work_of(w, 1, a);
	assert_true(wait_of(w, 2, a));
	assert_int_equal(tenant(w, "a", 0, 1), a);
	world_finish(w, 0); /* one is still at work, and that is as many as may be now */
	assert_false(is_granted(w, 2));
	tenant(w, "a", 0, 2);
	assert_true(is_granted(w, 2));
}

static void a_tenant_that_leaves_finishes_what_it_has(void **state)
{
	struct world *w = world_of_one_pod(*state, 2);
	uint64_t a = tenant(w, "a", 0, 1);
	work_of(w, 0, a);
	assert_true(wait_of(w, 1, a));
	service_tenant_drop(w->service, "a");
	world_settle(w);
	assert_non_null(service_tenant(w->service, a));
	assert_false(is_granted(w, 1)); /* under the cap it had */
	world_finish(w, 0);
	world_start_job(w, 1);
	world_finish(w, 1);
	assert_null(service_tenant(w->service, a));
	assert_int_not_equal(tenant(w, "a", 0, 1), a);
}

static void a_tenant_that_comes_back_was_not_forgotten(void **state)
{
	struct world *w = world_of_one_pod(*state, 2);
	uint64_t a = tenant(w, "a", 0, 1);
	work_of(w, 0, a);
	service_tenant_drop(w->service, "a");
	service_tenant_drop(w->service, "a"); /* harmless, as is an unknown one */
	service_tenant_drop(w->service, "b");
	world_settle(w);
	assert_int_equal(tenant(w, "a", 0, 1), a);
	assert_true(wait_of(w, 1, a));
	assert_false(is_granted(w, 1));
	world_finish(w, 0);
	assert_true(is_granted(w, 1));
	world_settle(w);
	assert_non_null(service_tenant(w->service, a));
}

static void without_memory_there_is_no_tenant(void **state)
{
	struct world *w = world_of_one_pod(*state, 1);
	struct tenant_caps caps = {1, 1};
	int failures = 0;
	for (long i = 0; i < 6; i++) {
		mem_fail_after(i);
		failures += service_tenant_set(w->service, "a", caps, w->now_us) == 0;
		mem_fail_after(-1);
	}
	assert_true(failures >= 2);
	assert_int_not_equal(service_tenant_set(w->service, "a", caps, w->now_us), 0);
}

/* --- ten thousand in front ------------------------------------------------------------------- */

/* They are looked at once when they come, and never again while their tenant may start nothing: a
 * test that walked them for each grant would take minutes here. */
static void a_long_lane_at_its_cap_costs_nothing(void **state)
{
	enum { MANY = 10000, GRANTS = 20000 };
	struct world *w = world_of_one_pod(*state, 2);
	uint64_t a = tenant(w, "a", 0, 1);
	struct ticket *many = calloc(MANY, sizeof(*many));
	assert_non_null(many);
	work_of(w, 0, a);
	for (int i = 0; i < MANY; i++) {
		ticket_init(&many[i], TICKET_SLOT);
		many[i].tenant = a;
		assert_true(service_admit(w->service, &many[i], w->now_us));
		service_enqueue(w->service, &many[i], w->now_us);
	}
	world_settle(w);
	for (int i = 0; i < GRANTS; i++) {
		assert_true(wait_of(w, 1, 0));
		world_return(w, 1, UNSENT_STALE);
		world_start_job(w, 1);
		world_finish(w, 1);
	}
	for (int i = 0; i < MANY; i++)
		service_cancel(w->service, &many[i], w->now_us);
	free(many);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_tenant_at_its_cap_lets_the_next_one_go),
		TEST(tenants_take_turns_in_order_of_arrival),
		TEST(work_for_nobody_counts_until_the_pod_is_done),
		TEST(a_returned_ticket_is_its_tenants_first_again),
		TEST(requests_beside_the_slots_are_no_work),
		TEST(a_place_is_kept_for_a_ticket_that_wants_a_whole_pod),
		TEST(no_pod_runs_empty_for_a_tenant_at_its_cap),
		TEST(a_tenants_full_queue_refuses_it_alone),
		TEST(what_can_start_at_once_is_not_queued),
		TEST(estimates_know_the_caps),
		TEST(all_expire_in_order_of_arrival),
		TEST(a_cap_bounds_the_pods_that_its_tenant_wants),
		TEST(the_end_of_a_job_may_be_worth_a_first_pod),
		TEST(a_reload_keeps_the_counts),
		TEST(a_tenant_that_leaves_finishes_what_it_has),
		TEST(a_tenant_that_comes_back_was_not_forgotten),
		TEST(without_memory_there_is_no_tenant),
		TEST(a_long_lane_at_its_cap_costs_nothing),
	};
	return cmocka_run_group_tests_name("core: tenants", tests, NULL, NULL);
}
