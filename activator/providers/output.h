/*
 * What a local pod writes to its standard output and error, line by line. Read as fast as it comes,
 * so that no pod ever waits for slotgate's log.
 *
 * A line is cut at OUTPUT_LINE_BYTES. A carriage return starts it anew, as on a terminal: of a
 * progress bar only what it showed last remains. Control characters become '?'.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_OUTPUT_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/loop.h"

enum { OUTPUT_LINE_BYTES = 2048 };

/* Once for each line that is not empty; it ends with a NUL, which `len` does not count. */
typedef void output_fn(void *owner, const char *line, size_t len);

struct output {
	struct io io;
	output_fn *fn;
	void *owner;
	size_t len;
	bool returned; /* the last byte was a carriage return */
	char line[OUTPUT_LINE_BYTES + 1];
};

/* A pipe's reading end, non-blocking; taken over, also if this fails (no memory). */
bool output_open(struct output *, struct loop *, int fd, output_fn *, void *owner);

/* Reads what is there, gives the rest of a line as a line, and closes. Harmless on a closed one. */
void output_finish(struct output *);

/* The same without anybody hearing of it. */
void output_close(struct output *);

#endif
