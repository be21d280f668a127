/*
 * http: one HTTP/1.x server connection on a blocking socket, used by one thread.
 *
 * Order of calls per exchange: http_read_head, http_read_body (unless the answer is to come
 * early), then http_send_reply, or http_write for those who frame their own bytes. A connection
 * that is broken, or whose body was left unread, is not used for a further exchange.
 */
#ifndef DEMO_POD_HTTP_H
#define DEMO_POD_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define HTTP_HEAD_MAX	 65536
#define HTTP_BODY_MAX	 (UINT64_C(256) << 20)
#define HTTP_HEADERS_MAX 128

struct http_conn {
	int fd;	     /* -1 once closed */
	int stop_fd; /* readable once the server stops: ends an idle connection; -1 = never */
	bool broken; /* nothing more can be written */
	bool linger; /* bytes of the peer's may be unread: closing must not reset them away */
	struct buf in;
	size_t in_at; /* in[in_at..] is received and not yet consumed */
};

struct http_header {
	char *name; /* into the request's head, NUL-terminated, lower case */
	char *value;
};

struct http_request {
	struct buf head;
	char *method, *path, *query; /* query is "" when there is none */
	int minor;		     /* HTTP/1.minor */
	struct http_header headers[HTTP_HEADERS_MAX];
	size_t header_count;
	uint64_t content_length;
	bool chunked, expects_continue, keep_alive;
	bool body_read;
	struct buf body;
};

enum http_result {
	HTTP_OK,
	HTTP_CLOSED, /* the peer left, the idle time passed, or the server stops */
	HTTP_BAD,    /* malformed or over a limit: *status says what to answer */
};

enum http_framing { HTTP_LENGTH, HTTP_CHUNKED, HTTP_UNTIL_CLOSE };

struct http_reply {
	int status;
	const char *content_type;
	const char *extra_headers; /* whole lines, each with its CRLF, or NULL */
	enum http_framing framing;
	uint64_t bytes_per_second; /* 0 = as fast as the peer reads */
	struct buf body;
	/*
	 * Called once before the bytes that complete the answer are written, and so before the
	 * peer can know that it has ended: what it counts is never behind what the peer saw.
	 */
	void (*before_end)(void *arg);
	void *before_end_arg;
};

void http_conn_init(struct http_conn *c, int fd, int stop_fd);
void http_conn_release(struct http_conn *c); /* closes the socket if it is still open */
void http_close(struct http_conn *c);	     /* FIN, after what was written */
void http_reset(struct http_conn *c);	     /* RST */
/* The peer closed or half-closed, even behind unread bytes; uvicorn treats both as gone. */
bool http_peer_gone(struct http_conn *c);
/* Sits silent until that, or until the server stops. */
void http_wait_gone(struct http_conn *c);

void http_request_init(struct http_request *r);
void http_request_release(struct http_request *r);
void http_request_clear(struct http_request *r);

/* Waits idle_us for a first byte; the head must then be whole within a fixed time. */
enum http_result http_read_head(struct http_conn *c, struct http_request *r, uint64_t idle_us,
				int *status);
/* Answers Expect: 100-continue where asked. */
enum http_result http_read_body(struct http_conn *c, struct http_request *r, int *status);
/* Exactly n bytes into `to`, after an upgrade; false = closed, or the server stops. */
bool http_read_exact(struct http_conn *c, void *to, size_t n);

const char *http_header(const struct http_request *r, const char *lower_case_name); /* or NULL */
bool http_header_has_token(const struct http_request *r, const char *name, const char *token);
/* Copies a query parameter's raw value; false if it is absent. */
bool http_query(const struct http_request *r, const char *key, char *value, size_t size);

bool http_write(struct http_conn *c, const void *bytes, size_t n); /* false = broken */
bool http_write_chunk(struct http_conn *c, const void *bytes, size_t n);
/* The status line and headers with their blank line. */
void http_format_head(struct buf *out, const struct http_request *r,
		      const struct http_reply *reply);
bool http_send_reply(struct http_conn *c, const struct http_request *r, struct http_reply *reply);
const char *http_reason(int status);

#endif
