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

bool stream_open(struct stream *s, struct loop *loop, int fd, struct tls *tls, io_fn *fn,
		 void *owner)
{
	s->tls = tls;
	s->fn = fn;
	s->owner = owner;
	s->has_ended = false;
	if (!tls)
		return io_open(&s->io, loop, fd, fn, owner);
	tls_attach(tls, fd);
	if (io_open(&s->io, loop, fd, on_io, s))
		return true;
	tls_free(tls);
	s->tls = NULL;
	return false;
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
