/* Lines of text that fit a terminal. */
#include "gateway/command/frame.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CELL = 160 };

void frame_init(struct frame *f, struct str *out, struct frame_look look, const char *line_end)
{
	*f = (struct frame){.out = out, .look = look, .line_end = line_end, .room = look.columns};
}

/* What does not fit below is left out: a terminal would scroll the first lines away. */
static bool is_full(const struct frame *f)
{
	return f->look.lines && f->lines >= f->look.lines;
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

void frame_put(struct frame *f, const char *style, const char *text)
{
	bool styled = style && f->look.colour;
	if (is_full(f))
		return;
	if (styled)
		str_printf(f->out, "\033[%sm", style);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (!is_continuation(*text) && --f->room < 0)
			break;
		str_add_char(f->out, c < 0x20 || c == 0x7f ? '?' : *text);
	}
	if (f->room < 0)
		f->room = 0;
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
	/* In the last line a newline, the end of every line_end, would scroll. */
	bool is_last = f->lines + 1 == f->look.lines;
	str_add(f->out, f->line_end, strlen(f->line_end) - is_last);
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
