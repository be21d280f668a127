/*
 * A head of HTTP/2 in the words of HTTP/1, as the rest of the gateway reads it.
 */
#ifndef SLOTGATE_GATEWAY_HTTP2_HEAD_H
#define SLOTGATE_GATEWAY_HTTP2_HEAD_H

#include "base/h2.h"
#include "gateway/http.h"

struct http2_head {
	struct http_head head; /* points into the h2_head, and into what follows */
	struct http_header *headers;
	struct slice host; /* the Host header's value */
	struct str cookie; /* a client may send it in pieces (RFC 9113, 8.2.3) */
};

/* NULL, or which rule is broken. Release it in any case. */
const char *http2_head_init(struct http2_head *, const struct h2_head *);
void http2_head_release(struct http2_head *);

#endif
