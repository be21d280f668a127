/*
 * A WebSocket of ours to somebody who is told things (RFC 6455): it sends binary messages, answers
 * pings, and comes back by itself when it is lost. What is sent while it is down is not kept.
 *
 *   DOWN --pause--> CONNECTING --> UPGRADING --101--> OPEN
 *    ^------------------'-------------'----------------'
 */
#ifndef SLOTGATE_GATEWAY_AUTOSCALERS_WEBSOCKET_CLIENT_H
#define SLOTGATE_GATEWAY_AUTOSCALERS_WEBSOCKET_CLIENT_H

#include "base/loop.h"
#include "base/str.h"

struct http_client;
struct websocket_client;

/* It is open, from now on or (false) no more: `why`. Not from inside a call here. */
typedef void websocket_client_fn(void *owner, bool is_open, const char *why);

/* To HOST:PORT, which is copied; it begins at once. NULL: no memory. */
struct websocket_client *websocket_client_new(struct loop *, struct http_client *,
					      const char *server, websocket_client_fn *,
					      void *owner);
void websocket_client_free(struct websocket_client *); /* says goodbye; NULL is harmless */

const char *websocket_client_server(const struct websocket_client *);
bool websocket_client_is_open(const struct websocket_client *);

/* False: it is not open, or the other side takes nothing; the message is lost. */
bool websocket_client_send(struct websocket_client *, struct slice message);

#endif
