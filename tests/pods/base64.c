/* base64: RFC 4648 encoding, with padding. */
#include "base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *encode_group(char *to, uint32_t bits)
{
	*to++ = alphabet[bits >> 18 & 63];
	*to++ = alphabet[bits >> 12 & 63];
	*to++ = alphabet[bits >> 6 & 63];
	*to++ = alphabet[bits & 63];
	return to;
}

void base64_encode(struct buf *out, const void *bytes, size_t n)
{
	const uint8_t *in = bytes;
	char *to;

	buf_reserve(out, (n + 2) / 3 * 4);
	to = out->data + out->len;
	for (; n >= 3; n -= 3, in += 3)
		to = encode_group(to, (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2]);
	if (n) {
		to = encode_group(to, (uint32_t)in[0] << 16 | (n == 2 ? (uint32_t)in[1] << 8 : 0));
		to[-1] = '=';
		if (n == 1)
			to[-2] = '=';
	}
	*to = '\0';
	out->len = (size_t)(to - out->data);
}
