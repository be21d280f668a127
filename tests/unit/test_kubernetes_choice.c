/* Which pods go: never one that may have work while an idle one could. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "activator/providers/kubernetes_choice.h"
#include "base/clock.h"
#include "tests/unit/kube_world.h"

static struct kube_choice choice;

static const char RUNS[] =
	"'phase': 'Running', 'conditions': [{'type': 'Ready', 'status': 'True'}]";
static const char NOT_READY[] = "'phase': 'Running'";
static const char PENDING[] = "'phase': 'Pending'";

/* A pod as a scheduler, a kubelet and the marks have it. */
static void is(const char *name, const char *address, const char *status, bool cheap)
{
	say(kube_fleet_put_pod,
	    "{'metadata': {'name': '%s', 'uid': 'u-%s', 'resourceVersion': '1'%s}, 'spec': "
	    "{'nodeName': 'n'}, 'status': {'podIP': '%s', %s}}",
	    name, name, cheap ? ", 'annotations': {'" KUBE_COST "': '" KUBE_CHEAP "'}" : "",
	    address, status);
	settle();
}

static void choose(int64_t first_ordinal)
{
	kube_choose(&fleet, first_ordinal, now_us, &choice);
}

/* As the ledger does it with one that was found idle. */
static void withdraw(const char *name)
{
	the(name)->is_removing = true;
}

static void tell(const char *name, bool cheap)
{
	the(name)->told_cheap = cheap;
	the(name)->told_us = now_us;
}

static void an_idle_one_goes_once_the_api_tells_of_its_mark(void **state)
{
	(void)state;
	is("a", "10.0.0.1", RUNS, false);
	is("b", "10.0.0.2", RUNS, false);
	choose(KUBE_BY_MARK);
	assert_int_equal(choice.existing, 2);
	assert_int_equal(choice.least, 2);
	assert_null(choice.to_mark);
	withdraw("b");
	choose(KUBE_BY_MARK);
	assert_ptr_equal(choice.to_mark, the("b"));
	assert_int_equal(choice.least, 2);
	tell("b", true);
	choose(KUBE_BY_MARK);
	assert_null(choice.to_mark); /* not told twice, */
	assert_int_equal(choice.least, 2);
	now_us += 6 * US_PER_S;
	choose(KUBE_BY_MARK);
	assert_ptr_equal(choice.to_mark, the("b")); /* but again when nothing is heard of it */
	is("b", "10.0.0.2", RUNS, true);
	choose(KUBE_BY_MARK);
	assert_null(choice.to_mark);
	assert_int_equal(choice.least, 1);
	assert_int_equal(choice.staying, 1);
}

static void nobody_goes_while_a_mark_is_on_one_that_stays(void **state)
{
	(void)state;
	is("a", "10.0.0.1", RUNS, true); /* another process left it there */
	is("b", "10.0.0.2", RUNS, true);
	withdraw("b");
	choose(KUBE_BY_MARK);
	assert_ptr_equal(choice.to_unmark, the("a"));
	assert_int_equal(choice.least, 2);
	tell("a", false);
	choose(KUBE_BY_MARK);
	assert_null(choice.to_unmark);
	assert_int_equal(choice.least, 2); /* the controllers may not have heard of it */
	is("a", "10.0.0.1", RUNS, false);
	choose(KUBE_BY_MARK);
	assert_int_equal(choice.least, 1);
	the("b")->is_removing = false; /* it may stay, and was just told to be marked */
	is("b", "10.0.0.2", RUNS, false);
	tell("b", true);
	choose(KUBE_BY_MARK);
	assert_ptr_equal(choice.to_unmark, the("b"));
}

static void a_busy_one_that_is_not_ready_keeps_the_idle_ones(void **state)
{
	(void)state;
	is("busy", "10.0.0.1", NOT_READY, false);
	is("idle", "10.0.0.2", RUNS, true);
	is("starts", "10.0.0.3", NOT_READY, true);
	withdraw("idle");
	withdraw("starts");
	choose(KUBE_BY_MARK);
	assert_int_equal(choice.least, 2); /* "starts" would go before it, "idle" would not */
	assert_ptr_equal(choice.in_the_way, the("busy"));
	is("busy", "10.0.0.1", RUNS, false);
	choose(KUBE_BY_MARK);
	assert_int_equal(choice.least, 1);
	assert_null(choice.in_the_way);
}

static void all_go_without_a_mark(void **state)
{
	(void)state;
	is("a", "10.0.0.1", RUNS, false);
	is("b", "", PENDING, false);
	withdraw("a");
	choose(KUBE_BY_MARK);
	assert_int_equal(choice.least, 0);
	assert_null(choice.to_mark);
}

static void without_the_right_to_mark_any_may_go(void **state)
{
	(void)state;
	is("a", "10.0.0.1", RUNS, false);
	is("b", "10.0.0.2", RUNS, false);
	withdraw("b");
	the("b")->is_unmarkable = true;
	choose(KUBE_BY_MARK);
	assert_null(choice.to_mark);
	assert_int_equal(choice.least, 1);
}

static void a_stateful_set_takes_the_highest(void **state)
{
	(void)state;
	is("sd-0", "10.0.0.1", RUNS, false);
	is("sd-1", "10.0.0.2", RUNS, false);
	is("sd-2", "10.0.0.3", RUNS, false);
	withdraw("sd-0");
	withdraw("sd-2");
	choose(0);
	assert_int_equal(choice.least, 2);
	assert_null(choice.to_mark);
	choose(1);
	assert_int_equal(choice.least, 1);
	choose(5); /* it cannot be, and whoever works still stays */
	assert_int_equal(choice.least, 1);
	withdraw("sd-1");
	choose(0);
	assert_int_equal(choice.least, 0);
}

static void who_may_go_gets_no_work_until_it_is_known_who_went(void **state)
{
	(void)state;
	is("a", "10.0.0.1", RUNS, false);
	is("b", "10.0.0.2", RUNS, true);
	is("new", "", PENDING, true);
	withdraw("b");
	kube_choice_lowered(&fleet, now_us); /* from 3 to 2 */
	is("new", "10.0.0.3", NOT_READY, true);
	assert_int_equal(state_of("new"), POD_STATES);
	now_us += 10 * US_PER_S;
	assert_false(kube_choice_revive(&fleet, 2, 2, now_us)); /* three are still there */
	say(kube_fleet_put_pod, "{'metadata': {'name': 'b', 'uid': 'u-b', 'resourceVersion': '2', "
				"'deletionTimestamp': 'x'}, 'status': {}}");
	assert_true(kube_choice_revive(&fleet, 2, 2, now_us));
	settle();
	assert_int_equal(state_of("new"), POD_STARTING);
}

static void one_is_spared_when_another_went(void **state)
{
	(void)state;
	is("a", "10.0.0.1", RUNS, false);
	is("b", "10.0.0.2", RUNS, true);
	withdraw("b");
	kube_choice_lowered(&fleet, now_us); /* to 1 */
	say(kube_fleet_put_pod, "{'metadata': {'name': 'a', 'uid': 'u-a', 'resourceVersion': '2', "
				"'deletionTimestamp': 'x'}, 'status': {}}");
	assert_false(kube_choice_revive(&fleet, 1, 1, now_us)); /* the controllers may be at it */
	now_us += US_PER_S;
	assert_true(kube_choice_revive(&fleet, 1, 1, now_us));
	assert_false(the("b")->is_removing);
}

static void who_goes_stays_gone_while_fewer_are_wanted(void **state)
{
	(void)state;
	is("a", "10.0.0.1", RUNS, false);
	is("b", "10.0.0.2", RUNS, false);
	withdraw("b");
	assert_false(kube_choice_revive(&fleet, 1, 2, now_us));
	assert_true(kube_choice_revive(&fleet, 2, 2, now_us)); /* more are wanted again */
	withdraw("b");
	assert_true(kube_choice_revive(&fleet, INT64_MAX, INT64_MAX, now_us));
}

static void a_sick_one_is_deleted_if_its_place_is_wanted(void **state)
{
	(void)state;
	is("a", "10.0.0.1", RUNS, false);
	let_pods_answer();
	start_job();
	withdraw("a");
	assert_null(kube_choice_sick(&fleet, 0, now_us));
	assert_ptr_equal(kube_choice_sick(&fleet, 1, now_us), the("a"));
	assert_false(kube_choice_revive(&fleet, 1, 1, now_us));
	the("a")->asked_us = now_us;
	assert_null(kube_choice_sick(&fleet, 1, now_us)); /* it was told to go */
	now_us += 31 * US_PER_S;
	assert_ptr_equal(kube_choice_sick(&fleet, 1, now_us), the("a"));
	service_finished(service, grant, now_us);
	assert_null(kube_choice_sick(&fleet, 1, now_us)); /* it was only slow */
	assert_true(kube_choice_revive(&fleet, 1, 1, now_us));
}

static void one_that_must_not_be_deleted_may_come_back(void **state)
{
	(void)state;
	is("a", "10.0.0.1", RUNS, false);
	let_pods_answer();
	start_job();
	service_broken(service, grant, "reset", now_us);
	withdraw("a");
	assert_ptr_equal(kube_choice_sick(&fleet, 1, now_us), the("a"));
	the("a")->is_undeletable = true;
	assert_false(kube_choice_revive(&fleet, 1, 1, now_us)); /* it may still work */
	service_pod_release(service, "a@10.0.0.1:7860#u-a", now_us);
	assert_true(kube_choice_revive(&fleet, 1, 1, now_us));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(an_idle_one_goes_once_the_api_tells_of_its_mark),
		TEST(nobody_goes_while_a_mark_is_on_one_that_stays),
		TEST(a_busy_one_that_is_not_ready_keeps_the_idle_ones),
		TEST(all_go_without_a_mark),
		TEST(without_the_right_to_mark_any_may_go),
		TEST(a_stateful_set_takes_the_highest),
		TEST(who_may_go_gets_no_work_until_it_is_known_who_went),
		TEST(one_is_spared_when_another_went),
		TEST(who_goes_stays_gone_while_fewer_are_wanted),
		TEST(a_sick_one_is_deleted_if_its_place_is_wanted),
		TEST(one_that_must_not_be_deleted_may_come_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
