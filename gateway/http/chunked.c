/* The chunked transfer coding. */
#include "gateway/http/chunked.h"

#include <stdbool.h>

#include "gateway/http/syntax.h"

enum { SIZE_BITS_BEFORE_LAST = 56 }; /* so that the size fits into 60 */

void chunked_init(struct chunked *c, size_t limit_bytes)
{
	*c = (struct chunked){.state = CHUNKED_SIZE, .limit = limit_bytes};
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* Leading zeros are legal in any number; they count as what the size carries beside itself. */
static enum chunked_state on_size(struct chunked *c, char byte)
{
	int digit = hex_value(byte);
	if (digit >= 0) {
		if (c->left >> SIZE_BITS_BEFORE_LAST)
			return CHUNKED_BAD;
		c->extra += c->has_digit && !c->left;
		c->left = c->left * 16 + (uint64_t)digit;
		c->has_digit = true;
		return c->extra > c->limit ? CHUNKED_BAD : CHUNKED_SIZE;
	}
	if (!c->has_digit)
		return CHUNKED_BAD;
	if (byte == '\r')
		return CHUNKED_SIZE_LF;
	if (byte == ' ' || byte == '\t')
		return CHUNKED_SIZE_SPACE;
	return byte == ';' ? CHUNKED_EXTENSION : CHUNKED_BAD;
}

/* One byte that is no data. */
static enum chunked_state step(struct chunked *c, char byte)
{
	switch (c->state) {
	case CHUNKED_SIZE:
		return on_size(c, byte);
	case CHUNKED_SIZE_SPACE:
		if (byte == ';')
			return CHUNKED_EXTENSION;
		return byte == ' ' || byte == '\t' ? CHUNKED_SIZE_SPACE : CHUNKED_BAD;
	case CHUNKED_EXTENSION:
		if (byte == '\r')
			return CHUNKED_SIZE_LF;
		return syntax_is_text_byte(byte) ? CHUNKED_EXTENSION : CHUNKED_BAD;
	case CHUNKED_SIZE_LF:
		if (byte != '\n')
			return CHUNKED_BAD;
		return c->left ? CHUNKED_DATA : CHUNKED_TRAILER_START;
	case CHUNKED_DATA_CR:
		return byte == '\r' ? CHUNKED_DATA_LF : CHUNKED_BAD;
	case CHUNKED_DATA_LF:
		c->has_digit = false;
		return byte == '\n' ? CHUNKED_SIZE : CHUNKED_BAD;
	case CHUNKED_TRAILER_START:
		if (byte == '\r')
			return CHUNKED_END_LF;
		return syntax_is_token_byte(byte) ? CHUNKED_TRAILER_NAME : CHUNKED_BAD;
	case CHUNKED_TRAILER_NAME:
		if (byte == ':')
			return CHUNKED_TRAILER_VALUE;
		return syntax_is_token_byte(byte) ? CHUNKED_TRAILER_NAME : CHUNKED_BAD;
	case CHUNKED_TRAILER_VALUE:
		if (byte == '\r')
			return CHUNKED_TRAILER_LF;
		return syntax_is_text_byte(byte) ? CHUNKED_TRAILER_VALUE : CHUNKED_BAD;
	case CHUNKED_TRAILER_LF:
		return byte == '\n' ? CHUNKED_TRAILER_START : CHUNKED_BAD;
	case CHUNKED_END_LF:
		return byte == '\n' ? CHUNKED_DONE : CHUNKED_BAD;
	default:
		return CHUNKED_BAD;
	}
}

static bool is_extra(enum chunked_state state)
{
	return state == CHUNKED_SIZE_SPACE || state == CHUNKED_EXTENSION ||
	       state == CHUNKED_TRAILER_NAME || state == CHUNKED_TRAILER_VALUE;
}

size_t chunked_take(struct chunked *c, const char *bytes, size_t len, const char **data,
		    size_t *data_len)
{
	size_t at = 0;
	*data_len = 0;
	while (at < len && c->state != CHUNKED_DONE && c->state != CHUNKED_BAD) {
		if (c->state == CHUNKED_DATA) {
			size_t n = len - at < c->left ? len - at : (size_t)c->left;
			*data = bytes + at;
			*data_len = n;
			c->left -= n;
			if (!c->left)
				c->state = CHUNKED_DATA_CR;
			return at + n;
		}
		c->state = step(c, bytes[at++]);
		if (is_extra(c->state) && ++c->extra > c->limit)
			c->state = CHUNKED_BAD;
	}
	return at;
}
