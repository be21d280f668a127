/* The API's objects as plain structs. */
#include "activator/providers/kubernetes_model.h"

#include <stdio.h>
#include <string.h>

#include "activator/providers/kubernetes_values.h"
#include "base/mem.h"
#include "base/net.h"
#include "base/str.h"

/* --- what all have --------------------------------------------------------------------------- */

/* A numeric host, not in brackets; each has one spelling. */
static bool copy_address(const struct json *value, char to[KUBE_ADDRESS_BYTES], bool *is_ipv6)
{
	char text[NET_TEXT_BYTES];
	struct net_address a;
	if (!kube_copy_name(value, to, KUBE_ADDRESS_BYTES))
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
	kube_copy_name(json_get(meta, "uid"), m->uid, sizeof(m->uid));
	kube_copy_name(json_get(meta, "resourceVersion"), m->version, sizeof(m->version));
	kube_copy_name(json_get(meta, "creationTimestamp"), m->created, sizeof(m->created));
	return kube_copy_name(json_get(meta, "name"), m->name, sizeof(m->name)) &&
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
	kube_copy_words(text, p->why, sizeof(p->why));
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
	JSON_EACH(it, kube_items(statuses)) {
		const struct json *waiting = json_find(it, "state.waiting");
		const char *reason = json_text(json_get(waiting, "reason"));
		enum kube_trouble trouble = trouble_of(reason);
		if (trouble != KUBE_NO_TROUBLE)
			add_trouble(p, trouble, reason, json_text(json_get(waiting, "message")));
	}
}

static void read_conditions(struct kube_pod *p, const struct json *conditions)
{
	JSON_EACH(it, kube_items(conditions)) {
		const struct json *type = json_get(it, "type"), *status = json_get(it, "status");
		if (kube_is_text(type, "Ready"))
			p->is_ready = kube_is_text(status, "True");
		if (kube_is_text(type, "PodScheduled") && kube_is_text(status, "False") &&
		    kube_is_text(json_get(it, "reason"), "Unschedulable"))
			add_trouble(p, KUBE_UNSCHEDULABLE, "Unschedulable",
				    json_text(json_get(it, "message")));
	}
}

static void read_pod_ports(struct kube_pod *p, const struct json *containers, bool is_init)
{
	JSON_EACH(c, kube_items(containers)) {
		if (is_init && !kube_is_sidecar(c))
			continue;
		const struct json *ports = json_get(c, "ports");
		JSON_EACH(it, kube_items(ports)) {
			if (p->port_count == KUBE_PORTS_MAX)
				return;
			struct kube_port *port = &p->ports[p->port_count];
			port->number = kube_port_number(json_get(it, "containerPort"));
			kube_copy_name(json_get(it, "name"), port->name, sizeof(port->name));
			p->port_count += port->number > 0;
		}
	}
}

/* A dual stack's second address. */
static void read_other_address(struct kube_pod *p, const struct json *addresses, bool not_ipv6)
{
	bool is_ipv6;
	JSON_EACH(it, kube_items(addresses)) {
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
	if (!kube_is_text(json_find(object, "status.phase"), "Running"))
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
	p->has_ended = kube_is_text(phase, "Succeeded") || kube_is_text(phase, "Failed");
	read_conditions(p, json_get(status, "conditions"));
	read_containers(p, json_get(status, "initContainerStatuses"));
	read_containers(p, json_get(status, "containerStatuses"));
	read_pod_ports(p, json_find(object, "spec.containers"), false);
	read_pod_ports(p, json_find(object, "spec.initContainers"), true);
	p->rank = rank_of(p, object);
	p->is_cheap = kube_is_text(json_get(annotations, KUBE_COST), KUBE_CHEAP);
	if (!read_labels(json_find(object, "metadata.labels"), p->labels, sizeof(p->labels)))
		p->labels[0] = '\0';
	return true;
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
	s->is_ipv6 = json_is(families, JSON_LIST) && kube_is_text(json_first(families), "IPv6");
	JSON_EACH(it, kube_items(ports)) {
		if (s->port_count == KUBE_PORTS_MAX)
			break;
		struct kube_service_port *port = &s->ports[s->port_count++];
		const struct json *target = json_get(it, "targetPort");
		kube_copy_name(json_get(it, "name"), port->name, sizeof(port->name));
		port->number = kube_port_number(json_get(it, "port"));
		port->target = target ? kube_port_number(target) : port->number;
		kube_copy_name(target, port->target_name, sizeof(port->target_name));
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
	JSON_EACH(it, kube_items(ports)) {
		if (s->port_count == KUBE_PORTS_MAX)
			return;
		struct kube_port *port = &s->ports[s->port_count];
		port->number = kube_port_number(json_get(it, "port"));
		kube_copy_name(json_get(it, "name"), port->name, sizeof(port->name));
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
	if (kube_is_text(json_get(to, "kind"), "Pod")) {
		kube_copy_name(json_get(to, "uid"), e->uid, sizeof(e->uid));
		kube_copy_name(json_get(to, "name"), e->name, sizeof(e->name));
	}
	const char *ours = json_text(name_space), *its = json_text(json_get(to, "namespace"));
	e->is_pod = e->uid[0] && e->name[0] && (!its || (ours && strcmp(its, ours) == 0));
	if (!e->uid[0])
		memcpy(e->uid, e->address, sizeof(e->address));
	e->is_ready = kube_flag(json_get(conditions, "ready"), true);
	e->is_serving = kube_flag(json_get(conditions, "serving"), e->is_ready);
	e->is_terminating = kube_flag(json_get(conditions, "terminating"), false);
	return true;
}

bool kube_slice_read(const struct json *object, struct kube_slice *s)
{
	const struct json *list = json_get(object, "endpoints");
	const struct json *type = json_get(object, "addressType");
	const struct json *name_space = json_find(object, "metadata.namespace");
	size_t count = json_is(list, JSON_LIST) ? json_count(list) : 0;
	*s = (struct kube_slice){0};
	if (!kube_meta_read(object, &s->meta) ||
	    !(kube_is_text(type, "IPv4") || kube_is_text(type, "IPv6")))
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
	*s = (struct kube_scale){.wanted = kube_whole(json_find(object, "spec.replicas"), 0),
				 .actual = kube_whole(json_find(object, "status.replicas"), 0)};
	return kube_is_text(json_get(object, "kind"), "Scale") &&
	       kube_meta_read(object, &s->meta) && s->meta.version[0];
}

bool kube_lease_read(const struct json *object, struct kube_lease *l)
{
	const struct json *spec = json_get(object, "spec");
	*l = (struct kube_lease){.duration_s =
					 kube_whole(json_get(spec, "leaseDurationSeconds"), 0),
				 .transitions = kube_whole(json_get(spec, "leaseTransitions"), 0)};
	kube_copy_name(json_get(spec, "holderIdentity"), l->holder, sizeof(l->holder));
	kube_copy_name(json_get(spec, "renewTime"), l->renewed, sizeof(l->renewed));
	const struct json *annotations = json_find(object, "metadata.annotations");
	l->annotations = json_is(annotations, JSON_OBJECT) ? annotations : NULL;
	return kube_is_text(json_get(object, "kind"), "Lease") &&
	       kube_meta_read(object, &l->meta) && l->meta.version[0];
}

bool kube_workload_trouble(const struct json *object, char why[KUBE_TEXT_BYTES])
{
	const struct json *conditions = json_find(object, "status.conditions");
	why[0] = '\0';
	JSON_EACH(it, kube_items(conditions)) {
		if (!kube_is_text(json_get(it, "type"), "ReplicaFailure") ||
		    !kube_is_text(json_get(it, "status"), "True"))
			continue;
		kube_copy_words(json_text(json_get(it, "message")), why, KUBE_TEXT_BYTES);
		if (!why[0])
			kube_copy_words("its pods cannot be created", why, KUBE_TEXT_BYTES);
		return true;
	}
	return false;
}

int64_t kube_workload_first_ordinal(const struct json *object)
{
	return kube_whole(json_find(object, "spec.ordinals.start"), 0);
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
	JSON_EACH(it, kube_items(items)) {
		const char *at = time_of_event(it), *text = json_text(json_get(it, "message"));
		const struct json *its = json_find(it, "metadata.resourceVersion");
		if (strncmp(at, last, TO_THE_SECOND) < 0 || !text || !*text ||
		    !kube_copy_name(its, version, KUBE_VERSION_BYTES))
			continue;
		kube_copy_words(text, why, KUBE_TEXT_BYTES);
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
	*l = (struct kube_list){.items = kube_items(items)};
	bool fits = kube_copy_name(next, l->next, sizeof(l->next)) || !has_next;
	return fits &&
	       kube_copy_name(json_get(meta, "resourceVersion"), l->version, sizeof(l->version));
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
	kube_copy_name(json_find(e->object, "metadata.resourceVersion"), e->version,
		       sizeof(e->version));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!kube_is_text(type, kinds[i].type))
			continue;
		e->kind = kinds[i].kind;
		return e->kind == KUBE_FAULT || e->version[0];
	}
	return false;
}

bool kube_status_read(const struct json *document, struct kube_status *s)
{
	*s = (struct kube_status){.code = (int)kube_whole(json_get(document, "code"), 0)};
	kube_copy_words(json_text(json_get(document, "reason")), s->reason, sizeof(s->reason));
	kube_copy_words(json_text(json_get(document, "message")), s->message, sizeof(s->message));
	return kube_is_text(json_get(document, "kind"), "Status");
}
