/* gRPC's framing and statuses. */
#include "gateway/autoscalers/grpc.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"

const char *grpc_status_name(enum grpc_status status)
{
	switch (status) {
	case GRPC_OK:
		return "OK";
	case GRPC_INVALID_ARGUMENT:
		return "INVALID_ARGUMENT";
	case GRPC_DEADLINE_EXCEEDED:
		return "DEADLINE_EXCEEDED";
	case GRPC_NOT_FOUND:
		return "NOT_FOUND";
	case GRPC_RESOURCE_EXHAUSTED:
		return "RESOURCE_EXHAUSTED";
	case GRPC_UNIMPLEMENTED:
		return "UNIMPLEMENTED";
	case GRPC_INTERNAL:
		return "INTERNAL";
	case GRPC_UNAVAILABLE:
		return "UNAVAILABLE";
	}
	return "UNKNOWN";
}

bool grpc_fail(struct grpc_fault *f, enum grpc_status status, const char *format, ...)
{
	va_list args;
	f->status = status;
	va_start(args, format);
	vsnprintf(f->text, sizeof(f->text), format, args);
	va_end(args);
	return false;
}

/* --- the head -------------------------------------------------------------------------------- */

static struct slice find(const struct http_head *head, const char *name)
{
	for (size_t i = 0; i < head->count; i++)
		if (slice_is_nocase(head->headers[i].name, name))
			return head->headers[i].value;
	return (struct slice){0};
}

/* Up to eight digits and a unit: "30S". */
static bool read_timeout(struct slice text, int64_t *us)
{
	static const struct {
		char unit;
		int64_t us; /* 0: nanoseconds */
	} units[] = {{'H', 3600 * US_PER_S},
		     {'M', 60 * US_PER_S},
		     {'S', US_PER_S},
		     {'m', US_PER_MS},
		     {'u', 1},
		     {'n', 0}};
	enum { DIGITS_MAX = 8 };
	int64_t n = 0;
	if (text.len < 2 || text.len > DIGITS_MAX + 1)
		return false;
	for (size_t i = 0; i < text.len - 1; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
		n = n * 10 + (text.at[i] - '0');
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (text.at[text.len - 1] != units[i].unit)
			continue;
		*us = units[i].us ? n * units[i].us : n / 1000;
		return true;
	}
	return false;
}

static bool not_grpc(struct grpc_head *out, int status, const char *fault)
{
	out->http_status = status;
	out->http_fault = fault;
	return false;
}

/* What a proxy in between may have got wrong is told in HTTP: that client may not speak gRPC. */
static bool read_protocol(struct grpc_head *out, const struct http_head *head, const char *version)
{
	struct slice type = find(head, "content-type");
	if (strcmp(version, "2") != 0)
		return not_grpc(out, 505, "this address speaks gRPC, and so HTTP/2 only");
	if (!slice_starts(type, "application/grpc"))
		return not_grpc(out, 415,
				"this address speaks gRPC: send POST with Content-Type: "
				"application/grpc");
	if (!slice_is(head->method, "POST"))
		return not_grpc(out, 405, "a call of gRPC is a POST");
	return true;
}

static bool is_protobuf(struct slice type)
{
	struct slice rest = {type.at + sizeof("application/grpc") - 1,
			     type.len - (sizeof("application/grpc") - 1)};
	if (slice_starts(rest, "+proto"))
		rest = (struct slice){rest.at + 6, rest.len - 6};
	return !rest.len || *rest.at == ';';
}

bool grpc_read_head(struct grpc_head *out, const struct http_head *head, const char *http_version,
		    struct grpc_fault *fault)
{
	*out = (struct grpc_head){.method = head->target, .time_us = INT64_MAX};
	if (!read_protocol(out, head, http_version))
		return false;
	struct slice type = find(head, "content-type"), encoding = find(head, "grpc-encoding");
	struct slice timeout = find(head, "grpc-timeout");
	if (!is_protobuf(type))
		return grpc_fail(fault, GRPC_UNIMPLEMENTED,
				 "Content-Type %.*s: messages must be protobuf, as in "
				 "application/grpc+proto",
				 (int)(type.len < 100 ? type.len : 100), type.at);
	if (encoding.len && !slice_is_nocase(encoding, "identity"))
		return grpc_fail(fault, GRPC_UNIMPLEMENTED,
				 "grpc-encoding %.*s: messages must not be compressed",
				 (int)(encoding.len < 100 ? encoding.len : 100), encoding.at);
	if (timeout.at && !read_timeout(timeout, &out->time_us))
		return grpc_fail(fault, GRPC_INTERNAL,
				 "grpc-timeout %.*s: must be up to 8 digits and one of H, M, S, m, "
				 "u, n",
				 (int)(timeout.len < 100 ? timeout.len : 100), timeout.at);
	return true;
}

/* --- the message ----------------------------------------------------------------------------- */

void grpc_reader_init(struct grpc_reader *r, size_t most_bytes)
{
	*r = (struct grpc_reader){.most_bytes = most_bytes};
	str_init(&r->message);
}

void grpc_reader_release(struct grpc_reader *r)
{
	str_release(&r->message);
}

static bool read_prefix(struct grpc_reader *r, struct grpc_fault *fault)
{
	const unsigned char *p = r->prefix;
	r->left = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
	if (p[0] == 1)
		return grpc_fail(fault, GRPC_INTERNAL,
				 "the message is marked as compressed, and no grpc-encoding says "
				 "how: send it as it is");
	if (p[0])
		return grpc_fail(fault, GRPC_INTERNAL,
				 "the message begins with %d, where 0 (not compressed) must be",
				 p[0]);
	if (r->left > r->most_bytes)
		return grpc_fail(fault, GRPC_RESOURCE_EXHAUSTED,
				 "a message of %zu bytes: at most %zu are taken", r->left,
				 r->most_bytes);
	return true;
}

static bool is_whole(const struct grpc_reader *r)
{
	return r->prefix_len == GRPC_PREFIX_BYTES && !r->left;
}

bool grpc_reader_feed(struct grpc_reader *r, const char *bytes, size_t len,
		      struct grpc_fault *fault)
{
	while (len) {
		if (is_whole(r))
			return grpc_fail(fault, GRPC_UNIMPLEMENTED,
					 "the call takes one message, and more were sent");
		if (r->prefix_len < GRPC_PREFIX_BYTES) {
			r->prefix[r->prefix_len++] = (unsigned char)*bytes++;
			len--;
			if (r->prefix_len == GRPC_PREFIX_BYTES && !read_prefix(r, fault))
				return false;
			continue;
		}
		size_t part = len < r->left ? len : r->left;
		str_add(&r->message, bytes, part);
		if (r->message.failed)
			return grpc_fail(fault, GRPC_RESOURCE_EXHAUSTED,
					 "out of memory: ask again");
		r->left -= part;
		bytes += part;
		len -= part;
	}
	return true;
}

bool grpc_reader_end(const struct grpc_reader *r, struct grpc_fault *fault)
{
	if (is_whole(r))
		return true;
	if (!r->prefix_len)
		return grpc_fail(fault, GRPC_UNIMPLEMENTED,
				 "the call takes one message, and none was sent");
	return grpc_fail(fault, GRPC_INTERNAL, "the body ends within its message");
}

void grpc_add_message(struct str *out, const char *message, size_t len)
{
	const char prefix[GRPC_PREFIX_BYTES] = {0, (char)(len >> 24), (char)(len >> 16),
						(char)(len >> 8), (char)len};
	str_add(out, prefix, sizeof(prefix));
	str_add(out, message, len);
}

void grpc_add_text(struct str *out, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c >= ' ' && c <= '~' && c != '%') {
			str_add_char(out, *text);
			continue;
		}
		const char coded[] = {'%', digits[c >> 4], digits[c & 15]};
		str_add(out, coded, sizeof(coded));
	}
}

/* --- answering ------------------------------------------------------------------------------- */

enum { STATUS_HEADERS = 2 };

/* The status and its text, as headers; returns how many. */
static size_t list_status(struct http_header headers[STATUS_HEADERS], const struct grpc_fault *f,
			  char digits[12], struct str *text)
{
	snprintf(digits, 12, "%d", f ? (int)f->status : GRPC_OK);
	headers[0] = (struct http_header){SLICE("grpc-status"), slice_of(digits), HEADER_OTHER};
	if (!f)
		return 1;
	grpc_add_text(text, f->text);
	if (!text->len || text->failed)
		return 1; /* the status says the most */
	headers[1] =
		(struct http_header){SLICE("grpc-message"), {text->at, text->len}, HEADER_OTHER};
	return 2;
}

static void respond(struct exchange *x, const struct grpc_fault *f, bool is_all)
{
	struct http_header headers[STATUS_HEADERS + 1] = {
		{SLICE("content-type"), SLICE("application/grpc"), HEADER_OTHER}};
	char digits[12];
	struct str text;
	str_init(&text);
	size_t n = is_all ? list_status(headers + 1, f, digits, &text) : 0;
	struct answer a = {.status = 200,
			   .headers = headers,
			   .count = n + 1,
			   .content_length = -1,
			   .has_body = !is_all};
	exchange_respond(x, &a);
	str_release(&text);
}

void grpc_begin(struct exchange *x)
{
	respond(x, NULL, false);
}

void grpc_end(struct exchange *x, const struct grpc_fault *f)
{
	struct http_header headers[STATUS_HEADERS];
	char digits[12];
	struct str text;
	str_init(&text);
	exchange_end_with(x, headers, list_status(headers, f, digits, &text));
	str_release(&text);
}

void grpc_refuse(struct exchange *x, const struct grpc_fault *f)
{
	respond(x, f, true);
	exchange_end(x);
}
