/* Packets with descriptors, over Unix sockets. */
#include "base/packet.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

union control {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(sizeof(int))];
};

bool packet_send(int socket, const void *packet, size_t len, int fd)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)packet, .iov_len = len};
	union control control = {0};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	ssize_t n;
	do
		n = sendmsg(socket, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n >= 0;
}

ssize_t packet_receive(int socket, void *packet, size_t capacity, int *fd)
{
	struct iovec iov = {.iov_base = packet, .iov_len = capacity};
	union control control = {0};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;
	int resets = 0;
	/* An end that has not read all it was sent is told first, before
	 * what it has said itself. */
	do
		n = recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !resets++)));
	*fd = -1;
	const struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(*fd)))
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	if (n > 0 && m.msg_flags & MSG_TRUNC) {
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		errno = EBADMSG;
		return -1;
	}
	return n;
}

bool packet_wait(int socket, bool to_write, int64_t timeout_us)
{
	struct pollfd p = {.fd = socket, .events = to_write ? POLLOUT : POLLIN};
	int64_t until_us = clock_now_us() + timeout_us, left_us;
	while ((left_us = until_us - clock_now_us()) > 0) {
		int n = poll(&p, 1, (int)(left_us / US_PER_MS) + 1);
		if (n != 0 && !(n < 0 && errno == EINTR))
			return n > 0;
	}
	return false;
}

/* --- paths ----------------------------------------------------------------------------------- */

static int new_socket(const char *path, struct sockaddr_un *a)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(a->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(a->sun_path, path, strlen(path) + 1);
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int close_with_error(int fd)
{
	int error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return -1;
}

bool packet_path_is_free(const char *path, uid_t owner, char in_the_way[PACKET_PATH_BYTES])
{
	struct stat st;
	for (int i = 0; i < 2; i++) {
		snprintf(in_the_way, PACKET_PATH_BYTES, "%s%s", path, i ? ".new" : "");
		if (lstat(in_the_way, &st) != 0)
			continue;
		if (!S_ISSOCK(st.st_mode) || (owner != PACKET_ANY_OWNER && st.st_uid != owner))
			return false;
	}
	return true;
}

int packet_listen(const char *path)
{
	struct sockaddr_un a;
	char beside[PACKET_PATH_BYTES];
	if (strlen(path) > PACKET_PATH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (!packet_path_is_free(path, PACKET_ANY_OWNER, beside)) {
		errno = EEXIST;
		return -1;
	}
	snprintf(beside, sizeof(beside), "%s.new", path);
	int fd = new_socket(beside, &a);
	if (fd < 0)
		return -1;
	unlink(beside);
	mode_t before = umask(0177);
	bool bound = bind(fd, (const struct sockaddr *)&a, sizeof(a)) == 0;
	umask(before);
	if (!bound || listen(fd, 8) != 0 || rename(beside, path) != 0)
		return close_with_error(fd);
	return fd;
}

int packet_connect(const char *path)
{
	struct sockaddr_un a;
	int fd = new_socket(path, &a);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof(a)) != 0)
		return close_with_error(fd);
	return fd;
}

int packet_accept(int listener)
{
	return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

bool packet_peer(int socket, pid_t *pid, uid_t *uid)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
		return false;
	*pid = who.pid;
	*uid = who.uid;
	return true;
}
