/* Accepts connections. */
#include "gateway/listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/connection.h"
#include "gateway/stats.h"

enum { ACCEPTS_PER_TURN = 64, BACKLOG_MAX = 4096 };

static const int64_t PAUSE_US = 100 * US_PER_MS;

static void pause_accepting(struct listener *l, const char *why)
{
	struct gateway *gw = l->gateway;
	if (!gw->accept_paused)
		log_warn("%s: not accepting until connections close", why);
	gw->accept_paused = true;
	timer_set(&l->pause, loop_now_us(gw->loop) + PAUSE_US);
}

/* The admin must stay reachable when the clients take all connections. */
static bool is_one_too_many(const struct listener *l)
{
	const struct gateway *gw = l->gateway;
	return !l->is_admin && gw->connection_count >= gw->config->limits.max_connections;
}

/* It has sent nothing that we have read, so a close would reset what we tell it: say it, and let
 * the kernel keep the rest. */
static void turn_away(struct listener *l, int fd)
{
	static const char body[] = "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\","
				   "\"status\":503,\"reason\":\"too_many_connections\","
				   "\"detail\":\"limits.maxConnections clients are connected\"}\n";
	char answer[512];
	int len = snprintf(answer, sizeof(answer),
			   "HTTP/1.1 503 Service Unavailable\r\n"
			   "Content-Type: application/problem+json\r\nRetry-After: 1\r\n"
			   "Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
			   sizeof(body) - 1, body);
	stats_bad_request(l->gateway, "too_many_connections");
	/* Behind TLS it could be told only after a handshake, which is what there is too much of. */
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
		if (fd >= 0 && is_one_too_many(l)) {
			turn_away(l, fd);
			continue;
		}
		if (fd >= 0) {
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

void listeners_resume(struct gateway *gw)
{
	if (!gw->accept_paused)
		return;
	LIST_EACH(l, &gw->listeners, struct listener, link)
		loop_defer(gw->loop, &l->retry);
}

void listener_configure(struct listener *l, const struct listener_config *c)
{
	mem_free(l->service);
	l->service = c->service ? mem_must_strdup(c->service) : NULL;
	l->half_close = c->half_close;
	l->http2 = c->http2;
	tls_context_drop(l->tls);
	l->tls = c->tls.context ? tls_context_hold(c->tls.context) : NULL;
}

void listener_count_handshake(struct listener *l, enum handshake how)
{
	static const char *const names[] = {"full", "resumed", "failed", "timeout"};
	if (l->is_admin)
		return;
	if (!l->handshakes[how])
		l->handshakes[how] = metrics_counter(l->gateway->metrics, METRIC_TLS_HANDSHAKES,
						     (const char *[]){l->address, names[how]});
	metrics_count(l->handshakes[how]);
}

static struct listener *new_listener(struct gateway *gw, const struct listener_config *c,
				     const struct exchange_handler *handler, bool is_admin)
{
	struct listener *l = mem_must_zalloc(sizeof(*l));
	list_init(&l->link);
	l->gateway = gw;
	l->io.fd = -1;
	l->address = mem_must_strdup(c->address);
	listener_configure(l, c);
	l->is_admin = is_admin;
	l->handler = handler;
	l->references = 1;
	task_init(&l->retry, on_retry, l);
	if (!is_admin) {
		const char *label = l->address;
		l->accepted = metrics_counter(gw->metrics, METRIC_CONNECTIONS, &label);
		l->open = metrics_gauge(gw->metrics, METRIC_OPEN_CONNECTIONS, &label);
	}
	return l;
}

struct listener *listener_open(struct gateway *gw, const struct listener_config *c,
			       const struct exchange_handler *handler, bool is_admin)
{
	struct listener *l = new_listener(gw, c, handler, is_admin);
	int fd = net_listen(&c->parsed, &l->bound);
	if (fd < 0 || !timer_init(&l->pause, gw->loop, on_retry, l) ||
	    !io_open(&l->io, gw->loop, fd, on_io, l)) {
		log_error("cannot listen on %s: %s", c->address, strerror(errno));
		timer_release(&l->pause);
		listener_drop(l);
		return NULL;
	}
	char where[NET_TEXT_BYTES];
	net_format(&l->bound, where);
	log_info("%s on %s://%s", is_admin ? "admin" : "listening", l->tls ? "https" : "http",
		 where);
	list_push_back(&gw->listeners, &l->link);
	return l;
}

void listener_close(struct listener *l)
{
	accept_some(l, BACKLOG_MAX);
	list_remove(&l->link);
	task_cancel(&l->retry);
	timer_release(&l->pause);
	io_close(&l->io);
	listener_drop(l);
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
