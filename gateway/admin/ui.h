/*
 * The page for people, /ui on the admin address: gateway/admin/ui/, embedded as it is.
 */
#ifndef SLOTGATE_GATEWAY_ADMIN_UI_H
#define SLOTGATE_GATEWAY_ADMIN_UI_H

#include "gateway/exchange.h"

/* Answers /ui, /ui/page.css and /ui/page.js; they tell nothing, and so need no secret. */
void ui_show(struct exchange *, const struct http_head *);

#endif
