/* Accepts connections. */
#include "gateway/listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/clients.h"
#include "gateway/connection.h"
#include "gateway/gateway.h"
#include "gateway/shed.h"
#include "gateway/stats.h"

enum { ACCEPTS_PER_TURN = 64, BACKLOG_MAX = 4096 };

/* At once, of those who are no clients. */
static const int64_t most_of_kind[LISTENER_KINDS] = {
	[LISTENER_ADMIN] = 256, [LISTENER_KEDA] = 64, [LISTENER_METRICS_API] = 64};

static const int64_t PAUSE_US = 100 * US_PER_MS;

static void pause_accepting(struct listener *l, const char *why)
{
	struct gateway *gw = l->gateway;
	if (!gw->accept_paused)
		log_warn("%s: not accepting until connections close", why);
	gw->accept_paused = true;
	timer_set(&l->pause, loop_now_us(gw->loop) + PAUSE_US);
}

/* Why a client is turned away at the door. */
struct turn_away {
	const char *status, *reason, *detail;
};

static const struct turn_away gateway_is_full = {
	"503 Service Unavailable", "too_many_connections",
	"as many clients are connected as limits.maxConnections allows"};
static const struct turn_away listener_is_full = {
	"503 Service Unavailable", "too_many_connections",
	"as many clients are connected as this listener's maxConnections allows"};
static const struct turn_away client_has_enough = {
	"429 Too Many Requests", "too_many_connections_of_client",
	"this client has as many connections as limits.maxConnectionsPerClient allows"};
static const struct turn_away no_descriptors = {"503 Service Unavailable", "no_descriptors",
						"the gateway has no descriptors left for clients"};
static const struct turn_away no_memory = {"503 Service Unavailable", "overloaded",
					   "the gateway's memory for clients is used up"};
static const struct turn_away kind_is_full = {"503 Service Unavailable", "too_many_connections",
					      "too many connections to this address"};

static bool has_enough(const struct gateway *gw, const struct net_address *peer)
{
	int64_t most = gw->config->limits.max_connections_per_client;
	if (!most && net_is_loopback(peer))
		return false;
	if (!most)
		most = (gw->config->limits.max_connections + 1) / 2;
	return clients_count(&gw->clients, peer) >= most;
}

/* Whoever keeps connections open must not keep the others out: a liveness check that is turned away
 * is the end of the process. */
static bool makes_room(const struct listener *l)
{
	return l->connection_count < most_of_kind[l->kind] ||
	       connections_end_idle(l->gateway, l->kind, 1) > 0;
}

/* NULL: it may come in. The others must stay reachable when the clients take all there is. */
static const struct turn_away *objection(const struct listener *l, int fd,
					 const struct net_address *peer)
{
	const struct gateway *gw = l->gateway;
	if (l->kind != LISTENER_CLIENTS)
		return makes_room(l) ? NULL : &kind_is_full;
	if (gw->connection_count >= gateway_max_connections(gw))
		return &gateway_is_full;
	if (l->max_connections && l->connection_count >= l->max_connections)
		return &listener_is_full;
	if (has_enough(gw, peer))
		return &client_has_enough;
	/* The kernel hands out the lowest number that is free. */
	if (fd >= gw->client_descriptors)
		return &no_descriptors;
	if (budget_is_spent(&gw->memory))
		return &no_memory;
	return NULL;
}

/* It has sent nothing that we have read, so a close would reset what we tell it: say it, and let
 * the kernel keep the rest. */
static void turn_away(struct listener *l, int fd, const struct turn_away *why)
{
	const char *status = why->status;
	char body[256], answer[512];
	int length = snprintf(body, sizeof(body),
			      "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%.3s,"
			      "\"reason\":\"%s\",\"detail\":\"%s\"}\n",
			      status + 4, status, why->reason, why->detail);
	int len = snprintf(answer, sizeof(answer),
			   "HTTP/1.1 %s\r\nContent-Type: application/problem+json\r\n"
			   "Retry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
			   status, length, body);
	stats_bad_request(l->gateway, why->reason);
	if (why == &no_memory && shed_is_due(l->gateway))
		shed_count(l->gateway, SHED_CONNECTION);
	/* Behind TLS it could be told only after a handshake, which is
	 * what there is too much of. */
	if (!l->tls && send(fd, answer, (size_t)len, MSG_NOSIGNAL) > 0)
		shutdown(fd, SHUT_WR);
	char unread[4096];
	if (recv(fd, unread, sizeof(unread), MSG_DONTWAIT) < 0)
		errno = 0; /* it has sent nothing yet: all the better */
	close(fd);
}

/* Up to so many; whether there may be more. */
static bool accept_some(struct listener *l, int most)
{
	struct gateway *gw = l->gateway;
	for (int i = 0; i < most && l->io.fd >= 0; i++) {
		struct net_address peer;
		int fd = net_accept(l->io.fd, &peer);
		const struct turn_away *why = fd >= 0 ? objection(l, fd, &peer) : NULL;
		if (why) {
			turn_away(l, fd, why);
			continue;
		}
		if (fd >= 0) {
			if (l->kind == LISTENER_KEDA)
				net_keep_alive(fd); /* it follows services in silence, for days */
			connection_start(gw, l, fd, &peer);
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return false;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			pause_accepting(l, strerror(errno));
			return false;
		}
		/* The others concern only the connection that was to be accepted. */
	}
	return true;
}

static void accept_this_turn(struct listener *l)
{
	if (accept_some(l, ACCEPTS_PER_TURN))
		loop_defer_to_next_turn(l->gateway->loop, &l->retry);
}

static void on_io(void *owner, unsigned what)
{
	(void)what;
	accept_this_turn(owner);
}

static void on_retry(void *owner)
{
	struct listener *l = owner;
	if (l->io.fd < 0)
		return;
	l->gateway->accept_paused = false;
	accept_this_turn(l);
}

bool listener_enter(struct listener *l, const struct net_address *peer, struct client **client)
{
	struct gateway *gw = l->gateway;
	*client = NULL;
	if (l->kind == LISTENER_CLIENTS) {
		*client = clients_enter(&gw->clients, peer);
		if (!*client)
			return false;
		gw->connection_count++;
		metrics_count(l->accepted);
		metrics_gauge_add(l->open, 1);
	}
	l->connection_count++;
	l->references++;
	return true;
}

static void resume(struct gateway *gw)
{
	if (!gw->accept_paused)
		return;
	LIST_EACH(l, &gw->listeners, struct listener, link)
		loop_defer(gw->loop, &l->retry);
}

void listener_leave(struct listener *l, struct client *client)
{
	struct gateway *gw = l->gateway;
	if (l->kind == LISTENER_CLIENTS) {
		clients_leave(&gw->clients, client);
		gw->connection_count--;
		metrics_gauge_add(l->open, -1);
	}
	l->connection_count--;
	listener_drop(l);
	resume(gw);
}

void listener_configure(struct listener *l, const struct listener_config *c)
{
	mem_free(l->service);
	l->service = c->service ? mem_must_strdup(c->service) : NULL;
	l->half_close = c->half_close;
	l->http2 = c->http2;
	tls_context_drop(l->tls);
	l->tls = c->tls.context ? tls_context_hold(c->tls.context) : NULL;
	l->max_connections = c->max_connections;
}

void listener_count_protocol(struct listener *l, bool is_http2)
{
	if (l->spoke[is_http2])
		metrics_count(l->spoke[is_http2]);
}

void listener_count_handshake(struct listener *l, enum handshake how)
{
	static const char *const names[] = {"full", "resumed", "failed", "timeout"};
	if (l->kind != LISTENER_CLIENTS)
		return;
	if (!l->handshakes[how])
		l->handshakes[how] = metrics_counter(l->gateway->metrics, METRIC_TLS_HANDSHAKES,
						     (const char *[]){l->address, names[how]});
	metrics_count(l->handshakes[how]);
}

static struct listener *new_listener(struct gateway *gw, const struct listener_config *c,
				     const struct exchange_handler *handler,
				     enum listener_kind kind)
{
	struct listener *l = mem_must_zalloc(sizeof(*l));
	list_init(&l->link);
	l->gateway = gw;
	l->io.fd = -1;
	l->address = mem_must_strdup(c->address);
	listener_configure(l, c);
	l->kind = kind;
	l->handler = handler;
	l->references = 1;
	task_init(&l->retry, on_retry, l);
	if (kind == LISTENER_CLIENTS) {
		const char *label = l->address;
		l->accepted = metrics_counter(gw->metrics, METRIC_CONNECTIONS, &label);
		l->open = metrics_gauge(gw->metrics, METRIC_OPEN_CONNECTIONS, &label);
		for (int i = 0; i < 2; i++)
			l->spoke[i] = metrics_counter(gw->metrics, METRIC_HTTP_CONNECTIONS,
						      (const char *[]){label, i ? "2" : "1"});
	}
	return l;
}

struct listener *listener_open(struct gateway *gw, const struct listener_config *c,
			       const struct exchange_handler *handler, enum listener_kind kind)
{
	static const char *const names[] = {"listening", "admin", "keda", "metrics API"};
	struct listener *l = new_listener(gw, c, handler, kind);
	int fd = inherited_take(&gw->inherited, c, kind, &l->bound);
	l->is_kept = fd >= 0;
	if (fd < 0)
		fd = net_listen(&c->parsed, &l->bound);
	if (fd < 0 || !timer_init(&l->pause, gw->loop, on_retry, l) ||
	    !io_open(&l->io, gw->loop, fd, on_io, l)) {
		log_error("cannot listen on %s: %s", c->address, strerror(errno));
		timer_release(&l->pause);
		listener_drop(l);
		return NULL;
	}
	char where[NET_TEXT_BYTES];
	net_format(&l->bound, where);
	log_info("%s on %s://%s", names[kind], l->tls ? "https" : "http", where);
	list_push_back(&gw->listeners, &l->link);
	return l;
}

void listener_close(struct listener *l)
{
	accept_some(l, BACKLOG_MAX);
	listener_let_go(l);
}

void listener_let_go(struct listener *l)
{
	list_remove(&l->link);
	task_cancel(&l->retry);
	timer_release(&l->pause);
	io_close(&l->io);
	listener_drop(l);
}

struct listener *listener_private(struct gateway *gw, const char *name,
				  const struct exchange_handler *handler)
{
	struct listener_config c = {.address = (char *)(uintptr_t)name};
	return new_listener(gw, &c, handler, LISTENER_CLIENTS);
}

void listener_drop(struct listener *l)
{
	if (--l->references)
		return;
	mem_free(l->address);
	mem_free(l->service);
	tls_context_drop(l->tls);
	mem_free(l);
}
