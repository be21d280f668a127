/* The access log's lines. */
#include "gateway/access_log.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

static void add_text(struct str *s, const char *key, const char *value)
{
	str_printf(s, ",\"%s\":", key);
	str_add_json(s, value, strlen(value));
}

/* Milliseconds with three decimals, or null for what has not happened. */
static void add_ms(struct str *s, const char *key, bool happened, int64_t us)
{
	if (happened)
		str_printf(s, ",\"%s\":%.3f", key, (double)us / 1000);
	else
		str_printf(s, ",\"%s\":null", key);
}

/* The trace's id alone: the spans of it are looked up by that. */
static void add_trace(struct str *s, const struct trace_context *c)
{
	char text[TRACEPARENT_BYTES];
	trace_context_format(c, text);
	str_printf(s, ",\"trace\":\"%.*s\"", 2 * TRACE_ID_BYTES, text + 3);
}

const char *access_log_outcome(const struct request *r)
{
	switch (r->outcome) {
	case OUTCOME_OK:
		return "ok";
	case OUTCOME_REFUSED:
		return "refused";
	case OUTCOME_TOO_SLOW:
		return "client_too_slow";
	case OUTCOME_BAD_BODY:
		return "bad_body";
	case OUTCOME_TIMEOUT:
		return "timeout";
	case OUTCOME_POD_FAILED:
		return "pod_failed";
	case OUTCOME_CLIENT_LEFT:
	case OUTCOMES:
		break;
	}
	static const char *const left[] = {"client_left_uploading", "client_left_queued",
					   "client_left_working", "client_left_streaming"};
	return left[r->phase];
}

static const char *text_or_none(const char *text)
{
	return text ? text : "";
}

void access_log_write(const struct request *r, int64_t now_us)
{
	static struct str s; /* used again for every line */
	char text[CLOCK_TEXT_BYTES], client[NET_TEXT_BYTES];
	if (!log_has_access())
		return;
	str_clear(&s);
	if (r->client)
		net_format_host(r->client, client);
	else
		net_format(r->exchange->peer, client);
	clock_format(clock_wall_us(), text);
	str_printf(&s, "{\"time\":\"%s\"", text);
	add_text(&s, "id", r->id);
	if (r->span)
		add_trace(&s, &r->span->span.context);
	add_text(&s, "client", client);
	add_text(&s, "tls", text_or_none(exchange_tls(r->exchange)));
	add_text(&s, "cipher", text_or_none(exchange_cipher(r->exchange)));
	add_text(&s, "service", r->backend ? r->backend->name : "");
	add_text(&s, "tenant", text_or_none(r->tenant));
	add_text(&s, "route", r->route);
	add_text(&s, "method", r->method);
	add_text(&s, "path", r->target);
	str_printf(&s, ",\"status\":%d", r->status);
	add_text(&s, "outcome", access_log_outcome(r));
	add_text(&s, "reason", text_or_none(r->reason));
	add_text(&s, "pod", text_or_none(r->pod));
	str_printf(&s, ",\"attempts\":%d", r->attempts);
	int64_t queue_end_us = r->granted_us ? r->granted_us : now_us;
	add_ms(&s, "queueMs", r->queued_us, queue_end_us - r->queued_us);
	add_ms(&s, "firstByteMs", r->first_byte_us, r->first_byte_us - r->begun_us);
	add_ms(&s, "totalMs", true, now_us - r->begun_us);
	str_printf(&s, ",\"bytesIn\":%lld,\"bytesOut\":%lld}\n", (long long)r->exchange->bytes_in,
		   (long long)r->exchange->bytes_out);
	if (!s.failed)
		log_access(s.at, s.len);
}
