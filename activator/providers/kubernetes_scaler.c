/* How many replicas, and which pods go. */
#include "activator/providers/kubernetes_scaler.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define COST "controller.kubernetes.io/pod-deletion-cost"

enum { STATUS_NOT_FOUND = 404, STATUS_CONFLICT = 409, STATUS_FORBIDDEN = 403 };

static const int64_t TIMEOUT_US = 10 * US_PER_S;
static const int64_t BATCH_US = 100 * US_PER_MS; /* removals that come together go together */
static const int64_t POLL_US = 15 * US_PER_S;	 /* somebody else may write replicas too */
static const int64_t LOOK_US = 3 * US_PER_S;	 /* why pods that should be there are not */
static const int64_t DOOM_US = 30 * US_PER_S;	 /* for a pod that is told to go */
static const int64_t REST_US = 250 * US_PER_MS, REST_MAX_US = 15 * US_PER_S;

static void run(void *owner);

static int64_t now_of(const struct kube_scaler *s)
{
	return loop_now_us(s->loop);
}

void kube_scaler_wake(struct kube_scaler *s)
{
	loop_defer(s->loop, &s->task);
}

/* --- what came of a step --------------------------------------------------------------------- */

static void fail(struct kube_scaler *s, const char *why)
{
	int64_t us = REST_US;
	for (int i = 0; i < s->failures && us < REST_MAX_US; i++)
		us *= 2;
	if (strcmp(s->why, why) != 0)
		log_warn("%s: scaling: %s", s->fleet->label, why);
	s->failures++;
	snprintf(s->why, sizeof(s->why), "%s", why);
	s->rest_until_us = now_of(s) + (us < REST_MAX_US ? us : REST_MAX_US);
	s->is_writing = false;
}

static void succeed(struct kube_scaler *s)
{
	s->failures = 0;
	s->why[0] = '\0';
}

static void done(struct kube_scaler *s)
{
	s->changed(s->owner);
	kube_scaler_wake(s);
}

static void call(struct kube_scaler *s, const struct kube_request *r, http_client_fn *fn)
{
	s->exchange = kube_client_send(s->client, r, fn, s);
	if (!s->exchange)
		fail(s, "no memory, or no API server, to ask");
}

/* --- what there is --------------------------------------------------------------------------- */

/* May be deleted without harm: the ledger gives it no work, now or ever. */
static bool is_leaving(const struct kube_member *m)
{
	return kube_member_exists(m) && (m->is_removing || !m->id);
}

/* "sd-12" is the 13th; -1: it has no ordinal. */
static int64_t ordinal(const struct kube_member *m)
{
	const char *dash = strrchr(m->pod.meta.name, '-');
	char *end;
	long n = dash ? strtol(dash + 1, &end, 10) : -1;
	return dash && dash[1] && !*end && n >= 0 && n < INT32_MAX ? n : -1;
}

/* The fewest replicas at which nobody goes but those that are marked. */
static int64_t least(const struct kube_scaler *s)
{
	int64_t n = 0, highest = -1;
	LIST_EACH(m, &s->fleet->members, struct kube_member, link) {
		if (!kube_member_exists(m) || (is_leaving(m) && (m->is_cheap || s->by_ordinal)))
			continue;
		n++;
		if (ordinal(m) > highest)
			highest = ordinal(m);
	}
	return s->by_ordinal && highest >= n ? highest + 1 : n;
}

static int64_t goal(const struct kube_scaler *s)
{
	int64_t now = s->scale.wanted, low = least(s);
	if (s->wanted >= now)
		return s->wanted;
	if (low < s->wanted)
		low = s->wanted;
	return low < now ? low : now;
}

static int64_t existing(const struct kube_scaler *s)
{
	int64_t n = 0;
	LIST_EACH(m, &s->fleet->members, struct kube_member, link)
		n += kube_member_exists(m);
	return n;
}

static bool is_sick(const struct kube_scaler *s, const struct kube_member *m)
{
	const struct pod *p = service_pod(s->fleet->service, m->id);
	return p && (!pod_is_idle(p) || p->failures > 0);
}

/* --- reading and writing --------------------------------------------------------------------- */

static void on_written(void *owner, const struct http_client_result *result)
{
	struct kube_scaler *s = owner;
	struct kube_answer a;
	struct kube_scale now;
	int64_t before = s->scale.wanted;
	s->exchange = NULL;
	s->is_writing = false;
	kube_answer_read(s->client, result, &a);
	if (a.status == STATUS_CONFLICT) {
		s->conflicts++;
		s->is_writing = true; /* read again, and write that */
	} else if (kube_answer_is_good(&a) && kube_scale_read(a.document, &now)) {
		s->scale = now;
		s->writes++;
		s->wrote_us = now_of(s);
		succeed(s);
		log_info("%s: replicas %" PRId64 " -> %" PRId64, s->fleet->label, before,
			 now.wanted);
		LIST_EACH(m, &s->fleet->members, struct kube_member, link)
			if (now.wanted < before && is_leaving(m) && m->is_cheap && !m->doomed_us)
				m->doomed_us = now_of(s);
	} else {
		fail(s, a.why[0] ? a.why : "the answer to a new scale is none");
	}
	json_free(a.document);
	done(s);
}

static void write_scale(struct kube_scaler *s, int64_t replicas)
{
	struct str path, body;
	str_init(&path);
	str_init(&body);
	str_printf(&path, "%s/scale", s->workload.at);
	str_printf(&body,
		   "{\"apiVersion\":\"autoscaling/v1\",\"kind\":\"Scale\",\"metadata\":{\"name\":"
		   "\"%s\",\"namespace\":\"%s\",\"resourceVersion\":\"%s\"},\"spec\":{\"replicas\":"
		   "%" PRId64 "}}",
		   s->scale.meta.name, s->client->access.name_space.at, s->scale.meta.version,
		   replicas);
	struct kube_request r = {.method = "PUT",
				 .path = path.at,
				 .body = {body.at, body.len},
				 .content_type = KUBE_JSON,
				 .timeout_us = TIMEOUT_US};
	if (path.failed || body.failed)
		fail(s, "no memory to write the scale");
	else
		call(s, &r, on_written);
	str_release(&path);
	str_release(&body);
}

static void on_read(void *owner, const struct http_client_result *result)
{
	struct kube_scaler *s = owner;
	struct kube_answer a;
	struct kube_scale now;
	s->exchange = NULL;
	kube_answer_read(s->client, result, &a);
	s->has_looked |= a.status > 0;
	s->read_us = now_of(s);
	if (kube_answer_is_good(&a) && kube_scale_read(a.document, &now)) {
		s->scale = now;
		s->knows_scale = true;
		succeed(s);
		if (s->is_writing && s->is_writer && s->wanted >= 0 && goal(s) != now.wanted) {
			write_scale(s, goal(s));
			json_free(a.document);
			return;
		}
		s->is_writing = false;
	} else {
		fail(s, a.why[0] ? a.why : "the scale that was asked for is none");
	}
	json_free(a.document);
	done(s);
}

static void read_scale(struct kube_scaler *s)
{
	struct str path;
	str_init(&path);
	str_printf(&path, "%s/scale", s->workload.at);
	struct kube_request r = {.path = path.at, .timeout_us = TIMEOUT_US};
	if (path.failed)
		fail(s, "no memory to read the scale");
	else
		call(s, &r, on_read);
	str_release(&path);
}

static void on_looked(void *owner, const struct http_client_result *result)
{
	struct kube_scaler *s = owner;
	struct kube_answer a;
	s->exchange = NULL;
	kube_answer_read(s->client, result, &a);
	if (kube_answer_is_good(&a))
		kube_workload_trouble(a.document, s->stuck);
	json_free(a.document);
	done(s);
}

/* --- single pods ----------------------------------------------------------------------------- */

static struct kube_member *member_at_work(const struct kube_scaler *s)
{
	return map_get(&s->fleet->by_uid, s->uid);
}

static void on_marked(void *owner, const struct http_client_result *result)
{
	struct kube_scaler *s = owner;
	struct kube_member *m = member_at_work(s);
	struct kube_answer a;
	s->exchange = NULL;
	kube_answer_read(s->client, result, &a);
	bool is_over = a.status == STATUS_NOT_FOUND;
	if (a.status == STATUS_FORBIDDEN)
		log_warn("%s: %s cannot be marked to be deleted first, another one may go: %s",
			 s->fleet->label, m ? m->pod.meta.name : "a pod", a.why);
	if (kube_answer_is_good(&a) || is_over || a.status == STATUS_FORBIDDEN) {
		if (m)
			m->is_cheap = s->makes_cheap;
		succeed(s);
	} else {
		fail(s, a.why);
	}
	json_free(a.document);
	done(s);
}

static void on_deleted(void *owner, const struct http_client_result *result)
{
	struct kube_scaler *s = owner;
	struct kube_answer a;
	s->exchange = NULL;
	kube_answer_read(s->client, result, &a);
	s->deletions += kube_answer_is_good(&a);
	if (!a.status || a.status >= 500)
		fail(s, a.why);
	else if (a.status == STATUS_FORBIDDEN)
		log_warn("%s: a pod that is no good any more cannot be deleted: %s",
			 s->fleet->label, a.why);
	json_free(a.document);
	done(s);
}

static void send_to_pod(struct kube_scaler *s, struct kube_member *m, const char *method,
			const char *type, const char *body, http_client_fn *fn)
{
	struct str path;
	str_init(&path);
	snprintf(s->uid, sizeof(s->uid), "%s", m->pod.meta.uid);
	str_printf(&path, "/api/v1/namespaces/%s/pods/%s", s->client->access.name_space.at,
		   m->pod.meta.name);
	struct kube_request r = {.method = method,
				 .path = path.at,
				 .body = slice_of(body),
				 .content_type = type,
				 .timeout_us = TIMEOUT_US};
	if (path.failed)
		fail(s, "no memory to ask");
	else
		call(s, &r, fn);
	str_release(&path);
}

static void mark(struct kube_scaler *s, struct kube_member *m, bool cheap)
{
	char body[KUBE_UID_BYTES + 200];
	s->makes_cheap = cheap;
	/* The uid makes it a conflict when another pod has the name by now. */
	snprintf(body, sizeof(body),
		 "{\"metadata\":{\"uid\":\"%s\",\"annotations\":{\"" COST "\":%s}}}",
		 m->pod.meta.uid, cheap ? "\"-1000\"" : "null");
	send_to_pod(s, m, "PATCH", KUBE_MERGE_PATCH, body, on_marked);
}

static void delete_pod(struct kube_scaler *s, struct kube_member *m)
{
	char body[KUBE_UID_BYTES + 200];
	m->asked_us = now_of(s);
	log_warn("%s: deleting pod %s: it is not known to have stopped, or fails again and again",
		 s->fleet->label, m->pod.meta.name);
	snprintf(body, sizeof(body),
		 "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"preconditions\":{\"uid\":"
		 "\"%s\"}}",
		 m->pod.meta.uid);
	send_to_pod(s, m, "DELETE", KUBE_JSON, body, on_deleted);
}

/* --- what to do next ------------------------------------------------------------------------- */

/* As many as were to go have gone, and it is still there: another one went in its place. */
static bool was_spared(const struct kube_scaler *s, const struct kube_member *m)
{
	return m->doomed_us &&
	       (existing(s) <= s->scale.wanted || now_of(s) - m->doomed_us > DOOM_US);
}

/* Those that were to go and may stay: more are wanted again, or another pod went instead. */
static bool revive(struct kube_scaler *s)
{
	int64_t stay = 0, now = now_of(s);
	bool any = false;
	LIST_EACH(m, &s->fleet->members, struct kube_member, link)
		stay += kube_member_stays(m);
	LIST_EACH(m, &s->fleet->members, struct kube_member, link) {
		bool is_doomed = m->doomed_us && !was_spared(s, m);
		if (!kube_member_exists(m) || !m->is_removing || is_doomed || is_sick(s, m) ||
		    stay >= s->wanted || !kube_fleet_revive(s->fleet, m, now))
			continue;
		stay++;
		any = true;
	}
	return any;
}

/* Sick, and not one too many. NULL: there is none. */
static struct kube_member *to_delete(const struct kube_scaler *s)
{
	int64_t stay = 0, now = now_of(s);
	LIST_EACH(m, &s->fleet->members, struct kube_member, link)
		stay += kube_member_stays(m);
	LIST_EACH(m, &s->fleet->members, struct kube_member, link) {
		bool is_due = !m->asked_us || now - m->asked_us > DOOM_US;
		if (kube_member_exists(m) && m->is_removing && is_due && is_sick(s, m) &&
		    (stay < s->wanted || was_spared(s, m)))
			return m;
	}
	return NULL;
}

static struct kube_member *to_mark(const struct kube_scaler *s)
{
	LIST_EACH(m, &s->fleet->members, struct kube_member, link)
		if (is_leaving(m) && !m->is_cheap)
			return m;
	return NULL;
}

static struct kube_member *to_unmark(const struct kube_scaler *s)
{
	LIST_EACH(m, &s->fleet->members, struct kube_member, link)
		if (kube_member_exists(m) && m->is_cheap && !is_leaving(m))
			return m;
	return NULL;
}

static bool is_short_of_pods(const struct kube_scaler *s)
{
	return s->knows_scale && s->scale.wanted > existing(s) && s->fleet->pods_are_synced;
}

static void look(struct kube_scaler *s)
{
	struct kube_request r = {.path = s->workload.at, .timeout_us = TIMEOUT_US};
	s->looked_us = now_of(s);
	call(s, &r, on_looked);
}

/* Fewer: first those that may go are marked, and only then it is written. */
static bool lower(struct kube_scaler *s)
{
	if (s->wanted >= s->scale.wanted)
		return false;
	if (now_of(s) < s->lower_at_us) {
		timer_set(&s->timer, s->lower_at_us);
		return true;
	}
	struct kube_member *m = s->by_ordinal ? NULL : to_mark(s);
	if (m)
		mark(s, m, true);
	else if (goal(s) < s->scale.wanted)
		s->is_writing = true;
	return m != NULL;
}

static bool write(struct kube_scaler *s)
{
	struct kube_member *m;
	if (lower(s))
		return true;
	if (!s->is_writing && s->wanted <= s->scale.wanted) {
		m = to_unmark(s);
		if (m)
			mark(s, m, false);
		return m != NULL;
	}
	s->is_writing = true;
	read_scale(s);
	return true;
}

/* One step, or the time of the next. */
static void run(void *owner)
{
	struct kube_scaler *s = owner;
	int64_t now = now_of(s);
	if (!s->is_on || s->exchange)
		return;
	if (now < s->rest_until_us) {
		timer_set(&s->timer, s->rest_until_us);
		return;
	}
	if (!s->knows_scale || now - s->read_us >= POLL_US) {
		read_scale(s);
	} else if (s->wanted >= 0) {
		if (revive(s))
			s->changed(s->owner);
		struct kube_member *sick = to_delete(s);
		if (sick) {
			delete_pod(s, sick);
			return;
		}
		if (s->is_writer && write(s))
			return;
	}
	if (!s->exchange && is_short_of_pods(s) && now - s->looked_us >= LOOK_US)
		look(s);
	if (!is_short_of_pods(s))
		s->stuck[0] = '\0';
	timer_set(&s->timer, now + (is_short_of_pods(s) ? LOOK_US : POLL_US));
}

/* --- from outside ---------------------------------------------------------------------------- */

void kube_scaler_want(struct kube_scaler *s, int64_t replicas)
{
	s->wanted = replicas;
	kube_scaler_wake(s);
}

void kube_scaler_remove(struct kube_scaler *s, struct kube_member *m)
{
	m->is_removing = true;
	s->lower_at_us = now_of(s) + BATCH_US;
	kube_scaler_wake(s);
}

bool kube_scaler_init(struct kube_scaler *s, struct loop *loop, struct kube_client *client,
		      struct kube_fleet *fleet, void (*changed)(void *owner), void *owner)
{
	*s = (struct kube_scaler){.client = client,
				  .fleet = fleet,
				  .loop = loop,
				  .wanted = -1,
				  .changed = changed,
				  .owner = owner};
	str_init(&s->workload);
	task_init(&s->task, run, s);
	return timer_init(&s->timer, loop, run, s);
}

void kube_scaler_stop(struct kube_scaler *s)
{
	s->is_on = false;
	http_client_cancel(s->exchange);
	s->exchange = NULL;
	timer_clear(&s->timer);
	task_cancel(&s->task);
}

void kube_scaler_release(struct kube_scaler *s)
{
	kube_scaler_stop(s);
	timer_release(&s->timer);
	str_release(&s->workload);
}

void kube_scaler_configure(struct kube_scaler *s, const struct kubernetes_pods_config *c,
			   const char *name_space)
{
	const char *name = c->scale_name ? c->scale_name : c->service;
	bool is_core = !c->scale_group[0];
	kube_scaler_stop(s);
	str_clear(&s->workload);
	str_printf(&s->workload, "/%s%s/%s/namespaces/%s/%s/%s", is_core ? "api" : "apis/",
		   c->scale_group, c->scale_version, name_space, c->scale_resource, name);
	s->by_ordinal = strcmp(c->scale_resource, "statefulsets") == 0;
	s->is_on = !s->workload.failed;
	s->knows_scale = false;
	s->rest_until_us = 0;
	kube_scaler_wake(s);
}
