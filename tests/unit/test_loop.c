/* The event loop: who is told first, and of what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/stream.h"

enum { SOCKETS = 3 };

/* A pair of sockets: the loop has one end, the test the other. */
struct end {
	struct stream stream;
	int other;
	unsigned told; /* of what, so far */
};

static struct loop *loop;
static struct end ends[SOCKETS];
static const struct end *order[SOCKETS];
static int read_count;

static void on_io(void *owner, unsigned what)
{
	struct end *e = owner;
	char bytes[64];
	e->told |= what;
	if (what & IO_READ && stream_read(&e->stream, bytes, sizeof(bytes)) > 0)
		order[read_count++] = e;
}

static void open_end(struct end *e)
{
	int pair[2];
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
	*e = (struct end){.other = pair[1]};
	assert_true(stream_open_accepted(&e->stream, loop, pair[0], NULL, on_io, e));
}

static void stop(void *owner)
{
	(void)owner;
	loop_stop(loop);
}

/* What the kernel has to tell by now is told. */
static void run_a_turn(void)
{
	struct task last;
	task_init(&last, stop, NULL);
	loop_defer_to_next_turn(loop, &last);
	loop_run(loop);
}

static int begin(void **state)
{
	(void)state;
	loop = loop_new();
	read_count = 0;
	for (int i = 0; i < SOCKETS; i++)
		open_end(&ends[i]);
	return 0;
}

static int end(void **state)
{
	(void)state;
	for (int i = 0; i < SOCKETS; i++) {
		stream_close(&ends[i].stream);
		close(ends[i].other);
	}
	loop_free(loop);
	return 0;
}

static void say(const struct end *e)
{
	assert_int_equal(1, write(e->other, "x", 1));
}

/* --- order ----------------------------------------------------------------------------------- */

/* The last one is the newest: that it can be written to must not put it before the others. */
static void who_got_bytes_first_is_told_first(void **state)
{
	(void)state;
	stream_close(&ends[2].stream);
	close(ends[2].other);
	run_a_turn();
	open_end(&ends[2]);
	say(&ends[1]);
	say(&ends[0]);
	say(&ends[2]);
	run_a_turn();
	assert_int_equal(SOCKETS, read_count);
	assert_ptr_equal(&ends[1], order[0]);
	assert_ptr_equal(&ends[0], order[1]);
	assert_ptr_equal(&ends[2], order[2]);
}

static void patient_ones_are_told_last(void **state)
{
	(void)state;
	io_be_patient(&ends[0].stream.io);
	for (int i = 0; i < SOCKETS; i++)
		say(&ends[i]);
	run_a_turn();
	assert_ptr_equal(&ends[1], order[0]);
	assert_ptr_equal(&ends[2], order[1]);
	assert_ptr_equal(&ends[0], order[2]);
}

/* --- room ------------------------------------------------------------------------------------ */

static void fill(struct end *e)
{
	static char bytes[1 << 16];
	struct iovec iov[2] = {{bytes, sizeof(bytes)}, {bytes, 1}};
	while (stream_write(&e->stream, iov, 2) > 0)
		;
	assert_int_equal(EAGAIN, errno);
}

static void drain(struct end *e)
{
	char bytes[1 << 16];
	while (read(e->other, bytes, sizeof(bytes)) > 0)
		;
}

static void room_is_told_to_whom_it_was_missing(void **state)
{
	(void)state;
	fill(&ends[0]);
	run_a_turn();
	assert_int_equal(0, ends[0].told & IO_WRITE);
	drain(&ends[0]);
	run_a_turn();
	assert_true(ends[0].told & IO_WRITE);
	assert_int_equal(0, ends[1].told);
}

/* Also what was read out between the failure and the next turn, and beside bytes that have come. */
static void room_that_came_at_once_is_told(void **state)
{
	(void)state;
	say(&ends[0]);
	fill(&ends[0]);
	drain(&ends[0]);
	run_a_turn();
	assert_int_equal(IO_READ | IO_WRITE, ends[0].told);
	fill(&ends[0]);
	ends[0].told = 0;
	drain(&ends[0]);
	run_a_turn();
	assert_int_equal(IO_WRITE, ends[0].told);
}

static void a_peer_that_leaves_is_told(void **state)
{
	(void)state;
	shutdown(ends[0].other, SHUT_WR);
	fill(&ends[1]);
	shutdown(ends[1].other, SHUT_WR);
	run_a_turn();
	assert_true(ends[0].told & IO_HANGUP);
	assert_true(ends[1].told & IO_HANGUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_got_bytes_first_is_told_first, begin, end),
		cmocka_unit_test_setup_teardown(patient_ones_are_told_last, begin, end),
		cmocka_unit_test_setup_teardown(room_is_told_to_whom_it_was_missing, begin, end),
		cmocka_unit_test_setup_teardown(room_that_came_at_once_is_told, begin, end),
		cmocka_unit_test_setup_teardown(a_peer_that_leaves_is_told, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
