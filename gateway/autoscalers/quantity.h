/* Kubernetes' quantities: "0", "7500m", "7", "12k". */
#ifndef SLOTGATE_GATEWAY_AUTOSCALERS_QUANTITY_H
#define SLOTGATE_GATEWAY_AUTOSCALERS_QUANTITY_H

#include "base/str.h"

/* Adds one in its canonical form (decimal SI), rounded to thousandths, as fine as any autoscaler
 * looks. The value must be a number below 1e15. */
void quantity_add(struct str *, double value);

#endif
