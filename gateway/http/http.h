/*
 * HTTP/1 messages. A parser is fed whatever bytes there are: it stops after the head, then reports
 * the body in pieces, and stops at its end: what follows belongs to the next message. Heads are
 * parsed by llhttp (this module is its only includer) behind their first line, bodies are framed
 * here.
 *
 * Strict where guessing would be dangerous: besides what llhttp refuses, a first line that is not
 * quite one (start_line.h), a bare LF, a folded header, a name that is no token, control bytes, a
 * repeated or malformed Host, any Transfer-Encoding but "chunked", and one in HTTP/1.0 are errors.
 */
#ifndef SLOTGATE_GATEWAY_HTTP_HTTP_H
#define SLOTGATE_GATEWAY_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "gateway/http/headers.h"

struct http_header {
	struct slice name, value;
	enum header_id id; /* HEADER_OTHER: not one that the gateway looks at */
};

/* Each names a header that ends here: more would only make work, as every header
 * is looked for among them. */
enum { HTTP_CONNECTION_OPTIONS_MAX = 64 };

/* A head; its slices are the parser's and last until that begins another message. */
struct http_head {
	struct slice method, target; /* of a request */
	int status;		     /* of a response */
	struct slice reason;
	int minor; /* HTTP/1.x */
	struct http_header *headers;
	size_t count;
	int64_t content_length; /* -1: none was given */
	bool is_chunked;
	size_t connection_options; /* in all Connection headers; at most so many: */
	bool keep_alive;
	bool wants_upgrade; /* Connection: upgrade, and an Upgrade header */
	bool expects_continue;
	bool has_body; /* more than an empty one may follow */
};

/* The first header of this kind; an empty slice with a NULL `at` if there is none. */
struct slice http_find(const struct http_head *, enum header_id);

/* Whether the client waits to be told to go on; NULL, or why its expectation cannot be met. */
const char *http_read_expect(struct http_head *);

enum http_kind { HTTP_IS_REQUEST, HTTP_IS_RESPONSE };

struct http_limits {
	size_t head_bytes, headers, target_bytes;
};

typedef void http_body_fn(void *owner, const char *bytes, size_t len);

enum http_result {
	HTTP_MORE,     /* all was used, the message goes on */
	HTTP_HEAD_END, /* the head is whole: see http_parser_head; feed it on for the body and end */
	HTTP_END,      /* the message has ended; `used` says where */
	HTTP_BAD,      /* it is no HTTP, or breaks a rule: see http_fault */
	HTTP_HEAD_TOO_LARGE,
	HTTP_TARGET_TOO_LONG,
	HTTP_NO_MEMORY,
};

struct http_parser;

struct http_parser *http_parser_new(void); /* NULL: no memory */
void http_parser_free(struct http_parser *);

/* What it holds of heads. */
size_t http_parser_bytes(const struct http_parser *);

/* Makes it ready for another message. */
void http_parser_begin(struct http_parser *, enum http_kind, struct http_limits, http_body_fn *,
		       void *owner);

/* Before feeding an answer: it answers a HEAD, so it has no body whatever it says. */
void http_parser_answers_head(struct http_parser *);

/* `len` may be 0 after the head: a message without a body ends at once. */
enum http_result http_parser_feed(struct http_parser *, const char *bytes, size_t len,
				  size_t *used);

/* The peer has closed: HTTP_END if that is how this message ends, else HTTP_BAD. */
enum http_result http_parser_finish(struct http_parser *);

/* Whether any byte of the message has come. */
bool http_parser_has_begun(const struct http_parser *);

/* The head, once it is whole. */
const struct http_head *http_parser_head(const struct http_parser *);

/* What was wrong. */
const char *http_fault(const struct http_parser *);

/* The status that a client is answered with for it: 400, 414, 417, 501 or 505. */
int http_fault_status(const struct http_parser *);

/* "Not Found" */
const char *http_reason(int status);

#endif
