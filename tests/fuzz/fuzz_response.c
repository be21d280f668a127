/*
 * Answers of pods: the same however they are cut, and what goes on to the client carries nothing
 * that belongs to the connection with the pod. A first byte '!' says that a HEAD is answered, a '~'
 * that the pod closes behind the last byte.
 */
#include <string.h>

#include "gateway/http/forward.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/http_check.h"
#include "tests/fuzz/http_feed.h"

static void check_kept(const struct http_head *head, bool is_upgrade)
{
	struct http_header kept[FEED_HEADERS];
	size_t n = forward_answer_headers(head, kept, FEED_HEADERS, is_upgrade), at = 0;
	FUZZ_CHECK(n <= head->count, n, head->count);
	for (size_t i = 0; i < head->count; i++) {
		const struct http_header *h = &head->headers[i];
		bool goes = header_is_hop_by_hop(h->id) || h->id == HEADER_CONTENT_LENGTH ||
			    check_is_nominated(head, h->name);
		if (is_upgrade && h->id == HEADER_UPGRADE)
			goes = false;
		if (goes)
			continue;
		FUZZ_CHECK(at < n, at, n);
		FUZZ_CHECK(kept[at].name.at == h->name.at && kept[at].value.at == h->value.at, at,
			   i);
		check_header(&kept[at++]);
	}
	FUZZ_CHECK(at == n, at, n);
	if (head->count)
		FUZZ_CHECK(forward_answer_headers(head, kept, 1, is_upgrade) <= 1, 0, 0);
}

static void on_head(struct feed *f, const struct http_head *head)
{
	check_answer_head(head, f->answers_head);
	check_kept(head, false);
	check_kept(head, true);
}

int fuzz_response(const uint8_t *data, size_t size)
{
	bool answers_head = size && data[0] == '!', eof = size && data[0] == '~';
	data += answers_head || eof;
	size -= answers_head || eof;
	const uint64_t cuts[] = {FEED_WHOLE, FEED_BYTES, feed_seed(data, size)};
	struct feed feeds[3];
	for (int i = 0; i < 3; i++) {
		feed_init(&feeds[i], HTTP_IS_RESPONSE, cuts[i]);
		feeds[i].answers_head = answers_head;
		feeds[i].eof = eof;
		feeds[i].on_head = i == 0 ? on_head : NULL;
		feed_run(&feeds[i], data, size);
		feed_check_same(&feeds[0], &feeds[i]);
	}
	for (int i = 0; i < 3; i++)
		feed_release(&feeds[i]);
	return 0;
}
