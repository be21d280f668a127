/*
 * TLS 1.2 and 1.3 with OpenSSL: contexts, which hold what is configured, and sessions, of which
 * each stands behind one stream (base/stream.h). base/tls*.c alone include libssl.
 *
 * A context is immutable and reference-counted: a session keeps the one that it began with, so that
 * changed certificates concern new connections only.
 *
 *   tls_server_new / tls_client_new -> context --tls_accept / tls_connect--> session -> stream_open
 *
 * A server resumes sessions by stateless tickets: nothing is kept for a client, and their
 * keys, which are the process's, outlive a changed certificate. A new key is made every
 * hour, and a ticket is good for two. A ticket is taken only by a context that asks for the
 * same client certificates.
 */
#ifndef SLOTGATE_BASE_TLS_H
#define SLOTGATE_BASE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/str.h"

struct tls_context;
struct tls;

/* --- contexts: start-up and configuration --------------------------------------------------- */

/* What is wrong with a context's files: which of them, and a sentence that begins with its path. */
enum tls_part { TLS_OTHER, TLS_CERTIFICATE, TLS_KEY, TLS_CA };

enum { TLS_FAULT_BYTES = 512 };

struct tls_fault {
	enum tls_part part;
	size_t index; /* of the certificate, or of the key that goes with it */
	char text[TLS_FAULT_BYTES];
};

/* Two PEM files: a certificate with the chain behind it, and its unencrypted key. */
struct tls_pair {
	char *certificate, *key;
};

enum tls_version { TLS_1_2, TLS_1_3 };
enum tls_demand { TLS_NO_CERTIFICATE, TLS_MAY_CERTIFY, TLS_MUST_CERTIFY };

struct tls_server_options {
	/* The client's SNI name chooses among them: first by an exact name, then by a wildcard; the
	 * first one is for all others. Those of one name may have keys of different kinds. */
	const struct tls_pair *pairs;
	size_t count; /* at least 1 */
	const char *const
		*protocols; /* for ALPN, the best first, NULL-terminated; they outlive it */
	enum tls_version min_version;
	enum tls_demand clients;     /* a certificate that is not good is refused under either */
	const char *client_ca;	     /* a PEM file, or NULL and... */
	struct slice client_ca_text; /* ...its text; with TLS_NO_CERTIFICATE neither */
};

struct tls_client_options {
	char *ca;	      /* a PEM file; NULL: what the system trusts */
	char *name;	      /* the host that the peer must be; NULL: its address */
	struct tls_pair pair; /* the client's own; NULL: none */
	bool trusts_anybody;  /* checks neither the chain nor the name */
};

/* NULL: the fault says why. */
struct tls_context *tls_server_new(const struct tls_server_options *, struct tls_fault *);
struct tls_context *tls_client_new(const struct tls_client_options *, struct tls_fault *);

/* What a client's context was made of, for others who speak to the same peers. */
const struct tls_client_options *tls_client_options(const struct tls_context *);

struct tls_context *tls_context_hold(struct tls_context *);
void tls_context_drop(struct tls_context *); /* NULL is harmless */

/* When a server's certificate ends, in seconds since 1970. */
int64_t tls_context_expiry(const struct tls_context *, size_t pair);

/* Makes a new ticket key now; the one before it is still taken. Done as time goes by. */
void tls_tickets_rotate(void);

/* --- sessions ------------------------------------------------------------------------------- */

/*
 * What a client keeps of an earlier session with one peer, to begin the next one faster. It begins
 * zeroed, and stays where it is while there are sessions that were made with it.
 */
struct tls_kept {
	struct tls_context *context;
	void *session;
};

void tls_kept_clear(struct tls_kept *);

/* A session for stream_open, which takes it over. NULL: no memory. tls_connect checks the peer's
 * certificate against the context's name, which is also sent as SNI, or else against its address
 * (numeric, without port or brackets); `kept` may be NULL. */
struct tls *tls_accept(struct tls_context *);
struct tls *tls_connect(struct tls_context *, const char *address, struct tls_kept *kept);

enum tls_result { TLS_DONE, TLS_AGAIN, TLS_FAILED };

enum { TLS_WHY_BYTES = 160 };

/* For stream.c, which knows the socket; their contracts are those of the stream's functions. */
void tls_attach(struct tls *, int fd);
void tls_free(struct tls *); /* NULL is harmless */
enum tls_result tls_handshake(struct tls *, char why[TLS_WHY_BYTES]);
ssize_t tls_read(struct tls *, void *bytes, size_t size);
ssize_t tls_write(struct tls *, const struct iovec *, int n);
bool tls_has_output(const struct tls *);
bool tls_flush(struct tls *);
bool tls_is_silent(struct tls *);
void tls_end(struct tls *);   /* says that nothing follows, unless it has been said */
void tls_abort(struct tls *); /* says nothing any more */

/* What the handshake came to. NULL, or false, before its end, and for a tls that is NULL. */
const char *tls_protocol(const struct tls *);	 /* of a server's list; NULL: none was chosen */
const char *tls_server_name(const struct tls *); /* what a client asked for; NULL: nothing */
const char *tls_version(const struct tls *);	 /* "TLSv1.3" */
const char *tls_cipher(const struct tls *);
bool tls_is_resumed(const struct tls *);

/* Adds the subject of the client's verified certificate (RFC 2253); false: there is none. */
bool tls_peer_name(const struct tls *, struct str *);

/* The same of its common name, if it has exactly one. */
bool tls_peer_common_name(const struct tls *, struct str *);

#endif
