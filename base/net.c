/* Sockets and their addresses. */
#include "base/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { BACKLOG = 4096, PORT_MAX = 65535, HOST_BYTES = INET6_ADDRSTRLEN };

static bool parse_port(const char *text, int *port)
{
	if (!*text || strspn(text, "0123456789") != strlen(text) || strlen(text) > 5)
		return false;
	*port = atoi(text);
	return *port <= PORT_MAX;
}

/* Splits off the host; false if there is no colon or it is too long. */
static bool split(const char *text, char host[HOST_BYTES], bool *in_brackets, const char **port)
{
	const char *colon = strrchr(text, ':');
	if (!colon)
		return false;
	const char *end = colon;
	*in_brackets = *text == '[';
	if (*in_brackets) {
		if (end == text || end[-1] != ']')
			return false;
		text++;
		end--;
	}
	size_t n = (size_t)(end - text);
	if (n >= HOST_BYTES)
		return false;
	memcpy(host, text, n);
	host[n] = '\0';
	*port = colon + 1;
	return true;
}

static const char *parse_v4(const char *host, int port, struct net_address *a)
{
	if (!*host || strcmp(host, "*") == 0)
		host = "0.0.0.0";
	else if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (inet_pton(AF_INET, host, &a->v4.sin_addr) != 1)
		return "its host is not a numeric address or \"localhost\": names are not looked "
		       "up";
	a->v4.sin_family = AF_INET;
	a->v4.sin_port = htons((uint16_t)port);
	a->len = sizeof(a->v4);
	return NULL;
}

static const char *parse_v6(const char *host, int port, struct net_address *a)
{
	if (inet_pton(AF_INET6, host, &a->v6.sin6_addr) != 1)
		return "what stands in its brackets is not a numeric IPv6 address";
	if (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
		return "write an IPv4 address as such, not mapped into IPv6";
	a->v6.sin6_family = AF_INET6;
	a->v6.sin6_port = htons((uint16_t)port);
	a->len = sizeof(a->v6);
	return NULL;
}

const char *net_parse(const char *text, struct net_address *a)
{
	char host[HOST_BYTES];
	const char *port_text;
	bool in_brackets;
	int port;
	if (!split(text, host, &in_brackets, &port_text))
		return "not an address of the form HOST:PORT";
	if (!in_brackets && strchr(host, ':'))
		return "write an IPv6 address in brackets, as in \"[::1]:8080\"";
	if (!parse_port(port_text, &port))
		return "its port is not a number from 0 to 65535";
	memset(a, 0, sizeof(*a));
	return in_brackets ? parse_v6(host, port, a) : parse_v4(host, port, a);
}

int net_port(const struct net_address *a)
{
	if (a->sa.sa_family == AF_INET6)
		return ntohs(a->v6.sin6_port);
	return ntohs(a->v4.sin_port);
}

bool net_is_same(const struct net_address *a, const struct net_address *b)
{
	return a->len == b->len && memcmp(&a->sa, &b->sa, a->len) == 0;
}

bool net_is_any(const struct net_address *a)
{
	if (a->sa.sa_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr);
	return a->v4.sin_addr.s_addr == htonl(INADDR_ANY);
}

static char *add_number(char *to, unsigned n)
{
	char digits[10];
	size_t at = sizeof(digits);
	do
		digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	return mempcpy(to, digits + at, sizeof(digits) - at);
}

/* By hand: it is done for each request, and inet_ntop prints by printf. */
static char *format_v4(const struct in_addr *host, char *to)
{
	unsigned char bytes[4];
	memcpy(bytes, host, sizeof(bytes));
	for (int i = 0; i < 4; i++) {
		to = add_number(to, bytes[i]);
		*to++ = '.';
	}
	return to - 1;
}

void net_format_host(const struct net_address *a, char text[NET_TEXT_BYTES])
{
	if (a->sa.sa_family == AF_INET)
		*format_v4(&a->v4.sin_addr, text) = '\0';
	else if (!inet_ntop(a->sa.sa_family, &a->v6.sin6_addr, text, NET_TEXT_BYTES))
		memcpy(text, "unknown", sizeof("unknown"));
}

void net_format(const struct net_address *a, char text[NET_TEXT_BYTES])
{
	char host[NET_TEXT_BYTES];
	bool is_v6 = a->sa.sa_family == AF_INET6;
	net_format_host(a, host);
	char *to = text;
	if (is_v6)
		*to++ = '[';
	to = mempcpy(to, host, strlen(host)); /* at most 45 bytes: room is left for the rest */
	if (is_v6)
		*to++ = ']';
	*to++ = ':';
	*add_number(to, (unsigned)net_port(a)) = '\0';
}

/* An IPv6 socket that also takes IPv4 clients shows these as ::ffff:a.b.c.d. */
static bool as_v4(const struct net_address *a, struct in_addr *host)
{
	if (a->sa.sa_family != AF_INET6)
		*host = a->v4.sin_addr;
	else if (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
		memcpy(host, a->v6.sin6_addr.s6_addr + 12, sizeof(*host));
	else
		return false;
	return true;
}

bool net_is_loopback(const struct net_address *a)
{
	struct in_addr v4;
	return as_v4(a, &v4) ? ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET
			     : IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
}

void net_format_client(const struct net_address *a, char text[NET_TEXT_BYTES])
{
	const uint8_t *n = a->v6.sin6_addr.s6_addr;
	struct in_addr v4;
	if (as_v4(a, &v4))
		inet_ntop(AF_INET, &v4, text, NET_TEXT_BYTES);
	else
		snprintf(text, NET_TEXT_BYTES, "%02x%02x:%02x%02x:%02x%02x:%02x%02x::/64", n[0],
			 n[1], n[2], n[3], n[4], n[5], n[6], n[7]);
}

static int new_socket(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	return fd;
}

static int close_with_error(int fd)
{
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

int net_listen(const struct net_address *a, struct net_address *bound)
{
	int fd = new_socket(a->sa.sa_family);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	const struct sockaddr *sa = &a->sa;
	if (bind(fd, sa, a->len) != 0 || listen(fd, BACKLOG) != 0)
		return close_with_error(fd);
	bound->len = NET_ADDRESS_BYTES;
	if (getsockname(fd, &bound->sa, &bound->len) != 0)
		return close_with_error(fd);
	return fd;
}

bool net_bound(int fd, struct net_address *a)
{
	int listens = 0;
	socklen_t len = sizeof(listens);
	a->len = NET_ADDRESS_BYTES;
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens &&
	       getsockname(fd, &a->sa, &a->len) == 0 &&
	       (a->sa.sa_family == AF_INET || a->sa.sa_family == AF_INET6);
}

int net_connect(const struct net_address *a)
{
	int fd = new_socket(a->sa.sa_family);
	if (fd < 0)
		return -1;
	if (connect(fd, &a->sa, a->len) != 0 && errno != EINPROGRESS)
		return close_with_error(fd);
	return fd;
}

int net_accept(int listener, struct net_address *peer)
{
	peer->len = NET_ADDRESS_BYTES;
	int fd = accept4(listener, &peer->sa, &peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	return fd;
}

void net_keep_alive(int fd)
{
	enum { IDLE_S = 60, INTERVAL_S = 10, PROBES = 6 };
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){IDLE_S}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){INTERVAL_S}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){PROBES}, sizeof(int));
}

int net_take_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

enum net_peer net_peer(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};
	if (poll(&p, 1, 0) <= 0)
		return NET_OPEN;
	if (p.revents & (POLLERR | POLLHUP | POLLNVAL))
		return NET_BROKEN;
	return p.revents & POLLRDHUP ? NET_CLOSED : NET_OPEN;
}

int64_t net_unsent_bytes(int fd)
{
	int bytes = 0;
	return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

bool net_is_idle(int fd)
{
	char byte;
	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EWOULDBLOCK);
}

int64_t net_raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return -1;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	return (int64_t)limit.rlim_cur;
}
