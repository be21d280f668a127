/*
 * Cold starts out of a file: what `kubectl get pods,events -o json` says, read as
 * slotgate reads the API server.
 */
#ifndef SLOTGATE_GATEWAY_COMMAND_COLDSTARTS_REPLAY_H
#define SLOTGATE_GATEWAY_COMMAND_COLDSTARTS_REPLAY_H

#include "base/json.h"
#include "base/str.h"

enum { REPLAY_WHY_BYTES = 200 };

/* Adds what /v1/coldstarts would say, with `name` as the service's. False: `why`. */
bool coldstarts_replay(const struct json *document, const char *name, struct str *,
		       char why[REPLAY_WHY_BYTES]);

#endif
