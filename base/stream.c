/* Streams of bytes over sockets. */
#include "base/stream.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/net.h"

/* What TLS has yet to send goes first: the owner need not know of it. */
static void on_io(void *arg, unsigned what)
{
	struct stream *s = arg;
	if (what & IO_WRITE)
		stream_flush(s); /* a failure is told by the next call */
	s->fn(s->owner, what);
}

static void init(struct stream *s, struct tls *tls, io_fn *fn, void *owner)
{
	s->tls = tls;
	s->fn = fn;
	s->owner = owner;
	s->has_ended = false;
}

bool stream_open(struct stream *s, struct loop *loop, int fd, struct tls *tls, io_fn *fn,
		 void *owner)
{
	init(s, tls, fn, owner);
	if (!tls)
		return io_open(&s->io, loop, fd, fn, owner);
	tls_attach(tls, fd);
	if (io_open(&s->io, loop, fd, on_io, s))
		return true;
	tls_free(tls);
	s->tls = NULL;
	return false;
}

/* TLS has more than requests to read and to write: its first bytes are no request. */
bool stream_open_accepted(struct stream *s, struct loop *loop, int fd, struct tls *tls, io_fn *fn,
			  void *owner)
{
	if (tls)
		return stream_open(s, loop, fd, tls, fn, owner);
	init(s, NULL, fn, owner);
	return io_open_to_read(&s->io, loop, fd, fn, owner);
}

enum tls_result stream_handshake(struct stream *s, char why[TLS_WHY_BYTES])
{
	return s->tls ? tls_handshake(s->tls, why) : TLS_DONE;
}

ssize_t stream_read(struct stream *s, void *bytes, size_t size)
{
	if (s->tls)
		return tls_read(s->tls, bytes, size);
	ssize_t n;
	do
		n = recv(s->io.fd, bytes, size, 0);
	while (n < 0 && errno == EINTR);
	return n;
}

static bool is_all(ssize_t sent, const struct iovec *iov, int n)
{
	size_t bytes = 0;
	for (int i = 0; i < n; i++)
		bytes += iov[i].iov_len;
	return sent >= 0 && (size_t)sent == bytes;
}

ssize_t stream_write(struct stream *s, const struct iovec *iov, int n)
{
	if (s->tls)
		return tls_write(s->tls, iov, n);
	struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
	ssize_t sent;
	do
		sent = n == 1 ? send(s->io.fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
			      : sendmsg(s->io.fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (!s->io.hears_room && !is_all(sent, iov, n) && (sent >= 0 || errno == EAGAIN)) {
		if (!io_hear_room(&s->io))
			return -1;
		errno = EAGAIN;
	}
	return sent;
}

bool stream_has_output(const struct stream *s)
{
	return s->tls && tls_has_output(s->tls);
}

bool stream_flush(struct stream *s)
{
	bool ok = !s->tls || tls_flush(s->tls);
	if (s->has_ended && s->io.fd >= 0 && !stream_has_output(s))
		shutdown(s->io.fd, SHUT_WR);
	return ok;
}

bool stream_is_silent(struct stream *s)
{
	return s->tls ? tls_is_silent(s->tls) : net_is_idle(s->io.fd);
}

void stream_end(struct stream *s)
{
	s->has_ended = true;
	if (s->tls)
		tls_end(s->tls);
	stream_flush(s);
}

void stream_abort(struct stream *s)
{
	struct linger now = {.l_onoff = 1};
	if (s->tls)
		tls_abort(s->tls);
	setsockopt(s->io.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void stream_close(struct stream *s)
{
	if (s->tls && s->io.fd >= 0)
		tls_end(s->tls);
	tls_free(s->tls);
	s->tls = NULL;
	io_close(&s->io);
}

const char *stream_protocol(const struct stream *s)
{
	return tls_protocol(s->tls);
}

bool stream_peer_name(const struct stream *s, struct str *name)
{
	return tls_peer_name(s->tls, name);
}
