/* Loads a configuration, holds it, and compares two. */
#include "config/config.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "config/options.h"
#include "config/parts.h"

enum { TOKEN_MIN_BYTES = 16, TOKEN_MAX_BYTES = 4096 };

/* --- the files --------------------------------------------------------------------------- */

static void add_file(struct config *c, const char *path, uint64_t stamp)
{
	c->files = mem_must_resize(c->files, (c->file_count + 1) * sizeof(*c->files));
	c->files[c->file_count++] = mem_must_strdup(path);
	c->stamp += stamp;
}

void config_add_file(struct config *c, const char *path)
{
	add_file(c, path, file_stamp(path));
}

uint64_t config_stamp_now(const struct config *c)
{
	uint64_t stamp = 0;
	for (size_t i = 0; i < c->file_count; i++)
		stamp += file_stamp(c->files[i]);
	return stamp;
}

/* --- reading ----------------------------------------------------------------------------- */

void config_parse_address(char **text, struct net_address *a)
{
	char canonical[NET_TEXT_BYTES];
	const char *fault = net_parse(*text, a);
	assert(!fault);
	net_format(a, canonical);
	mem_free(*text);
	*text = mem_must_strdup(canonical);
}

static void read_listener(struct config *c, struct listener_config *l, const struct json *json,
			  const struct place *at, struct str *faults)
{
	options_set_defaults(SCOPE_LISTENER, l);
	options_read(SCOPE_LISTENER, l, json, at, faults);
	if (l->address)
		config_parse_address(&l->address, &l->parsed);
	l->tls.offers_http2 = l->http2;
	server_tls_read(c, &l->tls, json_get(json, "tls"), PLACE_KEY(at, "tls"), faults);
}

/* One that is no client's: its options are the root's. */
static void read_own_listener(struct config *c, struct listener_config *l, const struct json *root,
			      const char *key, struct str *faults)
{
	if (l->address)
		config_parse_address(&l->address, &l->parsed);
	server_tls_read(c, &l->tls, json_get(json_get(root, key), "tls"),
			PLACE_KEY(PLACE_KEY(NULL, key), "tls"), faults);
}

/* One line of characters that a header can carry. */
static const char *token_fault(struct slice token)
{
	if (token.len < TOKEN_MIN_BYTES)
		return "a secret of at least 16 characters must be in it";
	for (size_t i = 0; i < token.len; i++)
		if (token.at[i] <= ' ' || token.at[i] > '~')
			return "must hold one secret: printable characters without spaces";
	return NULL;
}

void config_read_secret(struct config *c, const char *file, struct str *to, const struct place *at,
			struct str *faults)
{
	str_init_must(to);
	if (!file)
		return;
	config_add_file(c, file);
	int error = file_read(file, TOKEN_MAX_BYTES, to);
	while (to->len && strchr("\r\n", to->at[to->len - 1]))
		to->at[--to->len] = '\0';
	const char *fault = error ? strerror(error) : token_fault((struct slice){to->at, to->len});
	if (fault)
		fault_at_text(faults, at, file, fault);
}

/* A list that is not far too long, or NULL (which has been reported). */
static const struct json *list_of(const struct json *root, const char *key)
{
	const struct json *list = json_get(root, key);
	double max = option_find(SCOPE_TOP, key)->max;
	return json_is(list, JSON_LIST) && (double)json_count(list) <= max ? list : NULL;
}

static void read_lists(struct config *c, const struct json *root, struct str *faults)
{
	const struct json *listeners = list_of(root, "listeners");
	const struct json *services = list_of(root, "services");
	c->listeners = mem_must_zalloc(json_count(listeners) * sizeof(*c->listeners));
	c->services = mem_must_zalloc(json_count(services) * sizeof(*c->services));
	JSON_EACH(it, listeners) {
		size_t i = c->listener_count++;
		read_listener(c, &c->listeners[i], it, PLACE_ITEM(PLACE_KEY(NULL, "listeners"), i),
			      faults);
	}
	JSON_EACH(it, services) {
		size_t i = c->service_count++;
		service_read(c, &c->services[i], it, PLACE_ITEM(PLACE_KEY(NULL, "services"), i),
			     faults);
	}
}

static void read_trusted(struct forwarding_config *f, const struct json *list,
			 const struct place *at, struct str *faults)
{
	size_t i = 0;
	f->trusted = mem_must_zalloc(json_count(list) * sizeof(*f->trusted));
	JSON_EACH(it, list) {
		const struct place *here = PLACE_ITEM(at, i++);
		const char *text = json_text(it);
		const char *fault =
			text ? net_range_parse(text, &f->trusted[f->trusted_count]) : NULL;
		if (!text)
			fault_no_text(faults, here, it);
		else if (fault)
			fault_at_text(faults, here, text, fault);
		else
			f->trusted_count++;
	}
}

static char *via_text(int minor, const char *name)
{
	struct str s;
	str_init_must(&s);
	str_printf(&s, "1.%d %s", minor, name);
	return s.at;
}

static void read_forwarding(struct forwarding_config *f, const struct json *json,
			    struct str *faults)
{
	static const char *const words[] = {[FORWARDING_OFF] = "off",
					    [FORWARDING_X_FORWARDED] = "x-forwarded",
					    [FORWARDING_STANDARD] = "forwarded",
					    [FORWARDING_BOTH] = "both"};
	const struct json *list = json_get(json, "trustedProxies");
	for (int minor = 0; minor < 2 && strcmp(f->via, "off") != 0; minor++)
		f->answer_via[minor] = via_text(minor, f->via);
	double max = option_find(SCOPE_TOP, "forwarding.trustedProxies")->max;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(f->headers_word, words[i]) == 0)
			f->headers = (enum forwarding_headers)i;
	if (json_is(list, JSON_LIST) && (double)json_count(list) <= max)
		read_trusted(f, list, PLACE_KEY(PLACE_KEY(NULL, "forwarding"), "trustedProxies"),
			     faults);
}

static void read_metrics_api(struct config *c, const struct json *root, struct str *faults)
{
	struct metrics_api_config *m = &c->metrics_api;
	const struct json *json = json_get(root, "metricsApi");
	const struct json *names = json_find(json, "frontProxy.allowedNames");
	const struct place *at = PLACE_KEY(NULL, "metricsApi");
	double max = option_find(SCOPE_TOP, "metricsApi.frontProxy.allowedNames")->max;
	if (!json_is(json, JSON_OBJECT))
		return;
	if (!json_get(json, "tls"))
		fault_at(faults, PLACE_KEY(at, "tls"), "required: the API server speaks TLS only");
	if (json_is(names, JSON_LIST) && (double)json_count(names) <= max)
		m->names = config_read_texts(names, form_line,
					     PLACE_KEY(PLACE_KEY(at, "frontProxy"), "allowedNames"),
					     faults, &m->name_count);
	if (m->context && !m->kubeconfig)
		fault_at(faults, PLACE_KEY(at, "context"), "needs a \"kubeconfig\"");
	if (m->listener.tls.client_ca && m->kubeconfig)
		fault_at(faults, PLACE_KEY(at, "kubeconfig"),
			 "is of no use, as frontProxy says what would be read there");
	m->listener.http2 = m->listener.tls.offers_http2 = true;
	read_own_listener(c, &m->listener, root, "metricsApi", faults);
}

static struct config *read_root(const struct json *root, struct str *faults)
{
	size_t before = faults->len;
	struct config *c = mem_must_zalloc(sizeof(*c));
	c->references = 1;
	options_set_defaults(SCOPE_TOP, c);
	options_read(SCOPE_TOP, c, root, NULL, faults);
	read_forwarding(&c->forwarding, json_get(root, "forwarding"), faults);
	config_read_secret(c, c->admin_token_file, &c->admin_token,
			   PLACE_KEY(NULL, "admin.bearerTokenFile"), faults);
	read_own_listener(c, &c->admin, root, "admin", faults);
	c->keda.http2 = c->keda.tls.offers_http2 = true;
	read_own_listener(c, &c->keda, root, "keda", faults);
	read_metrics_api(c, root, faults);
	tracing_read(c, json_get(root, "tracing"), faults);
	read_lists(c, root, faults);
	for (size_t i = 0; i < c->service_count; i++)
		c->knative.is_used |= c->services[i].revision.name != NULL;
	check_config(c, faults);
	if (faults->len == before && !faults->failed)
		return c;
	config_drop(c);
	return NULL;
}

struct config *config_parse(const char *name, const char *text, size_t len, struct str *faults)
{
	struct json *root = fault_or_object(faults, name, (struct slice){text, len}, "{...}");
	struct config *c = root ? read_root(root, faults) : NULL;
	json_free(root);
	return c;
}

static bool is_file(const char *path, const struct place *at, struct str *faults)
{
	struct stat st;
	const char *fault = stat(path, &st) != 0   ? strerror(errno)
			    : !S_ISREG(st.st_mode) ? "must be a file"
						   : NULL;
	if (fault)
		fault_at_text(faults, at, path, fault);
	return !fault;
}

static bool load_keys(struct config *c, struct str *faults)
{
	bool ok = true;
	for (size_t i = 0; i < c->service_count; i++) {
		struct api_keys_config *k = &c->services[i].api_keys;
		const struct place *service = PLACE_ITEM(PLACE_KEY(NULL, "services"), i);
		if (!k->file)
			continue;
		config_add_file(c, k->file);
		if (!is_file(k->file, PLACE_KEY(PLACE_KEY(service, "apiKeys"), "file"), faults) ||
		    !api_keys_load(&k->keys, k->file, c->services[i].name, faults))
			ok = false;
	}
	return ok;
}

struct config *config_load(const char *path, struct str *faults)
{
	struct str text;
	struct config *c = NULL;
	str_init_must(&text);
	uint64_t stamp = file_stamp(path); /* before it is read: no later change is missed */
	int error = file_read(path, JSON_MAX_BYTES, &text);
	if (error == EFBIG)
		str_printf(faults, "%s: a configuration must not be larger than 16 MiB\n", path);
	else if (error)
		str_printf(faults, "%s: %s\n", path, strerror(error));
	else
		c = config_parse(path, text.len ? text.at : "", text.len, faults);
	if (c)
		add_file(c, path, stamp);
	str_release(&text);
	if (!c || load_keys(c, faults))
		return c;
	config_drop(c);
	return NULL;
}

/* --- holding ----------------------------------------------------------------------------- */

struct config *config_of_retired(const char *name, enum provider_kind provider)
{
	struct config *c = mem_must_zalloc(sizeof(*c));
	c->references = 1;
	options_set_defaults(SCOPE_TOP, c);
	c->services = mem_must_zalloc(sizeof(*c->services));
	c->service_count = 1;
	config_service_defaults(&c->services[0]);
	c->services[0].name = mem_must_strdup(name);
	c->services[0].provider = provider;
	return c;
}

struct config *config_hold(struct config *c)
{
	c->references++;
	return c;
}

void config_drop(struct config *c)
{
	if (!c || --c->references > 0)
		return;
	for (size_t i = 0; i < c->listener_count; i++) {
		options_release(SCOPE_LISTENER, &c->listeners[i]);
		server_tls_release(&c->listeners[i].tls);
	}
	for (size_t i = 0; i < c->file_count; i++)
		mem_free(c->files[i]);
	server_tls_release(&c->admin.tls);
	server_tls_release(&c->keda.tls);
	server_tls_release(&c->metrics_api.listener.tls);
	config_free_texts(c->metrics_api.names);
	for (size_t i = 0; i < c->service_count; i++)
		config_service_release(&c->services[i]);
	options_release(SCOPE_TOP, c);
	str_release(&c->admin_token);
	tracing_release(&c->tracing);
	mem_free(c->forwarding.trusted);
	mem_free(c->forwarding.answer_via[0]);
	mem_free(c->forwarding.answer_via[1]);
	mem_free(c->listeners);
	mem_free(c->services);
	mem_free(c->files);
	mem_free(c);
}

/* --- comparing --------------------------------------------------------------------------- */

static const struct service_config *find_service(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->service_count; i++)
		if (strcmp(c->services[i].name, name) == 0)
			return &c->services[i];
	return NULL;
}

static void add_listener_changes(const struct config *old, const struct config *now,
				 struct str *lines)
{
	const struct place *at = PLACE_KEY(NULL, "listeners");
	if (old->listener_count != now->listener_count) {
		fault_at(lines, at,
			 "a reload cannot change their number from %zu to %zu: restart slotgate",
			 old->listener_count, now->listener_count);
		return;
	}
	for (size_t i = 0; i < now->listener_count; i++)
		options_add_changes(SCOPE_LISTENER, &old->listeners[i], &now->listeners[i],
				    PLACE_ITEM(at, i), lines);
}

static void add_service_changes(const struct service_config *was, const struct service_config *is,
				const struct place *at, struct str *lines)
{
	static const char *const providers[] = {
		[PROVIDER_STATIC] = "static",
		[PROVIDER_PROCESS] = "process",
		[PROVIDER_KUBERNETES] = "kubernetes",
	};
	if (was->provider == is->provider)
		options_add_changes(SCOPE_SERVICE, was, is, at, lines);
	else
		fault_at(lines, PLACE_KEY(at, "pods"),
			 "a reload cannot change it from %s to %s: restart slotgate",
			 providers[was->provider], providers[is->provider]);
}

void config_unreloadable(const struct config *old, const struct config *now, struct str *lines)
{
	options_add_changes(SCOPE_TOP, old, now, NULL, lines);
	add_listener_changes(old, now, lines);
	for (size_t i = 0; i < now->service_count; i++) {
		const struct service_config *is = &now->services[i];
		const struct service_config *was = find_service(old, is->name);
		if (was)
			add_service_changes(was, is, PLACE_ITEM(PLACE_KEY(NULL, "services"), i),
					    lines);
	}
}
