/*
 * Reads HTTP/1.1 messages off a socket, as cheaply as one can: only the head's first line
 * and its Content-Length are looked at, and what is left of a body is dropped inside the
 * kernel. For a bench between friends: anything else than a message with a Content-Length
 * (or none: no body) is bad.
 */
#ifndef SLOTGATE_TESTS_BENCH_MESSAGE_H
#define SLOTGATE_TESTS_BENCH_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MESSAGE_HEAD_BYTES = 4096 };

enum message_progress {
	MESSAGE_NOTHING, /* no byte was there */
	MESSAGE_GOES_ON,
	MESSAGE_END,
	MESSAGE_CLOSED, /* the peer has closed, or reset */
	MESSAGE_BAD,
};

struct message {
	char head[MESSAGE_HEAD_BYTES + 1]; /* whole, with its end, once has_head */
	size_t used;			   /* bytes of the head that are here */
	bool has_head;
	int64_t left; /* of the body; -1: the head is not whole yet */
};

void message_begin(struct message *);

/* Reads up to `most` bytes of what is there; `got` is how many. After MESSAGE_END begin anew. */
enum message_progress message_read(struct message *, int fd, size_t most, size_t *got);

int message_status(const struct message *); /* of an answer with a head; 0: it is none */

/* The number after "?n=" in a request's target; -1: there is none. */
int64_t message_number(const struct message *);

int64_t bench_now_ns(void); /* CLOCK_MONOTONIC */
int64_t bench_cpu_ns(void); /* this process's */

#endif
