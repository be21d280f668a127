/* Pods by their UIDs. */
#include "activator/providers/kubernetes_fleet.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

void kube_fleet_init(struct kube_fleet *f, struct service *service, const char *label)
{
	*f = (struct kube_fleet){.service = service, .label = label, .port_name = ""};
	list_init(&f->members);
	map_init(&f->by_uid);
	map_init(&f->by_place);
	kube_slices_init(&f->slices);
}

static void leave_place(struct kube_fleet *f, struct kube_member *m);

static void drop(struct kube_fleet *f, struct kube_member *m)
{
	leave_place(f, m);
	list_remove(&m->link);
	map_remove(&f->by_uid, m->pod.meta.uid);
	mem_free(m);
	f->count--;
}

void kube_fleet_release(struct kube_fleet *f)
{
	LIST_EACH(m, &f->members, struct kube_member, link)
		drop(f, m);
	map_release(&f->by_uid);
	map_release(&f->by_place);
	kube_slices_release(&f->slices);
}

/* NULL: no memory, or too many. */
static struct kube_member *member_of(struct kube_fleet *f, const char *uid)
{
	struct kube_member *m = map_get(&f->by_uid, uid);
	if (m || f->count >= KUBE_MEMBERS_MAX)
		return m;
	m = mem_zalloc(sizeof(*m));
	if (!m)
		return NULL;
	list_init(&m->link);
	snprintf(m->pod.meta.uid, sizeof(m->pod.meta.uid), "%s", uid);
	if (!map_put(&f->by_uid, m->pod.meta.uid, m)) {
		mem_free(m);
		return NULL;
	}
	list_push_back(&f->members, &m->link);
	f->count++;
	return m;
}

struct kube_member *kube_fleet_member(const struct kube_fleet *f, uint64_t pod)
{
	const struct pod *p = service_pod(f->service, pod);
	return p ? p->provider_data : NULL;
}

bool kube_fleet_knows(const struct kube_fleet *f, const struct json *pod)
{
	struct kube_meta meta;
	const struct kube_member *m =
		kube_meta_read(pod, &meta) ? map_get(&f->by_uid, meta.uid) : NULL;
	return m && (m->pod.meta.version[0] || m->id); /* else a slice has named it, no more */
}

/* --- what the ledger is told ----------------------------------------------------------------- */

/* The ledger forgets one that is absent and idle by itself. */
static void look_again(struct kube_fleet *f, struct kube_member *m)
{
	if (m->id && service_pod(f->service, m->id))
		return;
	m->id = 0;
	m->is_removing = false;
}

static void end_start(struct kube_fleet *f, const struct kube_member *m)
{
	struct coldstarts *all = service_coldstarts(f->service);
	coldstarts_end(all, coldstarts_by_key(all, m->pod.meta.uid));
}

/* Another may come in its place before it is over. */
void kube_fleet_gives_up(const struct kube_fleet *f, const char *uid)
{
	struct coldstarts *all = service_coldstarts(f->service);
	struct coldstart *c = coldstarts_by_key(all, uid);
	if (c && c->state == COLDSTART_STARTING)
		coldstarts_end(all, c);
}

static void take_away(struct kube_fleet *f, struct kube_member *m, int64_t now_us)
{
	m->state = KUBE_AWAY;
	if (!m->id)
		return;
	service_pod_absent(f->service, m->id, now_us);
	look_again(f, m);
}

static void end(struct kube_fleet *f, struct kube_member *m, int64_t now_us)
{
	const struct pod *p = service_pod(f->service, m->id);
	m->state = KUBE_AWAY;
	m->left_work = p && !pod_is_idle(p);
	service_pod_gone(f->service, m->id, now_us);
	m->id = 0;
	m->is_removing = false;
}

static void offer(struct kube_fleet *f, struct kube_member *m, int64_t now_us)
{
	char where[NET_TEXT_BYTES];
	if (m->state == KUBE_OFFERED && m->id)
		return;
	net_format(&m->address, where);
	snprintf(m->ledger_name, sizeof(m->ledger_name), "%s@%s#%s", m->pod.meta.name, where,
		 m->pod.meta.uid);
	m->state = KUBE_OFFERED;
	m->id = service_pod_add(f->service, m->ledger_name, m->seen_young && !f->has_others, m,
				now_us);
	service_pod_starts(f->service, m->id,
			   coldstarts_by_key(service_coldstarts(f->service), m->pod.meta.uid));
	if (!m->id) {
		log_error("%s: no memory for pod %s", f->label, m->ledger_name);
		m->state = KUBE_EXPECTED;
	}
}

/* --- places: an address has one pod ---------------------------------------------------------- */

static bool is_younger(const struct kube_member *m, const struct kube_member *than)
{
	return strcmp(m->pod.meta.created, than->pod.meta.created) >= 0;
}

/* The sandbox of the older one is gone, whatever is still said of it. What was meant for it may
 * have reached the younger one. */
static void displace(struct kube_fleet *f, struct kube_member *older, struct kube_member *by,
		     int64_t now_us)
{
	older->is_displaced = true;
	by->displaces = true;
	if (older->id)
		by->seen_young = false;
	if (older->state == KUBE_OFFERED)
		take_away(f, older, now_us);
}

/* FNV-1a; never 0. */
static uint64_t hash_place(const char *where)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	for (; *where; where++)
		hash = (hash ^ (unsigned char)*where) * UINT64_C(1099511628211);
	return hash | 1;
}

/* The last that was sent to a pod may have come to the next one at its address. */
static bool is_haunted(const struct kube_fleet *f, const char *where)
{
	uint64_t hash = hash_place(where);
	for (size_t i = 0; i < KUBE_HAUNTED; i++)
		if (f->haunted[i] == hash)
			return true;
	return false;
}

/* Without memory nobody is found to share it. */
static void take_place(struct kube_fleet *f, struct kube_member *m, int64_t now_us)
{
	struct kube_member *was = map_get(&f->by_place, m->where);
	m->is_displaced = m->displaces = false;
	m->seen_young &= !is_haunted(f, m->where);
	if (was && !is_younger(m, was)) {
		displace(f, m, was, now_us);
		return;
	}
	if (was)
		displace(f, was, m, now_us);
	map_put(&f->by_place, m->where, m);
}

/* The one that had it before has it again, if it is still there. */
static void leave_place(struct kube_fleet *f, struct kube_member *m)
{
	if (m->left_work)
		f->haunted[f->haunted_next++ % KUBE_HAUNTED] = hash_place(m->where);
	m->left_work = false;
	if (map_get(&f->by_place, m->where) != m)
		return;
	map_remove(&f->by_place, m->where);
	if (!m->displaces)
		return;
	LIST_EACH(it, &f->members, struct kube_member, link)
		if (it != m && it->is_displaced && strcmp(it->where, m->where) == 0)
			take_place(f, it, 0); /* no time passes: whom it displaces is AWAY */
}

void kube_fleet_over(struct kube_fleet *f, struct kube_member *m, int64_t now_us)
{
	end_start(f, m);
	end(f, m, now_us);
	drop(f, m);
}

bool kube_fleet_revive(struct kube_fleet *f, struct kube_member *m, int64_t now_us)
{
	const struct pod *p = service_pod(f->service, m->id);
	if (p && !pod_is_idle(p))
		return false;
	take_away(f, m, now_us);
	m->is_removing = false;
	m->doomed_us = 0;
	m->seen_young = true; /* it was found idle */
	return true;
}

bool kube_fleet_adopt(struct kube_fleet *f, const char *name, int64_t now_us)
{
	const struct pod *known = service_pod_by_name(f->service, name);
	const char *at = strchr(name, '@'), *hash = at ? strchr(at, '#') : NULL;
	char where[NET_TEXT_BYTES];
	struct net_address address;
	if (!known || !hash || strlen(name) >= KUBE_LEDGER_NAME_BYTES || !hash[1] ||
	    strlen(hash + 1) >= KUBE_UID_BYTES || at - name >= KUBE_NAME_BYTES ||
	    (size_t)(hash - at) > sizeof(where))
		return false;
	snprintf(where, sizeof(where), "%.*s", (int)(hash - at - 1), at + 1);
	if (net_parse(where, &address) || known->provider_data)
		return known->provider_data != NULL;
	struct kube_member *m = member_of(f, hash + 1);
	if (!m)
		return false;
	snprintf(m->pod.meta.name, sizeof(m->pod.meta.name), "%.*s", (int)(at - name), name);
	snprintf(m->ledger_name, sizeof(m->ledger_name), "%s", name);
	m->address = address;
	m->port = net_port(&address);
	net_format_host(&address, m->host);
	net_format(&address, m->where);
	m->is_pod = strcmp(m->pod.meta.uid, m->host) != 0;
	m->is_listed = true; /* until a list says otherwise */
	m->was_ready = true;
	m->state = KUBE_OFFERED;
	m->is_removing = known->state == POD_REMOVING;
	bool is_absent = known->state == POD_ABSENT;
	m->id = service_pod_add(f->service, name, true, m, now_us);
	if (is_absent)
		take_away(f, m, now_us);
	take_place(f, m, now_us);
	return true;
}

/* --- what the API says ----------------------------------------------------------------------- */

void kube_fleet_put_service(struct kube_fleet *f, const struct json *object)
{
	struct kube_service s;
	if (!kube_service_read(object, &s)) {
		log_warn("%s: its Kubernetes service has a selector that is not understood",
			 f->label);
		return;
	}
	f->about = s;
	f->knows_service = true;
}

static void note_trouble(struct kube_member *m, const struct kube_pod *now, int64_t now_us)
{
	if (now->trouble == KUBE_NO_TROUBLE)
		m->trouble_us = 0;
	else if (!m->trouble_us)
		m->trouble_us = now_us;
}

void kube_fleet_put_pod(struct kube_fleet *f, const struct json *object)
{
	struct kube_pod pod;
	if (!kube_pod_read(object, &pod))
		return;
	struct kube_member *m = member_of(f, pod.meta.uid);
	if (!m) {
		log_error("%s: no room to follow pod %s", f->label, pod.meta.name);
		return;
	}
	bool is_new = !m->pod.meta.version[0];
	if (is_new && !pod.address[0])
		m->seen_young = true;
	m->is_listed = m->is_pod = true;
	m->is_marked = false;
	m->pod = pod;
}

void kube_fleet_gone_pod(struct kube_fleet *f, const struct json *object, int64_t now_us)
{
	struct kube_pod pod;
	struct kube_member *m =
		kube_pod_read(object, &pod) ? map_get(&f->by_uid, pod.meta.uid) : NULL;
	if (!m)
		return;
	kube_fleet_gives_up(f, pod.meta.uid);
	if (pod.meta.is_deleted)
		kube_fleet_over(f, m, now_us);
	else
		m->is_listed = false;
}

void kube_fleet_listing_pods(struct kube_fleet *f)
{
	LIST_EACH(m, &f->members, struct kube_member, link)
		m->is_marked = true;
}

void kube_fleet_listed_pods(struct kube_fleet *f)
{
	f->pods_are_synced = true;
	LIST_EACH(m, &f->members, struct kube_member, link)
		m->is_listed &= !m->is_marked;
}

void kube_fleet_put_slice(struct kube_fleet *f, const struct json *object)
{
	struct kube_slice slice;
	if (kube_slice_read(object, &slice) && !kube_slices_put(&f->slices, &slice))
		log_error("%s: no room for an EndpointSlice", f->label);
}

/* --- both together --------------------------------------------------------------------------- */

static int port_of(const struct kube_fleet *f, const struct kube_member *m,
		   const struct kube_endpoint *e)
{
	const struct kube_service_port *port =
		f->knows_service ? kube_service_port(&f->about, f->port_name) : NULL;
	if (f->target_port)
		return f->target_port;
	if (e && e->port)
		return e->port;
	return port ? kube_pod_port(&m->pod, port) : 0;
}

/* Another port of the same pod counts once it has nothing to do. */
static bool may_move(const struct kube_fleet *f, const struct kube_member *m)
{
	const struct pod *p = service_pod(f->service, m->id);
	return !p || pod_is_idle(p);
}

/* Of a dual stack's two it is the one of the service's family; but the one that is used stays. */
static const char *address_of(const struct kube_fleet *f, const struct kube_member *m,
			      const struct kube_endpoint *e)
{
	const struct kube_pod *p = &m->pod;
	bool is_ipv6 = strchr(p->address, ':') != NULL;
	if (!p->address[0])
		return e ? e->address : "";
	if (!p->other[0] || strcmp(m->host, p->address) == 0)
		return p->address;
	bool wants_other = f->knows_service && f->about.is_ipv6 != is_ipv6;
	return wants_other || strcmp(m->host, p->other) == 0 ? p->other : p->address;
}

static bool is_of_other_family(const char *host, const char *than)
{
	return *than && (strchr(host, ':') != NULL) != (strchr(than, ':') != NULL);
}

/* A pod's address is its own for its life: another one is another sandbox, in which nothing of the
 * old one runs any more. Where slices alone tell of it, the other one of a dual stack's two says
 * nothing of that: each stands in a slice of its own. */
static void locate(struct kube_fleet *f, struct kube_member *m, const struct kube_endpoint *e,
		   int64_t now_us)
{
	const char *said = address_of(f, m, e);
	int port = port_of(f, m, e);
	bool is_same_host = strcmp(said, m->host) == 0;
	bool is_same_pod =
		is_same_host || (!m->pod.address[0] && is_of_other_family(said, m->host));
	char text[NET_TEXT_BYTES];
	struct net_address address;
	if (!*said || !port || (is_same_host && port == m->port) ||
	    (is_same_pod && !may_move(f, m)))
		return;
	snprintf(text, sizeof(text), strchr(said, ':') ? "[%s]:%d" : "%s:%d", said, port);
	if (net_parse(text, &address))
		return;
	if (m->id && is_same_pod)
		take_away(f, m, now_us);
	else if (m->id)
		end(f, m, now_us);
	m->was_ready &= is_same_pod;
	leave_place(f, m);
	m->address = address;
	m->port = port;
	net_format_host(&address, m->host);
	net_format(&address, m->where);
	take_place(f, m, now_us);
}

static bool may_have_work(const struct kube_fleet *f, const struct kube_member *m,
			  const struct kube_endpoint *e)
{
	bool is_ready = e ? e->is_ready : m->pod.is_ready;
	if (f->is_held || !m->port || m->pod.meta.is_deleted || m->pod.has_ended ||
	    m->pod.trouble != KUBE_NO_TROUBLE || (e && e->is_terminating) ||
	    (!e && m->had_endpoint))
		return false;
	/* It has lost its address, or replicas were lowered while it had no
	 * work: it may be the one. */
	if (!kube_member_is_named(m) || m->is_displaced || (m->doomed_us && !m->id))
		return false;
	return is_ready || !m->was_ready;
}

/* It may be named for days yet (one that was evicted is), and its address is another's by then,
 * also of one that was created before it. */
static void end_for_good(struct kube_fleet *f, struct kube_member *m, int64_t now_us)
{
	end_start(f, m);
	end(f, m, now_us);
	leave_place(f, m);
	m->host[0] = '\0';
	m->port = 0;
}

static void settle(struct kube_fleet *f, struct kube_member *m, const struct kube_endpoint *e,
		   int64_t now_us)
{
	look_again(f, m);
	m->in_slices = e && !f->pods_are_synced;
	m->had_endpoint |= e != NULL;
	if (!m->pod.has_ended)
		locate(f, m, e, now_us);
	note_trouble(m, &m->pod, now_us);
	m->was_ready |= e ? e->is_ready : m->pod.is_ready;
	if (m->pod.has_ended) {
		end_for_good(f, m, now_us);
	} else if (may_have_work(f, m, e)) {
		offer(f, m, now_us);
	} else if (m->state == KUBE_OFFERED && !f->is_held) {
		take_away(f, m, now_us);
	}
	if (!kube_member_is_named(m) && !m->id) {
		end_start(f, m);
		drop(f, m);
	}
}

/* Where pods may not be listed, or the service selects none itself, slices alone tell of them. */
static void take_from_slices(struct kube_fleet *f, const struct kube_endpoints *all)
{
	for (size_t i = 0; i < all->count; i++) {
		const struct kube_endpoint *e = &all->at[i];
		struct kube_member *m = f->pods_are_synced ? NULL : member_of(f, e->uid);
		if (!m)
			continue;
		m->is_pod = e->is_pod;
		if (!m->pod.meta.name[0])
			snprintf(m->pod.meta.name, sizeof(m->pod.meta.name), "%s",
				 e->name[0] ? e->name : "endpoint");
	}
}

/* Of several ports each has a name, and a slice has them in an order of its own. */
static const char *name_of_port(const struct kube_fleet *f)
{
	bool has_several = f->knows_service && f->about.port_count > 1;
	return !*f->port_name && has_several ? f->about.ports[0].name : f->port_name;
}

void kube_fleet_settle(struct kube_fleet *f, int64_t now_us)
{
	struct kube_endpoints all;
	bool is_ipv6 = f->knows_service && f->about.is_ipv6;
	if (!kube_slices_join(&f->slices, name_of_port(f), is_ipv6, &all)) {
		log_error("%s: no memory to join its EndpointSlices", f->label);
		return;
	}
	take_from_slices(f, &all);
	LIST_EACH(m, &f->members, struct kube_member, link)
		settle(f, m, kube_endpoints_find(&all, m->pod.meta.uid), now_us);
	kube_endpoints_release(&all);
}
