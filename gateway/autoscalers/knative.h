/*
 * In the place of Knative's activator: its autoscaler is told the true concurrency of the services
 * that stand for a revision. At once when one begins to have work, and each second then, as long as
 * it has work or pods; one that has neither is not spoken of, so that the autoscaler's averages
 * begin anew with its next request.
 */
#ifndef SLOTGATE_GATEWAY_AUTOSCALERS_KNATIVE_H
#define SLOTGATE_GATEWAY_AUTOSCALERS_KNATIVE_H

#include "base/loop.h"
#include "gateway/autoscalers/demand.h"

struct gateway;
struct knative;

/* A backend's part. */
struct knative_report {
	struct demand_watch watch;
	bool is_spoken_of, is_news;
	double told;	       /* of this interval already: the first request */
	double concurrency_us; /* demand's integral when the interval began */
	uint64_t arrived;      /* likewise */
	int64_t since_us;      /* when that was */
};

void knative_report_init(struct knative_report *, struct backend *);
void knative_report_release(struct knative_report *);

struct knative *knative_new(struct gateway *); /* NULL: no memory */
void knative_free(struct knative *);	       /* NULL is harmless */

/* The gateway's configuration has changed, or been read. */
void knative_configure(struct knative *);

/* Another process speaks from here on. */
void knative_stop(struct knative *);

/* At a scrape. */
bool knative_is_connected(const struct knative *);

#endif
