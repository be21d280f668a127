/* HTTP/2's heads in the words of HTTP/1 (RFC 9113, 8.3). */
#include "gateway/http/http2_head.h"

#include <strings.h>

#include "base/mem.h"
#include "gateway/http/syntax.h"

struct pseudo {
	struct slice method, scheme, path, authority;
};

static void read_pseudo(struct pseudo *p, const struct h2_header *h)
{
	if (slice_is(h->name, ":method"))
		p->method = h->value;
	else if (slice_is(h->name, ":scheme"))
		p->scheme = h->value;
	else if (slice_is(h->name, ":path"))
		p->path = h->value;
	else if (slice_is(h->name, ":authority"))
		p->authority = h->value;
}

static void add_header(struct http_head *head, struct slice name, struct slice value,
		       enum header_id id)
{
	head->headers[head->count++] = (struct http_header){name, value, id};
}

static void add_cookie(struct http2_head *h, struct slice value)
{
	if (h->cookie.len && value.len)
		str_add(&h->cookie, "; ", 2);
	str_add_slice(&h->cookie, value);
}

/* nghttp2 has seen to it that it is a number and is given once. */
static int64_t read_length(struct slice digits)
{
	int64_t n = 0;
	for (size_t i = 0; i < digits.len; i++)
		n = n * 10 + (digits.at[i] - '0');
	return n;
}

static const char *read_header(struct http2_head *h, const struct h2_header *in)
{
	enum header_id id = header_identify(in->name);
	if (id == HEADER_COOKIE) {
		add_cookie(h, in->value);
		return NULL;
	}
	if (id == HEADER_HOST) {
		bool again = h->host.at != NULL;
		h->host = in->value;
		return again ? "there is more than one Host header" : NULL;
	}
	if (id == HEADER_CONTENT_LENGTH) {
		if (in->value.len > 18)
			return "Content-Length is not one number of a sane size";
		h->head.content_length = read_length(in->value);
	}
	add_header(&h->head, in->name, in->value, id);
	return NULL;
}

static bool is_same_host(struct slice a, struct slice b)
{
	return a.len == b.len && strncasecmp(a.at, b.at, a.len) == 0;
}

/* The authority stands for Host; where both are given they must agree (RFC 9113, 8.3.1). */
static const char *settle_host(struct http2_head *h, struct slice authority)
{
	if (authority.at && h->host.at && !is_same_host(authority, h->host))
		return "Host and :authority differ";
	struct slice host = authority.at ? authority : h->host;
	if (!host.at)
		return "the request names no host";
	h->headers[0] = (struct http_header){SLICE("host"), host, HEADER_HOST};
	return syntax_is_host(host) ? NULL : "the host is malformed";
}

/* A path may not name a host, as HTTP/1's absolute target does (RFC 9113, 8.3.1). */
static const char *settle_target(struct http2_head *h, const struct pseudo *p)
{
	bool is_connect = slice_is(p->method, "CONNECT");
	h->head.method = p->method;
	h->head.target = is_connect ? p->authority : p->path;
	if (!syntax_is_token(p->method))
		return "the method is malformed";
	if (!is_connect && !slice_is_nocase(p->scheme, "http") &&
	    !slice_is_nocase(p->scheme, "https"))
		return "the scheme is neither http nor https";
	bool is_rooted = is_connect || slice_starts(p->path, "/") ||
			 (slice_is(p->path, "*") && slice_is(p->method, "OPTIONS"));
	return is_rooted && syntax_is_target(h->head.target) ? NULL
							     : "the request target is malformed";
}

static const char *read_headers(struct http2_head *h, const struct h2_head *in, struct pseudo *p)
{
	const char *fault = NULL;
	for (size_t i = 0; i < in->count && !fault; i++) {
		if (in->headers[i].name.at[0] == ':')
			read_pseudo(p, &in->headers[i]);
		else
			fault = read_header(h, &in->headers[i]);
	}
	return fault;
}

enum http2_head_result http2_head_init(struct http2_head *h, const struct h2_head *in)
{
	struct pseudo pseudo = {0};
	*h = (struct http2_head){.head = {.minor = 1, .content_length = -1, .keep_alive = true}};
	str_init(&h->cookie);
	h->headers = mem_alloc((in->count + 2) * sizeof(*h->headers)); /* Host, and the cookie */
	if (!h->headers)
		return HTTP2_HEAD_NO_MEMORY;
	h->head.headers = h->headers;
	h->head.count = 1; /* Host comes first */
	h->head.has_body = in->has_body;
	h->fault = read_headers(h, in, &pseudo);
	if (!h->fault)
		h->fault = settle_target(h, &pseudo);
	if (!h->fault)
		h->fault = settle_host(h, pseudo.authority);
	if (h->cookie.failed)
		return HTTP2_HEAD_NO_MEMORY;
	if (h->fault)
		return HTTP2_HEAD_BAD;
	h->fault = http_read_expect(&h->head);
	if (h->fault)
		return HTTP2_HEAD_BAD_EXPECTATION;
	if (h->cookie.len)
		add_header(&h->head, SLICE("cookie"), (struct slice){h->cookie.at, h->cookie.len},
			   HEADER_COOKIE);
	return HTTP2_HEAD_OK;
}

void http2_head_release(struct http2_head *h)
{
	mem_free(h->headers);
	str_release(&h->cookie);
}
