/*
 * A head of HTTP/2 in the words of HTTP/1, as the rest of the gateway reads it.
 */
#ifndef SLOTGATE_GATEWAY_HTTP_HTTP2_HEAD_H
#define SLOTGATE_GATEWAY_HTTP_HTTP2_HEAD_H

#include "base/h2.h"
#include "gateway/http/http.h"

struct http2_head {
	struct http_head head; /* points into the h2_head, and into what follows */
	struct http_header *headers;
	struct slice host; /* the Host header's value */
	struct str cookie; /* a client may send it in pieces (RFC 9113, 8.2.3) */
	const char *fault; /* which rule is broken */
};

enum http2_head_result {
	HTTP2_HEAD_OK,
	HTTP2_HEAD_BAD,		    /* see fault */
	HTTP2_HEAD_BAD_EXPECTATION, /* likewise */
	HTTP2_HEAD_NO_MEMORY,
};

/* Release it in any case. */
enum http2_head_result http2_head_init(struct http2_head *, const struct h2_head *);
void http2_head_release(struct http2_head *);

#endif
