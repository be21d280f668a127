/* Pods that Kubernetes runs. */
#include "activator/providers/kubernetes.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "activator/providers/kubernetes_election.h"
#include "activator/providers/kubernetes_scaler.h"
#include "activator/providers/kubernetes_view.h"
#include "activator/providers/kubernetes_why.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

static const int64_t ACCESS_US = 5 * US_PER_S; /* between two tries to read how to get there */
static const int64_t TICK_US = US_PER_S;       /* what time alone changes */
static const int64_t TELL_US = 30 * US_PER_S;  /* a failure is good for so long */
static const int64_t EACH_US = 10, CALM_MAX_US = 100 * US_PER_MS; /* see on_changed */

struct kubernetes_provider {
	struct provider base;
	struct provider_host host;
	const struct service_config *config;
	struct kube_client client;
	bool scales, elects; /* as at the start: no reload changes it */
	bool has_access, let_go;
	char access_why[KUBE_WHY_BYTES]; /* "": there is an access */
	struct kube_view view;
	struct kube_scaler scaler;
	struct kube_election election;
	struct timer tick, calm;
	int64_t settled_us;
	struct task settle;
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
	int64_t calm_us = (int64_t)s->view.fleet.count * EACH_US;
	int64_t at_us = s->settled_us + (calm_us < CALM_MAX_US ? calm_us : CALM_MAX_US);
	if (now_of(s) >= at_us)
		loop_defer(s->host.loop, &s->settle);
	else if (!timer_is_set(&s->calm))
		timer_set(&s->calm, at_us);
}

/* --- failures to start ----------------------------------------------------------------------- */

static void tell_failure(struct kubernetes_provider *s)
{
	char why[sizeof(s->failure)];
	const char *unseen = s->access_why[0] ? s->access_why : kube_view_refusal(&s->view);
	if (unseen)
		snprintf(why, sizeof(why), "%s", unseen);
	else
		kube_why_none(&s->view.fleet, &s->scaler, &s->election, config_of(s), s->misnamed,
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
	if (!s->view.fleet.is_held || !has_looked || !kube_view_is_whole(&s->view))
		return;
	s->view.fleet.is_held = false;
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
	s->view.fleet.has_others = elects && kube_election_has_others(&s->election);
	if (!elects || s->let_go)
		return;
	service_elsewhere(s->host.service, kube_election_elsewhere(&s->election), now_of(s));
	kube_election_want(&s->election, demand(s));
}

static const char *fault_of(const struct kubernetes_provider *s);

static void find_misnamed(struct kubernetes_provider *s)
{
	s->misnamed[0] = '\0';
	if (s->view.services.watch.is_synced)
		kube_why_misnamed(&s->view.fleet, config_of(s), s->client.access.name_space.at,
				  s->view.has_service, s->misnamed);
}

static void tell_degraded(struct kubernetes_provider *s)
{
	const char *why = fault_of(s);
	if (s->was_degraded == (why != NULL) || why == KUBE_NOT_LISTED)
		return;
	s->was_degraded = why != NULL;
	if (why)
		log_warn("%s: Kubernetes: %s; the pods that are known stay", s->config->name, why);
	else
		log_info("%s: Kubernetes answers: %zu pods", s->config->name, s->view.fleet.count);
}

static void settle(void *owner)
{
	struct kubernetes_provider *s = owner;
	if (s->let_go || !config_of(s)->service)
		return;
	s->settled_us = now_of(s);
	if (s->has_access)
		kube_view_follow(&s->view);
	share(s);
	release_pods(s);
	kube_view_settle(&s->view);
	find_misnamed(s);
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
	kube_view_follow(&s->view);
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
	if (!s->view.fleet.is_held) /* else it is about pods that nobody has counted yet */
		kube_scaler_want(&s->scaler, replicas);
	if (!s->let_go && s->elects)
		kube_election_want(&s->election, demand(s));
}

static void remove_pod(struct provider *base, uint64_t pod)
{
	struct kubernetes_provider *s = self_of(base);
	struct kube_member *m = kube_fleet_member(&s->view.fleet, pod);
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
	const struct kube_member *m = kube_fleet_member(&s->view.fleet, pod);
	return m && m->port ? &m->address : NULL;
}

static void reload(struct provider *base, const struct service_config *config)
{
	struct kubernetes_provider *s = self_of(base);
	s->config = config;
	s->election.label = config->name;
	kube_view_configure(&s->view, config);
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
	kube_view_stop(&s->view);
	kube_scaler_stop(&s->scaler);
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
	return kube_fleet_adopt(&s->view.fleet, pod->name, now_of(s));
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
	const char *of_view = kube_view_fault(&s->view);
	if (s->access_why[0])
		return s->access_why;
	if (of_view)
		return of_view;
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
		.lists = kube_view_lists(&s->view),
		.writes = s->scaler.writes,
		.conflicts = s->scaler.conflicts,
		.deletions = s->scaler.deletions,
	};
}

static bool object(const struct provider *base, uint64_t pod, struct provider_object *to)
{
	const struct kubernetes_provider *s =
		(const struct kubernetes_provider *)(const void *)base;
	const struct kube_member *m = pod ? kube_fleet_member(&s->view.fleet, pod) : NULL;
	*to = (struct provider_object){
		.name_space = s->client.access.name_space.at,
		.name = m ? m->pod.meta.name : config_of(s)->service,
		.uid = m ? m->pod.meta.uid : s->view.fleet.about.meta.uid,
		.labels = m ? m->pod.labels : s->view.fleet.about.labels,
	};
	return s->has_access && to->name && (m || !pod);
}

static void free_provider(struct provider *base)
{
	struct kubernetes_provider *s = self_of(base);
	stop(s);
	kube_scaler_release(&s->scaler);
	kube_election_release(&s->election);
	kube_view_release(&s->view);
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
	ok &= kube_view_init(&s->view, loop, c, s->host.service, s->config, on_changed, s);
	ok &= kube_scaler_init(&s->scaler, loop, c, &s->view.fleet, on_changed, s);
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
	task_init(&s->settle, settle, s);
	task_init(&s->gone, say_gone, s);
	if (!set_up(s)) {
		free_provider(&s->base);
		return NULL;
	}
	timer_set(&s->tick, now_of(s));
	return &s->base;
}
