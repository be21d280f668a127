/*
 * What a request is told that the gateway answers itself: problems, each with a reason
 * that programs may look at and a sentence with the remedy. Its outcome, status and
 * reason are set for the log.
 */
#ifndef SLOTGATE_GATEWAY_REFUSE_H
#define SLOTGATE_GATEWAY_REFUSE_H

#include "gateway/request.h"
#include "gateway/router.h"
#include "gateway/tenants.h"

/* `outcome` is the caller's to set. retry_after_us 0: no Retry-After. */
void refuse_with(struct request *, int status, const char *reason, const char *detail,
		 int64_t retry_after_us);

/* The ledger has no place for it, or not in time. */
void refuse_ticket(struct request *, enum refusal, int64_t retry_after_us);

/* Its route is for nobody; an OPTIONS that ends here gets its answer. */
void refuse_route(struct request *, const struct route *);
void refuse_visitor(struct request *, const struct visitor *); /* who may not come in */
void refuse_body(struct request *);			       /* it is too large */
void refuse_for_memory(struct request *);		       /* the gateway's is short */

#endif
