/* http_read: receives request heads and bodies; see http.h. */
#define _GNU_SOURCE /* POLLRDHUP, memmem */
#include "http.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

#define HEAD_TIME_US	(60 * UINT64_C(1000000))
#define BODY_SILENCE_US (60 * UINT64_C(1000000))
#define WRITE_SILENCE_S 600
#define LINGER_US	(2 * UINT64_C(1000000))
#define READ_SIZE	65536
#define FOREVER		UINT64_MAX

void http_conn_init(struct http_conn *c, int fd, int stop_fd)
{
	struct timeval silence = {.tv_sec = WRITE_SILENCE_S};
	int on = 1;

	*c = (struct http_conn){.fd = fd, .stop_fd = stop_fd};
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof(silence));
}

/* Reads what the peer still sends, lest our close turn into a reset that eats the answer. */
static void drain(struct http_conn *c)
{
	uint64_t until = clock_mono_us() + LINGER_US;
	char waste[READ_SIZE];

	shutdown(c->fd, SHUT_WR);
	for (;;) {
		uint64_t now = clock_mono_us();
		struct pollfd p = {.fd = c->fd, .events = POLLIN};

		if (now >= until || poll(&p, 1, (int)((until - now) / 1000) + 1) <= 0 ||
		    recv(c->fd, waste, sizeof(waste), 0) <= 0)
			return;
	}
}

void http_close(struct http_conn *c)
{
	if (c->fd < 0)
		return;
	if (c->linger && !c->broken)
		drain(c);
	close(c->fd);
	c->fd = -1;
	c->broken = true;
}

void http_reset(struct http_conn *c)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	if (c->fd < 0)
		return;
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	c->linger = false;
	http_close(c);
}

void http_conn_release(struct http_conn *c)
{
	http_close(c);
	buf_release(&c->in);
}

bool http_peer_gone(struct http_conn *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

	return c->broken || (poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

void http_wait_gone(struct http_conn *c)
{
	struct pollfd p[2] = {{.fd = c->fd, .events = POLLRDHUP},
			      {.fd = c->stop_fd, .events = POLLIN}};

	while (!c->broken && poll(p, 2, -1) < 0 && errno == EINTR)
		;
}

void http_request_init(struct http_request *r)
{
	memset(r, 0, sizeof(*r));
}

void http_request_release(struct http_request *r)
{
	buf_release(&r->head);
	buf_release(&r->body);
}

void http_request_clear(struct http_request *r)
{
	struct buf head = r->head, body = r->body;

	http_request_init(r);
	r->head = head;
	buf_clear(&r->head);
	/* A pod's bodies may be huge and rare: do not keep their memory. */
	buf_release(&body);
}

/* Appends whatever arrives to c->in; HTTP_CLOSED at end, error, deadline, or (if asked) at stop. */
static enum http_result receive(struct http_conn *c, uint64_t until, bool heed_stop)
{
	struct pollfd p[2] = {{.fd = c->fd, .events = POLLIN},
			      {.fd = heed_stop ? c->stop_fd : -1, .events = POLLIN}};
	ssize_t n;

	if (c->broken)
		return HTTP_CLOSED;
	if (c->in_at == c->in.len) {
		buf_clear(&c->in);
		c->in_at = 0;
	}
	for (;;) {
		uint64_t now = clock_mono_us();
		int ms = until == FOREVER ? -1 : now >= until ? 0 : (int)((until - now) / 1000) + 1;
		int ready = poll(p, 2, ms);

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0 || p[1].revents)
			return HTTP_CLOSED;
		break;
	}
	buf_reserve(&c->in, READ_SIZE);
	n = recv(c->fd, c->in.data + c->in.len, READ_SIZE, 0);
	if (n <= 0)
		return HTTP_CLOSED;
	c->in.len += (size_t)n;
	return HTTP_OK;
}

static size_t received(const struct http_conn *c)
{
	return c->in.len - c->in_at;
}

static const char *received_at(const struct http_conn *c)
{
	return c->in.data + c->in_at;
}

static enum http_result bad(int *status, int code)
{
	*status = code;
	return HTTP_BAD;
}

/* Reads on until the received bytes contain `mark`; *n = bytes up to and with it. */
static enum http_result read_until(struct http_conn *c, const char *mark, size_t max, size_t *n,
				   uint64_t until, bool heed_stop)
{
	size_t mark_len = strlen(mark);

	for (;;) {
		const char *hit = NULL;

		if (received(c))
			hit = memmem(received_at(c), received(c), mark, mark_len);
		if (hit) {
			*n = (size_t)(hit - received_at(c)) + mark_len;
			return *n <= max ? HTTP_OK : HTTP_BAD;
		}
		if (received(c) >= max)
			return HTTP_BAD;
		if (receive(c, until, heed_stop) != HTTP_OK)
			return HTTP_CLOSED;
	}
}

static bool parse_request_line(struct http_request *r, char *line)
{
	char *target = strchr(line, ' '), *version;

	if (!target)
		return false;
	*target++ = '\0';
	version = strchr(target, ' ');
	if (!version || strncmp(version + 1, "HTTP/1.", 7) != 0 || version[9] ||
	    (version[8] != '0' && version[8] != '1') || *target != '/')
		return false;
	*version = '\0';
	r->minor = version[8] - '0';
	r->method = line;
	r->path = target;
	r->query = strchr(target, '?');
	if (r->query)
		*r->query++ = '\0';
	else
		r->query = version; /* the NUL: an empty string */
	return *r->method != '\0';
}

static bool parse_header_line(struct http_request *r, char *line)
{
	char *colon = strchr(line, ':'), *value, *end;

	if (!colon || colon == line)
		return false;
	for (char *p = line; p < colon; p++) {
		if (!isgraph((unsigned char)*p))
			return false;
		*p = (char)tolower((unsigned char)*p);
	}
	*colon = '\0';
	value = colon + 1 + strspn(colon + 1, " \t");
	end = value + strlen(value);
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	r->headers[r->header_count++] = (struct http_header){line, value};
	return true;
}

/* Both a length and chunked, or two lengths, is how requests are smuggled: refused, not guessed. */
static bool parse_framing(struct http_request *r)
{
	const char *length = NULL, *coding = http_header(r, "transfer-encoding");
	char *end;

	for (size_t i = 0; i < r->header_count; i++) {
		if (strcmp(r->headers[i].name, "content-length") != 0)
			continue;
		if (length)
			return false;
		length = r->headers[i].value;
	}
	if (coding) {
		r->chunked = true;
		return !length && r->minor == 1 && strcasecmp(coding, "chunked") == 0;
	}
	if (!length)
		return true;
	if (!isdigit((unsigned char)*length) || strlen(length) > 18)
		return false;
	r->content_length = strtoull(length, &end, 10);
	return *end == '\0';
}

static enum http_result parse_head(struct http_request *r, int *status)
{
	char *line = r->head.data;

	for (bool first = true;; first = false) {
		char *end = strstr(line, "\r\n");

		if (!end)
			return bad(status, 400); /* a NUL byte hid the rest */
		*end = '\0';
		if (!first && end == line)
			break;
		if (!first && r->header_count == HTTP_HEADERS_MAX)
			return bad(status, 431);
		if (first ? !parse_request_line(r, line) : !parse_header_line(r, line))
			return bad(status, 400);
		line = end + 2;
	}
	if (!parse_framing(r))
		return bad(status, 400);
	r->keep_alive = r->minor == 1 && !http_header_has_token(r, "connection", "close");
	r->expects_continue = r->minor == 1 && http_header_has_token(r, "expect", "100-continue");
	r->body_read = !r->chunked && r->content_length == 0;
	return HTTP_OK;
}

enum http_result http_read_head(struct http_conn *c, struct http_request *r, uint64_t idle_us,
				int *status)
{
	enum http_result result;
	size_t n;

	if (!received(c) && receive(c, clock_mono_us() + idle_us, true) != HTTP_OK)
		return HTTP_CLOSED;
	result = read_until(c, "\r\n\r\n", HTTP_HEAD_MAX, &n, clock_mono_us() + HEAD_TIME_US, true);
	if (result == HTTP_BAD)
		return bad(status, 431);
	if (result != HTTP_OK)
		return result;
	http_request_clear(r);
	buf_add(&r->head, received_at(c), n);
	c->in_at += n;
	return parse_head(r, status);
}

static bool take_bytes(struct http_conn *c, struct buf *to, uint64_t n)
{
	while (n) {
		size_t have = received(c) < n ? received(c) : (size_t)n;

		if (have) {
			buf_add(to, received_at(c), have);
			c->in_at += have;
			n -= have;
		} else if (receive(c, clock_mono_us() + BODY_SILENCE_US, false) != HTTP_OK) {
			return false;
		}
	}
	return true;
}

/* One line of the chunked framing, without its CRLF, into `line`. */
static enum http_result take_line(struct http_conn *c, char *line, size_t size)
{
	size_t n;
	enum http_result result =
		read_until(c, "\r\n", size, &n, clock_mono_us() + BODY_SILENCE_US, false);

	if (result == HTTP_OK) {
		memcpy(line, received_at(c), n - 2);
		line[n - 2] = '\0';
		c->in_at += n;
	}
	return result;
}

static enum http_result read_chunks(struct http_conn *c, struct http_request *r, int *status)
{
	char line[4096], *end;
	enum http_result result;

	for (;;) {
		uint64_t n;

		result = take_line(c, line, sizeof(line));
		if (result != HTTP_OK)
			return result == HTTP_BAD ? bad(status, 400) : result;
		if (!isxdigit((unsigned char)line[0]) ||
		    strspn(line, "0123456789abcdefABCDEF") > 15)
			return bad(status, 400);
		n = strtoull(line, &end, 16);
		if (*end && !strchr("; \t", *end))
			return bad(status, 400);
		if (!n)
			break;
		if (n > HTTP_BODY_MAX - r->body.len)
			return bad(status, 413);
		if (!take_bytes(c, &r->body, n))
			return HTTP_CLOSED;
		result = take_line(c, line, sizeof(line));
		if (result != HTTP_OK || line[0])
			return result == HTTP_CLOSED ? result : bad(status, 400);
	}
	for (int trailers = 0; trailers < HTTP_HEADERS_MAX; trailers++) {
		result = take_line(c, line, sizeof(line));
		if (result != HTTP_OK)
			return result == HTTP_BAD ? bad(status, 431) : result;
		if (!line[0])
			return HTTP_OK;
	}
	return bad(status, 431);
}

enum http_result http_read_body(struct http_conn *c, struct http_request *r, int *status)
{
	enum http_result result = HTTP_OK;

	if (r->body_read)
		return HTTP_OK;
	c->linger = true;
	if (r->content_length > HTTP_BODY_MAX)
		return bad(status, 413);
	if (r->expects_continue && !received(c))
		http_write(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	if (r->chunked)
		result = read_chunks(c, r, status);
	else if (!take_bytes(c, &r->body, r->content_length))
		result = HTTP_CLOSED;
	if (result == HTTP_OK) {
		r->body_read = true;
		c->linger = false;
	}
	return result;
}

bool http_read_exact(struct http_conn *c, void *to, size_t n)
{
	while (received(c) < n)
		if (receive(c, FOREVER, true) != HTTP_OK)
			return false;
	memcpy(to, received_at(c), n);
	c->in_at += n;
	return true;
}

const char *http_header(const struct http_request *r, const char *lower_case_name)
{
	for (size_t i = 0; i < r->header_count; i++)
		if (strcmp(r->headers[i].name, lower_case_name) == 0)
			return r->headers[i].value;
	return NULL;
}

bool http_header_has_token(const struct http_request *r, const char *name, const char *token)
{
	size_t token_len = strlen(token);

	for (size_t i = 0; i < r->header_count; i++) {
		const char *at = r->headers[i].value;

		if (strcmp(r->headers[i].name, name) != 0)
			continue;
		while (*at) {
			size_t n;

			at += strspn(at, ", \t");
			n = strcspn(at, ", \t");
			if (n == token_len && strncasecmp(at, token, n) == 0)
				return true;
			at += n;
		}
	}
	return false;
}

bool http_query(const struct http_request *r, const char *key, char *value, size_t size)
{
	size_t key_len = strlen(key);

	for (const char *at = r->query; *at;) {
		size_t n = strcspn(at, "&");

		if (n > key_len && at[key_len] == '=' && strncmp(at, key, key_len) == 0) {
			n -= key_len + 1;
			if (n >= size)
				n = size - 1;
			memcpy(value, at + key_len + 1, n);
			value[n] = '\0';
			return true;
		}
		at += n + (at[n] == '&');
	}
	return false;
}
