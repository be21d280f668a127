/* Two ends of a TLS connection. */
#include "tests/unit/tls_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[64];
static pid_t maker; /* of the directory: a test may run in a child */

static void run(const char *program, const char *first, const char *second)
{
	int status = -1;
	pid_t child = fork();
	if (child == 0) {
		execlp(program, program, first, second, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void remove_directory(void)
{
	if (getpid() != maker)
		return;
	run("rm", "-rf", directory);
}

const char *tls_file(const char *name)
{
	static char texts[16][128];
	static unsigned next;
	if (!*directory) {
		snprintf(directory, sizeof(directory), "/tmp/slotgate-tls-XXXXXX");
		assert_non_null(mkdtemp(directory));
		maker = getpid();
		atexit(remove_directory);
		run("tests/tls/make-certificates.sh", directory, NULL);
	}
	char *text = texts[next++ % 16];
	snprintf(text, sizeof(texts[0]), "%s/%s", directory, name);
	return text;
}

static struct tls_pair files_of(const char *name)
{
	char certificate[64], key[64];
	snprintf(certificate, sizeof(certificate), "%s.pem", name);
	snprintf(key, sizeof(key), "%s.key", name);
	return (struct tls_pair){(char *)tls_file(certificate), (char *)tls_file(key)};
}

struct tls_context *tls_server_of(const char *const *names, enum tls_demand demand)
{
	static const char *const protocols[] = {"h2", "http/1.1", NULL};
	struct tls_pair pairs[4];
	struct tls_fault fault = {0};
	struct tls_server_options o = {.pairs = pairs, .protocols = protocols, .clients = demand};
	for (; names[o.count]; o.count++)
		pairs[o.count] = files_of(names[o.count]);
	o.client_ca = demand == TLS_NO_CERTIFICATE ? NULL : tls_file("ca.pem");
	struct tls_context *c = tls_server_new(&o, &fault);
	if (!c)
		fail_msg("%s", fault.text);
	return c;
}

struct tls_context *tls_client_of(const char *ca, const char *name, const char *own)
{
	struct tls_fault fault = {0};
	struct tls_client_options o = {
		.ca = ca ? (char *)tls_file(ca) : NULL,
		.name = (char *)name,
		.trusts_anybody = !ca,
	};
	if (own)
		o.pair = files_of(own);
	struct tls_context *c = tls_client_new(&o, &fault);
	if (!c)
		fail_msg("%s", fault.text);
	return c;
}

static void on_io(void *owner, unsigned what)
{
	struct tls_pair_end *end = owner;
	end->events |= what;
}

static void open_end(struct tls_ends *e, struct tls_pair_end *end, int fd, struct tls *tls)
{
	*end = (struct tls_pair_end){.result = TLS_AGAIN};
	if (e->small_buffers) {
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &e->small_buffers, sizeof(int));
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &e->small_buffers, sizeof(int));
	}
	assert_true(stream_open(&end->stream, e->loop, fd, tls, on_io, end));
}

void tls_ends_open(struct tls_ends *e, struct tls_context *server, struct tls_context *client,
		   struct tls_kept *kept)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	open_end(e, &e->server, fds[0], server ? tls_accept(server) : NULL);
	open_end(e, &e->client, fds[1], client ? tls_connect(client, "127.0.0.1", kept) : NULL);
}

static void step(struct tls_pair_end *end)
{
	if (end->result != TLS_FAILED) {
		stream_flush(&end->stream);
		end->result = stream_handshake(&end->stream, end->why);
	}
}

bool tls_ends_shake(struct tls_ends *e)
{
	for (int i = 0; i < 2000; i++) {
		step(&e->client);
		step(&e->server);
		if (e->client.result == TLS_DONE && e->server.result == TLS_DONE)
			return true;
	}
	return false;
}

void tls_ends_close(struct tls_ends *e)
{
	stream_close(&e->client.stream);
	stream_close(&e->server.stream);
}

void tls_ends_say(struct stream *from, struct stream *to, const char *text)
{
	char heard[256];
	size_t len = strlen(text);
	struct iovec iov = {(char *)text, len};
	assert_int_equal(stream_write(from, &iov, 1), len);
	assert_int_equal(stream_read(to, heard, sizeof(heard)), len);
	assert_memory_equal(heard, text, len);
	assert_int_equal(stream_read(to, heard, sizeof(heard)), -1);
	assert_int_equal(errno, EAGAIN);
}
