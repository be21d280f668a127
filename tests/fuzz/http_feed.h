/*
 * Feeds one stream of bytes to the HTTP parser as if the network had cut it in some way, and writes
 * down what the parser made of it. Two ways of cutting must give the same account.
 */
#ifndef SLOTGATE_TESTS_FUZZ_HTTP_FEED_H
#define SLOTGATE_TESTS_FUZZ_HTTP_FEED_H

#include "base/str.h"
#include "gateway/http/http.h"

enum { FEED_HEAD_BYTES = 2048, FEED_HEADERS = 16, FEED_MESSAGES = 8 };

/* How to cut: everything at once, byte by byte, or in pieces drawn from a seed. */
enum { FEED_WHOLE = 0, FEED_BYTES = 1 }; /* any other number is a seed */

struct feed {
	/* The caller's. */
	enum http_kind kind;
	bool answers_head;
	bool eof; /* the peer closes at the end */
	uint64_t cut;
	void (*on_head)(struct feed *, const struct http_head *); /* may be NULL */
	void *owner;

	/* The account: each head, then its body, then how the message ended. */
	struct str account;
	enum http_result last; /* of the last message */
	size_t used;	       /* by all that ended well */
	int messages, heads;
	struct str body; /* of the message under way */
};

void feed_init(struct feed *, enum http_kind, uint64_t cut);
void feed_release(struct feed *);

/* Message after message, until one is bad, the bytes are over or there were FEED_MESSAGES. */
void feed_run(struct feed *, const uint8_t *data, size_t size);

/* Aborts where two accounts of the same bytes differ. */
void feed_check_same(const struct feed *, const struct feed *);

uint64_t feed_seed(const uint8_t *data, size_t size); /* drawn from the bytes themselves; > 1 */

#endif
