/* Why no pod comes. */
#include "activator/providers/kubernetes_why.h"

#include <stdio.h>

/* --- names ----------------------------------------------------------------------------------- */

/* "api", "metrics" */
static void list_ports(const struct kube_service *s, char *to, size_t size)
{
	size_t n = 0;
	snprintf(to, size, "none with a name");
	for (size_t i = 0; i < s->port_count && n < size; i++)
		if (s->ports[i].name[0])
			n += (size_t)snprintf(to + n, size - n, "%s\"%s\"", n ? ", " : "",
					      s->ports[i].name);
}

/* It has an address, and nothing listens there by the name that the Service gives. */
static const struct kube_member *without_port(const struct kube_fleet *f)
{
	LIST_EACH(m, &f->members, struct kube_member, link)
		if (m->is_listed && kube_member_exists(m) && m->pod.address[0] && !m->port)
			return m;
	return NULL;
}

static void tell_ports(const struct kube_fleet *f, const struct kubernetes_pods_config *c,
		       char why[KUBE_WHY_BYTES])
{
	const struct kube_service_port *port = kube_service_port(&f->about, f->port_name);
	const struct kube_member *m = without_port(f);
	char ports[160];
	list_ports(&f->about, ports, sizeof(ports));
	if (!port && !f->about.port_count)
		snprintf(why, KUBE_WHY_BYTES,
			 "Service %.100s has no ports: name the pods' own in "
			 "pods.kubernetes.targetPort",
			 c->service);
	else if (!port)
		snprintf(why, KUBE_WHY_BYTES,
			 "Service %.100s has no port \"%.64s\" (pods.kubernetes.port); it has %s",
			 c->service, f->port_name, ports);
	else if (m && !port->target)
		snprintf(why, KUBE_WHY_BYTES,
			 "pod %.100s has no port \"%.64s\", to which Service %.100s sends: name "
			 "it among its container's ports",
			 m->pod.meta.name, port->target_name, c->service);
}

void kube_why_misnamed(const struct kube_fleet *f, const struct kubernetes_pods_config *c,
		       const char *name_space, bool is_there, char why[KUBE_WHY_BYTES])
{
	why[0] = '\0';
	if (!is_there)
		snprintf(why, KUBE_WHY_BYTES,
			 "there is no Service %.100s in namespace %.100s: see "
			 "pods.kubernetes.service and its namespace",
			 c->service, name_space);
	else if (!f->knows_service)
		snprintf(why, KUBE_WHY_BYTES, "the selector of Service %.100s is not understood",
			 c->service);
	/* Who writes slices by hand names ports in them. */
	else if (f->about.selector[0] && !f->target_port)
		tell_ports(f, c, why);
}

/* --- the whole ------------------------------------------------------------------------------- */

static bool may_come(const struct kube_member *m, const struct kubernetes_pods_config *c,
		     const char *misnamed, int64_t now_us)
{
	bool is_lost = misnamed[0] && m->pod.address[0] && !m->port;
	bool may_pass = m->pod.trouble == KUBE_UNSCHEDULABLE &&
			now_us - m->trouble_us < c->unschedulable_us;
	return !is_lost && (m->pod.trouble == KUBE_NO_TROUBLE || may_pass);
}

void kube_why_none(const struct kube_fleet *f, const struct kube_scaler *s,
		   const struct kube_election *e, const struct kubernetes_pods_config *c,
		   const char *misnamed, int64_t now_us, char why[KUBE_WHY_BYTES])
{
	const struct kube_member *worst = NULL;
	const char *said = "";
	why[0] = '\0';
	LIST_EACH(m, &f->members, struct kube_member, link) {
		if (!kube_member_exists(m))
			continue;
		if (may_come(m, c, misnamed, now_us))
			return;
		if (!worst || m->pod.trouble > worst->pod.trouble)
			worst = m;
	}
	if (misnamed[0])
		said = misnamed;
	else if (worst)
		snprintf(why, KUBE_WHY_BYTES, "pod %.60s: %s", worst->pod.meta.name,
			 worst->pod.why);
	else if (s->stuck[0])
		said = s->stuck;
	else if (s->is_on && kube_is_refused(s->refused_us, now_us))
		said = s->why;
	else if (e->is_on && kube_is_refused(e->refused_us, now_us))
		said = e->why;
	if (said[0])
		snprintf(why, KUBE_WHY_BYTES, "%s", said);
}
