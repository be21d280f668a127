/* Whom the metrics API believes. */
#include "gateway/autoscalers/front_proxy.h"

#include <stdio.h>

#include "activator/providers/kubernetes_client.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/listener.h"

static const char CONFIG_MAP[] =
	"/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";

static const int64_t LOOK_US = 60 * US_PER_S, RETRY_US = 2 * US_PER_S;
static const int64_t TIMEOUT_US = 10 * US_PER_S;

struct front_proxy {
	struct gateway *gateway;
	struct listener *listener;
	struct kube_client client;
	bool has_access;
	struct timer timer;
	struct http_exchange *asking;
	struct str authorities;	      /* as the cluster says, in PEM */
	struct str names;	      /* each with a NUL behind it; none: any */
	char why[KUBE_WHY_BYTES * 2]; /* why nobody is trusted yet; "": somebody is */
};

static const struct metrics_api_config *config_of(const struct front_proxy *f)
{
	return &f->gateway->config->metrics_api;
}

static bool is_configured(const struct front_proxy *f)
{
	return config_of(f)->listener.tls.client_ca != NULL;
}

static void add_name(struct str *names, const char *name)
{
	str_add(names, name, strlen(name) + 1);
}

static void tell(struct front_proxy *f, const char *why)
{
	if (strcmp(f->why, why) == 0)
		return;
	snprintf(f->why, sizeof(f->why), "%s", why);
	if (*why)
		log_warn("metrics API: whom to trust is not known: %s", why);
	else
		log_info("metrics API: trusts the front proxy that the cluster names");
}

/* --- read from the cluster ------------------------------------------------------------------- */

static void trust(struct front_proxy *f)
{
	struct tls_fault fault;
	struct slice pem = {f->authorities.at, f->authorities.len};
	struct tls_context *context = server_tls_trusting(&config_of(f)->listener.tls, pem, &fault);
	if (!context) {
		tell(f, fault.text);
		return;
	}
	tls_context_drop(f->listener->tls);
	f->listener->tls = context;
	tell(f, "");
}

/* The names are a list in JSON, within a text. False: it is none. */
static bool read_names(struct str *names, const char *text)
{
	struct json_error error;
	struct json *list = json_parse(text, strlen(text), &error);
	bool ok = json_is(list, JSON_LIST);
	for (const struct json *it = ok ? json_first(list) : NULL; it; it = json_next(it)) {
		ok &= json_text(it) != NULL;
		add_name(names, json_text(it) ? json_text(it) : "");
	}
	json_free(list);
	return ok && !names->failed;
}

static bool is_same(const struct str *a, const struct str *b)
{
	return a->len == b->len && (!a->len || memcmp(a->at, b->at, a->len) == 0);
}

static void take(struct front_proxy *f, const struct json *config_map)
{
	const struct json *data = json_get(config_map, "data");
	const char *pem = json_text(json_get(data, "requestheader-client-ca-file"));
	const char *list = json_text(json_get(data, "requestheader-allowed-names"));
	struct str authorities, names;
	str_init(&authorities);
	str_init(&names);
	if (!pem || !*pem) {
		tell(f, "the cluster's API server has no front proxy "
			"(--requestheader-client-ca-file)");
	} else if (list && !read_names(&names, list)) {
		tell(f, "the names of the front proxy's certificate are no list of texts");
	} else {
		str_add_text(&authorities, pem);
		bool is_news = f->why[0] || !is_same(&authorities, &f->authorities) ||
			       !is_same(&names, &f->names);
		struct str old[] = {f->authorities, f->names};
		f->authorities = authorities;
		f->names = names;
		authorities = old[0];
		names = old[1];
		if (is_news)
			trust(f);
	}
	str_release(&authorities);
	str_release(&names);
}

/* What was known before stays good while the API server is away. */
static void on_answer(void *owner, const struct http_client_result *result)
{
	struct front_proxy *f = owner;
	struct kube_answer a;
	f->asking = NULL;
	kube_answer_read(&f->client, result, &a);
	if (kube_answer_is_good(&a))
		take(f, a.document);
	else if (!f->authorities.len)
		tell(f, a.why);
	json_free(a.document);
	timer_set(&f->timer, loop_now_us(f->gateway->loop) + (f->why[0] ? RETRY_US : LOOK_US));
}

static void reach(struct front_proxy *f)
{
	const struct metrics_api_config *c = config_of(f);
	struct kube_access *a = &f->client.access;
	char why[KUBE_WHY_BYTES];
	f->has_access = kube_access_renew(a, c->kubeconfig, c->context, why);
	if (!f->has_access)
		tell(f, why);
}

static void on_timer(void *owner)
{
	struct front_proxy *f = owner;
	struct kube_request r = {.path = CONFIG_MAP, .timeout_us = TIMEOUT_US};
	if (is_configured(f))
		return;
	if (!f->has_access)
		reach(f);
	if (f->has_access && !f->asking)
		f->asking = kube_client_send(&f->client, &r, on_answer, f);
	if (!f->asking)
		timer_set(&f->timer, loop_now_us(f->gateway->loop) + RETRY_US);
}

/* --- the interface --------------------------------------------------------------------------- */

void front_proxy_configure(struct front_proxy *f)
{
	const struct metrics_api_config *c = config_of(f);
	if (!c->listener.address)
		return; /* the listener stays as it was until the restart */
	if (is_configured(f)) {
		http_client_cancel(f->asking);
		f->asking = NULL;
		str_clear(&f->authorities);
		str_clear(&f->names);
		for (size_t i = 0; i < c->name_count; i++)
			add_name(&f->names, c->names[i]);
		f->why[0] = '\0';
		return;
	}
	if (f->authorities.len)
		trust(f);
	else
		snprintf(f->why, sizeof(f->why), "it has not been read from the cluster yet");
	timer_set(&f->timer, loop_now_us(f->gateway->loop));
}

struct front_proxy *front_proxy_new(struct gateway *gw, struct listener *l)
{
	struct front_proxy *f = mem_must_zalloc(sizeof(*f));
	f->gateway = gw;
	f->listener = l;
	f->client.http = gw->providers.http;
	str_init_must(&f->authorities);
	str_init_must(&f->names);
	kube_access_init(&f->client.access);
	if (!timer_init(&f->timer, gw->loop, on_timer, f)) {
		front_proxy_free(f);
		return NULL;
	}
	front_proxy_configure(f);
	return f;
}

void front_proxy_free(struct front_proxy *f)
{
	if (!f)
		return;
	http_client_cancel(f->asking);
	timer_release(&f->timer);
	kube_access_release(&f->client.access);
	str_release(&f->authorities);
	str_release(&f->names);
	mem_free(f);
}

static bool is_allowed(const struct front_proxy *f, const struct str *name)
{
	for (const char *at = f->names.at; at && at < f->names.at + f->names.len;
	     at += strlen(at) + 1)
		if (strcmp(at, name->at) == 0)
			return true;
	return f->names.len == 0;
}

bool front_proxy_is(const struct front_proxy *f, const struct tls *tls, struct str *why,
		    bool *is_known)
{
	struct str name;
	bool is = false;
	*is_known = !f->why[0];
	str_init(&name);
	if (f->why[0])
		str_printf(why, "slotgate does not know whom to trust: %s", f->why);
	else if (!tls_peer_common_name(tls, &name))
		str_add_text(why, "only the API server is answered, with the client certificate of "
				  "its front proxy: ask it instead, at the same path");
	else if (!is_allowed(f, &name))
		str_printf(why,
			   "the client certificate's name \"%.100s\" is none of the front proxy's "
			   "(metricsApi.frontProxy.allowedNames, or as the cluster says)",
			   name.at);
	else
		is = true;
	str_release(&name);
	return is;
}
