/* Pods at configured addresses. */
#include "activator/providers/static.h"

#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

/* An address. Once absent it stays for as long as the ledger knows its pod: its jobs go on. */
struct place {
	struct list link; /* on configured or absent */
	struct net_address address;
	char name[NET_TEXT_BYTES];
	uint64_t pod;
	bool keep; /* while reloading: it is in the new config */
};

struct static_provider {
	struct provider base;
	struct provider_host host;
	struct list configured, absent;
	struct task gone;
	provider_gone_fn *gone_fn;
	void *gone_owner;
};

static struct static_provider *self_of(struct provider *p)
{
	return (struct static_provider *)(void *)p;
}

static struct place *find(struct list *places, const char *name)
{
	LIST_EACH(it, places, struct place, link)
		if (strcmp(it->name, name) == 0)
			return it;
	return NULL;
}

static void free_all(struct list *places)
{
	while (!list_is_empty(places)) {
		struct place *it = LIST_FIRST(places, struct place, link);
		list_remove(&it->link);
		mem_free(it);
	}
}

/* NULL: no memory. */
static struct place *new_place(const struct net_address *address, const char *name)
{
	struct place *it = mem_zalloc(sizeof(*it));
	if (!it)
		return NULL;
	list_init(&it->link);
	it->address = *address;
	memcpy(it->name, name, sizeof(it->name));
	return it;
}

static void begin_start(struct static_provider *s, const struct place *it, int64_t now_us)
{
	struct coldstart *c = coldstarts_begin(service_coldstarts(s->host.service), it->name,
					       it->name, COLDSTART_OF_STATIC, now_us);
	if (c)
		coldstart_set(c, COLDSTART_CREATED, now_us, COLDSTART_OWN);
	service_pod_starts(s->host.service, it->pod, c);
}

static void end_start(struct static_provider *s, const struct place *it)
{
	struct coldstarts *all = service_coldstarts(s->host.service);
	coldstarts_end(all, coldstarts_by_key(all, it->name));
}

/* Makes sure that the address is configured and its pod known. */
static bool add(struct static_provider *s, const struct net_address *address, int64_t now_us)
{
	char name[NET_TEXT_BYTES] = "";
	net_format(address, name);
	struct place *it = find(&s->configured, name);
	if (!it)
		it = find(&s->absent, name);
	if (!it)
		it = new_place(address, name);
	if (!it)
		return false;
	it->keep = true;
	bool is_new = !service_pod_by_name(s->host.service, name);
	it->pod = service_pod_add(s->host.service, name, false, it, now_us);
	if (is_new)
		begin_start(s, it, now_us);
	list_remove(&it->link);
	list_push_back(&s->configured, &it->link);
	return it->pod != 0;
}

static void apply(struct static_provider *s, const struct service_config *config)
{
	const struct static_pods_config *pods = &config->static_pods;
	int64_t now_us = loop_now_us(s->host.loop);
	LIST_EACH(it, &s->absent, struct place, link) {
		if (service_pod(s->host.service, it->pod))
			continue;
		list_remove(&it->link);
		mem_free(it);
	}
	LIST_EACH(it, &s->configured, struct place, link)
		it->keep = false;
	for (size_t i = 0; i < pods->count; i++)
		if (!add(s, &pods->parsed[i], now_us))
			log_error("%s: no memory for pod %s; a reload tries again", config->name,
				  pods->addresses[i]);
	LIST_EACH(it, &s->configured, struct place, link) {
		if (it->keep)
			continue;
		list_remove(&it->link);
		list_push_back(&s->absent, &it->link);
		end_start(s, it);
		service_pod_absent(s->host.service, it->pod, now_us);
	}
	s->host.changed(s->host.owner);
}

/* --- the interface --------------------------------------------------------------------------- */

static void scale(struct provider *p, int64_t replicas)
{
	(void)p, (void)replicas;
}

static void on_pod(struct provider *p, uint64_t pod)
{
	(void)p, (void)pod;
}

static const struct net_address *address(const struct provider *p, uint64_t id)
{
	const struct static_provider *s = (const struct static_provider *)(const void *)p;
	const struct pod *pod = service_pod(s->host.service, id);
	return pod ? &((const struct place *)pod->provider_data)->address : NULL;
}

static void reload(struct provider *p, const struct service_config *config)
{
	apply(self_of(p), config);
}

static void say_gone(void *arg)
{
	struct static_provider *s = arg;
	s->gone_fn(s->gone_owner);
}

static void shut_down(struct provider *p, provider_gone_fn *gone, void *owner)
{
	struct static_provider *s = self_of(p);
	s->gone_fn = gone;
	s->gone_owner = owner;
	loop_defer(s->host.loop, &s->gone);
}

static void each(const struct provider *p, provider_pod_fn *fn, void *arg)
{
	(void)p, (void)fn, (void)arg; /* the names that the ledger has are all there is */
}

/* One that is not configured here, or it would have a place: its jobs go on. */
static bool adopt(struct provider *p, const struct provider_pod *pod)
{
	struct static_provider *s = self_of(p);
	const struct pod *known = service_pod_by_name(s->host.service, pod->name);
	struct net_address a;
	if (!known || net_parse(pod->name, &a))
		return false;
	if (known->provider_data)
		return true;
	char name[NET_TEXT_BYTES];
	net_format(&a, name);
	struct place *it = new_place(&a, name);
	if (!it)
		return false;
	it->pod = service_pod_add(s->host.service, pod->name, false, it, loop_now_us(s->host.loop));
	list_push_back(&s->absent, &it->link);
	service_pod_absent(s->host.service, it->pod, loop_now_us(s->host.loop));
	return true;
}

static void let_go(struct provider *p)
{
	(void)p;
}

static void free_provider(struct provider *p)
{
	struct static_provider *s = self_of(p);
	task_cancel(&s->gone);
	free_all(&s->configured);
	free_all(&s->absent);
	mem_free(s);
}

struct provider *static_provider_new(const struct provider_host *host,
				     const struct service_config *config)
{
	static const struct provider_ops ops = {
		.scale = scale,
		.remove = on_pod,
		.became_ready = on_pod,
		.address = address,
		.reload = reload,
		.shutdown = shut_down,
		.free = free_provider,
		.each = each,
		.adopt = adopt,
		.let_go = let_go,
	};
	struct static_provider *s = mem_zalloc(sizeof(*s));
	if (!s)
		return NULL;
	s->base.ops = &ops;
	s->host = *host;
	list_init(&s->configured);
	list_init(&s->absent);
	task_init(&s->gone, say_gone, s);
	apply(s, config);
	return &s->base;
}
