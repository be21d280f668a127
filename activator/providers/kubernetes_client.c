/* Requests to the API server. */
#include "activator/providers/kubernetes_client.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* A server that has just started may not know yet what is whose right. */
static const int64_t REFUSED_US = 3 * US_PER_S;

enum { ANSWER_BYTES_MAX = 16 << 20, HEADERS_MAX = 4 };

enum {
	STATUS_BAD = 400,
	STATUS_UNAUTHORIZED = 401,
	STATUS_FORBIDDEN = 403,
	STATUS_NOT_FOUND = 404,
	STATUS_NOT_ALLOWED = 405,
	STATUS_INVALID = 422,
};

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

static void tell_refusal(const struct kube_client *c, int status, const char *message,
			 char why[KUBE_WHY_BYTES])
{
	if (status == STATUS_UNAUTHORIZED)
		snprintf(why, KUBE_WHY_BYTES,
			 "the API server answers 401: it does not accept the token or certificate "
			 "of %.200s",
			 c->access.origin.at);
	else
		snprintf(why, KUBE_WHY_BYTES, "the API server answers %d%s: %.330s", status,
			 status == STATUS_FORBIDDEN ? " (its role lacks a rule)" : "", message);
}

static void tell_error(const struct kube_client *c, const struct http_client_result *r,
		       char why[KUBE_WHY_BYTES])
{
	bool is_tls = r->error == HTTP_CLIENT_TLS;
	snprintf(why, KUBE_WHY_BYTES, "the API server %.80s: %.120s%s%.120s", c->access.server.at,
		 r->text, is_tls ? ": see the authority, certificate and key of " : "",
		 is_tls ? c->access.origin.at : "");
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
		tell_error(c, r, a->why);
	else if (r->status < 200 || r->status >= 300) {
		kube_status_read(a->document, &status);
		tell_refusal(c, r->status, status.message, a->why);
	} else if (r->body.len && !a->document) {
		snprintf(a->why, sizeof(a->why), "the API server's answer is no JSON: %s",
			 error.message);
	}
	if (!r->status || r->status >= 500 || r->status == STATUS_UNAUTHORIZED ||
	    r->status == STATUS_FORBIDDEN)
		c->failures++;
}

bool kube_answer_is_refusal(const struct kube_answer *a)
{
	switch (a->status) {
	case STATUS_BAD:
	case STATUS_UNAUTHORIZED:
	case STATUS_FORBIDDEN:
	case STATUS_NOT_FOUND:
	case STATUS_NOT_ALLOWED:
	case STATUS_INVALID:
		return true;
	default:
		return false;
	}
}

void kube_answer_note_refusal(const struct kube_answer *a, int64_t *since_us, int64_t now_us)
{
	if (!kube_answer_is_refusal(a))
		*since_us = 0;
	else if (!*since_us)
		*since_us = now_us;
}

bool kube_is_refused(int64_t since_us, int64_t now_us)
{
	return since_us && now_us - since_us >= REFUSED_US;
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
