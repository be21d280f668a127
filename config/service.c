/* Reads a service: its single values by the table, its lists and one-ofs here. */
#include <ctype.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "config/options.h"
#include "config/parts.h"

/* The texts of a list that have a form, and NULL behind them. */
char **config_read_texts(const struct json *list, form_check *form, const struct place *at,
			 struct str *faults, size_t *count)
{
	bool is_list = json_is(list, JSON_LIST);
	char **texts = mem_must_zalloc(((is_list ? json_count(list) : 0) + 1) * sizeof(*texts));
	size_t i = 0;
	*count = 0;
	for (const struct json *it = is_list ? json_first(list) : NULL; it; it = json_next(it)) {
		const struct place *here = PLACE_ITEM(at, i++);
		const char *text = json_text(it);
		const char *fault = text ? form(text) : NULL;
		if (!text)
			fault_no_text(faults, here, it);
		else if (fault)
			fault_at_text(faults, here, text, fault);
		else
			texts[(*count)++] = mem_must_strdup(text);
	}
	return texts;
}

static void read_hosts(struct service_config *s, const struct json *service, const struct place *at,
		       struct str *faults)
{
	const struct json *list = json_get(service, "hosts");
	if (!list)
		return;
	s->hosts =
		config_read_texts(list, form_host, PLACE_KEY(at, "hosts"), faults, &s->host_count);
	for (size_t i = 0; i < s->host_count; i++)
		for (char *c = s->hosts[i]; *c; c++)
			*c = (char)tolower((unsigned char)*c);
}

/* --- pods -------------------------------------------------------------------------------- */

static const char *form_pod_address(const char *text)
{
	struct net_address a;
	const char *fault = net_parse(text, &a);
	if (!fault && net_is_any(&a))
		fault = "a pod needs an address of its own, not that of every interface";
	return !fault && net_port(&a) == 0 ? "a pod's port must not be 0" : fault;
}

static void read_static(struct service_config *s, const struct json *list, const struct place *at,
			struct str *faults)
{
	struct static_pods_config *pods = &s->static_pods;
	s->provider = PROVIDER_STATIC;
	pods->addresses = config_read_texts(list, form_pod_address, at, faults, &pods->count);
	pods->parsed = mem_must_zalloc(pods->count * sizeof(*pods->parsed));
	for (size_t i = 0; i < pods->count; i++)
		config_parse_address(&pods->addresses[i], &pods->parsed[i]);
}

static const char *form_any(const char *text)
{
	(void)text;
	return NULL;
}

static void read_env(struct service_config *s, const struct json *env, const struct place *at,
		     struct str *faults)
{
	size_t n = 0;
	struct map seen;
	map_init(&seen);
	s->process.env = mem_must_zalloc((json_count(env) + 1) * sizeof(*s->process.env));
	JSON_EACH(it, env) {
		const char *name = json_key(it), *value = json_text(it);
		const struct place *here = PLACE_KEY(at, name);
		if (!*name || strchr(name, '='))
			fault_at(faults, here, "a variable's name must not be empty or hold \"=\"");
		else if (map_get(&seen, name))
			fault_at(faults, here, "given twice");
		else if (!value)
			fault_no_text(faults, here, it);
		else
			s->process.env[n++] = mem_must_printf("%s=%s", name, value);
		map_put(&seen, name, s);
	}
	map_release(&seen);
}

static void read_process(struct service_config *s, const struct json *process,
			 const struct place *at, struct str *faults)
{
	const struct json *command = json_get(process, "command");
	const struct json *env = json_get(process, "env");
	const struct place *here = PLACE_KEY(at, "command");
	size_t count;
	s->provider = PROVIDER_PROCESS;
	s->process.command = config_read_texts(command, form_any, here, faults, &count);
	if (count && !*s->process.command[0])
		fault_at(faults, PLACE_ITEM(here, 0), "the program must not be empty");
	read_env(s, json_is(env, JSON_OBJECT) ? env : NULL, PLACE_KEY(at, "env"), faults);
}

static void read_pods(struct service_config *s, const struct json *service, const struct place *up,
		      struct str *faults)
{
	const struct place *at = PLACE_KEY(up, "pods");
	const struct json *pods = json_get(service, "pods");
	const struct json *fixed = json_get(pods, "static"), *process = json_get(pods, "process");
	const struct json *kubernetes = json_get(pods, "kubernetes");
	int given = (fixed != NULL) + (process != NULL) + (kubernetes != NULL);
	if (!pods)
		fault_at(faults, at,
			 "required: where the pods are, as \"static\", \"process\" or "
			 "\"kubernetes\"");
	else if (!json_is(pods, JSON_OBJECT))
		return;
	else if (given != 1)
		fault_at(faults, at, "must have %s \"static\", \"process\" and \"kubernetes\"",
			 given ? "only one of" : "one of");
	if (kubernetes)
		s->provider = PROVIDER_KUBERNETES;
	if (fixed)
		read_static(s, fixed, PLACE_KEY(at, "static"), faults);
	if (process)
		read_process(s, process, PLACE_KEY(at, "process"), faults);
}

/* --- checks of a pod --------------------------------------------------------------------- */

static void read_readiness(struct service_config *s, const struct json *service,
			   const struct place *at, struct str *faults)
{
	static const struct {
		const char *key;
		enum check_kind kind;
	} kinds[] = {
		{"httpGet", CHECK_HTTP_GET}, {"none", CHECK_NONE}, {"tcpSocket", CHECK_TCP_SOCKET}};
	const struct json *readiness = json_get(service, "readiness");
	int given = 0;
	s->readiness.kind = CHECK_TCP_SOCKET;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!json_get(readiness, kinds[i].key))
			continue;
		s->readiness.kind = kinds[i].kind;
		given++;
	}
	if (given > 1)
		fault_at(faults, PLACE_KEY(at, "readiness"),
			 "must have only one of \"httpGet\", \"tcpSocket\" and \"none\"");
}

/* --- a service --------------------------------------------------------------------------- */

bool config_is_scalable(const struct service_config *s)
{
	return s->provider == PROVIDER_PROCESS ||
	       (s->provider == PROVIDER_KUBERNETES && s->kubernetes.scales);
}

const char *const *config_own_headers(const struct service_config *s)
{
	static const char *const of_activator[] = {"K-Proxy-Request: activator", NULL};
	return s->revision.name ? of_activator : NULL;
}

bool config_can_replace(const struct service_config *s)
{
	return s->provider == PROVIDER_PROCESS || s->provider == PROVIDER_KUBERNETES;
}

void config_service_defaults(struct service_config *s)
{
	struct str none;
	str_init_must(&none);
	*s = (struct service_config){.readiness.kind = CHECK_TCP_SOCKET};
	options_set_defaults(SCOPE_SERVICE, s);
	slots_read(s, NULL, NULL, &none);
	str_release(&none);
}

void service_read(struct config *c, struct service_config *s, const struct json *json,
		  const struct place *at, struct str *faults)
{
	options_set_defaults(SCOPE_SERVICE, s);
	options_read(SCOPE_SERVICE, s, json, at, faults);
	if (!json_is(json, JSON_OBJECT))
		return;
	read_hosts(s, json, at, faults);
	slots_read(s, json, at, faults);
	read_pods(s, json, at, faults);
	read_readiness(s, json, at, faults);
	pod_tls_read(c, &s->pod_tls, json_get(json, "podTls"), PLACE_KEY(at, "podTls"), faults);
	s->idle.kind = s->idle.path ? CHECK_HTTP_GET : CHECK_NONE;
	check_service(s, json, at, faults);
}

void config_free_texts(char **texts)
{
	for (char **t = texts; t && *t; t++)
		mem_free(*t);
	mem_free(texts);
}

void config_service_release(struct service_config *s)
{
	options_release(SCOPE_SERVICE, s);
	pod_tls_release(&s->pod_tls);
	slots_release(s->slots, s->slot_count);
	slots_release(s->blocked, s->blocked_count);
	slots_release(s->api_keys.open, s->api_keys.open_count);
	api_keys_release(&s->api_keys.keys);
	config_free_texts(s->hosts);
	config_free_texts(s->static_pods.addresses);
	mem_free(s->static_pods.parsed);
	config_free_texts(s->process.command);
	config_free_texts(s->process.env);
	*s = (struct service_config){0};
}
