/* Lines of text that fit a terminal. */
#include "gateway/command/frame.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CELL = 160 };

/* Stands for what is no character, or would steer the terminal. */
static const uint32_t UNSHOWN = '?';

struct range {
	uint32_t from, to;
};

/* Controls, also those of eight bits, and what turns the direction of text or is not to be seen. */
static const struct range steering[] = {{0, 0x1f},	  {0x7f, 0x9f},	     {0xad, 0xad},
					{0x61c, 0x61c},	  {0x200b, 0x200f},  {0x2028, 0x202e},
					{0x2060, 0x206f}, {0xd800, 0xdfff},  {0xfeff, 0xfeff},
					{0xfff9, 0xfffb}, {0xe0000, 0xe0fff}};
static const struct range combining[] = {
	{0x300, 0x36f}, {0x1ab0, 0x1aff}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
/* Of East Asia, and pictures: two columns. */
static const struct range wide[] = {{0x1100, 0x115f},	{0x2e80, 0x303e},   {0x3041, 0xa4cf},
				    {0xac00, 0xd7a3},	{0xf900, 0xfaff},   {0xfe30, 0xfe6f},
				    {0xff00, 0xff60},	{0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
				    {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd}};

#define IS_IN(ranges, c) is_in(ranges, sizeof(ranges) / sizeof(*(ranges)), c)

static bool is_in(const struct range *ranges, size_t count, uint32_t c)
{
	for (size_t i = 0; i < count; i++)
		if (ranges[i].from <= c && c <= ranges[i].to)
			return true;
	return false;
}

void frame_init(struct frame *f, struct str *out, struct frame_look look)
{
	*f = (struct frame){.out = out, .look = look, .room = look.columns};
}

/* What does not fit below is left out: a terminal would scroll the first lines away. */
static bool is_full(const struct frame *f)
{
	return f->look.lines && f->lines >= f->look.lines;
}

/* The next character, and how many bytes it is long. */
static uint32_t take_char(const char *text, size_t *length)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	unsigned char first = (unsigned char)*text;
	int more = first < 0x80 ? 0 : first >> 5 == 6 ? 1 : first >> 4 == 14 ? 2 : 3;
	bool is_first = more < 3 || first >> 3 == 30;
	uint32_t c = more ? first & (0x3fU >> more) : first;
	size_t n = 1;
	for (; is_first && n <= (size_t)more && ((unsigned char)text[n] & 0xc0) == 0x80; n++)
		c = c << 6 | ((unsigned char)text[n] & 0x3f);
	*length = n;
	bool is_whole = n == (size_t)more + 1 && c >= least[more] && c <= 0x10ffff;
	return is_whole && !IS_IN(steering, c) ? c : UNSHOWN;
}

static int columns_of(uint32_t c)
{
	return c < 0x300 ? 1 : IS_IN(combining, c) ? 0 : IS_IN(wide, c) ? 2 : 1;
}

void frame_put(struct frame *f, const char *style, const char *text)
{
	bool styled = style && f->look.colour;
	if (is_full(f))
		return;
	if (styled)
		str_printf(f->out, "\033[%sm", style);
	for (size_t length; *text; text += length) {
		uint32_t c = take_char(text, &length);
		int columns = columns_of(c);
		if (columns > f->room)
			break;
		f->room -= columns;
		if (c == UNSHOWN)
			str_add_char(f->out, '?');
		else
			str_add(f->out, text, length);
	}
	if (styled)
		str_add_text(f->out, "\033[0m");
}

void frame_put_f(struct frame *f, const char *style, const char *format, ...)
{
	char text[CELL];
	va_list list;
	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	frame_put(f, style, text);
}

void frame_cell(struct frame *f, const char *style, const char *text, int width)
{
	int before = f->room, room = f->room - width;
	f->room = before < width - 1 ? before : width - 1;
	int given = f->room;
	frame_put(f, style, text);
	int used = given - f->room;
	f->room = before - used;
	while (!is_full(f) && f->room > 0 && f->room > room)
		frame_put(f, NULL, " ");
}

void frame_end_line(struct frame *f)
{
	if (is_full(f))
		return;
	/* Behind a line that is full the cursor still stands on its last column, which would be
	 * cleared. */
	if (f->look.is_over && f->room > 0)
		str_add_text(f->out, "\033[K");
	if (f->lines + 1 != f->look.lines) /* in the last line it would scroll */
		str_add_char(f->out, '\n');
	f->room = f->look.columns;
	f->lines++;
}

bool frame_has_room(const struct frame *f, int lines)
{
	return !f->look.lines || f->lines + lines < f->look.lines;
}

void frame_format_seconds(double s, char text[FRAME_SECONDS_BYTES])
{
	if (s < 0.9995)
		snprintf(text, FRAME_SECONDS_BYTES, "%.0f ms", s * 1000);
	else
		snprintf(text, FRAME_SECONDS_BYTES, s < 99.5 ? "%.1f s" : "%.0f s", s);
}
