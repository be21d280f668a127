/* HTTP/1 messages: heads by llhttp (the only file that includes it), and the framing of bodies. */
#include "gateway/http/http.h"

#include <llhttp.h>
#include <string.h>

#include "base/mem.h"
#include "gateway/http/chunked.h"
#include "gateway/http/start_line.h"
#include "gateway/http/syntax.h"

enum { FIRST_HEADERS = 32, CALLBACK_FAILED = -1 };
enum { STATUS_LINE_BYTES = sizeof("HTTP/1.1 200 ") - 1 };

/* Where a header lies in `text`, which moves while it grows. */
struct place {
	size_t name, name_len, value, value_len;
};

/* What is to come of a message. */
enum part {
	PART_START_LINE,
	PART_HEADERS,
	PART_LENGTH,
	PART_CHUNKED,
	PART_UNTIL_CLOSE,
	PART_NOTHING,
};

struct http_parser {
	llhttp_t llhttp;
	struct http_limits limits;
	http_body_fn *on_body;
	void *owner;
	struct http_head head;
	struct start_line line;
	struct str text; /* the first line as it came, then names and values, piece after piece */
	struct place *places;
	size_t capacity; /* of places and headers */
	bool has_begun, answers_head, in_value;
	enum part part;
	uint64_t left; /* in PART_LENGTH */
	struct chunked chunked;
	/* Where the raw head stands, for the rules about lines. */
	bool at_line_start, past_last_line;
	char last; /* the byte before this feed */
	enum http_result failure;
	const char *fault;
	int fault_status;
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
	if (p->in_value)
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
	const struct start_line *line = &p->line;
	if (line->is_answer) {
		h->reason = (struct slice){text + STATUS_LINE_BYTES, line->reason_len};
	} else {
		h->method = (struct slice){text, line->method_len};
		h->target = (struct slice){text + line->method_len + 1, line->target_len};
	}
	for (size_t i = 0; i < h->count; i++) {
		const struct place *place = &p->places[i];
		struct http_header *header = &h->headers[i];
		header->name = (struct slice){text + place->name, place->name_len};
		header->value = slice_trim((struct slice){text + place->value, place->value_len});
		header->id = header_identify(header->name);
	}
}

static const char *broken_framing(const struct http_head *h)
{
	int lengths = 0, encodings = 0;
	for (size_t i = 0; i < h->count; i++) {
		struct slice value = h->headers[i].value;
		enum header_id id = h->headers[i].id;
		if (id == HEADER_CONTENT_LENGTH && (lengths++ || !syntax_is_length(value)))
			return "Content-Length is not one number of a sane size";
		if (id == HEADER_TRANSFER_ENCODING &&
		    (encodings++ || !slice_is_nocase(value, "chunked")))
			return "the only Transfer-Encoding understood is \"chunked\"";
	}
	if (lengths && encodings)
		return "both Content-Length and Transfer-Encoding are given";
	/* A number too large; "chunked" and a tab, which llhttp does not know for what it is. */
	if ((lengths > 0) != (h->content_length >= 0) || (encodings > 0) != h->is_chunked)
		return "Content-Length or Transfer-Encoding is malformed";
	if (encodings && h->minor == 0)
		return "HTTP/1.0 has no Transfer-Encoding";
	return NULL;
}

const char *http_read_expect(struct http_head *h)
{
	for (size_t i = 0; i < h->count; i++) {
		struct slice list = h->headers[i].value, element;
		if (h->headers[i].id != HEADER_EXPECT)
			continue;
		while (slice_next_in_list(&list, &element)) {
			if (!slice_is_nocase(element, "100-continue"))
				return "the only expectation that can be met is \"100-continue\"";
			h->expects_continue = true;
		}
	}
	return NULL;
}

static const char *broken_host(const struct http_head *h)
{
	int hosts = 0;
	for (size_t i = 0; i < h->count; i++) {
		if (h->headers[i].id != HEADER_HOST)
			continue;
		hosts++;
		if (!syntax_is_host(h->headers[i].value))
			return "the Host header is malformed";
	}
	if (hosts > 1)
		return "there is more than one Host header";
	return h->minor == 1 && hosts == 0 ? "HTTP/1.1 needs a Host header" : NULL;
}

/* The rules beyond llhttp's; NULL, or which one is broken. */
static const char *broken_rule(struct http_parser *p)
{
	struct http_head *h = &p->head;
	for (size_t i = 0; i < h->count; i++) {
		if (!syntax_is_token(h->headers[i].name))
			return "a header's name is malformed";
		if (!syntax_is_text(h->headers[i].value))
			return "a header's value contains control bytes";
	}
	if (h->connection_options > HTTP_CONNECTION_OPTIONS_MAX)
		return "the Connection header has more than 64 options";
	const char *fault = broken_framing(h);
	if (fault || p->line.is_answer)
		return fault;
	fault = broken_host(h);
	if (fault || h->minor == 0)
		return fault;
	fault = http_read_expect(h);
	if (fault)
		p->fault_status = 417;
	return fault;
}

/* Ours, not llhttp's: that takes Proxy-Connection for Connection. */
static void read_connection(struct http_head *h)
{
	bool close = false, keep = false, upgrade = false;
	for (size_t i = 0; i < h->count; i++) {
		struct slice list = h->headers[i].value, element;
		if (h->headers[i].id != HEADER_CONNECTION)
			continue;
		while (slice_next_in_list(&list, &element)) {
			h->connection_options++;
			close |= slice_is_nocase(element, "close");
			keep |= slice_is_nocase(element, "keep-alive");
			upgrade |= slice_is_nocase(element, "upgrade");
		}
	}
	h->keep_alive = !close && (h->minor == 1 || keep);
	h->wants_upgrade = upgrade && http_find(h, HEADER_UPGRADE).len;
}

static void read_framing(struct http_parser *p)
{
	struct http_head *h = &p->head;
	bool is_request = !p->line.is_answer;
	h->status = p->line.status;
	h->minor = p->line.minor;
	h->is_chunked = (p->llhttp.flags & F_CHUNKED) != 0;
	h->content_length = -1;
	if (p->llhttp.flags & F_CONTENT_LENGTH && p->llhttp.content_length <= INT64_MAX)
		h->content_length = (int64_t)p->llhttp.content_length;
	bool is_bodyless = !is_request && (p->answers_head || h->status < 200 || h->status == 204 ||
					   h->status == 304);
	p->part = PART_UNTIL_CLOSE;
	if (is_bodyless)
		p->part = PART_NOTHING;
	else if (h->is_chunked)
		p->part = PART_CHUNKED;
	else if (h->content_length > 0)
		p->part = PART_LENGTH;
	else if (is_request || h->content_length == 0)
		p->part = PART_NOTHING;
	p->left = h->content_length > 0 ? (uint64_t)h->content_length : 0;
	h->has_body = p->part != PART_NOTHING;
	read_connection(h);
	h->keep_alive &= p->part != PART_UNTIL_CLOSE;
}

static int on_headers_complete(llhttp_t *l)
{
	struct http_parser *p = l->data;
	resolve(p);
	read_framing(p);
	const char *fault = broken_rule(p);
	if (fault)
		return fail(p, HTTP_BAD, fault);
	chunked_init(&p->chunked, p->limits.head_bytes);
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_header_value_complete = on_header_value_complete,
	.on_headers_complete = on_headers_complete,
};

/* --- the rules about lines, which llhttp does not tell --- */

/*
 * Looks over the raw bytes of the header lines: all end with CRLF, and none may start with a space
 * (that would fold it into the one before). It stops at the empty line: a body's bytes are not
 * looked at.
 */
static const char *broken_line(struct http_parser *p, const char *bytes, size_t len)
{
	const char *at = bytes, *end = bytes + len;
	while (at < end && !p->past_last_line) {
		if (p->at_line_start && *at == '\r') {
			p->past_last_line = true; /* its LF may come with the next feed */
			break;
		}
		if (p->at_line_start && (*at == ' ' || *at == '\t'))
			return "a header line is folded";
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		p->at_line_start = lf != NULL;
		if (!lf)
			break;
		if ((lf > bytes ? lf[-1] : p->last) != '\r')
			return "a line ends with a bare LF";
		at = lf + 1;
	}
	p->last = end[-1];
	return NULL;
}

/* --- feeding --- */

static enum http_result result_of(struct http_parser *p, llhttp_errno_t error)
{
	if (p->failure != HTTP_MORE)
		return p->failure;
	if (error == HPE_PAUSED)
		return HTTP_HEAD_END;
	if (error == HPE_OK)
		return HTTP_MORE;
	const char *reason = llhttp_get_error_reason(&p->llhttp);
	p->fault = reason && *reason ? reason : llhttp_errno_name(error);
	return HTTP_BAD;
}

/* llhttp gets a first line that it knows in the stead of the real one: it has opinions about
 * methods and versions that are not ours. */
static enum http_result begin_headers(struct http_parser *p)
{
	struct slice line =
		p->line.is_answer ? SLICE("HTTP/1.1 200 OK\r\n") : SLICE("GET / HTTP/1.1\r\n");
	p->part = PART_HEADERS;
	p->at_line_start = true;
	return result_of(p, llhttp_execute(&p->llhttp, line.at, line.len));
}

static enum http_result feed_start_line(struct http_parser *p, const char *bytes, size_t len,
					size_t *used)
{
	*used = start_line_take(&p->line, bytes, len);
	if (p->line.state == START_BAD) {
		p->fault_status = p->line.fault_status;
		fail(p, p->fault_status == 414 ? HTTP_TARGET_TOO_LONG : HTTP_BAD, p->line.fault);
		return p->failure;
	}
	if (add_text(p, bytes, *used))
		return p->failure;
	return p->line.state == START_DONE ? begin_headers(p) : HTTP_MORE;
}

static enum http_result feed_headers(struct http_parser *p, const char *bytes, size_t len,
				     size_t *used)
{
	const char *fault = broken_line(p, bytes, len);
	if (fault) {
		fail(p, HTTP_BAD, fault);
		return HTTP_BAD;
	}
	enum http_result result = result_of(p, llhttp_execute(&p->llhttp, bytes, len));
	/* llhttp pauses at the head's last byte, the LF. */
	*used += result == HTTP_HEAD_END ? (size_t)(llhttp_get_error_pos(&p->llhttp) - bytes) : len;
	return result;
}

static enum http_result feed_head(struct http_parser *p, const char *bytes, size_t len,
				  size_t *used)
{
	if (p->part == PART_START_LINE) {
		enum http_result result = feed_start_line(p, bytes, len, used);
		if (result != HTTP_MORE)
			return result;
	}
	if (*used == len)
		return HTTP_MORE;
	return feed_headers(p, bytes + *used, len - *used, used);
}

static enum http_result feed_chunked(struct http_parser *p, const char *bytes, size_t len,
				     size_t *used)
{
	while (*used < len) {
		const char *data;
		size_t n;
		*used += chunked_take(&p->chunked, bytes + *used, len - *used, &data, &n);
		if (p->chunked.state == CHUNKED_BAD) {
			fail(p, HTTP_BAD, "the body's chunks are malformed");
			return HTTP_BAD;
		}
		if (n)
			p->on_body(p->owner, data, n);
		if (p->chunked.state == CHUNKED_DONE) {
			p->part = PART_NOTHING;
			return HTTP_END;
		}
	}
	return HTTP_MORE;
}

static enum http_result feed_length(struct http_parser *p, const char *bytes, size_t len,
				    size_t *used)
{
	*used = len < p->left ? len : (size_t)p->left;
	p->left -= *used;
	if (!p->left)
		p->part = PART_NOTHING;
	if (*used)
		p->on_body(p->owner, bytes, *used);
	return p->left ? HTTP_MORE : HTTP_END;
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

size_t http_parser_bytes(const struct http_parser *p)
{
	size_t each = sizeof(*p->places) + sizeof(*p->head.headers);
	return sizeof(*p) + p->text.capacity + p->capacity * each;
}

void http_parser_begin(struct http_parser *p, enum http_kind kind, struct http_limits limits,
		       http_body_fn *on_body, void *owner)
{
	struct http_parser fresh = {.limits = limits, .on_body = on_body, .owner = owner};
	fresh.text = p->text;
	fresh.places = p->places;
	fresh.head.headers = p->head.headers;
	fresh.capacity = p->capacity;
	*p = fresh;
	str_clear(&p->text);
	start_line_init(&p->line, kind == HTTP_IS_RESPONSE, limits.target_bytes);
	llhttp_init(&p->llhttp, kind == HTTP_IS_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
	p->llhttp.data = p;
}

void http_parser_answers_head(struct http_parser *p)
{
	p->answers_head = true;
}

enum http_result http_parser_feed(struct http_parser *p, const char *bytes, size_t len,
				  size_t *used)
{
	*used = 0;
	p->has_begun |= len > 0;
	switch (p->part) {
	case PART_START_LINE:
	case PART_HEADERS:
		return feed_head(p, bytes, len, used);
	case PART_LENGTH:
		return feed_length(p, bytes, len, used);
	case PART_CHUNKED:
		return feed_chunked(p, bytes, len, used);
	case PART_UNTIL_CLOSE:
		*used = len;
		if (len)
			p->on_body(p->owner, bytes, len);
		return HTTP_MORE;
	case PART_NOTHING:
		break;
	}
	return HTTP_END;
}

enum http_result http_parser_finish(struct http_parser *p)
{
	if (p->part == PART_NOTHING || p->part == PART_UNTIL_CLOSE)
		return HTTP_END;
	p->fault = "the message is cut short";
	return HTTP_BAD;
}

bool http_parser_has_begun(const struct http_parser *p)
{
	return p->has_begun;
}

const struct http_head *http_parser_head(const struct http_parser *p)
{
	return p->part > PART_HEADERS ? &p->head : NULL;
}

const char *http_fault(const struct http_parser *p)
{
	return p->fault ? p->fault : "none";
}

int http_fault_status(const struct http_parser *p)
{
	return p->fault_status ? p->fault_status : 400;
}
