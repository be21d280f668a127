/* Cold starts out of a file. */
#include "gateway/command/coldstarts_replay.h"

#include <stdio.h>
#include <string.h>

#include "activator/providers/kubernetes_starts.h"
#include "gateway/admin/coldstarts_json.h"

/* The file's times are the marks'. */
static const struct kube_heard as_said = {0, 0, false};

struct replay {
	struct coldstarts starts;
	size_t pods, events, left_out;
	int64_t last_us;
};

/* A list's items need not say what the list is of. */
static bool is_kind(const struct json *item, const struct json *list, const char *kind)
{
	const char *own = json_text(json_get(item, "kind")),
		   *all = json_text(json_get(list, "kind"));
	size_t n = strlen(kind);
	if (own)
		return strcmp(own, kind) == 0;
	return all && strncmp(all, kind, n) == 0 && strcmp(all + n, "List") == 0;
}

static struct coldstart *begin(struct replay *r, const char *uid, const char *pod)
{
	struct coldstart *c =
		coldstarts_begin(&r->starts, uid, pod, COLDSTART_OF_KUBERNETES, COLDSTART_UNKNOWN);
	r->left_out += !c;
	return c;
}

/* There is no slotgate that could have asked it: ready is when its kubelet said so. */
static void take_pod(struct replay *r, const struct json *object)
{
	struct kube_pod pod;
	struct kube_times t;
	if (!kube_pod_read(object, &pod) || !kube_times_read(object, 0, &t))
		return;
	struct coldstart *c = begin(r, pod.meta.uid, pod.meta.name);
	r->pods++;
	if (!c)
		return;
	kube_start_set_pod(c, &t, as_said);
	if (t.is_ready && t.ready.at_us)
		coldstart_set(c, COLDSTART_READY, t.ready.at_us,
			      t.ready.is_exact ? COLDSTART_EXACT : COLDSTART_STAMP);
	snprintf(c->why, sizeof(c->why), "%.*s", (int)sizeof(c->why) - 1, pod.why);
}

/* Its container may be told by the pod only: without one, whichever is named. */
static const char *container_of(const struct json *items, const struct kube_report *report,
				struct kube_times *t)
{
	JSON_EACH(it, items) {
		const char *uid = json_text(json_find(it, "metadata.uid"));
		if (uid && strcmp(uid, report->uid) == 0 && kube_times_read(it, 0, t))
			return t->container;
	}
	return report->container;
}

static void take_event(struct replay *r, const struct json *items, const struct json *object)
{
	struct kube_report report;
	struct kube_times t;
	const char *pod = json_text(json_find(object, "involvedObject.name"));
	if (!kube_report_read(object, &report) || !pod)
		return;
	r->events++;
	if (report.at.at_us > r->last_us)
		r->last_us = report.at.at_us;
	struct coldstart *c = coldstarts_by_key(&r->starts, report.uid);
	if (!c)
		c = begin(r, report.uid, pod);
	if (c)
		kube_start_set_report(c, &report, container_of(items, &report, &t), as_said);
}

/* The newest word of a pod: the end of the time that is known of it. */
static void add_all(const struct replay *r, const char *name, struct str *out)
{
	uint64_t number = UINT64_MAX;
	str_printf(out, "{\"now\":%lld,\"services\":[{\"name\":", (long long)(r->last_us / 1000));
	str_add_json(out, name, strlen(name));
	str_add_text(out, ",\"coldStarts\":[");
	for (const struct coldstart *c; (c = coldstarts_before(&r->starts, number));) {
		if (number != UINT64_MAX)
			str_add_char(out, ',');
		number = c->number;
		coldstart_add_json(out, c, r->last_us, 0);
	}
	str_add_text(out, "]}]}\n");
}

static void settle(struct replay *r)
{
	LIST_EACH(c, &r->starts.states[COLDSTART_STARTING], struct coldstart, link) {
		for (int i = 0; i < COLDSTART_MARKS; i++)
			if (c->at_us[i] > r->last_us)
				r->last_us = c->at_us[i];
		if (c->at_us[COLDSTART_READY] != COLDSTART_UNKNOWN)
			coldstarts_became_ready(&r->starts, c);
	}
}

bool coldstarts_replay(const struct json *document, const char *name, struct str *out,
		       char why[REPLAY_WHY_BYTES])
{
	struct replay r = {.last_us = 0};
	const struct json *items = json_get(document, "items");
	coldstarts_init(&r.starts);
	if (!json_is(items, JSON_LIST))
		items = NULL;
	JSON_EACH(it, items)
		if (is_kind(it, document, "Pod"))
			take_pod(&r, it);
	JSON_EACH(it, items)
		if (is_kind(it, document, "Event"))
			take_event(&r, items, it);
	settle(&r);
	bool ok = r.pods + r.events > 0 && !r.left_out;
	if (r.left_out)
		snprintf(
			why, REPLAY_WHY_BYTES,
			"it is of more than %d pods: select some (kubectl -l, or --field-selector)",
			COLDSTARTS_OPEN);
	else if (!ok)
		snprintf(why, REPLAY_WHY_BYTES,
			 "there are neither Pods nor Events in its \"items\": it is to be what "
			 "kubectl "
			 "get pods,events -o json says");
	else
		add_all(&r, name, out);
	coldstarts_release(&r.starts);
	return ok;
}
