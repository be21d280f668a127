/* A WebSocket of ours. */
#include "gateway/autoscalers/websocket_client.h"

#include <errno.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/http_client.h"
#include "base/mem.h"
#include "base/stream.h"
#include "gateway/http/http.h"
#include "gateway/http/websocket.h"

/* As Knative's own clients do it: three pings in the time after which a silent peer is lost. */
static const int64_t SILENCE_US = 10 * US_PER_S, PING_US = 10 * US_PER_S / 3;
static const int64_t CONNECT_US = 5 * US_PER_S;
static const int64_t PAUSE_MIN_US = 100 * US_PER_MS, PAUSE_MAX_US = 5 * US_PER_S;

enum {
	KEY_BYTES = 16,
	IN_BYTES_MAX = 16 << 10, /* a server that says more says nothing for us */
	OUT_BYTES_MAX = 256 << 10,
};

enum websocket_state { WEBSOCKET_DOWN, WEBSOCKET_CONNECTING, WEBSOCKET_UPGRADING, WEBSOCKET_OPEN };

struct websocket_client {
	struct loop *loop;
	struct http_client *http;
	websocket_client_fn *fn;
	void *owner;
	char *server;
	enum websocket_state state;
	struct http_exchange *connecting;
	struct stream stream;
	struct http_parser *parser; /* of the answer to the upgrade */
	struct str accept;	    /* what it must hold */
	struct str in, out;
	struct timer timer;
	int64_t pause_us, open_us, heard_us;
};

static void drop(struct websocket_client *c, const char *why);

/* --- writing --------------------------------------------------------------------------------- */

static void flush(struct websocket_client *c)
{
	while (c->out.len) {
		struct iovec piece = {c->out.at, c->out.len};
		ssize_t n = stream_write(&c->stream, &piece, 1);
		if (n < 0)
			return; /* full, or broken: then reading tells */
		memmove(c->out.at, c->out.at + n, c->out.len - (size_t)n);
		c->out.len -= (size_t)n;
	}
}

static bool send_frame(struct websocket_client *c, enum websocket_opcode opcode,
		       struct slice payload)
{
	uint8_t mask[4];
	crypto_random(mask, sizeof(mask));
	if (c->out.len + payload.len > OUT_BYTES_MAX)
		return false;
	size_t before = c->out.len;
	websocket_write_frame(&c->out, opcode, payload, mask);
	if (c->out.failed) { /* no half of it */
		c->out.failed = false;
		c->out.len = before;
		return false;
	}
	flush(c);
	return true;
}

bool websocket_client_send(struct websocket_client *c, struct slice message)
{
	return c->state == WEBSOCKET_OPEN && send_frame(c, WEBSOCKET_BINARY, message);
}

/* --- reading --------------------------------------------------------------------------------- */

static void take_frame(struct websocket_client *c, const struct websocket_frame *f)
{
	if (f->opcode == WEBSOCKET_PING)
		send_frame(c, WEBSOCKET_PONG, f->payload);
	else if (f->opcode == WEBSOCKET_CLOSE)
		drop(c, "it has closed the connection");
}

static void take_frames(struct websocket_client *c)
{
	struct websocket_frame f;
	size_t at = 0, n;
	while (c->state == WEBSOCKET_OPEN &&
	       (n = websocket_read_frame(&f, c->in.at + at, c->in.len - at))) {
		at += n;
		take_frame(c, &f);
	}
	if (c->state != WEBSOCKET_OPEN)
		return;
	memmove(c->in.at, c->in.at + at, c->in.len - at);
	c->in.len -= at;
	if (c->in.len > IN_BYTES_MAX)
		drop(c, "it sends messages that nobody expects");
}

static bool is_accepted(const struct websocket_client *c, const struct http_head *head)
{
	struct slice to = http_find(head, HEADER_UPGRADE);
	if (head->status != 101 || !head->wants_upgrade || !to.at ||
	    !slice_is_nocase(to, "websocket"))
		return false;
	for (size_t i = 0; i < head->count; i++)
		if (slice_is_nocase(head->headers[i].name, "sec-websocket-accept"))
			return slice_is(head->headers[i].value, c->accept.at);
	return false;
}

static void be_open(struct websocket_client *c)
{
	c->state = WEBSOCKET_OPEN;
	c->open_us = loop_now_us(c->loop);
	timer_set(&c->timer, loop_now_us(c->loop) + PING_US);
	c->fn(c->owner, true, "");
}

/* The head's end is the message's: what is behind it are frames already. */
static void take_answer(struct websocket_client *c, const char *bytes, size_t len)
{
	size_t at = 0, used;
	enum http_result result = HTTP_MORE;
	do {
		result = http_parser_feed(c->parser, bytes + at, len - at, &used);
		at += used;
		if (result == HTTP_HEAD_END && !is_accepted(c, http_parser_head(c->parser))) {
			drop(c, "it does not take a WebSocket");
			return;
		}
	} while (result == HTTP_HEAD_END);
	if (result == HTTP_MORE)
		return;
	if (result != HTTP_END) {
		drop(c, "its answer is no HTTP");
		return;
	}
	str_add(&c->in, bytes + at, len - at);
	be_open(c);
	take_frames(c);
}

static void take(struct websocket_client *c, const char *bytes, size_t len)
{
	c->heard_us = loop_now_us(c->loop);
	if (c->state == WEBSOCKET_UPGRADING) {
		take_answer(c, bytes, len);
		return;
	}
	str_add(&c->in, bytes, len);
	if (c->in.failed)
		drop(c, "there is no memory for what it sends");
	else
		take_frames(c);
}

static void on_ready(void *owner, unsigned what)
{
	struct websocket_client *c = owner;
	char bytes[4096];
	if (what & IO_WRITE)
		flush(c);
	while (c->state == WEBSOCKET_UPGRADING || c->state == WEBSOCKET_OPEN) {
		ssize_t n = stream_read(&c->stream, bytes, sizeof(bytes));
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n > 0)
			take(c, bytes, (size_t)n);
		else
			drop(c, n ? strerror(errno) : "it has closed the connection");
	}
}

/* --- coming and going ------------------------------------------------------------------------ */

/* One that has held for a while is made again soon; else each pause is twice as long. */
static void drop(struct websocket_client *c, const char *why)
{
	int64_t now_us = loop_now_us(c->loop);
	if (c->state == WEBSOCKET_OPEN && now_us - c->open_us >= PING_US)
		c->pause_us = PAUSE_MIN_US;
	if (c->state >= WEBSOCKET_UPGRADING)
		stream_close(&c->stream);
	c->state = WEBSOCKET_DOWN;
	http_parser_free(c->parser);
	c->parser = NULL;
	str_release(&c->in);
	str_release(&c->out);
	str_init(&c->in);
	str_init(&c->out);
	timer_set(&c->timer, now_us + c->pause_us);
	c->pause_us = c->pause_us * 2 < PAUSE_MAX_US ? c->pause_us * 2 : PAUSE_MAX_US;
	c->fn(c->owner, false, why);
}

static bool make_key(struct websocket_client *c, struct str *key)
{
	static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char bytes[KEY_BYTES], digest[CRYPTO_SHA1_BYTES];
	struct str joined;
	crypto_random(bytes, sizeof(bytes));
	base64_encode((struct slice){(char *)bytes, sizeof(bytes)}, key);
	str_init(&joined);
	str_printf(&joined, "%s%s", key->len ? key->at : "", magic);
	bool ok = !key->failed && !joined.failed && crypto_sha1(joined.at, joined.len, digest);
	str_release(&joined);
	str_clear(&c->accept);
	if (ok)
		base64_encode((struct slice){(char *)digest, sizeof(digest)}, &c->accept);
	return ok && !c->accept.failed;
}

static bool ask(struct websocket_client *c)
{
	static const struct http_limits limits = {16 << 10, 100, 0};
	struct str key;
	str_init(&key);
	bool ok = make_key(c, &key);
	str_printf(&c->out,
		   "GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: slotgate\r\nConnection: Upgrade\r\n"
		   "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"
		   "\r\n",
		   c->server, ok ? key.at : "");
	str_release(&key);
	c->parser = ok && !c->out.failed ? http_parser_new() : NULL;
	if (!c->parser)
		return false;
	http_parser_begin(c->parser, HTTP_IS_RESPONSE, limits, NULL, NULL);
	flush(c);
	return true;
}

static void on_connected(void *owner, const struct http_client_result *r)
{
	struct websocket_client *c = owner;
	c->connecting = NULL;
	if (r->error) {
		drop(c, r->text);
		return;
	}
	if (!stream_open(&c->stream, c->loop, r->socket, NULL, on_ready, c)) {
		drop(c, "there is no memory for it");
		return;
	}
	c->state = WEBSOCKET_UPGRADING;
	timer_set(&c->timer, loop_now_us(c->loop) + CONNECT_US);
	if (!ask(c))
		drop(c, "there is no memory for it");
}

static void connect_anew(struct websocket_client *c)
{
	struct str url;
	str_init(&url);
	str_printf(&url, "http://%s/", c->server);
	struct http_client_request request = {
		.url = url.at,
		.timeout_us = CONNECT_US,
		.only_connects = true,
	};
	c->state = WEBSOCKET_CONNECTING;
	c->connecting = url.failed ? NULL : http_client_start(c->http, &request, on_connected, c);
	str_release(&url);
	if (!c->connecting)
		drop(c, "there is no memory for it");
}

static void on_timer(void *owner)
{
	struct websocket_client *c = owner;
	int64_t now_us = loop_now_us(c->loop);
	switch (c->state) {
	case WEBSOCKET_DOWN:
		connect_anew(c);
		break;
	case WEBSOCKET_CONNECTING:
		break; /* that has a limit of its own */
	case WEBSOCKET_UPGRADING:
		drop(c, "it does not answer");
		break;
	case WEBSOCKET_OPEN:
		if (now_us - c->heard_us >= SILENCE_US) {
			drop(c, "it has fallen silent");
			break;
		}
		send_frame(c, WEBSOCKET_PING, SLICE(""));
		timer_set(&c->timer, now_us + PING_US);
		break;
	}
}

struct websocket_client *websocket_client_new(struct loop *loop, struct http_client *http,
					      const char *server, websocket_client_fn *fn,
					      void *owner)
{
	struct websocket_client *c = mem_zalloc(sizeof(*c));
	if (!c)
		return NULL;
	*c = (struct websocket_client){.loop = loop, .http = http, .fn = fn, .owner = owner};
	c->server = mem_copy(server, strlen(server) + 1);
	c->pause_us = PAUSE_MIN_US;
	str_init(&c->in);
	str_init(&c->out);
	str_init(&c->accept);
	if (!c->server || !timer_init(&c->timer, loop, on_timer, c)) {
		mem_free(c->server);
		mem_free(c);
		return NULL;
	}
	timer_set(&c->timer, loop_now_us(loop));
	return c;
}

void websocket_client_free(struct websocket_client *c)
{
	if (!c)
		return;
	if (c->state == WEBSOCKET_OPEN)
		send_frame(c, WEBSOCKET_CLOSE, (struct slice){"\x03\xe9", 2}); /* 1001 */
	if (c->state >= WEBSOCKET_UPGRADING)
		stream_close(&c->stream);
	http_client_cancel(c->connecting);
	http_parser_free(c->parser);
	timer_release(&c->timer);
	str_release(&c->in);
	str_release(&c->out);
	str_release(&c->accept);
	mem_free(c->server);
	mem_free(c);
}

const char *websocket_client_server(const struct websocket_client *c)
{
	return c->server;
}

bool websocket_client_is_open(const struct websocket_client *c)
{
	return c->state == WEBSOCKET_OPEN;
}
