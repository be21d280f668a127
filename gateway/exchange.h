/*
 * An exchange: one request and its answer on a client's connection, whatever protocol that speaks.
 * A connection makes exchanges and tells their handler; the handler (a request of a service, or the
 * admin) knows nothing of the connection but this interface. HTTP/1 is its first kind.
 *
 *   handler->begin      the head is here; the handler may answer at once, or exchange_read_body
 *   handler->body       a piece of the body
 *   handler->body_end   all of it is here
 *   handler->left       the client is gone, or the connection answers it in the handler's stead
 *   handler->delivered  the answer has been ended and handed to the kernel to its last byte
 *
 * Exactly one of `left` and `delivered` comes, last, once begin has been called; after it the
 * exchange must not be touched.
 */
#ifndef SLOTGATE_GATEWAY_EXCHANGE_H
#define SLOTGATE_GATEWAY_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/net.h"
#include "base/spool.h"
#include "gateway/http/http.h"

struct exchange;
struct gateway;
struct relay;
struct tls;

/* Why an exchange ended without the handler's whole answer. */
enum exchange_end {
	END_CLIENT_LEFT,
	END_RESET,	  /* the handler's own wish */
	END_TOO_SLOW,	  /* the client took its answer too slowly for the spool's limits */
	END_BAD_BODY,	  /* the body broke the rules: the connection answers 400 */
	END_BODY_TIMEOUT, /* it came too slowly: the connection answers 408 */
};

struct exchange_handler {
	void (*begin)(struct exchange *, const struct http_head *);
	void (*body)(struct exchange *, const char *bytes, size_t len);
	void (*body_end)(struct exchange *);
	void (*left)(struct exchange *, enum exchange_end);
	void (*delivered)(struct exchange *);
};

/* The head of an answer, without hop-by-hop headers: those are the connection's own business.
 * After a 101 the connection is a tunnel: what the client sends comes as body, what is
 * written goes out as it is. */
struct answer {
	int status;
	const struct http_header *headers;
	size_t count;
	int64_t content_length; /* -1: unknown until the end */
	bool has_body;		/* false for HEAD, 204, 304: content_length is only told */
	bool close;		/* the connection is to end with it */
};

/* How far an answer has come, for those that make exchanges. */
enum answer_progress { ANSWER_NONE, ANSWER_BEGUN, ANSWER_ENDED };

struct body_limits {
	int64_t timeout_us;  /* for all of it to arrive */
	int64_t least_bytes; /* of it in each window; 0: it may trickle */
	int64_t window_us;
	struct spool_limits spool; /* of the answer, for a client that is slow to take it */
};

struct exchange_ops {
	void (*read_body)(struct exchange *, struct body_limits);
	void (*hold_body)(struct exchange *, bool hold);
	void (*inform)(struct exchange *, const struct answer *);
	void (*respond)(struct exchange *, const struct answer *);
	void (*write)(struct exchange *, const char *bytes, size_t len);
	void (*end)(struct exchange *, const struct http_header *trailers, size_t count);
	void (*reset)(struct exchange *);
	bool (*look)(struct exchange *);
};

struct exchange {
	const struct exchange_ops *ops;
	const struct exchange_handler *handler;
	void *owner; /* the handler's */
	struct gateway *gateway;
	const char *service; /* that the listener is bound to; NULL: by host */
	const struct net_address *peer;
	const struct tls *session; /* of its connection, to ask for a certificate; NULL: plain */
	struct relay *relay;	   /* comes from the process before this one; NULL: from a client */
	const char *version;	   /* of HTTP, that the client speaks: "1.1", "2" */
	int64_t begun_us;	   /* the first byte of the head came */
	int64_t bytes_in;	   /* of the request's body */
	int64_t bytes_out;	   /* of the answer's body, handed on so far */
	bool is_in_work; /* its handler waits for no turn: a look after its client can be spared */
};

/* "TLSv1.3", and what encrypts it; NULL: in clear text. */
const char *exchange_tls(const struct exchange *);
const char *exchange_cipher(const struct exchange *);

/* Goes on after the head, and tells a client that waits for it to continue. Without this call the
 * body is not read, and the connection ends with the answer. */
static inline void exchange_read_body(struct exchange *x, struct body_limits limits)
{
	x->ops->read_body(x, limits);
}

/* Stops and resumes reading the client's side of a tunnel. */
static inline void exchange_hold_body(struct exchange *x, bool hold)
{
	x->ops->hold_body(x, hold);
}

/* An interim answer (1xx) before the real one: as many as there are. A client of HTTP/1.0, which
 * would take it for the real one, gets none. */
static inline void exchange_inform(struct exchange *x, const struct answer *a)
{
	x->ops->inform(x, a);
}

/* The three parts of an answer, in this order; writing nothing is allowed. They never block: what
 * the client does not take is spooled. The handler may be told `left` only later, never from
 * inside these. */
static inline void exchange_respond(struct exchange *x, const struct answer *a)
{
	x->ops->respond(x, a);
}

static inline void exchange_write(struct exchange *x, const char *bytes, size_t len)
{
	x->ops->write(x, bytes, len);
}

static inline void exchange_end(struct exchange *x)
{
	x->ops->end(x, NULL, 0);
}

/* The same with a few headers behind the body, which must be one. HTTP/1 has none of them here. */
static inline void exchange_end_with(struct exchange *x, const struct http_header *trailers,
				     size_t count)
{
	x->ops->end(x, trailers, count);
}

/* The answer cannot be completed: the client must not take it for a whole one. Ends with `left`. */
static inline void exchange_reset(struct exchange *x)
{
	x->ops->reset(x);
}

/* Looks whether the client of an exchange that waits has left, although nobody has heard of it yet.
 * True: it has, and `left` has been called. */
static inline bool exchange_look(struct exchange *x)
{
	return x->ops->look(x);
}

#endif
