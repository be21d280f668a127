/*
 * KEDA's external scaler (externalscaler.proto): a service's demand over gRPC, for triggers of the
 * types external and external-push. The trigger's metadata says which service, and what target.
 *
 *   a call:  begin -> its message -> answered
 *                               `-> followed (StreamIsActive) -> answered, when it has to end
 *
 * KEDA asks again 2 s after a stream that ends well, but ever more slowly after one that fails: so
 * a drain and a hand-over end them well.
 */
#ifndef SLOTGATE_GATEWAY_AUTOSCALERS_KEDA_H
#define SLOTGATE_GATEWAY_AUTOSCALERS_KEDA_H

#include "base/list.h"
#include "gateway/exchange.h"

struct keda {
	struct list calls;
	int count;
};

extern const struct exchange_handler keda_handler;

void keda_init(struct gateway *);

/* Another process knows better from now on, or soon will: those that follow a service ask anew. */
void keda_step_aside(struct gateway *);

#endif
