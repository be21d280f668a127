/* Reads what the table does not of "tracing". */
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "config/options.h"
#include "config/parts.h"

enum { CA_MAX_BYTES = 1 << 20 };

/* As OTEL_EXPORTER_OTLP_ENDPOINT is meant: the path belongs to the kind of data. */
static char *url_of(const char *endpoint)
{
	const char *host = strstr(endpoint, "://") + 3;
	size_t n = strlen(endpoint);
	const char *path = host + strcspn(host, "/?");
	if (*path && strcmp(path, "/") != 0)
		return mem_must_strdup(endpoint);
	return mem_must_printf("%.*s/v1/traces", (int)(n - (*path == '/')), endpoint);
}

static void read_ca(struct config *c, struct str *faults)
{
	struct tracing_config *t = &c->tracing;
	const struct place *at = PLACE_KEY(NULL, "tracing.ca");
	str_init_must(&t->ca_text);
	if (!t->ca)
		return;
	config_add_file(c, t->ca);
	int error = file_read(t->ca, CA_MAX_BYTES, &t->ca_text);
	if (error)
		fault_at_text(faults, at, t->ca, strerror(error));
	else if (!t->ca_text.len || !strstr(t->ca_text.at, "-----BEGIN CERTIFICATE-----"))
		fault_at_text(faults, at, t->ca, "there is no certificate in it");
}

void tracing_read(struct config *c, const struct json *json, struct str *faults)
{
	struct tracing_config *t = &c->tracing;
	const struct place *at = PLACE_KEY(NULL, "tracing");
	const struct json *headers = json_get(json, "headers");
	double max = option_find(SCOPE_TOP, "tracing.headers")->max;
	bool usable = json_is(headers, JSON_LIST) && (double)json_count(headers) <= max;
	size_t count;
	t->headers = config_read_texts(usable ? headers : NULL, form_header,
				       PLACE_KEY(at, "headers"), faults, &count);
	config_read_secret(c, t->token_file, &t->token, PLACE_KEY(at, "bearerTokenFile"), faults);
	read_ca(c, faults);
	if (t->batch_spans > t->max_spans)
		fault_at(faults, PLACE_KEY(at, "batchSize"), "is more than maxQueued (%d)",
			 (int)t->max_spans);
	if (t->endpoint)
		t->url = url_of(t->endpoint);
}

void tracing_release(struct tracing_config *t)
{
	mem_free(t->url);
	config_free_texts(t->headers);
	str_release(&t->token);
	str_release(&t->ca_text);
}
