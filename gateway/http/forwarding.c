/* Who the client is, and what the pod is told of it. */
#include "gateway/http/forwarding.h"

#include <string.h>

#include "gateway/gateway.h"

static bool is_trusted(const struct forwarding_config *f, const struct net_address *a)
{
	for (size_t i = 0; i < f->trusted_count; i++)
		if (net_range_holds(&f->trusted[i], a))
			return true;
	return false;
}

static bool writes_x_forwarded(const struct forwarding_config *f)
{
	return f->headers == FORWARDING_X_FORWARDED || f->headers == FORWARDING_BOTH;
}

static bool writes_forwarded(const struct forwarding_config *f)
{
	return f->headers == FORWARDING_STANDARD || f->headers == FORWARDING_BOTH;
}

/* --- the client ------------------------------------------------------------------------------ */

/* The last element of a list, which is taken off it; false if there is none. A comma within quotes
 * separates nothing; they are counted from the end, which trusted proxies have written. */
static bool take_last(struct slice *list, struct slice *element)
{
	size_t start = list->len;
	bool is_quoted = false;
	if (!list->len)
		return false;
	while (start > 0 && (is_quoted || list->at[start - 1] != ','))
		is_quoted ^= list->at[--start] == '"';
	*element = slice_trim((struct slice){list->at + start, list->len - start});
	list->len = start ? start - 1 : 0;
	return true;
}

/* The value of `for` in an element of Forwarded, without quotes. */
static struct slice find_for(struct slice element)
{
	while (element.len) {
		const char *semicolon = memchr(element.at, ';', element.len);
		size_t len = semicolon ? (size_t)(semicolon - element.at) : element.len;
		struct slice pair = slice_trim((struct slice){element.at, len});
		if (pair.len > 4 && slice_is_nocase((struct slice){pair.at, 4}, "for=")) {
			pair.at += 4;
			pair.len -= 4;
			if (pair.len >= 2 && pair.at[0] == '"' && pair.at[pair.len - 1] == '"')
				pair = (struct slice){pair.at + 1, pair.len - 2};
			return pair;
		}
		size_t used = semicolon ? len + 1 : len;
		element.at += used;
		element.len -= used;
	}
	return (struct slice){0};
}

struct net_address forwarding_client(const struct forwarding_config *f,
				     const struct net_address *peer, const struct http_head *head)
{
	struct net_address client = *peer, named;
	struct slice element;
	enum header_id id =
		f->headers == FORWARDING_STANDARD ? HEADER_FORWARDED : HEADER_X_FORWARDED_FOR;
	for (size_t i = head->count; i-- > 0;) {
		struct slice list = head->headers[i].value;
		if (head->headers[i].id != id)
			continue;
		while (is_trusted(f, &client) && take_last(&list, &element)) {
			if (id == HEADER_FORWARDED)
				element = find_for(element);
			/* One that hides itself, or is nonsense: what is before
			 * it proves nothing. */
			if (!net_parse_host(element, &named))
				return client;
			client = named;
		}
	}
	return client;
}

/* --- what the pod is told -------------------------------------------------------------------- */

bool forwarding_replaces(const struct forwarding_config *f, const struct net_address *peer,
			 enum header_id id)
{
	bool is_x = id == HEADER_X_FORWARDED_FOR || id == HEADER_X_FORWARDED_HOST ||
		    id == HEADER_X_FORWARDED_PROTO || id == HEADER_X_REAL_IP;
	if ((is_x && writes_x_forwarded(f)) || (id == HEADER_FORWARDED && writes_forwarded(f)))
		return true;
	return (is_x || id == HEADER_FORWARDED || id == HEADER_X_FORWARDED_OTHER) &&
	       !is_trusted(f, peer);
}

/* A line that begins with what trusted proxies said, and ends with ours. */
static void begin_list(struct str *s, const char *name, const struct http_head *head,
		       enum header_id id, bool trusts)
{
	str_add_text(s, name);
	str_add(s, ": ", 2);
	for (size_t i = 0; trusts && i < head->count; i++) {
		if (head->headers[i].id != id || !head->headers[i].value.len)
			continue;
		str_add_slice(s, head->headers[i].value);
		str_add(s, ", ", 2);
	}
}

static void add_line(struct str *s, const char *name, struct slice value)
{
	str_add_text(s, name);
	str_add(s, ": ", 2);
	str_add_slice(s, value);
	str_add(s, "\r\n", 2);
}

static struct slice scheme_of(const struct exchange *x)
{
	return exchange_tls(x) ? SLICE("https") : SLICE("http");
}

static void add_x_forwarded(struct str *s, const struct http_head *head, const struct route *route,
			    const struct exchange *x, bool trusts)
{
	char peer[NET_TEXT_BYTES], client[NET_TEXT_BYTES];
	struct net_address from = forwarding_client(&x->gateway->config->forwarding, x->peer, head);
	struct slice host = http_find(head, HEADER_X_FORWARDED_HOST);
	struct slice proto = http_find(head, HEADER_X_FORWARDED_PROTO);
	net_format_host(x->peer, peer);
	net_format_host(&from, client);
	begin_list(s, "X-Forwarded-For", head, HEADER_X_FORWARDED_FOR, trusts);
	str_add_text(s, peer);
	str_add(s, "\r\n", 2);
	add_line(s, "X-Forwarded-Host", trusts && host.len ? host : route->host);
	add_line(s, "X-Forwarded-Proto", trusts && proto.len ? proto : scheme_of(x));
	add_line(s, "X-Real-IP", slice_of(client));
}

static void add_standard(struct str *s, const struct http_head *head, const struct route *route,
			 const struct exchange *x, bool trusts)
{
	char peer[NET_TEXT_BYTES];
	bool is_v6 = x->peer->sa.sa_family == AF_INET6;
	net_format_host(x->peer, peer);
	begin_list(s, "Forwarded", head, HEADER_FORWARDED, trusts);
	str_add_text(s, is_v6 ? "for=\"[" : "for=");
	str_add_text(s, peer);
	str_add_text(s, is_v6 ? "]\";host=\"" : ";host=\"");
	str_add_slice(s, route->host); /* it has passed syntax_is_host: nothing to escape */
	str_add_text(s, "\";proto=");
	str_add_slice(s, scheme_of(x));
	str_add(s, "\r\n", 2);
}

void forwarding_add(struct str *s, const struct http_head *head, const struct route *route,
		    const struct exchange *x)
{
	const struct forwarding_config *f = &x->gateway->config->forwarding;
	bool trusts = is_trusted(f, x->peer);
	if (writes_x_forwarded(f))
		add_x_forwarded(s, head, route, x, trusts);
	if (writes_forwarded(f))
		add_standard(s, head, route, x, trusts);
}
