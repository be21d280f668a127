/* A walk over services, tenants and pods that may be left and continued. */
#include "gateway/fleet.h"

#include <string.h>

#include "gateway/backend.h"
#include "gateway/gateway.h"

static void add(struct ids *ids, uint64_t id)
{
	str_add(&ids->list, &id, sizeof(id));
}

static void empty(struct ids *ids)
{
	str_clear(&ids->list);
	ids->at = 0;
}

/* 0: there are no more. */
static uint64_t take(struct ids *ids)
{
	uint64_t id;
	if (ids->at + sizeof(id) > ids->list.len)
		return 0;
	memcpy(&id, ids->list.at + ids->at, sizeof(id));
	ids->at += sizeof(id);
	return id;
}

static void note_pod(void *arg, const struct pod *p)
{
	add(arg, p->id);
}

static void note_tenant(void *arg, const struct tenant *tn)
{
	add(arg, tn->id);
}

void fleet_begin(struct fleet_walk *w, struct gateway *gw)
{
	fleet_end(w);
	w->gateway = gw;
	LIST_EACH(b, &gw->backends, struct backend, link)
		add(&w->services, b->number);
}

static struct backend *find(struct gateway *gw, uint64_t number)
{
	LIST_EACH(b, &gw->backends, struct backend, link)
		if (b->number == number)
			return b;
	return NULL;
}

static enum fleet_what next_service(struct fleet_walk *w)
{
	while ((w->number = take(&w->services))) {
		w->backend = find(w->gateway, w->number);
		if (!w->backend)
			continue;
		activator_settle(w->backend->activator);
		empty(&w->tenants);
		empty(&w->pods);
		if (w->services_only)
			return FLEET_SERVICE;
		service_each_tenant(backend_service(w->backend), note_tenant, &w->tenants);
		service_each_pod(backend_service(w->backend), note_pod, &w->pods);
		return FLEET_SERVICE;
	}
	return FLEET_END;
}

static enum fleet_what end_service(struct fleet_walk *w)
{
	w->number = 0;
	return FLEET_SERVICE_END;
}

enum fleet_what fleet_next(struct fleet_walk *w)
{
	uint64_t id;
	if (!w->number)
		return next_service(w);
	w->backend = find(w->gateway, w->number);
	if (!w->backend)
		return end_service(w);
	while ((id = take(&w->tenants))) {
		w->tenant = service_tenant(backend_service(w->backend), id);
		if (w->tenant)
			return FLEET_TENANT;
	}
	while ((id = take(&w->pods))) {
		w->pod = service_pod(backend_service(w->backend), id);
		if (w->pod)
			return FLEET_POD;
	}
	return end_service(w);
}

struct backend *fleet_service(const struct fleet_walk *w)
{
	return w->number ? find(w->gateway, w->number) : NULL;
}

bool fleet_failed(const struct fleet_walk *w)
{
	return w->services.list.failed || w->tenants.list.failed || w->pods.list.failed;
}

void fleet_end(struct fleet_walk *w)
{
	str_release(&w->services.list);
	str_release(&w->tenants.list);
	str_release(&w->pods.list);
	memset(w, 0, sizeof(*w));
}
