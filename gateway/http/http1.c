/* HTTP/1 on a client's connection: reading requests, and its states. */
#include "gateway/http/http1.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "base/mem.h"
#include "gateway/http/http1_state.h"
#include "gateway/reply.h"
#include "gateway/shed.h"
#include "gateway/stats.h"

enum { READ_AHEAD_BYTES = 32 << 10 };

static const struct spool_limits default_spool = {1 << 20, 64 << 20};

static struct gateway *gateway_of(const struct http1 *h)
{
	return h->connection->gateway;
}

/* --- states ---------------------------------------------------------------------------------- */

static bool wants_bytes(const void *speaker)
{
	const struct http1 *h = speaker;
	switch (h->state) {
	case HTTP1_IDLE:
	case HTTP1_HEAD:
	case HTTP1_BODY:
		return !h->is_broken;
	case HTTP1_TUNNEL:
		return !h->is_broken && !h->held && !h->has_read_all;
	default:
		return false;
	}
}

static void move(struct http1 *h, enum http1_state to)
{
	static const char *const names[] = {"idle",   "head",	  "held",  "body",
					    "tunnel", "flushing", "closed"};
	log_debug("http1 %d: %s -> %s", h->connection->stream.io.fd, names[h->state], names[to]);
	h->state = to;
	http1_begin_time(h);
}

/* After whatever may have made it hold more, or less. */
static void account(struct http1 *h)
{
	size_t bytes = sizeof(*h) + sizeof(*h->connection) + h->unread.capacity +
		       h->head_out.capacity + (h->parser ? http_parser_bytes(h->parser) : 0);
	budget_hold(&gateway_of(h)->memory, &h->held_bytes, (int64_t)bytes);
}

static void give_parser_back(struct http1 *h)
{
	if (h->parser)
		gateway_give_parser(gateway_of(h), h->parser);
	h->parser = NULL;
}

static void *open_speaker(struct connection *c)
{
	struct http1 *h = mem_zalloc(sizeof(*h));
	if (!h)
		return NULL;
	h->connection = c;
	h->exchange.ops = &http1_exchange_ops;
	connection_introduce(c, &h->exchange);
	io_be_patient(
		&c->stream.io); /* a pod whose answer has come in the same turn is free first */
	account(h);
	return h;
}

static void free_speaker(void *speaker)
{
	struct http1 *h = speaker;
	give_parser_back(h);
	spool_free(h->out);
	str_release(&h->unread);
	str_release(&h->head_out);
	budget_hold(&gateway_of(h)->memory, &h->held_bytes, 0);
	mem_free(h);
}

/* --- ends ------------------------------------------------------------------------------------ */

static void tell_left(struct http1 *h, enum exchange_end why)
{
	if (!h->has_exchange)
		return;
	h->has_exchange = false;
	h->exchange.handler->left(&h->exchange, why);
}

static void die(struct http1 *h)
{
	move(h, HTTP1_CLOSED);
	connection_die(h->connection);
}

static void lose(struct http1 *h, enum exchange_end why)
{
	if (h->state == HTTP1_CLOSED)
		return;
	tell_left(h, why);
	/* A plain close could look like the end of an answer that runs until it. */
	if (h->progress == ANSWER_BEGUN || http1_has_output(h))
		stream_abort(&h->connection->stream);
	die(h);
}

static bool has_unread(const struct http1 *h)
{
	return h->unread_start < h->unread.len;
}

static void drop_unread(struct http1 *h)
{
	str_release(&h->unread);
	h->unread_start = 0;
}

static void linger(struct http1 *h)
{
	if (h->body_has_ended && !has_unread(h)) {
		die(h);
		return;
	}
	drop_unread(h);
	move(h, HTTP1_CLOSED);
	connection_linger(h->connection);
}

/* --- a request that is none ------------------------------------------------------------------ */

/* Answers in the place of a handler, and ends the connection with that. */
static void reject(struct http1 *h, int status, const char *reason, const char *detail)
{
	give_parser_back(h);
	stats_bad_request(gateway_of(h), reason);
	move(h, HTTP1_HELD);
	h->keep_alive = h->body_has_ended = false;
	if (h->progress != ANSWER_NONE) {
		http1_break(h, END_BAD_BODY);
		return;
	}
	if (!h->has_exchange)
		log_info("%s: refused a request: %s", h->connection->listener->address, detail);
	tell_left(h, status == 408 ? END_BODY_TIMEOUT : END_BAD_BODY);
	h->minor = 1;
	h->has_exchange = true;
	reply_unhandled(&h->exchange, &(struct problem){.status = status,
							.reason = reason,
							.detail = detail,
							.close = true});
}

static const char *bad_reason(int status)
{
	switch (status) {
	case 417:
		return "bad_expectation";
	case 501:
		return "bad_method";
	case 505:
		return "bad_version";
	default:
		return "bad_request";
	}
}

static void reject_by(struct http1 *h, enum http_result result)
{
	switch (result) {
	case HTTP_HEAD_TOO_LARGE:
		reject(h, 431, "head_too_large",
		       "the request's headers exceed limits.maxHeaderBytes or limits.maxHeaders");
		break;
	case HTTP_TARGET_TOO_LONG:
		reject(h, 414, "target_too_long",
		       "the request target is longer than limits.maxTargetBytes");
		break;
	case HTTP_NO_MEMORY:
		reject(h, 503, "no_memory", "out of memory");
		break;
	default:
		reject(h, http_fault_status(h->parser), bad_reason(http_fault_status(h->parser)),
		       http_fault(h->parser));
		break;
	}
}

/* --- reading --------------------------------------------------------------------------------- */

static bool handler_listens(const struct http1 *h)
{
	return h->has_exchange && h->progress != ANSWER_ENDED;
}

static void on_body(void *owner, const char *bytes, size_t len)
{
	struct http1 *h = owner;
	if (!handler_listens(h))
		return;
	h->exchange.bytes_in += (int64_t)len;
	h->exchange.handler->body(&h->exchange, bytes, len);
}

static bool keep_unread(struct http1 *h, const char *bytes, size_t len)
{
	if (len && budget_is_spent(&gateway_of(h)->memory)) {
		shed_count(gateway_of(h), SHED_AHEAD);
		return false;
	}
	/* A client that never lets it run empty would have it grow for ever: drop what was used. */
	if (h->unread_start && h->unread_start >= h->unread.len / 2) {
		h->unread.len -= h->unread_start;
		memmove(h->unread.at, h->unread.at + h->unread_start, h->unread.len);
		h->unread_start = 0;
	}
	if (len)
		str_add(&h->unread, bytes, len);
	return !h->unread.failed;
}

static void end_body(struct http1 *h)
{
	give_parser_back(h);
	h->body_has_ended = true;
	move(h, HTTP1_HELD);
	if (handler_listens(h))
		h->exchange.handler->body_end(&h->exchange);
}

void http1_read_body(struct http1 *h, struct body_limits limits)
{
	h->wants_body = true;
	h->body_limits = limits;
	if (!h->expects_continue || h->body_has_ended)
		return;
	static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	static const struct iovec go_on = {text, sizeof(text) - 1};
	/* It fits into an idle connection's socket, or the client does not want it. */
	if (stream_write(&h->connection->stream, &go_on, 1) < 0)
		http1_break(h, END_CLIENT_LEFT);
}

static void begin_exchange(struct http1 *h)
{
	const struct http_head *head = http_parser_head(h->parser);
	struct exchange *x = &h->exchange;
	x->handler = h->connection->listener->handler;
	x->owner = NULL;
	connection_introduce(h->connection, x);
	x->version = head->minor ? "1.1" : "1.0";
	h->minor = head->minor;
	x->bytes_in = x->bytes_out = 0;
	x->is_in_work = false;
	h->has_exchange = true;
	h->wants_body = false;
	h->progress = ANSWER_NONE;
	h->body_has_ended = !head->has_body;
	h->expects_continue = head->expects_continue && head->minor == 1 && head->has_body;
	h->keep_alive = head->keep_alive;
	h->body_limits.spool = default_spool;
	bool has_body = head->has_body;
	move(h, HTTP1_HELD);
	x->handler->begin(x, head);
	if (!has_body)
		give_parser_back(h);
	if (handler_listens(h) && h->wants_body && !has_body)
		x->handler->body_end(x);
	else if (handler_listens(h) && h->wants_body)
		move(h, HTTP1_BODY);
}

/* A head that has not come yet may not grow any more, nor one begin. */
static bool has_no_room(struct http1 *h)
{
	bool awaits_head = h->state == HTTP1_IDLE || h->state == HTTP1_HEAD;
	if (!awaits_head || h->connection->listener->kind != LISTENER_CLIENTS ||
	    !budget_is_spent(&gateway_of(h)->memory))
		return false;
	shed_count(gateway_of(h), SHED_HEAD);
	reject(h, 503, "overloaded", "the gateway's memory for clients is used up");
	return true;
}

/* Whole empty lines before a request are allowed (RFC 9112, 2.2). */
static bool is_in_empty_line(struct http1 *h, char byte)
{
	if (byte != (h->has_cr ? '\n' : '\r'))
		return false;
	h->has_cr = !h->has_cr;
	return true;
}

static void begin_head(struct http1 *h)
{
	struct gateway *gw = gateway_of(h);
	h->parser = gateway_take_parser(gw);
	if (!h->parser) {
		die(h);
		return;
	}
	http_parser_begin(h->parser, HTTP_IS_REQUEST, gateway_http_limits(gw), on_body, h);
	h->exchange.begun_us = loop_now_us(gw->loop);
	move(h, HTTP1_HEAD);
	if (h->has_cr) {
		size_t used; /* it was no empty line's */
		reject_by(h, http_parser_feed(h->parser, "\r", 1, &used));
	}
	h->has_cr = false;
}

/* Feeds what was read to the parser, message by message; returns how much was used. */
static size_t feed(struct http1 *h, const char *bytes, size_t len)
{
	size_t at = 0;
	while (at < len &&
	       (h->state == HTTP1_IDLE || h->state == HTTP1_HEAD || h->state == HTTP1_BODY)) {
		size_t used;
		if (h->state == HTTP1_IDLE && is_in_empty_line(h, bytes[at])) {
			at++;
			continue;
		}
		if (h->state == HTTP1_IDLE)
			begin_head(h);
		if (h->state == HTTP1_HELD || h->state == HTTP1_CLOSED)
			break;
		enum http_result result = http_parser_feed(h->parser, bytes + at, len - at, &used);
		at += used;
		if (result == HTTP_HEAD_END)
			begin_exchange(h);
		else if (result == HTTP_END)
			end_body(h);
		else if (result != HTTP_MORE)
			reject_by(h, result);
	}
	return at;
}

static void take(void *speaker, const char *bytes, size_t len)
{
	struct http1 *h = speaker;
	if (h->state == HTTP1_TUNNEL) {
		on_body(h, bytes, len);
		return;
	}
	if (has_no_room(h))
		return;
	size_t used = feed(h, bytes, len);
	if (h->state != HTTP1_CLOSED && !keep_unread(h, bytes + used, len - used))
		lose(h, END_CLIENT_LEFT);
	account(h);
}

/* What was read behind an earlier message comes before what the socket has. */
static void take_unread(struct http1 *h)
{
	while (has_unread(h) && wants_bytes(h)) {
		const char *at = h->unread.at + h->unread_start;
		size_t len = h->unread.len - h->unread_start;
		if (h->state == HTTP1_TUNNEL)
			on_body(h, at, len);
		h->unread_start += h->state == HTTP1_TUNNEL ? len : feed(h, at, len);
	}
	if (!has_unread(h))
		drop_unread(h);
	account(h);
}

static void read_more(struct http1 *h)
{
	take_unread(h);
	connection_read(h->connection);
}

static void peer_ended(void *speaker)
{
	struct http1 *h = speaker;
	if (h->state == HTTP1_TUNNEL) {
		h->has_read_all = true;
		h->exchange.handler->body_end(&h->exchange);
		return;
	}
	if (h->state == HTTP1_HEAD)
		stats_bad_request(gateway_of(h), "cut_short");
	lose(h, END_CLIENT_LEFT);
}

/*
 * Takes what a waiting client pipelines off the socket when it gets much: behind a full window its
 * end could not be seen. False: it is more than anybody needs to send ahead.
 */
static bool read_ahead(struct http1 *h)
{
	struct connection *c = h->connection;
	int in_socket = 0;
	if (ioctl(c->stream.io.fd, FIONREAD, &in_socket) != 0 || in_socket < READ_AHEAD_BYTES)
		return true;
	size_t most = shed_read_ahead_bytes(c->gateway);
	while (h->unread.len - h->unread_start < most) {
		ssize_t n = stream_read(&c->stream, c->gateway->buffer, READ_BYTES);
		if (n <= 0)
			return n < 0 ? errno == EAGAIN : c->listener->half_close;
		if (!keep_unread(h, c->gateway->buffer, (size_t)n))
			return false;
		account(h);
	}
	if (budget_is_tight(&c->gateway->memory))
		shed_count(c->gateway, SHED_AHEAD);
	log_info("%s: a client sends more than %zu bytes ahead while it waits: dropped",
		 c->listener->address, most);
	return false;
}

/* Somebody has still to do something for this client. */
static bool waits(const struct http1 *h)
{
	return (h->state == HTTP1_HELD && h->progress != ANSWER_ENDED) ||
	       h->state == HTTP1_FLUSHING;
}

void http1_hold(struct http1 *h, bool hold)
{
	h->held = hold;
	if (!hold)
		connection_defer(h->connection);
}

/* What was read until nothing was left tells when there is more. Else one look tells that there is
 * nothing to see, as mostly; else it takes two more. */
static void look_after_client(struct http1 *h)
{
	if (waits(h) && h->connection->may_have_more && !net_is_idle(h->connection->stream.io.fd) &&
	    (connection_has_left(h->connection) || !read_ahead(h)))
		lose(h, END_CLIENT_LEFT);
}

/* Reads nothing: what the gateway's buffer holds may still be wanted. */
bool http1_look(struct http1 *h)
{
	if (net_is_idle(h->connection->stream.io.fd) || !connection_has_left(h->connection))
		return false;
	lose(h, END_CLIENT_LEFT);
	return true;
}

/* --- events ---------------------------------------------------------------------------------- */

static void readable(void *speaker)
{
	struct http1 *h = speaker;
	bool waited = waits(h);
	read_more(h);
	if (waited)
		look_after_client(h);
	else if (waits(h))
		connection_defer(h->connection); /* if it must wait, it is looked after then */
}

static void writable(void *speaker)
{
	struct http1 *h = speaker;
	if (h->out || h->progress == ANSWER_ENDED)
		http1_flush(h);
}

static void timed_out(void *speaker)
{
	struct http1 *h = speaker;
	switch (h->state) {
	case HTTP1_HEAD:
		reject(h, 408, "header_timeout", "the request's head took too long to arrive");
		break;
	case HTTP1_BODY:
		if (loop_now_us(gateway_of(h)->loop) >= h->body_deadline_us)
			reject(h, 408, "body_timeout",
			       "the request's body took too long to arrive");
		else if (http1_is_too_slow(h))
			reject(h, 408, "body_too_slow",
			       "the request's body came more slowly than body.minRate");
		break;
	case HTTP1_FLUSHING:
		if (http1_is_too_slow(h))
			lose(h, END_TOO_SLOW);
		break;
	default:
		die(h);
		break;
	}
}

/* The answer is with the kernel: the next request, or the end. */
static void finish_exchange(struct http1 *h)
{
	if (h->has_exchange) {
		h->has_exchange = false;
		h->exchange.handler->delivered(&h->exchange);
	}
	bool goes_on = !h->must_close && h->body_has_ended && h->framing != FRAMED_AS_TUNNEL &&
		       !gateway_of(h)->lets_go;
	h->progress = ANSWER_NONE;
	str_release(&h->head_out);
	if (!goes_on) {
		give_parser_back(h);
		linger(h);
		return;
	}
	h->served = true;
	move(h, HTTP1_IDLE);
	/* A client that pipelines has one request served a turn: others want theirs too. */
	if (has_unread(h) || h->connection->may_have_more)
		connection_defer_to_next_turn(h->connection);
}

/* Goes on where a callback may not: the end of a turn in which something has changed. */
static void go_on(void *speaker)
{
	struct http1 *h = speaker;
	http1_flush_head(h);
	if (h->is_broken) {
		lose(h, h->broken_why);
	} else if (h->progress == ANSWER_ENDED && !http1_has_output(h)) {
		finish_exchange(h);
	} else if (h->progress == ANSWER_ENDED && h->state != HTTP1_FLUSHING) {
		give_parser_back(h);
		move(h, HTTP1_FLUSHING);
		if (connection_has_left(h->connection))
			lose(h, END_CLIENT_LEFT);
	} else if (h->progress == ANSWER_BEGUN && h->framing == FRAMED_AS_TUNNEL &&
		   h->state == HTTP1_HELD) {
		move(h, HTTP1_TUNNEL);
		read_more(h);
	} else {
		read_more(h);
		if (!h->exchange.is_in_work)
			look_after_client(h);
	}
	account(h);
}

static void lose_client(void *speaker)
{
	lose(speaker, END_CLIENT_LEFT);
}

static bool is_idle(const void *speaker)
{
	const struct http1 *h = speaker;
	return h->state == HTTP1_IDLE && !has_unread(h) && stream_is_silent(&h->connection->stream);
}

static void drain(void *speaker)
{
	struct http1 *h = speaker;
	if (is_idle(h))
		die(h);
}

const struct protocol http1 = {
	.open = open_speaker,
	.readable = readable,
	.wants_bytes = wants_bytes,
	.take = take,
	.peer_ended = peer_ended,
	.writable = writable,
	.timed_out = timed_out,
	.go_on = go_on,
	.lose = lose_client,
	.is_idle = is_idle,
	.drain = drain,
	.free = free_speaker,
};
