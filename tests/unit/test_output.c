/* Lines of a pod's output, through a real pipe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "activator/providers/output.h"
#include "base/str.h"

static struct loop *loop;
static struct output output;
static struct str seen; /* every line, with '|' behind it */
static int writer, lines;
static const char *awaited;

static void on_line(void *owner, const char *line, size_t len)
{
	(void)owner;
	assert_int_equal(strlen(line), len);
	assert_true(len > 0 && len <= OUTPUT_LINE_BYTES);
	str_add(&seen, line, len);
	str_add_char(&seen, '|');
	lines++;
	if (awaited && strcmp(line, awaited) == 0)
		loop_stop(loop);
}

static int set_up(void **state)
{
	(void)state;
	int ends[2];
	loop = loop_new();
	str_init(&seen);
	lines = 0;
	awaited = NULL;
	if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
		return -1;
	writer = ends[1];
	return output_open(&output, loop, ends[0], on_line, NULL) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	if (writer >= 0)
		close(writer);
	output_close(&output);
	str_release(&seen);
	loop_free(loop);
	return 0;
}

static void say(const char *text)
{
	assert_int_equal(write(writer, text, strlen(text)), strlen(text));
}

static void lines_come_as_they_are_written(void **state)
{
	(void)state;
	say("one\n\ntwo\r\nthr");
	say("ee\n");
	say("end\n");
	awaited = "end";
	loop_run(loop);
	assert_false(seen.failed);
	assert_string_equal(seen.at, "one|two|three|end|");
}

static void a_progress_bar_shows_its_last_state(void **state)
{
	(void)state;
	say("  0%\r 50%\r100%\ndone\r\n 10%\r 20%\r");
	say("\x1b[31mred\x7f\ttab \xc3\xa4\n");
	output_finish(&output);
	assert_false(seen.failed);
	assert_string_equal(seen.at, "100%|done|?[31mred?\ttab \xc3\xa4|");
}

static void long_lines_are_cut(void **state)
{
	(void)state;
	char text[3 * OUTPUT_LINE_BYTES + 1];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	say(text);
	say("\nshort\n");
	output_finish(&output);
	assert_int_equal(lines, 2);
	assert_int_equal(seen.len, OUTPUT_LINE_BYTES + 1 + strlen("short|"));
}

static void finishing_gives_what_is_left(void **state)
{
	(void)state;
	say("a\nlast words");
	output_finish(&output);
	assert_false(seen.failed);
	assert_string_equal(seen.at, "a|last words|");
	output_finish(&output);
	output_close(&output);
	assert_int_equal(lines, 2);
}

static void the_end_of_the_pipe_ends_the_line(void **state)
{
	(void)state;
	say("last words");
	close(writer);
	writer = -1;
	awaited = "last words";
	loop_run(loop);
	assert_false(seen.failed);
	assert_string_equal(seen.at, "last words|");
	assert_int_equal(output.io.fd, -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(lines_come_as_they_are_written),
		TEST(a_progress_bar_shows_its_last_state),
		TEST(long_lines_are_cut),
		TEST(finishing_gives_what_is_left),
		TEST(the_end_of_the_pipe_ends_the_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
