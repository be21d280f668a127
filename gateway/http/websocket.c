/* Where a WebSocket's frames end. */
#include "gateway/http/websocket.h"

#include <string.h>

enum { FINAL = 0x80, OPCODE = 0x0f, MASKED = 0x80, LENGTH = 0x7f, CONTROL_MAX = 125 };

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
	w->has_closed |= (w->head[0] & OPCODE) == WEBSOCKET_CLOSE;
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

size_t websocket_read_frame(struct websocket_frame *f, const void *bytes, size_t len)
{
	struct websocket w = {0};
	size_t used = websocket_see_frame(&w, bytes, len);
	if (!used || !websocket_is_between(&w))
		return 0;
	size_t head = head_bytes(&w);
	f->opcode = w.head[0] & OPCODE;
	f->payload = (struct slice){(const char *)bytes + head, used - head};
	if (w.head[1] & MASKED)
		f->payload.len = 0;
	return used;
}

static size_t write_head(uint8_t head[14], enum websocket_opcode opcode, uint64_t len,
			 const uint8_t *mask)
{
	int more = len <= CONTROL_MAX ? 0 : len <= UINT16_MAX ? 2 : 8;
	uint8_t said = more == 0 ? (uint8_t)len : more == 2 ? 126 : 127;
	size_t n = 0;
	head[n++] = (uint8_t)(FINAL | opcode);
	head[n++] = (uint8_t)(said | (mask ? MASKED : 0));
	while (more--)
		head[n++] = (uint8_t)(len >> (8 * more));
	for (int i = 0; mask && i < 4; i++)
		head[n++] = mask[i];
	return n;
}

void websocket_write_frame(struct str *s, enum websocket_opcode opcode, struct slice payload,
			   const uint8_t mask[4])
{
	uint8_t head[14];
	str_add(s, head, write_head(head, opcode, payload.len, mask));
	size_t from = s->len;
	str_add_slice(s, payload);
	for (size_t i = 0; mask && !s->failed && i < payload.len; i++)
		s->at[from + i] = (char)(s->at[from + i] ^ mask[i % 4]);
}

size_t websocket_close_frame(uint8_t frame[WEBSOCKET_CLOSE_MAX], int code, bool is_client)
{
	/* Any mask will do: what it hides from is a proxy that takes it for HTTP. */
	static const uint8_t no_mask[4];
	uint8_t head[14];
	size_t n = write_head(head, WEBSOCKET_CLOSE, 2, is_client ? no_mask : NULL);
	memcpy(frame, head, n);
	frame[n++] = (uint8_t)(code >> 8);
	frame[n++] = (uint8_t)code;
	return n;
}
