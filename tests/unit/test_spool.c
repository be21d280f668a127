/*
 * base/spool: random writes and reads against a naive model, with a real loop and a real worker, so
 * that bytes go through the file; the same freed in the middle, and what a full disk does.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/spool.h"

enum { KIB = 1 << 10, MIB = 1 << 20, MOST_PIECES = 16 };
static const int64_t PATIENCE_US = 20 * US_PER_S;

struct world {
	struct loop *loop;
	struct worker *worker;
	struct spool_space space;
	struct budget budget;
	struct spool *spool;
	struct timer patience;
	uint64_t random;
	uint64_t written, read; /* the model: byte i of the stream is byte_at(i) */
	int calls;
	bool stop_at_call;
};

/* --- the model -------------------------------------------------------------------------------- */

static uint64_t random_below(struct world *w, uint64_t below)
{
	w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (w->random >> 33) % below;
}

static char byte_at(uint64_t i)
{
	return (char)((i * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

static enum spool_error write_some(struct world *w, size_t len)
{
	char *bytes = malloc(len ? len : 1);
	for (size_t i = 0; i < len; i++)
		bytes[i] = byte_at(w->written + i);
	enum spool_error e = spool_write(w->spool, bytes, len);
	free(bytes);
	w->written += e ? 0 : len;
	return e;
}

/* As the gateway writes: what one read of a socket has brought. A spool whose reader has nothing in
 * hand keeps one such piece in memory whatever its limit is. */
static enum spool_error write_in_pieces(struct world *w, size_t len)
{
	enum spool_error e = SPOOL_OK;
	for (size_t n; len && !e; len -= n) {
		n = len < 64 * KIB ? len : 64 * KIB;
		e = write_some(w, n);
	}
	return e;
}

/* Takes up to `most` of what there is; returns how much that was. */
static size_t read_some(struct world *w, size_t most)
{
	struct iovec iov[MOST_PIECES];
	int n = spool_peek(w->spool, iov, (int)(1 + random_below(w, MOST_PIECES)));
	size_t taken = 0;
	for (int i = 0; i < n && taken < most; i++) {
		size_t len = iov[i].iov_len < most - taken ? iov[i].iov_len : most - taken;
		assert_int_not_equal(iov[i].iov_len, 0);
		for (size_t k = 0; k < len; k++)
			if (((char *)iov[i].iov_base)[k] != byte_at(w->read + taken + k))
				fail_msg("byte %llu is wrong",
					 (unsigned long long)(w->read + taken + k));
		taken += len;
	}
	spool_consume(w->spool, taken);
	w->read += taken;
	assert_int_equal(spool_length(w->spool), (int64_t)(w->written - w->read));
	return taken;
}

/* --- the world -------------------------------------------------------------------------------- */

static void on_spool(void *owner)
{
	struct world *w = owner;
	w->calls++;
	if (w->stop_at_call)
		loop_stop(w->loop);
}

static void on_no_patience(void *owner)
{
	(void)owner;
	fail_msg("the spool's owner was not called");
}

/* Until the spool calls. */
static void wait_for_call(struct world *w)
{
	w->stop_at_call = true;
	timer_set(&w->patience, loop_refresh_now(w->loop) + PATIENCE_US);
	loop_run(w->loop);
	timer_clear(&w->patience);
	w->stop_at_call = false;
}

static void stop_loop(struct work *work)
{
	struct loop **loop = (struct loop **)(work + 1);
	loop_stop(*loop);
}

static void run_nothing(struct work *work)
{
	(void)work;
}

/* Until the worker has done all that was submitted so far: it goes in order. */
static void settle(struct world *w)
{
	struct {
		struct work work;
		struct loop *loop;
	} last = {.work = {.run = run_nothing, .done = stop_loop}, .loop = w->loop};
	list_init(&last.work.link);
	worker_submit(w->worker, &last.work);
	loop_run(w->loop);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	w->loop = loop_new();
	w->worker = worker_new(w->loop);
	w->random = 7;
	w->budget = (struct budget){.limit_bytes = 256 * MIB};
	w->space = (struct spool_space){
		.worker = w->worker,
		.budget = &w->budget,
		.directory = "/tmp",
		.memory_limit_bytes = 64 * MIB,
		.disk_limit_bytes = 64 * MIB,
	};
	*state = w;
	return !w->worker || !timer_init(&w->patience, w->loop, on_no_patience, w);
}

static int tear_down(void **state)
{
	struct world *w = *state;
	mem_fail_after(-1);
	spool_free(w->spool);
	settle(w);
	settle(w); /* what the first one's `done` submitted */
	assert_int_equal(w->space.memory_bytes, 0);
	assert_int_equal(w->space.disk_bytes, 0);
	assert_int_equal(w->space.waiting_bytes, 0);
	assert_int_equal(w->budget.used_bytes, 0);
	timer_release(&w->patience);
	worker_free(w->worker);
	loop_free(w->loop);
	free(w);
	return 0;
}

static void open_spool(struct world *w, int64_t memory, int64_t max)
{
	w->spool = spool_new(&w->space, (struct spool_limits){memory, max}, on_spool, w);
	assert_non_null(w->spool);
	w->written = w->read = 0;
}

static void close_spool(struct world *w)
{
	spool_free(w->spool);
	w->spool = NULL;
}

static void read_all(struct world *w)
{
	while (spool_length(w->spool)) {
		if (read_some(w, 1 + random_below(w, 300 * KIB)))
			continue;
		assert_int_equal(spool_error(w->spool), SPOOL_OK);
		wait_for_call(w);
	}
}

/* --- bytes leave in the order they came ------------------------------------------------------- */

static void in_memory_alone(void **state)
{
	struct world *w = *state;
	open_spool(w, MIB, MIB);
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(write_some(w, random_below(w, 700)), SPOOL_OK);
		read_some(w, random_below(w, 900));
	}
	assert_false(spool_is_on_disk(w->spool));
	assert_int_equal(w->space.disk_bytes, 0);
	assert_true(w->space.memory_bytes < MIB);
	read_all(w);
	assert_int_equal(w->space.memory_bytes, 0);
	assert_int_equal(w->calls, 0);
}

/* One life: mostly writing, then mostly reading, and the loop in between at times. */
static void live(struct world *w, int64_t memory, size_t largest)
{
	bool was_on_disk = false;
	open_spool(w, memory, 64 * MIB);
	for (int i = 0; i < 120; i++) {
		uint64_t writes = i % 40 < 20 ? 70 : 30;
		if (random_below(w, 100) < writes)
			assert_int_equal(write_in_pieces(w, random_below(w, largest)), SPOOL_OK);
		else
			read_some(w, random_below(w, 2 * largest));
		if (random_below(w, 100) < 30)
			settle(w);
		was_on_disk |= spool_is_on_disk(w->spool);
		assert_true(w->space.memory_bytes >= 0 && w->space.disk_bytes >= 0);
	}
	read_all(w);
	assert_true(was_on_disk || largest < 100 * KIB);
	assert_int_equal(w->read, w->written);
	close_spool(w);
}

static void through_the_file(void **state)
{
	struct world *w = *state;
	const int64_t memories[] = {0, 1, 1000, 64 * KIB, 300 * KIB};
	for (int round = 0; round < 8; round++) {
		for (size_t i = 0; i < sizeof(memories) / sizeof(*memories); i++)
			live(w, memories[i], round % 2 ? 200 * KIB : 5000);
		settle(w);
		settle(w);
		assert_int_equal(w->space.memory_bytes, 0);
		assert_int_equal(w->space.disk_bytes, 0);
	}
}

static void what_was_read_from_the_file_is_written_anew(void **state)
{
	struct world *w = *state;
	open_spool(w, 64 * KIB, 64 * MIB);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(write_in_pieces(w, 3 * MIB), SPOOL_OK);
		assert_true(spool_is_on_disk(w->spool));
		read_all(w);
		assert_true(w->space.disk_bytes <= 4 * MIB); /* not 15 */
	}
}

static void the_space_has_a_ceiling_over_all(void **state)
{
	struct world *w = *state;
	w->space.memory_limit_bytes = 256 * KIB;
	open_spool(w, 64 * MIB, 64 * MIB);
	struct spool *other =
		spool_new(&w->space, (struct spool_limits){64 * MIB, 64 * MIB}, on_spool, w);
	static char filler[200 * KIB];
	assert_non_null(other);
	assert_int_equal(spool_write(other, filler, sizeof(filler)), SPOOL_OK);
	assert_false(spool_is_on_disk(other));
	assert_int_equal(write_in_pieces(w, 200 * KIB), SPOOL_OK);
	assert_true(spool_is_on_disk(w->spool)); /* memory is short, if not its own */
	read_all(w);
	spool_free(other);
}

/* Each is smaller than what a lone spool writes at a time. */
static void bodies_that_are_held_stay_near_the_ceiling(void **state)
{
	enum { BODIES = 40, PIECES = 4 };
	struct world *w = *state;
	struct spool *bodies[BODIES];
	static char piece[25 * KIB];
	w->space.memory_limit_bytes = 256 * KIB;
	for (int i = 0; i < BODIES; i++) {
		bodies[i] =
			spool_new(&w->space, (struct spool_limits){MIB, 100 * KIB}, on_spool, w);
		assert_non_null(bodies[i]);
		for (int j = 0; j < PIECES; j++) {
			memset(piece, i * PIECES + j, sizeof(piece));
			assert_int_equal(spool_write(bodies[i], piece, sizeof(piece)), SPOOL_OK);
			settle(w);
		}
	}
	assert_true(w->space.memory_bytes <= (256 + BODIES * 32) * KIB);
	w->spool = bodies[BODIES - 1];
	for (int j = 0; j < PIECES; j++) {
		struct iovec iov[1];
		size_t left = sizeof(piece);
		memset(piece, (BODIES - 1) * PIECES + j, sizeof(piece));
		while (left) {
			while (!spool_peek(w->spool, iov, 1))
				settle(w);
			size_t n = iov[0].iov_len < left ? iov[0].iov_len : left;
			assert_memory_equal(iov[0].iov_base, piece, n);
			spool_consume(w->spool, n);
			left -= n;
		}
	}
	w->spool = NULL;
	for (int i = 0; i < BODIES; i++)
		spool_free(bodies[i]);
}

/* --- limits ----------------------------------------------------------------------------------- */

static void over_its_limit_it_fails_and_stays_so(void **state)
{
	struct world *w = *state;
	open_spool(w, MIB, 1000);
	assert_int_equal(write_some(w, 1000), SPOOL_OK);
	assert_int_equal(write_some(w, 0), SPOOL_OK);
	assert_int_equal(write_some(w, 1), SPOOL_FULL);
	assert_int_equal(spool_error(w->spool), SPOOL_FULL);
	assert_int_equal(write_some(w, 0), SPOOL_FULL);
	assert_int_equal(read_some(w, 600), 600);
	assert_int_equal(write_some(w, 1), SPOOL_FULL);
	assert_string_not_equal(spool_error_text(SPOOL_FULL), "");
}

static void what_is_consumed_makes_room(void **state)
{
	struct world *w = *state;
	open_spool(w, MIB, 1000);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(write_some(w, 1000), SPOOL_OK);
		assert_int_equal(read_some(w, 1000), 1000);
	}
}

static void the_disk_has_a_limit_over_all(void **state)
{
	struct world *w = *state;
	w->space.disk_limit_bytes = MIB;
	open_spool(w, 0, 64 * MIB);
	enum spool_error e = SPOOL_OK;
	for (int i = 0; i < 40 && !e; i++) {
		e = write_some(w, 64 * KIB);
		settle(w);
		assert_true(w->space.disk_bytes <= MIB);
	}
	assert_int_equal(e, SPOOL_FULL);
	assert_true(w->written >= MIB - 64 * KIB);
}

/* What waits for a slow disk counts as what is on it: or many spools together could grow past the
 * limit while it writes. */
static void the_disk_s_limit_counts_what_is_on_its_way(void **state)
{
	struct world *w = *state;
	static char bytes[100 * KIB];
	struct spool *spools[10];
	int refused = 0;
	w->space.disk_limit_bytes = 600 * KIB;
	for (int i = 0; i < 10; i++) {
		spools[i] = spool_new(&w->space, (struct spool_limits){0, 64 * MIB}, on_spool, w);
		assert_non_null(spools[i]);
		assert_int_equal(spool_write(spools[i], bytes, 70 * KIB), SPOOL_OK); /* at hand */
	}
	for (int i = 0; i < 10; i++) /* the disk's thread is not waited for */
		refused += spool_write(spools[i], bytes, sizeof(bytes)) == SPOOL_FULL;
	assert_int_equal(refused, 4);
	for (int i = 0; i < 10; i++)
		spool_free(spools[i]);
}

/* Tight: what would have stayed in memory goes to the disk, and in small pieces. Spent: nothing
 * more is taken, as the disk has not followed. */
static void a_budget_bounds_what_the_disk_has_not_taken(void **state)
{
	struct world *w = *state;
	int64_t others = 0;
	budget_hold(&w->budget, &others, w->budget.limit_bytes * 95 / 100);
	open_spool(w, 64 * MIB, 64 * MIB);
	assert_int_equal(write_some(w, 70 * KIB), SPOOL_OK); /* what its reader has at hand */
	assert_int_equal(write_some(w, 20 * KIB), SPOOL_OK);
	assert_true(spool_is_on_disk(w->spool));
	settle(w);
	assert_true(w->space.disk_bytes > 0);
	budget_hold(&w->budget, &others, w->budget.limit_bytes);
	assert_int_equal(write_some(w, 1), SPOOL_NO_BUDGET);
	assert_string_not_equal(spool_error_text(SPOOL_NO_BUDGET), "");
	close_spool(w);
	budget_hold(&w->budget, &others, 0);
}

/* --- a disk that refuses ---------------------------------------------------------------------- */

static void without_its_directory_it_fails(void **state)
{
	struct world *w = *state;
	w->space.directory = "/nonexistent/slotgate";
	open_spool(w, 0, 64 * MIB);
	while (write_some(w, 64 * KIB) == SPOOL_OK && !w->calls)
		settle(w);
	assert_int_equal(spool_error(w->spool), SPOOL_DISK);
	assert_int_equal(write_some(w, 1), SPOOL_DISK);
	assert_true(w->calls > 0);
}

static void a_full_disk_fails_it(void **state)
{
	struct world *w = *state;
	struct rlimit old, small = {2 * MIB, 2 * MIB};
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	open_spool(w, 64 * KIB, 64 * MIB);
	setrlimit(RLIMIT_FSIZE, &small);
	for (int i = 0; i < 100 && write_some(w, 128 * KIB) == SPOOL_OK; i++)
		settle(w);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(spool_error(w->spool), SPOOL_DISK);
	assert_true(w->calls > 0);
	assert_true(w->written > MIB && w->written < 4 * MIB);
	assert_true(w->space.disk_bytes <= 4 * MIB);
}

/* --- freed at any moment ---------------------------------------------------------------------- */

static void freed_while_the_disk_is_busy(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 60; i++) {
		open_spool(w, i % 2 ? 0 : 64 * KIB, 64 * MIB);
		assert_int_equal(write_in_pieces(w, 500 * KIB + random_below(w, MIB)), SPOOL_OK);
		assert_true(spool_is_on_disk(w->spool));
		if (i % 3 == 1) /* until it is being read back */
			settle(w);
		if (i % 3 == 2)
			read_some(w, 100 * KIB);
		int calls = w->calls;
		close_spool(w);
		settle(w);
		assert_int_equal(w->calls, calls); /* nobody is there to be called */
	}
	settle(w);
	assert_int_equal(w->space.memory_bytes, 0);
	assert_int_equal(w->space.disk_bytes, 0);
}

static void free_inside_the_call(void *owner)
{
	struct world *w = owner;
	close_spool(w);
	loop_stop(w->loop);
}

static void freed_by_its_own_call(void **state)
{
	struct world *w = *state;
	w->spool =
		spool_new(&w->space, (struct spool_limits){0, 64 * MIB}, free_inside_the_call, w);
	assert_non_null(w->spool);
	w->written = w->read = 0;
	assert_int_equal(write_in_pieces(w, MIB), SPOOL_OK);
	read_some(w, 64 * KIB);
	loop_run(w->loop);
	assert_null(w->spool);
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Without memory a spool fails, and its owner gets to know: by spool_write, or by a call. */
static bool try_with_failure(struct world *w, long after)
{
	mem_fail_after(after);
	w->spool = spool_new(&w->space, (struct spool_limits){100, 64 * MIB}, on_spool, w);
	w->written = w->read = 0;
	for (int i = 0; w->spool && i < 6; i++)
		write_some(w, 90 * KIB);
	bool told = w->spool && spool_error(w->spool);
	while (w->spool && !told && spool_length(w->spool)) {
		if (read_some(w, 200 * KIB))
			continue;
		wait_for_call(w);
		told = spool_error(w->spool);
	}
	bool failed = !w->spool || spool_error(w->spool) == SPOOL_NO_MEMORY;
	mem_fail_after(-1);
	assert_true(!w->spool || failed || w->read == w->written);
	close_spool(w);
	settle(w);
	settle(w);
	assert_int_equal(w->space.memory_bytes, 0);
	assert_int_equal(w->space.disk_bytes, 0);
	return failed;
}

static void every_allocation_may_fail(void **state)
{
	struct world *w = *state;
	long n = 0;
	while (try_with_failure(w, n))
		assert_true(++n < 1000);
	assert_true(n > 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(in_memory_alone),
		TEST(through_the_file),
		TEST(what_was_read_from_the_file_is_written_anew),
		TEST(the_space_has_a_ceiling_over_all),
		TEST(bodies_that_are_held_stay_near_the_ceiling),
		TEST(over_its_limit_it_fails_and_stays_so),
		TEST(what_is_consumed_makes_room),
		TEST(the_disk_has_a_limit_over_all),
		TEST(the_disk_s_limit_counts_what_is_on_its_way),
		TEST(a_budget_bounds_what_the_disk_has_not_taken),
		TEST(without_its_directory_it_fails),
		TEST(a_full_disk_fails_it),
		TEST(freed_while_the_disk_is_busy),
		TEST(freed_by_its_own_call),
		TEST(every_allocation_may_fail),
	};
	return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
