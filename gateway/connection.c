/* Clients' connections: bytes, states, and which protocol is spoken. */
#include "gateway/connection.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/http/http1.h"
#include "gateway/http/http2.h"
#include "gateway/upgrade/relay.h"

/* How long the rest of a refused request is read away, so that the refusal arrives. */
static const int64_t LINGER_US = 2 * US_PER_S;

static void on_io(void *owner, unsigned what);
static void on_timer(void *owner);
static void on_task(void *owner);

static void move(struct connection *c, enum connection_state to)
{
	static const char *const names[] = {"shaking hands", "sniffing", "open", "lingering",
					    "dead"};
	log_debug("connection %d: %s -> %s", c->stream.io.fd, names[c->state], names[to]);
	c->state = to;
}

void connection_defer(struct connection *c)
{
	loop_defer(c->gateway->loop, &c->task);
}

void connection_defer_to_next_turn(struct connection *c)
{
	loop_defer_to_next_turn(c->gateway->loop, &c->task);
}

void connection_time_out_in(struct connection *c, int64_t us)
{
	if (us)
		timer_set(&c->timer, loop_now_us(c->gateway->loop) + us);
	else
		timer_clear(&c->timer);
}

/* --- begin and end --------------------------------------------------------------------------- */

struct connection *connection_start(struct gateway *gw, struct listener *l, int fd,
				    const struct net_address *peer)
{
	struct connection *c = mem_zalloc(sizeof(*c));
	if (!c || !timer_init(&c->timer, gw->loop, on_timer, c)) {
		mem_free(c);
		close(fd);
		return NULL;
	}
	if (!listener_enter(l, peer, &c->client)) {
		timer_release(&c->timer);
		mem_free(c);
		close(fd);
		return NULL;
	}
	list_init(&c->link);
	c->gateway = gw;
	c->listener = l;
	c->peer = *peer;
	task_init(&c->task, on_task, c);
	list_push_back(&gw->connections, &c->link);
	struct tls *tls = l->tls ? tls_accept(l->tls) : NULL;
	c->state = l->tls ? CONNECTION_SHAKING_HANDS : CONNECTION_SNIFFING;
	connection_time_out_in(c, gw->config->limits.header_timeout_us);
	if (!stream_open_accepted(&c->stream, gw->loop, fd, tls, on_io, c) || (l->tls && !tls))
		connection_die(c);
	return c;
}

void connection_die(struct connection *c)
{
	if (c->state == CONNECTION_DEAD)
		return;
	move(c, CONNECTION_DEAD);
	timer_clear(&c->timer);
	stream_close(&c->stream);
	connection_defer(c);
}

static void destroy(struct connection *c)
{
	struct gateway *gw = c->gateway;
	if (c->speaker)
		c->protocol->free(c->speaker);
	relay_free(gw, c->relay);
	timer_release(&c->timer);
	list_remove(&c->link);
	listener_leave(c->listener, c->client);
	mem_free(c);
	if (gw->draining)
		gateway_drain_on(gw);
}

static void lose(struct connection *c)
{
	if (c->state == CONNECTION_OPEN)
		c->protocol->lose(c->speaker);
	connection_die(c);
}

void connection_linger(struct connection *c)
{
	stream_end(&c->stream);
	move(c, CONNECTION_LINGERING);
	connection_time_out_in(c, LINGER_US);
	connection_read(c);
}

bool connection_has_left(struct connection *c)
{
	enum net_peer peer = net_peer(c->stream.io.fd);
	c->peer_closed |= peer == NET_CLOSED;
	return peer == NET_BROKEN || (c->peer_closed && !c->listener->half_close);
}

void connection_introduce(struct connection *c, struct exchange *x)
{
	x->gateway = c->gateway;
	x->service = c->listener->service;
	x->peer = &c->peer;
	x->relay = c->relay;
	x->session = c->stream.tls;
}

static bool is_relayed_tls(const struct exchange *x)
{
	return x->relay && *x->relay->tls;
}

const char *exchange_tls(const struct exchange *x)
{
	return is_relayed_tls(x) ? x->relay->tls : tls_version(x->session);
}

const char *exchange_cipher(const struct exchange *x)
{
	return is_relayed_tls(x) ? x->relay->cipher : tls_cipher(x->session);
}

/* --- which protocol -------------------------------------------------------------------------- */

static void open_as(struct connection *c, const struct protocol *protocol)
{
	c->protocol = protocol;
	c->speaker = protocol->open(c);
	if (!c->speaker) {
		connection_die(c);
		return;
	}
	move(c, CONNECTION_OPEN);
	listener_count_protocol(c->listener, protocol == &http2);
	protocol->readable(c->speaker);
}

/* Looks at the first bytes without taking them. HTTP/1 has no method PRI. */
static void sniff(struct connection *c)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	char first[sizeof(preface) - 1];
	ssize_t n = recv(c->stream.io.fd, first, sizeof(first), MSG_PEEK);
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		connection_die(c);
		return;
	}
	if (n < 0)
		return;
	bool may_be_http2 = c->listener->http2 && memcmp(first, preface, (size_t)n) == 0;
	if (may_be_http2 && n == sizeof(first))
		open_as(c, &http2);
	else if (!may_be_http2 || c->peer_closed)
		open_as(c, &http1);
}

static void shake_hands(struct connection *c)
{
	char why[TLS_WHY_BYTES];
	switch (stream_handshake(&c->stream, why)) {
	case TLS_DONE: {
		const char *agreed = stream_protocol(&c->stream);
		bool is_resumed = tls_is_resumed(c->stream.tls);
		listener_count_handshake(c->listener,
					 is_resumed ? HANDSHAKE_RESUMED : HANDSHAKE_FULL);
		open_as(c, agreed && strcmp(agreed, "h2") == 0 ? &http2 : &http1);
		break;
	}
	case TLS_FAILED:
		listener_count_handshake(c->listener, HANDSHAKE_FAILED);
		log_info("%s: TLS: %s", c->listener->address, why);
		connection_die(c);
		break;
	case TLS_AGAIN:
		if (!c->peer_closed)
			break;
		listener_count_handshake(c->listener, HANDSHAKE_FAILED);
		connection_die(c);
		break;
	}
}

/* --- reading --------------------------------------------------------------------------------- */

static bool wants_bytes(const struct connection *c)
{
	return c->state == CONNECTION_LINGERING ||
	       (c->state == CONNECTION_OPEN && c->protocol->wants_bytes(c->speaker));
}

static void take_end(struct connection *c)
{
	if (c->state == CONNECTION_OPEN)
		c->protocol->peer_ended(c->speaker);
	else
		connection_die(c);
}

void connection_read(struct connection *c)
{
	struct gateway *gw = c->gateway;
	for (int i = 0; i < READS_PER_TURN; i++) {
		if (!wants_bytes(c))
			return;
		ssize_t n = stream_read(&c->stream, gw->buffer, READ_BYTES);
		c->may_have_more = n == READ_BYTES || c->stream.tls || c->peer_closed;
		if (n > 0 && c->state == CONNECTION_OPEN) {
			c->protocol->take(c->speaker, gw->buffer, (size_t)n);
		} else if (n == 0) {
			take_end(c);
			return;
		} else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			c->may_have_more = false;
			return;
		} else if (n < 0) {
			lose(c);
			return;
		}
	}
	connection_defer_to_next_turn(c);
}

/* --- events ---------------------------------------------------------------------------------- */

static void on_io(void *owner, unsigned what)
{
	struct connection *c = owner;
	c->peer_closed |= (what & IO_HANGUP) != 0;
	if (what & IO_WRITE && c->state == CONNECTION_OPEN)
		c->protocol->writable(c->speaker);
	if (!(what & (IO_READ | IO_HANGUP)))
		return;
	c->may_have_more = true;
	switch (c->state) {
	case CONNECTION_SHAKING_HANDS:
		shake_hands(c);
		break;
	case CONNECTION_SNIFFING:
		sniff(c);
		break;
	case CONNECTION_OPEN:
		c->protocol->readable(c->speaker);
		break;
	case CONNECTION_LINGERING:
		connection_read(c);
		break;
	case CONNECTION_DEAD:
		break;
	}
}

static void on_timer(void *owner)
{
	struct connection *c = owner;
	if (c->state == CONNECTION_SHAKING_HANDS)
		listener_count_handshake(c->listener, HANDSHAKE_TIMEOUT);
	if (c->state == CONNECTION_OPEN)
		c->protocol->timed_out(c->speaker);
	else
		connection_die(c);
}

static void on_task(void *owner)
{
	struct connection *c = owner;
	if (c->state == CONNECTION_DEAD)
		destroy(c);
	else if (c->state == CONNECTION_OPEN)
		c->protocol->go_on(c->speaker);
	else if (c->state == CONNECTION_LINGERING)
		connection_read(c);
}

/* --- all of them ----------------------------------------------------------------------------- */

static bool has_said_nothing(struct connection *c)
{
	return (c->state == CONNECTION_SHAKING_HANDS || c->state == CONNECTION_SNIFFING) &&
	       net_is_idle(c->stream.io.fd);
}

static void drain(struct connection *c)
{
	if (c->state == CONNECTION_OPEN)
		c->protocol->drain(c->speaker);
	else if (has_said_nothing(c))
		connection_die(c);
}

void connections_drain(struct gateway *gw)
{
	LIST_EACH(c, &gw->connections, struct connection, link)
		if (c->listener->kind != LISTENER_ADMIN && !c->relay) /* whoever relays ends that */
			drain(c);
}

int connections_end_idle(struct gateway *gw, enum listener_kind kind, int most)
{
	int ended = 0;
	LIST_EACH(c, &gw->connections, struct connection, link) {
		bool is_open = c->state == CONNECTION_OPEN;
		if (ended == most)
			break;
		if (c->listener->kind != kind || c->relay)
			continue;
		if (is_open ? c->protocol->is_idle(c->speaker) : has_said_nothing(c)) {
			drain(c);
			ended++;
		}
	}
	return ended;
}

void connections_step_down(struct gateway *gw)
{
	LIST_EACH(c, &gw->connections, struct connection, link)
		if (c->state == CONNECTION_OPEN && c->protocol == &http2)
			c->protocol->drain(c->speaker);
}

void connections_abort(struct gateway *gw)
{
	LIST_EACH(c, &gw->connections, struct connection, link)
		lose(c);
}
