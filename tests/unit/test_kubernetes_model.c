/* What the Kubernetes API says, as structs; slices joined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "activator/providers/kubernetes_client.h"
#include "activator/providers/kubernetes_election.h"
#include "activator/providers/kubernetes_slices.h"
#include "activator/providers/kubernetes_times.h"

static struct json *json;

/* Single quotes stand for double ones. The document is the next one's to free. */
static const struct json *parse(const char *text)
{
	struct str s;
	struct json_error error;
	json_free(json);
	json = NULL;
	str_init(&s);
	str_add_text(&s, text);
	assert_false(s.failed);
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] == '\'')
			s.at[i] = '"';
	json = json_parse(s.at, s.len, &error);
	if (!json)
		fail_msg("%s in %s", error.message, s.at);
	str_release(&s);
	return json;
}

static int tear_down(void **state)
{
	(void)state;
	json_free(json);
	json = NULL;
	return 0;
}

#define META(name, uid) "'metadata': {'name': '" name "', 'uid': '" uid "', 'resourceVersion': '5'}"

/* Whole or not at all: half of a pod's labels would select another one. */
static void reads_labels(void **state)
{
	(void)state;
	struct kube_pod p;
	struct kube_service s;
	static const struct {
		const char *labels, *text;
	} cases[] = {
		{"{'app': 'sd', 'example.com/tier': 'gpu', 'none': ''}",
		 "app=sd,example.com/tier=gpu,none="},
		{"{}", ""},
		{"[]", ""},
		{"{'app': 'sd', 'strange': 'a,b=c'}", ""},
		{"{'app': 'sd', 'number': 5}", ""},
		{"{'': 'sd'}", ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[256];
		snprintf(text, sizeof(text),
			 "{'metadata': {'name': 'a', 'uid': 'u', 'labels': %s}}", cases[i].labels);
		assert_true(kube_pod_read(parse(text), &p));
		assert_string_equal(p.labels, cases[i].text);
		assert_true(kube_service_read(parse(text), &s));
		assert_string_equal(s.labels, cases[i].text);
	}
	char large[KUBE_LABELS_BYTES + 200];
	snprintf(large, sizeof(large),
		 "{'metadata': {'name': 'a', 'uid': 'u', 'labels': {'app': 'sd', 'x': '%0*d'}}}",
		 KUBE_LABELS_BYTES, 1);
	assert_true(kube_pod_read(parse(large), &p));
	assert_string_equal(p.labels, "");
}

static void reads_a_pod(void **state)
{
	(void)state;
	struct kube_pod p;
	assert_true(kube_pod_read(
		parse("{" META("a", "u") ", 'spec': {'containers': [{'ports': [{'name': 'web',"
					 "'containerPort': 7860}, {'containerPort': 99999}]}]}, "
					 "'status': {'phase': "
					 "'Running', 'podIP': '10.0.0.1', 'conditions': [{'type': "
					 "'Ready', 'status': "
					 "'True'}]}}"),
		&p));
	assert_string_equal(p.address, "10.0.0.1");
	assert_true(p.is_ready);
	assert_false(p.has_ended);
	assert_int_equal(p.trouble, KUBE_NO_TROUBLE);
	assert_int_equal(p.port_count, 1);
	struct kube_service_port by_name = {.target_name = "web"}, by_number = {.target = 80};
	assert_int_equal(kube_pod_port(&p, &by_name), 7860);
	assert_int_equal(kube_pod_port(&p, &by_number), 80);
	assert_false(kube_pod_read(parse("{'metadata': {'name': 'a'}}"), &p));
	assert_false(kube_pod_read(parse("{'metadata': {'name': '../../x', 'uid': 'u'}}"), &p));
	assert_false(kube_pod_read(parse("[]"), &p));
	assert_true(
		kube_pod_read(parse("{" META("a", "u") ", 'status': {'podIP': '0.0.0.0'}}"), &p));
	assert_string_equal(p.address, "");
}

/* An init container that is restarted for ever goes on beside the others: its ports are the pod's,
 * and its start is the end of the beginning. */
static void reads_a_sidecar(void **state)
{
	(void)state;
	struct kube_pod p;
	struct kube_times t;
	const char *text =
		"{'metadata': {'name': 'a', 'uid': 'u'}, 'spec': {'initContainers': ["
		"{'name': 'init', 'ports': [{'name': 'old', 'containerPort': 1}]}, {'name': "
		"'proxy', "
		"'restartPolicy': 'Always', 'ports': [{'name': 'http', 'containerPort': 8000}]}], "
		"'containers': [{'name': 'webui', 'ports': [{'name': 'own', 'containerPort': "
		"7860}]}]}, "
		"'status': {'conditions': [{'type': 'Initialized', 'status': 'True', "
		"'lastTransitionTime': '2026-01-01T00:00:09Z'}], 'initContainerStatuses': ["
		"{'name': 'init', 'state': {'terminated': {'finishedAt': "
		"'2026-01-01T00:00:03Z'}}}, "
		"{'name': 'proxy', 'state': {'running': {'startedAt': '2026-01-01T00:00:05Z'}}}], "
		"'containerStatuses': [{'name': 'webui', 'state': {'running': "
		"{'startedAt': '2026-01-01T00:00:08Z'}}}]}}";
	struct kube_service_port http = {.target_name = "http"}, old = {.target_name = "old"};
	assert_true(kube_pod_read(parse(text), &p));
	assert_int_equal(kube_pod_port(&p, &http), 8000);
	assert_int_equal(kube_pod_port(&p, &old), 0);
	assert_true(kube_times_read(parse(text), 8000, &t));
	assert_string_equal(t.container, "proxy");
	assert_int_equal(t.initialized.at_us % (60 * 1000000), 5 * 1000000);
	assert_int_equal(t.started.at_us, t.initialized.at_us);
	assert_true(kube_times_read(parse(text), 7860, &t));
	assert_string_equal(t.container, "webui");
}

static void reads_in_which_order_pods_are_taken(void **state)
{
	(void)state;
	static const struct {
		const char *pod;
		enum kube_rank rank;
		bool is_cheap;
	} cases[] = {
		{"{" META("a", "u") ", 'status': {'phase': 'Running'}}", KUBE_UNASSIGNED, false},
		{"{" META("a", "u") ", 'spec': {'nodeName': 'n'}}", KUBE_PENDING, false},
		{"{" META("a", "u") ", 'spec': {'nodeName': 'n'}, 'status': {'phase': 'Running'}}",
		 KUBE_UNREADY, false},
		{"{'metadata': {'name': 'a', 'uid': 'u', 'annotations': {'" KUBE_COST
		 "': '-1000'}}, 'spec': {'nodeName': 'n'}, 'status': {'phase': 'Running', "
		 "'conditions': [{'type': 'Ready', 'status': 'True'}]}}",
		 KUBE_READY, true},
		{"{'metadata': {'name': 'a', 'uid': 'u', 'annotations': {'" KUBE_COST
		 "': '-5'}}}", /* somebody else's */
		 KUBE_UNASSIGNED, false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct kube_pod p;
		assert_true(kube_pod_read(parse(cases[i].pod), &p));
		assert_int_equal(p.rank, cases[i].rank);
		assert_int_equal(p.is_cheap, cases[i].is_cheap);
	}
}

static void reads_both_addresses_in_one_spelling(void **state)
{
	(void)state;
	struct kube_pod p;
	assert_true(kube_pod_read(
		parse("{" META("a", "u") ", 'status': {'podIP': 'FD00:0:0::0a', "
					 "'podIPs': [{'ip': 'fd00::a'}, {'ip': '10.0.0.1'}]}}"),
		&p));
	assert_string_equal(p.address, "fd00::a");
	assert_string_equal(p.other, "10.0.0.1");
	assert_true(kube_pod_read(
		parse("{" META("a",
			       "u") ", 'status': {'podIP': '10.0.0.1', "
				    "'podIPs': [{'ip': '10.0.0.1'}, {'ip': '10.0.0.2'}, {}]}}"),
		&p));
	assert_string_equal(p.other, "");
	assert_true(kube_pod_read(parse("{" META("a", "u") ", 'status': {'podIPs': [{'ip': "
							   "'10.0.0.1'}]}}"),
				  &p));
	assert_string_equal(p.address, "");
	assert_string_equal(p.other, "");
}

static void reads_why_a_pod_does_not_come_up(void **state)
{
	(void)state;
	static const struct {
		const char *status, *why;
		enum kube_trouble trouble;
	} cases[] = {
		{"'conditions': [{'type': 'PodScheduled', 'status': 'False', 'reason': "
		 "'Unschedulable', 'message': 'no\\nGPU'}]",
		 "Unschedulable: no GPU", KUBE_UNSCHEDULABLE},
		{"'conditions': [{'type': 'PodScheduled', 'status': 'False', 'reason': "
		 "'SchedulingGated'}]",
		 "", KUBE_NO_TROUBLE},
		{"'initContainerStatuses': [{'state': {'waiting': {'reason': "
		 "'ImagePullBackOff'}}}]",
		 "ImagePullBackOff", KUBE_IMAGE},
		{"'containerStatuses': [{'state': {'waiting': {'reason': 'ErrImagePull'}}}]", "",
		 KUBE_NO_TROUBLE},
		{"'containerStatuses': [{'state': {'waiting': {'reason': "
		 "'CreateContainerConfigError'}}}, {'state': {'waiting': {'reason': "
		 "'CrashLoopBackOff', 'message': 'back-off 10s'}}}]",
		 "CrashLoopBackOff: back-off 10s", KUBE_CRASH},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct kube_pod p;
		char text[1024];
		snprintf(text, sizeof(text), "{" META("a", "u") ", 'status': {%s}}",
			 cases[i].status);
		assert_true(kube_pod_read(parse(text), &p));
		assert_int_equal(p.trouble, cases[i].trouble);
		assert_string_equal(p.why, cases[i].why);
	}
}

static void reads_a_service(void **state)
{
	(void)state;
	struct kube_service s;
	assert_true(kube_service_read(
		parse("{" META(
			"sd",
			"u") ", 'spec': {'selector': {'app': 'sd', 'a.b/c': 'd_e'},"
			     "'ipFamilies': ['IPv6', 'IPv4'], 'ports': [{'name': 'web', 'port': 80,"
			     "'targetPort': 'http'}, {'name': 'admin', 'port': 90}]}}"),
		&s));
	assert_string_equal(s.selector, "app=sd,a.b/c=d_e");
	assert_true(s.is_ipv6);
	assert_string_equal(kube_service_port(&s, "")->target_name, "http");
	assert_int_equal(kube_service_port(&s, "admin")->target, 90);
	assert_null(kube_service_port(&s, "none"));
	assert_false(kube_service_read(
		parse("{" META("sd", "u") ", 'spec': {'selector': {'app': 'x&limit=1'}}}"), &s));
	assert_true(kube_service_read(parse("{" META("sd", "u") "}"), &s));
	assert_string_equal(s.selector, "");
}

/* --- slices ---------------------------------------------------------------------------------- */

#define SLICE_OF(name, type, port, endpoints)                                                      \
	"{" META(name, "s") ", 'addressType': '" type                                              \
			    "', 'ports': [{'name': 'http', 'port': " port                          \
			    "}], 'endpoints': [" endpoints "]}"
#define ENDPOINT(address, uid, conditions)                                                         \
	"{'addresses': ['" address "'], 'conditions': {" conditions "}, 'targetRef': {'kind': "    \
	"'Pod', 'name': 'p-" uid "', 'uid': '" uid "'}}"

static void put(struct kube_slices *s, const char *text)
{
	struct kube_slice slice;
	assert_true(kube_slice_read(parse(text), &slice));
	assert_true(kube_slices_put(s, &slice));
}

static void conditions_that_are_not_said_have_the_apis_meaning(void **state)
{
	(void)state;
	static const struct {
		const char *said;
		bool ready, serving, terminating;
	} cases[] = {
		{"", true, true, false},
		{"'ready': null, 'serving': null, 'terminating': null", true, true, false},
		{"'ready': false", false, false, false},
		{"'ready': false, 'serving': true, 'terminating': true", false, true, true},
		{"'ready': true, 'serving': false", true, false, false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct kube_slice s;
		char text[1024];
		snprintf(text, sizeof(text),
			 SLICE_OF("a", "IPv4", "1", ENDPOINT("10.0.0.1", "u", "%s")),
			 cases[i].said);
		assert_true(kube_slice_read(parse(text), &s));
		assert_int_equal(s.endpoints[0].is_ready, cases[i].ready);
		assert_int_equal(s.endpoints[0].is_serving, cases[i].serving);
		assert_int_equal(s.endpoints[0].is_terminating, cases[i].terminating);
		kube_slice_release(&s);
	}
	struct kube_slice s;
	assert_false(kube_slice_read(parse("{" META("a", "u") ", 'addressType': 'FQDN'}"), &s));
	assert_true(
		kube_slice_read(parse("{" META("a", "u") ", 'addressType': 'IPv4', 'endpoints': "
							 "null, 'ports': null}"),
				&s));
	assert_int_equal(s.endpoint_count, 0);
	kube_slice_release(&s);
}

static void slices_are_joined(void **state)
{
	(void)state;
	struct kube_slices s;
	struct kube_endpoints e;
	kube_slices_init(&s);
	put(&s, SLICE_OF("v6", "IPv6", "7860", ENDPOINT("fd00::1", "b", "")));
	put(&s, SLICE_OF("v4", "IPv4", "7860",
			 ENDPOINT("10.0.0.2", "b", "'ready': false") "," ENDPOINT("10.0.0.1", "a",
										  "")));
	put(&s, SLICE_OF("moved", "IPv4", "7860",
			 ENDPOINT("10.0.0.1", "a", "'ready': false, 'terminating': true")));
	assert_true(kube_slices_join(&s, "", false, &e));
	assert_int_equal(e.count, 2);
	assert_true(kube_endpoints_find(&e, "a") && kube_endpoints_find(&e, "b"));
	const struct kube_endpoint *a = kube_endpoints_find(&e, "a"),
				   *b = kube_endpoints_find(&e, "b");
	assert_string_equal(a->address, "10.0.0.1");
	assert_true(a->is_terminating);
	assert_string_equal(b->address, "10.0.0.2");
	assert_true(b->is_ready);
	assert_int_equal(b->port, 7860);
	assert_null(kube_endpoints_find(&e, "c"));
	kube_endpoints_release(&e);
	assert_true(kube_slices_join(&s, "http", true, &e));
	assert_string_equal(kube_endpoints_find(&e, "b")->address, "fd00::1");
	assert_string_equal(kube_endpoints_find(&e, "a")->address, "10.0.0.1");
	kube_endpoints_release(&e);
	assert_true(kube_slices_join(&s, "other", false, &e));
	assert_int_equal(kube_endpoints_find(&e, "a")->port, 0);
	kube_endpoints_release(&e);
	/* One that takes the place of another, one that goes, and those that a list does not
	 * name. */
	put(&s, SLICE_OF("moved", "IPv4", "1", ""));
	kube_slices_remove(&s, "v6");
	kube_slices_mark(&s);
	put(&s, SLICE_OF("new", "IPv4", "1", ENDPOINT("10.0.0.9", "n", "")));
	kube_slices_sweep(&s);
	assert_true(kube_slices_join(&s, "", false, &e));
	assert_int_equal(e.count, 1);
	assert_string_equal(e.at[0].uid, "n");
	kube_endpoints_release(&e);
	kube_slices_release(&s);
}

static void slices_are_bounded(void **state)
{
	(void)state;
	struct kube_slices s;
	kube_slices_init(&s);
	for (int i = 0; i < 102; i++) {
		struct kube_slice slice = {.endpoint_count = KUBE_ENDPOINTS_MAX};
		snprintf(slice.meta.name, sizeof(slice.meta.name), "s-%d", i % 101);
		bool fits = i < KUBE_SLICES_ENDPOINTS_MAX / KUBE_ENDPOINTS_MAX;
		assert_int_equal(kube_slices_put(&s, &slice),
				 fits || i == 101); /* s-0, once more */
	}
	assert_int_equal(s.endpoints, KUBE_SLICES_ENDPOINTS_MAX);
	kube_slices_remove(&s, "s-1");
	assert_int_equal(s.endpoints, KUBE_SLICES_ENDPOINTS_MAX - KUBE_ENDPOINTS_MAX);
	kube_slices_release(&s);
	assert_int_equal(s.endpoints, 0);
}

static void what_is_no_pod_is_known_by_its_address(void **state)
{
	(void)state;
	struct kube_slice s;
	assert_true(kube_slice_read(parse(SLICE_OF("a", "IPv4", "1",
						   "{'addresses': ['10.0.0.7']},"
						   "{'addresses': ['evil.example.com']},"
						   "{'addresses': []}")),
				    &s));
	assert_int_equal(s.endpoint_count, 1);
	assert_string_equal(s.endpoints[0].uid, "10.0.0.7");
	kube_slice_release(&s);
}

/* --- the rest -------------------------------------------------------------------------------- */

static void reads_scales_lists_events_and_faults(void **state)
{
	(void)state;
	struct kube_scale scale;
	struct kube_list list;
	struct kube_event event;
	struct kube_status status;
	char why[KUBE_TEXT_BYTES];
	assert_true(kube_scale_read(parse("{'kind': 'Scale', " META("sd", "u") ", 'spec': {}}"),
				    &scale));
	assert_int_equal(scale.wanted, 0); /* the API leaves zero out */
	assert_false(kube_scale_read(parse("{'kind': 'Status', " META("sd", "u") "}"), &scale));
	assert_true(kube_list_read(
		parse("{'metadata': {'resourceVersion': '7', 'continue': 'x'}, 'items': [{}]}"),
		&list));
	assert_string_equal(list.next, "x");
	assert_int_equal(json_count(list.items), 1);
	assert_false(kube_list_read(parse("{'metadata': {}, 'items': []}"), &list));
	assert_true(kube_event_read(parse("{'type': 'MODIFIED', 'object': {" META("a", "u") "}}"),
				    &event));
	assert_int_equal(event.kind, KUBE_ADDED);
	assert_string_equal(event.version, "5");
	assert_false(kube_event_read(parse("{'type': 'ADDED', 'object': {}}"), &event));
	assert_false(
		kube_event_read(parse("{'type': 'NEWS', 'object': {" META("a", "u") "}}"), &event));
	assert_true(kube_status_read(parse("{'kind': 'Status', 'code': 410, 'message': 'too old'}"),
				     &status));
	assert_int_equal(status.code, 410);
	assert_true(kube_workload_trouble(
		parse("{'status': {'conditions': [{'type': 'ReplicaFailure', 'status': 'True', "
		      "'message': 'exceeded quota'}]}}"),
		why));
	assert_string_equal(why, "exceeded quota");
	assert_false(kube_workload_trouble(parse("{}"), why));
}

static void reads_why_pods_are_not_created_from_events(void **state)
{
	(void)state;
	static const char events[] =
		"{'items': [{'message': 'old', 'lastTimestamp': '2026-01-01T00:00:09Z', "
		"'metadata': "
		"{'resourceVersion': '1'}}, {'message': 'last', 'lastTimestamp': null, "
		"'eventTime': "
		"'2026-01-01T00:00:12.000000Z', 'metadata': {'resourceVersion': '2'}}, {'message': "
		"'first', 'lastTimestamp': '2026-01-01T00:00:11Z', 'metadata': {'resourceVersion': "
		"'3'}}, {'message': 'never', 'metadata': {'resourceVersion': '4'}}, "
		"{'lastTimestamp': '2027-01-01T00:00:00Z'}]}";
	char version[KUBE_VERSION_BYTES], why[KUBE_TEXT_BYTES];
	assert_true(kube_events_last(parse(events), version, why));
	assert_string_equal(version, "2");
	assert_string_equal(why, "last");
	assert_false(kube_events_last(parse("{'items': 1}"), version, why));
}

static void a_lease_is_over_by_our_own_clock(void **state)
{
	(void)state;
	static const char text[] =
		"{'kind': 'Lease', 'metadata': {'name': 'l', 'resourceVersion': '%d', "
		"'annotations': {'demand.slotgate.io/two': '%d x', 'demand.slotgate.io/one': '9 "
		"1', "
		"'other': '5'}}, 'spec': {'holderIdentity': '%s', 'leaseDurationSeconds': 10, "
		"'renewTime': '%d'}}";
	struct kube_election e = {.identity = "one", .duration_us = 10000000};
	struct kube_lease l;
	char now[512];
	snprintf(now, sizeof(now), text, 1, 4, "two", 1);
	assert_true(kube_lease_read(parse(now), &l));
	assert_false(kube_election_read(&e, &l, 1000000));
	assert_int_equal(e.other_count, 1);
	assert_int_equal(e.others[0].pods, 4);
	assert_false(kube_election_read(&e, &l, 10999999));
	assert_true(kube_election_read(&e, &l, 11000000)); /* unchanged for all its time */
	snprintf(now, sizeof(now), text, 2, -4, "two", 2);
	assert_true(kube_lease_read(parse(now), &l));
	assert_false(kube_election_read(&e, &l, 11000001));
	assert_int_equal(e.others[0].pods, 0);
	snprintf(now, sizeof(now), text, 3, 4, "one", 3);
	assert_true(kube_lease_read(parse(now), &l));
	assert_true(kube_election_read(&e, &l, 11000002)); /* our own */
	snprintf(now, sizeof(now), text, 3, 4, "", 3);
	assert_true(kube_lease_read(parse(now), &l));
	assert_true(kube_election_read(&e, &l, 11000003)); /* given back */
}

static const struct kube_lease *lease(const char *uid, const char *demand)
{
	static struct kube_lease l;
	char text[512];
	snprintf(text, sizeof(text),
		 "{'kind': 'Lease', 'metadata': {'name': 'l', 'uid': '%s', 'resourceVersion': "
		 "'1', 'annotations': {%s}}, 'spec': {'holderIdentity': 'one'}}",
		 uid, demand);
	assert_true(kube_lease_read(parse(text), &l));
	return &l;
}

static void a_lease_made_anew_forgets_nobody(void **state)
{
	(void)state;
	static const char two[] = "'demand.slotgate.io/two': '4 x'";
	struct kube_election e = {.identity = "one", .duration_us = 10000000};
	kube_election_read(&e, lease("a", two), 1);
	assert_int_equal(e.other_count, 1);
	kube_election_read(&e, lease("b", ""), 2);
	kube_election_read(&e, lease("b", ""), 19999999);
	assert_int_equal(e.other_count, 1);
	assert_int_equal(e.others[0].pods, 4);
	kube_election_read(&e, lease("b", two), 19999999);
	assert_int_equal(e.other_count, 1);
	kube_election_read(&e, lease("b", ""), 20000000); /* it has left */
	assert_int_equal(e.other_count, 0);
	kube_election_read(&e, lease("b", two), 20000001);
	kube_election_read(&e, lease("c", ""), 20000002);
	kube_election_read(&e, lease("c", ""), 40000001); /* it would have spoken by now */
	assert_int_equal(e.other_count, 0);
}

static void a_gateway_of_our_name_makes_us_take_another(void **state)
{
	(void)state;
	static const char text[] =
		"{'kind': 'Lease', 'metadata': {'name': 'l', 'resourceVersion': '1', "
		"'annotations': {'demand.slotgate.io/one': '%s'}}, 'spec': {'holderIdentity': "
		"'one', 'leaseDurationSeconds': 10, 'renewTime': 'now'}}";
	struct kube_election e = {.identity = "one",
				  .label = "sd",
				  .nonce = "00000001",
				  .is_holder = true,
				  .duration_us = 10000000};
	struct kube_lease l;
	char now[512];
	snprintf(now, sizeof(now), text, "2 7 00000002");
	assert_true(kube_lease_read(parse(now), &l));
	assert_true(kube_election_read(&e, &l, 1)); /* that was the one before us */
	e.published_us = 1;
	snprintf(now, sizeof(now), text, "2 8 00000001");
	assert_true(kube_lease_read(parse(now), &l));
	assert_true(kube_election_read(&e, &l, 2));
	assert_string_equal(e.identity, "one");
	snprintf(now, sizeof(now), text, "2 7"); /* of an older release */
	assert_true(kube_lease_read(parse(now), &l));
	assert_true(kube_election_read(&e, &l, 3));
	assert_string_equal(e.identity, "one");
	snprintf(now, sizeof(now), text, "2 8 00000002"); /* said before it ended, and heard late */
	assert_true(kube_lease_read(parse(now), &l));
	assert_true(kube_election_read(&e, &l, 4));
	assert_true(kube_election_read(&e, &l, 5));
	assert_string_equal(e.identity, "one");
	snprintf(now, sizeof(now), text, "2 9 00000002");
	assert_true(kube_lease_read(parse(now), &l));
	assert_false(kube_election_read(&e, &l, 6));
	assert_string_equal(e.identity, "one-00000001");
	assert_false(e.is_holder);
	assert_int_equal(e.other_count, 1);
	assert_int_equal(e.others[0].pods, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(reads_labels),
		TEST(reads_a_pod),
		TEST(reads_a_sidecar),
		TEST(reads_in_which_order_pods_are_taken),
		TEST(reads_both_addresses_in_one_spelling),
		TEST(slices_are_bounded),
		TEST(reads_why_a_pod_does_not_come_up),
		TEST(reads_a_service),
		TEST(conditions_that_are_not_said_have_the_apis_meaning),
		TEST(slices_are_joined),
		TEST(what_is_no_pod_is_known_by_its_address),
		TEST(reads_scales_lists_events_and_faults),
		TEST(reads_why_pods_are_not_created_from_events),
		TEST(a_lease_is_over_by_our_own_clock),
		TEST(a_lease_made_anew_forgets_nobody),
		TEST(a_gateway_of_our_name_makes_us_take_another),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
