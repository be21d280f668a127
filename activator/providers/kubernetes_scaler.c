/* How many replicas, and which pods go. */
#include "activator/providers/kubernetes_scaler.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum { STATUS_NOT_FOUND = 404, STATUS_CONFLICT = 409, STATUS_FORBIDDEN = 403 };

static const int64_t TIMEOUT_US = 10 * US_PER_S;
static const int64_t BATCH_US = 100 * US_PER_MS; /* removals that come together go together */
static const int64_t POLL_US = 15 * US_PER_S;	 /* somebody else may write replicas too */
static const int64_t LOOK_US = 3 * US_PER_S;	 /* why pods that should be there are not */
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

/* What the API does not know at all, it does not name either. */
static void fail_with(struct kube_scaler *s, const struct kube_answer *a, const char *otherwise)
{
	char why[KUBE_WHY_BYTES];
	if (a->status == STATUS_NOT_FOUND)
		snprintf(why, sizeof(why),
			 "nothing to scale at %.170s (see pods.kubernetes.scale): %.150s",
			 s->workload.at, a->why);
	else
		snprintf(why, sizeof(why), "%s", a->why[0] ? a->why : otherwise);
	fail(s, why);
	kube_answer_note_refusal(a, &s->refused_us, now_of(s));
}

static void succeed(struct kube_scaler *s)
{
	s->failures = 0;
	s->refused_us = 0;
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

static bool may_write(const struct kube_scaler *s)
{
	return now_of(s) < s->writes_until_us;
}

static void choose(const struct kube_scaler *s, struct kube_choice *c)
{
	kube_choose(s->fleet, s->by_ordinal ? s->first_ordinal : KUBE_BY_MARK, now_of(s), c);
}

static int64_t goal(const struct kube_scaler *s)
{
	struct kube_choice c;
	int64_t now = s->scale.wanted;
	if (s->wanted >= now)
		return s->wanted;
	choose(s, &c);
	int64_t low = c.least > s->wanted ? c.least : s->wanted;
	return low < now ? low : now;
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
		coldstarts_ordered(service_coldstarts(s->fleet->service), now.wanted - before,
				   now_of(s));
	} else {
		fail_with(s, &a, "the answer to a new scale is none");
	}
	json_free(a.document);
	done(s);
}

static void write_scale(struct kube_scaler *s, int64_t replicas)
{
	struct str path, body;
	str_init(&path);
	str_init(&body);
	if (replicas < s->scale.wanted) /* whatever will be known of its outcome */
		kube_choice_lowered(s->fleet, now_of(s));
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
		/* The lease may have run out meanwhile: this process may have stood still. */
		loop_refresh_now(s->loop);
		if (s->is_writing && may_write(s) && s->wanted >= 0 && goal(s) != now.wanted) {
			write_scale(s, goal(s)); /* that says whether it works */
			json_free(a.document);
			return;
		}
		s->is_writing = false;
		succeed(s);
	} else {
		fail_with(s, &a, "the scale that was asked for is none");
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

static void on_events(void *owner, const struct http_client_result *result)
{
	struct kube_scaler *s = owner;
	struct kube_answer a;
	char version[KUBE_VERSION_BYTES] = "", why[KUBE_TEXT_BYTES];
	s->exchange = NULL;
	kube_answer_read(s->client, result, &a);
	s->may_not_see_events = a.status == STATUS_FORBIDDEN;
	if (kube_answer_is_good(&a)) {
		bool any = kube_events_last(a.document, version, why);
		if (!s->knows_event)
			memcpy(s->event, version, sizeof(s->event));
		s->knows_event = true;
		bool is_new = any && strcmp(version, s->event) != 0;
		snprintf(s->stuck, sizeof(s->stuck), "%s", is_new ? why : "");
	}
	json_free(a.document);
	done(s);
}

/* A StatefulSet says in no condition that it cannot create its pods. An old event may be of another
 * time: what counts is that it happens again. */
static void look_at_events(struct kube_scaler *s)
{
	struct str path;
	str_init(&path);
	str_printf(&path, "/api/v1/namespaces/%s/events?limit=100&fieldSelector=",
		   s->client->access.name_space.at);
	str_add_text(&path, "reason%3DFailedCreate%2CinvolvedObject.name%3D");
	kube_add_encoded(&path, strrchr(s->workload.at, '/') + 1);
	struct kube_request r = {.path = path.at, .timeout_us = TIMEOUT_US};
	if (!path.failed)
		s->exchange = kube_client_send(s->client, &r, on_events, s);
	str_release(&path);
}

static void on_looked(void *owner, const struct http_client_result *result)
{
	struct kube_scaler *s = owner;
	struct kube_answer a;
	s->exchange = NULL;
	kube_answer_read(s->client, result, &a);
	bool is_good = kube_answer_is_good(&a);
	char why[KUBE_TEXT_BYTES];
	bool is_told = is_good && kube_workload_trouble(a.document, why);
	/* Where that is not known: too low a number lets fewer go, too high a one would let all. */
	s->first_ordinal = is_good ? kube_workload_first_ordinal(a.document) : 0;
	json_free(a.document);
	if (is_good && !is_told && !s->may_not_see_events)
		look_at_events(s);
	if (s->exchange)
		return;
	if (is_good)
		memcpy(s->stuck, why, sizeof(s->stuck));
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
	bool is_over = a.status == STATUS_NOT_FOUND, is_forbidden = a.status == STATUS_FORBIDDEN;
	if (is_forbidden)
		log_warn("%s: %s cannot be marked to be deleted first, another one may go: %s",
			 s->fleet->label, m ? m->pod.meta.name : "a pod", a.why);
	if (m && is_forbidden) {
		m->is_unmarkable = true;
	} else if (m && kube_answer_is_good(&a)) {
		m->told_cheap = s->makes_cheap;
		m->told_us = now_of(s);
		if (!m->is_listed) /* nobody will tell of it */
			m->pod.is_cheap = s->makes_cheap;
	}
	if (kube_answer_is_good(&a) || is_over || is_forbidden) {
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
	struct kube_member *m = member_at_work(s);
	struct kube_answer a;
	s->exchange = NULL;
	kube_answer_read(s->client, result, &a);
	if (m)
		m->is_undeletable = a.status == STATUS_FORBIDDEN;
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
		 "{\"metadata\":{\"uid\":\"%s\",\"annotations\":{\"" KUBE_COST "\":%s}}}",
		 m->pod.meta.uid, cheap ? "\"" KUBE_CHEAP "\"" : "null");
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

static bool is_short_of_pods(const struct kube_scaler *s)
{
	struct kube_choice c;
	if (!s->knows_scale || !s->fleet->pods_are_synced)
		return false;
	choose(s, &c);
	return s->scale.wanted > c.existing;
}

static void look(struct kube_scaler *s)
{
	struct kube_request r = {.path = s->workload.at, .timeout_us = TIMEOUT_US};
	s->looked_us = now_of(s);
	call(s, &r, on_looked);
}

/* Why there are more than wanted, once for each reason. */
static void tell_in_the_way(struct kube_scaler *s, const struct kube_choice *c)
{
	const struct kube_member *m = goal(s) > s->wanted ? c->in_the_way : NULL;
	bool is_told = m && strcmp(s->in_the_way, m->pod.meta.uid) == 0;
	if (m && !is_told)
		log_info("%s: pod %s may have work and is not Ready to the kubelet, so it would be "
			 "taken before the idle ones: they stay until it is",
			 s->fleet->label, m->pod.meta.name);
	snprintf(s->in_the_way, sizeof(s->in_the_way), "%s", m ? m->pod.meta.uid : "");
}

/* Fewer: first those that may go are marked, and nobody else, and only then it is written. */
static bool lower(struct kube_scaler *s, const struct kube_choice *c)
{
	if (s->wanted >= s->scale.wanted)
		return false;
	if (now_of(s) < s->lower_at_us) {
		timer_set(&s->timer, s->lower_at_us);
		return true;
	}
	if (s->by_ordinal && c->least && now_of(s) - s->looked_us >= LOOK_US) {
		look(s); /* somebody may have given it other ordinals */
		return true;
	}
	if (c->to_mark || c->to_unmark) {
		mark(s, c->to_mark ? c->to_mark : c->to_unmark, c->to_mark != NULL);
		return true;
	}
	tell_in_the_way(s, c);
	s->is_writing |= goal(s) < s->scale.wanted;
	return false;
}

static bool write(struct kube_scaler *s)
{
	struct kube_choice c;
	choose(s, &c);
	if (lower(s, &c))
		return true;
	if (!s->is_writing && s->wanted <= s->scale.wanted) {
		if (c.to_unmark)
			mark(s, c.to_unmark, false);
		return c.to_unmark != NULL;
	}
	s->is_writing = true;
	read_scale(s);
	return true;
}

/* Where somebody else scales, all that there are may stay; else as many as are wanted. */
static bool mend(struct kube_scaler *s)
{
	int64_t wanted = s->scales ? s->wanted : INT64_MAX;
	int64_t scale = s->scales ? s->scale.wanted : INT64_MAX;
	if (kube_choice_revive(s->fleet, wanted, scale, now_of(s)))
		s->changed(s->owner);
	struct kube_member *sick = kube_choice_sick(s->fleet, wanted, now_of(s));
	if (sick)
		delete_pod(s, sick);
	return sick != NULL;
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
	if (s->scales && (!s->knows_scale || now - s->read_us >= POLL_US))
		read_scale(s);
	else if ((!s->scales || s->wanted >= 0) && mend(s))
		return;
	else if (s->wanted >= 0 && may_write(s) && write(s))
		return;
	bool is_short = is_short_of_pods(s);
	if (!s->exchange && is_short && now - s->looked_us >= LOOK_US)
		look(s);
	if (!is_short) {
		s->stuck[0] = '\0';
		s->knows_event = false;
	}
	timer_set(&s->timer, now + (is_short ? LOOK_US : POLL_US));
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
	s->scales = c->scales;
	str_clear(&s->workload);
	str_printf(&s->workload, "/%s%s/%s/namespaces/%s/%s/%s", is_core ? "api" : "apis/",
		   c->scale_group, c->scale_version, name_space, c->scale_resource, name);
	s->by_ordinal = strcmp(c->scale_resource, "statefulsets") == 0;
	s->is_on = !s->workload.failed;
	s->knows_scale = false;
	s->rest_until_us = 0;
	kube_scaler_wake(s);
}
