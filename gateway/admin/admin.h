/*
 * The admin address: /healthz, /readyz, /metrics, /v1/services and an operator's release of a pod.
 */
#ifndef SLOTGATE_GATEWAY_ADMIN_ADMIN_H
#define SLOTGATE_GATEWAY_ADMIN_ADMIN_H

#include "gateway/exchange.h"

extern const struct exchange_handler admin_handler;

#endif
