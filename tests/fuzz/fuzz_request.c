/*
 * Requests: the parser must make the same of them however the network cuts them, what it lets
 * through must obey http.h, and what goes on to the pod must say what came in and no more.
 */
#include "tests/fuzz/forward_check.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/http_check.h"
#include "tests/fuzz/http_feed.h"

static void on_head(struct feed *f, const struct http_head *head)
{
	(void)f;
	check_request_head(head);
	check_forward(head);
}

int fuzz_request(const uint8_t *data, size_t size)
{
	const uint64_t cuts[] = {FEED_WHOLE, FEED_BYTES, feed_seed(data, size)};
	struct feed feeds[3];
	for (int i = 0; i < 3; i++) {
		feed_init(&feeds[i], HTTP_IS_REQUEST, cuts[i]);
		feeds[i].on_head = i == 0 ? on_head : NULL;
		feed_run(&feeds[i], data, size);
		feed_check_same(&feeds[0], &feeds[i]);
	}
	for (int i = 0; i < 3; i++)
		feed_release(&feeds[i]);
	return 0;
}
