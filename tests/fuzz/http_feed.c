/* One stream of bytes, cut as the network might. */
#include "tests/fuzz/http_feed.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

void feed_init(struct feed *f, enum http_kind kind, uint64_t cut)
{
	*f = (struct feed){.kind = kind, .cut = cut, .last = HTTP_MORE};
	str_init(&f->account);
	str_init(&f->body);
}

void feed_release(struct feed *f)
{
	str_release(&f->account);
	str_release(&f->body);
}

uint64_t feed_seed(const uint8_t *data, size_t size)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < size; i++)
		h = (h ^ data[i]) * UINT64_C(0x100000001b3);
	return h | 2;
}

/* The next piece's length: 1 to `left`. */
static size_t piece(uint64_t *cut, size_t left)
{
	if (*cut == FEED_WHOLE)
		return left;
	if (*cut == FEED_BYTES)
		return 1;
	*cut = (*cut * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407)) | 2;
	size_t n = 1 + (size_t)(*cut >> 40) % 40;
	return n < left ? n : left;
}

static void add_head(struct str *s, const struct http_head *h)
{
	str_printf(s, "[%.*s|%.*s|%d|%.*s|1.%d|%lld|%d%d%d%d%d]\n", (int)h->method.len,
		   h->method.at, (int)h->target.len, h->target.at, h->status, (int)h->reason.len,
		   h->reason.at, h->minor, (long long)h->content_length, h->is_chunked,
		   h->keep_alive, h->wants_upgrade, h->expects_continue, h->has_body);
	for (size_t i = 0; i < h->count; i++) {
		str_add_slice(s, h->headers[i].name);
		str_add_char(s, '=');
		str_add_slice(s, h->headers[i].value);
		str_add_char(s, '\n');
	}
}

static void note_head(struct feed *f, const struct http_head *h)
{
	f->heads++;
	add_head(&f->account, h);
	if (f->on_head)
		f->on_head(f, h);
}

static void on_body(void *owner, const char *bytes, size_t len)
{
	struct feed *f = owner;
	FUZZ_CHECK(len > 0, len, 0);
	str_add(&f->body, bytes, len);
}

static bool is_over(enum http_result r)
{
	return r != HTTP_MORE && r != HTTP_HEAD_END;
}

/* One message, from a copy of each piece that is exactly as long, so that a sanitizer sees a read
 * beyond it. One without a body ends right after its head. */
static enum http_result run_message(struct feed *f, struct http_parser *p, uint64_t *cut,
				    const uint8_t *data, size_t size, size_t *at)
{
	enum http_result r = HTTP_MORE;
	while (*at < size && !is_over(r)) {
		size_t n = piece(cut, size - *at), used = n + 1;
		char *copy = malloc(n);
		memcpy(copy, data + *at, n);
		r = http_parser_feed(p, copy, n, &used);
		free(copy);
		FUZZ_CHECK(r != HTTP_MORE || used == n, used, n);
		FUZZ_CHECK(used <= n, used, n);
		*at += used;
		if (r != HTTP_HEAD_END)
			continue;
		FUZZ_CHECK(http_parser_head(p), f->kind, 0);
		note_head(f, http_parser_head(p));
		r = http_parser_feed(p, "", 0, &used);
		FUZZ_CHECK(r == (http_parser_head(p)->has_body ? HTTP_MORE : HTTP_END), r, used);
	}
	if (!is_over(r) && f->eof && http_parser_has_begun(p))
		r = http_parser_finish(p);
	return r;
}

void feed_run(struct feed *f, const uint8_t *data, size_t size)
{
	struct http_parser *p = http_parser_new();
	uint64_t cut = f->cut;
	size_t at = 0;
	FUZZ_CHECK(p, 0, 0);
	do {
		http_parser_begin(
			p, f->kind,
			(struct http_limits){FEED_HEAD_BYTES, FEED_HEADERS, FEED_HEAD_BYTES},
			on_body, f);
		if (f->answers_head)
			http_parser_answers_head(p);
		str_clear(&f->body);
		f->last = run_message(f, p, &cut, data, size, &at);
		if (f->body.len)
			str_add(&f->account, f->body.at, f->body.len);
		f->messages += f->last == HTTP_END;
		f->used = f->last == HTTP_END ? at : f->used;
		str_printf(&f->account, "\n<%d>\n", is_over(f->last) ? f->last == HTTP_END : 2);
	} while (f->last == HTTP_END && at < size && f->messages < FEED_MESSAGES);
	http_parser_free(p);
	FUZZ_CHECK(!f->account.failed && !f->body.failed, 0, 0);
}

/* Which fault is found first may depend on the cut; that there is one, and where, may not. */
void feed_check_same(const struct feed *a, const struct feed *b)
{
	FUZZ_CHECK(is_over(a->last) == is_over(b->last), a->last, b->last);
	FUZZ_CHECK((a->last == HTTP_END) == (b->last == HTTP_END), a->last, b->last);
	FUZZ_CHECK(a->messages == b->messages, a->messages, b->messages);
	FUZZ_CHECK(a->heads == b->heads, a->heads, b->heads);
	FUZZ_CHECK(a->used == b->used, a->used, b->used);
	FUZZ_CHECK(a->account.len == b->account.len, a->account.len, b->account.len);
	FUZZ_CHECK(memcmp(a->account.at, b->account.at, a->account.len) == 0, a->cut, b->cut);
}
