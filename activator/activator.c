/* A ledger with a clock, probes and a provider. */
#include "activator/activator.h"

#include "activator/providers/kubernetes.h"
#include "activator/providers/probe.h"
#include "activator/providers/process.h"
#include "activator/providers/static.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

/* Pods that start are refused a few times: only then is it worth a line, and again later. */
static const int64_t FIRST_TELL_US = 5 * US_PER_S, TELL_US = 30 * US_PER_S;

struct activator {
	struct provider_host host;
	struct probe_client probes;
	const struct service_config *config;
	struct service *service;
	struct provider *provider;
	const struct activator_events *events;
	void *owner;
	bool is_frozen;
	struct timer timer;	 /* the ledger's next deadline */
	struct task task;	 /* carries out its decisions */
	struct list newly_ready; /* pods that the provider has not been told of */
};

/* What is kept of each pod. */
struct attachment {
	struct list link; /* on newly_ready */
	struct activator *activator;
	uint64_t pod;
	struct probe *probe; /* the question under way */
	uint64_t question;
	bool is_idle_check;
	int64_t tell_us; /* not before then is it said again why the pod is not ready */
	void *data;	 /* the owner's */
};

static int64_t now_of(const struct activator *a)
{
	return loop_now_us(a->host.loop);
}

/* --- the ledger's observer ------------------------------------------------------------------- */

static void attach(struct activator *a, struct pod *p)
{
	struct attachment *at = mem_zalloc(sizeof(*at));
	if (!at)
		return; /* it will not be asked anything, so it will not become ready */
	list_init(&at->link);
	at->activator = a;
	at->pod = p->id;
	at->tell_us = now_of(a) + FIRST_TELL_US;
	p->attachment = at;
}

static void on_pod_moved(void *arg, struct pod *p, enum pod_state from)
{
	struct activator *a = arg;
	bool is_new = from == POD_STATES;
	bool is_routine = (from == POD_READY && p->state == POD_FULL) ||
			  (from == POD_FULL && p->state == POD_READY);
	if (is_new)
		attach(a, p);
	struct attachment *at = p->attachment;
	if (at && !is_routine && p->state == POD_READY && !list_is_linked(&at->link))
		list_push_back(&a->newly_ready, &at->link);
	if (!is_routine)
		log_info("%s: pod %s: %s -> %s", a->config->name, p->name,
			 is_new ? "new" : pod_state_name(from), pod_state_name(p->state));
	a->events->pod_moved(a->owner, p, from);
}

static void on_pod_freed(void *arg, struct pod *p)
{
	struct activator *a = arg;
	struct attachment *at = p->attachment;
	log_info("%s: pod %s: gone", a->config->name, p->name);
	p->attachment = NULL;
	a->events->pod_freed(a->owner, p, at ? at->data : NULL);
	if (!at)
		return;
	list_remove(&at->link);
	probe_cancel(at->probe);
	mem_free(at);
}

static void on_slot_moved(void *arg, const struct slot *slot, enum slot_state from)
{
	struct activator *a = arg;
	if (slot->state == SLOT_QUARANTINED)
		log_warn("%s: pod %s may still be at work on a job that %s: quarantined",
			 a->config->name, slot->pod->name,
			 slot->connection_broke ? "broke off" : "timed out");
	a->events->slot_moved(a->owner, slot, from);
}

static void on_slot_freed(void *arg, const struct slot *slot, int64_t now_us)
{
	struct activator *a = arg;
	a->events->slot_freed(a->owner, slot, now_us);
}

static void on_pod_failed(void *arg, const struct pod *p, const char *kind)
{
	struct activator *a = arg;
	a->events->pod_failed(a->owner, p, kind);
}

static void on_scaling_failed(void *arg, const char *reason)
{
	struct activator *a = arg;
	log_error("%s: no pod can be started: %s", a->config->name, reason);
	a->events->scaling_failed(a->owner, reason);
}

static void on_start_spent(void *arg, enum coldstart_mark phase, int64_t us)
{
	struct activator *a = arg;
	a->events->start_spent(a->owner, phase, us);
}

static const struct service_observer observer = {
	.pod_moved = on_pod_moved,
	.pod_freed = on_pod_freed,
	.pod_failed = on_pod_failed,
	.scaling_failed = on_scaling_failed,
	.start_spent = on_start_spent,
	.slot_moved = on_slot_moved,
	.slot_freed = on_slot_freed,
};

/* --- decisions ------------------------------------------------------------------------------- */

static struct attachment *attachment_of(const struct activator *a, uint64_t pod)
{
	const struct pod *p = service_pod(a->service, pod);
	return p ? p->attachment : NULL;
}

/* A pod that does not get ready says why now and then, not at each question. */
static void tell_why(struct activator *a, const struct pod *p)
{
	struct attachment *at = p->attachment;
	if (!at || !p->last_answer || now_of(a) < at->tell_us)
		return;
	at->tell_us = now_of(a) + TELL_US;
	log_info("%s: pod %s: still %s: %s", a->config->name, p->name, pod_state_name(p->state),
		 p->last_answer);
}

static void on_answer(void *owner, enum pod_answer answer)
{
	struct attachment *at = owner;
	struct activator *a = at->activator;
	uint64_t at_pod = at->pod;
	at->probe = NULL;
	a->events->probed(a->owner, at->is_idle_check, answer);
	service_pod_answered(a->service, at->pod, at->question, answer, now_of(a));
	activator_changed(a);
	const struct pod *p = service_pod(a->service, at_pod);
	if (p && answer != ANSWER_YES)
		tell_why(a, p);
}

static void on_connected(void *owner)
{
	const struct attachment *at = owner;
	const struct activator *a = at->activator;
	if (!at->is_idle_check)
		service_pod_listens(a->service, at->pod, now_of(a));
}

static void ask(struct activator *a, const struct decision *d)
{
	struct attachment *at = attachment_of(a, d->pod);
	const struct net_address *address = provider_address(a->provider, d->pod);
	bool is_taken = address && a->events->is_taken(a->owner, address);
	if (!at || is_taken) {
		service_pod_answered(a->service, d->pod, d->question, ANSWER_NO, now_of(a));
		return;
	}
	probe_cancel(at->probe);
	at->question = d->question;
	at->is_idle_check = d->kind == DECIDE_CHECK_IDLE;
	at->probe = NULL;
	if (address && at->is_idle_check)
		at->probe = probe_idle(&a->probes, address, &a->config->idle, on_answer, at);
	else if (address)
		at->probe =
			probe_readiness(&a->probes, address, &a->config->readiness, on_answer, at);
	if (!at->probe)
		service_pod_answered(a->service, d->pod, d->question, ANSWER_NO, now_of(a));
}

static void carry_out(struct activator *a, const struct decision *d)
{
	switch (d->kind) {
	case DECIDE_GRANT:
	case DECIDE_REFUSE:
	case DECIDE_FORGET:
		a->events->decided(a->owner, d);
		break;
	case DECIDE_PROBE:
	case DECIDE_CHECK_IDLE:
		ask(a, d);
		break;
	case DECIDE_REMOVE:
		provider_remove(a->provider, d->pod);
		break;
	case DECIDE_SCALE:
		log_debug("%s: %lld pods wanted", a->config->name, (long long)d->replicas);
		provider_scale(a->provider, d->replicas);
		break;
	}
}

static void tell_ready(struct activator *a)
{
	while (!list_is_empty(&a->newly_ready)) {
		struct attachment *at = LIST_FIRST(&a->newly_ready, struct attachment, link);
		list_remove(&at->link);
		provider_became_ready(a->provider, at->pod);
	}
}

static void carry_out_all(void *owner)
{
	struct activator *a = owner;
	struct decision d;
	if (!a->provider || a->is_frozen)
		return; /* it is being made, or another's */
	while (service_next(a->service, now_of(a), &d))
		carry_out(a, &d);
	tell_ready(a);
	timer_set(&a->timer, service_next_deadline_us(a->service));
	a->events->settled(a->owner);
}

static void on_timer(void *owner)
{
	struct activator *a = owner;
	service_tick(a->service, now_of(a));
	activator_changed(a);
}

void activator_changed(struct activator *a)
{
	loop_defer(a->host.loop, &a->task);
}

void activator_settle(struct activator *a)
{
	if (!list_is_linked(&a->task.link))
		return;
	task_cancel(&a->task);
	carry_out_all(a);
}

static void on_provider_changed(void *owner)
{
	activator_changed(owner);
}

/* --- life ------------------------------------------------------------------------------------ */

static struct provider *make_provider(struct activator *a)
{
	switch (a->config->provider) {
	case PROVIDER_STATIC:
		return static_provider_new(&a->host, a->config);
	case PROVIDER_PROCESS:
		return process_provider_new(&a->host, a->config);
	case PROVIDER_KUBERNETES:
		return kubernetes_provider_new(&a->host, a->config);
	}
	return NULL;
}

struct activator *activator_new(const struct provider_host *host,
				const struct service_config *config,
				const struct activator_events *events, void *owner)
{
	struct activator *a = mem_must_zalloc(sizeof(*a));
	bool scalable = config_is_scalable(config);
	a->host = *host;
	a->probes = (struct probe_client){.loop = host->loop,
					  .http = host->http,
					  .tls = config->pod_tls.context,
					  .headers = config_own_headers(config),
					  .connected = on_connected};
	a->config = config;
	a->events = events;
	a->owner = owner;
	list_init(&a->newly_ready);
	task_init(&a->task, carry_out_all, a);
	a->service = service_new(config, scalable, &observer, a, now_of(a));
	a->host.service = a->service;
	a->host.changed = on_provider_changed;
	a->host.owner = a;
	if (!a->service || !timer_init(&a->timer, host->loop, on_timer, a)) {
		activator_free(a);
		return NULL;
	}
	a->provider = make_provider(a);
	if (!a->provider) {
		activator_free(a);
		return NULL;
	}
	activator_changed(a);
	return a;
}

void activator_configure(struct activator *a, const struct service_config *config)
{
	a->config = config;
	a->probes.tls = config->pod_tls.context;
	a->probes.headers = config_own_headers(config);
	service_configure(a->service, config, now_of(a));
	provider_reload(a->provider, config);
	activator_changed(a);
}

void activator_shutdown(struct activator *a, provider_gone_fn *gone, void *owner)
{
	service_close(a->service, now_of(a));
	provider_shutdown(a->provider, gone, owner);
	activator_changed(a);
}

void activator_free(struct activator *a)
{
	task_cancel(&a->task);
	timer_release(&a->timer);
	if (a->service)
		service_free(a->service);
	provider_free(a->provider);
	mem_free(a);
}

void activator_freeze(struct activator *a)
{
	a->is_frozen = true;
}

void activator_thaw(struct activator *a)
{
	a->is_frozen = false;
	activator_changed(a);
}

void activator_let_go(struct activator *a)
{
	a->is_frozen = true;
	timer_clear(&a->timer);
	provider_let_go(a->provider);
}

struct provider *activator_provider(const struct activator *a)
{
	return a->provider;
}

struct service *activator_service(const struct activator *a)
{
	return a->service;
}

const struct net_address *activator_pod_address(const struct activator *a, uint64_t pod)
{
	return provider_address(a->provider, pod);
}

void **activator_pod_data(const struct activator *a, uint64_t pod)
{
	struct attachment *at = attachment_of(a, pod);
	return at ? &at->data : NULL;
}
