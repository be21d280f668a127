/*
 * One line of JSON for each request that has ended.
 */
#ifndef SLOTGATE_GATEWAY_ACCESS_LOG_H
#define SLOTGATE_GATEWAY_ACCESS_LOG_H

#include "gateway/request.h"

/* How it ended: "ok", "client_left_queued". */
const char *access_log_outcome(const struct request *);

void access_log_write(const struct request *, int64_t now_us);

#endif
