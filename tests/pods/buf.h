/* buf: a growable byte buffer, always NUL-terminated, that aborts when memory ends. */
#ifndef DEMO_POD_BUF_H
#define DEMO_POD_BUF_H

#include <stddef.h>

struct buf {
	char *data; /* NULL until the first byte is reserved */
	size_t len;
	size_t cap;
};

void buf_init(struct buf *b);
void buf_release(struct buf *b);
void buf_clear(struct buf *b); /* empty, the memory stays */

/* Makes room for `more` bytes and the NUL; the caller may write there, then add to len. */
void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_puts(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
