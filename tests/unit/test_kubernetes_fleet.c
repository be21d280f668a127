/* The pods by UID, before the real ledger: who gets work, who keeps its count, who is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/kube_world.h"

static bool past_is_known(const char *name)
{
	const struct pod *p = service_pod(service, the(name)->id);
	assert_non_null(p);
	return p->past_is_known;
}

static void a_pod_is_offered_as_soon_as_it_has_an_address(void **state)
{
	(void)state;
	pod_is("a", "", false, "");
	settle();
	assert_int_equal(state_of("a"), POD_STATES);
	pod_is("a", "10.0.0.1", false, "");
	settle();
	assert_int_equal(state_of("a"), POD_STARTING);
	const struct pod *p = service_pod(service, the("a")->id);
	assert_non_null(p);
	assert_string_equal(p->name, "a@10.0.0.1:7860#u-a");
	assert_true(p->past_is_known); /* nobody can have used it */
	pod_is("b", "10.0.0.2", true, "");
	settle();
	const struct pod *b = service_pod(service, the("b")->id);
	assert_non_null(b);
	assert_false(b->past_is_known);
	let_pods_answer();
	assert_int_equal(state_of("a"), POD_READY);
}

static void nothing_is_offered_while_it_is_held(void **state)
{
	(void)state;
	fleet.is_held = true;
	pod_is("a", "10.0.0.1", true, "");
	settle();
	assert_int_equal(state_of("a"), POD_STATES);
	fleet.is_held = false;
	settle();
	assert_int_equal(state_of("a"), POD_STARTING);
}

static void one_that_flaps_keeps_its_count(void **state)
{
	(void)state;
	pod_is("a", "10.0.0.1", true, "");
	slice_says("a", "10.0.0.1", "'ready': true");
	settle();
	let_pods_answer();
	start_job();
	uint64_t id = the("a")->id;
	slice_says("a", "10.0.0.1", "'ready': false");
	settle();
	assert_int_equal(state_of("a"), POD_ABSENT);
	slice_says("a", "10.0.0.1", "'ready': true");
	settle();
	let_pods_answer();
	assert_int_equal(state_of("a"), POD_FULL);
	assert_int_equal(the("a")->id, id);
	service_finished(service, grant, now_us);
}

static void one_that_ends_serves_what_it_has(void **state)
{
	(void)state;
	pod_is("a", "10.0.0.1", true, "");
	slice_says("a", "10.0.0.1", "");
	settle();
	let_pods_answer();
	start_job();
	slice_says("a", "10.0.0.1", "'ready': false, 'serving': true, 'terminating': true");
	settle();
	assert_int_equal(state_of("a"), POD_ABSENT);
	assert_int_equal(service_grant_owner(service, grant), ticket.owner);
	pod_goes("a", true);
	assert_null(member("a"));
	assert_int_equal(service_pod_by_name(service, "a@10.0.0.1:7860#u-a") != NULL, 0);
}

static void one_that_has_left_the_slices_gets_no_more(void **state)
{
	(void)state;
	pod_is("a", "10.0.0.1", true, "");
	slice_says("a", "10.0.0.1", "");
	settle();
	kube_slices_remove(&fleet.slices, "s-a"); /* its end is told here first */
	settle();
	assert_int_equal(state_of("a"), POD_STATES);
	slice_says("a", "10.0.0.1", "");
	settle();
	assert_int_equal(state_of("a"), POD_STARTING);
}

static void one_that_is_only_out_of_sight_is_not_over(void **state)
{
	(void)state;
	pod_is("a", "10.0.0.1", true, "");
	settle();
	let_pods_answer();
	start_job();
	pod_goes("a", false); /* relabelled: the watch says DELETED, the pod lives */
	settle();
	assert_int_equal(state_of("a"), POD_ABSENT);
	pod_is("a", "10.0.0.1", true, "");
	settle();
	let_pods_answer();
	assert_int_equal(state_of("a"), POD_FULL);
	kube_fleet_listing_pods(&fleet); /* and a list that does not name it */
	kube_fleet_listed_pods(&fleet);
	settle();
	assert_int_equal(state_of("a"), POD_ABSENT);
	kube_fleet_over(&fleet, the("a"), now_us); /* somebody has looked */
	assert_int_equal(service_grant_owner(service, grant), 0);
	assert_null(member("a"));
}

static void an_address_that_is_used_again_is_another_pod(void **state)
{
	(void)state;
	pod_is("a", "10.0.0.1", true, "");
	settle();
	let_pods_answer();
	start_job();
	pod_is("b", "10.0.0.1", true, "");
	settle();
	assert_int_not_equal(the("a")->id, the("b")->id);
	let_pods_answer();
	assert_int_equal(state_of("a"),
			 POD_ABSENT); /* its sandbox is gone, its job is not known to be */
	assert_int_equal(state_of("b"), POD_READY);
	service_finished(service, grant, now_us);
	settle();
	assert_int_equal(state_of("a"), POD_STATES);
	let_pods_answer();
	assert_int_equal(state_of("a"),
			 POD_STATES); /* though the API still says that it is ready */
	assert_int_equal(state_of("b"), POD_READY);
}

static void born(const char *name, const char *when)
{
	say(kube_fleet_put_pod,
	    "{'metadata': {'name': '%s', 'uid': 'u-%s', 'resourceVersion': '1', "
	    "'creationTimestamp': '2026-01-01T00:00:%sZ'}, 'status': {'podIP': '10.0.0.1', "
	    "'phase': 'Running', 'conditions': [{'type': 'Ready', 'status': 'True'}]}}",
	    name, name, when);
}

static void the_youngest_has_the_address(void **state)
{
	(void)state;
	pod_is("b", "", false, ""); /* it was seen young */
	settle();
	born("a", "01");
	settle();
	let_pods_answer();
	start_job();
	born("b", "02");
	settle();
	/* What was sent to the one may have reached the other. */
	assert_false(past_is_known("b"));
	born("older", "00");
	settle();
	assert_int_equal(state_of("older"), POD_STATES);
	pod_goes("b", true);
	settle();
	let_pods_answer();
	assert_int_equal(state_of("older"), POD_STATES);
	assert_int_equal(state_of("a"), POD_FULL); /* it was said too early that it had lost it */
	pod_goes("a", true);
	settle();
	assert_int_equal(state_of("older"), POD_STARTING);
	pod_is("older", "10.0.0.2", true, "");
	pod_is("c", "10.0.0.1", true, "");
	settle();
	let_pods_answer();
	assert_int_equal(state_of("older"), POD_READY);
	assert_int_equal(state_of("c"), POD_READY);
}

static void the_next_at_an_address_may_have_the_last_ones_work(void **state)
{
	(void)state;
	pod_is("a", "10.0.0.1", true, "");
	pod_is("b", "", false, "");
	pod_is("c", "", false, "");
	settle();
	let_pods_answer();
	start_job();
	pod_goes("a",
		 true); /* while it works: the job was sent, and may have come too late for it */
	pod_is("b", "10.0.0.1", false, "");
	pod_is("c", "10.0.0.2", false, "");
	settle();
	assert_false(past_is_known("b"));
	assert_true(past_is_known("c"));
}

/* A dual stack's pod: its primary family is the cluster's, the wanted one is the service's. */
static void dual(const char *more)
{
	pod_is("a", "10.0.0.1", true, more);
	settle();
}

static void the_family_is_the_services_and_does_not_change(void **state)
{
	(void)state;
	static const char both[] = ", 'podIPs': [{'ip': '10.0.0.1'}, {'ip': 'fd00:0::1'}]";
	say(kube_fleet_put_service, "{'metadata': {'name': 'sd'}, 'spec': {'ipFamilies': ['IPv6'], "
				    "'ports': [{'port': 7860}]}}");
	dual(both);
	assert_string_equal(the("a")->where, "[fd00::1]:7860");
	let_pods_answer();
	start_job();
	say(kube_fleet_put_service, "{'metadata': {'name': 'sd'}, 'spec': {'ipFamilies': ['IPv4'], "
				    "'ports': [{'port': 7860}]}}");
	dual(both);
	assert_string_equal(the("a")->where, "[fd00::1]:7860");
	assert_int_equal(service_grant_owner(service, grant), ticket.owner); /* it still works */
	dual(", 'podIPs': [{'ip': '10.0.0.1'}]"); /* only now it is another sandbox */
	assert_string_equal(the("a")->where, "10.0.0.1:7860");
	assert_int_equal(service_grant_owner(service, grant), 0);
}

static void what_is_no_pod_is_not_asked_for(void **state)
{
	(void)state;
	fleet.pods_are_synced = false;
	say(kube_fleet_put_slice,
	    "{'metadata': {'name': 's', 'namespace': 'here'}, 'addressType': 'IPv4', 'ports': "
	    "[{'port': 7860}], 'endpoints': [{'addresses': ['10.0.0.7']}, {'addresses': "
	    "['10.0.0.8'], 'targetRef': {'kind': 'Pod', 'namespace': 'there', 'name': 'far', "
	    "'uid': "
	    "'u-far'}}, {'addresses': ['10.0.0.9'], 'targetRef': {'kind': 'Pod', 'namespace': "
	    "'here', 'name': 'near', 'uid': 'u-near'}}]}");
	settle();
	struct kube_member *m = map_get(&fleet.by_uid, "10.0.0.7");
	assert_non_null(m);
	assert_false(m->is_pod);
	assert_false(the("far")->is_pod); /* a pod of this name here would be another one */
	assert_true(the("near")->is_pod);
	assert_true(kube_member_exists(the("near")));
}

static void another_address_is_another_sandbox(void **state)
{
	(void)state;
	pod_is("a", "10.0.0.1", true, "");
	settle();
	let_pods_answer();
	start_job();
	uint64_t id = the("a")->id;
	pod_is("a", "10.0.0.9", true, "");
	settle();
	assert_int_equal(service_grant_owner(service, grant), 0); /* what it worked on has ended */
	assert_int_not_equal(the("a")->id, id);
	assert_int_equal(state_of("a"), POD_STARTING);
	/* As with a new one, the kubelet's word is not waited for. */
	pod_is("a", "10.0.0.7", false, "");
	settle();
	assert_int_equal(state_of("a"), POD_STARTING);
	let_pods_answer();
	assert_int_equal(state_of("a"), POD_READY);
}

static void on_its_node(const char *name, int port)
{
	say(kube_fleet_put_pod,
	    "{'metadata': {'name': '%s', 'uid': 'u-%s', 'resourceVersion': '1'}, 'spec': "
	    "{'hostNetwork': true, 'containers': [{'name': 'c', 'ports': [{'name': 'web', "
	    "'containerPort': %d}]}]}, 'status': {'podIP': '10.0.0.1', 'phase': 'Running', "
	    "'conditions': [{'type': 'Ready', 'status': 'True'}]}}",
	    name, name, port);
}

/* Each of them names its own port; the address is their node's. */
static void pods_in_the_network_of_one_node_do_not_displace_each_other(void **state)
{
	(void)state;
	say(kube_fleet_put_service, "{'metadata': {'name': 'sd'}, 'spec': {'selector': {'app': "
				    "'sd'}, 'ports': [{'port': 80, 'targetPort': 'web'}]}}");
	on_its_node("a", 7860);
	on_its_node("b", 7861);
	settle();
	let_pods_answer();
	assert_int_equal(state_of("a"), POD_READY);
	assert_int_equal(state_of("b"), POD_READY);
	assert_string_equal(the("b")->where, "10.0.0.1:7861");
	pod_goes("a", true);
	on_its_node("c", 7860);
	settle();
	let_pods_answer();
	assert_int_equal(state_of("b"), POD_READY);
	assert_int_equal(state_of("c"), POD_READY);
}

static void one_in_trouble_gets_no_work(void **state)
{
	(void)state;
	static const char crash[] =
		", 'containerStatuses': [{'state': {'waiting': {'reason': 'CrashLoopBackOff'}}}]";
	pod_is("a", "10.0.0.1", false, crash);
	settle();
	assert_int_equal(state_of("a"), POD_STATES);
	assert_int_equal(the("a")->trouble_us, now_us);
	pod_is("a", "10.0.0.1", false, "");
	settle();
	assert_int_equal(state_of("a"), POD_STARTING);
	assert_int_equal(the("a")->trouble_us, 0);
}

static void one_whose_containers_have_ended_is_over(void **state)
{
	(void)state;
	pod_is("a", "10.0.0.1", true, "");
	settle();
	let_pods_answer();
	start_job();
	say(kube_fleet_put_pod, "{'metadata': {'name': 'a', 'uid': 'u-a', 'resourceVersion': '3'}, "
				"'status': {'phase': 'Failed', 'podIP': '10.0.0.1'}}");
	settle();
	assert_int_equal(service_grant_owner(service, grant), 0);
	assert_int_equal(state_of("a"), POD_STATES);
}

/* A pod that was evicted stays in the API, with the address that it had. One that was created
 * before it, and waited for a node, may have that now. */
static void one_that_has_ended_has_no_address(void **state)
{
	(void)state;
	static const char evicted[] =
		"{'metadata': {'name': 'b', 'uid': 'u-b', 'resourceVersion': '%d', "
		"'creationTimestamp': '2026-01-01T00:00:09Z'}, 'status': {'phase': '%s', 'podIP': "
		"'10.0.0.1'}}";
	say(kube_fleet_put_pod, evicted, 1, "Failed");
	born("a", "01");
	settle();
	let_pods_answer();
	assert_int_equal(state_of("a"), POD_READY);
	assert_int_equal(state_of("b"), POD_STATES);
	pod_goes("b", true);
	say(kube_fleet_put_pod, evicted, 2, "Running");
	settle();
	let_pods_answer();
	assert_int_equal(state_of("a"), POD_STATES);
	say(kube_fleet_put_pod, evicted, 3, "Failed");
	settle();
	settle();
	let_pods_answer();
	assert_int_equal(state_of("a"), POD_READY);
}

static void slices_alone_will_do(void **state)
{
	(void)state;
	fleet.pods_are_synced = false; /* pods may not be listed */
	slice_says("a", "10.0.0.1", "'ready': false");
	settle();
	assert_int_equal(state_of("a"), POD_STARTING);
	slice_says("a", "10.0.0.1", "'ready': false, 'terminating': true");
	settle();
	assert_int_equal(state_of("a"), POD_STATES);
	kube_slices_remove(&fleet.slices, "s-a");
	settle();
	assert_null(member("a"));
}

static void slice_of_ipv6(void)
{
	say(kube_fleet_put_slice,
	    "{'metadata': {'name': 's-6'}, 'addressType': 'IPv6', 'ports': [{'name': 'http', "
	    "'port': "
	    "7860}], 'endpoints': [{'addresses': ['fd00::1'], 'targetRef': {'kind': 'Pod', 'name': "
	    "'a', 'uid': 'u-a'}}]}");
}

/* Of a dual stack's two slices one comes or goes first: that is no other sandbox. */
static void the_other_family_frees_nothing(void **state)
{
	(void)state;
	fleet.pods_are_synced = false;
	slice_of_ipv6();
	settle();
	let_pods_answer();
	start_job();
	assert_int_equal(state_of("a"), POD_FULL);
	slice_says("a", "10.0.0.1", "");
	settle();
	assert_int_equal(state_of("a"), POD_FULL);
	assert_string_equal(the("a")->host, "fd00::1");
	kube_slices_remove(&fleet.slices, "s-6");
	settle();
	assert_int_equal(state_of("a"), POD_FULL);
	service_finished(service, grant, now_us);
	drain();
	settle();
	assert_string_equal(the("a")->host, "10.0.0.1");
	settle();
	let_pods_answer();
	assert_int_equal(state_of("a"), POD_READY);
}

static void the_port_is_the_services(void **state)
{
	(void)state;
	say(kube_fleet_put_service, "{'metadata': {'name': 'sd'}, 'spec': {'ports': [{'name': 'x', "
				    "'port': 80, 'targetPort': "
				    "'web'}, {'name': 'y', 'port': 81}]}}");
	pod_is("a", "10.0.0.1", true, "");
	settle();
	assert_int_equal(state_of("a"), POD_STATES); /* it has no port of that name */
	fleet.port_name = "y";
	settle();
	assert_int_equal(net_port(&the("a")->address), 81);
	fleet.target_port = 9;
	settle();
	assert_int_equal(net_port(&the("a")->address), 9);
}

/* A slice has them in an order of its own. */
static void of_several_ports_the_services_first_counts(void **state)
{
	(void)state;
	say(kube_fleet_put_service,
	    "{'metadata': {'name': 'sd'}, 'spec': {'ports': [{'name': 'http', 'port': 80, "
	    "'targetPort': 7860}, {'name': 'metrics', 'port': 90, 'targetPort': 9090}]}}");
	say(kube_fleet_put_slice,
	    "{'metadata': {'name': 's'}, 'addressType': 'IPv4', 'ports': [{'name': 'metrics', "
	    "'port': 9090}, {'name': 'http', 'port': 7860}], 'endpoints': [{'addresses': "
	    "['10.0.0.1'], 'targetRef': {'kind': 'Pod', 'name': 'a', 'uid': 'u-a'}}]}");
	pod_is("a", "10.0.0.1", true, "");
	settle();
	assert_int_equal(net_port(&the("a")->address), 7860);
	fleet.port_name = "metrics";
	settle();
	assert_int_equal(net_port(&the("a")->address), 9090);
}

static void one_that_may_stay_is_offered_again(void **state)
{
	(void)state;
	pod_is("a", "10.0.0.1", true, "");
	settle();
	let_pods_answer();
	the("a")->is_removing = true;
	start_job();
	assert_false(kube_fleet_revive(&fleet, the("a"), now_us)); /* it works */
	service_finished(service, grant, now_us);
	assert_true(kube_fleet_revive(&fleet, the("a"), now_us));
	settle();
	assert_int_equal(state_of("a"), POD_STARTING);
	assert_false(the("a")->is_removing);
}

static void one_of_another_process_is_known_by_its_name(void **state)
{
	(void)state;
	static const char name[] = "a@10.0.0.1:7860#u-a";
	service_pod_add(service, name, true, NULL, now_us);
	let_pods_answer();
	start_job();
	assert_false(kube_fleet_adopt(&fleet, "b@10.0.0.1:7860#u-b", now_us));
	assert_true(kube_fleet_adopt(&fleet, name, now_us));
	assert_true(kube_fleet_adopt(&fleet, name, now_us)); /* again: no harm */
	assert_int_equal(state_of("a"), POD_FULL);
	assert_int_equal(net_port(&the("a")->address), 7860);
	pod_is("a", "10.0.0.1", true, "");
	settle();
	assert_int_equal(state_of("a"), POD_FULL);
	static const char *const bad[] = {"x", "a@b#c", "a@10.0.0.1:1#", "a#b@10.0.0.1:1"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		service_pod_add(service, bad[i], true, NULL, now_us);
		assert_false(kube_fleet_adopt(&fleet, bad[i], now_us));
	}
	service_finished(service, grant, now_us);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_pod_is_offered_as_soon_as_it_has_an_address),
		TEST(nothing_is_offered_while_it_is_held),
		TEST(one_that_flaps_keeps_its_count),
		TEST(one_that_ends_serves_what_it_has),
		TEST(one_that_has_left_the_slices_gets_no_more),
		TEST(one_that_is_only_out_of_sight_is_not_over),
		TEST(an_address_that_is_used_again_is_another_pod),
		TEST(the_youngest_has_the_address),
		TEST(the_next_at_an_address_may_have_the_last_ones_work),
		TEST(the_family_is_the_services_and_does_not_change),
		TEST(what_is_no_pod_is_not_asked_for),
		TEST(another_address_is_another_sandbox),
		TEST(pods_in_the_network_of_one_node_do_not_displace_each_other),
		TEST(one_in_trouble_gets_no_work),
		TEST(one_whose_containers_have_ended_is_over),
		TEST(one_that_has_ended_has_no_address),
		TEST(slices_alone_will_do),
		TEST(the_other_family_frees_nothing),
		TEST(the_port_is_the_services),
		TEST(of_several_ports_the_services_first_counts),
		TEST(one_that_may_stay_is_offered_again),
		TEST(one_of_another_process_is_known_by_its_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
