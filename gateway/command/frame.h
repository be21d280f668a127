/*
 * Lines of text that fit a terminal: cells, colours where they are wanted, nothing that could steer
 * the terminal. No I/O.
 */
#ifndef SLOTGATE_GATEWAY_COMMAND_FRAME_H
#define SLOTGATE_GATEWAY_COMMAND_FRAME_H

#include <stdbool.h>

#include "base/str.h"

#define BOLD   "1"
#define FAINT  "2"
#define RED    "31"
#define GREEN  "32"
#define YELLOW "33"
#define BLUE   "34"
#define VIOLET "35"
#define CYAN   "36"

struct frame_look {
	int columns, lines; /* of the terminal; lines 0: as many as there are */
	bool colour;
	bool is_over; /* another frame: what is left of its lines is cleared */
};

/* No line gets longer than the terminal is wide, and no more of them are written than it has. */
struct frame {
	struct str *out;
	struct frame_look look;
	int room;  /* columns left in this line */
	int lines; /* written */
};

void frame_init(struct frame *, struct str *out, struct frame_look);

/* As much of a text as there is room for, in whole characters; what could steer a terminal, or is no
 * UTF-8, is shown as '?'. `style`: one of the above, or NULL. */
void frame_put(struct frame *, const char *style, const char *text);
void frame_put_f(struct frame *, const char *style, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A cell of a table, which ends where the next begins. */
void frame_cell(struct frame *, const char *style, const char *text, int width);
void frame_end_line(struct frame *);
bool frame_has_room(const struct frame *, int lines);

/* "38 ms", "4.2 s", "225 s" */
enum { FRAME_SECONDS_BYTES = 16 };
void frame_format_seconds(double s, char text[FRAME_SECONDS_BYTES]);

#endif
