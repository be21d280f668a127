/* Cold starts as Kubernetes tells of them: pods and Events, read and put on one clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "activator/providers/kubernetes_starts.h"
#include "base/clock.h"
#include "base/loop.h"

#define S US_PER_S

/* 2026-01-01T00:00:00Z, and when that is by the marks' clock. */
static const int64_t NEW_YEAR_US = INT64_C(1767225600) * S, BASE_US = 5000 * S;

static struct json *json;
static struct coldstarts starts;
static struct coldstart *start;

/* Single quotes stand for double ones. The document is the next one's to free. */
__attribute__((format(printf, 1, 2))) static const struct json *parse(const char *format, ...)
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
	json_free(json);
	json = json_parse(text, strlen(text), &error);
	if (!json)
		fail_msg("%s in %s", error.message, text);
	return json;
}

static int set_up(void **state)
{
	(void)state;
	coldstarts_init(&starts);
	start = coldstarts_begin(&starts, "u", "pod", COLDSTART_OF_KUBERNETES, BASE_US);
	return start ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	coldstarts_release(&starts);
	json_free(json);
	json = NULL;
	return 0;
}

static struct kube_heard heard_at(double seconds)
{
	int64_t us = (int64_t)(seconds * S);
	return (struct kube_heard){BASE_US + us, NEW_YEAR_US + us, true};
}

static void report(const char *reason, const char *message, const char *path, const char *when,
		   double heard)
{
	struct kube_report r;
	assert_true(kube_report_read(
		parse("{'metadata': {'name': 'e'}, 'involvedObject': {'kind': 'Pod', 'uid': 'u', "
		      "'fieldPath': '%s'}, 'reason': '%s', 'message': '%s', %s}",
		      path, reason, message, when),
		&r));
	kube_start_set_report(start, &r, "sd", heard_at(heard));
}

static void assert_mark(enum coldstart_mark mark, double seconds)
{
	int64_t us = BASE_US + (int64_t)(seconds * S);
	if (start->at_us[mark] != us)
		fail_msg("%s is %lld us off", coldstart_mark_name(mark),
			 (long long)(start->at_us[mark] - us));
}

static void assert_unknown(enum coldstart_mark mark)
{
	assert_true(start->at_us[mark] == COLDSTART_UNKNOWN);
}

#define STAMP(s) "'firstTimestamp': '2026-01-01T00:00:" s "Z'"
#define EXACT(s) "'eventTime': '2026-01-01T00:00:" s "Z', 'firstTimestamp': null"
#define OURS	 "spec.containers{sd}"

/* --- clocks ---------------------------------------------------------------------------------- */

static void times_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t us; /* -1: it is none */
		bool is_exact;
	} rows[] = {
		{"1970-01-01T00:00:00Z", 0, false},
		{"2026-01-01T00:00:00Z", INT64_C(1767225600000000), false},
		{"2026-01-01T01:30:00+01:30", INT64_C(1767225600000000), false},
		{"2025-12-31T19:00:00.25-05:00", INT64_C(1767225600250000), true},
		{"2024-02-29t23:59:60.000001999z", INT64_C(1709251200000001), true},
		{"2026-01-01T00:00:00.Z", -1, false},
		{"2026-01-01T00:00:00", -1, false},
		{"2026-13-01T00:00:00Z", -1, false},
		{"2026-01-01T24:00:00Z", -1, false},
		{"2026-01-01T00:00:00Zz", -1, false},
		{"2026-1-01T00:00:00Z", -1, false},
		{"20260101T000000Z", -1, false},
		{"1969-12-31T23:59:59Z", -1, false},
		{"", -1, false},
		{NULL, -1, false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int64_t us;
		bool is_exact;
		bool is = clock_parse(rows[i].text, &us, &is_exact);
		if (is != (rows[i].us >= 0) ||
		    (is && (us != rows[i].us || is_exact != rows[i].is_exact)))
			fail_msg("%s: %lld", rows[i].text, (long long)us);
	}
}

/* A stamp names a second: if it was heard of in that second, that is when it was. */
static void a_stamp_is_as_fine_as_when_it_was_heard(void **state)
{
	(void)state;
	report("Pulling", "", OURS, STAMP("10"), 10.4);
	report("Pulled", "", OURS, STAMP("20"), 22.0);
	report("Scheduled", "", "", EXACT("09.123456"), 9.5);
	assert_mark(COLDSTART_PULLING, 10.4);
	assert_mark(COLDSTART_PULLED, 20);
	assert_mark(COLDSTART_SCHEDULED, 9.123456);
	assert_int_equal(start->ranks[COLDSTART_SCHEDULED], COLDSTART_EXACT);
	/* The pod's own, coarser word comes later and changes nothing. */
	struct kube_times t;
	assert_true(kube_times_read(parse("{'status': {'conditions': [{'type': 'PodScheduled', "
					  "'status': 'True', 'lastTransitionTime': "
					  "'2026-01-01T00:00:09Z'}]}}"),
				    0, &t));
	kube_start_set_pod(start, &t, heard_at(9.9));
	assert_mark(COLDSTART_SCHEDULED, 9.123456);
}

static void an_event_without_a_time_is_none(void **state)
{
	(void)state;
	struct kube_report r;
	static const char *const bad[] = {
		"{'involvedObject': {'kind': 'Pod', 'uid': 'u'}, 'reason': 'Pulled'}",
		"{'involvedObject': {'kind': 'Pod', 'uid': 'u'}, 'reason': 'Pulled', 'eventTime': "
		"7}",
		"{'involvedObject': {'kind': 'Node', 'uid': 'u'}, 'reason': 'Pulled', " STAMP(
			"01") "}",
		"{'involvedObject': {'kind': 'Pod'}, 'reason': 'Pulled', " STAMP("01") "}",
		"{'involvedObject': {'kind': 'Pod', 'uid': 'u'}, " STAMP("01") "}",
		"[]",
		"7",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(kube_report_read(parse("%s", bad[i]), &r));
}

/* --- what happened --------------------------------------------------------------------------- */

static void who_asks_for_a_node(void **state)
{
	(void)state;
	report("Nominated", "Pod should schedule on: nodeclaim/gpu-x, node/ip-10-0-0-1", "",
	       STAMP("02"), 60);
	assert_unknown(COLDSTART_TRIGGERED);
	report("Nominated", "Pod should schedule on: nodeclaim/gpu-x", "", STAMP("03"), 60);
	assert_mark(COLDSTART_TRIGGERED, 3);
	assert_int_equal(tear_down(NULL) + set_up(NULL), 0);
	report("TriggeredScaleUp", "pod triggered scale-up", "", STAMP("38"), 60);
	assert_mark(COLDSTART_TRIGGERED, 38);
}

static void only_its_own_container_counts(void **state)
{
	(void)state;
	report("Pulling", "", "spec.initContainers{sd}", STAMP("01"), 60);
	report("Pulled", "", "spec.containers{proxy}", STAMP("02"), 60);
	report("Started", "", "spec.containers{proxy}", STAMP("02"), 60);
	report("Pulling", "", "spec.containers{", STAMP("03"), 60); /* of none: the pod's */
	assert_mark(COLDSTART_PULLING, 3);
	assert_unknown(COLDSTART_PULLED);
	assert_unknown(COLDSTART_STARTED);
	report("Pulled",
	       "Successfully pulled image sd:1 in 2m3.4s (3m including waiting). Image "
	       "size: 18700000000 bytes.",
	       OURS, STAMP("04"), 60);
	report("Started", "", OURS, STAMP("05"), 60);
	assert_mark(COLDSTART_PULLED, 4);
	assert_mark(COLDSTART_STARTED, 5);
	assert_true(start->image_bytes == INT64_C(18700000000));
	assert_false(start->image_was_there);
}

static void sizes_that_are_none(void **state)
{
	(void)state;
	report("Pulled", "Image size: 99999999999999999999999999999 bytes", OURS, STAMP("04"), 60);
	assert_true(start->image_bytes > 0);
	assert_int_equal(tear_down(NULL) + set_up(NULL), 0);
	report("Pulled", "Image size: many bytes", OURS, STAMP("04"), 60);
	assert_true(start->image_bytes == 0);
}

static void the_last_volume_counts(void **state)
{
	(void)state;
	report("SuccessfulAttachVolume", "", "", STAMP("03"), 60);
	report("SuccessfulAttachVolume", "", "", STAMP("05"), 60);
	report("SuccessfulAttachVolume", "", "", STAMP("04"), 60);
	assert_mark(COLDSTART_PREPARED, 5);
	assert_int_equal(start->ranks[COLDSTART_PREPARED], COLDSTART_HINT);
	report("SuccessfulMountVolume", "", "", STAMP("04"), 60);
	assert_mark(COLDSTART_PREPARED, 4);
}

static void what_is_in_its_way_is_told(void **state)
{
	(void)state;
	report("FailedMount", "no such volume", "", "'type': 'Warning', " STAMP("03"), 60);
	assert_string_equal(start->why, "FailedMount: no such volume");
	report("Pulling", "", OURS, STAMP("04"), 60);
	assert_string_equal(start->why, "FailedMount: no such volume");
}

/* --- a pod's own word ------------------------------------------------------------------------ */

static void a_pod_with_init_containers_is_prepared_when_they_end(void **state)
{
	(void)state;
	struct kube_times t;
	const char *format =
		"{'metadata': {'creationTimestamp': '2026-01-01T00:00:01Z'}, 'spec': {'nodeName': "
		"'gpu-1', 'containers': [{'name': 'proxy'}, {'name': 'sd', 'ports': "
		"[{'containerPort': 7860}]}]}, 'status': {'conditions': [{'type': 'Initialized', "
		"'status': '%s', 'lastTransitionTime': '2026-01-01T00:00:40Z'}, {'type': "
		"'PodReadyToStartContainers', 'status': 'True', 'lastTransitionTime': "
		"'2026-01-01T00:00:04Z'}], 'initContainerStatuses': [{'state': {'terminated': "
		"{'finishedAt': '2026-01-01T00:00:05Z'}}}, {'state': {'terminated': {'finishedAt': "
		"'2026-01-01T00:00:07Z'}}}], 'containerStatuses': [{'name': 'proxy', 'state': "
		"{'running': {'startedAt': '2026-01-01T00:00:08Z'}}}, {'name': 'sd', "
		"'restartCount': 0, 'state': {'running': {'startedAt': "
		"'2026-01-01T00:00:09Z'}}}]}}";
	assert_true(kube_times_read(parse(format, "False"), 7860, &t));
	assert_string_equal(t.container, "sd");
	kube_start_set_pod(start, &t, heard_at(60));
	assert_unknown(COLDSTART_PREPARED);
	assert_true(kube_times_read(parse(format, "True"), 7860, &t));
	kube_start_set_pod(start, &t, heard_at(60));
	assert_mark(COLDSTART_CREATED, 1);
	assert_mark(COLDSTART_PREPARED, 7);
	assert_mark(COLDSTART_STARTED, 9);
	assert_string_equal(start->node, "gpu-1");
	assert_true(kube_times_read(parse(format, "True"), 0, &t));
	assert_string_equal(t.container, "proxy");
}

static void whatever_a_pod_says_is_read(void **state)
{
	(void)state;
	static const char *const strange[] = {
		"{}",
		"{'metadata': 7, 'spec': [], 'status': ''}",
		"{'spec': {'containers': {}}, 'status': {'conditions': {}, 'containerStatuses': "
		"7}}",
		"{'spec': {'containers': [7, null]}, 'status': {'conditions': [7, {'type': "
		"'Ready'}]}}",
	};
	struct kube_times t;
	for (size_t i = 0; i < sizeof(strange) / sizeof(*strange); i++) {
		assert_true(kube_times_read(parse("%s", strange[i]), 80, &t));
		kube_start_set_pod(start, &t, heard_at(0));
		for (int mark = 0; mark < COLDSTART_MARKS; mark++)
			assert_unknown((enum coldstart_mark)mark);
	}
	assert_false(kube_times_read(parse("7"), 80, &t));
}

/* --- a service's pods ------------------------------------------------------------------------ */

static void ignore_pod(void *arg, struct pod *p, enum pod_state from)
{
	(void)arg, (void)p, (void)from;
}

static void ignore_freed(void *arg, struct pod *p)
{
	(void)arg, (void)p;
}

static struct service *service;
static struct service_config config;
static struct kube_fleet fleet;
static struct kube_starts followed;
static struct loop *loop;

static int set_up_fleet(void **state)
{
	static const struct service_observer observer = {.pod_moved = ignore_pod,
							 .pod_freed = ignore_freed};
	(void)state;
	config_service_defaults(&config);
	loop = loop_new();
	service = service_new(&config, true, &observer, NULL, 0);
	kube_fleet_init(&fleet, service, "test");
	fleet.target_port = 7860;
	return loop && service && kube_starts_init(&followed, loop, NULL, &fleet) ? 0 : -1;
}

static int tear_down_fleet(void **state)
{
	(void)state;
	kube_starts_release(&followed);
	memset(&followed, 0, sizeof(followed));
	kube_fleet_release(&fleet);
	service_free(service);
	config_service_release(&config);
	loop_free(loop);
	json_free(json);
	json = NULL;
	return 0;
}

static struct coldstart *by_uid(const char *uid)
{
	return coldstarts_by_key(service_coldstarts(service), uid);
}

/* As the provider does it. */
static struct coldstart *pod_is(const char *uid, const char *status)
{
	const struct json *j =
		parse("{'metadata': {'name': 'p-%s', 'uid': '%s', 'resourceVersion': "
		      "'1', 'creationTimestamp': '2026-01-01T00:00:01Z'}, 'spec': "
		      "{'containers': [{'name': 'sd'}]}, 'status': {%s}}",
		      uid, uid, status);
	bool is_new = !kube_fleet_knows(&fleet, j);
	kube_fleet_put_pod(&fleet, j);
	kube_starts_pod(&followed, j, is_new, true);
	return by_uid(uid);
}

static void event_is(const char *uid, const char *reason)
{
	followed.events.watch.sink->put(
		&followed, parse("{'involvedObject': {'kind': 'Pod', 'uid': '%s'}, 'reason': '%s', "
				 "'message': '', " STAMP("05") "}",
				 uid, reason));
}

static void only_what_comes_up_is_followed(void **state)
{
	(void)state;
	assert_non_null(pod_is("young", "'phase': 'Pending'"));
	assert_null(pod_is("ready", "'conditions': [{'type': 'Ready', 'status': 'True'}]"));
	assert_null(pod_is("ended", "'phase': 'Failed'"));
	assert_null(
		pod_is("restarted", "'containerStatuses': [{'name': 'sd', 'restartCount': 2}]"));
	/* It had been ready: its condition has changed since its container began. */
	assert_null(pod_is("flapping",
			   "'conditions': [{'type': 'Ready', 'status': 'False', "
			   "'lastTransitionTime': '2026-01-01T05:00:00Z'}], 'containerStatuses': "
			   "[{'name': 'sd', 'state': {'running': {'startedAt': "
			   "'2026-01-01T00:00:00Z'}}}]"));
	/* One that was ready is no new start when it is not. */
	assert_null(pod_is("ready", "'conditions': [{'type': 'Ready', 'status': 'False'}]"));
}

static void events_may_come_before_their_pod(void **state)
{
	(void)state;
	event_is("u", "Scheduled");
	event_is("u", "TriggeredScaleUp");
	event_is("other", "Pulled");
	const struct coldstart *c = pod_is("u", "'phase': 'Pending'");
	assert_true(c->at_us[COLDSTART_SCHEDULED] != COLDSTART_UNKNOWN);
	assert_true(c->at_us[COLDSTART_TRIGGERED] != COLDSTART_UNKNOWN);
	assert_true(c->at_us[COLDSTART_PULLED] == COLDSTART_UNKNOWN);
	event_is("u", "Pulled");
	assert_true(c->at_us[COLDSTART_PULLED] != COLDSTART_UNKNOWN);
}

static void of_many_events_the_last_are_kept(void **state)
{
	(void)state;
	char uid[16];
	for (int i = 0; i <= KUBE_REPORTS_KEPT; i++) {
		snprintf(uid, sizeof(uid), "u-%d", i);
		event_is(uid, "Scheduled");
	}
	assert_true(pod_is("u-0", "'x': 0")->at_us[COLDSTART_SCHEDULED] == COLDSTART_UNKNOWN);
	assert_true(pod_is("u-1", "'x': 0")->at_us[COLDSTART_SCHEDULED] != COLDSTART_UNKNOWN);
}

static void one_that_is_deleted_has_ended(void **state)
{
	(void)state;
	assert_non_null(pod_is("u", "'phase': 'Pending'"));
	kube_fleet_gone_pod(&fleet,
			    parse("{'metadata': {'name': 'p-u', 'uid': 'u', 'deletionTimestamp': "
				  "'2026-01-01T00:00:09Z'}}"),
			    0);
	assert_null(by_uid("u"));
	const struct coldstart *c = coldstarts_before(service_coldstarts(service), UINT64_MAX);
	assert_true(c->is_gone && c->state == COLDSTART_ENDED);
	assert_non_null(pod_is("v", "'phase': 'Pending'"));
	pod_is("v", "'phase': 'Failed'");
	kube_fleet_settle(&fleet, 0);
	assert_null(by_uid("v"));
}

#define CASE(name)  cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define FLEET(name) cmocka_unit_test_setup_teardown(name, set_up_fleet, tear_down_fleet)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(times_are_read),
		CASE(a_stamp_is_as_fine_as_when_it_was_heard),
		CASE(an_event_without_a_time_is_none),
		CASE(who_asks_for_a_node),
		CASE(only_its_own_container_counts),
		CASE(sizes_that_are_none),
		CASE(the_last_volume_counts),
		CASE(what_is_in_its_way_is_told),
		CASE(a_pod_with_init_containers_is_prepared_when_they_end),
		CASE(whatever_a_pod_says_is_read),
		FLEET(only_what_comes_up_is_followed),
		FLEET(events_may_come_before_their_pod),
		FLEET(of_many_events_the_last_are_kept),
		FLEET(one_that_is_deleted_has_ended),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
