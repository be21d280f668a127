/* Streams of bytes over sockets. */
#include "base/stream.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/net.h"

bool stream_open(struct stream *s, struct loop *loop, int fd, io_fn *fn, void *owner)
{
	return io_open(&s->io, loop, fd, fn, owner);
}

ssize_t stream_read(struct stream *s, void *bytes, size_t size)
{
	ssize_t n;
	do
		n = recv(s->io.fd, bytes, size, 0);
	while (n < 0 && errno == EINTR);
	return n;
}

ssize_t stream_write(struct stream *s, const struct iovec *iov, int n)
{
	struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
	ssize_t sent;
	do
		sent = sendmsg(s->io.fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent;
}

bool stream_is_silent(struct stream *s)
{
	return net_is_idle(s->io.fd);
}

void stream_end(struct stream *s)
{
	shutdown(s->io.fd, SHUT_WR);
}

void stream_abort(struct stream *s)
{
	struct linger now = {.l_onoff = 1};
	setsockopt(s->io.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void stream_close(struct stream *s)
{
	io_close(&s->io);
}
