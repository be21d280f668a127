/* What base/tls*.c share; nobody else includes it. */
#ifndef SLOTGATE_BASE_TLS_OPENSSL_H
#define SLOTGATE_BASE_TLS_OPENSSL_H

#include <openssl/ssl.h>

#include "base/tls.h"

struct tls_context {
	SSL_CTX *ctx;
	int references;
	bool is_server;
	struct tls_certificate {
		X509 *leaf;
		STACK_OF(X509) * chain;
		EVP_PKEY *key;
	} * certificates; /* a server's */
	size_t count;
	const char *const *protocols;
	struct tls_client_options options; /* a client's */
};

/* tls_tickets.c: has a server's context seal and open its tickets. */
bool tls_tickets_use(SSL_CTX *);

/* tls.c: keeps what a client may resume. */
int tls_keep_session(SSL *, SSL_SESSION *);

/* The newest thing that OpenSSL complains about, as one short line; clears its list. */
void tls_last_error(char *text, size_t size);

#endif
