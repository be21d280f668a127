/* Two ends of a TLS connection in one thread, driven by hand, and the certificates for it. */
#ifndef SLOTGATE_TESTS_UNIT_TLS_PAIR_H
#define SLOTGATE_TESTS_UNIT_TLS_PAIR_H

#include <stdbool.h>

#include "base/loop.h"
#include "base/stream.h"
#include "base/tls.h"

/* A file that tests/tls/make-certificates.sh makes; it is made with the first call. The text is
 * good until the 16th call after it. */
const char *tls_file(const char *name);

/* Contexts that must come to be. Certificates go by their names ("local"), NULL-terminated; a
 * client without a CA trusts anybody, and `own` may be NULL. */
struct tls_context *tls_server_of(const char *const *names, enum tls_demand);
struct tls_context *tls_client_of(const char *ca, const char *name, const char *own);

struct tls_pair_end {
	struct stream stream;
	enum tls_result result; /* of the handshake */
	char why[TLS_WHY_BYTES];
	unsigned events; /* told since it was cleared */
};

struct tls_ends {
	struct loop *loop;
	struct tls_pair_end server, client;
	int small_buffers; /* bytes of the sockets' buffers; 0: the system's */
};

/* Connects the two over a socket pair, the server being 127.0.0.1: contexts may be NULL (plain). */
void tls_ends_open(struct tls_ends *, struct tls_context *server, struct tls_context *client,
		   struct tls_kept *kept);

/* Steps of the handshake, by turns, until neither can go on. True: both are done. */
bool tls_ends_shake(struct tls_ends *);
void tls_ends_close(struct tls_ends *);

/* Sends a short text from one to the other, and checks that it arrives whole. */
void tls_ends_say(struct stream *from, struct stream *to, const char *text);

#endif
