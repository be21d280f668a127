/* One question to a pod: connect first, and only then ask. */
#include "activator/providers/probe.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"

enum { READY_BODY_BYTES = 64 << 10, IDLE_BODY_BYTES = 1 << 20 };

struct probe {
	struct probe_client client;
	struct net_address address;
	enum check_kind kind;
	char *path, *json_path; /* NULL: none */
	double equals;
	probe_fn *fn;
	void *owner;
	int64_t deadline_us;
	struct timer timer; /* of the connect; the GET has its own */
	struct io io;
	struct http_exchange *exchange; /* NULL: none under way */
	struct task task;		/* gives the answer */
	enum pod_answer answer;
};

void probe_cancel(struct probe *p)
{
	if (!p)
		return;
	task_cancel(&p->task);
	timer_release(&p->timer);
	io_close(&p->io);
	http_client_cancel(p->exchange);
	tls_context_drop(p->client.tls);
	mem_free(p->path);
	mem_free(p->json_path);
	mem_free(p);
}

/* Only at the end of a turn. */
static void give_answer(void *arg)
{
	struct probe *p = arg;
	enum pod_answer answer = p->answer;
	probe_fn *fn = p->fn;
	void *owner = p->owner;
	probe_cancel(p);
	fn(owner, answer);
}

static void answer_soon(struct probe *p, enum pod_answer answer)
{
	p->answer = answer;
	timer_clear(&p->timer);
	io_close(&p->io);
	loop_defer(p->client.loop, &p->task);
}

static enum pod_answer answer_to(int error)
{
	return error == ECONNREFUSED ? ANSWER_REFUSED : ANSWER_NO;
}

/* --- the GET -------------------------------------------------------------------------------- */

static bool says_idle(const struct probe *p, struct slice body)
{
	struct json_error error;
	struct json *document = json_parse(body.at, body.len, &error);
	double number;
	bool idle = json_number(json_find(document, p->json_path), &number) && number == p->equals;
	json_free(document);
	return idle;
}

static void on_http(void *owner, const struct http_client_result *result)
{
	struct probe *p = owner;
	p->exchange = NULL;
	bool yes = result->status >= 200 && result->status <= 299;
	if (p->json_path)
		yes = result->status == 200 && says_idle(p, result->body);
	answer_soon(p, yes ? ANSWER_YES : ANSWER_NO);
}

static void get(struct probe *p)
{
	struct http_client_request r = {
		.address = &p->address,
		.path = p->path,
		.headers = p->client.headers,
		.tls = p->client.tls,
		.timeout_us = p->deadline_us - loop_now_us(p->client.loop),
		/* Where only the status counts, a long page is not read to its end. */
		.max_body_bytes = p->json_path ? IDLE_BODY_BYTES : READY_BODY_BYTES,
		.cut_body = !p->json_path,
	};
	timer_clear(&p->timer);
	int fd = io_detach(&p->io);
	p->exchange = http_client_start_on(p->client.http, fd, &r, on_http, p);
	if (!p->exchange)
		answer_soon(p, ANSWER_NO);
}

/* --- the connect ---------------------------------------------------------------------------- */

/* A connect to a local port where nobody listens may be given this very port to connect from, and
 * then reaches itself. That is no pod, and it would keep the pod from binding its port. */
static bool is_connected_to_itself(int fd)
{
	struct net_address own = {.len = NET_ADDRESS_BYTES}, peer = {.len = NET_ADDRESS_BYTES};
	if (getsockname(fd, &own.sa, &own.len) != 0 || getpeername(fd, &peer.sa, &peer.len) != 0 ||
	    net_port(&own) != net_port(&peer))
		return false;
	char own_text[NET_TEXT_BYTES], peer_text[NET_TEXT_BYTES];
	net_format(&own, own_text);
	net_format(&peer, peer_text);
	if (strcmp(own_text, peer_text) != 0)
		return false;
	/* Without the wait that would follow an orderly close, and would block the port too. */
	struct linger at_once = {.l_onoff = 1};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	return true;
}

static void go_on(struct probe *p)
{
	if (p->client.connected)
		p->client.connected(p->owner);
	if (p->kind == CHECK_HTTP_GET)
		get(p);
	else
		answer_soon(p, ANSWER_YES);
}

static void on_connect(void *owner, unsigned what)
{
	struct probe *p = owner;
	(void)what;
	int error = net_take_error(p->io.fd);
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	if (error)
		answer_soon(p, answer_to(error));
	else if (getpeername(p->io.fd, (struct sockaddr *)&peer, &len) != 0)
		return; /* not yet */
	else if (is_connected_to_itself(p->io.fd))
		answer_soon(p, ANSWER_REFUSED);
	else
		go_on(p);
}

static void on_timeout(void *owner)
{
	answer_soon(owner, ANSWER_NO);
}

static void start_connect(struct probe *p)
{
	int fd = net_connect(&p->address);
	if (fd < 0) {
		answer_soon(p, answer_to(errno));
		return;
	}
	/* On this host a refusal is there at once, before the loop needs to hear of the socket. */
	int error = net_take_error(fd);
	if (error)
		close(fd);
	if (error || !io_open(&p->io, p->client.loop, fd, on_connect, p))
		answer_soon(p, answer_to(error));
	else
		timer_set(&p->timer, p->deadline_us);
}

/* --- starting ------------------------------------------------------------------------------- */

static char *copy_text(const char *text)
{
	return mem_copy(text, strlen(text) + 1);
}

/* What both kinds of question have in common. */
static struct probe *new_probe(const struct probe_client *client, const struct net_address *address,
			       const char *path, int64_t timeout_us)
{
	struct probe *p = mem_zalloc(sizeof(*p));
	if (!p)
		return NULL;
	p->client = *client;
	if (p->client.tls)
		tls_context_hold(p->client.tls);
	p->address = *address;
	p->io.fd = -1;
	p->deadline_us = loop_now_us(client->loop) + timeout_us;
	task_init(&p->task, give_answer, p);
	p->path = path ? copy_text(path) : NULL;
	if (timer_init(&p->timer, client->loop, on_timeout, p) && (!path || p->path))
		return p;
	probe_cancel(p);
	return NULL;
}

static struct probe *start(struct probe *p, enum check_kind kind, probe_fn *fn, void *owner)
{
	p->kind = kind;
	p->fn = fn;
	p->owner = owner;
	if (kind == CHECK_NONE)
		answer_soon(p, ANSWER_YES);
	else
		start_connect(p);
	return p;
}

struct probe *probe_readiness(const struct probe_client *client, const struct net_address *address,
			      const struct readiness_config *config, probe_fn *fn, void *owner)
{
	struct probe *p = new_probe(client, address, config->path, config->timeout_us);
	return p ? start(p, config->kind, fn, owner) : NULL;
}

struct probe *probe_idle(const struct probe_client *client, const struct net_address *address,
			 const struct idle_config *config, probe_fn *fn, void *owner)
{
	struct probe *p = new_probe(client, address, config->path, config->timeout_us);
	if (!p)
		return NULL;
	p->equals = config->equals;
	p->json_path = config->json_path ? copy_text(config->json_path) : NULL;
	if (config->json_path && !p->json_path) {
		probe_cancel(p);
		return NULL;
	}
	return start(p, config->kind, fn, owner);
}
