/* What the ledger sees of cold starts. */
#include "activator/core/ledger.h"

/* The observer may have no interest in it. */
static void on_spent(void *arg, enum coldstart_mark phase, int64_t us)
{
	const struct service *s = arg;
	if (s->observer->start_spent)
		s->observer->start_spent(s->observer_arg, phase, us);
}

void starts_init(struct service *s)
{
	need_init(&s->need);
	coldstarts_init(&s->starts);
	s->starts.spent = on_spent;
	s->starts.arg = s;
}

struct coldstarts *service_coldstarts(struct service *s)
{
	return &s->starts;
}

void service_pod_starts(struct service *s, uint64_t pod, struct coldstart *c)
{
	struct pod *p = table_get(&s->pod_ids, pod);
	if (!p || !c)
		return;
	p->start = c->id;
	c->holder = pod;
}

void service_start_comes(struct service *s, struct coldstart *c, int64_t created_us)
{
	int64_t since_us, ready = s->pod_counts[POD_READY] + s->pod_counts[POD_FULL];
	if (s->scalable)
		coldstarts_take(&s->starts, c, created_us);
	else if (need_since(&s->need, ready + (int64_t)s->starts.counts[COLDSTART_STARTING],
			    &since_us) &&
		 since_us <= created_us + COLDSTART_SLACK_US)
		coldstart_set(c, COLDSTART_DEMANDED, since_us, COLDSTART_OWN);
}

void starts_note(struct service *s, const struct pod *p, enum coldstart_mark mark, int64_t now_us)
{
	coldstarts_mark(&s->starts, p->start, mark, now_us);
}

void service_pod_listens(struct service *s, uint64_t pod, int64_t now_us)
{
	const struct pod *p = table_get(&s->pod_ids, pod);
	if (p && !p->was_ready)
		starts_note(s, p, COLDSTART_LISTENING, now_us);
}

void service_pod_speaks(struct service *s, uint64_t pod, int64_t now_us)
{
	const struct pod *p = table_get(&s->pod_ids, pod);
	if (p)
		starts_note(s, p, COLDSTART_ANSWERED, now_us);
}

/* An answer has ended whose beginning nobody told: it came to the process before an upgrade. A
 * later answer is not the first. */
void starts_answer_over(struct service *s, const struct pod *p)
{
	struct coldstart *c = p->start ? coldstarts_get(&s->starts, p->start) : NULL;
	if (c && c->at_us[COLDSTART_ANSWERED] == COLDSTART_UNKNOWN)
		coldstarts_lose(&s->starts, c);
}

/* Another gateway's demand is nobody's here; what no work asks for (minScale, a stand-in for a pod
 * in quarantine) is demanded by the decision. */
static int64_t demanded_us(const struct service *s, int64_t pod, int64_t now_us)
{
	int64_t since_us;
	if (s->elsewhere)
		return COLDSTART_UNKNOWN;
	return need_since(&s->need, pod, &since_us) ? since_us : now_us;
}

/* So many have been ordered before, by whom nobody knows: what was ordered here is those. */
void starts_found(struct service *s, int64_t replicas)
{
	coldstarts_filled(&s->starts, replicas);
	if (s->ordered < replicas)
		s->ordered = replicas;
}

void starts_order(struct service *s, int64_t want, int64_t ready, int64_t now_us)
{
	int64_t most = want - s->ordered < COLDSTART_ORDERS ? want : s->ordered + COLDSTART_ORDERS;
	for (int64_t pod = s->ordered + 1; pod <= most; pod++)
		coldstarts_order(&s->starts, demanded_us(s, pod, now_us), now_us);
	if (want < s->ordered)
		coldstarts_recall(&s->starts, s->ordered - want);
	s->ordered = want;
	if (ready >= want)
		coldstarts_fulfilled(&s->starts);
}
