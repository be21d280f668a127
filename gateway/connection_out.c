/* A client's connection: writing answers, and spooling what the client does not take. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "gateway/connection_state.h"

enum { PIECES = 16 };

static struct connection *connection_of(struct exchange *x)
{
	return LIST_OWNER(x, struct connection, exchange);
}

static void go_on_later(struct connection *c)
{
	loop_defer(c->gateway->loop, &c->task);
}

void connection_break(struct connection *c, enum exchange_end why)
{
	if (!c->is_broken)
		c->broken_why = why;
	c->is_broken = true;
	go_on_later(c);
}

bool connection_has_output(const struct connection *c)
{
	return c->head_out.len || (c->out && spool_length(c->out));
}

/* --- to the socket, and what is left to the spool --- */

static void on_spool(void *owner)
{
	struct connection *c = owner;
	if (spool_error(c->out))
		connection_break(c, END_TOO_SLOW);
	else
		connection_flush(c);
}

static void spool_rest(struct connection *c, const struct iovec *iov, int n, size_t done)
{
	if (!c->out)
		c->out = spool_new(&c->gateway->spool, c->spool_limits, on_spool, c);
	if (!c->out) {
		connection_break(c, END_TOO_SLOW);
		return;
	}
	for (int i = 0; i < n; i++) {
		size_t skip = done < iov[i].iov_len ? done : iov[i].iov_len;
		done -= skip;
		if (spool_write(c->out, (char *)iov[i].iov_base + skip, iov[i].iov_len - skip)) {
			connection_break(c, END_TOO_SLOW);
			return;
		}
	}
}

static ssize_t send_some(struct connection *c, const struct iovec *iov, int n)
{
	ssize_t sent = stream_write(&c->stream, iov, n);
	if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (sent < 0)
		connection_break(c, END_CLIENT_LEFT);
	return sent;
}

static void send_or_spool(struct connection *c, const struct iovec *iov, int n)
{
	size_t total = 0;
	ssize_t sent = 0;
	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	if (c->is_broken || total == 0)
		return;
	bool queued = c->out && spool_length(c->out);
	if (!queued)
		sent = send_some(c, iov, n);
	if (sent >= 0 && (size_t)sent < total)
		spool_rest(c, iov, n, (size_t)sent);
}

void connection_flush_head(struct connection *c)
{
	if (!c->head_out.len)
		return;
	struct iovec iov = {c->head_out.at, c->head_out.len};
	send_or_spool(c, &iov, 1);
	str_clear(&c->head_out);
}

void connection_flush(struct connection *c)
{
	struct iovec iov[PIECES];
	while (c->out && !c->is_broken && spool_length(c->out)) {
		int n = spool_peek(c->out, iov, PIECES);
		if (!n)
			return; /* it comes from the disk: on_spool */
		size_t total = 0;
		for (int i = 0; i < n; i++)
			total += iov[i].iov_len;
		ssize_t sent = send_some(c, iov, n);
		if (sent > 0) {
			spool_consume(c->out, (size_t)sent);
			connection_made_progress(c);
		}
		if (sent < (ssize_t)total)
			return;
	}
	if (c->out && !spool_length(c->out)) {
		spool_free(c->out);
		c->out = NULL;
	}
	if (c->has_ended)
		go_on_later(c);
}

/* --- the exchange's operations --- */

static void add_framing(struct connection *c, const struct answer *a)
{
	struct str *s = &c->head_out;
	if (a->status == 101) {
		str_add_text(s, "Connection: upgrade\r\n");
		return;
	}
	if (a->content_length >= 0) {
		str_add_text(s, "Content-Length: ");
		str_add_u64(s, (uint64_t)a->content_length);
		str_add(s, "\r\n", 2);
	} else if (c->is_chunked) {
		str_add_text(s, "Transfer-Encoding: chunked\r\n");
	}
	if (c->must_close)
		str_add_text(s, "Connection: close\r\n");
	else if (c->exchange.minor == 0)
		str_add_text(s, "Connection: keep-alive\r\n");
}

static void respond(struct exchange *x, const struct answer *a)
{
	struct connection *c = connection_of(x);
	struct str *s = &c->head_out;
	bool unknown_length = a->has_body && a->content_length < 0;
	c->has_responded = true;
	c->is_raw = a->status == 101;
	c->is_chunked = unknown_length && x->minor == 1 && !c->is_raw;
	c->must_close = a->close || !c->keep_alive || !c->body_has_ended ||
			(unknown_length && !c->is_chunked) || c->gateway->draining ||
			c->gateway->config->limits.keep_alive_us == 0;
	str_add_text(s, "HTTP/1.1 ");
	str_add_u64(s, (uint64_t)a->status);
	str_add_char(s, ' ');
	str_add_text(s, http_reason(a->status));
	str_add(s, "\r\n", 2);
	for (size_t i = 0; i < a->count; i++) {
		str_add_slice(s, a->headers[i].name);
		str_add(s, ": ", 2);
		str_add_slice(s, a->headers[i].value);
		str_add(s, "\r\n", 2);
	}
	add_framing(c, a);
	str_add(s, "\r\n", 2);
	if (s->failed)
		connection_break(c, END_CLIENT_LEFT);
	/* Its body may follow in this turn, and then goes out with it. */
	go_on_later(c);
}

static void write_body(struct exchange *x, const char *bytes, size_t len)
{
	struct connection *c = connection_of(x);
	struct iovec iov[4];
	char size[24];
	int n = 0;
	if (!len)
		return;
	x->bytes_out += (int64_t)len;
	if (c->head_out.len)
		iov[n++] = (struct iovec){c->head_out.at, c->head_out.len};
	if (c->is_chunked)
		iov[n++] =
			(struct iovec){size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", len)};
	iov[n++] = (struct iovec){(char *)bytes, len};
	if (c->is_chunked)
		iov[n++] = (struct iovec){"\r\n", 2};
	send_or_spool(c, iov, n);
	str_clear(&c->head_out);
}

static void end(struct exchange *x)
{
	struct connection *c = connection_of(x);
	if (c->is_chunked) {
		struct iovec iov[2] = {{c->head_out.at, c->head_out.len}, {"0\r\n\r\n", 5}};
		send_or_spool(c, iov, 2);
		str_clear(&c->head_out);
	}
	c->has_ended = true;
	go_on_later(c);
}

static void reset(struct exchange *x)
{
	connection_break(connection_of(x), END_RESET);
}

static void read_body(struct exchange *x, struct body_limits limits)
{
	connection_read_body(connection_of(x), limits);
}

static void hold_body(struct exchange *x, bool hold)
{
	connection_hold(connection_of(x), hold);
}

const struct exchange_ops connection_exchange_ops = {
	.read_body = read_body,
	.hold_body = hold_body,
	.respond = respond,
	.write = write_body,
	.end = end,
	.reset = reset,
};
