/* A local pod's output, line by line. */
#include "activator/providers/output.h"

#include <errno.h>
#include <unistd.h>

enum { CHUNK_BYTES = 16 << 10, CHUNKS_PER_TURN = 4, CHUNKS_AT_END = 64 };

static void end_line(struct output *o)
{
	if (o->len) {
		o->line[o->len] = '\0';
		o->fn(o->owner, o->line, o->len);
	}
	o->len = 0;
	o->returned = false;
}

static void take(struct output *o, char c)
{
	if (c == '\n') {
		end_line(o);
		return;
	}
	if (o->returned)
		o->len = 0;
	o->returned = c == '\r';
	if (o->returned || o->len == OUTPUT_LINE_BYTES)
		return;
	bool is_control = ((unsigned char)c < ' ' && c != '\t') || c == 0x7f;
	o->line[o->len++] = is_control ? '?' : c;
}

/* False: it has ended. */
static bool read_some(struct output *o, int chunks)
{
	char bytes[CHUNK_BYTES];
	while (chunks-- > 0) {
		ssize_t n = read(o->io.fd, bytes, sizeof(bytes));
		if (n <= 0)
			return n < 0 && (errno == EAGAIN || errno == EINTR);
		for (ssize_t i = 0; i < n; i++)
			take(o, bytes[i]);
	}
	return true;
}

static void on_pipe(void *owner, unsigned what)
{
	struct output *o = owner;
	(void)what;
	if (read_some(o, CHUNKS_PER_TURN))
		return;
	end_line(o);
	io_close(&o->io);
}

bool output_open(struct output *o, struct loop *loop, int fd, output_fn *fn, void *owner)
{
	o->fn = fn;
	o->owner = owner;
	o->len = 0;
	o->returned = false;
	return io_open_level(&o->io, loop, fd, IO_READ, on_pipe, o);
}

void output_finish(struct output *o)
{
	if (o->io.fd < 0)
		return;
	read_some(o, CHUNKS_AT_END);
	end_line(o);
	io_close(&o->io);
}

void output_close(struct output *o)
{
	io_close(&o->io);
}
