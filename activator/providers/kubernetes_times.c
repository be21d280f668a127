/* When what happened. */
#include "activator/providers/kubernetes_times.h"

#include <string.h>

#include "activator/providers/kubernetes_values.h"
#include "base/clock.h"

/* --- what a pod says ------------------------------------------------------------------------- */

static struct kube_moment moment(const struct json *value)
{
	struct kube_moment m = {0};
	const char *text = json_text(value);
	if (text && (!clock_parse(text, &m.at_us, &m.is_exact) || m.at_us < 0))
		m = (struct kube_moment){0};
	return m;
}

static bool find_port(const struct json *containers, bool is_init, int port, struct kube_times *t)
{
	JSON_EACH(c, kube_items(containers)) {
		JSON_EACH(it, kube_items(json_get(c, "ports"))) {
			if (kube_port_number(json_get(it, "containerPort")) != port ||
			    (is_init && !kube_is_sidecar(c)))
				continue;
			kube_copy_name(json_get(c, "name"), t->container, sizeof(t->container));
			return true;
		}
	}
	return false;
}

/* The container that has the port; none has it, or it is not known: the first. */
static void find_container(const struct json *object, int port, struct kube_times *t)
{
	const struct json *containers = json_find(object, "spec.containers");
	if (port && (find_port(containers, false, port, t) ||
		     find_port(json_find(object, "spec.initContainers"), true, port, t)))
		return;
	kube_copy_name(json_get(json_first(kube_items(containers)), "name"), t->container,
		       sizeof(t->container));
}

static void read_condition_times(struct kube_times *t, const struct json *conditions)
{
	JSON_EACH(it, kube_items(conditions)) {
		const struct json *type = json_get(it, "type");
		bool holds = kube_is_text(json_get(it, "status"), "True");
		struct kube_moment since = moment(json_get(it, "lastTransitionTime"));
		if (kube_is_text(type, "PodScheduled") && holds)
			t->scheduled = since;
		if (kube_is_text(type, "PodReadyToStartContainers") && holds)
			t->sandboxed = since;
		if (kube_is_text(type, "Initialized") && holds)
			t->initialized = since;
		if (!kube_is_text(type, "Ready"))
			continue;
		t->is_ready = holds;
		t->ready = since;
	}
}

static void read_container_times(struct kube_times *t, const struct json *statuses)
{
	JSON_EACH(it, kube_items(statuses)) {
		if (!kube_is_text(json_get(it, "name"), t->container))
			continue;
		t->started = moment(json_find(it, "state.running.startedAt"));
		t->restarts = kube_whole(json_get(it, "restartCount"), 0);
	}
}

/* The last of them to end, or to go on as a sidecar: the condition is written down later. */
static void read_init_times(struct kube_times *t, const struct json *statuses)
{
	bool is_done = t->initialized.at_us > 0;
	t->initialized = (struct kube_moment){0};
	JSON_EACH(it, kube_items(statuses)) {
		struct kube_moment end = moment(json_find(it, "state.terminated.finishedAt"));
		if (!end.at_us)
			end = moment(json_find(it, "state.running.startedAt"));
		t->has_init = true;
		if (is_done && end.at_us > t->initialized.at_us)
			t->initialized = end;
	}
}

bool kube_times_read(const struct json *object, int port, struct kube_times *t)
{
	const struct json *status = json_get(object, "status");
	*t = (struct kube_times){.created =
					 moment(json_find(object, "metadata.creationTimestamp"))};
	if (!json_is(object, JSON_OBJECT))
		return false;
	kube_copy_name(json_find(object, "spec.nodeName"), t->node, sizeof(t->node));
	find_container(object, port, t);
	read_condition_times(t, json_get(status, "conditions"));
	read_container_times(t, json_get(status, "initContainerStatuses"));
	read_container_times(t, json_get(status, "containerStatuses"));
	read_init_times(t, json_get(status, "initContainerStatuses"));
	t->was_ready = !t->is_ready && t->started.at_us > 0 && t->ready.at_us > t->started.at_us;
	return true;
}

/* --- what an Event says ---------------------------------------------------------------------- */

/* "spec.containers{sd}" */
static void read_field_path(struct kube_report *r, const char *path)
{
	const char *open = path ? strchr(path, '{') : NULL,
		   *close = open ? strchr(open, '}') : NULL;
	size_t n = close ? (size_t)(close - open - 1) : 0;
	r->of_init = path && strncmp(path, "spec.initContainers{", 20) == 0;
	if (n && n < sizeof(r->container))
		memcpy(r->container, open + 1, n);
}

/* "Successfully pulled image "sd:1" in 2m3s (2m3s including waiting). Image size: 187 bytes." */
static int64_t image_bytes(const char *message)
{
	static const char before[] = "Image size: ";
	const char *at = message ? strstr(message, before) : NULL;
	int64_t bytes = 0;
	for (at = at ? at + sizeof(before) - 1 : ""; *at >= '0' && *at <= '9'; at++)
		bytes = bytes > INT64_MAX / 100 ? bytes : bytes * 10 + (*at - '0');
	return bytes;
}

bool kube_report_read(const struct json *object, struct kube_report *r)
{
	const struct json *about = json_get(object, "involvedObject");
	static const char *const times[] = {"eventTime", "firstTimestamp",
					    "metadata.creationTimestamp"};
	*r = (struct kube_report){0};
	if (!kube_is_text(json_get(about, "kind"), "Pod") ||
	    !kube_copy_name(json_get(about, "uid"), r->uid, sizeof(r->uid)) ||
	    !kube_copy_name(json_get(object, "reason"), r->reason, sizeof(r->reason)))
		return false;
	const char *message = json_text(json_get(object, "message"));
	for (size_t i = 0; i < sizeof(times) / sizeof(*times) && !r->at.at_us; i++)
		r->at = moment(json_find(object, times[i]));
	r->is_warning = kube_is_text(json_get(object, "type"), "Warning");
	r->image_bytes = image_bytes(message);
	kube_copy_words(message, r->message, sizeof(r->message));
	read_field_path(r, json_text(json_get(about, "fieldPath")));
	return r->at.at_us > 0;
}
