/* Tenants, and the queue that is made of their lanes. */
#include <string.h>

#include "activator/core/ledger.h"
#include "base/mem.h"

/* --- life ------------------------------------------------------------------------------------ */

static void tenant_init(struct tenant *tn, char *name)
{
	*tn = (struct tenant){.name = name};
	list_init(&tn->link);
	list_init(&tn->lane);
}

/* The heaps have a place for every tenant. */
static bool reserve_places(struct service *s, size_t tenants)
{
	return heap_reserve(&s->lanes, tenants) && heap_reserve(&s->runnable, tenants);
}

bool lanes_init(struct service *s)
{
	list_init(&s->tenants);
	map_init(&s->tenant_names);
	table_init(&s->tenant_ids);
	heap_init(&s->lanes);
	heap_init(&s->runnable);
	tenant_init(&s->nobody, NULL);
	return reserve_places(s, 1);
}

static void tenant_free(struct service *s, struct tenant *tn)
{
	list_remove(&tn->link);
	map_remove(&s->tenant_names, tn->name);
	table_remove(&s->tenant_ids, tn->id);
	mem_free(tn->name);
	mem_free(tn);
}

void lanes_release(struct service *s)
{
	LIST_EACH(tn, &s->tenants, struct tenant, link)
		tenant_free(s, tn);
	map_release(&s->tenant_names);
	table_release(&s->tenant_ids);
	heap_release(&s->lanes);
	heap_release(&s->runnable);
}

static struct tenant *tenant_new(struct service *s, const char *name)
{
	struct tenant *tn = mem_zalloc(sizeof(*tn));
	char *copy = mem_copy(name, strlen(name) + 1);
	if (!tn || !copy || !reserve_places(s, s->tenant_ids.count + 2))
		goto no_memory;
	tenant_init(tn, copy);
	tn->id = table_add(&s->tenant_ids, tn);
	if (!tn->id || !map_put(&s->tenant_names, copy, tn))
		goto no_memory;
	list_push_back(&s->tenants, &tn->link);
	return tn;

no_memory:
	if (tn)
		table_remove(&s->tenant_ids, tn->id);
	mem_free(copy);
	mem_free(tn);
	return NULL;
}

uint64_t service_tenant_set(struct service *s, const char *name, struct tenant_caps caps,
			    int64_t now_us)
{
	struct tenant *tn = map_get(&s->tenant_names, name);
	if (!tn)
		tn = tenant_new(s, name);
	if (!tn)
		return 0;
	s->dropped_tenants -= tn->is_dropped;
	tn->is_dropped = false;
	tn->caps = caps;
	lane_settle(s, tn);
	service_observe(s, now_us);
	if (tn->counted && service_is_cold(s))
		scale_wake(s, now_us);
	return tn->id;
}

uint64_t service_tenant_named(const struct service *s, const char *name)
{
	const struct tenant *tn = name ? map_get(&s->tenant_names, name) : NULL;
	return tn ? tn->id : 0;
}

void service_tenant_drop(struct service *s, const char *name)
{
	struct tenant *tn = map_get(&s->tenant_names, name);
	if (!tn || tn->is_dropped)
		return;
	tn->is_dropped = true;
	s->dropped_tenants++;
}

static bool is_unused(const struct tenant *tn)
{
	return tn->uploading + tn->uploading_passes + tn->waiting + tn->waiting_passes +
		       tn->working ==
	       0;
}

void tenants_reap(struct service *s)
{
	if (!s->dropped_tenants)
		return;
	LIST_EACH(tn, &s->tenants, struct tenant, link) {
		if (!tn->is_dropped || !is_unused(tn))
			continue;
		s->dropped_tenants--;
		tenant_free(s, tn);
	}
}

struct tenant *tenant_of(struct service *s, const struct ticket *t)
{
	struct tenant *tn = table_get(&s->tenant_ids, t->tenant);
	return tn ? tn : &s->nobody;
}

const struct tenant *service_tenant(const struct service *s, uint64_t id)
{
	return table_get(&s->tenant_ids, id);
}

void service_each_tenant(const struct service *s, void (*fn)(void *arg, const struct tenant *),
			 void *arg)
{
	LIST_EACH(tn, &s->tenants, struct tenant, link)
		fn(arg, tn);
}

/* --- lanes ----------------------------------------------------------------------------------- */

struct ticket *lane_first(const struct tenant *tn)
{
	return LIST_FIRST(&tn->lane, struct ticket, link);
}

static void place(struct heap *heap, struct heap_node *node, bool belongs, const struct tenant *tn)
{
	if (!belongs)
		heap_remove(heap, node);
	else if (!node->place || node->key != (int64_t)lane_first(tn)->order)
		heap_set(heap, node, (int64_t)lane_first(tn)->order);
}

void lane_settle(struct service *s, struct tenant *tn)
{
	int64_t room = tenant_room(tn), before = s->runnable_waiting;
	bool waits = tn->waiting > 0, may_run = waits && room > 0;
	place(&s->lanes, &tn->in_lanes, waits, tn);
	place(&s->runnable, &tn->runnable, may_run, tn);
	s->runnable_waiting -= tn->counted;
	tn->counted = tn->waiting < room ? tn->waiting : room;
	s->runnable_waiting += tn->counted;
	if (s->runnable_waiting != before)
		s->match_due = true;
	/* A pod must not run empty for a ticket that could not go there. */
	if (!may_run && s->reserved_ticket && tenant_of(s, s->reserved_ticket) == tn)
		match_unreserve(s, s->reserved_ticket->id);
}

void lane_insert(struct list *lane, struct ticket *t)
{
	if (list_is_empty(lane) || LIST_OWNER(lane->prev, struct ticket, link)->order < t->order) {
		list_push_back(lane, &t->link);
		return;
	}
	LIST_EACH(it, lane, struct ticket, link) {
		if (it->order > t->order) {
			list_insert_before(&it->link, &t->link);
			return;
		}
	}
}

struct ticket *queue_first(const struct service *s)
{
	struct heap_node *top = heap_top(&s->lanes);
	return top ? lane_first(HEAP_OWNER(top, struct tenant, in_lanes)) : NULL;
}
