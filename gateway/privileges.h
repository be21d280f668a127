/*
 * Gives up root: once the sockets and logs are open, the process becomes the configured user, for
 * good, and with it all that it starts later.
 */
#ifndef SLOTGATE_GATEWAY_PRIVILEGES_H
#define SLOTGATE_GATEWAY_PRIVILEGES_H

#include <stdbool.h>

#include "config/config.h"

/* False: it could not, and the log says why; the process must not go on. */
bool privileges_drop(const struct config *);

#endif
