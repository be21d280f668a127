/*
 * Knative's pod autoscaler (KPA): how many pods a concurrency wants.
 *
 * Source: Knative Serving, pkg/autoscaler/scaling/autoscaler.go and pkg/reconciler/autoscaling/kpa
 * (the algorithm; the code here is written from its description). Two differences, both because
 * the gateway knows the true concurrency at every moment: the averages are integrals over time
 * instead of means of samples, and from zero it asks at once for as many pods as the queue needs.
 */
#ifndef SLOTGATE_ACTIVATOR_CORE_AUTOSCALER_H
#define SLOTGATE_ACTIVATOR_CORE_AUTOSCALER_H

#include <stdbool.h>
#include <stdint.h>

#include "activator/core/window.h"
#include "config/config.h"

struct autoscaler {
	struct autoscaling_config config;
	double target; /* concurrency per pod */
	struct window window;
	double current;	 /* the concurrency observed last */
	double area;	 /* its integral over time (microseconds), up to the moment */
	int64_t area_us; /* when that was observed */
	int64_t next_tick_us;
	int64_t panic_us;	  /* last breach of the panic threshold; -1: not panicking */
	int64_t panic_pods;	  /* the most asked for while panicking */
	int64_t zero_us;	  /* since when none has been wanted; -1: some are */
	int64_t initial_until_us; /* initialScale holds; INT64_MAX until a pod has been ready */
	int64_t found;		  /* pods that were there at the start; -1: nobody looked */
	struct delay *delay;	  /* desired scales of the scale-down delay; NULL: none */
	int64_t desired;
};

/* What an upgrade hands over of one. */
struct autoscaler_record {
	int64_t desired;
	double concurrency;		       /* on average over the stable window */
	int64_t panic_us, panic_pods, zero_us; /* as above */
};

/* The ratio of pods to concurrency is fixed by the two configs. False: no memory. */
bool autoscaler_init(struct autoscaler *, const struct autoscaling_config *,
		     int64_t container_concurrency, int64_t now_us);
void autoscaler_release(struct autoscaler *);
bool autoscaler_configure(struct autoscaler *, const struct autoscaling_config *,
			  int64_t container_concurrency, int64_t now_us);

/* Concurrency is now this: in flight and waiting. Cheap; call it at every change. */
void autoscaler_observe(struct autoscaler *, double concurrency, int64_t now_us);

/* The integral of all that was observed: between two moments, their difference is the average. */
double autoscaler_area(const struct autoscaler *, int64_t now_us);

/* Decides anew, with so many pods ready; `wake`: something waits for a pod that is not counted in
 * the concurrency. Call at next_tick_us. */
int64_t autoscaler_tick(struct autoscaler *, int64_t ready, bool wake, int64_t now_us);

/* The same out of turn while no pod is ready: the concurrency of this moment alone. */
int64_t autoscaler_from_zero(struct autoscaler *, bool wake, int64_t now_us);

/* There are so many pods already: they stand in for initialScale. False: it is not the start, and
 * nothing has changed. */
bool autoscaler_found(struct autoscaler *, int64_t pods, int64_t now_us);

/* Goes on where another one was. */
void autoscaler_record(struct autoscaler *, int64_t now_us, struct autoscaler_record *);
void autoscaler_resume(struct autoscaler *, const struct autoscaler_record *, int64_t now_us);

/* The averages that the next decision would see. */
void autoscaler_averages(struct autoscaler *, int64_t now_us, double *stable, double *panic);

/* The decision itself: averages in, pods out, before min and max. Sets the panic mode. */
int64_t autoscaler_decide(struct autoscaler *, int64_t ready, double stable, double panic,
			  int64_t now_us);

#endif
