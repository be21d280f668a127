/* Requests to the API server. */
#include "activator/providers/kubernetes_client.h"

#include <stdio.h>
#include <string.h>

enum { ANSWER_BYTES_MAX = 16 << 20, HEADERS_MAX = 4 };

struct http_exchange *kube_client_send(struct kube_client *c, const struct kube_request *r,
				       http_client_fn *fn, void *owner)
{
	struct str url, token, type;
	const char *headers[HEADERS_MAX] = {"Accept: application/json"};
	size_t n = 1;
	kube_access_refresh(&c->access);
	if (!c->access.server.len)
		return NULL;
	str_init(&url);
	str_init(&token);
	str_init(&type);
	str_printf(&url, "%s%s", c->access.server.at, r->path);
	if (c->access.token.len) {
		str_printf(&token, "Authorization: Bearer %s", c->access.token.at);
		headers[n++] = token.at;
	}
	if (r->content_type) {
		str_printf(&type, "Content-Type: %s", r->content_type);
		headers[n++] = type.at;
	}
	struct http_client_trust trust = kube_access_trust(&c->access);
	struct http_client_request request = {
		.method = r->method,
		.url = url.at,
		.trust = strncmp(c->access.server.at, "https:", 6) == 0 ? &trust : NULL,
		.headers = headers,
		.body = r->body,
		.timeout_us = r->timeout_us,
		.max_body_bytes = ANSWER_BYTES_MAX,
		.keep_alive = !r->piece,
		.piece = r->piece,
	};
	struct http_exchange *x = NULL;
	if (!url.failed && !token.failed && !type.failed)
		x = http_client_start(c->http, &request, fn, owner);
	c->requests += x != NULL;
	str_release(&url);
	str_release(&token);
	str_release(&type);
	return x;
}

static const char *remedy(int status)
{
	if (status == 401)
		return " (the token or certificate is not accepted)";
	return status == 403 ? " (its role lacks a rule)" : "";
}

void kube_answer_read(struct kube_client *c, const struct http_client_result *r,
		      struct kube_answer *a)
{
	struct json_error error;
	struct kube_status status = {0};
	*a = (struct kube_answer){.status = r->status};
	if (r->body.len)
		a->document = json_parse(r->body.at, r->body.len, &error);
	if (r->error != HTTP_CLIENT_OK)
		snprintf(a->why, sizeof(a->why), "the API server: %.300s", r->text);
	else if (r->status < 200 || r->status >= 300) {
		kube_status_read(a->document, &status);
		snprintf(a->why, sizeof(a->why), "the API server answers %d%s: %s", r->status,
			 remedy(r->status), status.message);
	} else if (r->body.len && !a->document) {
		snprintf(a->why, sizeof(a->why), "the API server's answer is no JSON: %s",
			 error.message);
	}
	if (!r->status || r->status >= 500 || r->status == 401 || r->status == 403)
		c->failures++;
}

void kube_add_encoded(struct str *s, const char *value)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-_.~";
	for (; *value; value++) {
		if (strchr(plain, *value))
			str_add_char(s, *value);
		else
			str_printf(s, "%%%02X", (unsigned char)*value);
	}
}
