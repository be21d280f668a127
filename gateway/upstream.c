/* Connections to pods, and the pools of idle ones. */
#include "gateway/upstream.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/backend.h"
#include "gateway/gateway.h"

static const int64_t PROOF_US = 20 * US_PER_MS, TELL_US = 30 * US_PER_S;

struct upstream_pool {
	struct backend *backend;
	struct net_address address;
	struct list idle;
	struct tls_kept kept; /* what makes the next TLS handshake a short one */
	int64_t tell_us;      /* not before then is another failed handshake worth a line */
	int references;	      /* its pod, and each connection */
	bool is_closed;	      /* its pod is gone: nothing is kept any more */
	bool keeps;	      /* the pod has been seen to keep an idle connection open */
};

static void pool_drop(struct upstream_pool *pool)
{
	if (--pool->references)
		return;
	tls_kept_clear(&pool->kept);
	mem_free(pool);
}

struct upstream_pool *upstream_pool_new(struct backend *b, const struct net_address *address)
{
	struct upstream_pool *pool = mem_zalloc(sizeof(*pool));
	if (!pool)
		return NULL;
	pool->backend = b;
	pool->address = *address;
	pool->references = 1;
	list_init(&pool->idle);
	return pool;
}

void upstream_pool_free(struct upstream_pool *pool)
{
	LIST_EACH(u, &pool->idle, struct upstream, link)
		upstream_close(u);
	pool->is_closed = true;
	pool_drop(pool);
}

static void reap(void *owner)
{
	struct upstream *u = owner;
	pool_drop(u->pool);
	mem_free(u);
}

void upstream_close(struct upstream *u)
{
	if (u->state == UPSTREAM_DEAD)
		return;
	u->state = UPSTREAM_DEAD;
	list_remove(&u->link);
	timer_release(&u->timer);
	stream_close(&u->stream);
	loop_defer(u->pool->backend->gateway->loop, &u->reap);
}

static void tell_why(struct upstream_pool *pool, const char *why)
{
	char where[NET_TEXT_BYTES];
	int64_t now_us = loop_now_us(pool->backend->gateway->loop);
	if (now_us < pool->tell_us)
		return;
	pool->tell_us = now_us + TELL_US;
	net_format(&pool->address, where);
	log_warn("%s: pod %s: no TLS with it: %s", pool->backend->name, where, why);
}

/* Nothing of a request has been sent before the pod has proved who it is. */
static void secure(struct upstream *u, unsigned what)
{
	char why[TLS_WHY_BYTES];
	switch (stream_handshake(&u->stream, why)) {
	case TLS_AGAIN:
		break;
	case TLS_DONE:
		timer_clear(&u->timer);
		u->state = UPSTREAM_BUSY;
		u->fn(u->owner, UPSTREAM_CONNECTED, what);
		break;
	case TLS_FAILED:
		timer_clear(&u->timer);
		tell_why(u->pool, why);
		u->fn(u->owner, UPSTREAM_NOT_SECURE, 0);
		break;
	}
}

static void on_connecting(struct upstream *u, unsigned what)
{
	if (!(what & (IO_WRITE | IO_READ)))
		return;
	int error = net_take_error(u->stream.io.fd);
	if (!error && !(what & IO_WRITE))
		return;
	if (error) {
		timer_clear(&u->timer);
		u->fn(u->owner, error == ECONNREFUSED ? UPSTREAM_REFUSED : UPSTREAM_CONNECT_FAILED,
		      0);
		return;
	}
	u->state = UPSTREAM_SECURING;
	secure(u, what);
}

static void on_io(void *owner, unsigned what)
{
	struct upstream *u = owner;
	u->has_ended |= (what & IO_HANGUP) != 0;
	switch (u->state) {
	case UPSTREAM_CONNECTING:
		on_connecting(u, what);
		break;
	case UPSTREAM_SECURING:
		secure(u, what);
		break;
	case UPSTREAM_BUSY:
		u->fn(u->owner, UPSTREAM_READY, what);
		break;
	case UPSTREAM_IDLE:
		/* Nothing may come on it: the pod has closed it, or speaks out of turn. */
		if (!stream_is_silent(&u->stream)) {
			int64_t now_us = loop_now_us(u->pool->backend->gateway->loop);
			u->pool->keeps &= now_us - u->idle_us >= PROOF_US;
			upstream_close(u);
		}
		break;
	case UPSTREAM_DEAD:
		break;
	}
}

static void on_timer(void *owner)
{
	struct upstream *u = owner;
	if (u->state == UPSTREAM_IDLE)
		upstream_close(u);
	else
		u->fn(u->owner, UPSTREAM_TIMER, 0);
}

/*
 * Some pods close after each answer without saying so. Their FIN is a moment behind the answer, and
 * a job that is sent in between is lost. So none is used again until one has stayed open idle for a
 * while; after that the pod is known to keep them.
 */
static bool keeps_connections(struct upstream_pool *pool, struct upstream *oldest)
{
	int64_t now_us = loop_now_us(pool->backend->gateway->loop);
	if (!pool->keeps && now_us - oldest->idle_us >= PROOF_US &&
	    stream_is_silent(&oldest->stream))
		pool->keeps = true;
	return pool->keeps;
}

/* One that was read to its end in this very turn needs no other look. */
static bool is_silent(struct upstream *u)
{
	bool was_read_now = u->idle_us == loop_now_us(u->pool->backend->gateway->loop);
	if (was_read_now && u->is_dry && !u->has_ended && !u->stream.tls)
		return true;
	return stream_is_silent(&u->stream);
}

static struct upstream *take_idle(struct upstream_pool *pool)
{
	struct upstream *oldest = list_is_empty(&pool->idle)
					  ? NULL
					  : LIST_OWNER(pool->idle.prev, struct upstream, link);
	if (!oldest || !keeps_connections(pool, oldest))
		return NULL;
	/* The one used last is the least likely to be closed by the pod in this moment. */
	while (!list_is_empty(&pool->idle)) {
		struct upstream *u = LIST_FIRST(&pool->idle, struct upstream, link);
		if (is_silent(u)) {
			list_remove(&u->link);
			timer_clear(&u->timer);
			return u;
		}
		metrics_count(pool->backend->stats.connections_stale);
		upstream_close(u);
	}
	return NULL;
}

/* What the pod's address says is checked, unless the configuration names a host. */
static bool open_stream(struct upstream *u, int fd)
{
	struct upstream_pool *pool = u->pool;
	struct tls_context *context = pool->backend->config->pod_tls.context;
	struct tls *tls = NULL;
	char host[NET_TEXT_BYTES];
	if (context) {
		net_format_host(&pool->address, host);
		tls = tls_connect(context, host, &pool->kept);
		if (!tls) {
			close(fd);
			return false;
		}
	}
	return stream_open(&u->stream, pool->backend->gateway->loop, fd, tls, on_io, u);
}

static struct upstream *upstream_new(struct upstream_pool *pool)
{
	struct upstream *u = mem_zalloc(sizeof(*u));
	if (!u || !timer_init(&u->timer, pool->backend->gateway->loop, on_timer, u)) {
		mem_free(u);
		errno = ENOMEM;
		return NULL;
	}
	list_init(&u->link);
	task_init(&u->reap, reap, u);
	u->pool = pool;
	pool->references++;
	u->state = UPSTREAM_CONNECTING;
	u->stream.io.fd = -1;
	return u;
}

static struct upstream *connect_new(struct upstream_pool *pool)
{
	struct gateway *gw = pool->backend->gateway;
	struct upstream *u = upstream_new(pool);
	if (!u)
		return NULL;
	int fd = net_connect(&pool->address);
	if (fd < 0 || !open_stream(u, fd)) {
		int error = fd < 0 ? errno : ENOMEM;
		upstream_close(u);
		errno = error;
		return NULL;
	}
	timer_set(&u->timer, loop_now_us(gw->loop) + pool->backend->config->timeouts.connect_us);
	return u;
}

struct upstream *upstream_take(struct upstream_pool *pool, bool must_be_new, upstream_fn *fn,
			       void *owner)
{
	struct upstream *u = must_be_new ? NULL : take_idle(pool);
	struct service_stats *stats = &pool->backend->stats;
	if (u) {
		u->state = UPSTREAM_BUSY;
		u->is_reused = true;
		metrics_count(stats->connections_reused);
	} else {
		u = connect_new(pool);
		if (!u)
			return NULL;
		metrics_count(stats->connections_new);
	}
	u->fn = fn;
	u->owner = owner;
	return u;
}

struct upstream *upstream_adopt(struct backend *b, int fd, upstream_fn *fn, void *owner)
{
	const struct net_address nowhere = {.len = 0};
	struct upstream_pool *pool = upstream_pool_new(b, &nowhere);
	struct upstream *u = pool ? upstream_new(pool) : NULL;
	if (!u)
		close(fd);
	if (pool)
		upstream_pool_free(pool); /* nothing goes back there */
	if (!u)
		return NULL;
	u->state = UPSTREAM_BUSY;
	u->fn = fn;
	u->owner = owner;
	if (stream_open(&u->stream, b->gateway->loop, fd, NULL, on_io, u))
		return u;
	upstream_close(u);
	return NULL;
}

void upstream_give(struct upstream *u)
{
	struct upstream_pool *pool = u->pool;
	if (pool->is_closed || stream_has_output(&u->stream)) {
		upstream_close(u);
		return;
	}
	u->state = UPSTREAM_IDLE;
	u->idle_us = loop_now_us(pool->backend->gateway->loop);
	u->fn = NULL;
	u->owner = NULL;
	list_push_front(&pool->idle, &u->link);
	timer_set(&u->timer, loop_now_us(pool->backend->gateway->loop) +
				     pool->backend->config->timeouts.pod_keep_alive_us);
}
