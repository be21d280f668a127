/*
 * What is needed of OpenSSL's libcrypto; the only place that includes it.
 */
#ifndef SLOTGATE_BASE_CRYPTO_H
#define SLOTGATE_BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>

void crypto_random(void *bytes, size_t len);

/* `digits` random hexadecimal digits and a NUL. */
void crypto_random_hex(char *text, size_t digits);

enum { CRYPTO_SHA256_DIGITS = 64 };

/* The SHA-256 of some bytes, as lower-case hexadecimal digits and a NUL. False: no memory. */
bool crypto_sha256_hex(const void *bytes, size_t len, char text[CRYPTO_SHA256_DIGITS + 1]);

enum { CRYPTO_SHA1_BYTES = 20 };

/* The SHA-1 of some bytes, for protocols that name it and do not rely on it. False: no memory. */
bool crypto_sha1(const void *bytes, size_t len, unsigned char digest[CRYPTO_SHA1_BYTES]);

/* Compares in a time that does not depend on the bytes. */
bool crypto_is_same(const void *a, const void *b, size_t len);

#endif
