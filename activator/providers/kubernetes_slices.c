/* EndpointSlices, joined. */
#include "activator/providers/kubernetes_slices.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct kept {
	struct list link;
	struct kube_slice slice;
	bool is_marked;
};

void kube_slices_init(struct kube_slices *s)
{
	list_init(&s->all);
	s->count = s->endpoints = 0;
}

static void drop(struct kube_slices *s, struct kept *it)
{
	list_remove(&it->link);
	s->endpoints -= it->slice.endpoint_count;
	kube_slice_release(&it->slice);
	mem_free(it);
	s->count--;
}

void kube_slices_release(struct kube_slices *s)
{
	LIST_EACH(it, &s->all, struct kept, link)
		drop(s, it);
}

static struct kept *find(const struct kube_slices *s, const char *name)
{
	LIST_EACH(it, &s->all, struct kept, link)
		if (strcmp(it->slice.meta.name, name) == 0)
			return it;
	return NULL;
}

bool kube_slices_put(struct kube_slices *s, struct kube_slice *slice)
{
	struct kept *it = find(s, slice->meta.name);
	size_t before = it ? it->slice.endpoint_count : 0;
	bool has_room = s->endpoints - before + slice->endpoint_count <= KUBE_SLICES_ENDPOINTS_MAX;
	if (!it && has_room && s->count < KUBE_SLICES_MAX) {
		it = mem_zalloc(sizeof(*it));
		if (it) {
			list_init(&it->link);
			list_push_back(&s->all, &it->link);
			s->count++;
		}
	}
	if (!it || !has_room) {
		kube_slice_release(slice);
		return false;
	}
	s->endpoints += slice->endpoint_count - before;
	kube_slice_release(&it->slice);
	it->slice = *slice;
	it->is_marked = false;
	*slice = (struct kube_slice){0};
	return true;
}

void kube_slices_remove(struct kube_slices *s, const char *name)
{
	struct kept *it = find(s, name);
	if (it)
		drop(s, it);
}

void kube_slices_mark(struct kube_slices *s)
{
	LIST_EACH(it, &s->all, struct kept, link)
		it->is_marked = true;
}

void kube_slices_sweep(struct kube_slices *s)
{
	LIST_EACH(it, &s->all, struct kept, link)
		if (it->is_marked)
			drop(s, it);
}

/* --- joining --------------------------------------------------------------------------------- */

static int port_of(const struct kube_slice *s, const char *name)
{
	for (size_t i = 0; i < s->port_count; i++)
		if (!*name || strcmp(s->ports[i].name, name) == 0)
			return s->ports[i].number;
	return 0;
}

static int by_pod(const void *a, const void *b)
{
	const struct kube_endpoint *x = a, *y = b;
	int order = strcmp(x->uid, y->uid);
	if (!order && x->is_ipv6 != y->is_ipv6)
		order = x->is_ipv6 ? 1 : -1;
	return order;
}

static void merge(struct kube_endpoint *into, const struct kube_endpoint *e, bool prefer_ipv6)
{
	bool is_better = into->is_ipv6 != prefer_ipv6 && e->is_ipv6 == prefer_ipv6;
	if (is_better || (!into->port && e->is_ipv6 == into->is_ipv6)) {
		memcpy(into->address, e->address, sizeof(into->address));
		into->port = e->port;
		into->is_ipv6 = e->is_ipv6;
	}
	into->is_ready |= e->is_ready;
	into->is_serving |= e->is_serving;
	into->is_terminating |= e->is_terminating;
}

bool kube_slices_join(const struct kube_slices *s, const char *port, bool prefer_ipv6,
		      struct kube_endpoints *to)
{
	size_t total = 0, n = 0;
	LIST_EACH(it, &s->all, struct kept, link)
		total += it->slice.endpoint_count;
	to->count = 0;
	to->at = mem_zalloc((total ? total : 1) * sizeof(*to->at));
	if (!to->at)
		return false;
	LIST_EACH(it, &s->all, struct kept, link) {
		for (size_t i = 0; i < it->slice.endpoint_count; i++) {
			to->at[n] = it->slice.endpoints[i];
			to->at[n++].port = port_of(&it->slice, port);
		}
	}
	qsort(to->at, n, sizeof(*to->at), by_pod);
	for (size_t i = 0; i < n; i++) {
		if (to->count && strcmp(to->at[to->count - 1].uid, to->at[i].uid) == 0)
			merge(&to->at[to->count - 1], &to->at[i], prefer_ipv6);
		else
			to->at[to->count++] = to->at[i];
	}
	return true;
}

void kube_endpoints_release(struct kube_endpoints *e)
{
	mem_free(e->at);
	*e = (struct kube_endpoints){0};
}

static int against_uid(const void *uid, const void *e)
{
	return strcmp(uid, ((const struct kube_endpoint *)e)->uid);
}

const struct kube_endpoint *kube_endpoints_find(const struct kube_endpoints *e, const char *uid)
{
	return e->count ? bsearch(uid, e->at, e->count, sizeof(*e->at), against_uid) : NULL;
}
