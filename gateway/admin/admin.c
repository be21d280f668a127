/* The admin address. */
#include "gateway/admin/admin.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/crypto.h"
#include "base/log.h"
#include "gateway/admin/coldstarts_json.h"
#include "gateway/admin/history.h"
#include "gateway/admin/pages.h"
#include "gateway/admin/services_json.h"
#include "gateway/admin/ui.h"
#include "gateway/autoscalers/target.h"
#include "gateway/backend.h"
#include "gateway/gateway.h"
#include "gateway/reply.h"
#include "metrics/exposition.h"

static void text(struct exchange *x, const struct http_head *head, int status, const char *body)
{
	reply_text(x, status, "text/plain; charset=utf-8", body, strlen(body),
		   slice_is(head->method, "HEAD"));
}

static void reply_json(struct exchange *x, const struct http_head *head, const struct str *page)
{
	bool no_body = slice_is(head->method, "HEAD");
	if (!page->failed)
		reply_text(x, 200, "application/json", page->at, page->len, no_body);
	else
		reply_problem(x, &(struct problem){.status = 503,
						   .reason = "overloaded",
						   .detail = "there is no memory for it",
						   .no_body = no_body});
}

static void healthz(struct exchange *x, const struct http_head *head)
{
	text(x, head, 200, "ok\n");
}

/* Degraded is still ready: what is known of the pods goes on being served. */
static void add_degraded(struct gateway *gw, struct str *page)
{
	struct provider_status p;
	LIST_EACH(b, &gw->backends, struct backend, link)
		if (provider_status(activator_provider(b->activator), &p) && p.fault)
			str_printf(page, "degraded: %s: %s\n", b->name, p.fault);
}

static void readyz(struct exchange *x, const struct http_head *head)
{
	bool draining = x->gateway->draining;
	struct str page;
	str_init(&page);
	if (!draining)
		add_degraded(x->gateway, &page);
	text(x, head, draining ? 503 : 200, draining ? "draining\n" : page.len ? page.at : "ok\n");
	str_release(&page);
}

static struct slice find(const struct http_head *head, const char *name)
{
	for (size_t i = 0; i < head->count; i++)
		if (slice_is_nocase(head->headers[i].name, name))
			return head->headers[i].value;
	return (struct slice){0};
}

/* --- pages that grow with the fleet ----------------------------------------------------------- */

static void begin_metrics(struct page *p)
{
	exposition_begin(&p->metrics, p->gateway->metrics, p->format);
}

static bool step_metrics(struct page *p)
{
	bool more = exposition_step(&p->metrics, &p->text, 1);
	p->text.failed |= fleet_failed(&p->gateway->sampled);
	return more;
}

static void end_metrics(struct page *p)
{
	exposition_end(&p->metrics);
}

static void metrics(struct exchange *x, const struct http_head *head)
{
	static const struct page_kind kind = {"/metrics", begin_metrics, step_metrics, end_metrics};
	enum exposition_format format = exposition_choose(find(head, "accept"));
	struct page *p =
		page_new(x, &kind, exposition_content_type(format), slice_is(head->method, "HEAD"));
	if (!p)
		return;
	p->format = format;
	page_start(p);
}

static void services(struct exchange *x, const struct http_head *head)
{
	struct page *p =
		page_new(x, &services_page, "application/json", slice_is(head->method, "HEAD"));
	if (p)
		page_start(p);
}

static void coldstarts(struct exchange *x, const struct http_head *head)
{
	struct page *p =
		page_new(x, &coldstarts_page, "application/json", slice_is(head->method, "HEAD"));
	if (p)
		page_start(p);
}

/* ?since=MS: only what is newer. */
static void history(struct exchange *x, const struct http_head *head)
{
	char since[16];
	struct page *p =
		page_new(x, &history_page, "application/json", slice_is(head->method, "HEAD"));
	if (!p)
		return;
	if (target_query(head->target, "since", since, sizeof(since)) == TARGET_FOUND)
		p->since_ms = strtoll(since, NULL, 10);
	page_start(p);
}

/* --- what an operator says -------------------------------------------------------------------- */

/* GET /v1/services/SERVICE/demand: for KEDA's metrics-api, among others. */
static bool show_demand(struct exchange *x, const struct http_head *head, struct slice path)
{
	char service[128], verb[16];
	struct str page;
	if (!target_next_segment(&path, service, sizeof(service)) ||
	    !target_next_segment(&path, verb, sizeof(verb)) || path.len ||
	    strcmp(verb, "demand") != 0)
		return false;
	struct backend *b = backend_by_name(x->gateway, service);
	if (!b) {
		reply_problem(x, &(struct problem){.status = 404,
						   .reason = "no_such_service",
						   .detail = "GET /v1/services lists the services",
						   .no_body = slice_is(head->method, "HEAD")});
		return true;
	}
	str_init(&page);
	demand_add_json(&page, b);
	reply_json(x, head, &page);
	str_release(&page);
	return true;
}

/* POST /v1/services/SERVICE/pods/POD/release: an operator vouches that the pod is idle. */
static bool release(struct exchange *x, const struct http_head *head, struct slice path)
{
	char service[128], pods[8], pod[512], verb[16];
	if (!target_next_segment(&path, service, sizeof(service)) ||
	    !target_next_segment(&path, pods, sizeof(pods)) ||
	    !target_next_segment(&path, pod, sizeof(pod)) ||
	    !target_next_segment(&path, verb, sizeof(verb)) || path.len ||
	    strcmp(pods, "pods") != 0 || strcmp(verb, "release") != 0)
		return false;
	struct backend *b = backend_by_name(x->gateway, service);
	if (!b || !service_pod_release(backend_service(b), pod, loop_now_us(x->gateway->loop))) {
		reply_problem(
			x, &(struct problem){.status = 404,
					     .reason = "no_such_pod",
					     .detail = "GET /v1/services lists services and pods"});
		return true;
	}
	log_warn("%s: pod %s: released by an operator", service, pod);
	activator_changed(b->activator);
	text(x, head, 200, "released\n");
	return true;
}

static const struct address {
	const char *path;
	void (*show)(struct exchange *, const struct http_head *);
} addresses[] = {
	{"/healthz", healthz},	    {"/readyz", readyz},       {"/metrics", metrics},
	{"/v1/services", services}, {"/v1/history", history},  {"/v1/coldstarts", coldstarts},
	{"/ui", ui_show},	    {"/ui/page.css", ui_show}, {"/ui/page.js", ui_show},
};

/* "Authorization: Bearer SECRET", where the configuration has one. */
static bool is_authorized(const struct config *c, const struct http_head *head)
{
	static const char scheme[] = "Bearer ";
	const struct str *token = &c->admin_token;
	size_t n = sizeof(scheme) - 1;
	for (size_t i = 0; token->len && i < head->count; i++) {
		struct slice value = head->headers[i].value;
		if (!slice_is_nocase(head->headers[i].name, "authorization"))
			continue;
		if (value.len < n || strncasecmp(value.at, scheme, n) != 0)
			return false;
		struct slice given = slice_trim((struct slice){value.at + n, value.len - n});
		return given.len == token->len && crypto_is_same(given.at, token->at, given.len);
	}
	return !token->len;
}

static void ask_for_token(struct exchange *x, const struct http_head *head)
{
	reply_problem(x, &(struct problem){.status = 401,
					   .reason = "unauthorized",
					   .detail = "send the secret of admin.bearerTokenFile as "
						     "Authorization: Bearer SECRET",
					   .authenticate = "Bearer",
					   .no_body = slice_is(head->method, "HEAD")});
}

/* A browser says from which page a POST comes; one from elsewhere is no operator's. */
static bool is_from_elsewhere(const struct http_head *head)
{
	struct slice origin = find(head, "origin"), host = http_find(head, HEADER_HOST);
	const char *authority = origin.at ? memmem(origin.at, origin.len, "://", 3) : NULL;
	if (!origin.at)
		return false;
	size_t before = authority ? (size_t)(authority + 3 - origin.at) : 0;
	return !authority || origin.len - before != host.len ||
	       memcmp(origin.at + before, host.at, host.len) != 0;
}

static void turn_away(struct exchange *x)
{
	reply_problem(x, &(struct problem){.status = 403,
					   .reason = "another_origin",
					   .detail = "a page of another origin may not do this"});
}

static void begin(struct exchange *x, const struct http_head *head)
{
	static const char prefix[] = "/v1/services";
	struct slice path = target_path(head->target);
	/* The page for people has a field for the secret, and shows nothing without it. */
	bool is_open = slice_is(path, "/healthz") || slice_is(path, "/readyz") ||
		       slice_starts(path, "/ui");
	x->owner = NULL;
	if (!is_open && !is_authorized(x->gateway->config, head)) {
		ask_for_token(x, head);
		return;
	}
	bool reads = slice_is(head->method, "GET") || slice_is(head->method, "HEAD");
	for (size_t i = 0; reads && i < sizeof(addresses) / sizeof(*addresses); i++) {
		if (slice_is(path, addresses[i].path)) {
			addresses[i].show(x, head);
			return;
		}
	}
	size_t n = sizeof(prefix) - 1;
	struct slice rest = {path.at + n, path.len - n};
	if (!reads && is_from_elsewhere(head)) {
		turn_away(x);
		return;
	}
	if (reads && slice_starts(path, prefix) && show_demand(x, head, rest))
		return;
	if (slice_is(head->method, "POST") && slice_starts(path, prefix) && release(x, head, rest))
		return;
	reply_problem(x, &(struct problem){
				 .status = 404,
				 .reason = "no_such_page",
				 .detail = "GET /ui, /healthz, /readyz, /metrics, /v1/services, "
					   "/v1/services/NAME/demand, /v1/history or "
					   "/v1/coldstarts, "
					   "POST /v1/services/NAME/pods/POD/release"});
}

const struct exchange_handler admin_handler = {
	.begin = begin,
	.body = page_body,
	.body_end = page_body_end,
	.left = page_left,
	.delivered = page_delivered,
};
