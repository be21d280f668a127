/* What the metrics API says of itself, and how it refuses. */
#include "gateway/autoscalers/metrics_api_parts.h"
#include "gateway/gateway.h"
#include "gateway/reply.h"

const struct metrics_api metrics_apis[METRICS_APIS] = {
	{"external.metrics.k8s.io", "v1beta1", false},
	{"custom.metrics.k8s.io", "v1beta2", true},
	{"custom.metrics.k8s.io", "v1beta1", true},
};

static const char JSON[] = "application/json";

/* --- answers --------------------------------------------------------------------------------- */

static const struct {
	int status;
	const char *reason;
} refusals[] = {
	[API_BAD_REQUEST] = {400, "BadRequest"},
	[API_UNAUTHORIZED] = {401, "Unauthorized"},
	[API_NOT_FOUND] = {404, "NotFound"},
	[API_METHOD_NOT_ALLOWED] = {405, "MethodNotAllowed"},
	[API_UNAVAILABLE] = {503, "ServiceUnavailable"},
};

int api_status(enum api_refusal why)
{
	return refusals[why].status;
}

void api_add_status(struct str *s, enum api_refusal why, const char *message)
{
	str_add_text(s, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
			"\"status\":\"Failure\",\"message\":");
	str_add_json(s, message, strlen(message));
	str_printf(s, ",\"reason\":\"%s\",\"code\":%d}\n", refusals[why].reason,
		   refusals[why].status);
}

void api_refuse(struct exchange *x, enum api_refusal why, const char *message, bool is_head)
{
	struct str s;
	str_init(&s);
	api_add_status(&s, why, message);
	if (s.failed) /* better none than a part */
		str_clear(&s);
	reply_text(x, refusals[why].status, JSON, s.len ? s.at : "", s.len, is_head);
	str_release(&s);
}

void api_answer(struct exchange *x, const struct str *document, bool is_head)
{
	if (document->failed)
		api_refuse(x, API_UNAVAILABLE, "there is no memory for it: ask again", is_head);
	else
		reply_text(x, 200, JSON, document->at, document->len, is_head);
}

/* --- discovery ------------------------------------------------------------------------------- */

static void add_version(struct str *s, const struct metrics_api *api)
{
	str_printf(s, "{\"groupVersion\":\"%s/%s\",\"version\":\"%s\"}", api->group, api->version,
		   api->version);
}

/* The first of a group's versions is the one that is preferred. */
static void add_group(struct str *s, const struct metrics_api *first, bool is_alone)
{
	const struct metrics_api *end = metrics_apis + METRICS_APIS;
	str_add_char(s, '{');
	if (is_alone)
		str_add_text(s, "\"kind\":\"APIGroup\",\"apiVersion\":\"v1\",");
	str_printf(s, "\"name\":\"%s\",\"versions\":[", first->group);
	for (const struct metrics_api *a = first; a < end && strcmp(a->group, first->group) == 0;
	     a++) {
		str_add_text(s, a > first ? "," : "");
		add_version(s, a);
	}
	str_add_text(s, "],\"preferredVersion\":");
	add_version(s, first);
	str_add_char(s, '}');
}

static bool is_first_of_group(int i)
{
	return i == 0 || strcmp(metrics_apis[i - 1].group, metrics_apis[i].group) != 0;
}

static void add_groups(struct str *s)
{
	str_add_text(s, "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[");
	for (int i = 0; i < METRICS_APIS; i++) {
		if (!is_first_of_group(i))
			continue;
		str_add_text(s, i ? "," : "");
		add_group(s, &metrics_apis[i], false);
	}
	str_add_text(s, "]}\n");
}

static void add_resource(struct str *s, const char *of, const char *name, const char *kind)
{
	str_add_text(s, s->at[s->len - 1] == '[' ? "" : ",");
	str_printf(s,
		   "{\"name\":\"%s%s\",\"singularName\":\"\",\"namespaced\":true,\"kind\":\"%s\","
		   "\"verbs\":[\"get\"]}",
		   of, name, kind);
}

static void add_resources(struct str *s, const struct metrics_api *api)
{
	str_printf(s,
		   "{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\",\"groupVersion\":\"%s/%s\","
		   "\"resources\":[",
		   api->group, api->version);
	for (int i = 0; i < API_METRICS && !s->failed; i++) {
		const struct api_metric *m = &api_metrics[i];
		if (!api->is_custom)
			add_resource(s, "", m->name, "ExternalMetricValueList");
		else
			add_resource(s, "services/", m->name, "MetricValueList");
		if (api->is_custom && m->of_pod)
			add_resource(s, "pods/", m->name, "MetricValueList");
	}
	str_add_text(s, "]}\n");
}

/* The schemas are Kubernetes' own, so there is nothing to describe. */
static void add_openapi_root(struct str *s)
{
	str_add_text(s, "{\"paths\":{");
	for (int i = 0; i < METRICS_APIS; i++)
		str_printf(s, "%s\"apis/%s/%s\":{\"serverRelativeURL\":\"/openapi/v3/apis/%s/%s\"}",
			   i ? "," : "", metrics_apis[i].group, metrics_apis[i].version,
			   metrics_apis[i].group, metrics_apis[i].version);
	str_add_text(s, "}}\n");
}

static const char OPENAPI_2[] = "{\"swagger\":\"2.0\",\"info\":{\"title\":\"slotgate\","
				"\"version\":\"v1\"},\"paths\":{}}\n";
static const char OPENAPI_3[] = "{\"openapi\":\"3.0.0\",\"info\":{\"title\":\"slotgate\","
				"\"version\":\"v1\"},\"paths\":{}}\n";

/* Behind "/apis" or "/openapi/v3/apis": "", "/GROUP" or "/GROUP/VERSION". */
static bool is_of(struct slice path, const struct metrics_api *api, bool with_version)
{
	size_t group = strlen(api->group);
	if (path.len < group + 1 || path.at[0] != '/' ||
	    memcmp(path.at + 1, api->group, group) != 0)
		return false;
	struct slice rest = {path.at + 1 + group, path.len - 1 - group};
	if (!with_version)
		return !rest.len;
	return rest.len && rest.at[0] == '/' &&
	       slice_is((struct slice){rest.at + 1, rest.len - 1}, api->version);
}

static struct slice behind(struct slice path, const char *prefix)
{
	size_t n = strlen(prefix);
	return (struct slice){path.at + n, path.len - n};
}

static void add_document(struct str *s, struct slice path)
{
	if (slice_is(path, "/openapi/v2"))
		str_add_text(s, OPENAPI_2);
	else if (slice_is(path, "/openapi/v3"))
		add_openapi_root(s);
	else if (slice_is(path, "/apis"))
		add_groups(s);
	for (int i = 0; i < METRICS_APIS && !s->len; i++) {
		const struct metrics_api *api = &metrics_apis[i];
		if (slice_starts(path, "/openapi/v3/apis/") &&
		    is_of(behind(path, "/openapi/v3/apis"), api, true))
			str_add_text(s, OPENAPI_3);
		else if (slice_starts(path, "/apis/") && is_of(behind(path, "/apis"), api, true))
			add_resources(s, api);
		else if (slice_starts(path, "/apis/") && is_of(behind(path, "/apis"), api, false))
			add_group(s, api, true);
	}
}

bool api_show_document(struct exchange *x, struct slice path, bool is_head)
{
	struct str s;
	str_init(&s);
	if (path.len > 1 && path.at[path.len - 1] == '/')
		path.len--;
	add_document(&s, path);
	bool is_one = s.len > 0 || s.failed;
	if (is_one)
		api_answer(x, &s, is_head);
	str_release(&s);
	return is_one;
}
