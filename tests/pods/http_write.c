/* http_write: sends replies; see http.h. */
#include "http.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

#define CHUNK_SIZE 16384
/* How often a slow body writes: small enough that the peer sees a trickle, not bursts. */
#define TRICKLE_US 20000

static bool write_flags(struct http_conn *c, const void *bytes, size_t n, int flags)
{
	const char *at = bytes;

	while (n && !c->broken) {
		ssize_t sent = send(c->fd, at, n, MSG_NOSIGNAL | flags);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0) {
			c->broken = true;
			break;
		}
		at += sent;
		n -= (size_t)sent;
	}
	return !c->broken;
}

bool http_write(struct http_conn *c, const void *bytes, size_t n)
{
	return write_flags(c, bytes, n, 0);
}

bool http_write_chunk(struct http_conn *c, const void *bytes, size_t n)
{
	struct buf framed;
	bool ok;

	buf_init(&framed);
	buf_printf(&framed, "%zx\r\n", n);
	buf_add(&framed, bytes, n);
	buf_puts(&framed, "\r\n");
	ok = http_write(c, framed.data, framed.len);
	buf_release(&framed);
	return ok;
}

const char *http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{200, "OK"},
		{400, "Bad Request"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{413, "Request Entity Too Large"},
		{422, "Unprocessable Entity"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}

void http_format_head(struct buf *out, const struct http_request *r, const struct http_reply *reply)
{
	time_t now = (time_t)(clock_wall_us() / 1000000);
	struct tm tm;
	char date[40];

	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	/* Lower case and in this order, as uvicorn writes them. */
	buf_printf(out, "HTTP/1.1 %d %s\r\ndate: %s\r\nserver: uvicorn\r\n", reply->status,
		   http_reason(reply->status), date);
	if (reply->framing == HTTP_LENGTH)
		buf_printf(out, "content-length: %zu\r\n", reply->body.len);
	if (reply->content_type)
		buf_printf(out, "content-type: %s\r\n", reply->content_type);
	buf_printf(out, "x-demo-pod: %ld\r\n", (long)getpid());
	if (reply->extra_headers)
		buf_puts(out, reply->extra_headers);
	if (reply->framing == HTTP_CHUNKED)
		buf_puts(out, "transfer-encoding: chunked\r\n");
	if (!r->keep_alive)
		buf_puts(out, "connection: close\r\n");
	buf_puts(out, "\r\n");
}

/* A piece of the body in the reply's framing. */
static bool write_piece(struct http_conn *c, const struct http_reply *reply, const char *at,
			size_t n)
{
	if (reply->framing == HTTP_CHUNKED)
		return http_write_chunk(c, at, n);
	return http_write(c, at, n);
}

/* The first n bytes of the body, at the reply's speed. */
static void write_body(struct http_conn *c, const struct http_reply *reply, size_t n)
{
	bool whole = reply->framing != HTTP_CHUNKED && !reply->bytes_per_second;
	uint64_t began = clock_mono_us();
	size_t at = 0;

	while (at < n && !c->broken) {
		size_t piece = !whole && n - at > CHUNK_SIZE ? CHUNK_SIZE : n - at;

		if (reply->bytes_per_second) {
			/* What is due by now, so that a late wake-up does not lower the rate. */
			uint64_t elapsed = clock_mono_us() - began;
			uint64_t due = elapsed * reply->bytes_per_second / 1000000;

			if (due <= at) {
				clock_sleep_us(TRICKLE_US);
				continue;
			}
			if (piece > due - at)
				piece = (size_t)(due - at);
		}
		write_piece(c, reply, reply->body.data + at, piece);
		at += piece;
	}
}

static void call_before_end(const struct http_reply *reply)
{
	if (reply->before_end)
		reply->before_end(reply->before_end_arg);
}

bool http_send_reply(struct http_conn *c, const struct http_request *r, struct http_reply *reply)
{
	bool chunked = reply->framing == HTTP_CHUNKED;
	bool has_body = chunked || reply->body.len;
	/* What completes an answer is its last chunk, or the byte held back for before_end. */
	size_t held_back = !chunked && reply->before_end ? 1 : 0;
	struct buf head;

	if (r->method && strcmp(r->method, "HEAD") == 0)
		has_body = false;
	if (!has_body)
		call_before_end(reply);
	buf_init(&head);
	http_format_head(&head, r, reply);
	write_flags(c, head.data, head.len, has_body && !reply->bytes_per_second ? MSG_MORE : 0);
	buf_release(&head);
	if (!has_body)
		return !c->broken;
	write_body(c, reply, reply->body.len - held_back);
	call_before_end(reply);
	if (chunked)
		return http_write(c, "0\r\n\r\n", 5);
	return http_write(c, reply->body.data + reply->body.len - held_back, held_back);
}
