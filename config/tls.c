/* Reads what is said of TLS, and loads its files: what is wrong with
 * them is a fault like others. */
#include <string.h>

#include "base/mem.h"
#include "config/options.h"
#include "config/parts.h"

/* What ALPN offers, the best first. */
static const char *const protocols[] = {"h2", "http/1.1", "http/1.0", NULL};

/* --- listeners ------------------------------------------------------------------------------- */

static void read_pairs(struct server_tls_config *t, const struct json *list, const struct place *at,
		       struct str *faults)
{
	t->pairs = mem_must_zalloc(json_count(list) * sizeof(*t->pairs));
	JSON_EACH(it, list) {
		struct tls_pair *pair = &t->pairs[t->count];
		options_read(SCOPE_CERTIFICATE, pair, it, PLACE_ITEM(at, t->count++), faults);
	}
}

static enum tls_demand demand(const struct server_tls_config *t)
{
	if (!t->client_certificates) /* the metrics API tells those without one why it refuses */
		return t->client_ca ? TLS_MAY_CERTIFY : TLS_NO_CERTIFICATE;
	if (strcmp(t->client_certificates, "none") == 0)
		return TLS_NO_CERTIFICATE;
	return strcmp(t->client_certificates, "required") == 0 ? TLS_MUST_CERTIFY : TLS_MAY_CERTIFY;
}

static void check_clients(const struct server_tls_config *t, const struct place *at,
			  struct str *faults)
{
	bool asks = demand(t) != TLS_NO_CERTIFICATE;
	if (asks && !t->client_ca)
		fault_at(faults, PLACE_KEY(at, "clientCa"),
			 "required, as clientCertificates is \"%s\"", t->client_certificates);
	if (!asks && t->client_ca)
		fault_at(faults, PLACE_KEY(at, "clientCertificates"),
			 "must be \"optional\" or \"required\", as there is a clientCa");
}

static void add_fault(const struct server_tls_config *t, const struct tls_fault *f,
		      const struct place *at, struct str *faults)
{
	bool is_listener = t->client_certificates != NULL;
	const struct place *pair = PLACE_ITEM(PLACE_KEY(at, "certificates"), f->index);
	const struct place *places[] = {
		[TLS_OTHER] = at,
		[TLS_CERTIFICATE] = PLACE_KEY(pair, "certificate"),
		[TLS_KEY] = PLACE_KEY(pair, "key"),
		[TLS_CA] = is_listener ? PLACE_KEY(at, "clientCa")
				       : PLACE_KEY(at->up, "frontProxy.ca"),
	};
	fault_at(faults, places[f->part], "%s", f->text);
}

static struct tls_server_options options_of(const struct server_tls_config *t)
{
	return (struct tls_server_options){
		.pairs = t->pairs,
		.count = t->count,
		.protocols = protocols + !t->offers_http2,
		.min_version = t->only_1_3 ? TLS_1_3 : TLS_1_2,
		.clients = demand(t),
		.client_ca = t->client_ca,
	};
}

static void load(struct config *c, struct server_tls_config *t, const struct place *at,
		 struct str *faults)
{
	struct tls_fault fault;
	struct tls_server_options o = options_of(t);
	for (size_t i = 0; i < t->count; i++) {
		config_add_file(c, t->pairs[i].certificate);
		config_add_file(c, t->pairs[i].key);
	}
	if (t->client_ca)
		config_add_file(c, t->client_ca);
	t->context = tls_server_new(&o, &fault);
	if (!t->context)
		add_fault(t, &fault, at, faults);
}

void server_tls_read(struct config *c, struct server_tls_config *t, const struct json *tls,
		     const struct place *at, struct str *faults)
{
	const struct json *list = json_get(tls, "certificates");
	size_t before = faults->len;
	if (!json_is(list, JSON_LIST) ||
	    (double)json_count(list) > option_find(SCOPE_LISTENER, "tls.certificates")->max)
		return; /* plain, or it has been reported */
	read_pairs(t, list, PLACE_KEY(at, "certificates"), faults);
	check_clients(t, at, faults);
	if (t->count && faults->len == before)
		load(c, t, at, faults);
}

struct tls_context *server_tls_trusting(const struct server_tls_config *t, struct slice authorities,
					struct tls_fault *fault)
{
	struct tls_server_options o = options_of(t);
	o.clients = TLS_MAY_CERTIFY;
	o.client_ca = NULL;
	o.client_ca_text = authorities;
	return tls_server_new(&o, fault);
}

void server_tls_release(struct server_tls_config *t)
{
	for (size_t i = 0; i < t->count; i++)
		options_release(SCOPE_CERTIFICATE, &t->pairs[i]);
	mem_free(t->pairs);
	tls_context_drop(t->context);
	t->pairs = NULL;
	t->count = 0;
	t->context = NULL;
}

/* --- pods ------------------------------------------------------------------------------------ */

static void check_pair(const struct tls_client_options *o, const struct place *at,
		       struct str *faults)
{
	if (o->pair.certificate && !o->pair.key)
		fault_at(faults, PLACE_KEY(at, "key"), "required, as there is a certificate");
	if (o->pair.key && !o->pair.certificate)
		fault_at(faults, PLACE_KEY(at, "certificate"), "required, as there is a key");
	if (o->trusts_anybody && o->ca)
		fault_at(faults, PLACE_KEY(at, "ca"),
			 "is of no use, as insecureSkipVerify takes any certificate");
	if (o->name && strpbrk(o->name, "*["))
		fault_at_text(faults, PLACE_KEY(at, "serverName"), o->name,
			      "must be the name of one host");
}

void pod_tls_read(struct config *c, struct pod_tls_config *t, const struct json *tls,
		  const struct place *at, struct str *faults)
{
	const struct tls_client_options *o = &t->options;
	const char *files[] = {o->ca, o->pair.certificate, o->pair.key};
	const struct place *places[] = {
		[TLS_OTHER] = at,
		[TLS_CERTIFICATE] = PLACE_KEY(at, "certificate"),
		[TLS_KEY] = PLACE_KEY(at, "key"),
		[TLS_CA] = PLACE_KEY(at, "ca"),
	};
	size_t before = faults->len;
	struct tls_fault fault;
	if (!json_is(tls, JSON_OBJECT))
		return;
	check_pair(o, at, faults);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (files[i])
			config_add_file(c, files[i]);
	if (faults->len != before)
		return;
	t->context = tls_client_new(o, &fault);
	if (!t->context)
		fault_at(faults, places[fault.part], "%s", fault.text);
}

void pod_tls_release(struct pod_tls_config *t)
{
	tls_context_drop(t->context);
	t->context = NULL;
}
