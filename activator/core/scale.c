/* How many pods there should be, and which of them go. */
#include <string.h>

#include "activator/core/ledger.h"

static int64_t ready_pods(const struct service *s)
{
	return s->pod_counts[POD_READY] + s->pod_counts[POD_FULL];
}

/* Pods that are there to stay. */
static int64_t live_pods(const struct service *s)
{
	int64_t n = 0;
	for (int i = POD_STARTING; i <= POD_QUARANTINED; i++)
		n += s->pod_counts[i];
	return n;
}

/* A quarantined pod serves nobody: another one stands in for it, up to maxScale. */
static int64_t replicas_wanted(const struct service *s)
{
	int64_t most = s->config->autoscaling.max_scale;
	int64_t want = s->autoscaler.desired + s->elsewhere;
	if (want > 0)
		want += s->pod_counts[POD_QUARANTINED];
	return most && want > most ? most : want;
}

/* --- fewer ----------------------------------------------------------------------------------- */

void scale_remove(struct service *s, struct pod *p, int64_t now_us)
{
	pod_move(s, p, POD_REMOVING, now_us);
	list_push_back(&s->removals, &p->removal_link);
	scale_apply(s, now_us);
}

/* A quarantined one may have proved itself since it was chosen, by the answer it owed: then what
 * else works at it must not be stopped. */
static bool is_wrongly_chosen(const struct pod *p)
{
	return !pod_is_idle(p) && !p->slot_counts[SLOT_QUARANTINED];
}

bool scale_next_removal(struct service *s, int64_t now_us, struct decision *d)
{
	while (!list_is_empty(&s->removals)) {
		struct pod *p = LIST_FIRST(&s->removals, struct pod, removal_link);
		list_remove(&p->removal_link);
		if (is_wrongly_chosen(p)) {
			pod_open(s, p, now_us);
			continue;
		}
		*d = (struct decision){.kind = DECIDE_REMOVE, .pod = p->id};
		return true;
	}
	return false;
}

/* The last idle one on a list: the newest of those that start, the least recently used of those
 * that are ready. */
static struct pod *last_idle(struct list *pods)
{
	for (struct list *l = pods->prev; l != pods; l = l->prev) {
		struct pod *p = LIST_OWNER(l, struct pod, link);
		if (pod_is_idle(p))
			return p;
	}
	return NULL;
}

/* Withdraws it from granting; it is removed when it is known to be idle. */
static void withdraw(struct service *s, struct pod *p, int64_t now_us)
{
	bool may_have_worked = p->was_ready || !p->past_is_known;
	p->withdrawn_from = p->state;
	pod_move(s, p, POD_WITHDRAWN, now_us);
	if (!may_have_worked || s->config->idle.kind == CHECK_NONE)
		scale_remove(s, p, now_us);
}

static struct pod *dispensable_pod(struct service *s)
{
	const enum pod_state order[] = {POD_STARTING, POD_EJECTED, POD_READY};
	for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++) {
		struct pod *p = last_idle(&s->pods[order[i]]);
		if (p)
			return p;
	}
	return NULL;
}

/* --- more ------------------------------------------------------------------------------------ */

/* Pods that were about to go may stay. */
static int64_t reprieve(struct service *s, int64_t missing, int64_t now_us)
{
	int64_t kept = 0;
	LIST_EACH(p, &s->pods[POD_WITHDRAWN], struct pod, link) {
		if (kept == missing)
			break;
		pod_move(s, p, p->withdrawn_from, now_us);
		kept++;
	}
	return kept;
}

void scale_apply(struct service *s, int64_t now_us)
{
	if (!s->scalable || s->applying)
		return;
	s->applying = true; /* removing a pod comes back here */
	int64_t want = replicas_wanted(s), have = live_pods(s);
	if (have < want)
		have += reprieve(s, want - have, now_us);
	while (have > want) {
		struct pod *p = dispensable_pod(s);
		if (!p)
			break; /* the others work: a later tick finds them idle */
		withdraw(s, p, now_us);
		have--;
	}
	s->applying = false;
	starts_order(s, want, ready_pods(s), now_us);
	if (want != s->replicas || have < want) {
		s->replicas = want;
		s->scale_due = true;
	}
}

/* --- when ------------------------------------------------------------------------------------ */

/* Those that are there for other gateways do not count: as a reason to go down step by step, two
 * would give each other pods for ever. */
static int64_t own_pods(const struct service *s)
{
	int64_t own = ready_pods(s) - s->elsewhere;
	return own > 0 ? own : 0;
}

void scale_tick(struct service *s, int64_t now_us)
{
	autoscaler_tick(&s->autoscaler, own_pods(s), s->waiting_passes > 0, now_us);
	s->need.is_blind = false;
	scale_apply(s, now_us);
	coldstarts_tick(&s->starts, now_us);
}

void scale_wake(struct service *s, int64_t now_us)
{
	int64_t before = s->autoscaler.desired;
	if (autoscaler_from_zero(&s->autoscaler, s->waiting_passes > 0, now_us) != before)
		scale_apply(s, now_us);
}

void service_found_scale(struct service *s, int64_t replicas, int64_t now_us)
{
	if (autoscaler_found(&s->autoscaler, replicas, now_us))
		starts_found(s, replicas);
	scale_apply(s, now_us);
}

void service_elsewhere(struct service *s, int64_t replicas, int64_t now_us)
{
	if (s->elsewhere == replicas)
		return;
	s->elsewhere = replicas;
	scale_apply(s, now_us);
}

void service_scaling_failed(struct service *s, const char *reason, int64_t until_us, int64_t now_us)
{
	s->scaling_failed_until_us = reason ? until_us : 0;
	s->scaling_reason[0] = '\0';
	if (reason)
		s->observer->scaling_failed(s->observer_arg, reason);
	if (reason)
		strncat(s->scaling_reason, reason, sizeof(s->scaling_reason) - 1);
	if (!reason)
		scale_apply(s, now_us);
}

const char *service_scaling_failure(const struct service *s)
{
	return s->scaling_reason;
}
