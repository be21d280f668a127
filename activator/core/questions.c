/* When a pod is asked whether it is ready or idle, and what its answers mean. */
#include "activator/core/ledger.h"

/* --- when to ask ----------------------------------------------------------------------------- */

static bool has_idle_check(const struct service *s)
{
	return s->config->idle.kind != CHECK_NONE;
}

/*
 * What this pod would be asked now, if anything. A pod in doubt without an idle check is asked
 * whether it is there at all: if nothing listens any more, its process has ended, and with it the
 * jobs whose connections broke.
 */
enum question { ASK_NOTHING, ASK_READY, ASK_IDLE };

static enum question question_for(const struct service *s, const struct pod *p)
{
	enum question if_idle = has_idle_check(s) ? ASK_IDLE : ASK_READY;
	switch (p->state) {
	case POD_STARTING:
	case POD_EJECTED:
		return ASK_READY;
	case POD_CHECKING:
	case POD_WITHDRAWN:
		return ASK_IDLE;
	case POD_QUARANTINED:
	case POD_ABSENT:
		return if_idle;
	default:
		return pod_doubtful_slots(p) ? if_idle : ASK_NOTHING;
	}
}

static int64_t min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t period_us(const struct service *s, const struct pod *p, enum question q)
{
	const struct readiness_config *r = &s->config->readiness;
	bool somebody_waits = s->waiting + s->waiting_passes > 0;
	if (q == ASK_IDLE || p->state == POD_QUARANTINED)
		return s->config->idle.period_us;
	return somebody_waits && p->state == POD_STARTING ? r->cold_period_us : r->period_us;
}

/* When a quarantined or hopelessly ejected pod is replaced; one that is merely ejected not while it
 * works on something. */
static int64_t restart_at_us(const struct service *s, const struct pod *p)
{
	int64_t after_us = s->config->quarantine.restart_after_us;
	bool restartable =
		p->state == POD_QUARANTINED || (p->state == POD_EJECTED && pod_is_idle(p));
	bool replaced = s->scalable || config_can_replace(s->config);
	return replaced && after_us && restartable ? p->since_us + after_us : NEVER;
}

static int64_t ask_at_us(const struct service *s, const struct pod *p, int64_t now_us)
{
	enum question q = question_for(s, p);
	if (q == ASK_NOTHING || p->question || list_is_linked(&p->question_link))
		return NEVER;
	if (p->state == POD_EJECTED && now_us < p->ejected_until_us)
		return p->ejected_until_us;
	if (p->question_us < 0)
		return now_us;
	return p->question_us + period_us(s, p, q);
}

void pod_watch(struct service *s, struct pod *p, int64_t now_us)
{
	int64_t at_us = min(ask_at_us(s, p, now_us), restart_at_us(s, p));
	if (at_us == NEVER)
		heap_remove(&s->pod_timers, &p->timer);
	else
		heap_set(&s->pod_timers, &p->timer, at_us);
}

void pod_doubt(struct service *s, struct pod *p, int64_t now_us)
{
	p->idle_answers = 0;
	p->question = 0; /* an answer under way is about the time before this */
	pod_watch(s, p, now_us);
}

void pods_hurry(struct service *s, int64_t now_us)
{
	LIST_EACH(p, &s->pods[POD_STARTING], struct pod, link)
		pod_watch(s, p, now_us);
}

void pods_tick(struct service *s, int64_t now_us)
{
	for (;;) {
		struct heap_node *first = heap_top(&s->pod_timers);
		if (!first || first->key > now_us)
			return;
		struct pod *p = HEAP_OWNER(first, struct pod, timer);
		if (now_us >= restart_at_us(s, p)) {
			scale_remove(s, p, now_us);
			continue;
		}
		list_push_back(&s->questions, &p->question_link);
		pod_watch(s, p, now_us);
	}
}

bool pods_next_question(struct service *s, int64_t now_us, struct decision *d)
{
	while (!list_is_empty(&s->questions)) {
		struct pod *p = LIST_FIRST(&s->questions, struct pod, question_link);
		enum question q = question_for(s, p);
		list_remove(&p->question_link);
		if (q == ASK_NOTHING || p->question)
			continue;
		p->question = ++s->last_question;
		p->question_is_check = q == ASK_IDLE;
		p->question_us = now_us;
		*d = (struct decision){
			.kind = q == ASK_IDLE ? DECIDE_CHECK_IDLE : DECIDE_PROBE,
			.pod = p->id,
			.question = p->question,
		};
		return true;
	}
	return false;
}

/* --- what the answers mean ------------------------------------------------------------------- */

static void free_doubtful(struct service *s, struct pod *p, enum slot_state state, bool only_broken,
			  int64_t now_us)
{
	LIST_EACH(slot, &p->slots[state], struct slot, link)
		if (!slot->is_pass && (!only_broken || slot->connection_broke))
			slot_free(s, slot, true, now_us);
}

void pod_is_known_idle(struct service *s, struct pod *p, int64_t now_us)
{
	p->past_is_known = true;
	p->idle_answers = 0;
	free_doubtful(s, p, SLOT_QUARANTINED, false, now_us);
	free_doubtful(s, p, SLOT_CONFIRMING, false, now_us);
	if (p->state == POD_CHECKING)
		pod_is_ready(s, p, now_us);
	else if (p->state == POD_WITHDRAWN && pod_is_idle(p))
		scale_remove(s, p, now_us);
	else
		pod_settle(s, p, now_us);
}

static struct pod *first_of(const struct list *pods)
{
	return list_is_empty(pods) ? NULL : LIST_FIRST(pods, struct pod, link);
}

/* What waits for a check that the service names no more is trusted, as
 * without one from the start. */
void pods_trust(struct service *s, int64_t now_us)
{
	struct pod *p;
	for (int i = 0; i < POD_STATES; i++) {
		LIST_EACH(it, &s->pods[i], struct pod, link) {
			if (it->slot_counts[SLOT_CONFIRMING] == 0)
				continue;
			free_doubtful(s, it, SLOT_CONFIRMING, false, now_us);
			pod_settle(s, it, now_us);
		}
	}
	while ((p = first_of(&s->pods[POD_CHECKING])))
		pod_is_ready(s, p, now_us);
	while ((p = first_of(&s->pods[POD_WITHDRAWN])))
		scale_remove(s, p, now_us);
}

/* Its port takes no connections: its process has ended, and with it every job whose connection is
 * broken. A connection that still stands may yet bring its answer (a server that shuts down
 * gracefully stops listening first). */
static void on_refused(struct service *s, struct pod *p, int64_t now_us)
{
	free_doubtful(s, p, SLOT_QUARANTINED, true, now_us);
	free_doubtful(s, p, SLOT_CONFIRMING, true, now_us);
	if (p->state == POD_ABSENT)
		pod_settle(s, p, now_us);
	else if (p->state == POD_WITHDRAWN && pod_is_idle(p))
		scale_remove(s, p, now_us);
	else if (!p->slot_counts[SLOT_QUARANTINED])
		pod_is_away(s, p, now_us);
}

static void on_idle_answer(struct service *s, struct pod *p, bool is_idle, int64_t now_us)
{
	p->idle_answers = is_idle && !p->interrupts ? p->idle_answers + 1 : 0;
	if (p->idle_answers >= s->config->idle.success_threshold)
		pod_is_known_idle(s, p, now_us);
	else
		pod_watch(s, p, now_us);
}

static const char *answer_text(const struct pod *p, enum pod_answer answer)
{
	if (answer == ANSWER_REFUSED)
		return "its port takes no connections";
	if (p->question_is_check)
		return answer == ANSWER_YES ? "idle" : "not idle, or no answer to the idle check";
	return answer == ANSWER_YES ? "ready" : "not ready: the readiness check failed";
}

void service_pod_answered(struct service *s, uint64_t pod, uint64_t question,
			  enum pod_answer answer, int64_t now_us)
{
	struct pod *p = table_get(&s->pod_ids, pod);
	if (!p || !question || p->question != question)
		return;
	p->question = 0;
	p->last_answer = answer_text(p, answer);
	if (answer == ANSWER_REFUSED) {
		uint64_t id = p->id;
		on_refused(s, p, now_us);
		p = table_get(&s->pod_ids, id);
		if (p)
			pod_watch(s, p, now_us);
	} else if (p->question_is_check) {
		on_idle_answer(s, p, answer == ANSWER_YES, now_us);
	} else if (answer == ANSWER_YES && (p->state == POD_STARTING || p->state == POD_EJECTED)) {
		pod_is_ready(s, p, now_us);
	} else {
		pod_watch(s, p, now_us);
	}
}
