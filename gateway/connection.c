/* A client's connection: reading requests, and its states. */
#include "gateway/connection.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/connection_state.h"
#include "gateway/reply.h"
#include "gateway/stats.h"

/* How long a client may take no byte at all of an answer that waits for it. */
static const int64_t STALL_US = 120 * US_PER_S;
/* How long the rest of a refused request is read away, so that the refusal arrives. */
static const int64_t LINGER_US = 2 * US_PER_S;

enum { READ_AHEAD_BYTES = 32 << 10, PIPELINED_MAX_BYTES = 1 << 20 };

static const struct spool_limits default_spool = {1 << 20, 64 << 20};

static void on_io(void *owner, unsigned what);
static void on_timer(void *owner);
static void on_task(void *owner);
static void read_more(struct connection *);

/* --- states ---------------------------------------------------------------------------------- */

static bool reads(const struct connection *c)
{
	switch (c->state) {
	case CONNECTION_IDLE:
	case CONNECTION_HEAD:
	case CONNECTION_BODY:
	case CONNECTION_LINGERING:
		return true;
	case CONNECTION_TUNNEL:
		return !c->held && !c->has_read_all;
	default:
		return false;
	}
}

static int64_t time_allowed_us(const struct connection *c)
{
	const struct limits_config *limits = &c->gateway->config->limits;
	switch (c->state) {
	case CONNECTION_IDLE:
		/* A first request has as long as a head may take; 0 means no second one. */
		return c->served && limits->keep_alive_us ? limits->keep_alive_us
							  : limits->header_timeout_us;
	case CONNECTION_HEAD:
		return limits->header_timeout_us;
	case CONNECTION_BODY:
		return c->body_timeout_us;
	case CONNECTION_FLUSHING:
		return STALL_US;
	case CONNECTION_LINGERING:
		return LINGER_US;
	default:
		return 0; /* its handler's concern */
	}
}

static void move(struct connection *c, enum connection_state to)
{
	static const char *const names[] = {"idle",   "head",	  "held",      "body",
					    "tunnel", "flushing", "lingering", "dead"};
	log_debug("connection %d: %s -> %s", c->stream.io.fd, names[c->state], names[to]);
	c->state = to;
	int64_t allowed_us = time_allowed_us(c);
	if (allowed_us)
		timer_set(&c->timer, loop_now_us(c->gateway->loop) + allowed_us);
	else
		timer_clear(&c->timer);
}

void connection_made_progress(struct connection *c)
{
	if (c->state == CONNECTION_FLUSHING)
		timer_set(&c->timer, loop_now_us(c->gateway->loop) + STALL_US);
}

static void give_parser_back(struct connection *c)
{
	if (c->parser)
		gateway_give_parser(c->gateway, c->parser);
	c->parser = NULL;
}

/* Closes; the memory goes at the end of the turn. */
static void die(struct connection *c)
{
	if (c->state == CONNECTION_DEAD)
		return;
	move(c, CONNECTION_DEAD);
	stream_close(&c->stream);
	loop_defer(c->gateway->loop, &c->task);
}

static void destroy(struct connection *c)
{
	struct gateway *gw = c->gateway;
	give_parser_back(c);
	spool_free(c->out);
	str_release(&c->unread);
	str_release(&c->head_out);
	timer_release(&c->timer);
	list_remove(&c->link);
	if (!c->listener->is_admin) {
		gw->connection_count--;
		metrics_gauge_add(c->listener->open, -1);
	}
	listener_drop(c->listener);
	mem_free(c);
	listeners_resume(gw);
	if (gw->draining)
		gateway_drain_on(gw);
}

void connection_start(struct gateway *gw, struct listener *l, int fd,
		      const struct net_address *peer)
{
	struct connection *c = mem_zalloc(sizeof(*c));
	if (!c || !timer_init(&c->timer, gw->loop, on_timer, c)) {
		mem_free(c);
		close(fd);
		return;
	}
	list_init(&c->link);
	c->gateway = gw;
	c->listener = l;
	c->peer = *peer;
	c->exchange.ops = &connection_exchange_ops;
	c->exchange.peer = &c->peer;
	c->exchange.gateway = gw;
	task_init(&c->task, on_task, c);
	l->references++;
	list_push_back(&gw->connections, &c->link);
	if (!l->is_admin) {
		gw->connection_count++;
		metrics_count(l->accepted);
		metrics_gauge_add(l->open, 1);
	}
	c->stream.io.fd = fd;
	move(c, CONNECTION_IDLE);
	if (!stream_open(&c->stream, gw->loop, fd, on_io, c))
		die(c);
}

/* --- ends ------------------------------------------------------------------------------------ */

static void tell_left(struct connection *c, enum exchange_end why)
{
	if (!c->has_exchange)
		return;
	c->has_exchange = false;
	c->exchange.handler->left(&c->exchange, why);
}

static void lose(struct connection *c, enum exchange_end why)
{
	if (c->state == CONNECTION_DEAD)
		return;
	tell_left(c, why);
	bool is_cut = c->has_responded && (!c->has_ended || connection_has_output(c));
	/* A plain close could look like the end of an answer that runs until it. */
	if (is_cut)
		stream_abort(&c->stream);
	die(c);
}

static bool has_unread(const struct connection *c)
{
	return c->unread_start < c->unread.len;
}

static void drop_unread(struct connection *c)
{
	str_release(&c->unread);
	c->unread_start = 0;
}

static void linger(struct connection *c)
{
	if (c->body_has_ended && !has_unread(c)) {
		die(c);
		return;
	}
	stream_end(&c->stream);
	drop_unread(c);
	move(c, CONNECTION_LINGERING);
	read_more(c);
}

/* --- a request that is none ------------------------------------------------------------------ */

static void ignore_left(struct exchange *x, enum exchange_end why)
{
	(void)x, (void)why;
}

static void ignore(struct exchange *x)
{
	(void)x;
}

static const struct exchange_handler nobody = {.left = ignore_left, .delivered = ignore};

/* Answers in the place of a handler, and ends the connection with that. */
static void reject(struct connection *c, int status, const char *reason, const char *detail)
{
	give_parser_back(c);
	stats_bad_request(c->gateway, reason);
	move(c, CONNECTION_HELD);
	c->keep_alive = c->body_has_ended = false;
	if (c->has_responded) {
		connection_break(c, END_BAD_BODY);
		return;
	}
	if (!c->has_exchange)
		log_info("%s: refused a request: %s", c->listener->address, detail);
	tell_left(c, status == 408 ? END_BODY_TIMEOUT : END_BAD_BODY);
	c->exchange.handler = &nobody;
	c->exchange.minor = 1;
	c->has_exchange = true;
	reply_problem(&c->exchange,
		      &(struct problem){
			      .status = status, .reason = reason, .detail = detail, .close = true});
}

static void reject_by(struct connection *c, enum http_result result)
{
	switch (result) {
	case HTTP_HEAD_TOO_LARGE:
		reject(c, 431, "head_too_large",
		       "the request's headers exceed limits.maxHeaderBytes or limits.maxHeaders");
		break;
	case HTTP_TARGET_TOO_LONG:
		reject(c, 414, "target_too_long", "the request target is longer than 8192 bytes");
		break;
	case HTTP_NO_MEMORY:
		reject(c, 503, "no_memory", "out of memory");
		break;
	default:
		reject(c, 400, "bad_request", http_fault(c->parser));
		break;
	}
}

/* --- reading --------------------------------------------------------------------------------- */

static void on_body(void *owner, const char *bytes, size_t len)
{
	struct connection *c = owner;
	if (!c->has_exchange || c->has_ended)
		return;
	c->exchange.bytes_in += (int64_t)len;
	c->exchange.handler->body(&c->exchange, bytes, len);
}

static bool keep_unread(struct connection *c, const char *bytes, size_t len)
{
	/* A client that never lets it run empty would have it grow for ever: drop what was used. */
	if (c->unread_start && c->unread_start >= c->unread.len / 2) {
		c->unread.len -= c->unread_start;
		memmove(c->unread.at, c->unread.at + c->unread_start, c->unread.len);
		c->unread_start = 0;
	}
	if (len)
		str_add(&c->unread, bytes, len);
	return !c->unread.failed;
}

static void end_body(struct connection *c)
{
	give_parser_back(c);
	c->body_has_ended = true;
	move(c, CONNECTION_HELD);
	if (c->has_exchange && !c->has_ended)
		c->exchange.handler->body_end(&c->exchange);
}

void connection_read_body(struct connection *c, struct body_limits limits)
{
	c->wants_body = true;
	c->spool_limits = limits.spool;
	c->body_timeout_us = limits.timeout_us;
	if (!c->expects_continue || c->body_has_ended)
		return;
	static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	static const struct iovec go_on = {text, sizeof(text) - 1};
	/* It fits into an idle connection's socket, or the client does not want it. */
	if (stream_write(&c->stream, &go_on, 1) < 0)
		connection_break(c, END_CLIENT_LEFT);
}

static void begin_exchange(struct connection *c)
{
	const struct http_head *head = http_parser_head(c->parser);
	struct exchange *x = &c->exchange;
	x->handler = c->listener->handler;
	x->owner = NULL;
	x->service = c->listener->service;
	x->minor = head->minor;
	x->bytes_in = x->bytes_out = 0;
	c->has_exchange = true;
	c->wants_body = c->has_responded = c->has_ended = false;
	c->body_has_ended = !head->has_body;
	c->expects_continue = head->expects_continue && head->minor == 1 && head->has_body;
	c->keep_alive = head->keep_alive;
	c->spool_limits = default_spool;
	bool has_body = head->has_body;
	move(c, CONNECTION_HELD);
	x->handler->begin(x, head);
	if (!has_body)
		give_parser_back(c);
	if (c->has_exchange && !c->has_ended && c->wants_body && !has_body)
		x->handler->body_end(x);
	else if (c->has_exchange && !c->has_ended && c->wants_body)
		move(c, CONNECTION_BODY);
}

/* Feeds what was read to the parser, message by message; returns how much was used. */
static size_t feed(struct connection *c, const char *bytes, size_t len)
{
	size_t at = 0;
	while (at < len && (c->state == CONNECTION_IDLE || c->state == CONNECTION_HEAD ||
			    c->state == CONNECTION_BODY)) {
		size_t used;
		if (c->state == CONNECTION_IDLE) {
			/* Empty lines before a request are allowed (RFC 9112, 2.2). */
			if (bytes[at] == '\r' || bytes[at] == '\n') {
				at++;
				continue;
			}
			c->parser = gateway_take_parser(c->gateway);
			if (!c->parser) {
				die(c);
				break;
			}
			http_parser_begin(c->parser, HTTP_IS_REQUEST,
					  gateway_http_limits(c->gateway), on_body, c);
			c->exchange.begun_us = loop_now_us(c->gateway->loop);
			move(c, CONNECTION_HEAD);
		}
		enum http_result result = http_parser_feed(c->parser, bytes + at, len - at, &used);
		at += used;
		if (result == HTTP_HEAD_END)
			begin_exchange(c);
		else if (result == HTTP_END)
			end_body(c);
		else if (result != HTTP_MORE)
			reject_by(c, result);
	}
	return at;
}

static void take(struct connection *c, const char *bytes, size_t len)
{
	if (c->state == CONNECTION_LINGERING || c->state == CONNECTION_DEAD)
		return;
	if (c->state == CONNECTION_TUNNEL) {
		on_body(c, bytes, len);
		return;
	}
	size_t used = feed(c, bytes, len);
	if (c->state != CONNECTION_DEAD && !keep_unread(c, bytes + used, len - used))
		lose(c, END_CLIENT_LEFT);
}

/* What was read behind an earlier message comes before what the socket has. */
static void take_unread(struct connection *c)
{
	while (has_unread(c) && reads(c)) {
		const char *at = c->unread.at + c->unread_start;
		size_t len = c->unread.len - c->unread_start;
		if (c->state == CONNECTION_TUNNEL)
			on_body(c, at, len);
		c->unread_start += c->state == CONNECTION_TUNNEL ? len : feed(c, at, len);
	}
	if (!has_unread(c))
		drop_unread(c);
}

static void on_eof(struct connection *c)
{
	if (c->state == CONNECTION_TUNNEL) {
		c->has_read_all = true;
		c->exchange.handler->body_end(&c->exchange);
		return;
	}
	if (c->state == CONNECTION_HEAD)
		stats_bad_request(c->gateway, "cut_short");
	lose(c, END_CLIENT_LEFT);
}

static void read_more(struct connection *c)
{
	struct gateway *gw = c->gateway;
	take_unread(c);
	for (int i = 0; i < READS_PER_TURN; i++) {
		c->may_have_more = true;
		if (!reads(c) || c->is_broken)
			return;
		ssize_t n = stream_read(&c->stream, gw->buffer, READ_BYTES);
		if (n > 0) {
			take(c, gw->buffer, (size_t)n);
		} else if (n == 0) {
			on_eof(c);
			return;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			c->may_have_more = false;
			return;
		} else {
			lose(c, END_CLIENT_LEFT);
			return;
		}
	}
	loop_defer_to_next_turn(gw->loop, &c->task);
}

/* Nobody waits for the answer any more: seen without reading what may be before it. */
static bool has_left(struct connection *c)
{
	enum net_peer peer = net_peer(c->stream.io.fd);
	c->peer_closed |= peer == NET_CLOSED;
	return peer == NET_BROKEN || (c->peer_closed && !c->listener->half_close);
}

/*
 * Takes what a waiting client pipelines off the socket when it gets much: behind a full window its
 * end could not be seen. False: it is more than anybody needs to send ahead.
 */
static bool read_ahead(struct connection *c)
{
	int in_socket = 0;
	if (ioctl(c->stream.io.fd, FIONREAD, &in_socket) != 0 || in_socket < READ_AHEAD_BYTES)
		return true;
	while (c->unread.len - c->unread_start < PIPELINED_MAX_BYTES) {
		ssize_t n = stream_read(&c->stream, c->gateway->buffer, READ_BYTES);
		if (n <= 0)
			return n < 0 ? errno == EAGAIN : c->listener->half_close;
		if (!keep_unread(c, c->gateway->buffer, (size_t)n))
			return false;
	}
	log_info("%s: a client sends more than %d bytes ahead while it waits: dropped",
		 c->listener->address, PIPELINED_MAX_BYTES);
	return false;
}

/* Somebody has still to do something for this client. */
static bool waits(const struct connection *c)
{
	return (c->state == CONNECTION_HELD && !c->has_ended) || c->state == CONNECTION_FLUSHING;
}

void connection_hold(struct connection *c, bool hold)
{
	c->held = hold;
	if (!hold)
		loop_defer(c->gateway->loop, &c->task);
}

/* --- events ---------------------------------------------------------------------------------- */

static void on_io(void *owner, unsigned what)
{
	struct connection *c = owner;
	c->peer_closed |= (what & IO_HANGUP) != 0;
	if (what & IO_WRITE && c->out)
		connection_flush(c);
	if (what & (IO_READ | IO_HANGUP)) {
		read_more(c);
		if (waits(c) && (has_left(c) || !read_ahead(c)))
			lose(c, END_CLIENT_LEFT);
	}
}

static void on_timer(void *owner)
{
	struct connection *c = owner;
	switch (c->state) {
	case CONNECTION_HEAD:
		reject(c, 408, "header_timeout", "the request's head took too long to arrive");
		break;
	case CONNECTION_BODY:
		reject(c, 408, "body_timeout", "the request's body took too long to arrive");
		break;
	case CONNECTION_FLUSHING:
		lose(c, END_TOO_SLOW);
		break;
	default:
		die(c);
		break;
	}
}

/* The answer is with the kernel: the next request, or the end. */
static void finish_exchange(struct connection *c)
{
	if (c->has_exchange) {
		c->has_exchange = false;
		c->exchange.handler->delivered(&c->exchange);
	}
	bool goes_on = !c->must_close && c->body_has_ended && !c->is_raw && !c->gateway->draining;
	c->has_responded = c->has_ended = false;
	str_release(&c->head_out);
	if (!goes_on) {
		give_parser_back(c);
		linger(c);
		return;
	}
	c->served = true;
	move(c, CONNECTION_IDLE);
	/* A client that pipelines has one request served a turn: others want theirs too. */
	if (has_unread(c) || c->may_have_more)
		loop_defer_to_next_turn(c->gateway->loop, &c->task);
}

/* Goes on where a callback may not: the end of a turn in which something has changed. */
static void on_task(void *owner)
{
	struct connection *c = owner;
	if (c->state == CONNECTION_DEAD) {
		destroy(c);
		return;
	}
	connection_flush_head(c);
	if (c->is_broken) {
		lose(c, c->broken_why);
	} else if (c->has_ended && !connection_has_output(c)) {
		finish_exchange(c);
	} else if (c->has_ended && c->state != CONNECTION_FLUSHING) {
		give_parser_back(c);
		move(c, CONNECTION_FLUSHING);
		if (has_left(c))
			lose(c, END_CLIENT_LEFT);
	} else if (c->is_raw && c->state == CONNECTION_HELD) {
		move(c, CONNECTION_TUNNEL);
		read_more(c);
	} else {
		read_more(c);
	}
}

/* --- all of them ----------------------------------------------------------------------------- */

void connections_drain(struct gateway *gw)
{
	LIST_EACH(c, &gw->connections, struct connection, link)
		if (c->state == CONNECTION_IDLE && !c->listener->is_admin && !has_unread(c) &&
		    stream_is_silent(&c->stream))
			die(c);
}

void connections_abort(struct gateway *gw)
{
	LIST_EACH(c, &gw->connections, struct connection, link)
		lose(c, END_CLIENT_LEFT);
}
