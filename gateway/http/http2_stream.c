/* HTTP/2: streams as exchanges. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/http/http2_head.h"
#include "gateway/http/http2_state.h"
#include "gateway/reply.h"
#include "gateway/shed.h"
#include "gateway/stats.h"

enum { PIECES = 16, HEADERS_MAX = 520 };

/* Of memory, in the library. */
enum { STREAM_BYTES = 1 << 10 };

static const struct spool_limits default_spool = {1 << 20, 64 << 20};

static struct http2_stream *stream_of(struct exchange *x)
{
	return LIST_OWNER(x, struct http2_stream, exchange);
}

static struct gateway *gateway_of(const struct http2_stream *s)
{
	return s->speaker->connection->gateway;
}

static void go_on_later(struct http2_stream *s)
{
	connection_defer(s->speaker->connection);
}

static int64_t now_of(const struct http2_stream *s)
{
	return loop_now_us(gateway_of(s)->loop);
}

static bool handler_listens(const struct http2_stream *s)
{
	return s->progress != ANSWER_ENDED && !s->is_broken;
}

/* --- ends ------------------------------------------------------------------------------------ */

static void stream_free(struct http2_stream *s)
{
	list_remove(&s->link);
	timer_release(&s->timer);
	spool_free(s->out);
	budget_hold(&gateway_of(s)->memory, &s->held_bytes, 0);
	mem_free(s);
}

static void leave(struct http2_stream *s, enum exchange_end why)
{
	s->exchange.handler->left(&s->exchange, why);
	stream_free(s);
}

static void break_off(struct http2_stream *s, enum exchange_end why)
{
	if (!s->is_broken)
		s->broken_why = why;
	s->is_broken = true;
	go_on_later(s);
}

void http2_stream_end_broken(struct http2_stream *s)
{
	if (!s->is_broken)
		return;
	if (!s->sent_at)
		h2_reset(s->speaker->h2, s->id);
	leave(s, s->broken_why);
}

void http2_stream_deliver(struct http2_stream *s)
{
	if (s->sent_at > s->speaker->written_bytes)
		return;
	if (s->progress != ANSWER_ENDED)
		return; /* without a body, its head was its end; the handler has still to say so */
	s->exchange.handler->delivered(&s->exchange);
	stream_free(s);
}

void http2_stream_lose(struct http2_stream *s, enum exchange_end why)
{
	leave(s, why);
}

static void on_closed(void *owner, enum h2_end end)
{
	leave(owner, end == H2_END_BAD_BODY ? END_BAD_BODY : END_CLIENT_LEFT);
}

/* --- a request that is none ------------------------------------------------------------------ */

/* Answers in the handler's stead. */
static void reject(struct http2_stream *s, int status, const char *reason, const char *detail)
{
	stats_bad_request(gateway_of(s), reason);
	if (s->exchange.handler)
		s->exchange.handler->left(&s->exchange, END_BODY_TIMEOUT);
	else
		log_info("%s: refused a request: %s", s->speaker->connection->listener->address,
			 detail);
	reply_unhandled(&s->exchange,
			&(struct problem){.status = status, .reason = reason, .detail = detail});
}

/* --- how fast -------------------------------------------------------------------------------- */

static bool is_uploading(const struct http2_stream *s)
{
	return !s->body_has_ended && s->progress == ANSWER_NONE;
}

/* Of the body what has come, else of the answer what has been handed out: it only grows. */
static int64_t moved_bytes(const struct http2_stream *s)
{
	return is_uploading(s) ? s->exchange.bytes_in : s->out ? -spool_length(s->out) : 0;
}

static void look_again(struct http2_stream *s)
{
	int64_t at_us = rate_floor_due_us(&s->floor);
	if (is_uploading(s) && s->body_deadline_us < at_us)
		at_us = s->body_deadline_us;
	timer_set(&s->timer, at_us);
}

static void on_timer(void *owner)
{
	struct http2_stream *s = owner;
	bool is_fast = rate_floor_is_met(&s->floor, moved_bytes(s), now_of(s));
	if (is_uploading(s) && now_of(s) >= s->body_deadline_us)
		reject(s, 408, "body_timeout", "the request's body took too long to arrive");
	else if (is_fast)
		look_again(s);
	else if (is_uploading(s))
		reject(s, 408, "body_too_slow",
		       "the request's body came more slowly than body.minRate");
	else
		break_off(s, END_TOO_SLOW);
}

/* --- what comes ------------------------------------------------------------------------------ */

static void begin_exchange(struct http2_stream *s, const struct http_head *head)
{
	const struct listener *l = s->speaker->connection->listener;
	s->exchange.handler = l->handler;
	s->expects_continue = head->expects_continue && head->has_body;
	s->exchange.handler->begin(&s->exchange, head);
	if (handler_listens(s) && s->wants_body && s->body_has_ended)
		s->exchange.handler->body_end(&s->exchange);
}

static void read_head(struct http2_stream *s, const struct h2_head *in)
{
	struct gateway *gw = gateway_of(s);
	struct http2_head h;
	if (budget_is_spent(&gw->memory)) {
		shed_count(gw, SHED_HEAD);
		reject(s, 503, "overloaded", "the gateway's memory for clients is used up");
		return;
	}
	switch (http2_head_init(&h, in)) {
	case HTTP2_HEAD_OK:
		if (h.head.target.len > gateway_http_limits(gw).target_bytes)
			reject(s, 414, "target_too_long",
			       "the request target is longer than limits.maxTargetBytes");
		else
			begin_exchange(s, &h.head);
		break;
	case HTTP2_HEAD_BAD:
		reject(s, 400, "bad_request", h.fault);
		break;
	case HTTP2_HEAD_BAD_EXPECTATION:
		reject(s, 417, "bad_expectation", h.fault);
		break;
	case HTTP2_HEAD_NO_MEMORY:
		reject(s, 503, "no_memory", "out of memory");
		break;
	}
	http2_head_release(&h);
}

static void *on_head(void *owner, int32_t id, const struct h2_head *head)
{
	struct http2 *h = owner;
	struct gateway *gw = h->connection->gateway;
	struct http2_stream *s = mem_zalloc(sizeof(*s));
	if (!s || !timer_init(&s->timer, gw->loop, on_timer, s)) {
		mem_free(s);
		h2_reset(h->h2, id);
		return NULL;
	}
	list_init(&s->link);
	list_push_back(&h->streams, &s->link);
	h->served = true;
	s->speaker = h;
	s->id = id;
	s->body_has_ended = !head->has_body;
	s->body_limits.spool = default_spool;
	budget_hold(&gw->memory, &s->held_bytes, (int64_t)sizeof(*s) + STREAM_BYTES);
	s->exchange.ops = &http2_exchange_ops;
	connection_introduce(h->connection, &s->exchange);
	s->exchange.version = "2";
	s->exchange.begun_us = loop_now_us(gw->loop);
	switch (head->fault) {
	case H2_HEAD_OK:
		read_head(s, head);
		break;
	case H2_HEAD_TOO_LARGE:
		reject(s, 431, "head_too_large",
		       "the request's headers exceed limits.maxHeaderBytes or limits.maxHeaders");
		break;
	case H2_HEAD_NO_MEMORY:
		reject(s, 503, "no_memory", "out of memory");
		break;
	}
	return s;
}

static void on_body(void *owner, const char *bytes, size_t len)
{
	struct http2_stream *s = owner;
	if (!handler_listens(s) || !s->wants_body)
		return; /* its window is not opened again: little more can come */
	s->exchange.bytes_in += (int64_t)len;
	s->exchange.handler->body(&s->exchange, bytes, len);
	h2_consume(s->speaker->h2, s->id, len);
}

static void on_body_end(void *owner)
{
	struct http2_stream *s = owner;
	s->body_has_ended = true;
	if (!handler_listens(s) || !s->wants_body)
		return;
	timer_clear(&s->timer);
	s->exchange.handler->body_end(&s->exchange);
}

/* --- what goes ------------------------------------------------------------------------------- */

static bool has_output(const struct http2_stream *s)
{
	return s->out && spool_length(s->out);
}

static size_t on_fill(void *owner, char *bytes, size_t size, bool *is_last)
{
	struct http2_stream *s = owner;
	struct iovec iov[PIECES];
	size_t done = 0;
	int n = has_output(s) && !s->is_broken ? spool_peek(s->out, iov, PIECES) : 0;
	for (int i = 0; i < n && done < size; i++) {
		size_t part = iov[i].iov_len < size - done ? iov[i].iov_len : size - done;
		memcpy(bytes + done, iov[i].iov_base, part);
		done += part;
	}
	if (done)
		spool_consume(s->out, done);
	*is_last = s->progress == ANSWER_ENDED && !has_output(s) && !s->is_broken;
	return done;
}

static void on_sent(void *owner)
{
	struct http2_stream *s = owner;
	s->sent_at = s->speaker->made_bytes;
	timer_clear(&s->timer);
	list_remove(&s->link);
	list_push_back(&s->speaker->sent, &s->link);
}

const struct h2_handler http2_handler = {
	.head = on_head,
	.body = on_body,
	.body_end = on_body_end,
	.fill = on_fill,
	.sent = on_sent,
	.closed = on_closed,
};

/* --- the exchange's operations --------------------------------------------------------------- */

static void read_body(struct exchange *x, struct body_limits limits)
{
	struct http2_stream *s = stream_of(x);
	s->wants_body = true;
	s->body_limits = limits;
	if (s->body_has_ended)
		return;
	s->body_deadline_us = now_of(s) + limits.timeout_us;
	rate_floor_begin(&s->floor, limits.least_bytes, limits.window_us, moved_bytes(s),
			 now_of(s));
	look_again(s);
	if (s->expects_continue && !h2_inform(s->speaker->h2, s->id, 100, NULL, 0))
		break_off(s, END_CLIENT_LEFT);
	go_on_later(s);
}

static void hold_body(struct exchange *x, bool hold)
{
	(void)x, (void)hold; /* only tunnels are held, and HTTP/2 has none here */
}

static size_t list_headers(const struct answer *a, struct h2_header headers[HEADERS_MAX])
{
	size_t n = 0;
	for (size_t i = 0; i < a->count && n < HEADERS_MAX - 1; i++)
		headers[n++] = (struct h2_header){a->headers[i].name, a->headers[i].value,
						  a->headers[i].id == HEADER_X_REQUEST_ID};
	return n;
}

static void inform(struct exchange *x, const struct answer *a)
{
	struct http2_stream *s = stream_of(x);
	struct h2_header headers[HEADERS_MAX];
	size_t n = list_headers(a, headers);
	if (!h2_inform(s->speaker->h2, s->id, a->status, headers, n))
		break_off(s, END_CLIENT_LEFT);
	go_on_later(s);
}

static void respond(struct exchange *x, const struct answer *a)
{
	struct http2_stream *s = stream_of(x);
	struct h2_header headers[HEADERS_MAX];
	char length[24];
	size_t n = list_headers(a, headers);
	s->progress = ANSWER_BEGUN;
	timer_clear(&s->timer);
	if (a->content_length >= 0) {
		snprintf(length, sizeof(length), "%lld", (long long)a->content_length);
		headers[n++] = (struct h2_header){SLICE("content-length"), slice_of(length), false};
	}
	if (!h2_respond(s->speaker->h2, s->id, a->status, headers, n, a->has_body))
		break_off(s, END_CLIENT_LEFT);
	go_on_later(s);
}

static void on_spool(void *owner)
{
	struct http2_stream *s = owner;
	if (spool_error(s->out))
		break_off(s, END_TOO_SLOW);
	h2_resume(s->speaker->h2, s->id);
	go_on_later(s);
}

static void write_body(struct exchange *x, const char *bytes, size_t len)
{
	struct http2_stream *s = stream_of(x);
	if (!len || s->is_broken)
		return;
	x->bytes_out += (int64_t)len;
	if (!s->out)
		s->out = spool_new(&gateway_of(s)->spool, s->body_limits.spool, on_spool, s);
	if (!s->out || spool_write(s->out, bytes, len)) {
		break_off(s, END_TOO_SLOW);
		return;
	}
	h2_resume(s->speaker->h2, s->id);
	go_on_later(s);
}

static void trail(struct http2_stream *s, const struct http_header *trailers, size_t count)
{
	struct h2_header headers[HEADERS_MAX];
	size_t n = 0;
	for (; n < count && n < HEADERS_MAX; n++)
		headers[n] = (struct h2_header){trailers[n].name, trailers[n].value, false};
	if (!h2_trail(s->speaker->h2, s->id, headers, n))
		break_off(s, END_CLIENT_LEFT);
}

static void end(struct exchange *x, const struct http_header *trailers, size_t count)
{
	struct http2_stream *s = stream_of(x);
	s->progress = ANSWER_ENDED;
	if (count && !s->is_broken)
		trail(s, trailers, count);
	if (!s->sent_at) {
		rate_floor_begin_sending(&s->floor, &gateway_of(s)->config->limits, moved_bytes(s),
					 now_of(s));
		look_again(s);
	}
	h2_resume(s->speaker->h2, s->id);
	go_on_later(s);
}

static void reset(struct exchange *x)
{
	break_off(stream_of(x), END_RESET);
}

/* That stands in a frame, which is read in its turn. */
static bool look(struct exchange *x)
{
	(void)x;
	return false;
}

const struct exchange_ops http2_exchange_ops = {
	.read_body = read_body,
	.hold_body = hold_body,
	.inform = inform,
	.respond = respond,
	.write = write_body,
	.end = end,
	.reset = reset,
	.look = look,
};
