/*
 * The live state as JSON: /v1/services.
 */
#ifndef SLOTGATE_GATEWAY_ADMIN_SERVICES_JSON_H
#define SLOTGATE_GATEWAY_ADMIN_SERVICES_JSON_H

#include "gateway/admin/pages.h"

extern const struct page_kind services_page;

#endif
