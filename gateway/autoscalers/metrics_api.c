/* The metrics API: who asks, and for what. */
#include "gateway/autoscalers/metrics_api.h"

#include "gateway/admin/pages.h"
#include "gateway/autoscalers/front_proxy.h"
#include "gateway/autoscalers/label_selector.h"
#include "gateway/autoscalers/metrics_api_parts.h"
#include "gateway/autoscalers/target.h"
#include "gateway/gateway.h"

static const char NO_SUCH_PAGE[] =
	"there is no such path; GET /apis lists the APIs, and /apis/GROUP/VERSION their metrics, "
	"which are at .../namespaces/NAMESPACE/METRIC (external.metrics.k8s.io) and "
	".../namespaces/NAMESPACE/services/NAME/METRIC or pods/NAME/METRIC (custom.metrics.k8s.io)";

/* The front proxy has named the one it speaks for: without that it has let in somebody unknown. */
static bool names_a_user(const struct http_head *head)
{
	for (size_t i = 0; i < head->count; i++)
		if (slice_is_nocase(head->headers[i].name, "x-remote-user"))
			return slice_trim(head->headers[i].value).len > 0;
	return false;
}

/* False: it has been refused. */
static bool let_in(struct exchange *x, const struct http_head *head, bool is_head)
{
	struct str why;
	bool is_known;
	str_init(&why);
	bool is = front_proxy_is(x->gateway->front_proxy, x->session, &why, &is_known);
	if (is && !names_a_user(head)) {
		str_add_text(&why, "the front proxy names no user (X-Remote-User)");
		is = false;
	}
	if (!is)
		api_refuse(x, is_known ? API_UNAUTHORIZED : API_UNAVAILABLE,
			   why.len ? why.at : "refused", is_head);
	str_release(&why);
	return is;
}

/* --- questions ------------------------------------------------------------------------------- */

static const struct api_metric *metric_of(const char *name, enum api_subject subject)
{
	for (int i = 0; i < API_METRICS; i++)
		if (strcmp(api_metrics[i].name, name) == 0 &&
		    (subject != ABOUT_PODS || api_metrics[i].of_pod))
			return &api_metrics[i];
	return NULL;
}

static void refuse_metric(struct exchange *x, const struct api_question *q, const char *name,
			  bool is_head)
{
	struct str why;
	str_init(&why);
	str_printf(&why, "there is no metric \"%s\"%s; there are", name,
		   q->subject == ABOUT_PODS ? " of pods" : "");
	for (int i = 0; i < API_METRICS; i++)
		if (q->subject != ABOUT_PODS || api_metrics[i].of_pod)
			str_printf(&why, "%s %s", i ? "," : "", api_metrics[i].name);
	api_refuse(x, API_NOT_FOUND, why.failed ? "there is no such metric" : why.at, is_head);
	str_release(&why);
}

/* Of the objects' selector it is known only later which labels it is about. */
static struct slice no_label(const void *arg, struct slice key)
{
	(void)arg, (void)key;
	return (struct slice){NULL, 0};
}

static bool read_selector(struct slice target, const char *name, char to[API_SELECTOR_BYTES])
{
	to[0] = '\0';
	switch (target_query(target, name, to, API_SELECTOR_BYTES)) {
	case TARGET_ABSENT:
		to[0] = '\0';
		return true;
	case TARGET_FOUND:
		return label_selector_look(slice_of(to), no_label, NULL) != LABELS_UNCLEAR;
	case TARGET_BAD:
		break;
	}
	return false;
}

/* What stands behind ".../VERSION/namespaces". False: nothing that there is. */
static bool read_path(struct api_question *q, struct slice *path, char metric[API_NAME_BYTES])
{
	char resource[API_NAME_BYTES];
	if (!target_next_segment(path, q->name_space, sizeof(q->name_space)))
		return false;
	if (q->api->is_custom) {
		if (!target_next_segment(path, resource, sizeof(resource)) ||
		    !target_next_segment(path, q->object, sizeof(q->object)))
			return false;
		if (strcmp(resource, "services") != 0 && strcmp(resource, "pods") != 0)
			return false;
		q->subject = resource[0] == 's' ? ABOUT_SERVICES : ABOUT_PODS;
	}
	return target_next_segment(path, metric, API_NAME_BYTES) && !path->len;
}

static void ask(struct exchange *x, const struct metrics_api *api, const struct http_head *head,
		struct slice path, bool is_head)
{
	char metric[API_NAME_BYTES];
	struct api_question q = {.api = api, .subject = ABOUT_LABELS};
	if (!read_path(&q, &path, metric)) {
		api_refuse(x, API_NOT_FOUND, NO_SUCH_PAGE, is_head);
		return;
	}
	q.metric = metric_of(metric, q.subject);
	if (!q.metric) {
		refuse_metric(x, &q, metric, is_head);
		return;
	}
	if (read_selector(head->target, "labelSelector", q.selector) &&
	    read_selector(head->target, "metricLabelSelector", q.metric_selector))
		api_show_values(x, &q, is_head);
	else
		api_refuse(x, API_BAD_REQUEST,
			   "a selector is not understood, or too long: write it as "
			   "\"service=NAME\" or \"service in (A, B)\"",
			   is_head);
}

/* "/apis/GROUP/VERSION/namespaces", taken off the path. NULL: it is something else. */
static const struct metrics_api *take_api(struct slice *path)
{
	char apis[8], group[64], version[16], namespaces[16];
	struct slice rest = *path;
	if (!target_next_segment(&rest, apis, sizeof(apis)) || strcmp(apis, "apis") != 0 ||
	    !target_next_segment(&rest, group, sizeof(group)) ||
	    !target_next_segment(&rest, version, sizeof(version)) ||
	    !target_next_segment(&rest, namespaces, sizeof(namespaces)) ||
	    strcmp(namespaces, "namespaces") != 0)
		return NULL;
	for (int i = 0; i < METRICS_APIS; i++) {
		if (strcmp(metrics_apis[i].group, group) != 0 ||
		    strcmp(metrics_apis[i].version, version) != 0)
			continue;
		*path = rest;
		return &metrics_apis[i];
	}
	return NULL;
}

/* --- the handler ----------------------------------------------------------------------------- */

static void begin(struct exchange *x, const struct http_head *head)
{
	bool is_head = slice_is(head->method, "HEAD");
	struct slice path = target_path(head->target);
	x->owner = NULL;
	if (!let_in(x, head, is_head))
		return;
	if (!is_head && !slice_is(head->method, "GET")) {
		api_refuse(x, API_METHOD_NOT_ALLOWED, "metrics are read with GET", is_head);
		return;
	}
	const struct metrics_api *api = take_api(&path);
	if (api)
		ask(x, api, head, path, is_head);
	else if (!api_show_document(x, path, is_head))
		api_refuse(x, API_NOT_FOUND, NO_SUCH_PAGE, is_head);
}

const struct exchange_handler metrics_api_handler = {
	.begin = begin,
	.body = page_body,
	.body_end = page_body_end,
	.left = page_left,
	.delivered = page_delivered,
};
