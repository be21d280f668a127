/*
 * One line of JSON for each request that has ended.
 */
#ifndef SLOTGATE_GATEWAY_ACCESS_LOG_H
#define SLOTGATE_GATEWAY_ACCESS_LOG_H

#include "gateway/request.h"

void access_log_write(const struct request *, int64_t now_us);

#endif
