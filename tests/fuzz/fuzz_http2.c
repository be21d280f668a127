/*
 * HTTP/2: a client's bytes, cut in any way, go through the session and its heads; a handler answers
 * in one of several ways. Each stream must be told in the order that h2.h promises and be ended
 * exactly once, a head that passes must be fit for HTTP/1, and what comes out must be frames.
 *
 * The first byte chooses how to cut and how to answer; the preface and SETTINGS are put before the
 * rest unless its highest bit is set.
 */
#include <string.h>

#include "base/h2.h"
#include "base/list.h"
#include "base/mem.h"
#include "gateway/http/http2_head.h"
#include "tests/fuzz/forward_check.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/http_check.h"
#include "tests/fuzz/http_feed.h"

enum { STREAMS = 8, WINDOW_BYTES = 1 << 16, FRAME_HEAD = 9, FRAME_MAX = 16384, TRACKED = 256 };
enum { FRAME_DATA, FRAME_HEADERS, FRAME_RST_STREAM = 3, FRAME_GOAWAY = 7, FRAME_CONTINUATION = 9 };
enum { FLAG_END_STREAM = 1, FLAG_END_HEADERS = 4 };

struct stream {
	struct list link;
	struct world *world;
	int32_t id;
	bool has_body, body_has_ended, has_answered;
	size_t left; /* of the answer's body */
};

/* What the client has been told of its streams, by id / 2. */
struct told {
	bool has_ended[TRACKED], was_reset[TRACKED];
	uint32_t in_head; /* the stream whose head goes on in the next frame; 0: none */
	bool has_said_goodbye;
};

struct world {
	struct h2 *h2;
	struct list streams;
	uint8_t choice;
	unsigned begun, ended;
	bool in_call; /* of h2_feed or h2_output */
	struct str out;
	struct told told;
};

static void end_stream(struct stream *s)
{
	s->world->ended++;
	list_remove(&s->link);
	mem_free(s);
}

static void answer(struct stream *s)
{
	struct h2_header headers[] = {{SLICE("Content-Type"), SLICE("text/plain"), false},
				      {SLICE("x-a"), SLICE("b"), false}};
	s->has_answered = true;
	s->left = (s->world->choice & 3) * 20000;
	FUZZ_CHECK(h2_respond(s->world->h2, s->id, 200, headers, 2, s->left > 0), s->id, s->left);
	if (s->left && s->id % 5 == 0)
		FUZZ_CHECK(h2_trail(s->world->h2, s->id, headers + 1, 1), s->id, s->left);
}

static void read_head(const struct h2_head *in)
{
	struct http2_head h;
	enum http2_head_result result = http2_head_init(&h, in);
	FUZZ_CHECK(result != HTTP2_HEAD_NO_MEMORY, result, 0);
	FUZZ_CHECK((result == HTTP2_HEAD_OK) == (h.fault == NULL), result, 0);
	if (result == HTTP2_HEAD_OK) {
		check_http2_head(&h.head);
		check_forward(&h.head);
	}
	http2_head_release(&h);
}

static void *on_head(void *owner, int32_t id, const struct h2_head *head)
{
	struct world *w = owner;
	FUZZ_CHECK(w->in_call && id > 0 && id % 2, id, 0);
	LIST_EACH(other, &w->streams, struct stream, link)
		FUZZ_CHECK(other->id != id, id, 0);
	w->begun++;
	if (w->choice & 4 && id % 3 == 0) {
		w->ended++;
		h2_reset(w->h2, id);
		return NULL;
	}
	struct stream *s = mem_must_zalloc(sizeof(*s));
	s->world = w;
	s->id = id;
	s->has_body = head->has_body;
	list_init(&s->link);
	list_push_back(&w->streams, &s->link);
	if (head->fault == H2_HEAD_OK)
		read_head(head);
	else
		FUZZ_CHECK(!head->count && !head->headers, head->count, 0);
	if (!s->has_body || w->choice & 8)
		answer(s);
	return s;
}

static void on_body(void *owner, const char *bytes, size_t len)
{
	struct stream *s = owner;
	static volatile char seen;
	FUZZ_CHECK(s->has_body && !s->body_has_ended, s->id, len);
	for (size_t i = 0; i < len; i++)
		seen = bytes[i];
	(void)seen;
	if (!(s->world->choice & 16))
		h2_consume(s->world->h2, s->id, len);
}

static void on_body_end(void *owner)
{
	struct stream *s = owner;
	FUZZ_CHECK(s->has_body && !s->body_has_ended, s->id, 0);
	s->body_has_ended = true;
	if (!s->has_answered)
		answer(s);
}

/* Some of it later, as h2_resume asks for it. */
static size_t on_fill(void *owner, char *bytes, size_t size, bool *is_last)
{
	struct stream *s = owner;
	size_t most = s->world->choice & 32 ? 1000 : size;
	size_t n = s->left < most ? s->left : most;
	FUZZ_CHECK(s->has_answered, s->id, 0);
	if (s->world->choice & 32 && s->left % 3000 < 1000 && s->left) {
		s->left--; /* the next time there will be some */
		return 0;
	}
	memset(bytes, 'a', n);
	s->left -= n;
	*is_last = s->left == 0;
	return n;
}

static void on_sent(void *owner)
{
	struct stream *s = owner;
	FUZZ_CHECK(s->has_answered && !s->left, s->id, s->left);
	end_stream(s);
}

static void on_closed(void *owner, enum h2_end why)
{
	struct stream *s = owner;
	FUZZ_CHECK(why == H2_END_CLIENT || why == H2_END_BAD_BODY, why, 0);
	end_stream(s);
}

static const struct h2_handler handler = {on_head, on_body, on_body_end,
					  on_fill, on_sent, on_closed};

/* --- what comes out -------------------------------------------------------------------------- */

static void check_message_frame(struct told *t, uint8_t type, uint8_t flags, uint32_t id)
{
	FUZZ_CHECK(id % 2, type, id);
	FUZZ_CHECK((type == FRAME_CONTINUATION) == (t->in_head != 0), type, t->in_head);
	FUZZ_CHECK(!t->in_head || t->in_head == id, id, t->in_head);
	if (id / 2 < TRACKED) {
		FUZZ_CHECK(!t->was_reset[id / 2], type, id);
		FUZZ_CHECK(!t->has_ended[id / 2] || type == FRAME_CONTINUATION, type, id);
		if (type != FRAME_CONTINUATION && flags & FLAG_END_STREAM)
			t->has_ended[id / 2] = true;
	}
	if (type != FRAME_DATA)
		t->in_head = flags & FLAG_END_HEADERS ? 0 : id;
}

static void check_frame(struct told *t, const uint8_t *at)
{
	uint8_t type = at[3], flags = at[4];
	uint32_t id = (uint32_t)at[5] << 24 | (uint32_t)at[6] << 16 | (uint32_t)at[7] << 8 | at[8];
	FUZZ_CHECK(type <= FRAME_CONTINUATION, type, flags);
	if (type == FRAME_DATA || type == FRAME_HEADERS || type == FRAME_CONTINUATION) {
		check_message_frame(t, type, flags, id);
		return;
	}
	FUZZ_CHECK(!t->in_head, type, t->in_head);
	if (type == FRAME_RST_STREAM && id / 2 < TRACKED) {
		FUZZ_CHECK(id && !t->was_reset[id / 2], id, 0);
		t->was_reset[id / 2] = true;
	}
	t->has_said_goodbye |= type == FRAME_GOAWAY;
}

/* Frames from the start of `out`; what is cut stays there. */
static void check_output(struct world *w)
{
	size_t at = 0;
	const uint8_t *bytes = (const uint8_t *)w->out.at;
	while (w->out.len - at >= FRAME_HEAD) {
		const uint8_t *frame = bytes + at;
		size_t len = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
		FUZZ_CHECK(len <= FRAME_MAX, len, frame[3]);
		if (w->out.len - at < FRAME_HEAD + len)
			break;
		check_frame(&w->told, frame);
		at += FRAME_HEAD + len;
	}
	if (!at)
		return;
	memmove(w->out.at, w->out.at + at, w->out.len - at);
	w->out.len -= at;
}

static void take_output(struct world *w)
{
	const char *bytes;
	size_t n;
	LIST_EACH(s, &w->streams, struct stream, link)
		h2_resume(w->h2, s->id);
	w->in_call = true;
	while ((n = h2_output(w->h2, &bytes)))
		str_add(&w->out, bytes, n);
	w->in_call = false;
	check_output(w);
}

/* --- what goes in ---------------------------------------------------------------------------- */

static void feed(struct world *w, const uint8_t *data, size_t size)
{
	uint64_t seed = feed_seed(data, size);
	while (size && !h2_fault(w->h2)) {
		seed = seed * UINT64_C(6364136223846793005) + 1;
		size_t most = w->choice & 64 ? 1 + (seed >> 33) % 40 : size;
		size_t n = most < size ? most : size;
		w->in_call = true;
		h2_feed(w->h2, (const char *)data, n);
		w->in_call = false;
		if (seed >> 60 < 8)
			take_output(w);
		data += n;
		size -= n;
	}
	take_output(w);
}

int fuzz_http2(const uint8_t *data, size_t size)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
	const struct h2_limits limits = {STREAMS, FEED_HEAD_BYTES / 2, FEED_HEADERS, WINDOW_BYTES};
	struct world w = {.choice = size ? data[0] : 0};
	list_init(&w.streams);
	w.h2 = h2_new(&limits, &handler, &w);
	FUZZ_CHECK(w.h2, 0, 0);
	if (!(w.choice & 128))
		feed(&w, (const uint8_t *)preface, sizeof(preface));
	if (size)
		feed(&w, data + 1, size - 1);
	FUZZ_CHECK(!w.out.len, w.out.len, 0);
	if (!h2_fault(w.h2)) {
		h2_wind_down(w.h2);
		h2_go_away(w.h2);
		take_output(&w);
		FUZZ_CHECK(w.told.has_said_goodbye, 0, 0);
		FUZZ_CHECK(!h2_is_over(w.h2) || w.begun == w.ended, w.begun, w.ended);
	}
	LIST_EACH(s, &w.streams, struct stream, link)
		end_stream(s);
	FUZZ_CHECK(w.begun == w.ended, w.begun, w.ended);
	h2_free(w.h2);
	str_release(&w.out);
	return 0;
}
