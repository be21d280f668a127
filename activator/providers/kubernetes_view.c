/* What is followed of one service. */
#include "activator/providers/kubernetes_view.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum { STATUS_NOT_FOUND = 404, STATUS_OK = 200 };

static const int64_t CONFIRM_US = 5 * US_PER_S; /* between two looks for a pod out of sight */
static const int64_t TIMEOUT_US = 10 * US_PER_S;

const char KUBE_NOT_LISTED[] = "not listed yet";

static int64_t now_of(const struct kube_view *v)
{
	return loop_now_us(v->loop);
}

static void tell(void *owner)
{
	struct kube_view *v = owner;
	v->changed(v->owner);
}

/* --- what comes ------------------------------------------------------------------------------ */

static void nothing(void *owner)
{
	(void)owner;
}

static void listing_service(void *owner)
{
	struct kube_view *v = owner;
	v->has_service = false;
}

static void put_service(void *owner, const struct json *object)
{
	struct kube_view *v = owner;
	v->has_service = true;
	kube_fleet_put_service(&v->fleet, object);
}

static void gone_service(void *owner, const struct json *object)
{
	struct kube_view *v = owner;
	(void)object;
	v->has_service = false;
	log_warn("%s: its Kubernetes service %s has been deleted", v->config->name,
		 v->config->kubernetes.service);
}

static void mark_slices(void *owner)
{
	struct kube_view *v = owner;
	kube_slices_mark(&v->fleet.slices);
}

static void put_slice(void *owner, const struct json *object)
{
	struct kube_view *v = owner;
	kube_fleet_put_slice(&v->fleet, object);
}

static void gone_slice(void *owner, const struct json *object)
{
	struct kube_view *v = owner;
	struct kube_meta meta;
	if (kube_meta_read(object, &meta))
		kube_slices_remove(&v->fleet.slices, meta.name);
}

static void sweep_slices(void *owner)
{
	struct kube_view *v = owner;
	kube_slices_sweep(&v->fleet.slices);
}

static void mark_pods(void *owner)
{
	struct kube_view *v = owner;
	kube_fleet_listing_pods(&v->fleet);
}

static void put_pod(void *owner, const struct json *object)
{
	struct kube_view *v = owner;
	bool is_new = !kube_fleet_knows(&v->fleet, object);
	kube_fleet_put_pod(&v->fleet, object);
	kube_starts_pod(&v->starts, object, is_new, v->pods.watch.state == KUBE_FOLLOWING);
}

static void gone_pod(void *owner, const struct json *object)
{
	struct kube_view *v = owner;
	kube_fleet_gone_pod(&v->fleet, object, now_of(v));
}

static void sweep_pods(void *owner)
{
	struct kube_view *v = owner;
	kube_fleet_listed_pods(&v->fleet);
}

static const struct kube_sink service_sink = {listing_service, put_service, gone_service, nothing};
static const struct kube_sink slice_sink = {mark_slices, put_slice, gone_slice, sweep_slices};
static const struct kube_sink pod_sink = {mark_pods, put_pod, gone_pod, sweep_pods};

/* --- what is asked for ----------------------------------------------------------------------- */

static void follow(struct kube_view *v, struct kube_follower *f, const char *prefix,
		   const char *collection, const char *key, const char *value)
{
	struct str path;
	int64_t timeout_s = v->config->kubernetes.watch_us / US_PER_S;
	str_init(&path);
	str_printf(&path, "%s/namespaces/%s/%s?%s=", prefix, v->client->access.name_space.at,
		   collection, key);
	kube_add_encoded(&path, value);
	if (!path.failed)
		kube_follower_start(f, path.at, timeout_s);
	str_release(&path);
}

static void follow_service(struct kube_view *v)
{
	const char *name = v->config->kubernetes.service;
	char by_name[KUBE_NAME_BYTES + 16], by_label[KUBE_NAME_BYTES + 32];
	snprintf(by_name, sizeof(by_name), "metadata.name=%s", name);
	snprintf(by_label, sizeof(by_label), "kubernetes.io/service-name=%s", name);
	follow(v, &v->services, "/api/v1", "services", "fieldSelector", by_name);
	follow(v, &v->slices, "/apis/discovery.k8s.io/v1", "endpointslices", "labelSelector",
	       by_label);
}

void kube_view_follow(struct kube_view *v)
{
	v->is_on = true;
	follow_service(v);
	/* The pods' selector is the service's, once that is known. */
	if (v->fleet.knows_service && v->fleet.about.selector[0])
		follow(v, &v->pods, "/api/v1", "pods", "labelSelector", v->fleet.about.selector);
	/* Of all pods in the namespace: Events know no labels. Pods are to be known before them. */
	if (v->fleet.pods_are_synced)
		follow(v, &v->starts.events, "/api/v1", "events", "fieldSelector",
		       "involvedObject.kind=Pod");
}

/* --- a pod out of sight: is it over? --------------------------------------------------------- */

static void on_confirmed(void *owner, const struct http_client_result *result)
{
	struct kube_view *v = owner;
	struct kube_member *m = map_get(&v->fleet.by_uid, v->confirmed_uid);
	struct kube_answer a;
	struct kube_meta meta;
	struct kube_status status;
	v->confirming = NULL;
	kube_answer_read(v->client, result, &a);
	/* By the API's own word: a proxy's 404 says nothing of a pod. */
	bool is_over = a.status == STATUS_NOT_FOUND && kube_status_read(a.document, &status) &&
		       strcmp(status.reason, "NotFound") == 0;
	bool is_other = a.status == STATUS_OK && kube_meta_read(a.document, &meta) && meta.uid[0] &&
			strcmp(meta.uid, v->confirmed_uid) != 0;
	if (m && !kube_member_is_named(m) && (is_over || is_other))
		kube_fleet_over(&v->fleet, m, now_of(v));
	json_free(a.document);
	tell(v);
}

/* It left the lists with work that nobody has seen the end of. */
static void confirm_one(struct kube_view *v)
{
	LIST_EACH(m, &v->fleet.members, struct kube_member, link) {
		if (v->confirming)
			return;
		if (kube_member_is_named(m) || !m->id || !m->is_pod ||
		    (m->asked_us && now_of(v) - m->asked_us < CONFIRM_US))
			continue;
		struct str path;
		str_init(&path);
		str_printf(&path, "/api/v1/namespaces/%s/pods/%s", v->client->access.name_space.at,
			   m->pod.meta.name);
		struct kube_request r = {.path = path.at, .timeout_us = TIMEOUT_US};
		snprintf(v->confirmed_uid, sizeof(v->confirmed_uid), "%s", m->pod.meta.uid);
		m->asked_us = now_of(v);
		if (!path.failed)
			v->confirming = kube_client_send(v->client, &r, on_confirmed, v);
		str_release(&path);
	}
}

/* --- the interface --------------------------------------------------------------------------- */

void kube_view_settle(struct kube_view *v)
{
	kube_fleet_settle(&v->fleet, now_of(v));
	if (v->is_on)
		confirm_one(v);
}

/* Of slices and pods one may be out of reach; each alone says which pods there are. */
bool kube_view_is_whole(const struct kube_view *v)
{
	bool has_slices = v->slices.watch.is_synced, has_pods = v->fleet.pods_are_synced;
	bool has_both = (has_slices && (has_pods || v->pods.watch.failures || !v->pods.is_on)) ||
			(has_pods && v->slices.watch.failures);
	return has_both && (v->services.watch.is_synced || v->services.watch.failures);
}

const char *kube_view_fault(const struct kube_view *v)
{
	const struct kube_follower *all[] = {&v->services, &v->slices, &v->pods};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (all[i]->is_on && kube_watch_is_failing(&all[i]->watch))
			return all[i]->watch.why[0] ? all[i]->watch.why : KUBE_NOT_LISTED;
	return NULL;
}

const char *kube_view_refusal(const struct kube_view *v)
{
	bool may_see_slices =
		v->slices.watch.is_synced || !kube_is_refused(v->slices.refused_us, now_of(v));
	bool may_see_pods = v->fleet.pods_are_synced ||
			    (v->pods.is_on && !kube_is_refused(v->pods.refused_us, now_of(v)));
	return may_see_slices || may_see_pods || v->fleet.count ? NULL : v->slices.watch.why;
}

uint64_t kube_view_lists(const struct kube_view *v)
{
	return v->services.watch.lists + v->slices.watch.lists + v->pods.watch.lists +
	       v->starts.events.watch.lists;
}

void kube_view_configure(struct kube_view *v, const struct service_config *config)
{
	const char *port = config->kubernetes.port;
	v->config = config;
	v->fleet.label = config->name;
	v->fleet.port_name = port ? port : "";
	v->fleet.target_port = (int)config->kubernetes.target_port;
}

bool kube_view_init(struct kube_view *v, struct loop *loop, struct kube_client *client,
		    struct service *service, const struct service_config *config,
		    void (*changed)(void *owner), void *owner)
{
	*v = (struct kube_view){.loop = loop, .client = client, .changed = changed, .owner = owner};
	kube_fleet_init(&v->fleet, service, config->name);
	v->fleet.is_held = true;
	kube_view_configure(v, config);
	bool ok = kube_follower_init(&v->services, loop, client, &service_sink, tell, v);
	ok &= kube_follower_init(&v->slices, loop, client, &slice_sink, tell, v);
	ok &= kube_follower_init(&v->pods, loop, client, &pod_sink, tell, v);
	ok &= kube_starts_init(&v->starts, loop, client, &v->fleet);
	return ok;
}

void kube_view_stop(struct kube_view *v)
{
	v->is_on = false;
	kube_follower_stop(&v->services);
	kube_follower_stop(&v->slices);
	kube_follower_stop(&v->pods);
	kube_follower_stop(&v->starts.events);
	http_client_cancel(v->confirming);
	v->confirming = NULL;
}

void kube_view_release(struct kube_view *v)
{
	kube_view_stop(v);
	kube_follower_release(&v->services);
	kube_follower_release(&v->slices);
	kube_follower_release(&v->pods);
	kube_starts_release(&v->starts);
	kube_fleet_release(&v->fleet);
}
