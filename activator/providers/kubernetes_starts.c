/* Cold starts as Kubernetes tells of them. */
#include "activator/providers/kubernetes_starts.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* --- single words ---------------------------------------------------------------------------- */

struct word {
	int64_t at_us;
	enum coldstart_rank rank;
};

static struct word word_of(const struct kube_moment *m, struct kube_heard heard)
{
	struct word w = {COLDSTART_UNKNOWN, m->is_exact ? COLDSTART_EXACT : COLDSTART_STAMP};
	int64_t at_us = m->at_us;
	if (!at_us)
		return w;
	if (!m->is_exact && heard.is_fresh && heard.wall_us >= at_us &&
	    heard.wall_us < at_us + US_PER_S)
		at_us = heard.wall_us;
	w.at_us = at_us - heard.wall_us + heard.now_us;
	return w;
}

static void set(struct coldstart *c, enum coldstart_mark mark, const struct kube_moment *m,
		struct kube_heard heard)
{
	struct word w = word_of(m, heard);
	coldstart_set(c, mark, w.at_us, w.rank);
}

/* It is done when the last part is; what is not to be relied on is a hint. */
static void set_part(struct coldstart *c, enum coldstart_mark mark, const struct kube_moment *m,
		     bool is_hint, struct kube_heard heard)
{
	struct word w = word_of(m, heard);
	coldstart_set_last(c, mark, w.at_us, is_hint ? COLDSTART_HINT : w.rank);
}

/* --- a pod ----------------------------------------------------------------------------------- */

void kube_start_set_pod(struct coldstart *c, const struct kube_times *t, struct kube_heard heard)
{
	coldstart_restarted(c, t->restarts);
	set(c, COLDSTART_CREATED, &t->created, heard);
	set(c, COLDSTART_SCHEDULED, &t->scheduled, heard);
	if (t->has_init)
		set_part(c, COLDSTART_PREPARED, &t->initialized, false, heard);
	else
		set_part(c, COLDSTART_PREPARED, &t->sandboxed, true, heard);
	set(c, COLDSTART_STARTED, &t->started, heard);
	if (t->node[0])
		snprintf(c->node, sizeof(c->node), "%.*s", (int)sizeof(c->node) - 1, t->node);
}

/* --- an Event -------------------------------------------------------------------------------- */

static bool has_reason(const struct kube_report *r, const char *reason)
{
	return strcmp(r->reason, reason) == 0;
}

/* Karpenter nominates pods for nodes that are there, too. */
static bool asks_for_node(const struct kube_report *r)
{
	return has_reason(r, "TriggeredScaleUp") ||
	       (has_reason(r, "Nominated") && strstr(r->message, "nodeclaim/") &&
		!strstr(r->message, " node/"));
}

static void set_pulled(struct coldstart *c, const struct kube_report *r, struct kube_heard heard)
{
	if (strstr(r->message, "already present on machine")) {
		set(c, COLDSTART_PULLING, &r->at, heard); /* there was nothing to do */
		c->image_was_there = true;
	}
	set(c, COLDSTART_PULLED, &r->at, heard);
	if (r->image_bytes)
		c->image_bytes = r->image_bytes;
}

void kube_start_set_report(struct coldstart *c, const struct kube_report *r, const char *container,
			   struct kube_heard heard)
{
	bool is_ours = !r->of_init && (!r->container[0] || strcmp(r->container, container) == 0);
	if (r->is_warning)
		snprintf(c->why, sizeof(c->why), "%.30s: %.80s", r->reason, r->message);
	if (asks_for_node(r))
		set(c, COLDSTART_TRIGGERED, &r->at, heard);
	else if (has_reason(r, "Scheduled"))
		set(c, COLDSTART_SCHEDULED, &r->at, heard);
	else if (has_reason(r, "SuccessfulMountVolume"))
		set_part(c, COLDSTART_PREPARED, &r->at, false, heard);
	else if (has_reason(r, "SuccessfulAttachVolume"))
		set_part(c, COLDSTART_PREPARED, &r->at, true, heard);
	else if (is_ours && has_reason(r, "Pulling"))
		set(c, COLDSTART_PULLING, &r->at, heard);
	else if (is_ours && has_reason(r, "Pulled"))
		set_pulled(c, r, heard);
	else if (is_ours && has_reason(r, "Started") && !c->restarts)
		set(c, COLDSTART_STARTED, &r->at, heard);
}

/* --- a service's pods ------------------------------------------------------------------------ */

static struct kube_heard heard_now(const struct kube_starts *s, bool is_fresh)
{
	int64_t now_us = loop_now_us(s->loop); /* this turn may have lasted a while */
	return (struct kube_heard){now_us, clock_wall_us() - (clock_now_us() - now_us), is_fresh};
}

static struct coldstarts *all_of(const struct kube_starts *s)
{
	return service_coldstarts(s->fleet->service);
}

/* The number of its port, as far as it is known by now. */
static int port_of(const struct kube_starts *s, const struct kube_pod *pod)
{
	const struct kube_fleet *f = s->fleet;
	const struct kube_service_port *port =
		f->knows_service ? kube_service_port(&f->about, f->port_name) : NULL;
	if (f->target_port)
		return f->target_port;
	return port ? kube_pod_port(pod, port) : 0;
}

static void catch_up(struct kube_starts *s, struct coldstart *c, const struct kube_times *t)
{
	for (size_t i = 0; i < KUBE_REPORTS_KEPT; i++) {
		struct kube_report *r = &s->reports[i];
		if (strcmp(r->uid, c->key) != 0)
			continue;
		kube_start_set_report(c, r, t->container, heard_now(s, false));
		r->uid[0] = '\0';
	}
}

/* Of one that has come up before it was seen, nobody knows how. */
static bool comes_up(const struct kube_pod *pod, const struct kube_times *t)
{
	return !t->is_ready && !t->was_ready && !t->restarts && !pod->has_ended &&
	       !pod->meta.is_deleted;
}

static struct coldstart *begin(struct kube_starts *s, const struct kube_pod *pod,
			       const struct kube_times *t, struct kube_heard heard)
{
	struct coldstart *c = coldstarts_begin(all_of(s), pod->meta.uid, pod->meta.name,
					       COLDSTART_OF_KUBERNETES, heard.now_us);
	if (!c)
		return NULL;
	kube_start_set_pod(c, t, heard);
	int64_t created_us = c->at_us[COLDSTART_CREATED];
	/* One that a list names may have been there before the order, within the same second. */
	if (created_us != COLDSTART_UNKNOWN)
		service_start_comes(s->fleet->service, c,
				    created_us - (heard.is_fresh ? 0 : COLDSTART_SLACK_US));
	catch_up(s, c, t);
	return c;
}

void kube_starts_pod(struct kube_starts *s, const struct json *object, bool is_new, bool is_fresh)
{
	struct kube_heard heard = heard_now(s, is_fresh);
	struct kube_pod pod;
	struct kube_times t;
	if (!kube_pod_read(object, &pod) || !kube_times_read(object, port_of(s, &pod), &t))
		return;
	struct coldstart *c = coldstarts_by_key(all_of(s), pod.meta.uid);
	struct kube_member *m = map_get(&s->fleet->by_uid, pod.meta.uid);
	if (m)
		memcpy(m->container, t.container, sizeof(m->container));
	if (c)
		kube_start_set_pod(c, &t, heard);
	else if (is_new && m && comes_up(&pod, &t))
		c = begin(s, &pod, &t, heard);
	if (!c)
		return;
	if (pod.meta.is_deleted || pod.has_ended) {
		kube_fleet_gives_up(s->fleet, pod.meta.uid);
		return;
	}
	if (pod.trouble != KUBE_NO_TROUBLE)
		snprintf(c->why, sizeof(c->why), "%.*s", (int)sizeof(c->why) - 1, pod.why);
	if (m && m->id) /* it was taken over with its pod */
		service_pod_starts(s->fleet->service, m->id, c);
}

/* --- Events ---------------------------------------------------------------------------------- */

static void nothing(void *owner)
{
	(void)owner;
}

static void nothing_gone(void *owner, const struct json *object)
{
	(void)owner, (void)object;
}

static const char *container_of(const struct kube_starts *s, const char *uid)
{
	const struct kube_member *m = map_get(&s->fleet->by_uid, uid);
	return m ? m->container : "";
}

static void put_report(void *owner, const struct json *object)
{
	struct kube_starts *s = owner;
	struct kube_report r;
	if (!kube_report_read(object, &r))
		return;
	struct coldstart *c = coldstarts_by_key(all_of(s), r.uid);
	if (c)
		kube_start_set_report(c, &r, container_of(s, r.uid),
				      heard_now(s, s->events.watch.state == KUBE_FOLLOWING));
	else if (!map_get(&s->fleet->by_uid, r.uid))
		s->reports[s->report_count++ % KUBE_REPORTS_KEPT] = r;
}

static void on_changed(void *owner)
{
	struct kube_starts *s = owner;
	bool is_refused = s->events.watch.failures > 0 && !s->events.watch.is_synced;
	if (is_refused && !s->was_told)
		log_info("%s: Events cannot be read, so of cold starts only they tell of stays "
			 "unknown: %s",
			 s->fleet->label, s->events.watch.why);
	s->was_told |= is_refused;
}

static const struct kube_sink sink = {nothing, put_report, nothing_gone, nothing};

bool kube_starts_init(struct kube_starts *s, struct loop *loop, struct kube_client *client,
		      struct kube_fleet *fleet)
{
	s->fleet = fleet;
	s->loop = loop;
	return kube_follower_init(&s->events, loop, client, &sink, on_changed, s);
}

void kube_starts_release(struct kube_starts *s)
{
	kube_follower_release(&s->events);
}
