/* The pods by UID, before the real ledger: who gets work, who keeps its count, who is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "activator/providers/kubernetes_fleet.h"
#include "base/clock.h"

static struct service *service;
static struct service_config config;
static struct kube_fleet fleet;
static struct ticket ticket;
static uint64_t grant;
static int64_t now_us;

static void on_pod_moved(void *arg, struct pod *p, enum pod_state from)
{
	(void)arg, (void)p, (void)from;
}

static void on_pod_freed(void *arg, struct pod *p)
{
	(void)arg, (void)p;
}

static void on_pod_failed(void *arg, const struct pod *p, const char *kind)
{
	(void)arg, (void)p, (void)kind;
}

static void on_slot_moved(void *arg, const struct slot *slot, enum slot_state from)
{
	(void)arg, (void)slot, (void)from;
}

static void on_slot_freed(void *arg, const struct slot *slot, int64_t at_us)
{
	(void)arg, (void)slot, (void)at_us;
}

static void on_scaling_failed(void *arg, const char *reason)
{
	(void)arg, (void)reason;
}

static const struct service_observer observer = {
	.pod_moved = on_pod_moved,
	.pod_freed = on_pod_freed,
	.pod_failed = on_pod_failed,
	.scaling_failed = on_scaling_failed,
	.slot_moved = on_slot_moved,
	.slot_freed = on_slot_freed,
};

/* Single quotes stand for double ones. */
static void say(void (*what)(struct kube_fleet *, const struct json *), const char *format, ...)
{
	char text[4096];
	struct json_error error;
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	struct json *j = json_parse(text, strlen(text), &error);
	if (!j)
		fail_msg("%s in %s", error.message, text);
	what(&fleet, j);
	json_free(j);
}

static void gone(struct kube_fleet *f, const struct json *object)
{
	kube_fleet_gone_pod(f, object, now_us);
}

/* A pod NAME with the uid u-NAME. */
static void pod_is(const char *name, const char *address, bool ready, const char *more)
{
	say(kube_fleet_put_pod,
	    "{'metadata': {'name': '%s', 'uid': 'u-%s', 'resourceVersion': '1'}, 'status': "
	    "{'podIP': "
	    "'%s', 'phase': 'Running', 'conditions': [{'type': 'Ready', 'status': '%s'}]%s}}",
	    name, name, address, ready ? "True" : "False", more);
}

static void pod_goes(const char *name, bool deleted)
{
	say(gone,
	    "{'metadata': {'name': '%s', 'uid': 'u-%s', 'resourceVersion': '2'%s}, 'status': {}}",
	    name, name, deleted ? ", 'deletionTimestamp': '2026-01-01T00:00:00Z'" : "");
}

static void slice_says(const char *name, const char *address, const char *conditions)
{
	say(kube_fleet_put_slice,
	    "{'metadata': {'name': 's-%s'}, 'addressType': 'IPv4', 'ports': [{'name': 'http', "
	    "'port': "
	    "7860}], 'endpoints': [{'addresses': ['%s'], 'conditions': {%s}, 'targetRef': {'kind': "
	    "'Pod', 'name': '%s', 'uid': 'u-%s'}}]}",
	    name, address, conditions, name, name);
}

static void settle(void)
{
	kube_fleet_settle(&fleet, now_us);
}

static void drain(void)
{
	struct decision d;
	while (service_next(service, now_us, &d)) {
		if (d.kind == DECIDE_PROBE || d.kind == DECIDE_CHECK_IDLE)
			service_pod_answered(service, d.pod, d.question, ANSWER_YES, now_us);
		if (d.kind == DECIDE_GRANT)
			grant = d.grant;
	}
}

/* Asks all pods, so that those that get work are ready. */
static void let_pods_answer(void)
{
	now_us += US_PER_S;
	service_tick(service, now_us);
	drain();
}

static void start_job(void)
{
	ticket_init(&ticket, TICKET_SLOT);
	grant = 0;
	assert_true(service_admit(service, &ticket, now_us));
	service_enqueue(service, &ticket, now_us);
	drain();
	assert_int_not_equal(grant, 0);
	service_started(service, grant, now_us);
}

static struct kube_member *member(const char *name)
{
	char uid[64];
	snprintf(uid, sizeof(uid), "u-%s", name);
	return map_get(&fleet.by_uid, uid);
}

static struct kube_member *the(const char *name)
{
	struct kube_member *m = member(name);
	assert_non_null(m);
	return m;
}

/* POD_STATES: the ledger does not know it. */
static enum pod_state state_of(const char *name)
{
	const struct kube_member *m = member(name);
	const struct pod *p = m ? service_pod(service, m->id) : NULL;
	return p ? p->state : POD_STATES;
}

static int set_up(void **state)
{
	(void)state;
	now_us = 100 * US_PER_S;
	config_service_defaults(&config);
	config.container_concurrency = 1;
	service = service_new(&config, false, &observer, NULL, now_us);
	if (!service)
		return 1;
	kube_fleet_init(&fleet, service, "sd");
	say(kube_fleet_put_service, "{'metadata': {'name': 'sd'}, 'spec': {'selector': {'app': "
				    "'sd'}, 'ports': [{'name': 'http', "
				    "'port': 80, 'targetPort': 7860}]}}");
	kube_fleet_listing_pods(&fleet);
	kube_fleet_listed_pods(&fleet);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	service_cancel(service, &ticket, now_us);
	service_free(service);
	kube_fleet_release(&fleet);
	config_service_release(&config);
	return 0;
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
	assert_int_equal(state_of("a"), POD_FULL);
	assert_int_equal(state_of("b"), POD_READY);
	service_finished(service, grant, now_us);
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
	assert_true(kube_member_stays(the("a")));
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_pod_is_offered_as_soon_as_it_has_an_address),
		TEST(nothing_is_offered_while_it_is_held),
		TEST(one_that_flaps_keeps_its_count),
		TEST(one_that_ends_serves_what_it_has),
		TEST(one_that_is_only_out_of_sight_is_not_over),
		TEST(an_address_that_is_used_again_is_another_pod),
		TEST(another_address_is_another_sandbox),
		TEST(one_in_trouble_gets_no_work),
		TEST(one_whose_containers_have_ended_is_over),
		TEST(slices_alone_will_do),
		TEST(the_port_is_the_services),
		TEST(one_that_may_stay_is_offered_again),
		TEST(one_of_another_process_is_known_by_its_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
