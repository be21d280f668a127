/* Where a WebSocket's frames end. */
#include "gateway/websocket.h"

#include <string.h>

enum { OPCODE = 0x0f, CLOSE = 8, MASKED = 0x80, LENGTH = 0x7f };

bool websocket_is_between(const struct websocket *w)
{
	return w->head_len == 0;
}

/* Of a head whose first two bytes are here. */
static size_t head_bytes(const struct websocket *w)
{
	size_t n = 2 + (w->head[1] & MASKED ? 4 : 0);
	if ((w->head[1] & LENGTH) == 126)
		n += 2;
	else if ((w->head[1] & LENGTH) == 127)
		n += 8;
	return n;
}

static uint64_t payload_bytes(const struct websocket *w)
{
	uint64_t n = w->head[1] & LENGTH;
	int more = n == 126 ? 2 : n == 127 ? 8 : 0;
	if (more)
		n = 0;
	for (int i = 0; i < more; i++)
		n = n << 8 | w->head[2 + i];
	return n;
}

static void end_frame(struct websocket *w)
{
	w->has_closed |= (w->head[0] & OPCODE) == CLOSE;
	w->head_len = 0;
	w->in_payload = false;
}

/* True: the head is whole. */
static bool see_head_byte(struct websocket *w, uint8_t byte)
{
	w->head[w->head_len++] = byte;
	if (w->head_len < 2 || w->head_len < head_bytes(w))
		return false;
	w->left = payload_bytes(w);
	w->in_payload = true;
	return true;
}

size_t websocket_see_frame(struct websocket *w, const void *bytes, size_t len)
{
	const uint8_t *b = bytes;
	size_t at = 0;
	while (at < len) {
		if (w->in_payload) {
			size_t n = w->left < len - at ? (size_t)w->left : len - at;
			w->left -= n;
			at += n;
		} else if (!see_head_byte(w, b[at++])) {
			continue;
		}
		if (w->left == 0) {
			end_frame(w);
			break;
		}
	}
	return at;
}

void websocket_see(struct websocket *w, const void *bytes, size_t len)
{
	const uint8_t *b = bytes;
	for (size_t at = 0; at < len;)
		at += websocket_see_frame(w, b + at, len - at);
}

size_t websocket_close_frame(uint8_t frame[WEBSOCKET_CLOSE_MAX], int code, bool is_client)
{
	size_t n = 0;
	frame[n++] = 0x80 | CLOSE;
	frame[n++] = (uint8_t)(2 | (is_client ? MASKED : 0));
	if (is_client) {
		/* Any mask will do: what it hides from is a proxy that takes it for HTTP. */
		memset(frame + n, 0, 4);
		n += 4;
	}
	frame[n++] = (uint8_t)(code >> 8);
	frame[n++] = (uint8_t)code;
	return n;
}
