/*
 * A stream of bytes over a connected, non-blocking socket: plain, or TLS. Reading and writing behave
 * like recv and sendmsg, so that its user need not know which it is.
 *
 * The struct is its owner's memory. Events are the socket's (see loop.h, edge-triggered), so an
 * owner reads until EAGAIN, and writes until EAGAIN or until it has nothing more.
 */
#ifndef SLOTGATE_BASE_STREAM_H
#define SLOTGATE_BASE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/loop.h"

struct stream {
	struct io io;
};

/* Takes over fd, also if it fails (no memory). */
bool stream_open(struct stream *, struct loop *, int fd, io_fn *, void *owner);

/* Bytes read; 0: the peer has ended; -1 and errno, EAGAIN among others. Never EINTR. */
ssize_t stream_read(struct stream *, void *bytes, size_t size);

/* Bytes taken, perhaps fewer than there are; -1 and errno, EAGAIN among others. Never EINTR. */
ssize_t stream_write(struct stream *, const struct iovec *, int n);

/* Open, and nothing to read: what a connection must be that nobody uses. */
bool stream_is_silent(struct stream *);

/* Nothing more will be written; the peer sees an end. */
void stream_end(struct stream *);

/* Makes the close that follows a reset, which no peer takes for a regular end. */
void stream_abort(struct stream *);

void stream_close(struct stream *); /* harmless on a closed one */

#endif
