/* The invariants of http.h, worked out anew from the headers. */
#include "tests/fuzz/http_check.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/http_feed.h"

static bool is_token(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];
		if (!c || (!isalnum(c) && !strchr("!#$%&'*+-.^_`|~", c)))
			return false;
	}
	return s.len > 0;
}

static bool is_line_safe(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

void check_header(const struct http_header *h)
{
	FUZZ_CHECK(is_token(h->name), h->name.len, 0);
	FUZZ_CHECK(is_line_safe(h->value), h->value.len, 0);
	FUZZ_CHECK(slice_trim(h->value).len == h->value.len, h->value.len, 0);
	FUZZ_CHECK(h->id == header_identify(h->name), h->id, 0);
}

static size_t count_of(const struct http_head *h, const char *name)
{
	size_t n = 0;
	for (size_t i = 0; i < h->count; i++)
		n += slice_is_nocase(h->headers[i].name, name);
	return n;
}

static struct slice value_of(const struct http_head *h, const char *name)
{
	for (size_t i = 0; i < h->count; i++)
		if (slice_is_nocase(h->headers[i].name, name))
			return h->headers[i].value;
	return (struct slice){0};
}

/* At most one length and one encoding, never both, and the fields say what the headers say. */
static void check_framing(const struct http_head *h)
{
	size_t lengths = count_of(h, "content-length");
	size_t encodings = count_of(h, "transfer-encoding");
	FUZZ_CHECK(h->minor == 0 || h->minor == 1, h->minor, 0);
	FUZZ_CHECK(h->count <= FEED_HEADERS, h->count, 0);
	FUZZ_CHECK(lengths + encodings <= 1, lengths, encodings);
	FUZZ_CHECK(h->is_chunked == (encodings == 1), h->is_chunked, encodings);
	FUZZ_CHECK(!encodings || h->minor == 1, h->minor, 0);
	FUZZ_CHECK(!encodings || slice_is_nocase(value_of(h, "transfer-encoding"), "chunked"), 0,
		   0);
	FUZZ_CHECK((h->content_length >= 0) == (lengths == 1), h->content_length, lengths);
	if (!lengths)
		return;
	struct slice v = value_of(h, "content-length");
	int64_t n = 0;
	FUZZ_CHECK(v.len > 0, 0, 0);
	for (size_t i = 0; i < v.len; i++) {
		FUZZ_CHECK(v.at[i] >= '0' && v.at[i] <= '9', v.at[i], i);
		FUZZ_CHECK(!__builtin_mul_overflow(n, 10, &n), n, 0);
		FUZZ_CHECK(!__builtin_add_overflow(n, v.at[i] - '0', &n), n, 0);
	}
	FUZZ_CHECK(n == h->content_length, n, h->content_length);
}

static void check_text(const struct http_head *h)
{
	size_t bytes = 0;
	for (size_t i = 0; i < h->count; i++) {
		check_header(&h->headers[i]);
		bytes += h->headers[i].name.len + h->headers[i].value.len;
	}
	bytes += h->method.len + h->target.len + h->reason.len;
	FUZZ_CHECK(bytes <= FEED_HEAD_BYTES, bytes, 0);
}

static void check_words(const struct http_head *h)
{
	check_text(h);
	check_framing(h);
	size_t hosts = count_of(h, "host");
	FUZZ_CHECK(hosts == 1 || (hosts == 0 && h->minor == 0), hosts, h->minor);
	FUZZ_CHECK(is_token(h->method), h->method.len, 0);
	FUZZ_CHECK(h->target.len > 0, 0, 0);
	for (size_t i = 0; i < h->target.len; i++) {
		unsigned char c = (unsigned char)h->target.at[i];
		FUZZ_CHECK(c > 0x20 && c != 0x7f, c, i);
	}
}

void check_http2_head(const struct http_head *h)
{
	check_words(h);
	FUZZ_CHECK(h->minor == 1 && !h->is_chunked && !h->wants_upgrade, h->minor, h->is_chunked);
	FUZZ_CHECK(h->has_body || h->content_length <= 0, h->content_length, 0);
	FUZZ_CHECK(!count_of(h, "connection") && count_of(h, "cookie") <= 1, 0, 0);
	FUZZ_CHECK(h->target.at[0] == '/' || slice_is(h->target, "*") ||
			   slice_is(h->method, "CONNECT"),
		   h->target.len, 0);
}

void check_request_head(const struct http_head *h)
{
	check_words(h);
	FUZZ_CHECK(h->has_body == (h->is_chunked || h->content_length > 0), h->has_body,
		   h->content_length);
	FUZZ_CHECK(!h->wants_upgrade || (count_of(h, "upgrade") && count_of(h, "connection")),
		   count_of(h, "upgrade"), count_of(h, "connection"));
}

void check_answer_head(const struct http_head *h, bool answers_head)
{
	check_text(h);
	check_framing(h);
	FUZZ_CHECK(h->status >= 0 && h->status <= 999, h->status, 0);
	bool bodiless = answers_head || h->status < 200 || h->status == 204 || h->status == 304;
	FUZZ_CHECK(h->has_body == (!bodiless && h->content_length != 0), h->has_body, h->status);
}

bool check_is_nominated(const struct http_head *head, struct slice name)
{
	for (size_t i = 0; i < head->count; i++) {
		if (!slice_is_nocase(head->headers[i].name, "connection"))
			continue;
		struct slice v = head->headers[i].value;
		for (size_t from = 0, to; from <= v.len; from = to + 1) {
			for (to = from; to < v.len && v.at[to] != ',';)
				to++;
			struct slice e = slice_trim((struct slice){v.at + from, to - from});
			if (e.len == name.len && strncasecmp(e.at, name.at, e.len) == 0)
				return true;
		}
	}
	return false;
}
