/* Answers that the gateway gives itself. */
#include "gateway/reply.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum { LONGEST_RETRY_S = 3600, PROBLEM_BYTES = 1024 };

static struct http_header header(enum header_id id, const char *name, const char *value)
{
	return (struct http_header){slice_of(name), slice_of(value), id};
}

int64_t reply_retry_after_s(int64_t us)
{
	int64_t s = (us + US_PER_S - 1) / US_PER_S;
	return s < 1 ? 1 : s > LONGEST_RETRY_S ? LONGEST_RETRY_S : s;
}

struct slice reply_date(void)
{
	static char text[CLOCK_TEXT_BYTES];
	static int64_t written_s = -1;
	int64_t now_us = clock_wall_us();
	if (now_us / US_PER_S != written_s) {
		written_s = now_us / US_PER_S;
		clock_format_http(now_us, text);
	}
	return slice_of(text);
}

static struct http_header date(void)
{
	return (struct http_header){SLICE("Date"), reply_date(), HEADER_DATE};
}

static void send_all(struct exchange *x, const struct answer *a, const char *text, size_t len)
{
	exchange_respond(x, a);
	if (a->has_body)
		exchange_write(x, text, len);
	exchange_end(x);
}

void reply_problem(struct exchange *x, const struct problem *p)
{
	struct http_header headers[5];
	size_t n = 0;
	char retry[24];
	struct str body;
	headers[n++] = date();
	if (p->retry_after_us) {
		snprintf(retry, sizeof(retry), "%lld",
			 (long long)reply_retry_after_s(p->retry_after_us));
		headers[n++] = header(HEADER_OTHER, "Retry-After", retry);
	}
	if (p->request_id)
		headers[n++] = header(HEADER_X_REQUEST_ID, "X-Request-Id", p->request_id);
	if (p->authenticate)
		headers[n++] = header(HEADER_OTHER, "WWW-Authenticate", p->authenticate);
	str_init(&body);
	str_printf(&body,
		   "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"reason\":\"%s\"",
		   http_reason(p->status), p->status, p->reason);
	if (p->detail) {
		str_add_text(&body, ",\"detail\":");
		str_add_json(&body, p->detail, strlen(p->detail));
	}
	str_add_text(&body, "}\n");
	if (body.failed) /* better none than a part */
		str_clear(&body);
	else
		headers[n++] = header(HEADER_OTHER, "Content-Type", "application/problem+json");
	struct answer a = {
		.status = p->status,
		.headers = headers,
		.count = n,
		.content_length = (int64_t)body.len,
		.has_body = !p->no_body,
		.close = p->close,
	};
	send_all(x, &a, body.at, body.len);
	str_release(&body);
}

static void ignore_left(struct exchange *x, enum exchange_end why)
{
	(void)x, (void)why;
}

static void ignore(struct exchange *x)
{
	(void)x;
}

void reply_unhandled(struct exchange *x, const struct problem *p)
{
	static const struct exchange_handler nobody = {.left = ignore_left, .delivered = ignore};
	x->handler = &nobody;
	reply_problem(x, p);
}

void reply_text(struct exchange *x, int status, const char *content_type, const char *text,
		size_t len, bool no_body)
{
	struct http_header headers[] = {date(), header(HEADER_OTHER, "Content-Type", content_type)};
	struct answer a = {
		.status = status,
		.headers = headers,
		.count = 2,
		.content_length = (int64_t)len,
		.has_body = !no_body,
	};
	send_all(x, &a, text, len);
}
