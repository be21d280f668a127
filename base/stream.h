/*
 * A stream of bytes over a connected, non-blocking socket: plain, or TLS. Reading and writing
 * behave like recv and sendmsg, so that its user need not know which it is.
 *
 * The struct is its owner's memory and stays where it is. Events are the socket's (see loop.h,
 * edge-triggered), so an owner reads until EAGAIN, and writes until EAGAIN or until it has nothing
 * more.
 *
 * A TLS stream first shakes hands: its owner calls stream_handshake when it has opened the stream
 * and at each IO_READ, until it is done, and bounds the time that this takes. Until then it neither
 * reads nor writes. What is written to a TLS stream may stay in it for a while, a record or so:
 * see stream_has_output. The stream sends it when the socket takes more, before its owner hears of
 * IO_WRITE.
 */
#ifndef SLOTGATE_BASE_STREAM_H
#define SLOTGATE_BASE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/loop.h"
#include "base/tls.h"

struct stream {
	struct io io;
	struct tls *tls; /* NULL: plain. What it came to, for logs: tls.h */
	io_fn *fn;	 /* its owner's, behind TLS */
	void *owner;
	bool has_ended; /* by stream_end */
};

/* Takes over fd and tls (tls_accept, tls_connect, or NULL: plain), also if it fails (no memory). */
bool stream_open(struct stream *, struct loop *, int fd, struct tls *tls, io_fn *, void *owner);

/* The same for a socket that was just accepted: see io_open_to_read. */
bool stream_open_accepted(struct stream *, struct loop *, int fd, struct tls *tls, io_fn *,
			  void *owner);

/* A step of the handshake; a plain stream has done it. TLS_FAILED: `why` holds a line for the log,
 * the peer has been told, and the stream is good for stream_close only. */
enum tls_result stream_handshake(struct stream *, char why[TLS_WHY_BYTES]);

/* Bytes read; 0: the peer has ended; -1 and errno, EAGAIN among others. Never EINTR. Behind TLS an
 * end that the peer has not announced, as a cut makes it, is ECONNABORTED; a breach of the protocol
 * is EPROTO. */
ssize_t stream_read(struct stream *, void *bytes, size_t size);

/* Bytes taken, perhaps fewer than there are; -1 and errno, EAGAIN among others. Never EINTR. */
ssize_t stream_write(struct stream *, const struct iovec *, int n);

/* Bytes were taken that the kernel does not have yet: an answer is not delivered, and a close would
 * lose them. Of a broken stream this stays so. */
bool stream_has_output(const struct stream *);

/* Sends of them what the socket takes; false and errno: the stream is broken. */
bool stream_flush(struct stream *);

/* Open, and nothing to read: what a connection must be that nobody uses. */
bool stream_is_silent(struct stream *);

/* Nothing more will be written; the peer sees an end, behind what the stream still has. */
void stream_end(struct stream *);

/* Makes the close that follows a reset, which no peer takes for a regular end. */
void stream_abort(struct stream *);

void stream_close(struct stream *); /* harmless on a closed one */

/* What ALPN has chosen of the context's list; NULL: nothing, or a plain stream. */
const char *stream_protocol(const struct stream *);

/* Adds the subject of the peer's verified certificate; false: there is none. */
bool stream_peer_name(const struct stream *, struct str *);

#endif
