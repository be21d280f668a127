/*
 * gRPC over HTTP/2 (the grpc project's doc/PROTOCOL-HTTP2.md), as much of it as a service needs
 * whose calls begin with one message: what makes a call well-formed, the message out of a body that
 * comes in any pieces, and a status behind the answer. Nothing is compressed.
 *
 * Sans-IO but for the last part, which answers an exchange.
 */
#ifndef SLOTGATE_GATEWAY_AUTOSCALERS_GRPC_H
#define SLOTGATE_GATEWAY_AUTOSCALERS_GRPC_H

#include "gateway/exchange.h"

enum grpc_status {
	GRPC_OK = 0,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_NOT_FOUND = 5,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
};

const char *grpc_status_name(enum grpc_status); /* "INVALID_ARGUMENT" */

/* What is wrong with a call, for its client: the text says what to do about it. */
struct grpc_fault {
	enum grpc_status status;
	char text[384];
};

/* Returns false, for `return grpc_fail(...)`. */
bool grpc_fail(struct grpc_fault *, enum grpc_status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* --- the head -------------------------------------------------------------------------------- */

struct grpc_head {
	struct slice method; /* "/package.Service/Method"; the HTTP head's */
	int64_t time_us;     /* that the client waits for the answer; INT64_MAX: for ever */
	int http_status; /* it is no call of gRPC at all: to be answered in plain HTTP; 0: it is */
	const char *http_fault; /* then: why */
};

/* False: see the fault, or http_status. */
bool grpc_read_head(struct grpc_head *, const struct http_head *, const char *http_version,
		    struct grpc_fault *);

/* --- the message ----------------------------------------------------------------------------- */

enum { GRPC_PREFIX_BYTES = 5 };

struct grpc_reader {
	size_t most_bytes; /* of the message */
	unsigned char prefix[GRPC_PREFIX_BYTES];
	size_t prefix_len; /* of it, that has come */
	size_t left;	   /* of the message, that has not */
	struct str message;
};

void grpc_reader_init(struct grpc_reader *, size_t most_bytes);
void grpc_reader_release(struct grpc_reader *);

/* The next bytes of a body, and its end: false with the first fault, and then no more. */
bool grpc_reader_feed(struct grpc_reader *, const char *bytes, size_t len, struct grpc_fault *);
bool grpc_reader_end(const struct grpc_reader *, struct grpc_fault *);

/* A message in its frame. */
void grpc_add_message(struct str *, const char *message, size_t len);

/* A text as the grpc-message header carries it: percent-encoded. */
void grpc_add_text(struct str *, const char *text);

/* --- answering ------------------------------------------------------------------------------- */

/* An answer of messages: begin, exchange_write each in its frame, end. */
void grpc_begin(struct exchange *);
void grpc_end(struct exchange *, const struct grpc_fault *); /* NULL: well */

/* Instead of them: an answer that is nothing but a fault. */
void grpc_refuse(struct exchange *, const struct grpc_fault *);

#endif
