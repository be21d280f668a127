/* What commands show: lines that fit the terminal, and nothing that could steer it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/command/frame.h"

/* One line with this text in a terminal of so many columns. */
static void assert_line(const char *text, int columns, bool is_over, const char *shown)
{
	struct str out;
	struct frame f;
	str_init(&out);
	frame_init(&f, &out, (struct frame_look){.columns = columns, .is_over = is_over});
	frame_put(&f, NULL, text);
	frame_end_line(&f);
	assert_false(out.failed);
	assert_string_equal(out.at, shown);
	str_release(&out);
}

static void a_full_line_keeps_its_last_column(void **state)
{
	(void)state;
	assert_line("abc", 4, true, "abc\033[K\n");
	assert_line("abcd", 4, true, "abcd\n");
	assert_line("abcdefgh", 4, true, "abcd\n");
	assert_line("abcd", 4, false, "abcd\n");
}

static void characters_are_whole(void **state)
{
	(void)state;
	assert_line("K\xc3\xb6ln am Rhein", 4, false, "K\xc3\xb6ln\n");
	assert_line("e\xcc\x81t\xc3\xa9", 3, false,
		    "e\xcc\x81t\xc3\xa9\n"); /* an accent of its own */
	assert_line("\xe7\x95\xab\xe5\x83\x8f!", 5, false, "\xe7\x95\xab\xe5\x83\x8f!\n");
	assert_line("\xe7\x95\xab\xe5\x83\x8f", 3, true, "\xe7\x95\xab\033[K\n");
	assert_line("\xf0\x9f\x90\x95\xf0\x9f\x90\x95", 4, true,
		    "\xf0\x9f\x90\x95\xf0\x9f\x90\x95\n");
}

static void what_could_steer_is_not_shown(void **state)
{
	(void)state;
	assert_line("a\033[2Jb\x7f\r\n\tc", 80, false, "a?[2Jb????c\n");
	assert_line("\xc2\x9b"
		    "2J",
		    80, false, "?2J\n"); /* CSI as one character */
	assert_line("a\xe2\x80\xae"
		    "b\xef\xbb\xbf",
		    80, false, "a?b?\n"); /* backwards, and unseen */
}

static void what_is_no_utf8_is_not_shown(void **state)
{
	(void)state;
	assert_line("\x9b\xff\xc3(", 80, false,
		    "??"
		    "?(\n");
	assert_line("\xc0\xaf\xe0\x80\xaf\xed\xa0\x80", 80, false, "???\n"); /* too long, a half */
	assert_line("\xf4\x90\x80\x80\xf0\x9f\x90", 80, false, "??\n");	     /* too high, cut */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_line_keeps_its_last_column),
		cmocka_unit_test(characters_are_whole),
		cmocka_unit_test(what_could_steer_is_not_shown),
		cmocka_unit_test(what_is_no_utf8_is_not_shown),
	};
	return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
