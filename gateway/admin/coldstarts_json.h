/* Cold starts as JSON: /v1/coldstarts, and what `slotgate coldstarts` makes of a file. */
#ifndef SLOTGATE_GATEWAY_ADMIN_COLDSTARTS_JSON_H
#define SLOTGATE_GATEWAY_ADMIN_COLDSTARTS_JSON_H

#include "activator/core/coldstart.h"
#include "gateway/admin/pages.h"

extern const struct page_kind coldstarts_page;

/* Adds one as an object. `wall_us` is to be added to its times to have them since 1970. */
void coldstart_add_json(struct str *, const struct coldstart *, int64_t now_us, int64_t wall_us);

#endif
