/* What an API server, or a kubeconfig, may say: the first byte chooses which. */
#include <string.h>

#include "activator/providers/kubernetes_election.h"
#include "activator/providers/kubernetes_fleet.h"
#include "activator/providers/kubernetes_starts.h"
#include "activator/providers/kubernetes_watch.h"
#include "base/json.h"
#include "base/log.h"
#include "base/yaml.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/deaf_observer.h"

enum { NOW_US = 1000000 };

/* --- a stream of events for pods, slices and the service ------------------------------------- */

static void on_listing(void *owner)
{
	struct kube_fleet *f = owner;
	kube_fleet_listing_pods(f);
	kube_slices_mark(&f->slices);
}

/* One sink for all kinds: each object is offered to all readers. */
static void on_put(void *owner, const struct json *object)
{
	struct kube_fleet *f = owner;
	if (json_get(object, "endpoints"))
		kube_fleet_put_slice(f, object);
	else if (json_find(object, "spec.selector"))
		kube_fleet_put_service(f, object);
	else
		kube_fleet_put_pod(f, object);
}

static void on_gone(void *owner, const struct json *object)
{
	struct kube_fleet *f = owner;
	struct kube_meta meta;
	if (kube_meta_read(object, &meta))
		kube_slices_remove(&f->slices, meta.name);
	kube_fleet_gone_pod(f, object, NOW_US);
}

static void on_synced(void *owner)
{
	struct kube_fleet *f = owner;
	kube_fleet_listed_pods(f);
	kube_slices_sweep(&f->slices);
}

static void check_fleet(struct kube_fleet *f)
{
	size_t n = 0;
	kube_fleet_settle(f, NOW_US);
	LIST_EACH(m, &f->members, struct kube_member, link) {
		const struct pod *p = service_pod(f->service, m->id);
		n++;
		FUZZ_CHECK(map_get(&f->by_uid, m->pod.meta.uid) == m, n, 0);
		FUZZ_CHECK(m->state != KUBE_OFFERED || (p && m->port > 0), m->state, m->port);
		FUZZ_CHECK(m->state != KUBE_OFFERED || map_get(&f->by_place, m->where) == m,
			   m->state, m->port); /* nobody else has work at its address */
		FUZZ_CHECK(!p || p->provider_data == m, n, 0);
		FUZZ_CHECK(m->port >= 0 && m->port <= 65535, m->port, 0);
	}
	FUZZ_CHECK(n == f->count, n, f->count);
}

static void play(const char *at, size_t len, bool lists_first)
{
	static const struct kube_sink sink = {on_listing, on_put, on_gone, on_synced};
	struct service_config config;
	struct kube_fleet f;
	struct kube_watch w;
	struct str query;
	struct json_error error;
	config_service_defaults(&config);
	struct service *service = service_new(&config, true, &deaf_observer, NULL, 0);
	kube_fleet_init(&f, service, "fuzz");
	kube_watch_init(&w, &sink, &f, 60, 7);
	str_init(&query);
	size_t n = lists_first ? strnlen(at, len) : 0; /* a NUL parts the list from the events */
	static const char none[] = "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[]}";
	struct json *list = lists_first ? json_parse(at, n, &error)
					: json_parse(none, sizeof(none) - 1, &error);
	FUZZ_CHECK(kube_watch_next(&w, NOW_US, &query) == KUBE_ASK_LIST, 0, 0);
	kube_watch_listed(&w, 200, list, "", NOW_US);
	check_fleet(&f);
	while (len > n && w.state == KUBE_RESTING && w.is_current) {
		size_t piece = 1 + (unsigned char)at[n] % 64;
		if (piece > len - n)
			piece = len - n;
		if (kube_watch_next(&w, NOW_US + INT64_C(3600000000), &query) != KUBE_ASK_WATCH)
			break;
		bool goes_on = true;
		while (len > n && goes_on) {
			if (piece > len - n)
				piece = len - n;
			goes_on = kube_watch_feed(&w, 200, (struct slice){at + n, piece}, NOW_US);
			n += piece;
		}
		FUZZ_CHECK(w.line.len <= KUBE_LINE_BYTES_MAX, w.line.len, 0);
		kube_watch_ended(&w, 200, "", NOW_US);
		check_fleet(&f);
	}
	json_free(list);
	str_release(&query);
	kube_watch_release(&w);
	kube_fleet_release(&f);
	service_free(service);
	config_service_release(&config);
}

/* --- single objects -------------------------------------------------------------------------- */

/* Whatever is said of it, a cold start's marks are in order and its spans add up. */
static void read_start(const struct json *j)
{
	static const struct kube_heard heard = {NOW_US, NOW_US, true};
	struct coldstarts all;
	struct kube_times times;
	struct kube_report report;
	struct coldstart_span span;
	int64_t at_us[COLDSTART_MARKS], end_us = COLDSTART_UNKNOWN;
	coldstarts_init(&all);
	struct coldstart *c = coldstarts_begin(&all, "u", "p", COLDSTART_OF_KUBERNETES, NOW_US);
	if (c && kube_times_read(j, 80, &times))
		kube_start_set_pod(c, &times, heard);
	JSON_EACH(it, json_get(j, "items"))
		if (c && kube_report_read(it, &report))
			kube_start_set_report(c, &report, times.container, heard);
	if (c)
		coldstart_read(c, at_us);
	for (enum coldstart_mark from = COLDSTART_DEMANDED;
	     c && coldstart_next_span(c, at_us, from, &span); from = span.to) {
		FUZZ_CHECK(span.us >= 0 && span.phases, span.us, span.phases);
		FUZZ_CHECK(end_us == COLDSTART_UNKNOWN || span.from_us == end_us, span.from,
			   span.to);
		end_us = span.from_us + span.us;
	}
	coldstarts_release(&all);
}

static void read_objects(const char *at, size_t len)
{
	struct json_error error;
	struct json *j = json_parse(at, len, &error);
	struct kube_scale scale;
	struct kube_lease lease;
	struct kube_status status;
	struct kube_election e = {.identity = "me", .duration_us = 1000};
	char why[KUBE_TEXT_BYTES];
	if (kube_scale_read(j, &scale))
		FUZZ_CHECK(scale.wanted >= 0 && scale.actual >= 0, scale.wanted, scale.actual);
	if (kube_lease_read(j, &lease)) {
		kube_election_read(&e, &lease, NOW_US);
		FUZZ_CHECK(e.other_count <= KUBE_GATEWAYS_MAX, e.other_count, 0);
		for (size_t i = 0; i < e.other_count; i++)
			FUZZ_CHECK(e.others[i].pods >= 0, i, e.others[i].pods);
	}
	read_start(j);
	kube_status_read(j, &status);
	FUZZ_CHECK(strlen(status.message) < sizeof(status.message), 0, 0);
	FUZZ_CHECK(kube_workload_trouble(j, why) == (why[0] != '\0'), why[0], 0);
	char version[KUBE_VERSION_BYTES] = "";
	FUZZ_CHECK(kube_events_last(j, version, why) == (version[0] != '\0'), version[0], 0);
	json_free(j);
}

static void read_yaml(const char *at, size_t len)
{
	struct str json;
	struct yaml_error error;
	struct json_error fault;
	str_init(&json);
	if (yaml_to_json(at, len, &json, &error)) {
		struct json *j = json_parse(json.at, json.len, &fault);
		/* libyaml takes UTF-8 that JSON's strings may not hold: no more than that. */
		FUZZ_CHECK(j || fault.line, fault.line, fault.column);
		json_free(j);
	} else {
		FUZZ_CHECK(error.message != NULL, error.line, 0);
	}
	str_release(&json);
}

int fuzz_kubernetes(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data + 1;
	log_set_level(LOG_ERROR);
	if (!size)
		return 0;
	switch (data[0] % 4) {
	case 0:
		read_objects(at, size - 1);
		break;
	case 1:
		read_yaml(at, size - 1);
		break;
	default:
		play(at, size - 1, data[0] % 4 == 3);
	}
	return 0;
}
