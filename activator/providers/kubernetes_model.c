/* The API's objects as plain structs. */
#include "activator/providers/kubernetes_model.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/net.h"
#include "base/str.h"

enum { PORT_MAX = 65535 };

/* --- single values --------------------------------------------------------------------------- */

/* A text that fits whole, or "": half a name would be another's. Names stand in paths and logs. */
static bool copy_name(const struct json *value, char *to, size_t size)
{
	const char *text = json_text(value);
	size_t n = text ? strlen(text) : 0;
	to[0] = '\0';
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f)
			return false;
	if (n >= size)
		return false;
	if (n)
		memcpy(to, text, n + 1);
	return n > 0;
}

/* A text for people: cut where it is too long, without control characters. */
static void copy_words(const char *text, char *to, size_t size)
{
	size_t n = 0;
	for (; text && *text && n + 1 < size; text++)
		to[n++] = (unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text;
	while (n && (to[n - 1] & 0x80) && text && (*text & 0xc0) == 0x80)
		n--; /* not in the middle of a character */
	to[n] = '\0';
}

static int64_t whole(const struct json *value, int64_t fallback)
{
	double n;
	if (!json_number(value, &n) || !(n >= 0 && n <= INT32_MAX))
		return fallback;
	return (int64_t)n;
}

static int port_number(const struct json *value)
{
	int64_t n = whole(value, 0);
	return n <= PORT_MAX ? (int)n : 0;
}

static bool is_text(const struct json *value, const char *text)
{
	const char *is = json_text(value);
	return is && strcmp(is, text) == 0;
}

static bool flag(const struct json *value, bool fallback)
{
	bool is = fallback;
	json_bool(value, &is);
	return is;
}

/* A numeric host, not in brackets; each has one spelling. */
static bool copy_address(const struct json *value, char to[KUBE_ADDRESS_BYTES], bool *is_ipv6)
{
	char text[NET_TEXT_BYTES];
	struct net_address a;
	if (!copy_name(value, to, KUBE_ADDRESS_BYTES))
		return false;
	*is_ipv6 = strchr(to, ':') != NULL;
	snprintf(text, sizeof(text), *is_ipv6 ? "[%s]:1" : "%s:1", to);
	if (to[0] != '*' && strcmp(to, "localhost") != 0 && !net_parse(text, &a) &&
	    !net_is_any(&a)) {
		net_format_host(&a, text);
		snprintf(to, KUBE_ADDRESS_BYTES, "%.45s", text);
		return true;
	}
	to[0] = '\0';
	return false;
}

bool kube_meta_read(const struct json *object, struct kube_meta *m)
{
	const struct json *meta = json_get(object, "metadata");
	*m = (struct kube_meta){.is_deleted = json_text(json_get(meta, "deletionTimestamp"))};
	copy_name(json_get(meta, "uid"), m->uid, sizeof(m->uid));
	copy_name(json_get(meta, "resourceVersion"), m->version, sizeof(m->version));
	copy_name(json_get(meta, "creationTimestamp"), m->created, sizeof(m->created));
	return copy_name(json_get(meta, "name"), m->name, sizeof(m->name)) &&
	       !strpbrk(m->name, "/?#%") && !strpbrk(m->uid, "/?#%@");
}

/* Labels hold letters, digits and "-_./" only; anything else would say something else in a URL. */
static bool is_label(const char *text)
{
	return text && text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789-_./")] == '\0';
}

/* "app=sd,tier=gpu". False: they do not fit whole, or are none. */
static bool read_labels(const struct json *labels, char *to, size_t size)
{
	size_t n = 0;
	JSON_EACH(it, json_is(labels, JSON_OBJECT) ? labels : NULL) {
		const char *value = json_text(it);
		if (!is_label(json_key(it)) || !*json_key(it) || !is_label(value))
			return false;
		int wrote =
			snprintf(to + n, size - n, "%s%s=%s", n ? "," : "", json_key(it), value);
		if (wrote < 0 || (size_t)wrote >= size - n)
			return false;
		n += (size_t)wrote;
	}
	return true;
}

/* --- pods ------------------------------------------------------------------------------------ */

static void add_trouble(struct kube_pod *p, enum kube_trouble trouble, const char *what,
			const char *detail)
{
	char text[KUBE_TEXT_BYTES * 2];
	if (trouble <= p->trouble)
		return;
	p->trouble = trouble;
	snprintf(text, sizeof(text), detail && *detail ? "%.60s: %.300s" : "%.60s", what,
		 detail ? detail : "");
	copy_words(text, p->why, sizeof(p->why));
}

/* What a container waits for that another moment will not bring. */
static enum kube_trouble trouble_of(const char *reason)
{
	static const struct {
		const char *reason;
		enum kube_trouble trouble;
	} known[] = {
		{"CrashLoopBackOff", KUBE_CRASH},
		{"ImagePullBackOff", KUBE_IMAGE},
		{"InvalidImageName", KUBE_IMAGE},
		{"ErrImageNeverPull", KUBE_IMAGE},
		{"CreateContainerConfigError", KUBE_CONFIG},
		{"CreateContainerError", KUBE_CONFIG},
		{"RunContainerError", KUBE_CONFIG},
	};
	for (size_t i = 0; reason && i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(reason, known[i].reason) == 0)
			return known[i].trouble;
	return KUBE_NO_TROUBLE;
}

static void read_containers(struct kube_pod *p, const struct json *statuses)
{
	JSON_EACH(it, json_is(statuses, JSON_LIST) ? statuses : NULL) {
		const struct json *waiting = json_find(it, "state.waiting");
		const char *reason = json_text(json_get(waiting, "reason"));
		enum kube_trouble trouble = trouble_of(reason);
		if (trouble != KUBE_NO_TROUBLE)
			add_trouble(p, trouble, reason, json_text(json_get(waiting, "message")));
	}
}

static void read_conditions(struct kube_pod *p, const struct json *conditions)
{
	JSON_EACH(it, json_is(conditions, JSON_LIST) ? conditions : NULL) {
		const struct json *type = json_get(it, "type"), *status = json_get(it, "status");
		if (is_text(type, "Ready"))
			p->is_ready = is_text(status, "True");
		if (is_text(type, "PodScheduled") && is_text(status, "False") &&
		    is_text(json_get(it, "reason"), "Unschedulable"))
			add_trouble(p, KUBE_UNSCHEDULABLE, "Unschedulable",
				    json_text(json_get(it, "message")));
	}
}

/* One that starts before the others, and goes on beside them. */
static bool is_sidecar(const struct json *init_container)
{
	return is_text(json_get(init_container, "restartPolicy"), "Always");
}

static void read_pod_ports(struct kube_pod *p, const struct json *containers, bool is_init)
{
	JSON_EACH(c, json_is(containers, JSON_LIST) ? containers : NULL) {
		if (is_init && !is_sidecar(c))
			continue;
		const struct json *ports = json_get(c, "ports");
		JSON_EACH(it, json_is(ports, JSON_LIST) ? ports : NULL) {
			if (p->port_count == KUBE_PORTS_MAX)
				return;
			struct kube_port *port = &p->ports[p->port_count];
			port->number = port_number(json_get(it, "containerPort"));
			copy_name(json_get(it, "name"), port->name, sizeof(port->name));
			p->port_count += port->number > 0;
		}
	}
}

/* A dual stack's second address. */
static void read_other_address(struct kube_pod *p, const struct json *addresses, bool not_ipv6)
{
	bool is_ipv6;
	JSON_EACH(it, json_is(addresses, JSON_LIST) ? addresses : NULL) {
		if (p->address[0] && copy_address(json_get(it, "ip"), p->other, &is_ipv6) &&
		    is_ipv6 != not_ipv6)
			return;
		p->other[0] = '\0';
	}
}

static enum kube_rank rank_of(const struct kube_pod *p, const struct json *object)
{
	const char *node = json_text(json_find(object, "spec.nodeName"));
	if (!node || !*node)
		return KUBE_UNASSIGNED;
	if (!is_text(json_find(object, "status.phase"), "Running"))
		return KUBE_PENDING;
	return p->is_ready ? KUBE_READY : KUBE_UNREADY;
}

bool kube_pod_read(const struct json *object, struct kube_pod *p)
{
	const struct json *status = json_get(object, "status");
	const struct json *annotations = json_find(object, "metadata.annotations");
	bool is_ipv6 = false;
	*p = (struct kube_pod){0};
	if (!kube_meta_read(object, &p->meta) || !p->meta.uid[0])
		return false;
	copy_address(json_get(status, "podIP"), p->address, &is_ipv6);
	read_other_address(p, json_get(status, "podIPs"), is_ipv6);
	const struct json *phase = json_get(status, "phase");
	p->has_ended = is_text(phase, "Succeeded") || is_text(phase, "Failed");
	read_conditions(p, json_get(status, "conditions"));
	read_containers(p, json_get(status, "initContainerStatuses"));
	read_containers(p, json_get(status, "containerStatuses"));
	read_pod_ports(p, json_find(object, "spec.containers"), false);
	read_pod_ports(p, json_find(object, "spec.initContainers"), true);
	p->rank = rank_of(p, object);
	p->is_cheap = is_text(json_get(annotations, KUBE_COST), KUBE_CHEAP);
	if (!read_labels(json_find(object, "metadata.labels"), p->labels, sizeof(p->labels)))
		p->labels[0] = '\0';
	return true;
}

/* --- when what happened ---------------------------------------------------------------------- */

static struct kube_moment moment(const struct json *value)
{
	struct kube_moment m = {0};
	const char *text = json_text(value);
	if (text && (!clock_parse(text, &m.at_us, &m.is_exact) || m.at_us < 0))
		m = (struct kube_moment){0};
	return m;
}

static const struct json *items_of(const struct json *list)
{
	return json_is(list, JSON_LIST) ? list : NULL;
}

static bool find_port(const struct json *containers, bool is_init, int port, struct kube_times *t)
{
	JSON_EACH(c, items_of(containers)) {
		JSON_EACH(it, items_of(json_get(c, "ports"))) {
			if (port_number(json_get(it, "containerPort")) != port ||
			    (is_init && !is_sidecar(c)))
				continue;
			copy_name(json_get(c, "name"), t->container, sizeof(t->container));
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
	copy_name(json_get(json_first(items_of(containers)), "name"), t->container,
		  sizeof(t->container));
}

static void read_condition_times(struct kube_times *t, const struct json *conditions)
{
	JSON_EACH(it, items_of(conditions)) {
		const struct json *type = json_get(it, "type");
		bool holds = is_text(json_get(it, "status"), "True");
		struct kube_moment since = moment(json_get(it, "lastTransitionTime"));
		if (is_text(type, "PodScheduled") && holds)
			t->scheduled = since;
		if (is_text(type, "PodReadyToStartContainers") && holds)
			t->sandboxed = since;
		if (is_text(type, "Initialized") && holds)
			t->initialized = since;
		if (!is_text(type, "Ready"))
			continue;
		t->is_ready = holds;
		t->ready = since;
	}
}

static void read_container_times(struct kube_times *t, const struct json *statuses)
{
	JSON_EACH(it, items_of(statuses)) {
		if (!is_text(json_get(it, "name"), t->container))
			continue;
		t->started = moment(json_find(it, "state.running.startedAt"));
		t->restarts = whole(json_get(it, "restartCount"), 0);
	}
}

/* The last of them to end, or to go on as a sidecar: the condition is written down later. */
static void read_init_times(struct kube_times *t, const struct json *statuses)
{
	bool is_done = t->initialized.at_us > 0;
	t->initialized = (struct kube_moment){0};
	JSON_EACH(it, items_of(statuses)) {
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
	copy_name(json_find(object, "spec.nodeName"), t->node, sizeof(t->node));
	find_container(object, port, t);
	read_condition_times(t, json_get(status, "conditions"));
	read_container_times(t, json_get(status, "initContainerStatuses"));
	read_container_times(t, json_get(status, "containerStatuses"));
	read_init_times(t, json_get(status, "initContainerStatuses"));
	t->was_ready = !t->is_ready && t->started.at_us > 0 && t->ready.at_us > t->started.at_us;
	return true;
}

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
	if (!is_text(json_get(about, "kind"), "Pod") ||
	    !copy_name(json_get(about, "uid"), r->uid, sizeof(r->uid)) ||
	    !copy_name(json_get(object, "reason"), r->reason, sizeof(r->reason)))
		return false;
	const char *message = json_text(json_get(object, "message"));
	for (size_t i = 0; i < sizeof(times) / sizeof(*times) && !r->at.at_us; i++)
		r->at = moment(json_find(object, times[i]));
	r->is_warning = is_text(json_get(object, "type"), "Warning");
	r->image_bytes = image_bytes(message);
	copy_words(message, r->message, sizeof(r->message));
	read_field_path(r, json_text(json_get(about, "fieldPath")));
	return r->at.at_us > 0;
}

/* --- services -------------------------------------------------------------------------------- */

bool kube_service_read(const struct json *object, struct kube_service *s)
{
	const struct json *spec = json_get(object, "spec"), *ports = json_get(spec, "ports");
	const struct json *families = json_get(spec, "ipFamilies");
	*s = (struct kube_service){0};
	if (!kube_meta_read(object, &s->meta) ||
	    !read_labels(json_get(spec, "selector"), s->selector, sizeof(s->selector)))
		return false;
	if (!read_labels(json_find(object, "metadata.labels"), s->labels, sizeof(s->labels)))
		s->labels[0] = '\0';
	s->is_ipv6 = json_is(families, JSON_LIST) && is_text(json_first(families), "IPv6");
	JSON_EACH(it, json_is(ports, JSON_LIST) ? ports : NULL) {
		if (s->port_count == KUBE_PORTS_MAX)
			break;
		struct kube_service_port *port = &s->ports[s->port_count++];
		const struct json *target = json_get(it, "targetPort");
		copy_name(json_get(it, "name"), port->name, sizeof(port->name));
		port->number = port_number(json_get(it, "port"));
		port->target = target ? port_number(target) : port->number;
		copy_name(target, port->target_name, sizeof(port->target_name));
	}
	return true;
}

const struct kube_service_port *kube_service_port(const struct kube_service *s, const char *name)
{
	for (size_t i = 0; i < s->port_count; i++)
		if (!*name || strcmp(s->ports[i].name, name) == 0)
			return &s->ports[i];
	return NULL;
}

int kube_pod_port(const struct kube_pod *p, const struct kube_service_port *wanted)
{
	if (wanted->target)
		return wanted->target;
	for (size_t i = 0; wanted->target_name[0] && i < p->port_count; i++)
		if (strcmp(p->ports[i].name, wanted->target_name) == 0)
			return p->ports[i].number;
	return 0;
}

/* --- slices ---------------------------------------------------------------------------------- */

static void read_slice_ports(struct kube_slice *s, const struct json *ports)
{
	JSON_EACH(it, json_is(ports, JSON_LIST) ? ports : NULL) {
		if (s->port_count == KUBE_PORTS_MAX)
			return;
		struct kube_port *port = &s->ports[s->port_count];
		port->number = port_number(json_get(it, "port"));
		copy_name(json_get(it, "name"), port->name, sizeof(port->name));
		s->port_count += port->number > 0;
	}
}

/* Only the first address: those of one endpoint are the same pod. */
static bool read_endpoint(const struct json *it, const struct json *name_space,
			  struct kube_endpoint *e)
{
	const struct json *conditions = json_get(it, "conditions"), *to = json_get(it, "targetRef");
	const struct json *addresses = json_get(it, "addresses");
	*e = (struct kube_endpoint){0};
	if (!json_is(addresses, JSON_LIST) ||
	    !copy_address(json_first(addresses), e->address, &e->is_ipv6))
		return false;
	if (is_text(json_get(to, "kind"), "Pod")) {
		copy_name(json_get(to, "uid"), e->uid, sizeof(e->uid));
		copy_name(json_get(to, "name"), e->name, sizeof(e->name));
	}
	const char *ours = json_text(name_space), *its = json_text(json_get(to, "namespace"));
	e->is_pod = e->uid[0] && e->name[0] && (!its || (ours && strcmp(its, ours) == 0));
	if (!e->uid[0])
		memcpy(e->uid, e->address, sizeof(e->address));
	e->is_ready = flag(json_get(conditions, "ready"), true);
	e->is_serving = flag(json_get(conditions, "serving"), e->is_ready);
	e->is_terminating = flag(json_get(conditions, "terminating"), false);
	return true;
}

bool kube_slice_read(const struct json *object, struct kube_slice *s)
{
	const struct json *list = json_get(object, "endpoints");
	const struct json *type = json_get(object, "addressType");
	const struct json *name_space = json_find(object, "metadata.namespace");
	size_t count = json_is(list, JSON_LIST) ? json_count(list) : 0;
	*s = (struct kube_slice){0};
	if (!kube_meta_read(object, &s->meta) || !(is_text(type, "IPv4") || is_text(type, "IPv6")))
		return false;
	if (count > KUBE_ENDPOINTS_MAX)
		count = KUBE_ENDPOINTS_MAX;
	s->endpoints = mem_zalloc((count ? count : 1) * sizeof(*s->endpoints));
	if (!s->endpoints)
		return false;
	read_slice_ports(s, json_get(object, "ports"));
	for (const struct json *it = count ? json_first(list) : NULL;
	     it && s->endpoint_count < count; it = json_next(it))
		s->endpoint_count +=
			read_endpoint(it, name_space, &s->endpoints[s->endpoint_count]);
	return true;
}

void kube_slice_release(struct kube_slice *s)
{
	mem_free(s->endpoints);
	*s = (struct kube_slice){0};
}

/* --- scale, leases, workloads ----------------------------------------------------------------- */

bool kube_scale_read(const struct json *object, struct kube_scale *s)
{
	*s = (struct kube_scale){.wanted = whole(json_find(object, "spec.replicas"), 0),
				 .actual = whole(json_find(object, "status.replicas"), 0)};
	return is_text(json_get(object, "kind"), "Scale") && kube_meta_read(object, &s->meta) &&
	       s->meta.version[0];
}

bool kube_lease_read(const struct json *object, struct kube_lease *l)
{
	const struct json *spec = json_get(object, "spec");
	*l = (struct kube_lease){.duration_s = whole(json_get(spec, "leaseDurationSeconds"), 0),
				 .transitions = whole(json_get(spec, "leaseTransitions"), 0)};
	copy_name(json_get(spec, "holderIdentity"), l->holder, sizeof(l->holder));
	copy_name(json_get(spec, "renewTime"), l->renewed, sizeof(l->renewed));
	const struct json *annotations = json_find(object, "metadata.annotations");
	l->annotations = json_is(annotations, JSON_OBJECT) ? annotations : NULL;
	return is_text(json_get(object, "kind"), "Lease") && kube_meta_read(object, &l->meta) &&
	       l->meta.version[0];
}

bool kube_workload_trouble(const struct json *object, char why[KUBE_TEXT_BYTES])
{
	const struct json *conditions = json_find(object, "status.conditions");
	why[0] = '\0';
	JSON_EACH(it, json_is(conditions, JSON_LIST) ? conditions : NULL) {
		if (!is_text(json_get(it, "type"), "ReplicaFailure") ||
		    !is_text(json_get(it, "status"), "True"))
			continue;
		copy_words(json_text(json_get(it, "message")), why, KUBE_TEXT_BYTES);
		if (!why[0])
			copy_words("its pods cannot be created", why, KUBE_TEXT_BYTES);
		return true;
	}
	return false;
}

/* When it happened last; "" is before all times. */
static const char *time_of_event(const struct json *event)
{
	static const char *const keys[] = {"series.lastObservedTime", "lastTimestamp", "eventTime"};
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		const char *at = json_text(json_find(event, keys[i]));
		if (at && *at)
			return at;
	}
	return "";
}

bool kube_events_last(const struct json *list, char version[KUBE_VERSION_BYTES],
		      char why[KUBE_TEXT_BYTES])
{
	enum { TO_THE_SECOND = 19 }; /* behind that they are written in different ways */
	const struct json *items = json_get(list, "items");
	const char *last = "";
	bool any = false;
	JSON_EACH(it, json_is(items, JSON_LIST) ? items : NULL) {
		const char *at = time_of_event(it), *text = json_text(json_get(it, "message"));
		const struct json *its = json_find(it, "metadata.resourceVersion");
		if (strncmp(at, last, TO_THE_SECOND) < 0 || !text || !*text ||
		    !copy_name(its, version, KUBE_VERSION_BYTES))
			continue;
		copy_words(text, why, KUBE_TEXT_BYTES);
		last = at;
		any = true;
	}
	return any;
}

/* --- lists, events, faults -------------------------------------------------------------------- */

bool kube_list_read(const struct json *document, struct kube_list *l)
{
	const struct json *meta = json_get(document, "metadata");
	const struct json *next = json_get(meta, "continue"), *items = json_get(document, "items");
	bool has_next = json_text(next) && *json_text(next);
	*l = (struct kube_list){.items = json_is(items, JSON_LIST) ? items : NULL};
	bool fits = copy_name(next, l->next, sizeof(l->next)) || !has_next;
	return fits && copy_name(json_get(meta, "resourceVersion"), l->version, sizeof(l->version));
}

bool kube_event_read(const struct json *document, struct kube_event *e)
{
	static const struct {
		const char *type;
		enum kube_event_kind kind;
	} kinds[] = {{"ADDED", KUBE_ADDED},
		     {"MODIFIED", KUBE_ADDED},
		     {"DELETED", KUBE_GONE},
		     {"BOOKMARK", KUBE_BOOKMARK},
		     {"ERROR", KUBE_FAULT}};
	const struct json *type = json_get(document, "type");
	*e = (struct kube_event){.object = json_get(document, "object")};
	if (!json_is(e->object, JSON_OBJECT))
		return false;
	copy_name(json_find(e->object, "metadata.resourceVersion"), e->version, sizeof(e->version));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!is_text(type, kinds[i].type))
			continue;
		e->kind = kinds[i].kind;
		return e->kind == KUBE_FAULT || e->version[0];
	}
	return false;
}

bool kube_status_read(const struct json *document, struct kube_status *s)
{
	*s = (struct kube_status){.code = (int)whole(json_get(document, "code"), 0)};
	copy_words(json_text(json_get(document, "reason")), s->reason, sizeof(s->reason));
	copy_words(json_text(json_get(document, "message")), s->message, sizeof(s->message));
	return is_text(json_get(document, "kind"), "Status");
}
