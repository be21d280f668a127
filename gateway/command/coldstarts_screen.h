/*
 * Cold starts as waterfalls, in text: from /v1/coldstarts to lines that fit a terminal. No I/O.
 */
#ifndef SLOTGATE_GATEWAY_COMMAND_COLDSTARTS_SCREEN_H
#define SLOTGATE_GATEWAY_COMMAND_COLDSTARTS_SCREEN_H

#include "base/json.h"
#include "gateway/command/frame.h"

struct coldstarts_choice {
	const char *service; /* NULL: all */
	size_t last;	     /* of each service so many, the newest below */
};

/* False: there is no such service. */
bool coldstarts_draw(struct str *, const struct json *told, struct coldstarts_choice,
		     struct frame_look);

#endif
