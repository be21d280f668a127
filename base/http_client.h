/*
 * HTTP requests of slotgate's own: to pods (ready? idle? interrupt) and to interfaces it uses.
 * Never a client's request. HTTP/1.1 without redirects or proxies. Everything is bounded:
 * in time, in bytes of the answer's head and body, and in idle connections.
 *
 * A request ends in exactly one of two ways: its callback is called, or it is cancelled.
 *
 *	handle = http_client_start(client, &request, on_answer, owner);
 *	...
 *	http_client_cancel(handle);	// or on_answer(owner, &result), after which it is dead
 *
 * The callback comes at the end of a turn of the loop, never from inside a call here; it may start
 * and cancel other requests, but not free the client.
 */
#ifndef SLOTGATE_BASE_HTTP_CLIENT_H
#define SLOTGATE_BASE_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/net.h"
#include "base/str.h"
#include "base/tls.h"

struct http_client;
struct http_exchange; /* a request under way */

struct http_client *http_client_new(struct loop *); /* NULL: no memory */

/* Cancels what is under way and closes the idle connections; NULL is harmless. */
void http_client_free(struct http_client *);

/* Whom a URL's TLS trusts, and who the client is: PEM texts, empty where there is none. */
struct http_client_trust {
	struct slice ca; /* empty: whom the system trusts */
	struct slice certificate, key;
	bool trusts_anybody;
};

/* A piece of an answer as it comes, at the end of a turn; it may cancel. One without bytes
 * tells that the head is there. */
typedef void http_client_piece_fn(void *owner, int status, struct slice bytes);

/* All of it is copied. */
struct http_client_request {
	const char *method; /* NULL: "GET" */
	/* Whom and what: an address and a path that begins with '/', or a whole URL. */
	const struct net_address *address;
	const char *path;
	const char *url;
	/* Of an address: speaks TLS with it as this client's context says
	 * (base/tls.h). NULL: plain. */
	const struct tls_context *tls;
	const struct http_client_trust *trust; /* of an https URL */
	const char *const *headers;	       /* "Name: value", NULL-terminated; NULL: none */
	struct slice body;		       /* sent with every method but GET */
	int64_t timeout_us;		       /* for the whole exchange; at least 1 ms */
	size_t max_body_bytes;		       /* of the answer; a longer one is a failure... */
	bool cut_body; /* ...or, with this, ends there as if it were whole */
	/* Over an idle connection if there is one, which is then kept open for the next. A kept one
	 * that proves dead is replaced, not reported. False: a new one, closed after the answer. */
	bool keep_alive;
	/* Nothing is asked: the result has a connected socket. The URL
	 * says whom to, by name too. */
	bool only_connects;
	/* For an answer without end: its body is handed out in pieces, and the result's is empty.
	 * max_body_bytes then is of what has come and was not handed out yet. */
	http_client_piece_fn *piece;
};

enum http_client_error {
	HTTP_CLIENT_OK,
	HTTP_CLIENT_REFUSED, /* the port takes no connections */
	HTTP_CLIENT_TIMEOUT,
	HTTP_CLIENT_TLS,      /* either side's certificate, key or authority */
	HTTP_CLIENT_TOO_LONG, /* more than max_body_bytes */
	HTTP_CLIENT_OTHER,
};

struct http_client_result {
	enum http_client_error error;
	int status;		/* 0: there was an error */
	struct slice body;	/* as long as the callback runs */
	const char *text;	/* what the error was; "" for none */
	int64_t retry_after_us; /* as it asks for (Retry-After); 0: it does not */
	int socket;		/* of one that only connects: its owner's from here on; else -1 */
};

typedef void http_client_fn(void *owner, const struct http_client_result *);

/* NULL: no memory, and the callback will not be called. */
struct http_exchange *http_client_start(struct http_client *, const struct http_client_request *,
					http_client_fn *, void *owner);

/* The same over a socket that is connected to the address already; it is taken over, also if this
 * fails. keep_alive is ignored. */
struct http_exchange *http_client_start_on(struct http_client *, int connected,
					   const struct http_client_request *, http_client_fn *,
					   void *owner);

/* No callback any more. NULL is harmless. */
void http_client_cancel(struct http_exchange *);

#endif
