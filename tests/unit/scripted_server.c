/* A scripted HTTP server in the tested loop. */
#include "tests/unit/scripted_server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
	struct list link;
	struct scripted_server *server;
	struct io io;
	struct str in;
	int served;
};

static void connection_free(struct connection *c)
{
	list_remove(&c->link);
	io_close(&c->io);
	str_release(&c->in);
	free(c);
}

static bool is_whole(const struct connection *c)
{
	const char *end = c->in.at ? strstr(c->in.at, "\r\n\r\n") : NULL;
	if (!end)
		return false;
	const char *length = strstr(c->in.at, "Content-Length: ");
	size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
	return strlen(end + 4) >= body;
}

/* False: the connection is gone. */
static bool answer(struct connection *c)
{
	struct scripted_server *s = c->server;
	str_clear(&s->request);
	str_add(&s->request, c->in.at, c->in.len);
	str_clear(&c->in);
	s->requests++;
	bool second = s->close_on_second_request && c->served;
	if (second)
		s->close_on_second_request = false;
	c->served++;
	if (s->silent)
		return true;
	if (s->answer && !second) {
		ssize_t n = send(c->io.fd, s->answer, strlen(s->answer), MSG_NOSIGNAL);
		assert(n == (ssize_t)strlen(s->answer));
	}
	if (s->answer && !second && !s->close_after_answer)
		return true;
	s->close_after_answer = false;
	connection_free(c);
	return false;
}

static void on_connection(void *owner, unsigned what)
{
	struct connection *c = owner;
	(void)what;
	char bytes[4096];
	for (;;) {
		ssize_t n = recv(c->io.fd, bytes, sizeof(bytes), 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			connection_free(c);
			return;
		}
		str_add(&c->in, bytes, (size_t)n);
		if (is_whole(c) && !answer(c))
			return;
	}
}

static void on_listener(void *owner, unsigned what)
{
	struct scripted_server *s = owner;
	struct net_address peer;
	(void)what;
	int fd = net_accept(s->listener.fd, &peer);
	if (fd < 0)
		return;
	struct connection *c = calloc(1, sizeof(*c));
	assert(c);
	list_init(&c->link);
	list_push_back(&s->connections_open, &c->link);
	c->server = s;
	str_init(&c->in);
	s->connections++;
	bool ok = io_open(&c->io, s->loop, fd, on_connection, c);
	assert(ok);
}

void scripted_server_init(struct scripted_server *s, struct loop *loop)
{
	*s = (struct scripted_server){.loop = loop};
	list_init(&s->connections_open);
	str_init(&s->request);
	struct net_address any;
	net_parse("127.0.0.1:0", &any);
	int fd = net_listen(&any, &s->address);
	bool ok = fd >= 0 && io_open_level(&s->listener, loop, fd, IO_READ, on_listener, s);
	assert(ok);
}

void scripted_server_answer(struct scripted_server *s, const char *bytes)
{
	free(s->answer);
	s->answer = bytes ? strdup(bytes) : NULL;
}

void scripted_server_stop_listening(struct scripted_server *s)
{
	io_close(&s->listener);
}

void scripted_server_close_connections(struct scripted_server *s)
{
	while (!list_is_empty(&s->connections_open))
		connection_free(LIST_FIRST(&s->connections_open, struct connection, link));
}

void scripted_server_release(struct scripted_server *s)
{
	scripted_server_close_connections(s);
	scripted_server_stop_listening(s);
	str_release(&s->request);
	free(s->answer);
}
