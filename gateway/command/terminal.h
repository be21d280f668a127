/* The terminal that a command writes to, if there is one. */
#ifndef SLOTGATE_GATEWAY_COMMAND_TERMINAL_H
#define SLOTGATE_GATEWAY_COMMAND_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/command/frame.h"

/* There is one, and it knows more than plain text (TERM). */
bool terminal_obeys(void);

/* Its size, and whether colours are wanted (NO_COLOR); elsewhere 100 columns, as many
 * lines as there are, and none. */
struct frame_look terminal_look(void);

/* To standard output. False: it takes no more, which has been told. */
bool terminal_write(const char *bytes, size_t len);

#endif
