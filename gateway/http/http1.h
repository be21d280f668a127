/*
 * HTTP/1.0 and 1.1 on a client's connection. It reads one request at a time and makes it an
 * exchange; what is pipelined behind it waits in the socket or in `unread`.
 *
 *   IDLE -> HEAD -> HELD -> BODY -> HELD -> FLUSHING -> IDLE ...
 *                     `-> TUNNEL                  `-> CLOSED
 *
 * A client that closes its sending side has left, unless the listener allows half-close; that is
 * seen at once, also behind unread bytes (see IO_HANGUP).
 */
#ifndef SLOTGATE_GATEWAY_HTTP_HTTP1_H
#define SLOTGATE_GATEWAY_HTTP_HTTP1_H

#include "gateway/connection.h"

extern const struct protocol http1;

#endif
