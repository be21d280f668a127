/*
 * The server's side of an HTTP/2 connection (RFC 9113), over nghttp2, of which this is the only
 * includer. Sans-IO: it is fed what the client sends, and hands out what is to be sent to it.
 *
 * A stream is one request and its answer. Its owner hears, in this order: head, body pieces,
 * body_end. An answer is given by h2_respond; its body is fetched by `fill` as the client's windows
 * allow. At any time, exactly one of these ends it, and its owner hears of it no more: `sent`,
 * `closed`, or the owner's own h2_reset.
 */
#ifndef SLOTGATE_BASE_H2_H
#define SLOTGATE_BASE_H2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct h2;

struct h2_header {
	struct slice name, value; /* names in lower case */
	bool is_unique; /* of an answer: no other has this value, so it is not worth remembering */
};

struct h2_limits {
	uint32_t streams;      /* open at once */
	size_t head_bytes;     /* of one head, names and values */
	size_t headers;	       /* of one head */
	uint32_t window_bytes; /* of a stream's body, sent ahead of h2_consume */
};

enum h2_head_fault { H2_HEAD_OK, H2_HEAD_TOO_LARGE, H2_HEAD_NO_MEMORY };

struct h2_head {
	const struct h2_header *headers; /* pseudo-headers among them, first */
	size_t count;
	enum h2_head_fault fault; /* then there are no headers: answer accordingly */
	bool has_body;
};

/* Why a stream was closed before its answer was whole. */
enum h2_end {
	H2_END_CLIENT,	 /* the client has reset it */
	H2_END_BAD_BODY, /* the request broke a rule after its head */
};

/* The session's owner; none of these may call h2_feed, h2_output or h2_free. */
struct h2_handler {
	/* The head lasts for the call. Returns the stream's owner for the other calls. */
	void *(*head)(void *owner, int32_t stream, const struct h2_head *);
	void (*body)(void *stream_owner, const char *bytes, size_t len);
	void (*body_end)(void *stream_owner);

	/* Copies up to `size` bytes of the answer's body; 0: none now (h2_resume when there are).
	 * Sets `is_last` with the last ones. */
	size_t (*fill)(void *stream_owner, char *bytes, size_t size, bool *is_last);

	/* The answer's last byte has been handed out. What has not come of the request is not
	 * wanted any more. */
	void (*sent)(void *stream_owner);
	void (*closed)(void *stream_owner, enum h2_end);
};

struct h2 *h2_new(const struct h2_limits *, const struct h2_handler *, void *owner); /* or NULL */
void h2_free(struct h2 *); /* closed is not called any more */

void h2_feed(struct h2 *, const char *bytes, size_t len);

/* The next bytes to send, until another call; 0: none. */
size_t h2_output(struct h2 *, const char **bytes);

/* Why the connection has to end, in a few words: the client broke the protocol, or memory ran out.
 * NULL: it need not. What h2_output has still to hand out then tells the client. */
const char *h2_fault(const struct h2 *);

/* An answer's head: names in any case, no hop-by-hop headers. Without a body it ends with it.
 * False: no memory, or the stream is closed. */
bool h2_respond(struct h2 *, int32_t stream, int status, const struct h2_header *, size_t count,
		bool has_body);

/* An interim answer (RFC 9110, 15.2), such as 100: as many as there are, before the real one. */
bool h2_inform(struct h2 *, int32_t stream, int status, const struct h2_header *, size_t count);

/* Headers behind an answer's body (RFC 9113, 8.1), whose last bytes have not been fetched yet:
 * names in lower case. They are copied. False: no memory, or the stream is closed. */
bool h2_trail(struct h2 *, int32_t stream, const struct h2_header *, size_t count);

/* There is more of the answer's body, or it has ended. */
void h2_resume(struct h2 *, int32_t stream);

/* So much of the request's body has been taken: the client may send as much again. */
void h2_consume(struct h2 *, int32_t stream, size_t bytes);

/* Ends a stream because its answer cannot be completed. */
void h2_reset(struct h2 *, int32_t stream);

/* Asks the client to open no further stream, and goes away once it has heard that: what it sent
 * before is still answered. */
void h2_wind_down(struct h2 *);
bool h2_is_winding_down(const struct h2 *);

/* No further stream is opened; what is open goes on. */
void h2_go_away(struct h2 *);

/* Whether part of a request's head has come and not all of it. */
bool h2_is_in_head(const struct h2 *);

/* Neither side has anything more to say: it has gone away, and no stream is open. */
bool h2_is_over(const struct h2 *);

#endif
