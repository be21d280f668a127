/*
 * gate: a first-come-first-served semaphore.
 *
 * Whoever enters draws a ticket and is let in when fewer than `capacity` of those before it are
 * still inside. With capacity 1 it is A1111's FIFO queue lock, with 40 uvicorn's thread pool.
 */
#ifndef DEMO_POD_GATE_H
#define DEMO_POD_GATE_H

#include <pthread.h>
#include <stdint.h>

#define GATE_UNLIMITED UINT32_MAX

struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t moved;
	uint32_t capacity;
	uint64_t drawn; /* tickets handed out: the next one's number */
	uint64_t left;	/* holders that have gone again */
};

void gate_init(struct gate *g, uint32_t capacity);
void gate_enter(struct gate *g); /* blocks until it is this caller's turn */
void gate_leave(struct gate *g);

#endif
