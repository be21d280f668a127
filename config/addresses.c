/* Addresses that cannot all be had: listeners that clash, and pods that are slotgate itself. */
#include <string.h>

#include "config/parts.h"

static bool is_listener_of_all(const struct net_address *listener, const struct net_address *a)
{
	bool takes_both = listener->sa.sa_family == AF_INET6; /* IPv4 too */
	return net_is_any(listener) && net_port(listener) == net_port(a) &&
	       (takes_both || listener->sa.sa_family == a->sa.sa_family);
}

static bool clash(const struct net_address *one, const struct net_address *other)
{
	return net_is_same(one, other) || is_listener_of_all(one, other) ||
	       is_listener_of_all(other, one);
}

/* A pod at some other address of this machine is not seen to be one. */
static bool reaches(const struct net_address *pod, const struct net_address *listener)
{
	return net_is_same(pod, listener) ||
	       (is_listener_of_all(listener, pod) && net_is_loopback(pod));
}

/* Port 0 is any free one. */
static bool is_fixed(const struct listener_config *l)
{
	return l->address && net_port(&l->parsed) != 0;
}

/* The addresses that are not for clients. */
enum { OWN = 3 };
static const char *const own_names[OWN] = {"admin.address", "keda.address", "metricsApi.address"};

static const struct listener_config *own_listener(const struct config *c, size_t i)
{
	const struct listener_config *const all[OWN] = {&c->admin, &c->keda,
							&c->metrics_api.listener};
	return all[i];
}

static void check_clash(const struct listener_config *l, const struct place *at,
			const struct listener_config *other, const char *name, struct str *faults)
{
	if (!is_fixed(l) || !is_fixed(other) || !clash(&l->parsed, &other->parsed))
		return;
	if (net_is_same(&l->parsed, &other->parsed))
		fault_at(faults, at, "\"%s\": %s has it", l->address, name);
	else
		fault_at(faults, at,
			 "\"%s\": %s has \"%s\", and one of the two includes the other: give one "
			 "another port",
			 l->address, name, other->address);
}

static void check_pods(const struct service_config *s, const struct place *at,
		       const struct listener_config *l, const char *name, struct str *faults)
{
	for (size_t i = 0; i < s->static_pods.count && is_fixed(l); i++)
		if (reaches(&s->static_pods.parsed[i], &l->parsed))
			fault_at(faults, PLACE_ITEM(PLACE_KEY(at, "pods.static"), i),
				 "\"%s\" is slotgate's own address (%s): name the pod's",
				 s->static_pods.addresses[i], name);
}

void check_addresses(const struct config *c, struct str *faults)
{
	for (size_t i = 0; i < OWN; i++)
		for (size_t k = 0; k < i; k++)
			check_clash(own_listener(c, i), PLACE_KEY(NULL, own_names[i]),
				    own_listener(c, k), own_names[k], faults);
	for (size_t i = 0; i < c->listener_count; i++) {
		const struct listener_config *l = &c->listeners[i];
		const struct place *at =
			PLACE_KEY(PLACE_ITEM(PLACE_KEY(NULL, "listeners"), i), "address");
		for (size_t k = 0; k < OWN; k++)
			check_clash(l, at, own_listener(c, k), own_names[k], faults);
		for (size_t k = 0; k < i; k++)
			check_clash(l, at, &c->listeners[k], "another listener", faults);
	}
	for (size_t i = 0; i < c->service_count; i++) {
		const struct place *at = PLACE_ITEM(PLACE_KEY(NULL, "services"), i);
		for (size_t k = 0; k < OWN; k++)
			check_pods(&c->services[i], at, own_listener(c, k), own_names[k], faults);
		for (size_t k = 0; k < c->listener_count; k++)
			check_pods(&c->services[i], at, &c->listeners[k], "a listener", faults);
	}
}
