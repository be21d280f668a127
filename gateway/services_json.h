/*
 * The live state of all services as JSON: GET /v1/services.
 */
#ifndef SLOTGATE_GATEWAY_SERVICES_JSON_H
#define SLOTGATE_GATEWAY_SERVICES_JSON_H

#include "base/str.h"

struct gateway;

void services_json_write(struct gateway *, struct str *);

#endif
