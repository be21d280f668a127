/* Frames' ends, however the bytes are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "gateway/http/websocket.h"

enum { FRAMES = 40, BYTES_MAX = 400000, ROUNDS = 300 };

static uint64_t state = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}

/* A stream of frames, and where each ends. */
struct stream {
	uint8_t bytes[BYTES_MAX];
	size_t len, ends[FRAMES];
	int count;
};

static void add_frame(struct stream *s, int opcode, bool masked, size_t payload)
{
	uint8_t *at = s->bytes + s->len;
	size_t n = 0;
	at[n++] = (uint8_t)(0x80 | opcode);
	int wide = payload > 65535 || draw(20) == 0 ? 8 : payload > 125 || draw(20) == 0 ? 2 : 0;
	at[n++] = (uint8_t)((masked ? 0x80 : 0) | (wide == 8 ? 127 : wide == 2 ? 126 : payload));
	for (int i = wide - 1; i >= 0; i--)
		at[n++] = (uint8_t)((uint64_t)payload >> (8 * i));
	for (int i = 0; masked && i < 4; i++)
		at[n++] = (uint8_t)draw(256);
	for (size_t i = 0; i < payload; i++)
		at[n++] = (uint8_t)draw(256); /* also what looks like a head */
	s->len += n;
	s->ends[s->count++] = s->len;
}

static size_t draw_size(void)
{
	static const size_t edges[] = {0, 1, 125, 126, 127, 65535, 65536};
	switch (draw(3)) {
	case 0:
		return edges[draw(7)];
	case 1:
		return draw(3000);
	default:
		return draw(20);
	}
}

static void fill(struct stream *s, bool masked)
{
	memset(s, 0, sizeof(*s));
	int frames = 1 + (int)draw(FRAMES - 2);
	for (int i = 0; i < frames && s->len < BYTES_MAX - 140000; i++)
		add_frame(s, (int)draw(8), masked, draw_size());
}

static bool is_end(const struct stream *s, size_t at)
{
	for (int i = 0; i < s->count; i++)
		if (s->ends[i] == at)
			return true;
	return at == 0;
}

static size_t next_end(const struct stream *s, size_t at)
{
	for (int i = 0; i < s->count; i++)
		if (s->ends[i] > at)
			return s->ends[i];
	return SIZE_MAX;
}

static void test_any_cut(void **unused)
{
	static struct stream s;
	(void)unused;
	for (int round = 0; round < ROUNDS; round++) {
		struct websocket w = {0}, whole = {0};
		fill(&s, round & 1);
		size_t piece_max = draw(2) ? 7 : 5000;
		for (size_t at = 0; at < s.len;) {
			size_t n = 1 + draw(piece_max);
			n = n < s.len - at ? n : s.len - at;
			size_t seen = websocket_see_frame(&w, s.bytes + at, n);
			size_t end = next_end(&s, at);
			assert_int_equal(seen, end - at < n ? end - at : n);
			at += seen;
			assert_int_equal(websocket_is_between(&w), is_end(&s, at));
			assert_false(w.has_closed);
		}
		websocket_see(&whole, s.bytes, s.len);
		assert_true(websocket_is_between(&whole));
	}
}

static void test_a_close_is_seen(void **unused)
{
	static struct stream s;
	(void)unused;
	for (int masked = 0; masked < 2; masked++) {
		struct websocket w = {0};
		uint8_t frame[WEBSOCKET_CLOSE_MAX];
		fill(&s, masked);
		websocket_see(&w, s.bytes, s.len);
		assert_false(w.has_closed);
		size_t n = websocket_close_frame(frame, WEBSOCKET_GOING_AWAY, masked);
		assert_int_equal(n, masked ? 8 : 4);
		assert_int_equal(frame[n - 2] << 8 | frame[n - 1], 1001);
		for (size_t i = 0; i < n; i++) {
			assert_false(w.has_closed);
			websocket_see(&w, frame + i, 1);
		}
		assert_true(w.has_closed && websocket_is_between(&w));
	}
}

/* Written as a server's, read whole at any cut; as a client's, the mask takes itself away again. */
static void test_frames_are_written_and_read(void **unused)
{
	(void)unused;
	static char payload[70000];
	static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 70000};
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (char)draw(256);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct slice said = {payload, sizes[i]};
		struct str plain, masked;
		struct websocket_frame f;
		uint8_t mask[4] = {1, 0x80, 0xff, 7};
		str_init_must(&plain);
		str_init_must(&masked);
		websocket_write_frame(&plain, WEBSOCKET_BINARY, said, NULL);
		websocket_write_frame(&masked, WEBSOCKET_PING, said, mask);
		assert_int_equal(masked.len, plain.len + 4);
		for (size_t n = 0; n < plain.len; n += n < 20 ? 1 : 1 + draw(5000))
			assert_int_equal(websocket_read_frame(&f, plain.at, n), 0);
		str_add(&plain, "more", 4);
		assert_int_equal(websocket_read_frame(&f, plain.at, plain.len), plain.len - 4);
		assert_int_equal(f.opcode, WEBSOCKET_BINARY);
		assert_int_equal(f.payload.len, sizes[i]);
		assert_memory_equal(f.payload.at, payload, sizes[i]);
		assert_int_equal((uint8_t)masked.at[0], 0x80 | WEBSOCKET_PING);
		char *hidden = masked.at + masked.len - sizes[i];
		for (size_t k = 0; k < sizes[i]; k++)
			assert_int_equal((uint8_t)(hidden[k] ^ payload[k]), mask[k % 4]);
		assert_int_equal(websocket_read_frame(&f, masked.at, masked.len), masked.len);
		assert_int_equal(f.payload.len, 0);
		str_release(&plain);
		str_release(&masked);
	}
}

/* A length near 2^64 is only waited for. */
static void test_nonsense_is_harmless(void **unused)
{
	(void)unused;
	struct websocket w = {0};
	uint8_t bytes[64];
	memset(bytes, 0xff, sizeof(bytes));
	websocket_see(&w, bytes, sizeof(bytes));
	assert_false(websocket_is_between(&w));
	assert_true(w.in_payload && w.left > INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_cut),
		cmocka_unit_test(test_a_close_is_seen),
		cmocka_unit_test(test_frames_are_written_and_read),
		cmocka_unit_test(test_nonsense_is_harmless),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
