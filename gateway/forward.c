/* Heads on their way through the gateway. */
#include "gateway/forward.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/crypto.h"

/* Whether the Connection header names this one, which makes it hop-by-hop too. */
static bool is_nominated(const struct http_head *head, struct slice name)
{
	for (size_t i = 0; i < head->count; i++) {
		if (head->headers[i].id != HEADER_CONNECTION)
			continue;
		struct slice list = head->headers[i].value, element;
		while (slice_next_in_list(&list, &element))
			if (element.len == name.len &&
			    strncasecmp(element.at, name.at, name.len) == 0)
				return true;
	}
	return false;
}

/* Only a Connection header with more than the usual words can nominate others. */
static bool has_nominations(const struct http_head *head)
{
	for (size_t i = 0; i < head->count; i++) {
		struct slice list = head->headers[i].value, element;
		if (head->headers[i].id != HEADER_CONNECTION)
			continue;
		while (slice_next_in_list(&list, &element))
			if (!slice_is_nocase(element, "keep-alive") &&
			    !slice_is_nocase(element, "close") &&
			    !slice_is_nocase(element, "upgrade"))
				return true;
	}
	return false;
}

/* --- requests --- */

static bool is_id_byte(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       strchr("-_.:+/=", c) != NULL;
}

void forward_request_id(const struct http_head *head, char id[REQUEST_ID_BYTES])
{
	struct slice given = http_find(head, HEADER_X_REQUEST_ID);
	bool sane = given.len > 0 && given.len < REQUEST_ID_BYTES;
	for (size_t i = 0; sane && i < given.len; i++)
		sane = given.at[i] && is_id_byte(given.at[i]);
	if (sane) {
		memcpy(id, given.at, given.len);
		id[given.len] = '\0';
		return;
	}
	crypto_random_hex(id, 32);
}

static void add_header(struct str *s, const char *name, struct slice value)
{
	str_add_text(s, name);
	str_add(s, ": ", 2);
	str_add_slice(s, value);
	str_add(s, "\r\n", 2);
}

/* Those that are passed on under another value, or as framing. */
static bool is_rewritten(enum header_id id)
{
	return id == HEADER_HOST || id == HEADER_CONTENT_LENGTH || id == HEADER_EXPECT ||
	       id == HEADER_X_REQUEST_ID || id == HEADER_X_FORWARDED_FOR ||
	       id == HEADER_X_FORWARDED_HOST || id == HEADER_X_FORWARDED_PROTO || id == HEADER_VIA;
}

/* Appends ours to what earlier proxies said, in one line. */
static void add_appended(struct str *s, const struct http_head *head, enum header_id id,
			 const char *name, const char *ours)
{
	str_add_text(s, name);
	str_add(s, ": ", 2);
	for (size_t i = 0; i < head->count; i++) {
		if (head->headers[i].id != id || !head->headers[i].value.len)
			continue;
		str_add_slice(s, head->headers[i].value);
		str_add(s, ", ", 2);
	}
	str_add_text(s, ours);
	str_add(s, "\r\n", 2);
}

static void add_forwarded(struct str *s, const struct http_head *head, const struct route *route,
			  const struct exchange *x)
{
	char peer[NET_TEXT_BYTES];
	struct slice host = http_find(head, HEADER_X_FORWARDED_HOST);
	struct slice proto = http_find(head, HEADER_X_FORWARDED_PROTO);
	net_format_host(x->peer, peer);
	add_appended(s, head, HEADER_X_FORWARDED_FOR, "X-Forwarded-For", peer);
	add_header(s, "X-Forwarded-Host", host.len ? host : route->host);
	add_header(s, "X-Forwarded-Proto", proto.len ? proto : SLICE("http"));
	char via[32];
	snprintf(via, sizeof(via), "%s slotgate", x->version);
	add_appended(s, head, HEADER_VIA, "Via", via);
}

void forward_request_head(struct str *s, const struct http_head *head, const struct route *route,
			  const struct exchange *x, const char *request_id)
{
	bool nominations = has_nominations(head);
	str_add_slice(s, head->method);
	str_add_char(s, ' ');
	str_add_slice(s, route->target);
	str_add_text(s, " HTTP/1.1\r\n");
	add_header(s, "Host", route->host.len ? route->host : SLICE("localhost"));
	for (size_t i = 0; i < head->count; i++) {
		const struct http_header *h = &head->headers[i];
		if (header_is_hop_by_hop(h->id) || is_rewritten(h->id) ||
		    (nominations && is_nominated(head, h->name)))
			continue;
		str_add_slice(s, h->name);
		str_add(s, ": ", 2);
		str_add_slice(s, h->value);
		str_add(s, "\r\n", 2);
	}
	add_forwarded(s, head, route, x);
	add_header(s, "X-Request-Id", slice_of(request_id));
	if (head->wants_upgrade) {
		add_header(s, "Connection", SLICE("upgrade"));
		add_header(s, "Upgrade", http_find(head, HEADER_UPGRADE));
	}
}

void forward_request_framing(struct str *s, int64_t content_length)
{
	if (content_length >= 0) {
		str_add_text(s, "Content-Length: ");
		str_add_u64(s, (uint64_t)content_length);
		str_add(s, "\r\n", 2);
	}
	str_add(s, "\r\n", 2);
}

struct slice forward_cookie(const struct http_head *head, const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < head->count; i++) {
		struct slice rest = head->headers[i].value;
		if (head->headers[i].id != HEADER_COOKIE)
			continue;
		while (rest.len) {
			const char *semicolon = memchr(rest.at, ';', rest.len);
			size_t len = semicolon ? (size_t)(semicolon - rest.at) : rest.len;
			struct slice pair = slice_trim((struct slice){rest.at, len});
			if (pair.len > n && memcmp(pair.at, name, n) == 0 && pair.at[n] == '=')
				return (struct slice){pair.at + n + 1, pair.len - n - 1};
			size_t used = semicolon ? len + 1 : len;
			rest.at += used;
			rest.len -= used;
		}
	}
	return (struct slice){0};
}

/* --- answers --- */

size_t forward_answer_headers(const struct http_head *head, struct http_header *kept, size_t max,
			      bool is_upgrade)
{
	bool nominations = has_nominations(head);
	size_t n = 0;
	for (size_t i = 0; i < head->count && n < max; i++) {
		const struct http_header *h = &head->headers[i];
		bool is_the_upgrade = is_upgrade && h->id == HEADER_UPGRADE;
		if (!is_the_upgrade &&
		    (header_is_hop_by_hop(h->id) || h->id == HEADER_CONTENT_LENGTH ||
		     (nominations && is_nominated(head, h->name))))
			continue;
		kept[n++] = *h;
	}
	return n;
}
