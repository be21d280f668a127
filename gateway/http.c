/* HTTP/1 messages by llhttp: the only file that includes it. */
#include "gateway/http.h"

#include <llhttp.h>
#include <string.h>

#include "base/mem.h"

enum { FIRST_HEADERS = 32, TARGET_MAX_BYTES = 8192, CALLBACK_FAILED = -1 };

/* Where a header lies in `text`, which moves while it grows. */
struct place {
	size_t name, name_len, value, value_len;
};

struct http_parser {
	llhttp_t llhttp;
	struct http_limits limits;
	const struct http_events *events;
	void *owner;
	struct http_head head;
	struct str text; /* the head's bytes, piece after piece */
	struct place *places;
	size_t capacity; /* of places and headers */
	size_t method_len, target, target_len, reason, reason_len;
	bool has_begun, has_head, answers_head, in_value, has_ended;
	/* Where the raw head stands, for the rules about lines. */
	bool after_cr, at_line_start, past_first_line;
	enum http_result failure;
	const char *fault;
};

/* --- collecting the head --- */

static int fail(struct http_parser *p, enum http_result result, const char *fault)
{
	if (p->failure == HTTP_MORE) {
		p->failure = result;
		p->fault = fault;
	}
	return CALLBACK_FAILED;
}

static int add_text(struct http_parser *p, const char *at, size_t len)
{
	if (p->text.len + len > p->limits.head_bytes)
		return fail(p, HTTP_HEAD_TOO_LARGE, "the head is too large");
	str_add(&p->text, at, len);
	return p->text.failed ? fail(p, HTTP_NO_MEMORY, "out of memory") : 0;
}

static int on_method(llhttp_t *l, const char *at, size_t len)
{
	struct http_parser *p = l->data;
	p->method_len += len;
	return add_text(p, at, len);
}

static int on_url(llhttp_t *l, const char *at, size_t len)
{
	struct http_parser *p = l->data;
	if (!p->target_len)
		p->target = p->text.len;
	p->target_len += len;
	if (p->target_len > TARGET_MAX_BYTES)
		return fail(p, HTTP_TARGET_TOO_LONG, "the request target is too long");
	return add_text(p, at, len);
}

static int on_status(llhttp_t *l, const char *at, size_t len)
{
	struct http_parser *p = l->data;
	if (!p->reason_len)
		p->reason = p->text.len;
	p->reason_len += len;
	return add_text(p, at, len);
}

static int grow_headers(struct http_parser *p)
{
	size_t capacity = p->capacity ? p->capacity * 2 : FIRST_HEADERS;
	struct place *places = mem_resize(p->places, capacity * sizeof(*places));
	if (places)
		p->places = places;
	struct http_header *headers = mem_resize(p->head.headers, capacity * sizeof(*headers));
	if (headers)
		p->head.headers = headers;
	if (!places || !headers)
		return fail(p, HTTP_NO_MEMORY, "out of memory");
	p->capacity = capacity;
	return 0;
}

static int on_header_field(llhttp_t *l, const char *at, size_t len)
{
	struct http_parser *p = l->data;
	if (p->has_head)
		return 0; /* a trailer: it is not passed on */
	if (p->head.count == 0 || p->in_value) {
		if (p->head.count == p->limits.headers)
			return fail(p, HTTP_HEAD_TOO_LARGE, "there are too many headers");
		if (p->head.count == p->capacity && grow_headers(p))
			return CALLBACK_FAILED;
		p->places[p->head.count++] = (struct place){.name = p->text.len};
		p->in_value = false;
	}
	p->places[p->head.count - 1].name_len += len;
	return add_text(p, at, len);
}

static int on_header_value(llhttp_t *l, const char *at, size_t len)
{
	struct http_parser *p = l->data;
	if (p->has_head)
		return 0;
	struct place *place = &p->places[p->head.count - 1];
	if (!p->in_value)
		place->value = p->text.len;
	p->in_value = true;
	place->value_len += len;
	return add_text(p, at, len);
}

static int on_header_value_complete(llhttp_t *l)
{
	struct http_parser *p = l->data;
	if (p->has_head || p->in_value)
		return 0;
	/* An empty value has no span. */
	p->places[p->head.count - 1].value = p->text.len;
	p->in_value = true;
	return 0;
}

/* --- understanding it --- */

static void resolve(struct http_parser *p)
{
	struct http_head *h = &p->head;
	const char *text = p->text.at;
	h->method = (struct slice){text, p->method_len};
	h->target = (struct slice){text + p->target, p->target_len};
	h->reason = (struct slice){text + p->reason, p->reason_len};
	for (size_t i = 0; i < h->count; i++) {
		const struct place *place = &p->places[i];
		struct http_header *header = &h->headers[i];
		header->name = (struct slice){text + place->name, place->name_len};
		header->value = slice_trim((struct slice){text + place->value, place->value_len});
		header->id = header_identify(header->name);
	}
}

static bool has_forbidden_bytes(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return true;
	}
	return false;
}

static bool is_digits(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
	return s.len > 0;
}

/* The rules beyond llhttp's; NULL, or which one is broken. */
static const char *broken_rule(struct http_parser *p)
{
	const struct http_head *h = &p->head;
	int hosts = 0, lengths = 0, encodings = 0;
	for (size_t i = 0; i < h->count; i++) {
		const struct http_header *header = &h->headers[i];
		if (has_forbidden_bytes(header->value))
			return "a header value contains control bytes";
		hosts += header->id == HEADER_HOST;
		if (header->id == HEADER_CONTENT_LENGTH && (lengths++ || !is_digits(header->value)))
			return "Content-Length is not one number";
		if (header->id == HEADER_TRANSFER_ENCODING &&
		    (encodings++ || !slice_is_nocase(header->value, "chunked")))
			return "the only Transfer-Encoding understood is \"chunked\"";
	}
	if (lengths && encodings)
		return "both Content-Length and Transfer-Encoding are given";
	if (encodings && h->minor == 0)
		return "HTTP/1.0 has no Transfer-Encoding";
	if (p->llhttp.http_major != 1 || h->minor > 1)
		return "only HTTP/1.0 and HTTP/1.1 are spoken here";
	if (p->llhttp.type == HTTP_REQUEST && hosts > 1)
		return "there is more than one Host header";
	if (p->llhttp.type == HTTP_REQUEST && h->minor == 1 && hosts == 0)
		return "HTTP/1.1 needs a Host header";
	return NULL;
}

static void read_framing(struct http_parser *p)
{
	struct http_head *h = &p->head;
	h->status = p->llhttp.status_code;
	h->minor = p->llhttp.http_minor;
	h->keep_alive = llhttp_should_keep_alive(&p->llhttp) != 0;
	h->wants_upgrade = p->llhttp.upgrade != 0;
	h->is_chunked = (p->llhttp.flags & F_CHUNKED) != 0;
	h->content_length = -1;
	if (p->llhttp.flags & F_CONTENT_LENGTH)
		h->content_length = (int64_t)p->llhttp.content_length;
	if (p->llhttp.type == HTTP_REQUEST)
		h->has_body = h->is_chunked || h->content_length > 0;
	else
		h->has_body = !p->answers_head && h->status >= 200 && h->status != 204 &&
			      h->status != 304 && h->content_length != 0;
	struct slice expect = http_find(h, HEADER_EXPECT);
	h->expects_continue = expect.at && slice_is_nocase(expect, "100-continue");
}

static int on_headers_complete(llhttp_t *l)
{
	struct http_parser *p = l->data;
	resolve(p);
	read_framing(p);
	const char *fault = broken_rule(p);
	if (fault)
		return fail(p, HTTP_BAD, fault);
	p->has_head = true;
	if (l->type == HTTP_REQUEST)
		return HPE_PAUSED;
	p->events->head(p->owner, &p->head);
	return p->answers_head ? 1 : 0;
}

static int on_body(llhttp_t *l, const char *at, size_t len)
{
	struct http_parser *p = l->data;
	p->events->body(p->owner, at, len);
	return 0;
}

static int on_message_complete(llhttp_t *l)
{
	struct http_parser *p = l->data;
	p->has_ended = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_method = on_method,
	.on_url = on_url,
	.on_status = on_status,
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_header_value_complete = on_header_value_complete,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

/* --- the rules about lines, which llhttp does not tell --- */

/*
 * Looks over the raw bytes of a request's head: lines end with CRLF, none but the first may start
 * with a space (that would fold it into the one before), and a body's bytes are not looked at.
 */
static const char *broken_line(struct http_parser *p, const char *bytes, size_t len)
{
	const char *at = bytes, *end = bytes + len;
	while (at < end) {
		if (p->at_line_start && *at == '\r')
			return NULL; /* the empty line: the head's end, if an LF follows */
		if (p->at_line_start && p->past_first_line && (*at == ' ' || *at == '\t'))
			return "a header line is folded";
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		p->at_line_start = false;
		if (!lf) {
			p->after_cr = end[-1] == '\r';
			return NULL;
		}
		bool ends_well = lf > bytes ? lf[-1] == '\r' : p->after_cr;
		if (!ends_well)
			return "a line ends with a bare LF";
		p->at_line_start = p->past_first_line = true;
		at = lf + 1;
	}
	return NULL;
}

/* --- the interface --- */

struct slice http_find(const struct http_head *h, enum header_id id)
{
	for (size_t i = 0; i < h->count; i++)
		if (h->headers[i].id == id)
			return h->headers[i].value;
	return (struct slice){0};
}

struct http_parser *http_parser_new(void)
{
	return mem_zalloc(sizeof(struct http_parser));
}

void http_parser_free(struct http_parser *p)
{
	if (!p)
		return;
	str_release(&p->text);
	mem_free(p->places);
	mem_free(p->head.headers);
	mem_free(p);
}

void http_parser_begin(struct http_parser *p, enum http_kind kind, struct http_limits limits,
		       const struct http_events *events, void *owner)
{
	struct http_parser fresh = {.limits = limits, .events = events, .owner = owner};
	fresh.text = p->text;
	fresh.places = p->places;
	fresh.head.headers = p->head.headers;
	fresh.capacity = p->capacity;
	*p = fresh;
	str_clear(&p->text);
	llhttp_init(&p->llhttp, kind == HTTP_IS_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE,
		    &settings);
	p->llhttp.data = p;
}

void http_parser_answers_head(struct http_parser *p)
{
	p->answers_head = true;
}

static enum http_result result_of(struct http_parser *p, llhttp_errno_t error)
{
	if (p->failure != HTTP_MORE)
		return p->failure;
	if (p->has_ended)
		return HTTP_END;
	if (error == HPE_PAUSED && p->has_head)
		return HTTP_HEAD_END;
	if (error == HPE_OK)
		return HTTP_MORE;
	const char *reason = llhttp_get_error_reason(&p->llhttp);
	p->fault = reason && *reason ? reason : llhttp_errno_name(error);
	return HTTP_BAD;
}

enum http_result http_parser_feed(struct http_parser *p, const char *bytes, size_t len, size_t *used)
{
	*used = 0;
	if (!len)
		return HTTP_MORE;
	p->has_begun = true;
	if (!p->has_head && p->llhttp.type == HTTP_REQUEST) {
		const char *fault = broken_line(p, bytes, len);
		if (fault) {
			fail(p, HTTP_BAD, fault);
			return HTTP_BAD;
		}
	}
	if (llhttp_get_errno(&p->llhttp) == HPE_PAUSED)
		llhttp_resume(&p->llhttp);
	llhttp_errno_t error = llhttp_execute(&p->llhttp, bytes, len);
	enum http_result result = result_of(p, error);
	if (error != HPE_OK && (result == HTTP_END || result == HTTP_HEAD_END))
		*used = (size_t)(llhttp_get_error_pos(&p->llhttp) - bytes);
	else
		*used = len;
	return result;
}

enum http_result http_parser_finish(struct http_parser *p)
{
	enum http_result result = result_of(p, llhttp_finish(&p->llhttp));
	if (result == HTTP_MORE) {
		p->fault = "the message is cut short";
		return HTTP_BAD;
	}
	return result;
}

bool http_parser_has_begun(const struct http_parser *p)
{
	return p->has_begun;
}

const struct http_head *http_parser_head(const struct http_parser *p)
{
	return p->has_head ? &p->head : NULL;
}

const char *http_fault(const struct http_parser *p)
{
	return p->fault ? p->fault : "none";
}

const char *http_reason(int status)
{
	switch (status) {
#define REASON(number, name, text)                                                                 \
	case number:                                                                               \
		return #text;
		HTTP_STATUS_MAP(REASON)
#undef REASON
	default:
		return "Unknown";
	}
}
