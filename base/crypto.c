/* Randomness, digests and comparison from OpenSSL. */
#include "base/crypto.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
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

void crypto_random(void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((unsigned char *)bytes)[i] = draw();
}

static const char hex[] = "0123456789abcdef";

void crypto_random_hex(char *text, size_t digits)
{
	unsigned char byte = 0;
	for (size_t i = 0; i < digits; i++) {
		if (i % 2 == 0)
			byte = draw();
		text[i] = hex[i % 2 ? byte >> 4 : byte & 15];
	}
	text[digits] = '\0';
}

bool crypto_sha256_hex(const void *bytes, size_t len, char text[CRYPTO_SHA256_DIGITS + 1])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	if (!SHA256(bytes, len, digest))
		return false;
	for (size_t i = 0; i < sizeof(digest); i++) {
		text[2 * i] = hex[digest[i] >> 4];
		text[2 * i + 1] = hex[digest[i] & 15];
	}
	text[CRYPTO_SHA256_DIGITS] = '\0';
	return true;
}

bool crypto_sha1(const void *bytes, size_t len, unsigned char digest[CRYPTO_SHA1_BYTES])
{
	return SHA1(bytes, len, digest) != NULL;
}

bool crypto_is_same(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}
