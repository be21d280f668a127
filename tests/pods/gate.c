/* gate: a first-come-first-served semaphore. */
#include "gate.h"

void gate_init(struct gate *g, uint32_t capacity)
{
	*g = (struct gate){.capacity = capacity};
	pthread_mutex_init(&g->mutex, NULL);
	pthread_cond_init(&g->moved, NULL);
}

void gate_enter(struct gate *g)
{
	uint64_t ticket;

	pthread_mutex_lock(&g->mutex);
	ticket = g->drawn++;
	/*
	 * Compared as a sum: `ticket - left` would wrap for a holder that wakes so late that
	 * those admitted after it have already left.
	 */
	while (ticket >= g->left + g->capacity)
		pthread_cond_wait(&g->moved, &g->mutex);
	pthread_mutex_unlock(&g->mutex);
}

void gate_leave(struct gate *g)
{
	pthread_mutex_lock(&g->mutex);
	g->left++;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->mutex);
}
