/*
 * gateway/http: a table of messages, good and bad (RFC 9112), each also cut in two at every byte
 * and into single bytes. "rest" is what the parser leaves for the next message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/http/http.h"

enum { ANSWER = 1, TO_HEAD = 2, CLOSED = 4, HEAD_BYTES = 1024, MOST_HEADERS = 8 };

static const struct http_limits limits = {HEAD_BYTES, MOST_HEADERS, 8192};

/*
 * What came of it, as text: "METHOD TARGET 1.x" or "STATUS 1.x", then length=, chunked, close (it
 * cannot be kept alive), upgrade, continue, then body=. A message that needs more is "...".
 */
struct row {
	struct slice text;
	const char *expected;
	const char *rest;
	int flags;
	enum http_result result;
};

#define GOOD(text, expected, rest, flags)                                                          \
	{                                                                                          \
		SLICE(text), expected, rest, flags, HTTP_END                                       \
	}
#define MORE(text, expected, flags)                                                                \
	{                                                                                          \
		SLICE(text), expected, "", flags, HTTP_MORE                                        \
	}
#define FAILS(text, flags, result)                                                                 \
	{                                                                                          \
		SLICE(text), NULL, NULL, flags, result                                             \
	}
#define BAD(text)	 FAILS(text, 0, HTTP_BAD)
#define H		 "Host: a\r\n"
#define GET		 "GET / HTTP/1.1\r\n"
#define POST		 "POST /p HTTP/1.1\r\n" H
#define CHUNKED		 "Transfer-Encoding: chunked\r\n\r\n"
#define OK		 "HTTP/1.1 200 OK\r\n"
#define SIXTEEN_OPTIONS	 "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,"
#define OPTIONS_64	 SIXTEEN_OPTIONS SIXTEEN_OPTIONS SIXTEEN_OPTIONS SIXTEEN_OPTIONS
#define SIXTY_FOUR	 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SIXTY_FOUR_ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define FOUR_TIMES(s)	 s s s s
#define KIB_ZEROS	 FOUR_TIMES(FOUR_TIMES(SIXTY_FOUR_ZEROS)) "00"
#define KIB                                                                                        \
	SIXTY_FOUR SIXTY_FOUR SIXTY_FOUR SIXTY_FOUR SIXTY_FOUR SIXTY_FOUR SIXTY_FOUR SIXTY_FOUR    \
		SIXTY_FOUR SIXTY_FOUR SIXTY_FOUR SIXTY_FOUR SIXTY_FOUR SIXTY_FOUR SIXTY_FOUR       \
			SIXTY_FOUR

static const struct row rows[] = {
	/* --- requests: their head --- */
	GOOD(GET H "\r\n", "GET / 1.1", "", 0),
	GOOD("HEAD /x?y=z&%20;:@ HTTP/1.1\r\n" H "\r\n", "HEAD /x?y=z&%20;:@ 1.1", "", 0),
	GOOD("OPTIONS * HTTP/1.1\r\n" H "\r\n", "OPTIONS * 1.1", "", 0),
	GOOD("DELETE http://b:81/c HTTP/1.1\r\n" H "\r\n", "DELETE http://b:81/c 1.1", "", 0),
	GOOD("GET / HTTP/1.0\r\n\r\n", "GET / 1.0 close", "", 0),
	GOOD("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / 1.0", "", 0),
	GOOD(GET H "Connection: close\r\n\r\n", "GET / 1.1 close", "", 0),
	GOOD(GET H "Connection: " OPTIONS_64 "\r\n\r\n", "GET / 1.1", "", 0),
	GOOD(GET H "Connection: x, Close\r\n\r\n", "GET / 1.1 close", "", 0),
	GOOD(GET "hOsT: a\r\n\r\n", "GET / 1.1", "", 0),
	GOOD(GET "Host:\r\n\r\n", "GET / 1.1", "", 0),
	GOOD(GET "Host:a\r\n\r\n", "GET / 1.1", "", 0),
	GOOD(GET "Host: \t a \t \r\n\r\n", "GET / 1.1", "", 0),
	GOOD(GET H "A: b\tc\r\n\r\n", "GET / 1.1", "", 0),
	GOOD(GET H "A: \xc3\xa9\r\n\r\n", "GET / 1.1", "", 0),
	GOOD(GET H "Proxy-Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", "GET / 1.1", "", 0),
	GOOD(GET H "Connection: upgrade\r\nUpgrade: websocket\r\n\r\nxyz", "GET / 1.1 upgrade",
	     "xyz", 0),
	GOOD(GET H "Upgrade: websocket\r\n\r\n", "GET / 1.1", "", 0),
	GOOD(GET H "\r\n" GET H "\r\n", "GET / 1.1", GET H "\r\n", 0),
	GOOD(GET H "\r\n\r\n", "GET / 1.1", "\r\n", 0),
	BAD("GET  / HTTP/1.1\r\n" H "\r\n"),
	BAD("GET /  HTTP/1.1\r\n" H "\r\n"),
	BAD("GET /#f HTTP/1.1\r\n" H "\r\n"),
	BAD(GET "Host: a b\r\n\r\n"),
	/* Each is looked for among all headers. */
	BAD(GET H "Connection: " OPTIONS_64 "close\r\n\r\n"),
	BAD(GET H "Connection: " OPTIONS_64 "\r\nA: b\r\nConnection: a\r\n\r\n"),
	BAD(GET "Host: u@a\r\n\r\n"),
	MORE("G", "...", 0),
	MORE(GET H, "...", 0),
	MORE(GET H "\r", "...", 0),
	BAD("\0\0\0\0"),
	BAD("\x16\x03\x01\x02\x00\x01\x00\x01"), /* TLS */
	BAD("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	GOOD("get / HTTP/1.1\r\n" H "\r\n", "get / 1.1", "", 0),
	GOOD("BREW-IT! /pot HTTP/1.1\r\n" H "\r\n", "BREW-IT! /pot 1.1", "", 0),
	GOOD("GET / HTTP/1.2\r\n" H "\r\n", "GET / 1.1", "", 0),
	GOOD("GET / HTTP/1.9\r\n" H "\r\n", "GET / 1.1", "", 0),
	GOOD(SIXTY_FOUR " / HTTP/1.1\r\n" H "\r\n", SIXTY_FOUR " / 1.1", "", 0),
	BAD("a" SIXTY_FOUR " / HTTP/1.1\r\n" H "\r\n"),
	BAD("G@T / HTTP/1.1\r\n" H "\r\n"),
	BAD(" GET / HTTP/1.1\r\n" H "\r\n"),
	BAD("\rGET / HTTP/1.1\r\n" H "\r\n"),
	BAD("\nGET / HTTP/1.1\r\n" H "\r\n"),
	BAD("GET\t/ HTTP/1.1\r\n" H "\r\n"),
	BAD("GET / HTTP/1.1 \r\n" H "\r\n"),
	BAD("GET / HTTP/1.10\r\n" H "\r\n"),
	BAD("GET / HTTP/01.1\r\n" H "\r\n"),
	BAD("GET / HTTP/1\r\n" H "\r\n"),
	BAD("GET / HTTP/1.1\r\r\n" H "\r\n"),
	BAD("GET /a\rb HTTP/1.1\r\n" H "\r\n"),
	BAD(GET "Host: a,b\r\n\r\n"),
	BAD(GET "Host: a:b\r\n\r\n"),
	BAD(GET "Host: a:65536\r\n\r\n"),
	BAD(GET "Host: :80\r\n\r\n"),
	BAD(GET "Host: [::1\r\n\r\n"),
	GOOD(GET "Host: [::1]:80\r\n\r\n", "GET / 1.1", "", 0),
	GOOD(GET "Host: a:\r\n\r\n", "GET / 1.1", "", 0),
	BAD("GET / HTTP/2.0\r\n" H "\r\n"),
	BAD("GET / http/1.1\r\n" H "\r\n"),
	BAD("GET /\r\n\r\n"), /* HTTP/0.9 */
	BAD("GET / HTTP/0.9\r\n\r\n"),
	BAD("GET /a b HTTP/1.1\r\n" H "\r\n"),
	BAD("GET /a\tb HTTP/1.1\r\n" H "\r\n"),
	BAD("GET /a\x0c HTTP/1.1\r\n" H "\r\n"),
	BAD("GET /a\x7f HTTP/1.1\r\n" H "\r\n"),
	BAD("GET /a\0b HTTP/1.1\r\n" H "\r\n"),
	BAD(GET "\r\n"), /* no Host */
	BAD(GET H H "\r\n"),
	BAD(GET H "Host : b\r\n\r\n"),
	BAD(GET H "A B: c\r\n\r\n"),
	BAD(GET H ": c\r\n\r\n"),
	BAD(GET H "A\r\n\r\n"),
	BAD(GET H "A(: b\r\n\r\n"),
	BAD(GET H "A: b\0c\r\n\r\n"),
	BAD(GET H "A: b\x01\r\n\r\n"),
	BAD(GET H "A: b\x7f\r\n\r\n"),
	BAD(GET H "A: b\r\n c\r\n\r\n"),
	BAD(GET H "A:\r\n\tc\r\n\r\n"),
	BAD(GET " Host: a\r\n\r\n"),
	BAD("GET / HTTP/1.1\n" H "\r\n"),
	BAD("GET / HTTP/1.1\r\nHost: a\n\r\n"),
	BAD(GET H "\n"),
	BAD(GET H "A: b\rc: d\r\n\r\n"),
	BAD(GET H "A:\r\r\n\n" GET H "\r\n"),
	BAD(GET H "\rX"),
	FAILS("GET /" KIB " HTTP/1.1\r\n" H "\r\n", 0, HTTP_HEAD_TOO_LARGE),
	FAILS(GET H "A: " KIB "\r\n\r\n", 0, HTTP_HEAD_TOO_LARGE),
	FAILS(GET H KIB ": b\r\n\r\n", 0, HTTP_HEAD_TOO_LARGE),
	GOOD(GET H "A:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\nG:\r\n\r\n", "GET / 1.1", "", 0),
	FAILS(GET H "A:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\nG:\r\nI:\r\n\r\n", 0, HTTP_HEAD_TOO_LARGE),

	/* --- requests: their body --- */
	GOOD(POST "Content-Length: 5\r\n\r\nhello", "POST /p 1.1 length=5 body=hello", "", 0),
	GOOD(POST "Content-Length: 2\r\n\r\nhello", "POST /p 1.1 length=2 body=he", "llo", 0),
	GOOD(POST "Content-Length: 0\r\n\r\nhello", "POST /p 1.1 length=0", "hello", 0),
	GOOD(POST "Content-Length: 000002\r\n\r\nhi", "POST /p 1.1 length=2 body=hi", "", 0),
	GOOD(POST "\r\nhello", "POST /p 1.1", "hello", 0),
	GOOD(POST "Content-Length: 4\r\n\r\n\n \r\n", "POST /p 1.1 length=4 body=\n \r\n", "", 0),
	GOOD(POST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
	     "POST /p 1.1 length=3 continue body=abc", "", 0),
	BAD(POST "Content-Length: 3\r\nExpect: cookies\r\n\r\nabc"),
	BAD(POST "Content-Length: 3\r\nExpect: 100-continue, cookies\r\n\r\nabc"),
	GOOD("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: cookies\r\n\r\nx",
	     "POST / 1.0 length=1 close body=x", "", 0),
	GOOD("POST /p HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", "POST /p 1.0 length=1 close body=x",
	     "", 0),
	GOOD(POST CHUNKED "5\r\nhello\r\n0\r\n\r\n", "POST /p 1.1 chunked body=hello", "", 0),
	GOOD(POST CHUNKED "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\nGET", "POST /p 1.1 chunked body=hello",
	     "GET", 0),
	GOOD(POST CHUNKED "0\r\n\r\n", "POST /p 1.1 chunked", "", 0),
	GOOD(POST CHUNKED "A\r\n0123456789\r\n0\r\n\r\n", "POST /p 1.1 chunked body=0123456789", "",
	     0),
	GOOD(POST CHUNKED "1;a=b\r\nx\r\n0;c\r\n\r\n", "POST /p 1.1 chunked body=x", "", 0),
	GOOD(POST CHUNKED "1\r\nx\r\n0\r\nT: u\r\n\r\nGET", "POST /p 1.1 chunked body=x", "GET", 0),
	GOOD(POST CHUNKED "1 \t;a\r\nx\r\n0 ;b=\"c\"\r\n\r\n", "POST /p 1.1 chunked body=x", "", 0),
	GOOD(POST CHUNKED SIXTY_FOUR_ZEROS "1\r\nx\r\n" SIXTY_FOUR_ZEROS "\r\n\r\n",
	     "POST /p 1.1 chunked body=x", "", 0),
	GOOD(POST "Content-Length: " SIXTY_FOUR_ZEROS "2\r\n\r\nhi", "POST /p 1.1 length=2 body=hi",
	     "", 0),
	BAD(POST CHUNKED KIB_ZEROS "1\r\nx\r\n0\r\n\r\n"),
	BAD(POST CHUNKED "1 \r\nx\r\n0\r\n\r\n"),
	BAD(POST CHUNKED " 1\r\nx\r\n0\r\n\r\n"),
	BAD(POST CHUNKED "1\r\nx\r\n0\r\n T: u\r\n\r\n"),
	BAD(POST CHUNKED "1;a\rb\r\nx\r\n0\r\n\r\n"),
	GOOD(POST "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", "POST /p 1.1 chunked", "", 0),
	MORE(POST "Content-Length: 5\r\n\r\nhell", "POST /p 1.1 length=5 body=hell...", 0),
	MORE(POST CHUNKED "5\r\nhello\r\n0\r\n", "POST /p 1.1 chunked body=hello...", 0),
	BAD(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
	BAD(POST "Content-Length: 5, 5\r\n\r\nhello"),
	BAD(POST "Content-Length: +5\r\n\r\nhello"),
	BAD(POST "Content-Length: -5\r\n\r\nhello"),
	BAD(POST "Content-Length: 5 5\r\n\r\nhello"),
	BAD(POST "Content-Length: 0x5\r\n\r\nhello"),
	BAD(POST "Content-Length:\r\n\r\nhello"),
	BAD(POST "Content-Length : 5\r\n\r\nhello"),
	BAD(POST "Content-Length: 9223372036854775808\r\n\r\n"),
	BAD(POST "Content-Length: 18446744073709551615\r\n\r\n"),
	BAD(POST "Content-Length: 18446744073709551621\r\n\r\nhello"), /* 2^64 + 5 */
	BAD(POST "Content-Length: 5\r\n" CHUNKED "0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\r\n" CHUNKED "0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: identity\r\n\r\n"),
	BAD(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n"),
	BAD(POST "Transfer-Encoding:\r\n\r\n"),
	BAD(POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
	BAD("POST /p HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	BAD(POST CHUNKED "x\r\n"),
	BAD(POST CHUNKED "-1\r\n"),
	BAD(POST CHUNKED "0x1\r\nx\r\n0\r\n\r\n"),
	BAD(POST CHUNKED "10000000000000001\r\n"),
	BAD(POST CHUNKED "1\r\nxy\r\n0\r\n\r\n"),

	/* --- answers --- */
	GOOD(OK "Content-Length: 2\r\n\r\nhi", "200 1.1 length=2 body=hi", "", ANSWER),
	GOOD(OK "Content-Length: 2\r\n\r\nhi!", "200 1.1 length=2 body=hi", "!", ANSWER),
	GOOD(OK "Content-Length: 0\r\n\r\n", "200 1.1 length=0", "", ANSWER),
	GOOD(OK CHUNKED "2\r\nhi\r\n0\r\n\r\n", "200 1.1 chunked body=hi", "", ANSWER),
	GOOD("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", "404 1.1 length=0", "", ANSWER),
	GOOD("HTTP/1.1 204 No Content\r\n\r\nx", "204 1.1", "x", ANSWER),
	GOOD("HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\nx", "204 1.1 length=1", "x",
	     ANSWER),
	GOOD("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\nx", "304 1.1 length=9", "x",
	     ANSWER),
	GOOD("HTTP/1.1 100 Continue\r\n\r\n" OK, "100 1.1", OK, ANSWER),
	GOOD("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK, "103 1.1", OK, ANSWER),
	GOOD("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: w\r\n\r\nxyz",
	     "101 1.1 upgrade", "xyz", ANSWER),
	GOOD(OK "Content-Length: 500\r\n\r\n", "200 1.1 length=500", "", ANSWER | TO_HEAD),
	GOOD(OK CHUNKED, "200 1.1 chunked", "", ANSWER | TO_HEAD),
	GOOD(OK "\r\n", "200 1.1", "", ANSWER | TO_HEAD),
	GOOD(OK "\r\nall of it", "200 1.1 close body=all of it", "", ANSWER | CLOSED),
	GOOD("HTTP/1.0 200 OK\r\n\r\nall", "200 1.0 close body=all", "", ANSWER | CLOSED),
	GOOD(OK "\r\n", "200 1.1 close", "", ANSWER | CLOSED),
	MORE(OK "\r\nsome", "200 1.1 close body=some...", ANSWER),
	FAILS(OK "Content-Length: 5\r\n\r\nhell", ANSWER | CLOSED, HTTP_BAD),
	FAILS(OK CHUNKED "5\r\nhello\r\n", ANSWER | CLOSED, HTTP_BAD),
	FAILS(OK CHUNKED "5\r\nhel", ANSWER | CLOSED, HTTP_BAD),
	FAILS(OK "Content-Le", ANSWER | CLOSED, HTTP_BAD),
	FAILS("HTTP/1.1 20", ANSWER | CLOSED, HTTP_BAD),
	FAILS("hello there\r\n", ANSWER, HTTP_BAD),
	FAILS("HTTP/3.0 200 OK\r\n\r\n", ANSWER, HTTP_BAD),
	FAILS("HTTP/1.1 099 OK\r\n\r\n", ANSWER, HTTP_BAD),
	FAILS("HTTP/1.1  200 OK\r\n\r\n", ANSWER, HTTP_BAD),
	FAILS("HTTP/1.1 200 O\rK\r\n\r\n", ANSWER, HTTP_BAD),
	FAILS("HTTP/1.1 200 OK\nContent-Length: 0\n\n", ANSWER, HTTP_BAD),
	FAILS(OK "A: b\nC: d\r\n\r\n", ANSWER, HTTP_BAD),
	FAILS(OK "A: b\r\n c\r\n\r\n", ANSWER, HTTP_BAD),
	FAILS(OK "A: b\rC: d\r\n\r\n", ANSWER, HTTP_BAD),
	FAILS(OK "Connection: " OPTIONS_64 "a\r\n\r\n", ANSWER, HTTP_BAD),
	GOOD("HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n", "600 1.1 length=0", "", ANSWER),
	FAILS("HTTP/1.1 2000 OK\r\n\r\n", ANSWER, HTTP_BAD),
	FAILS("HTTP/1.1 xyz OK\r\n\r\n", ANSWER, HTTP_BAD),
	FAILS(OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", ANSWER, HTTP_BAD),
	FAILS(OK "Content-Length: 1\r\n" CHUNKED "0\r\n\r\n", ANSWER, HTTP_BAD),
	FAILS(OK "Content-Length: 18446744073709551615\r\n\r\n", ANSWER, HTTP_BAD),
	FAILS(OK "Transfer-Encoding: gzip, chunked\r\n\r\n", ANSWER, HTTP_BAD),
	FAILS("HTTP/1.0 200 OK\r\n" CHUNKED "0\r\n\r\n", ANSWER, HTTP_BAD),
	FAILS(OK "A: b\x01\r\n\r\n", ANSWER, HTTP_BAD),
	FAILS(OK "A B: c\r\n\r\n", ANSWER, HTTP_BAD),
	FAILS(OK "A: " KIB "\r\n\r\n", ANSWER, HTTP_HEAD_TOO_LARGE),
};
enum { ROWS = sizeof(rows) / sizeof(*rows) };

/* --- feeding ---------------------------------------------------------------------------------- */

struct outcome {
	enum http_result result;
	size_t used;
	struct str head, body;
};

static void describe(struct outcome *o, const struct http_head *h)
{
	struct str *s = &o->head;
	bool is_answer = h->method.len == 0;
	if (is_answer)
		str_printf(s, "%d", h->status);
	else
		str_printf(s, "%.*s %.*s", (int)h->method.len, h->method.at, (int)h->target.len,
			   h->target.at);
	str_printf(s, " 1.%d", h->minor);
	if (h->content_length >= 0)
		str_printf(s, " length=%lld", (long long)h->content_length);
	str_add_text(s, h->is_chunked ? " chunked" : "");
	str_add_text(s, h->keep_alive || h->wants_upgrade || (is_answer && !h->has_body)
				? ""
				: " close");
	str_add_text(s, h->wants_upgrade ? " upgrade" : "");
	str_add_text(s, h->expects_continue ? " continue" : "");
}

static void on_body(void *owner, const char *bytes, size_t len)
{
	struct outcome *o = owner;
	str_add(&o->body, bytes, len);
}

/* Feeds from `o->used` up to `end`; false once the message has ended one way or the other. */
static bool feed(struct http_parser *p, struct outcome *o, struct slice text, size_t end)
{
	while (o->used < end) {
		size_t used;
		o->result = http_parser_feed(p, text.at + o->used, end - o->used, &used);
		o->used += used;
		if (o->result == HTTP_HEAD_END) {
			describe(o, http_parser_head(p));
			o->result = http_parser_feed(p, "", 0, &used);
		}
		if (o->result != HTTP_MORE && o->result != HTTP_HEAD_END)
			return false;
	}
	return true;
}

/* `cut`: where it is cut in two; 0: into single bytes; its length: not at all. */
static struct outcome parse(struct http_parser *p, const struct row *row, size_t cut)
{
	struct outcome o = {.result = HTTP_MORE};
	bool is_answer = row->flags & ANSWER, goes_on = true;
	http_parser_begin(p, is_answer ? HTTP_IS_RESPONSE : HTTP_IS_REQUEST, limits, on_body, &o);
	if (row->flags & TO_HEAD)
		http_parser_answers_head(p);
	for (size_t i = 1; cut == 0 && goes_on && i <= row->text.len; i++)
		goes_on = feed(p, &o, row->text, i);
	if (cut && goes_on)
		goes_on = feed(p, &o, row->text, cut);
	if (cut && goes_on)
		goes_on = feed(p, &o, row->text, row->text.len);
	if (goes_on && row->flags & CLOSED)
		o.result = http_parser_finish(p);
	if (o.result == HTTP_HEAD_END)
		o.result = HTTP_MORE;
	return o;
}

static void check_row(struct http_parser *p, const struct row *row, size_t cut)
{
	char got[4096], wanted[4096];
	struct outcome o = parse(p, row, cut);
	const char *rest = o.result == HTTP_END ? row->text.at + o.used : "";
	bool fails = o.result != HTTP_END && o.result != HTTP_MORE;
	snprintf(got, sizeof(got), "%d: %s%s%s%s, rest: %s", o.result,
		 o.head.len && !fails ? o.head.at : "", o.body.len && !fails ? " body=" : "",
		 o.body.len && !fails ? o.body.at : "", o.result == HTTP_MORE ? "..." : "", rest);
	snprintf(wanted, sizeof(wanted), "%d: %s, rest: %s", row->result,
		 row->expected ? row->expected : "", row->rest ? row->rest : "");
	str_release(&o.head);
	str_release(&o.body);
	if (strcmp(got, wanted) == 0 && (!fails || strcmp(http_fault(p), "none") != 0))
		return;
	fail_msg("row %d, cut at %zu of %zu\n%.*s\n--- wanted\n%s\n--- got\n%s (%s)",
		 (int)(row - rows), cut, row->text.len, (int)row->text.len, row->text.at, wanted,
		 got, http_fault(p));
}

static void every_row_in_one_piece(void **state)
{
	for (const struct row *row = rows; row < rows + ROWS; row++)
		check_row(*state, row, row->text.len);
}

static void every_row_cut_in_two_at_every_byte(void **state)
{
	for (const struct row *row = rows; row < rows + ROWS; row++)
		for (size_t cut = 1; cut < row->text.len; cut++)
			check_row(*state, row, cut);
}

static void every_row_byte_by_byte(void **state)
{
	for (const struct row *row = rows; row < rows + ROWS; row++)
		check_row(*state, row, 0);
}

/* --- more than one row can say ---------------------------------------------------------------- */

static void headers_are_found_and_trimmed(void **state)
{
	static const char text[] = GET "HOST:  a:1 \r\nX-Request-ID:\t7\r\nX-Other: 1,  2 \r\n"
				       "Cookie: a\r\nCookie: b\r\n\r\n";
	struct http_parser *p = *state;
	size_t used;
	http_parser_begin(p, HTTP_IS_REQUEST, limits, on_body, NULL);
	assert_false(http_parser_has_begun(p));
	assert_null(http_parser_head(p));
	assert_int_equal(http_parser_feed(p, text, sizeof(text) - 1, &used), HTTP_HEAD_END);
	assert_true(http_parser_has_begun(p));
	const struct http_head *h = http_parser_head(p);
	assert_int_equal(h->count, 5);
	assert_true(slice_is(http_find(h, HEADER_HOST), "a:1"));
	assert_true(slice_is(http_find(h, HEADER_X_REQUEST_ID), "7"));
	assert_true(slice_is(http_find(h, HEADER_COOKIE), "a"));
	assert_true(slice_is(h->headers[2].value, "1,  2"));
	assert_int_equal(h->headers[2].id, HEADER_OTHER);
	assert_null(http_find(h, HEADER_VIA).at);
}

/* Messages one behind the other, by one parser, from one buffer. */
static void pipelined_requests_are_taken_one_by_one(void **state)
{
	static const char text[] = GET H "\r\n" POST "Content-Length: 3\r\n\r\nabc" POST CHUNKED
					 "1\r\nx\r\n0\r\n\r\n" GET H "\r\n";
	static const char *const expected[] = {"GET / 1.1", "POST /p 1.1 length=3",
					       "POST /p 1.1 chunked", "GET / 1.1"};
	struct http_parser *p = *state;
	struct slice all = SLICE(text);
	for (size_t i = 0; i < 4; i++) {
		struct outcome o = {.result = HTTP_MORE};
		http_parser_begin(p, HTTP_IS_REQUEST, limits, on_body, &o);
		assert_false(feed(p, &o, all, all.len));
		assert_int_equal(o.result, HTTP_END);
		assert_false(o.head.failed);
		assert_string_equal(o.head.at, expected[i]);
		all = (struct slice){all.at + o.used, all.len - o.used};
		str_release(&o.head);
		str_release(&o.body);
	}
	assert_int_equal(all.len, 0);
}

static void a_target_may_be_as_long_as_allowed(void **state)
{
	enum { MOST = 3000 };
	struct http_parser *p = *state;
	for (size_t len = MOST; len <= MOST + 1; len++) {
		struct str s = {0};
		size_t used;
		str_add_text(&s, "GET /");
		for (size_t i = 1; i < len; i++)
			str_add_char(&s, 'a');
		str_add_text(&s, " HTTP/1.1\r\n" H "\r\n");
		http_parser_begin(p, HTTP_IS_REQUEST,
				  (struct http_limits){64 << 10, MOST_HEADERS, MOST}, on_body,
				  NULL);
		assert_int_equal(http_parser_feed(p, s.at, s.len, &used),
				 len > MOST ? HTTP_TARGET_TOO_LONG : HTTP_HEAD_END);
		str_release(&s);
	}
}

static void reasons_have_texts(void **state)
{
	(void)state;
	assert_string_equal(http_reason(404), "Not Found");
	assert_string_equal(http_reason(503), "Service Unavailable");
	assert_string_equal(http_reason(799), "Unknown");
}

static int set_up(void **state)
{
	*state = http_parser_new();
	return *state == NULL;
}

static int tear_down(void **state)
{
	http_parser_free(*state);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_row_in_one_piece),
		TEST(every_row_cut_in_two_at_every_byte),
		TEST(every_row_byte_by_byte),
		TEST(headers_are_found_and_trimmed),
		TEST(pipelined_requests_are_taken_one_by_one),
		TEST(a_target_may_be_as_long_as_allowed),
		TEST(reasons_have_texts),
	};
	return cmocka_run_group_tests_name("HTTP messages", tests, NULL, NULL);
}
