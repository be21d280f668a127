/*
 * What `slotgate top` shows, as text: from the admin's JSON to lines that fit a terminal. No I/O.
 */
#ifndef SLOTGATE_GATEWAY_COMMAND_TOP_SCREEN_H
#define SLOTGATE_GATEWAY_COMMAND_TOP_SCREEN_H

#include "base/json.h"
#include "base/str.h"
#include "gateway/command/frame.h"

/* Appends a frame. `services` is /v1/services, `history` /v1/history or NULL. */
void top_draw(struct str *, const struct json *services, const struct json *history,
	      struct frame_look);

#endif
