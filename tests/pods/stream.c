/* stream: Gradio's long-lived connections: server-sent events, and a WebSocket that echoes. */
#include "exchange.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base64.h"
#include "sha1.h"

#define EVENTS_DEFAULT	    5
#define INTERVAL_DEFAULT_MS 100
#define MESSAGE_MAX	    (UINT64_C(16) << 20)

static unsigned long query_number(const struct exchange *x, const char *key, unsigned long fallback,
				  unsigned long max)
{
	char text[16];
	unsigned long n;

	if (!http_query(x->request, key, text, sizeof(text)))
		return fallback;
	n = strtoul(text, NULL, 10);
	return n < max ? n : max;
}

/* Waits for the next event's time; false if the client left or the pod stops. */
static bool pause_between_events(struct exchange *x, unsigned long ms)
{
	struct pollfd stop = {.fd = x->pod->stop_fd, .events = POLLIN};

	return poll(&stop, 1, (int)ms) <= 0 && !http_peer_gone(x->conn);
}

void stream_events(struct exchange *x)
{
	unsigned long n = query_number(x, "n", EVENTS_DEFAULT, 1000000);
	unsigned long ms = query_number(x, "interval_ms", INTERVAL_DEFAULT_MS, 3600000);
	char session[64] = "";
	struct buf text;

	http_query(x->request, "session_hash", session, sizeof(session));
	x->reply.content_type = "text/event-stream; charset=utf-8";
	x->reply.framing = x->request->minor ? HTTP_CHUNKED : HTTP_UNTIL_CLOSE;
	buf_init(&text);
	http_format_head(&text, x->request, &x->reply);
	http_write(x->conn, text.data, text.len);
	for (unsigned long i = 0; i < n && !x->conn->broken; i++) {
		if (i && !pause_between_events(x, ms))
			break;
		buf_clear(&text);
		buf_printf(&text, "data: {\"msg\":\"%s\",\"event\":%lu,\"session_hash\":",
			   i + 1 == n ? "process_completed" : "progress", i + 1);
		json_quote(&text, session, strlen(session));
		buf_puts(&text, "}\n\n");
		if (x->reply.framing == HTTP_CHUNKED)
			http_write_chunk(x->conn, text.data, text.len);
		else
			http_write(x->conn, text.data, text.len);
	}
	buf_release(&text);
	if (x->reply.framing == HTTP_CHUNKED)
		http_write(x->conn, "0\r\n\r\n", 5);
}

enum opcode { CONTINUATION, TEXT, BINARY, CLOSE = 8, PING, PONG };

struct frame {
	bool final;
	int opcode;
	struct buf payload;
};

static void send_frame(struct http_conn *c, bool final, int opcode, const void *bytes, size_t n)
{
	uint8_t head[10] = {(uint8_t)(final << 7 | opcode)};
	int length_bytes = n < 126 ? 0 : n < 65536 ? 2 : 8;
	struct buf frame;

	head[1] = (uint8_t)(length_bytes == 0 ? n : length_bytes == 2 ? 126 : 127);
	for (int i = 0; i < length_bytes; i++)
		head[2 + i] = (uint8_t)((uint64_t)n >> 8 * (length_bytes - 1 - i));
	buf_init(&frame);
	buf_add(&frame, head, 2 + (size_t)length_bytes);
	buf_add(&frame, bytes, n);
	http_write(c, frame.data, frame.len);
	buf_release(&frame);
}

static void send_close(struct http_conn *c, unsigned code)
{
	uint8_t bytes[2] = {(uint8_t)(code >> 8), (uint8_t)code};

	send_frame(c, true, CLOSE, bytes, sizeof(bytes));
}

/* Reads and unmasks one frame. 0, or the close code to end with (1006: say nothing). */
static unsigned read_frame(struct http_conn *c, struct frame *f)
{
	uint8_t head[2], mask[4], length[8];
	uint64_t n;
	int length_bytes;

	if (!http_read_exact(c, head, 2))
		return http_peer_gone(c) ? 1006 : 1012; /* else the pod stops */
	f->final = head[0] & 0x80;
	f->opcode = head[0] & 0x0f;
	n = head[1] & 0x7f;
	/* Reserved bits, an unmasked frame, a control frame that is long or in pieces. */
	if (head[0] & 0x70 || !(head[1] & 0x80) || (f->opcode & 8 && (n > 125 || !f->final)))
		return 1002;
	length_bytes = n < 126 ? 0 : n == 126 ? 2 : 8;
	if (!http_read_exact(c, length, (size_t)length_bytes))
		return 1006;
	if (length_bytes)
		n = 0;
	for (int i = 0; i < length_bytes; i++)
		n = n << 8 | length[i];
	if (n > MESSAGE_MAX)
		return 1009;
	buf_clear(&f->payload);
	buf_reserve(&f->payload, n);
	if (!http_read_exact(c, mask, 4) || !http_read_exact(c, f->payload.data, n))
		return 1006;
	f->payload.len = n;
	for (uint64_t i = 0; i < n; i++)
		f->payload.data[i] = (char)(f->payload.data[i] ^ mask[i % 4]);
	return 0;
}

/* Echoes frame by frame, so that a message in pieces comes back in the same pieces. */
static void echo(struct http_conn *c)
{
	struct frame f = {0};
	unsigned end_code = 0;

	while (!end_code && !c->broken) {
		end_code = read_frame(c, &f);
		if (end_code)
			break;
		switch (f.opcode) {
		case CONTINUATION:
		case TEXT:
		case BINARY:
			send_frame(c, f.final, f.opcode, f.payload.data, f.payload.len);
			break;
		case CLOSE:
			send_frame(c, true, CLOSE, f.payload.data, f.payload.len);
			end_code = 1006;
			break;
		case PING:
			send_frame(c, true, PONG, f.payload.data, f.payload.len);
			break;
		case PONG:
			break;
		default:
			end_code = 1002;
		}
	}
	if (end_code && end_code != 1006)
		send_close(c, end_code);
	buf_release(&f.payload);
}

void stream_websocket(struct exchange *x)
{
	const struct http_request *r = x->request;
	const char *key = http_header(r, "sec-websocket-key");
	const char *version = http_header(r, "sec-websocket-version");
	uint8_t digest[SHA1_SIZE];
	struct buf text;

	if (!http_header_has_token(r, "upgrade", "websocket") ||
	    !http_header_has_token(r, "connection", "upgrade")) {
		exchange_detail(x, 404, "Not Found");
		http_send_reply(x->conn, r, &x->reply);
		return;
	}
	x->request->keep_alive = false;
	if (!key || strlen(key) != 24 || !version || strcmp(version, "13") != 0) {
		exchange_detail(x, 400, "not a WebSocket handshake");
		http_send_reply(x->conn, r, &x->reply);
		return;
	}
	buf_init(&text);
	buf_printf(&text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	sha1(text.data, text.len, digest);
	buf_clear(&text);
	buf_puts(&text, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
			"Connection: Upgrade\r\nSec-WebSocket-Accept: ");
	base64_encode(&text, digest, sizeof(digest));
	buf_puts(&text, "\r\n\r\n");
	http_write(x->conn, text.data, text.len);
	buf_release(&text);
	echo(x->conn);
	x->conn->linger = true;
}
