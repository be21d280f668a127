/* The pods of a Kubernetes service before a real ledger. */
#include "tests/unit/kube_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tests/unit/deaf_observer.h"

struct service *service;
struct service_config config;
struct kube_fleet fleet;
struct ticket ticket;
uint64_t grant;
int64_t now_us;

void say(void (*what)(struct kube_fleet *, const struct json *), const char *format, ...)
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

void pod_is(const char *name, const char *address, bool ready, const char *more)
{
	say(kube_fleet_put_pod,
	    "{'metadata': {'name': '%s', 'uid': 'u-%s', 'resourceVersion': '1'}, 'status': "
	    "{'podIP': "
	    "'%s', 'phase': 'Running', 'conditions': [{'type': 'Ready', 'status': '%s'}]%s}}",
	    name, name, address, ready ? "True" : "False", more);
}

void pod_goes(const char *name, bool deleted)
{
	say(gone,
	    "{'metadata': {'name': '%s', 'uid': 'u-%s', 'resourceVersion': '2'%s}, 'status': {}}",
	    name, name, deleted ? ", 'deletionTimestamp': '2026-01-01T00:00:00Z'" : "");
}

void slice_says(const char *name, const char *address, const char *conditions)
{
	say(kube_fleet_put_slice,
	    "{'metadata': {'name': 's-%s'}, 'addressType': 'IPv4', 'ports': [{'name': 'http', "
	    "'port': "
	    "7860}], 'endpoints': [{'addresses': ['%s'], 'conditions': {%s}, 'targetRef': {'kind': "
	    "'Pod', 'name': '%s', 'uid': 'u-%s'}}]}",
	    name, address, conditions, name, name);
}

void settle(void)
{
	kube_fleet_settle(&fleet, now_us);
}

void drain(void)
{
	struct decision d;
	while (service_next(service, now_us, &d)) {
		if (d.kind == DECIDE_PROBE || d.kind == DECIDE_CHECK_IDLE)
			service_pod_answered(service, d.pod, d.question, ANSWER_YES, now_us);
		if (d.kind == DECIDE_GRANT)
			grant = d.grant;
	}
}

void let_pods_answer(void)
{
	now_us += US_PER_S;
	service_tick(service, now_us);
	drain();
}

void start_job(void)
{
	ticket_init(&ticket, TICKET_SLOT);
	grant = 0;
	assert_true(service_admit(service, &ticket, now_us));
	service_enqueue(service, &ticket, now_us);
	drain();
	assert_int_not_equal(grant, 0);
	service_started(service, grant, now_us);
}

struct kube_member *member(const char *name)
{
	char uid[64];
	snprintf(uid, sizeof(uid), "u-%s", name);
	return map_get(&fleet.by_uid, uid);
}

struct kube_member *the(const char *name)
{
	struct kube_member *m = member(name);
	assert_non_null(m);
	return m;
}

enum pod_state state_of(const char *name)
{
	const struct kube_member *m = member(name);
	const struct pod *p = m ? service_pod(service, m->id) : NULL;
	return p ? p->state : POD_STATES;
}

int world_set_up(void **state)
{
	(void)state;
	now_us = 100 * US_PER_S;
	config_service_defaults(&config);
	config.container_concurrency = 1;
	service = service_new(&config, false, &deaf_observer, NULL, now_us);
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

int world_tear_down(void **state)
{
	(void)state;
	service_cancel(service, &ticket, now_us);
	ticket = (struct ticket){0};
	service_free(service);
	kube_fleet_release(&fleet);
	config_service_release(&config);
	return 0;
}
