/*
 * The average of a value over the last seconds, from its exact integral over time in buckets of a
 * second. Time before the value was first above zero does not count, as in Knative: a burst after
 * a quiet hour is not averaged with the quiet.
 */
#ifndef SLOTGATE_ACTIVATOR_CORE_WINDOW_H
#define SLOTGATE_ACTIVATOR_CORE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct window {
	double *areas;	    /* a ring of value x microseconds, one a bucket */
	int64_t length;	    /* buckets in the ring */
	int64_t bucket;	    /* the number of the newest: time / one second */
	int64_t since_us;   /* counted from here; -1: nothing yet */
	int64_t updated_us; /* up to here */
	double value;	    /* from there on */
};

/* Keeps `seconds` of history. False: no memory. */
bool window_init(struct window *, int64_t seconds);
void window_release(struct window *);

/* The value is this from now on. */
void window_set(struct window *, double value, int64_t now_us);

/* The average over the last `seconds`; 0 before anything was set. */
double window_average(struct window *, int64_t seconds, int64_t now_us);

#endif
