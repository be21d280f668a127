/*
 * gpu: the simulated device. Who may compute (the FIFO queue lock), how long it takes, how far it
 * has got, and the global interrupt and skip flags that hit whatever runs now.
 *
 * A job walks along a timeline of `duration_us`, in `n_iter` equal iterations. Interrupt ends the
 * walk, skip jumps to the next iteration. Both are lost when nothing runs, as in the WebUI, where
 * a beginning job clears the flags.
 */
#ifndef DEMO_POD_GPU_H
#define DEMO_POD_GPU_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "gate.h"

/* Far enough for a job that hangs, near enough that sums with a clock cannot overflow. */
#define GPU_FOREVER_US (UINT64_C(365) * 24 * 3600 * 1000000)

/* A caller's memory; fill in the first block, the rest belongs to gpu.c. */
struct gpu_job {
	const char *name; /* state.job in the progress answer */
	int job_count;	  /* state.job_count while it runs; 0 = progress shows nothing */
	uint64_t duration_us;
	uint32_t n_iter;
	uint32_t steps;
	uint32_t width, height; /* of the preview */
	uint64_t seed;

	uint64_t began_us;
	uint64_t jumped_us; /* what skips have cut from the timeline */
	uint64_t interrupts_seen, skips_seen;
	bool interrupted, skipped;
	struct gpu_job *next;
};

struct gpu {
	struct gate lock;
	pthread_mutex_t mutex;
	pthread_cond_t poked; /* interrupts or skips has grown */
	uint64_t interrupts, skips;
	struct gpu_job *running; /* the latest first; more than one only when unlimited */
	unsigned model;		 /* index of the loaded checkpoint */
};

/* A copy of what runs now, for the progress answer. */
struct gpu_progress {
	struct gpu_job job; /* zeroed when idle, job_count 0 */
	double fraction;    /* 0..1 of the whole timeline */
	double eta_seconds;
	uint32_t iteration, step; /* step within the iteration */
};

void gpu_init(struct gpu *g, bool unlimited);

/* Waits for the lock, then publishes the job as running. */
void gpu_begin(struct gpu *g, struct gpu_job *job);
/* Computes on to the given point of the timeline; false when the job was interrupted. */
bool gpu_compute(struct gpu *g, struct gpu_job *job, uint64_t until_us);
void gpu_lengthen(struct gpu *g, struct gpu_job *job, uint64_t by_us);
/* How much of the timeline was walked, 0..1. */
double gpu_done(struct gpu *g, const struct gpu_job *job);
void gpu_end(struct gpu *g, struct gpu_job *job); /* gives the lock back */

void gpu_interrupt(struct gpu *g);
void gpu_skip(struct gpu *g);
void gpu_progress(struct gpu *g, struct gpu_progress *p);

unsigned gpu_model(struct gpu *g);
void gpu_set_model(struct gpu *g, unsigned model);

#endif
