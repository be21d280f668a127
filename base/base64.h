/* Base64 (RFC 4648). */
#ifndef SLOTGATE_BASE_BASE64_H
#define SLOTGATE_BASE_BASE64_H

#include "base/str.h"

/* Adds the bytes; line ends are skipped. False: it is none. */
bool base64_decode(struct slice text, struct str *bytes);

/* Adds the text of the bytes, in one line. */
void base64_encode(struct slice bytes, struct str *text);

#endif
