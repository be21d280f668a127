/* sha1: only for the WebSocket handshake (RFC 6455), never for security. */
#ifndef DEMO_POD_SHA1_H
#define DEMO_POD_SHA1_H

#include <stddef.h>
#include <stdint.h>

#define SHA1_SIZE 20

void sha1(const void *bytes, size_t n, uint8_t digest[SHA1_SIZE]);

#endif
