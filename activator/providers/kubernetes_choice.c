/* Who goes, and who may stay after all. */
#include "activator/providers/kubernetes_choice.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static const int64_t TOLD_US = 5 * US_PER_S;  /* for what was told to be heard from the API again */
static const int64_t SPARE_US = 1 * US_PER_S; /* for controllers to have done what they are at */
static const int64_t DOOM_US = 30 * US_PER_S; /* for a pod that is told to go */

/* May be deleted without harm: the ledger gives it no work. */
static bool is_leaving(const struct kube_member *m)
{
	return m->is_removing || !m->id;
}

/* "sd-12" is the 13th; -1: it has no ordinal. */
static int64_t ordinal(const struct kube_member *m)
{
	const char *dash = strrchr(m->pod.meta.name, '-');
	char *end;
	long n = dash ? strtol(dash + 1, &end, 10) : -1;
	return dash && dash[1] && !*end && n >= 0 && n < INT32_MAX ? n : -1;
}

/* --- marks ----------------------------------------------------------------------------------- */

/* What the mark is, or will be once what was told is heard from the API. */
static bool is_cheap(const struct kube_member *m, int64_t now_us)
{
	bool is_told = m->told_us && now_us - m->told_us < TOLD_US;
	return is_told ? m->told_cheap : m->pod.is_cheap;
}

static bool is_settled(const struct kube_member *m, bool cheap, int64_t now_us)
{
	return m->is_unmarkable || (m->pod.is_cheap == cheap && is_cheap(m, now_us) == cheap);
}

static bool is_to_be_told(const struct kube_member *m, bool cheap, int64_t now_us)
{
	return !m->is_unmarkable && is_cheap(m, now_us) != cheap;
}

/* --- fewer ----------------------------------------------------------------------------------- */

/* What those that may have work say; the lowest rank of them. */
static enum kube_rank look_at_staying(const struct kube_fleet *f, int64_t now_us,
				      struct kube_choice *c, bool *is_clean, int64_t *highest)
{
	enum kube_rank lowest = KUBE_READY;
	*is_clean = true;
	*highest = -1;
	LIST_EACH(m, &f->members, struct kube_member, link) {
		if (!kube_member_exists(m))
			continue;
		c->existing++;
		c->staying += !m->is_removing;
		if (is_leaving(m))
			continue;
		c->least++;
		*is_clean &= is_settled(m, false, now_us);
		if (!c->to_unmark && is_to_be_told(m, false, now_us))
			c->to_unmark = m;
		if (ordinal(m) > *highest)
			*highest = ordinal(m);
		if (m->pod.rank >= lowest)
			continue;
		lowest = m->pod.rank;
		c->in_the_way = m;
	}
	return lowest;
}

void kube_choose(const struct kube_fleet *f, int64_t first_ordinal, int64_t now_us,
		 struct kube_choice *c)
{
	bool is_clean;
	int64_t highest;
	*c = (struct kube_choice){0};
	enum kube_rank lowest = look_at_staying(f, now_us, c, &is_clean, &highest);
	if (!c->least)
		return; /* all may go */
	if (first_ordinal != KUBE_BY_MARK) {
		int64_t reach = highest + 1 - first_ordinal;
		c->least = reach > c->least ? reach : c->least;
		c->to_unmark = NULL;
		c->in_the_way = NULL;
		return;
	}
	LIST_EACH(m, &f->members, struct kube_member, link) {
		if (!kube_member_exists(m) || !is_leaving(m))
			continue;
		bool goes_first = m->pod.rank <= lowest;
		if (goes_first && !c->to_mark && is_to_be_told(m, true, now_us))
			c->to_mark = m;
		c->least += !goes_first || !is_settled(m, true, now_us);
	}
	if (!is_clean)
		c->least = c->existing;
}

void kube_choice_lowered(struct kube_fleet *f, int64_t now_us)
{
	LIST_EACH(m, &f->members, struct kube_member, link)
		if (kube_member_exists(m) && is_leaving(m) && !m->doomed_us)
			m->doomed_us = now_us;
}

/* --- those that may stay --------------------------------------------------------------------- */

static bool is_sick(const struct kube_fleet *f, const struct kube_member *m)
{
	const struct pod *p = service_pod(f->service, m->id);
	return p && (!pod_is_idle(p) || (p->failures > 0 && !m->is_undeletable));
}

/* As many as were to go have gone, and these are still there: others went in their place. */
static bool spare(struct kube_fleet *f, int64_t existing, int64_t scale, int64_t now_us)
{
	bool any = false;
	LIST_EACH(m, &f->members, struct kube_member, link) {
		int64_t for_us = now_us - m->doomed_us;
		if (!m->doomed_us || for_us < SPARE_US || (existing > scale && for_us < DOOM_US))
			continue;
		m->doomed_us = 0;
		any = true;
	}
	return any;
}

bool kube_choice_revive(struct kube_fleet *f, int64_t wanted, int64_t scale, int64_t now_us)
{
	struct kube_choice c;
	kube_choose(f, KUBE_BY_MARK, now_us, &c);
	bool any = spare(f, c.existing, scale, now_us);
	LIST_EACH(m, &f->members, struct kube_member, link) {
		if (!kube_member_exists(m) || !m->is_removing || m->doomed_us || is_sick(f, m) ||
		    c.staying >= wanted || !kube_fleet_revive(f, m, now_us))
			continue;
		c.staying++;
		any = true;
	}
	return any;
}

struct kube_member *kube_choice_sick(const struct kube_fleet *f, int64_t wanted, int64_t now_us)
{
	int64_t stay = 0;
	LIST_EACH(m, &f->members, struct kube_member, link)
		stay += kube_member_exists(m) && !m->is_removing;
	LIST_EACH(m, &f->members, struct kube_member, link) {
		bool is_due = !m->asked_us || now_us - m->asked_us > DOOM_US;
		if (kube_member_exists(m) && m->is_removing && is_due && is_sick(f, m) &&
		    stay < wanted)
			return m;
	}
	return NULL;
}
