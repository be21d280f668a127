/* One service as the data plane sees it. */
#include "gateway/backend.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "gateway/admin/history.h"
#include "gateway/gateway.h"
#include "gateway/job.h"
#include "gateway/upstream.h"

/* --- what its activator tells ---------------------------------------------------------------- */

static void on_decided(void *owner, const struct decision *d)
{
	struct backend *b = owner;
	struct job *j = table_get(&b->gateway->jobs, d->owner);
	if (!j)
		return; /* it ended meanwhile, and gave back what it had */
	if (d->kind == DECIDE_GRANT)
		job_granted(j, d->grant, d->pod);
	else if (d->kind == DECIDE_REFUSE)
		job_refused(j);
	else
		job_forget(j);
}

/* The first pod since a request has found none. */
static void note_warming(struct backend *b, const struct pod *p)
{
	struct warming *w = &b->warming;
	if (b->cold_us <= w->ready_us)
		return;
	bool is_new = p->tenure == p->first_tenure;
	const struct coldstart *c =
		coldstarts_get(service_coldstarts(backend_service(b)), p->start);
	bool has_answered = is_new && c && c->at_us[COLDSTART_READY] != COLDSTART_UNKNOWN;
	w->asked_us = is_new ? p->added_us : 0;
	w->answered_us = has_answered ? c->at_us[COLDSTART_READY] : 0;
	w->ready_us = p->since_us;
	span_copy(w->pod, sizeof(w->pod), slice_of(p->name));
}

static void on_pod_moved(void *owner, const struct pod *p, enum pod_state from)
{
	struct backend *b = owner;
	bool is_up = p->state == POD_READY && from != POD_FULL;
	if (p->state == POD_EJECTED) {
		metrics_count(b->stats.ejections);
		history_trouble(b->history, "ejected", "failed several times in a row", p->name);
	}
	if (is_up)
		note_warming(b, p);
	if (is_up && p->tenure == p->first_tenure)
		metrics_observe(b->stats.cold_start, p->since_us - p->added_us);
}

static void on_pod_failed(void *owner, const struct pod *p, const char *kind)
{
	struct backend *b = owner;
	log_warn("%s: pod %s failed: %s", b->name, p->name, kind);
	stats_pod_failed(&b->stats, kind);
	history_trouble(b->history, "pod failed", kind, p->name);
}

static void on_slot_moved(void *owner, const struct slot *slot, enum slot_state from)
{
	struct backend *b = owner;
	(void)from;
	if (slot->state != SLOT_QUARANTINED)
		return;
	bool broke = slot->connection_broke;
	metrics_count(broke ? b->stats.quarantined_broken : b->stats.quarantined_timeout);
	history_trouble(b->history, "quarantined", broke ? "connection broken" : "timeout",
			slot->pod->name);
}

static void end_if_done(struct backend *b)
{
	if (b->is_retired && !b->is_ending)
		loop_defer(b->gateway->loop, &b->retire);
}

static void on_slot_freed(void *owner, const struct slot *slot, int64_t now_us)
{
	struct backend *b = owner;
	end_if_done(b);
	if (!slot->is_pass && slot->state != SLOT_GRANTED)
		metrics_observe(b->stats.service_time, now_us - slot->granted_us);
}

static void on_scaling_failed(void *owner, const char *reason)
{
	struct backend *b = owner;
	metrics_count(b->stats.scaling_failures);
	history_trouble(b->history, "scaling failed", reason, "");
}

static void on_start_spent(void *owner, enum coldstart_mark phase, int64_t us)
{
	struct backend *b = owner;
	stats_start_spent(&b->stats, coldstart_phase_name(phase), us);
}

struct search {
	const struct backend *backend;
	const struct net_address *address;
	bool found;
};

static void look_for_work(void *arg, const struct pod *p)
{
	struct search *s = arg;
	const struct net_address *a = activator_pod_address(s->backend->activator, p->id);
	s->found |= p->used > 0 && a && net_is_same(a, s->address);
}

static bool is_taken(void *owner, const struct net_address *address)
{
	const struct backend *self = owner;
	struct search s = {.address = address};
	if (self->config->provider == PROVIDER_PROCESS)
		return false; /* its pods are its own: nobody else was given their addresses */
	LIST_EACH(b, &self->gateway->backends, struct backend, link) {
		s.backend = b;
		if (b != self)
			service_each_pod(backend_service(b), look_for_work, &s);
	}
	return s.found;
}

static void on_settled(void *owner)
{
	demand_settled(owner);
}

static void on_probed(void *owner, bool idle_check, enum pod_answer answer)
{
	static const char *const results[] = {
		[ANSWER_YES] = "yes", [ANSWER_NO] = "no", [ANSWER_REFUSED] = "refused"};
	struct backend *b = owner;
	stats_probed(&b->stats, idle_check ? "idle" : "readiness", results[answer]);
}

static void on_pod_freed(void *owner, const struct pod *p, void *pool)
{
	struct backend *b = owner;
	metrics_drop(b->stats.registry, (const char *[]){"service", b->name, "pod", p->name, NULL});
	if (pool)
		upstream_pool_free(pool);
}

static const struct activator_events events = {
	.decided = on_decided,
	.pod_moved = on_pod_moved,
	.pod_failed = on_pod_failed,
	.slot_moved = on_slot_moved,
	.slot_freed = on_slot_freed,
	.scaling_failed = on_scaling_failed,
	.start_spent = on_start_spent,
	.probed = on_probed,
	.settled = on_settled,
	.is_taken = is_taken,
	.pod_freed = on_pod_freed,
};

struct upstream_pool *backend_pool(struct backend *b, uint64_t pod)
{
	void **pool = activator_pod_data(b->activator, pod);
	const struct net_address *address = activator_pod_address(b->activator, pod);
	if (!pool || !address)
		return NULL;
	if (!*pool)
		*pool = upstream_pool_new(b, address);
	return *pool;
}

/* --- life ------------------------------------------------------------------------------------ */

static void on_pods_gone(void *owner)
{
	backend_free(owner);
}

/* Slots that are taken, also those that are in quarantine and belong to no job any more. */
static int64_t slots_in_use(const struct backend *b)
{
	struct service_counts c;
	int64_t n = 0;
	service_count(backend_service(b), loop_now_us(b->gateway->loop), &c);
	for (int i = 0; i < SLOT_STATES; i++)
		n += c.slots[i];
	return n;
}

/* All its jobs have ended, and nothing is in doubt: now its pods may end too. */
static void on_retire(void *owner)
{
	struct backend *b = owner;
	if (b->users || b->is_ending || slots_in_use(b))
		return;
	b->is_ending = true;
	activator_shutdown(b->activator, on_pods_gone, b);
}

static bool is_bound(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->listener_count; i++)
		if (c->listeners[i].service && strcmp(c->listeners[i].service, name) == 0)
			return true;
	return false;
}

struct backend *backend_new(struct gateway *gw, struct config *holding,
			    const struct service_config *config)
{
	struct backend *b = mem_must_zalloc(sizeof(*b));
	list_init(&b->link);
	b->gateway = gw;
	b->number = ++gw->last_backend;
	b->holding = config_hold(holding);
	b->config = config;
	b->name = mem_must_strdup(config->name);
	b->is_bound = is_bound(holding, b->name);
	task_init(&b->retire, on_retire, b);
	service_stats_init(&b->stats, gw->metrics, b->name);
	tenants_init(&b->tenants);
	demand_init(b);
	knative_report_init(&b->knative, b);
	b->history = history_new(b);
	list_push_back(&gw->backends, &b->link);
	b->activator = activator_new(&gw->providers, config, &events, b);
	if (!b->activator) {
		log_error("%s: cannot start this service: out of memory", b->name);
		backend_free(b);
		return NULL;
	}
	tenants_configure(b);
	return b;
}

void backend_configure(struct backend *b, struct config *holding,
		       const struct service_config *config)
{
	if (config->provider != b->config->provider) {
		log_warn("%s: changing the kind of pods needs a restart; this service stays as it "
			 "was",
			 b->name);
		return;
	}
	struct config *old = b->holding;
	b->holding = config_hold(holding);
	b->config = config;
	b->is_bound = is_bound(holding, b->name);
	tenants_configure(b);
	activator_configure(b->activator, config);
	config_drop(old);
}

void backend_retire(struct backend *b)
{
	log_info("%s: is no longer configured; its jobs finish", b->name);
	b->is_retired = true;
	demand_retired(b);
	service_close(backend_service(b), loop_now_us(b->gateway->loop));
	activator_changed(b->activator);
	end_if_done(b);
}

/* It was taken out and put back while its jobs went on: it has not forgotten them. */
static bool revive(struct backend *b)
{
	if (b->is_ending)
		return false;
	log_info("%s: is configured again", b->name);
	b->is_retired = false;
	task_cancel(&b->retire);
	service_open(backend_service(b), loop_now_us(b->gateway->loop));
	activator_changed(b->activator);
	return true;
}

void backend_hold(struct backend *b)
{
	b->users++;
}

void backend_drop(struct backend *b)
{
	if (--b->users == 0)
		end_if_done(b);
}

void backend_free(struct backend *b)
{
	bool name_is_used = false;
	if (b->activator)
		activator_free(b->activator);
	list_remove(&b->link);
	demand_retired(b);
	task_cancel(&b->retire);
	LIST_EACH(other, &b->gateway->backends, struct backend, link)
		name_is_used |= strcmp(other->name, b->name) == 0;
	tenants_release(&b->tenants);
	history_free(b->history);
	knative_report_release(&b->knative);
	if (!name_is_used)
		service_stats_release(&b->stats);
	config_drop(b->holding);
	mem_free(b->name);
	mem_free(b);
}

static struct backend *find(struct gateway *gw, const char *name, bool retired)
{
	LIST_EACH(b, &gw->backends, struct backend, link)
		if (b->is_retired == retired && strcmp(b->name, name) == 0)
			return b;
	return NULL;
}

struct backend *backend_by_name(struct gateway *gw, const char *name)
{
	return find(gw, name, false);
}

struct backend *backend_to_configure(struct gateway *gw, const char *name)
{
	struct backend *b = find(gw, name, false), *retired = find(gw, name, true);
	if (!b && retired && revive(retired))
		b = retired;
	return b;
}
