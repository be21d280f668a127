/* base64: RFC 4648 encoding, with padding. */
#ifndef DEMO_POD_BASE64_H
#define DEMO_POD_BASE64_H

#include <stddef.h>

#include "buf.h"

void base64_encode(struct buf *out, const void *bytes, size_t n);

#endif
