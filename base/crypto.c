/* Randomness and comparison from OpenSSL. */
#include "base/crypto.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>

/* Drawn in advance: one call to the generator serves many ids. */
static unsigned char drawn[4096];
static size_t drawn_left;

static unsigned char draw(void)
{
	if (!drawn_left) {
		if (RAND_bytes(drawn, sizeof(drawn)) != 1)
			abort(); /* without randomness, ids would repeat */
		drawn_left = sizeof(drawn);
	}
	return drawn[--drawn_left];
}

void crypto_random_hex(char *text, size_t digits)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char byte = 0;
	for (size_t i = 0; i < digits; i++) {
		if (i % 2 == 0)
			byte = draw();
		text[i] = hex[i % 2 ? byte >> 4 : byte & 15];
	}
	text[digits] = '\0';
}

bool crypto_is_same(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}
