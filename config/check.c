/* Contradictions: values that are right one by one and wrong together. */
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "config/options.h"
#include "config/parts.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

enum { PORT_MAX = 65535 };

/* --- within a service -------------------------------------------------------------------- */

/* Pairs of which the first must not be above the second (0: the second is no limit). */
static const struct {
	const char *less, *more;
} orders[] = {
	{"autoscaling.minScale", "autoscaling.maxScale"},
	{"autoscaling.initialScale", "autoscaling.maxScale"},
	{"autoscaling.activationScale", "autoscaling.maxScale"},
	{"ejection.base", "ejection.max"},
	{"pods.process.backoffBase", "pods.process.backoffMax"},
};

static int64_t int_value(const struct option *o, const struct service_config *s)
{
	return *(const int64_t *)(const void *)((const char *)s + o->offset);
}

static void check_orders(const struct service_config *s, const struct place *at, struct str *faults)
{
	for (size_t i = 0; i < COUNT(orders); i++) {
		const struct option *less = option_find(SCOPE_SERVICE, orders[i].less);
		const struct option *more = option_find(SCOPE_SERVICE, orders[i].more);
		if (int_value(less, s) <= int_value(more, s) || int_value(more, s) == 0)
			continue;
		struct str text;
		str_init_must(&text);
		option_add_value(&text, less, s);
		str_printf(&text, " is more than %s (", strrchr(more->path, '.') + 1);
		option_add_value(&text, more, s);
		fault_at(faults, PLACE_KEY(at, less->path), "%s)", text.at);
		str_release(&text);
	}
}

static void check_slots(const struct service_config *s, const struct json *json,
			const struct place *up, struct str *faults)
{
	const struct place *at = PLACE_KEY(up, "slots");
	for (size_t i = 0; json_get(json, "slots") && i < s->slot_count; i++) {
		const struct place *here = PLACE_ITEM(at, i);
		if (s->slots[i].freed_by_idle && !json_get(json, "idle"))
			fault_at(faults, PLACE_KEY(here, "freedBy"),
				 "\"idle\" needs the service's \"idle\" check");
		if (s->slots[i].exclusive && s->container_concurrency == 0)
			fault_at(faults, PLACE_KEY(here, "exclusive"),
				 "there is no \"all of a pod's slots\" when containerConcurrency "
				 "is 0");
	}
}

static bool any_holds(char **texts, const char *what)
{
	for (; texts && *texts; texts++)
		if (strstr(*texts, what))
			return true;
	return false;
}

static bool is_told(const struct process_pods_config *p, const char *what)
{
	return any_holds(p->command, what) || any_holds(p->env, what);
}

/* Whether a key holds a usable value, or is absent: then its default counts. A faulty one has had
 * its fault. */
static bool is_zero_or_absent(const struct json *json, const char *path)
{
	double n = -1;
	const struct json *value = json_find(json, path);
	return !value || (json_number(value, &n) && n == 0);
}

static void check_process(const struct service_config *s, const struct json *json,
			  const struct place *at, struct str *faults)
{
	const struct process_pods_config *p = &s->process;
	int64_t max = s->autoscaling.max_scale;
	if (is_zero_or_absent(json, "autoscaling.maxScale"))
		fault_at(faults, PLACE_KEY(at, "autoscaling.maxScale"),
			 "must be at least 1 with \"process\" pods: say how many this machine can "
			 "run");
	if (s->container_concurrency == 0 && is_zero_or_absent(json, "autoscaling.target"))
		fault_at(faults, PLACE_KEY(at, "autoscaling.target"),
			 "must be above 0 when containerConcurrency is 0: else nothing says when "
			 "to scale");
	if (p->first_port && p->first_port + max - 1 > PORT_MAX)
		fault_at(faults, PLACE_KEY(at, "pods.process.firstPort"),
			 "leaves no room below 65536 for %d pods", (int)max);
	bool one_port = p->first_port && max == 1;
	bool told = is_told(p, "{port}") || (p->first_port && is_told(p, "{index}"));
	if (p->command[0] && !one_port && !told)
		fault_at(faults, PLACE_KEY(at, "pods.process.command"),
			 "must hold {port}, or a variable of \"env\" must: else no pod knows where "
			 "to listen");
}

static void check_kubernetes(const struct service_config *s, const struct json *json,
			     const struct place *up, struct str *faults)
{
	const struct json *mine = json_find(json, "pods.kubernetes");
	const struct place *at = PLACE_KEY(up, "pods.kubernetes");
	if (s->kubernetes.context && !s->kubernetes.kubeconfig && !json_get(mine, "kubeconfig"))
		fault_at(faults, PLACE_KEY(at, "context"), "needs a \"kubeconfig\"");
	if (s->kubernetes.target_port && json_get(mine, "port"))
		fault_at(faults, PLACE_KEY(at, "port"),
			 "says nothing beside \"targetPort\": give one of the two");
	if (!s->kubernetes.scales && json_get(mine, "scale"))
		fault_at(faults, PLACE_KEY(at, "scale"),
			 "nothing is scaled with \"scaler\": \"none\"");
	if (s->kubernetes.scales && s->container_concurrency == 0 &&
	    is_zero_or_absent(json, "autoscaling.target"))
		fault_at(faults, PLACE_KEY(up, "autoscaling.target"),
			 "must be above 0 when containerConcurrency is 0: else nothing says when "
			 "to scale");
}

void check_service(const struct service_config *s, const struct json *json, const struct place *at,
		   struct str *faults)
{
	check_orders(s, at, faults);
	check_slots(s, json, at, faults);
	if (json_find(json, "idle.equals") && !json_find(json, "idle.jsonPath"))
		fault_at(faults, PLACE_KEY(at, "idle.equals"), "needs \"jsonPath\"");
	if (s->provider == PROVIDER_PROCESS)
		check_process(s, json, at, faults);
	if (s->provider == PROVIDER_KUBERNETES)
		check_kubernetes(s, json, at, faults);
}

/* --- between services and listeners ------------------------------------------------------ */

/* A place in one of the root's lists: "services[0].hosts[1]"; no key: the item itself. */
static void fault_in(struct str *faults, const char *list, size_t index, const char *key,
		     const char *text)
{
	const struct place *item = PLACE_ITEM(PLACE_KEY(NULL, list), index);
	fault_at(faults, key ? PLACE_KEY(item, key) : item, "%s", text);
}

struct check {
	const struct config *config;
	struct str *faults;
	struct map services; /* by name */
	bool *named;	     /* by the service's index: a listener names it */
};

static size_t index_of(const struct check *c, const struct service_config *s)
{
	return (size_t)(s - c->config->services);
}

/* Takes what services must not share: the first one has it, each further one is at fault. */
static void claim(struct check *c, struct map *owners, const char *what,
		  struct service_config *owner, const struct place *at)
{
	const struct service_config *first = map_get(owners, what);
	if (!first)
		map_put(owners, what, owner);
	else if (first == owner)
		fault_at_text(c->faults, at, what, "listed twice");
	else
		fault_at(c->faults, at, "\"%s\" belongs to services[%zu] already", what,
			 index_of(c, first));
}

static void claim_all(struct check *c)
{
	struct map hosts, pods;
	map_init(&hosts);
	map_init(&pods);
	for (size_t i = 0; i < c->config->service_count; i++) {
		struct service_config *s = &c->config->services[i];
		const struct place *at = PLACE_ITEM(PLACE_KEY(NULL, "services"), i);
		if (s->name)
			claim(c, &c->services, s->name, s, PLACE_KEY(at, "name"));
		for (size_t h = 0; h < s->host_count; h++)
			claim(c, &hosts, s->hosts[h], s, PLACE_ITEM(PLACE_KEY(at, "hosts"), h));
		for (size_t p = 0; p < s->static_pods.count; p++)
			claim(c, &pods, s->static_pods.addresses[p], s,
			      PLACE_ITEM(PLACE_KEY(at, "pods.static"), p));
	}
	map_release(&hosts);
	map_release(&pods);
}

static bool is_same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Two that scale the same pods would undo each other. */
static void check_kubernetes_services(struct check *c)
{
	const struct service_config *all = c->config->services;
	for (size_t i = 0; i < c->config->service_count; i++) {
		const struct kubernetes_pods_config *a = &all[i].kubernetes;
		for (size_t k = 0; k < i && a->service; k++) {
			const struct kubernetes_pods_config *b = &all[k].kubernetes;
			if (is_same_text(a->service, b->service) &&
			    is_same_text(a->name_space, b->name_space) &&
			    is_same_text(a->kubeconfig, b->kubeconfig) &&
			    is_same_text(a->context, b->context))
				fault_at(c->faults,
					 PLACE_KEY(PLACE_ITEM(PLACE_KEY(NULL, "services"), i),
						   "pods.kubernetes.service"),
					 "\"%s\" belongs to services[%zu] already", a->service, k);
		}
	}
}

/* Two that stand for one revision would each tell of a part. */
static void check_revisions(struct check *c)
{
	const struct service_config *all = c->config->services;
	for (size_t i = 0; i < c->config->service_count; i++) {
		const struct revision_config *a = &all[i].revision;
		for (size_t k = 0; k < i && a->name; k++)
			if (is_same_text(a->name, all[k].revision.name) &&
			    is_same_text(a->name_space, all[k].revision.name_space))
				fault_at(c->faults,
					 PLACE_KEY(PLACE_ITEM(PLACE_KEY(NULL, "services"), i),
						   "knative.revision"),
					 "\"%s\" belongs to services[%zu] already", a->name, k);
	}
	if (c->config->knative.autoscaler && !c->config->knative.is_used)
		fault_at(c->faults, PLACE_KEY(NULL, "knative.autoscaler"),
			 "there is nothing to tell it: no service has a \"knative\"");
}

static void unknown_service(struct check *c, size_t listener)
{
	const char *name = c->config->listeners[listener].service;
	const char *meant = NULL;
	size_t least = SIZE_MAX;
	for (size_t i = 0; i < c->config->service_count; i++) {
		const char *known = c->config->services[i].name;
		size_t distance = known ? fault_distance(name, slice_of(known)) : SIZE_MAX;
		if (distance < least) {
			least = distance;
			meant = known;
		}
	}
	const struct place *at =
		PLACE_KEY(PLACE_ITEM(PLACE_KEY(NULL, "listeners"), listener), "service");
	if (meant)
		fault_at(c->faults, at, "no service has the name \"%s\"; did you mean \"%s\"?",
			 name, meant);
	else
		fault_at(c->faults, at, "no service has the name \"%s\"", name);
}

/* Marks the services that a listener names. False: one names an unknown service. */
static bool check_names(struct check *c)
{
	bool all_known = true;
	for (size_t i = 0; i < c->config->listener_count; i++) {
		const char *name = c->config->listeners[i].service;
		const struct service_config *s = name ? map_get(&c->services, name) : NULL;
		if (s) {
			c->named[index_of(c, s)] = true;
		} else if (name) {
			unknown_service(c, i);
			all_known = false;
		}
	}
	return all_known;
}

/* At most one service may serve every host: those that a listener names serve only that one. */
static void check_every_host(struct check *c)
{
	const struct service_config *first = NULL;
	for (size_t i = 0; i < c->config->service_count; i++) {
		const struct service_config *s = &c->config->services[i];
		if (s->hosts || c->named[i])
			continue;
		if (first)
			fault_at(c->faults,
				 PLACE_KEY(PLACE_ITEM(PLACE_KEY(NULL, "services"), i), "hosts"),
				 "required, as services[%zu] serves every host already (or let a "
				 "listener name one of the two)",
				 index_of(c, first));
		else
			first = s;
	}
}

/* Every listener leads to a service, and every service is led to. */
static void check_reach(struct check *c)
{
	const struct config *config = c->config;
	bool any_by_host = false, any_open = false;
	for (size_t i = 0; i < config->service_count; i++)
		any_by_host |= config->services[i].hosts || !c->named[i];
	for (size_t i = 0; i < config->listener_count; i++) {
		if (config->listeners[i].service)
			continue;
		any_open = true;
		if (!any_by_host)
			fault_in(c->faults, "listeners", i, "service",
				 "required, as every service belongs to a listener that names it");
	}
	for (size_t i = 0; i < config->service_count && !any_open; i++)
		if (!c->named[i])
			fault_in(c->faults, "services", i, NULL,
				 "no listener leads to it: each names another service");
}

static int64_t last_port(const struct service_config *s)
{
	int64_t pods = s->autoscaling.max_scale;
	return s->process.first_port + (pods ? pods : 1) - 1;
}

static bool has_ports(const struct service_config *s)
{
	return s->provider == PROVIDER_PROCESS && s->process.first_port;
}

static void check_ports(struct check *c)
{
	const struct service_config *all = c->config->services;
	for (size_t i = 0; i < c->config->service_count; i++) {
		for (size_t k = 0; k < i && has_ports(&all[i]); k++) {
			if (!has_ports(&all[k]) || last_port(&all[k]) < all[i].process.first_port ||
			    last_port(&all[i]) < all[k].process.first_port)
				continue;
			fault_at(c->faults,
				 PLACE_KEY(PLACE_ITEM(PLACE_KEY(NULL, "services"), i),
					   "pods.process.firstPort"),
				 "its ports (%d to %d) overlap those of services[%zu] (%d to %d)",
				 (int)all[i].process.first_port, (int)last_port(&all[i]), k,
				 (int)all[k].process.first_port, (int)last_port(&all[k]));
		}
	}
}

void check_config(const struct config *config, struct str *faults)
{
	struct check c = {.config = config, .faults = faults};
	map_init(&c.services);
	c.named = mem_must_zalloc(config->service_count * sizeof(*c.named));
	claim_all(&c);
	check_kubernetes_services(&c);
	check_revisions(&c);
	check_addresses(config, faults);
	if (check_names(&c) && config->listener_count && config->service_count) {
		check_every_host(&c);
		check_reach(&c);
	}
	check_ports(&c);
	map_release(&c.services);
	mem_free(c.named);
}
