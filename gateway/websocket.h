/*
 * One direction of a WebSocket (RFC 6455), of which only the frames' ends matter: where something of
 * our own may be put in between, and whether the side that sends it has said goodbye. It sees bytes
 * go by, in any pieces, and does no I/O.
 */
#ifndef SLOTGATE_GATEWAY_WEBSOCKET_H
#define SLOTGATE_GATEWAY_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* A Close frame with this code; a client's (as a pod sees us) is masked. Its length. */
enum { WEBSOCKET_CLOSE_MAX = 8, WEBSOCKET_GOING_AWAY = 1001 };
size_t websocket_close_frame(uint8_t frame[WEBSOCKET_CLOSE_MAX], int code, bool is_client);

#endif
