/* The service manager's notify protocol: one datagram of lines. */
#include "gateway/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { STATE_BYTES = 128 };

/* An abstract address begins with '@' there and with a NUL here. 0: not usable. */
static socklen_t address_of(const char *name, struct sockaddr_un *a)
{
	size_t n = strlen(name);
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if ((*name != '/' && *name != '@') || n < 2 || n >= sizeof(a->sun_path))
		return 0;
	memcpy(a->sun_path, name, n);
	if (*name == '@')
		a->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (*name == '/'));
}

static void tell(const char *state)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a;
	if (!name)
		return;
	socklen_t len = address_of(name, &a);
	int fd = len ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
	if (!len)
		errno = EINVAL;
	if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
			     (const struct sockaddr *)&a, len) < 0)
		log_warn("cannot tell the service manager at NOTIFY_SOCKET (%s): %s", name,
			 strerror(errno));
	if (fd >= 0)
		close(fd);
}

void notify_ready(void)
{
	char state[STATE_BYTES];
	snprintf(state, sizeof(state), "MAINPID=%d\nREADY=1", (int)getpid());
	tell(state);
}

void notify_reloading(void)
{
	char state[STATE_BYTES];
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld",
		 (long long)clock_now_us());
	tell(state);
}

void notify_stopping(void)
{
	tell("STOPPING=1");
}
