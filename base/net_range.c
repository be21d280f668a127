/* Ranges of addresses. */
#include "base/net_range.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { MAPPED_BYTES = 12, V4_BYTES = 4, HOST_BYTES = INET6_ADDRSTRLEN };

static const unsigned char mapped[MAPPED_BYTES] = {[10] = 0xff, [11] = 0xff};

static bool to_bytes(const struct net_address *a, unsigned char bytes[NET_RANGE_BYTES])
{
	if (a->sa.sa_family == AF_INET) {
		memcpy(bytes, mapped, MAPPED_BYTES);
		memcpy(bytes + MAPPED_BYTES, &a->v4.sin_addr, V4_BYTES);
		return true;
	}
	if (a->sa.sa_family != AF_INET6)
		return false;
	memcpy(bytes, &a->v6.sin6_addr, NET_RANGE_BYTES);
	return true;
}

static bool from_text(const char *text, struct net_address *a)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, text, &a->v4.sin_addr) == 1) {
		a->v4.sin_family = AF_INET;
		a->len = sizeof(a->v4);
		return true;
	}
	if (inet_pton(AF_INET6, text, &a->v6.sin6_addr) != 1)
		return false;
	a->v6.sin6_family = AF_INET6;
	a->len = sizeof(a->v6);
	return true;
}

/* Its bits beyond the prefix must be 0: else somebody has mistyped one of the two. */
static bool has_bits_beyond(const struct net_range *r)
{
	for (int i = r->bits; i < NET_RANGE_BYTES * 8; i++)
		if (r->bytes[i / 8] & (0x80 >> i % 8))
			return true;
	return false;
}

const char *net_range_parse(const char *text, struct net_range *r)
{
	char host[HOST_BYTES];
	struct net_address a;
	size_t n = strcspn(text, "/");
	const char *prefix = text[n] ? text + n + 1 : NULL;
	if (n >= sizeof(host))
		return "not an address or a range such as \"10.0.0.0/8\" or \"2001:db8::/32\"";
	memcpy(host, text, n);
	host[n] = '\0';
	if (!from_text(host, &a) || !to_bytes(&a, r->bytes))
		return "not an address or a range such as \"10.0.0.0/8\" or \"2001:db8::/32\"";
	int most = a.sa.sa_family == AF_INET ? V4_BYTES * 8 : NET_RANGE_BYTES * 8;
	int bits = most;
	if (prefix) {
		size_t digits = strspn(prefix, "0123456789");
		bits = digits && digits <= 3 && !prefix[digits] ? atoi(prefix) : most + 1;
	}
	if (bits > most)
		return "what stands behind the \"/\" must be a number up to 32, or 128 with IPv6";
	r->bits = NET_RANGE_BYTES * 8 - most + bits;
	return has_bits_beyond(r) ? "the address has bits behind its prefix: write the first "
				    "address of the range"
				  : NULL;
}

bool net_range_holds(const struct net_range *r, const struct net_address *a)
{
	unsigned char bytes[NET_RANGE_BYTES];
	size_t whole = (size_t)r->bits / 8;
	if (!to_bytes(a, bytes) || memcmp(bytes, r->bytes, whole) != 0)
		return false;
	int rest = r->bits % 8;
	return !rest || ((bytes[whole] ^ r->bytes[whole]) & (0xff << (8 - rest)) & 0xff) == 0;
}

static bool is_port(struct slice s)
{
	if (s.len < 2 || s.len > 6 || s.at[0] != ':')
		return false;
	for (size_t i = 1; i < s.len; i++)
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
	return true;
}

bool net_parse_host(struct slice s, struct net_address *a)
{
	char text[HOST_BYTES];
	if (!s.len)
		return false;
	struct slice host = s, rest = {s.at + s.len, 0};
	const char *colon = memchr(s.at, ':', s.len);
	bool is_bracketed = s.at[0] == '[';
	if (is_bracketed) {
		const char *end = memchr(s.at, ']', s.len);
		if (!end)
			return false;
		host = (struct slice){s.at + 1, (size_t)(end - s.at) - 1};
		rest = (struct slice){end + 1, s.len - host.len - 2};
	} else if (colon && !memchr(colon + 1, ':', s.len - (size_t)(colon - s.at) - 1)) {
		host.len = (size_t)(colon - s.at);
		rest = (struct slice){colon, s.len - host.len};
	}
	if ((rest.len && !is_port(rest)) || host.len >= sizeof(text) ||
	    memchr(host.at, '\0', host.len))
		return false;
	memcpy(text, host.at, host.len);
	text[host.len] = '\0';
	return from_text(text, a) && (!is_bracketed || a->sa.sa_family == AF_INET6);
}
