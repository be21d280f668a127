/* Listening sockets from elsewhere. */
#include "gateway/upgrade/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

enum { FIRST_PASSED = 3 };

bool inherited_add(struct inherited *in, int fd, const char *address, int kind)
{
	struct inherited_socket s = {.fd = fd, .kind = kind};
	if (in->count == INHERITED_MAX || !net_bound(fd, &s.bound)) {
		close(fd);
		return false;
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	s.address = address ? mem_must_strdup(address) : NULL;
	in->sockets[in->count++] = s;
	return true;
}

void inherited_from_manager(struct inherited *in)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	int n = pid && count && atol(pid) == getpid() ? atoi(count) : 0;
	/* Not for the pods, nor for a process that takes over from this one. */
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	for (int i = 0; i < n && i < INHERITED_MAX; i++)
		if (!inherited_add(in, FIRST_PASSED + i, NULL, 0))
			log_warn("socket %d of LISTEN_FDS listens to no TCP address: closed", i);
}

static bool is_for(const struct inherited_socket *s, const struct listener_config *c, int kind)
{
	if (s->fd < 0)
		return false;
	if (s->address)
		return s->kind == kind && strcmp(s->address, c->address) == 0;
	return net_is_same(&s->bound, &c->parsed);
}

int inherited_take(struct inherited *in, const struct listener_config *c, int kind,
		   struct net_address *bound)
{
	for (int i = 0; i < in->count; i++) {
		struct inherited_socket *s = &in->sockets[i];
		if (!is_for(s, c, kind))
			continue;
		int fd = s->fd;
		s->fd = -1;
		*bound = s->bound;
		return fd;
	}
	return -1;
}

void inherited_close(struct inherited *in)
{
	char where[NET_TEXT_BYTES];
	for (int i = 0; i < in->count; i++) {
		struct inherited_socket *s = &in->sockets[i];
		net_format(&s->bound, where);
		if (s->fd >= 0 && !s->address)
			log_warn("no listener has the address %s that the service manager listens "
				 "on: closed here",
				 where);
		else if (s->fd >= 0)
			log_info("no longer listening on %s", where);
		if (s->fd >= 0)
			close(s->fd);
		mem_free(s->address);
	}
	in->count = 0;
}
