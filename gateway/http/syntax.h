/*
 * What the pieces of HTTP/1 look like (RFC 9110, 5.6; RFC 9112). Everything that is checked byte by
 * byte is checked by these.
 */
#ifndef SLOTGATE_GATEWAY_HTTP_SYNTAX_H
#define SLOTGATE_GATEWAY_HTTP_SYNTAX_H

#include <stdbool.h>

#include "base/str.h"

bool syntax_is_token_byte(char);
bool syntax_is_token(struct slice);

/* What a field's value, a reason or a chunk's extension may hold; bytes beyond ASCII pass. */
bool syntax_is_text_byte(char);
bool syntax_is_text(struct slice);

/* What a request target may hold. Bytes that RFC 3986 forbids but nobody misreads pass untouched;
 * those beyond ASCII too. */
bool syntax_is_target_byte(char);
bool syntax_is_target(struct slice);

/* host[:port] without user information; an empty one is one. */
bool syntax_is_host(struct slice);

/* A number of bytes: digits alone, and the number fits into 63 bits. */
bool syntax_is_length(struct slice);

#endif
