/* Finds the service for a request. */
#include "gateway/router.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "gateway/gateway.h"
#include "gateway/http/forward.h"
#include "gateway/http/syntax.h"
#include "gateway/upgrade/relay.h"

enum { HOST_BYTES = 256 };

/* An absolute target ("http://host/path") carries its own host, which wins (RFC 9112, 3.2.2). */
static bool split_absolute(struct route *r, struct slice target, bool is_options)
{
	static const char *const schemes[] = {"http://", "https://"};
	for (size_t i = 0; i < 2; i++) {
		size_t n = strlen(schemes[i]), len = 0;
		if (target.len < n || strncasecmp(target.at, schemes[i], n) != 0)
			continue;
		struct slice rest = {target.at + n, target.len - n};
		while (len < rest.len && rest.at[len] != '/' && rest.at[len] != '?')
			len++;
		r->host = (struct slice){rest.at, len};
		r->target = (struct slice){rest.at + len, rest.len - len};
		r->lacks_path = r->target.len && r->target.at[0] == '?';
		/* RFC 9112, 3.2.4: without a path, OPTIONS asks about the server itself. */
		if (!r->target.len)
			r->target = is_options ? SLICE("*") : SLICE("/");
		return len > 0 && syntax_is_host(r->host);
	}
	return false;
}

static bool split_target(struct route *r, const struct http_head *head)
{
	bool is_options = slice_is(head->method, "OPTIONS");
	r->target = head->target;
	if (head->target.at[0] == '/' || (is_options && slice_is(head->target, "*")))
		return true;
	return split_absolute(r, head->target, is_options);
}

/* Lower case, without the port and a final dot. */
static bool normalise_host(struct slice host, char name[HOST_BYTES])
{
	name[0] = '\0';
	if (!host.len)
		return true; /* HTTP/1.0 need not name one */
	const char *colon = memrchr(host.at, ':', host.len);
	const char *bracket = memrchr(host.at, ']', host.len);
	if (colon && (!bracket || colon > bracket))
		host.len = (size_t)(colon - host.at);
	if (host.len && host.at[host.len - 1] == '.')
		host.len--;
	if (host.len >= HOST_BYTES)
		return false;
	for (size_t i = 0; i < host.len; i++)
		name[i] = (char)tolower((unsigned char)host.at[i]);
	name[host.len] = '\0';
	return true;
}

/* How well a service's host fits: 3 exactly, 2 by a wildcard, 1 as the one for every host. */
static int fit(const struct service_config *s, const char *host)
{
	int best = s->host_count == 0;
	for (size_t i = 0; i < s->host_count; i++) {
		const char *pattern = s->hosts[i];
		if (strcmp(pattern, host) == 0)
			return 3;
		if (pattern[0] != '*')
			continue;
		size_t suffix = strlen(pattern + 1), n = strlen(host);
		if (n > suffix && strcmp(host + n - suffix, pattern + 1) == 0)
			best = 2;
	}
	return best;
}

/* As Knative's ingresses name it to the activator; who does not know it answers for no other. */
static bool names_revision(const struct gateway *gw, const struct http_head *head,
			   struct slice *name, struct slice *name_space)
{
	*name = http_find(head, HEADER_KNATIVE_REVISION);
	*name_space = http_find(head, HEADER_KNATIVE_NAMESPACE);
	return gw->config->knative.is_used && name->len && name_space->len;
}

static struct backend *backend_of_revision(struct gateway *gw, struct slice name,
					   struct slice name_space)
{
	LIST_EACH(b, &gw->backends, struct backend, link) {
		const struct revision_config *r = &b->config->revision;
		if (!b->is_retired && r->name && slice_is(name, r->name) &&
		    slice_is(name_space, r->name_space))
			return b;
	}
	return NULL;
}

static struct backend *backend_for(struct gateway *gw, const char *bound_service, struct slice host)
{
	char name[HOST_BYTES];
	struct backend *best = NULL;
	int best_fit = 0;
	if (bound_service)
		return backend_by_name(gw, bound_service);
	if (!normalise_host(host, name))
		return NULL;
	LIST_EACH(b, &gw->backends, struct backend, link) {
		bool is_elsewhere = b->is_retired || (b->is_bound && !b->config->host_count);
		int f = is_elsewhere ? 0 : fit(b->config, name);
		if (f > best_fit) {
			best_fit = f;
			best = b;
		}
	}
	return best;
}

static struct backend *find_backend(struct gateway *gw, const struct exchange *x,
				    const struct http_head *head, struct slice host)
{
	const char *bound = x->relay ? x->relay->service : x->service;
	struct slice revision, name_space;
	if (!bound && names_revision(gw, head, &revision, &name_space))
		return backend_of_revision(gw, revision, name_space);
	return backend_for(gw, bound, host);
}

struct route router_find(struct gateway *gw, const struct exchange *x, const struct http_head *head)
{
	struct route r = {.kind = ROUTE_BAD_TARGET, .host = http_find(head, HEADER_HOST)};
	r.probe = http_find(head, HEADER_KNATIVE_PROBE);
	r.hash = http_find(head, HEADER_KNATIVE_HASH);
	if (gw->config->knative.is_used && r.probe.len && !x->relay) {
		r.kind = ROUTE_PROBE;
		return r;
	}
	if (slice_is(head->method, "CONNECT") || slice_is(head->method, "TRACE")) {
		r.kind = ROUTE_BAD_METHOD;
		return r;
	}
	if (!split_target(&r, head))
		return r;
	r.backend = find_backend(gw, x, head, r.host);
	if (!r.backend) {
		r.kind = ROUTE_NO_SERVICE;
		return r;
	}
	const struct service_config *s = r.backend->config;
	struct slice path = r.lacks_path ? SLICE("/") : r.target;
	r.pattern = slot_pattern_match(s->blocked, s->blocked_count, head->method, path);
	r.kind = ROUTE_BLOCKED;
	if (r.pattern)
		return r;
	r.pattern = slot_pattern_match(s->slots, s->slot_count, head->method, path);
	r.kind = r.pattern ? ROUTE_SLOT : ROUTE_PASS;
	if (forward_hops_left(head) == 0)
		r.kind = ROUTE_END;
	return r;
}
