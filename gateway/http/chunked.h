/*
 * The chunked transfer coding (RFC 9112, 7.1), decoded strictly: CRLF ends every line, sizes fit
 * into 60 bits, and blanks may only stand before an extension. Extensions and trailers are bounded,
 * and thrown away, as RFC 9110, 6.5.1 allows: what a trailer means can only be known to who defined
 * it, and taken for a header it would be a way around all that is checked of those.
 */
#ifndef SLOTGATE_GATEWAY_HTTP_CHUNKED_H
#define SLOTGATE_GATEWAY_HTTP_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum chunked_state {
	CHUNKED_SIZE,
	CHUNKED_SIZE_SPACE,
	CHUNKED_EXTENSION,
	CHUNKED_SIZE_LF,
	CHUNKED_DATA,
	CHUNKED_DATA_CR,
	CHUNKED_DATA_LF,
	CHUNKED_TRAILER_START, /* at the start of a trailer line, or of the last, empty one */
	CHUNKED_TRAILER_NAME,
	CHUNKED_TRAILER_VALUE,
	CHUNKED_TRAILER_LF,
	CHUNKED_END_LF,
	CHUNKED_DONE,
	CHUNKED_BAD,
};

struct chunked {
	enum chunked_state state;
	uint64_t left;	     /* of this chunk's data */
	bool has_digit;	     /* of its size */
	size_t extra, limit; /* bytes of extensions and trailers, and how many are allowed */
};

void chunked_init(struct chunked *, size_t limit_bytes);

/* Takes bytes up to and with the next piece of data; returns how many. `data` and `data_len` get
 * that piece (0: none). Call again while bytes are left and the state is neither DONE nor BAD. */
size_t chunked_take(struct chunked *, const char *bytes, size_t len, const char **data,
		    size_t *data_len);

#endif
