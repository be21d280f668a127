/* HTTP/1 on a client's connection: how long each state may last, and how fast bytes must move. */
#include "gateway/http/http1_state.h"

static const struct limits_config *limits_of(const struct http1 *h)
{
	return &h->connection->gateway->config->limits;
}

static int64_t now_of(const struct http1 *h)
{
	return loop_now_us(h->connection->gateway->loop);
}

/* Of a body what has come, of an answer that has ended what the client has taken: a number that
 * only grows. What is still in the kernel has not been taken. */
static int64_t moved_bytes(const struct http1 *h)
{
	int64_t in_spool = h->out ? spool_length(h->out) : 0;
	if (h->state == HTTP1_BODY)
		return h->exchange.bytes_in;
	return -(in_spool + net_unsent_bytes(h->connection->stream.io.fd));
}

/* The floor under the state that begins. */
static void begin_floor(struct http1 *h)
{
	int64_t now_us = now_of(h);
	if (h->state == HTTP1_BODY) {
		h->body_deadline_us = now_us + h->body_limits.timeout_us;
		rate_floor_begin(&h->floor, h->body_limits.least_bytes, h->body_limits.window_us,
				 moved_bytes(h), now_us);
	} else {
		rate_floor_begin_sending(&h->floor, limits_of(h), moved_bytes(h), now_us);
	}
}

static int64_t until_next_look_us(const struct http1 *h)
{
	int64_t at_us = rate_floor_due_us(&h->floor);
	if (h->state == HTTP1_BODY && h->body_deadline_us < at_us)
		at_us = h->body_deadline_us;
	return at_us - now_of(h);
}

static int64_t time_allowed_us(const struct http1 *h)
{
	const struct limits_config *limits = limits_of(h);
	switch (h->state) {
	case HTTP1_IDLE:
		/* A first request has as long as a head may take; 0 means no second one. */
		return h->served && limits->keep_alive_us ? limits->keep_alive_us
							  : limits->header_timeout_us;
	case HTTP1_HEAD:
		return limits->header_timeout_us;
	case HTTP1_BODY:
	case HTTP1_FLUSHING:
		return until_next_look_us(h);
	default:
		return 0; /* its handler's concern */
	}
}

void http1_begin_time(struct http1 *h)
{
	if (h->state == HTTP1_BODY || h->state == HTTP1_FLUSHING)
		begin_floor(h);
	connection_time_out_in(h->connection, time_allowed_us(h));
}

bool http1_is_too_slow(struct http1 *h)
{
	if (!rate_floor_is_met(&h->floor, moved_bytes(h), now_of(h)))
		return true;
	connection_time_out_in(h->connection, until_next_look_us(h));
	return false;
}
