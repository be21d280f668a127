/* Pods that Kubernetes runs. */
#include "activator/providers/kubernetes.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "activator/providers/kubernetes_election.h"
#include "activator/providers/kubernetes_fleet.h"
#include "activator/providers/kubernetes_follow.h"
#include "activator/providers/kubernetes_scaler.h"
#include "activator/providers/kubernetes_starts.h"
#include "activator/providers/kubernetes_why.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { STATUS_NOT_FOUND = 404, STATUS_OK = 200 };

static const int64_t ACCESS_US = 5 * US_PER_S;	/* between two tries to read how to get there */
static const int64_t TICK_US = US_PER_S;	/* what time alone changes */
static const int64_t CONFIRM_US = 5 * US_PER_S; /* between two looks for a pod out of sight */
static const int64_t TELL_US = 30 * US_PER_S;	/* a failure is good for so long */
static const int64_t TIMEOUT_US = 10 * US_PER_S;
static const int64_t EACH_US = 10, CALM_MAX_US = 100 * US_PER_MS; /* see on_changed */

struct kubernetes_provider {
	struct provider base;
	struct provider_host host;
	const struct service_config *config;
	struct kube_client client;
	bool scales, elects; /* as at the start: no reload changes it */
	bool has_access, let_go;
	char access_why[KUBE_WHY_BYTES]; /* "": there is an access */
	struct kube_fleet fleet;
	struct kube_follower services, slices, pods;
	struct kube_starts starts;
	struct kube_scaler scaler;
	struct kube_election election;
	struct timer tick, calm;
	int64_t settled_us;
	struct task settle;
	struct http_exchange *confirming;
	char confirmed_uid[KUBE_UID_BYTES];
	bool has_service;	       /* the API knows it, as far as is known */
	char misnamed[KUBE_WHY_BYTES]; /* see kube_why_misnamed */
	char failure[KUBE_WHY_BYTES];  /* as the ledger was told; "": scaling works */
	int64_t told_us;
	bool was_degraded;
	provider_gone_fn *gone_fn;
	void *gone_owner;
	struct task gone;
};

static struct kubernetes_provider *self_of(struct provider *p)
{
	return (struct kubernetes_provider *)(void *)p;
}

static int64_t now_of(const struct kubernetes_provider *s)
{
	return loop_now_us(s->host.loop);
}

static const struct kubernetes_pods_config *config_of(const struct kubernetes_provider *s)
{
	return &s->config->kubernetes;
}

/* To settle takes longer the more pods there are (a millisecond for a thousand): of many, a storm
 * of events is settled together. */
static void on_changed(void *owner)
{
	struct kubernetes_provider *s = owner;
	int64_t calm_us = (int64_t)s->fleet.count * EACH_US;
	int64_t at_us = s->settled_us + (calm_us < CALM_MAX_US ? calm_us : CALM_MAX_US);
	if (now_of(s) >= at_us)
		loop_defer(s->host.loop, &s->settle);
	else if (!timer_is_set(&s->calm))
		timer_set(&s->calm, at_us);
}

/* --- what is followed ------------------------------------------------------------------------ */

static void nothing(void *owner)
{
	(void)owner;
}

static void listing_service(void *owner)
{
	struct kubernetes_provider *s = owner;
	s->has_service = false;
}

static void put_service(void *owner, const struct json *object)
{
	struct kubernetes_provider *s = owner;
	s->has_service = true;
	kube_fleet_put_service(&s->fleet, object);
}

static void gone_service(void *owner, const struct json *object)
{
	struct kubernetes_provider *s = owner;
	(void)object;
	s->has_service = false;
	log_warn("%s: its Kubernetes service %s has been deleted", s->config->name,
		 config_of(s)->service);
}

static void mark_slices(void *owner)
{
	struct kubernetes_provider *s = owner;
	kube_slices_mark(&s->fleet.slices);
}

static void put_slice(void *owner, const struct json *object)
{
	struct kubernetes_provider *s = owner;
	kube_fleet_put_slice(&s->fleet, object);
}

static void gone_slice(void *owner, const struct json *object)
{
	struct kubernetes_provider *s = owner;
	struct kube_meta meta;
	if (kube_meta_read(object, &meta))
		kube_slices_remove(&s->fleet.slices, meta.name);
}

static void sweep_slices(void *owner)
{
	struct kubernetes_provider *s = owner;
	kube_slices_sweep(&s->fleet.slices);
}

static void mark_pods(void *owner)
{
	struct kubernetes_provider *s = owner;
	kube_fleet_listing_pods(&s->fleet);
}

static void put_pod(void *owner, const struct json *object)
{
	struct kubernetes_provider *s = owner;
	bool is_new = !kube_fleet_knows(&s->fleet, object);
	kube_fleet_put_pod(&s->fleet, object);
	kube_starts_pod(&s->starts, object, is_new, s->pods.watch.state == KUBE_FOLLOWING);
}

static void gone_pod(void *owner, const struct json *object)
{
	struct kubernetes_provider *s = owner;
	kube_fleet_gone_pod(&s->fleet, object, now_of(s));
}

static void sweep_pods(void *owner)
{
	struct kubernetes_provider *s = owner;
	kube_fleet_listed_pods(&s->fleet);
}

static const struct kube_sink service_sink = {listing_service, put_service, gone_service, nothing};
static const struct kube_sink slice_sink = {mark_slices, put_slice, gone_slice, sweep_slices};
static const struct kube_sink pod_sink = {mark_pods, put_pod, gone_pod, sweep_pods};

static void follow(struct kubernetes_provider *s, struct kube_follower *f, const char *prefix,
		   const char *collection, const char *key, const char *value)
{
	struct str path;
	int64_t timeout_s = config_of(s)->watch_us / US_PER_S;
	str_init(&path);
	str_printf(&path, "%s/namespaces/%s/%s?%s=", prefix, s->client.access.name_space.at,
		   collection, key);
	kube_add_encoded(&path, value);
	if (!path.failed)
		kube_follower_start(f, path.at, timeout_s);
	str_release(&path);
}

/* Of all pods in the namespace: Events know no labels. Pods are to be known before them. */
static void follow_events(struct kubernetes_provider *s)
{
	if (s->has_access && s->fleet.pods_are_synced)
		follow(s, &s->starts.events, "/api/v1", "events", "fieldSelector",
		       "involvedObject.kind=Pod");
}

/* The pods' selector is the service's, once that is known. */
static void follow_pods(struct kubernetes_provider *s)
{
	if (s->has_access && s->fleet.knows_service && s->fleet.about.selector[0])
		follow(s, &s->pods, "/api/v1", "pods", "labelSelector", s->fleet.about.selector);
}

/* --- a pod out of sight: is it over? --------------------------------------------------------- */

static void on_confirmed(void *owner, const struct http_client_result *result)
{
	struct kubernetes_provider *s = owner;
	struct kube_member *m = map_get(&s->fleet.by_uid, s->confirmed_uid);
	struct kube_answer a;
	struct kube_meta meta;
	struct kube_status status;
	s->confirming = NULL;
	kube_answer_read(&s->client, result, &a);
	/* By the API's own word: a proxy's 404 says nothing of a pod. */
	bool is_over = a.status == STATUS_NOT_FOUND && kube_status_read(a.document, &status) &&
		       strcmp(status.reason, "NotFound") == 0;
	bool is_other = a.status == STATUS_OK && kube_meta_read(a.document, &meta) && meta.uid[0] &&
			strcmp(meta.uid, s->confirmed_uid) != 0;
	if (m && !kube_member_is_named(m) && (is_over || is_other))
		kube_fleet_over(&s->fleet, m, now_of(s));
	json_free(a.document);
	on_changed(s);
}

/* It left the lists with work that nobody has seen the end of. */
static void confirm_one(struct kubernetes_provider *s)
{
	LIST_EACH(m, &s->fleet.members, struct kube_member, link) {
		if (s->confirming)
			return;
		if (kube_member_is_named(m) || !m->id || !m->is_pod || !s->has_access ||
		    (m->asked_us && now_of(s) - m->asked_us < CONFIRM_US))
			continue;
		struct str path;
		str_init(&path);
		str_printf(&path, "/api/v1/namespaces/%s/pods/%s", s->client.access.name_space.at,
			   m->pod.meta.name);
		struct kube_request r = {.path = path.at, .timeout_us = TIMEOUT_US};
		snprintf(s->confirmed_uid, sizeof(s->confirmed_uid), "%s", m->pod.meta.uid);
		m->asked_us = now_of(s);
		if (!path.failed)
			s->confirming = kube_client_send(&s->client, &r, on_confirmed, s);
		str_release(&path);
	}
}

/* --- failures to start ----------------------------------------------------------------------- */

static void tell_failure(struct kubernetes_provider *s)
{
	char why[sizeof(s->failure)];
	if (s->access_why[0])
		snprintf(why, sizeof(why), "%s", s->access_why);
	else
		kube_why_none(&s->fleet, &s->scaler, &s->election, config_of(s), s->misnamed,
			      now_of(s), why);
	if (config_of(s)->waits_on_failure)
		why[0] = '\0';
	bool is_same = strcmp(why, s->failure) == 0;
	if (is_same && (!why[0] || now_of(s) - s->told_us < TELL_US))
		return;
	snprintf(s->failure, sizeof(s->failure), "%s", why);
	s->told_us = now_of(s);
	service_scaling_failed(s->host.service, why[0] ? why : NULL, s->told_us + TELL_US,
			       s->told_us);
}

/* --- putting it together --------------------------------------------------------------------- */

/* How many pods there are to begin with must be known before any is called superfluous. */
static void release_pods(struct kubernetes_provider *s)
{
	bool has_looked =
		!s->scales || (s->scaler.has_looked && (!s->elects || s->election.has_read));
	bool has_slices = s->slices.watch.is_synced, has_pods = s->fleet.pods_are_synced;
	/* One of the two may be out of reach; each alone says which pods there are. */
	bool is_whole = (has_slices && (has_pods || s->pods.watch.failures || !s->pods.is_on)) ||
			(has_pods && s->slices.watch.failures);
	if (!s->fleet.is_held || !has_looked || !is_whole ||
	    !(s->services.watch.is_synced || s->services.watch.failures))
		return;
	s->fleet.is_held = false;
	if (!s->scales || !s->scaler.knows_scale || s->scaler.wanted >= 0)
		return;
	/* What others want of it is theirs to say. */
	int64_t ours = s->scaler.scale.wanted - kube_election_elsewhere(&s->election);
	s->scaler.wanted = s->scaler.scale.wanted;
	service_found_scale(s->host.service, ours > 0 ? ours : 0, now_of(s));
}

/* Over minScale: each gateway has that of its own. */
static int64_t demand(const struct kubernetes_provider *s)
{
	struct service_counts c;
	service_count(s->host.service, now_of(s), &c);
	int64_t over = c.desired - s->config->autoscaling.min_scale;
	return over > 0 ? over : 0;
}

static void share(struct kubernetes_provider *s)
{
	bool elects = s->scales && s->elects;
	s->scaler.writes_until_us = s->let_go || !s->scales ? 0
				    : elects		    ? kube_election_until_us(&s->election)
							    : INT64_MAX;
	s->fleet.has_others = elects && kube_election_has_others(&s->election);
	if (!elects || s->let_go)
		return;
	service_elsewhere(s->host.service, kube_election_elsewhere(&s->election), now_of(s));
	kube_election_want(&s->election, demand(s));
}

static const char NOT_LISTED[] = "not listed yet";

static const char *fault_of(const struct kubernetes_provider *s);

static void find_misnamed(struct kubernetes_provider *s)
{
	s->misnamed[0] = '\0';
	if (s->services.watch.is_synced)
		kube_why_misnamed(&s->fleet, config_of(s), s->client.access.name_space.at,
				  s->has_service, s->misnamed);
}

static void tell_degraded(struct kubernetes_provider *s)
{
	const char *why = fault_of(s);
	if (s->was_degraded == (why != NULL) || why == NOT_LISTED)
		return;
	s->was_degraded = why != NULL;
	if (why)
		log_warn("%s: Kubernetes: %s; the pods that are known stay", s->config->name, why);
	else
		log_info("%s: Kubernetes answers: %zu pods", s->config->name, s->fleet.count);
}

static void settle(void *owner)
{
	struct kubernetes_provider *s = owner;
	if (s->let_go || !config_of(s)->service)
		return;
	s->settled_us = now_of(s);
	follow_pods(s);
	follow_events(s);
	share(s);
	release_pods(s);
	kube_fleet_settle(&s->fleet, now_of(s));
	find_misnamed(s);
	confirm_one(s);
	tell_failure(s);
	tell_degraded(s);
	kube_scaler_wake(&s->scaler);
	s->host.changed(s->host.owner);
}

/* --- how to get there ------------------------------------------------------------------------ */

/* A pod's name has letters, digits and "-" only; other hosts' are made so. */
static void identify(const struct kubernetes_provider *s, char name[KUBE_IDENTITY_BYTES])
{
	char host[KUBE_NAME_BYTES] = "";
	const char *given = config_of(s)->identity;
	if (!given && gethostname(host, sizeof(host) - 1) != 0)
		host[0] = '\0';
	snprintf(name, KUBE_IDENTITY_BYTES, "%.63s", given ? given : *host ? host : "slotgate");
	for (char *c = name; *c; c++)
		*c = isalnum((unsigned char)*c) ? (char)tolower((unsigned char)*c) : '-';
}

static void begin(struct kubernetes_provider *s)
{
	const struct kubernetes_pods_config *c = config_of(s);
	char lease[KUBE_NAME_BYTES], identity[KUBE_IDENTITY_BYTES];
	char by_name[KUBE_NAME_BYTES + 16], by_label[KUBE_NAME_BYTES + 32];
	snprintf(by_name, sizeof(by_name), "metadata.name=%s", c->service);
	snprintf(by_label, sizeof(by_label), "kubernetes.io/service-name=%s", c->service);
	follow(s, &s->services, "/api/v1", "services", "fieldSelector", by_name);
	follow(s, &s->slices, "/apis/discovery.k8s.io/v1", "endpointslices", "labelSelector",
	       by_label);
	kube_scaler_configure(&s->scaler, c, s->client.access.name_space.at);
	if (!s->scales || !s->elects)
		return;
	if (c->lease)
		snprintf(lease, sizeof(lease), "%s", c->lease);
	else
		snprintf(lease, sizeof(lease), "slotgate-%s", c->service);
	identify(s, identity);
	kube_election_start(&s->election, lease, identity, c->lease_us);
}

static void reach(struct kubernetes_provider *s)
{
	const struct kubernetes_pods_config *c = config_of(s);
	struct kube_access *a = &s->client.access;
	char why[KUBE_WHY_BYTES];
	s->has_access = kube_access_renew(a, c->kubeconfig, c->context, why);
	if (s->has_access && c->name_space) {
		str_clear(&a->name_space);
		str_add_text(&a->name_space, c->name_space);
		s->has_access = !a->name_space.failed;
	}
	if (s->has_access) {
		s->access_why[0] = '\0';
		begin(s);
		return;
	}
	if (strcmp(why, s->access_why) != 0)
		log_error("%s: Kubernetes: %s", s->config->name, why);
	snprintf(s->access_why, sizeof(s->access_why), "%s", why);
	str_clear(&a->server);
}

static void on_tick(void *owner)
{
	struct kubernetes_provider *s = owner;
	if (s->let_go)
		return;
	if (!s->has_access && config_of(s)->service)
		reach(s);
	on_changed(s);
	timer_set(&s->tick, now_of(s) + (s->has_access ? TICK_US : ACCESS_US));
}

/* --- the interface --------------------------------------------------------------------------- */

static void scale(struct provider *base, int64_t replicas)
{
	struct kubernetes_provider *s = self_of(base);
	if (!s->fleet.is_held) /* else it is about pods that nobody has counted yet */
		kube_scaler_want(&s->scaler, replicas);
	if (!s->let_go && s->elects)
		kube_election_want(&s->election, demand(s));
}

static void remove_pod(struct provider *base, uint64_t pod)
{
	struct kubernetes_provider *s = self_of(base);
	struct kube_member *m = kube_fleet_member(&s->fleet, pod);
	if (m)
		kube_scaler_remove(&s->scaler, m);
}

static void became_ready(struct provider *base, uint64_t pod)
{
	on_changed(self_of(base));
	(void)pod;
}

static const struct net_address *address(const struct provider *base, uint64_t pod)
{
	const struct kubernetes_provider *s =
		(const struct kubernetes_provider *)(const void *)base;
	const struct kube_member *m = kube_fleet_member(&s->fleet, pod);
	return m && m->port ? &m->address : NULL;
}

static void name_ports(struct kubernetes_provider *s)
{
	s->fleet.port_name = config_of(s)->port ? config_of(s)->port : "";
	s->fleet.target_port = (int)config_of(s)->target_port;
	s->fleet.label = s->election.label = s->config->name;
}

static void reload(struct provider *base, const struct service_config *config)
{
	struct kubernetes_provider *s = self_of(base);
	s->config = config;
	name_ports(s);
	on_tick(s);
}

static void say_gone(void *owner)
{
	struct kubernetes_provider *s = owner;
	provider_gone_fn *gone = s->gone_fn;
	s->gone_fn = NULL;
	if (gone)
		gone(s->gone_owner);
}

/* The lease was given back, or could not be. */
static void on_election(void *owner)
{
	struct kubernetes_provider *s = owner;
	if (s->gone_fn && !s->election.is_on)
		loop_defer(s->host.loop, &s->gone);
	on_changed(s);
}

static void stop(struct kubernetes_provider *s)
{
	kube_follower_stop(&s->services);
	kube_follower_stop(&s->slices);
	kube_follower_stop(&s->pods);
	kube_follower_stop(&s->starts.events);
	kube_scaler_stop(&s->scaler);
	http_client_cancel(s->confirming);
	s->confirming = NULL;
	timer_clear(&s->tick);
	timer_clear(&s->calm);
	task_cancel(&s->settle);
}

/* The pods are Kubernetes', and stay: only who writes their number changes. */
static void shut_down(struct provider *base, provider_gone_fn *gone, void *owner)
{
	struct kubernetes_provider *s = self_of(base);
	s->gone_fn = gone;
	s->gone_owner = owner;
	stop(s);
	if (s->election.is_on && s->election.is_holder && !s->let_go)
		kube_election_leave(&s->election);
	else
		loop_defer(s->host.loop, &s->gone);
	s->let_go = true;
}

/* The ledger's names say all that there is to know. */
static void each(const struct provider *base, provider_pod_fn *fn, void *arg)
{
	(void)base, (void)fn, (void)arg;
}

static bool adopt(struct provider *base, const struct provider_pod *pod)
{
	struct kubernetes_provider *s = self_of(base);
	return kube_fleet_adopt(&s->fleet, pod->name, now_of(s));
}

static void let_go(struct provider *base)
{
	struct kubernetes_provider *s = self_of(base);
	s->let_go = true;
	stop(s);
	kube_election_stop(&s->election); /* the other process has our name, and goes on as us */
}

static const char *fault_of(const struct kubernetes_provider *s)
{
	const struct kube_follower *all[] = {&s->services, &s->slices, &s->pods};
	if (s->access_why[0])
		return s->access_why;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (all[i]->is_on && kube_watch_is_failing(&all[i]->watch))
			return all[i]->watch.why[0] ? all[i]->watch.why : NOT_LISTED;
	if (s->misnamed[0])
		return s->misnamed;
	if (s->scaler.is_on && s->scaler.why[0])
		return s->scaler.why;
	return s->election.is_on && s->election.why[0] ? s->election.why : NULL;
}

static void status(const struct provider *base, struct provider_status *to)
{
	const struct kubernetes_provider *s =
		(const struct kubernetes_provider *)(const void *)base;
	*to = (struct provider_status){
		.fault = config_of(s)->service ? fault_of(s) : NULL,
		.is_writer = s->scaler.is_on && now_of(s) < s->scaler.writes_until_us,
		.requests = s->client.requests,
		.failures = s->client.failures,
		.lists = s->services.watch.lists + s->slices.watch.lists + s->pods.watch.lists +
			 s->starts.events.watch.lists,
		.writes = s->scaler.writes,
		.conflicts = s->scaler.conflicts,
		.deletions = s->scaler.deletions,
	};
}

static bool object(const struct provider *base, uint64_t pod, struct provider_object *to)
{
	const struct kubernetes_provider *s =
		(const struct kubernetes_provider *)(const void *)base;
	const struct kube_member *m = pod ? kube_fleet_member(&s->fleet, pod) : NULL;
	*to = (struct provider_object){
		.name_space = s->client.access.name_space.at,
		.name = m ? m->pod.meta.name : config_of(s)->service,
		.uid = m ? m->pod.meta.uid : s->fleet.about.meta.uid,
		.labels = m ? m->pod.labels : s->fleet.about.labels,
	};
	return s->has_access && to->name && (m || !pod);
}

static void free_provider(struct provider *base)
{
	struct kubernetes_provider *s = self_of(base);
	stop(s);
	kube_follower_release(&s->services);
	kube_follower_release(&s->slices);
	kube_follower_release(&s->pods);
	kube_starts_release(&s->starts);
	kube_scaler_release(&s->scaler);
	kube_election_release(&s->election);
	kube_fleet_release(&s->fleet);
	kube_access_release(&s->client.access);
	timer_release(&s->tick);
	timer_release(&s->calm);
	task_cancel(&s->gone);
	mem_free(s);
}

static bool set_up(struct kubernetes_provider *s)
{
	struct loop *loop = s->host.loop;
	struct kube_client *c = &s->client;
	bool ok = timer_init(&s->tick, loop, on_tick, s);
	ok &= timer_init(&s->calm, loop, on_changed, s);
	ok &= kube_follower_init(&s->services, loop, c, &service_sink, on_changed, s);
	ok &= kube_follower_init(&s->slices, loop, c, &slice_sink, on_changed, s);
	ok &= kube_follower_init(&s->pods, loop, c, &pod_sink, on_changed, s);
	ok &= kube_starts_init(&s->starts, loop, c, &s->fleet);
	ok &= kube_scaler_init(&s->scaler, loop, c, &s->fleet, on_changed, s);
	ok &= kube_election_init(&s->election, loop, c, s->config->name, on_election, s);
	return ok;
}

struct provider *kubernetes_provider_new(const struct provider_host *host,
					 const struct service_config *config)
{
	static const struct provider_ops ops = {
		.scale = scale,
		.remove = remove_pod,
		.became_ready = became_ready,
		.address = address,
		.reload = reload,
		.shutdown = shut_down,
		.free = free_provider,
		.each = each,
		.adopt = adopt,
		.let_go = let_go,
		.status = status,
		.object = object,
	};
	struct kubernetes_provider *s = mem_zalloc(sizeof(*s));
	if (!s)
		return NULL;
	s->base.ops = &ops;
	s->host = *host;
	s->config = config;
	s->scales = config->kubernetes.scales;
	s->elects = config->kubernetes.elects;
	s->client.http = host->http;
	kube_access_init(&s->client.access);
	kube_fleet_init(&s->fleet, host->service, config->name);
	s->fleet.is_held = true;
	task_init(&s->settle, settle, s);
	task_init(&s->gone, say_gone, s);
	if (!set_up(s)) {
		free_provider(&s->base);
		return NULL;
	}
	name_ports(s);
	timer_set(&s->tick, now_of(s));
	return &s->base;
}
