/* HTTP/2 on a client's connection: bytes in and out, and when it ends. */
#include "gateway/http/http2.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/http/http2_state.h"
#include "gateway/stats.h"

enum {
	WINDOW_BYTES = 256 << 10, /* of a request's body, ahead of what its handler has taken */
	BATCH_BYTES = 32 << 10,	  /* frames are joined to writes of about this size */
	SESSION_BYTES = 16 << 10, /* of memory: tables of headers, and a head that comes */
	GOODBYE_US = 1000000,	  /* for a client to hear that it is to go elsewhere, and say so */
};

static struct gateway *gateway_of(const struct http2 *h)
{
	return h->connection->gateway;
}

static bool is_empty(const struct http2 *h)
{
	return list_is_empty(&h->streams) && list_is_empty(&h->sent);
}

/* --- begin and end --------------------------------------------------------------------------- */

static void free_speaker(void *speaker)
{
	struct http2 *h = speaker;
	h2_free(h->h2);
	str_release(&h->out);
	budget_hold(&gateway_of(h)->memory, &h->held_bytes, 0);
	mem_free(h);
}

static void account(struct http2 *h)
{
	size_t bytes = sizeof(*h) + sizeof(*h->connection) + SESSION_BYTES + h->out.capacity;
	budget_hold(&gateway_of(h)->memory, &h->held_bytes, (int64_t)bytes);
}

/* What has left the kernel, too. */
static int64_t taken_bytes(const struct http2 *h)
{
	return (int64_t)h->written_bytes - net_unsent_bytes(h->connection->stream.io.fd);
}

static int64_t time_allowed_us(const struct http2 *h)
{
	const struct limits_config *limits = &gateway_of(h)->config->limits;
	switch (h->wait) {
	case WAIT_REQUEST:
		/* A first request has as long as a head may take. */
		return h->served ? limits->keep_alive_us : limits->header_timeout_us;
	case WAIT_HEAD:
		return limits->header_timeout_us;
	case WAIT_ROOM:
		return limits->send_timeout_us;
	case WAIT_GOODBYE:
		return GOODBYE_US;
	case WAIT_STREAMS:
		break;
	}
	return 0;
}

static void wait_for(struct http2 *h, enum http2_wait wait)
{
	if (h->wait == wait)
		return; /* a client that only keeps busy gets no more time for it */
	h->wait = wait;
	if (wait == WAIT_ROOM)
		rate_floor_begin_sending(&h->floor, &gateway_of(h)->config->limits, taken_bytes(h),
					 loop_now_us(gateway_of(h)->loop));
	connection_time_out_in(h->connection, time_allowed_us(h));
}

static void *open_speaker(struct connection *c)
{
	struct http_limits heads = gateway_http_limits(c->gateway);
	struct h2_limits limits = {
		.streams = (uint32_t)c->gateway->config->limits.http2_streams,
		.head_bytes = heads.head_bytes,
		.headers = heads.headers,
		.window_bytes = WINDOW_BYTES,
	};
	struct http2 *h = mem_zalloc(sizeof(*h));
	if (!h)
		return NULL;
	h->connection = c;
	h->wait = WAIT_STREAMS;
	list_init(&h->streams);
	list_init(&h->sent);
	h->h2 = h2_new(&limits, &http2_handler, h);
	if (!h->h2) {
		free_speaker(h);
		return NULL;
	}
	wait_for(h, WAIT_REQUEST);
	connection_defer(c); /* our settings come first */
	account(h);
	return h;
}

static void lose_streams(struct http2 *h, enum exchange_end why)
{
	LIST_EACH(s, &h->streams, struct http2_stream, link)
		http2_stream_lose(s, why);
	LIST_EACH(t, &h->sent, struct http2_stream, link)
		http2_stream_lose(t, why);
}

static void lose(void *speaker)
{
	struct http2 *h = speaker;
	lose_streams(h, END_CLIENT_LEFT);
	connection_die(h->connection);
}

/* All has been said, or the client must not say more. */
static void close_gently(struct http2 *h)
{
	lose_streams(h, END_CLIENT_LEFT);
	if (h->connection->state == CONNECTION_OPEN)
		connection_linger(h->connection);
}

static void give_up(struct http2 *h, const char *fault)
{
	stats_bad_request(gateway_of(h), "http2");
	log_info("%s: ended an HTTP/2 connection: %s", h->connection->listener->address, fault);
	close_gently(h);
}

/* --- writing --------------------------------------------------------------------------------- */

static bool has_output(const struct http2 *h)
{
	return h->out_start < h->out.len;
}

static bool refill(struct http2 *h)
{
	const char *bytes;
	size_t n;
	str_clear(&h->out);
	h->out_start = 0;
	while (h->out.len < BATCH_BYTES && !h->out.failed && (n = h2_output(h->h2, &bytes))) {
		str_add(&h->out, bytes, n);
		h->made_bytes += n;
	}
	return has_output(h) && !h->out.failed;
}

/* What TLS still holds back is of the last write: it takes no other before that has left. */
static void note_written(struct http2 *h, size_t n)
{
	bool is_held = stream_has_output(&h->connection->stream);
	h->out_start += n;
	h->written_bytes = h->made_bytes - (h->out.len - h->out_start) - (is_held ? n : 0);
	LIST_EACH(s, &h->sent, struct http2_stream, link)
		http2_stream_deliver(s);
}

/* Whether all is with the kernel. If not, the client reads too slowly, or is lost. */
static bool write_all(struct http2 *h)
{
	struct stream *to = &h->connection->stream;
	while (has_output(h) || refill(h)) {
		struct iovec iov = {h->out.at + h->out_start, h->out.len - h->out_start};
		ssize_t n = stream_write(to, &iov, 1);
		if (n < 0 && errno != EAGAIN) {
			lose(h);
			return false;
		}
		if (n < 0)
			break;
		note_written(h, (size_t)n);
	}
	if (h->out.failed) {
		lose(h); /* a frame is missing */
		return false;
	}
	if (has_output(h) || stream_has_output(to)) {
		wait_for(h, WAIT_ROOM);
		return false;
	}
	note_written(h, 0);
	return true;
}

static bool is_between_requests(const struct http2 *h)
{
	return is_empty(h) && !h2_is_in_head(h->h2);
}

/* One that is saying goodbye is on its way out already. */
static bool is_idle(const void *speaker)
{
	const struct http2 *h = speaker;
	return is_between_requests(h) && !h2_is_winding_down(h->h2);
}

static bool is_clients(const struct http2 *h)
{
	return h->connection->listener->kind == LISTENER_CLIENTS;
}

/* In a drain a client's goes without a request, but not before it has heard so: requests may
 * be on their way. What is for others still lets newcomers in, who are to look elsewhere once
 * they have been answered. */
static void say_goodbye(struct http2 *h)
{
	const struct gateway *gw = gateway_of(h);
	if (gw->draining && (h->served || is_clients(h)))
		h2_wind_down(h->h2);
	else if (h->served && !gw->config->limits.keep_alive_us)
		h2_go_away(h->h2);
}

static enum http2_wait next_wait(const struct http2 *h)
{
	if (h2_is_in_head(h->h2))
		return WAIT_HEAD;
	if (!is_empty(h))
		return WAIT_STREAMS;
	return h2_is_winding_down(h->h2) ? WAIT_GOODBYE : WAIT_REQUEST;
}

/* Writes what there is, and sees what comes next. Never called by an exchange's operation: streams
 * end in it. */
static void flush(struct http2 *h)
{
	bool was_empty = is_empty(h);
	if (!write_all(h))
		return;
	if (is_between_requests(h)) {
		say_goodbye(h);
		if (!write_all(h))
			return;
	}
	if (h2_fault(h->h2)) {
		give_up(h, h2_fault(h->h2));
	} else if (is_empty(h) && h2_is_over(h->h2)) {
		close_gently(h);
	} else {
		if (!was_empty && !h2_is_in_head(h->h2))
			wait_for(h, WAIT_STREAMS); /* so that a next wait begins now */
		wait_for(h, next_wait(h));
	}
	if (is_empty(h))
		str_release(&h->out);
}

/* --- reading --------------------------------------------------------------------------------- */

static bool wants_bytes(const void *speaker)
{
	const struct http2 *h = speaker;
	return !h2_fault(h->h2);
}

static void take(void *speaker, const char *bytes, size_t len)
{
	struct http2 *h = speaker;
	h2_feed(h->h2, bytes, len);
	connection_defer(h->connection);
}

static void readable(void *speaker)
{
	struct http2 *h = speaker;
	connection_read(h->connection);
}

/* --- events ---------------------------------------------------------------------------------- */

static void writable(void *speaker)
{
	flush(speaker);
	account(speaker);
}

static void go_on(void *speaker)
{
	struct http2 *h = speaker;
	LIST_EACH(s, &h->streams, struct http2_stream, link)
		http2_stream_end_broken(s);
	LIST_EACH(t, &h->sent, struct http2_stream, link)
		http2_stream_end_broken(t);
	flush(h);
	account(h);
	if (h->connection->may_have_more)
		connection_read(h->connection);
}

static void timed_out(void *speaker)
{
	struct http2 *h = speaker;
	if (h->wait == WAIT_ROOM) {
		int64_t now_us = loop_now_us(gateway_of(h)->loop);
		if (rate_floor_is_met(&h->floor, taken_bytes(h), now_us)) {
			connection_time_out_in(h->connection, time_allowed_us(h));
			return;
		}
		lose_streams(h, END_TOO_SLOW);
		connection_die(h->connection);
		return;
	}
	if (h->wait == WAIT_HEAD)
		stats_bad_request(gateway_of(h), "header_timeout");
	h2_go_away(h->h2);
	if (write_all(h))
		close_gently(h);
}

/* What the client has sent already is read before the goodbye is said. */
static void drain(void *speaker)
{
	struct http2 *h = speaker;
	connection_read(h->connection);
	h2_wind_down(h->h2);
	connection_defer(h->connection);
}

const struct protocol http2 = {
	.open = open_speaker,
	.readable = readable,
	.wants_bytes = wants_bytes,
	.take = take,
	.peer_ended = lose,
	.writable = writable,
	.timed_out = timed_out,
	.go_on = go_on,
	.lose = lose,
	.is_idle = is_idle,
	.drain = drain,
	.free = free_speaker,
};
