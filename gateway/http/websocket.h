/*
 * The frames of a WebSocket (RFC 6455), without I/O.
 *
 * Of one direction of somebody else's only their ends matter: where something of our own may be put
 * in between, and whether the side that sends it has said goodbye. It is seen going by, in any
 * pieces. Our own are written and read whole (websocket_client.h).
 */
#ifndef SLOTGATE_GATEWAY_HTTP_WEBSOCKET_H
#define SLOTGATE_GATEWAY_HTTP_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct websocket {
	uint8_t head[14]; /* of the frame under way: as much of it as has come */
	size_t head_len;
	uint64_t left; /* of its payload; meaningful once its head is whole */
	bool in_payload;
	bool has_closed; /* a Close frame has gone by: no other follows */
};

/* All zeroes is one of which nothing has been seen. */

/* Between two frames. */
bool websocket_is_between(const struct websocket *);

/* Sees bytes go by, up to the next frame's end: how many those are (len: none ends here). */
size_t websocket_see_frame(struct websocket *, const void *bytes, size_t len);

/* Sees all of them go by. */
void websocket_see(struct websocket *, const void *bytes, size_t len);

enum websocket_opcode {
	WEBSOCKET_TEXT = 1,
	WEBSOCKET_BINARY = 2,
	WEBSOCKET_CLOSE = 8,
	WEBSOCKET_PING = 9,
	WEBSOCKET_PONG = 10,
};

/* A frame that was read whole: `payload` points into the bytes. */
struct websocket_frame {
	enum websocket_opcode opcode;
	struct slice payload;
};

/* The frame that the bytes begin with: how many are its own; 0: more are needed. Only servers' are
 * read, which are not masked: of a masked one the payload is empty. */
size_t websocket_read_frame(struct websocket_frame *, const void *bytes, size_t len);

/* Adds a whole frame; a client's is masked with these bytes, a server's has none (NULL). */
void websocket_write_frame(struct str *, enum websocket_opcode, struct slice payload,
			   const uint8_t mask[4]);

/* A Close frame with this code; a client's (as a pod sees us) is masked. Its length. */
enum { WEBSOCKET_CLOSE_MAX = 8, WEBSOCKET_GOING_AWAY = 1001 };
size_t websocket_close_frame(uint8_t frame[WEBSOCKET_CLOSE_MAX], int code, bool is_client);

#endif
