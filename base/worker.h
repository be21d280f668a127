/*
 * A thread for what may block: disk, never the loop. Jobs are run in the order of their submission,
 * and each one's `done` is called in the loop's thread at the end of a turn.
 */
#ifndef SLOTGATE_BASE_WORKER_H
#define SLOTGATE_BASE_WORKER_H

#include "base/list.h"
#include "base/loop.h"

struct worker;

struct work {
	struct list link;
	void (*run)(struct work *);  /* in the worker's thread; touches only what it was given */
	void (*done)(struct work *); /* in the loop's thread */
};

struct worker *worker_new(struct loop *); /* NULL: the kernel refused */
void worker_free(struct worker *);	  /* once all jobs are done */

/* `work` is the caller's and stays where it is until its `done`. */
void worker_submit(struct worker *, struct work *);

#endif
