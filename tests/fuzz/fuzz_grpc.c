/*
 * gRPC: a body, cut in any way, gives the same message or the same fault; a message gives a
 * question whose texts can be read, or is refused. Memory stays in proportion to what was sent.
 *
 * The first byte chooses the kind of message. What follows is a body, and then again, framed, a
 * message.
 */
#include <string.h>

#include "base/mem.h"
#include "gateway/autoscalers/grpc.h"
#include "gateway/autoscalers/keda_messages.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/http_feed.h"

enum { MOST_BYTES = 2048 };

static bool read_body(struct grpc_reader *r, const char *bytes, size_t len, uint64_t seed,
		      struct grpc_fault *f)
{
	grpc_reader_init(r, MOST_BYTES);
	while (len) {
		seed = seed * UINT64_C(6364136223846793005) + 1;
		size_t most = seed > 1 ? 1 + (seed >> 33) % 20 : len, n = most < len ? most : len;
		if (!grpc_reader_feed(r, bytes, n, f))
			return false;
		bytes += n;
		len -= n;
	}
	return grpc_reader_end(r, f);
}

static void check_text(const char *text, size_t most)
{
	FUZZ_CHECK(strlen(text) <= most, strlen(text), most);
}

static void check_message(const char *message, size_t len, bool is_of_metric)
{
	struct keda_question q;
	switch (keda_question_read(&q, message, len, is_of_metric)) {
	case KEDA_READ:
		check_text(q.name, len);
		check_text(q.name_space, len);
		check_text(q.metric, is_of_metric ? len : 0);
		FUZZ_CHECK(q.count <= len / 2, q.count, len);
		for (size_t i = 0; i < q.count; i++) {
			check_text(q.metadata[i].key, len);
			check_text(q.metadata[i].value, len);
		}
		keda_question_release(&q);
		break;
	case KEDA_MALFORMED:
		FUZZ_CHECK(len, 0, 0);
		break;
	case KEDA_NO_MEMORY:
		FUZZ_CHECK(false, len, is_of_metric);
	}
}

int fuzz_grpc(const uint8_t *data, size_t size)
{
	struct grpc_reader whole, cut;
	struct grpc_fault f = {0}, g = {0};
	if (!size)
		return 0;
	const char *body = (const char *)data + 1;
	bool good = read_body(&whole, body, size - 1, 0, &f);
	bool again = read_body(&cut, body, size - 1, feed_seed(data, size), &g);
	FUZZ_CHECK(good == again && f.status == g.status, f.status, g.status);
	if (good) {
		FUZZ_CHECK(whole.message.len == cut.message.len, whole.message.len, size);
		FUZZ_CHECK(whole.message.len + GRPC_PREFIX_BYTES == size - 1, size, 0);
		check_message(size > 1 && whole.message.len ? whole.message.at : "",
			      whole.message.len, data[0] & 1);
	} else {
		FUZZ_CHECK(f.status != GRPC_OK && *f.text, f.status, size);
	}
	grpc_reader_release(&whole);
	grpc_reader_release(&cut);
	check_message(body, size - 1, data[0] & 1);
	return 0;
}
