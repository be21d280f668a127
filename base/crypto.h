/*
 * What is needed of OpenSSL's libcrypto; the only place that includes it.
 */
#ifndef SLOTGATE_BASE_CRYPTO_H
#define SLOTGATE_BASE_CRYPTO_H

#include <stddef.h>

/* `digits` random hexadecimal digits and a NUL. */
void crypto_random_hex(char *text, size_t digits);

#endif
