/* gpu: the simulated device: its lock, its clock, and the global interrupt and skip flags. */
#include "gpu.h"

#include "clock.h"

void gpu_init(struct gpu *g, bool unlimited)
{
	pthread_condattr_t attr;

	*g = (struct gpu){0};
	gate_init(&g->lock, unlimited ? GATE_UNLIMITED : 1);
	pthread_mutex_init(&g->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->poked, &attr);
	pthread_condattr_destroy(&attr);
}

static uint64_t position(const struct gpu_job *job, uint64_t now)
{
	return now - job->began_us + job->jumped_us;
}

static uint64_t iteration_us(const struct gpu_job *job)
{
	uint64_t us = job->duration_us / (job->n_iter ? job->n_iter : 1);

	return us ? us : 1;
}

void gpu_begin(struct gpu *g, struct gpu_job *job)
{
	gate_enter(&g->lock);
	pthread_mutex_lock(&g->mutex);
	job->began_us = clock_mono_us();
	job->jumped_us = 0;
	job->interrupted = job->skipped = false;
	job->interrupts_seen = g->interrupts;
	job->skips_seen = g->skips;
	job->next = g->running;
	g->running = job;
	pthread_mutex_unlock(&g->mutex);
}

/* Takes note of the flags raised since it last looked. */
static void heed_flags(struct gpu *g, struct gpu_job *job, uint64_t now)
{
	if (job->interrupts_seen != g->interrupts) {
		job->interrupts_seen = g->interrupts;
		job->interrupted = true;
	}
	if (job->skips_seen != g->skips) {
		uint64_t iteration = iteration_us(job);

		job->skips_seen = g->skips;
		job->skipped = true;
		job->jumped_us += iteration - position(job, now) % iteration;
	}
}

bool gpu_compute(struct gpu *g, struct gpu_job *job, uint64_t until_us)
{
	pthread_mutex_lock(&g->mutex);
	for (;;) {
		uint64_t now = clock_mono_us();
		struct timespec until;

		heed_flags(g, job, now);
		if (job->interrupted || position(job, now) >= until_us)
			break;
		until = clock_timespec(now + until_us - position(job, now));
		pthread_cond_timedwait(&g->poked, &g->mutex, &until);
	}
	pthread_mutex_unlock(&g->mutex);
	return !job->interrupted;
}

void gpu_lengthen(struct gpu *g, struct gpu_job *job, uint64_t by_us)
{
	pthread_mutex_lock(&g->mutex);
	job->duration_us += by_us;
	pthread_mutex_unlock(&g->mutex);
}

static double fraction_at(const struct gpu_job *job, uint64_t now)
{
	uint64_t at = position(job, now);

	return at >= job->duration_us ? 1.0 : (double)at / (double)job->duration_us;
}

double gpu_done(struct gpu *g, const struct gpu_job *job)
{
	double done;

	pthread_mutex_lock(&g->mutex);
	done = fraction_at(job, clock_mono_us());
	pthread_mutex_unlock(&g->mutex);
	return done;
}

void gpu_end(struct gpu *g, struct gpu_job *job)
{
	struct gpu_job **link;

	pthread_mutex_lock(&g->mutex);
	for (link = &g->running; *link != job; link = &(*link)->next)
		;
	*link = job->next;
	pthread_mutex_unlock(&g->mutex);
	gate_leave(&g->lock);
}

static void poke(struct gpu *g, uint64_t *flag)
{
	pthread_mutex_lock(&g->mutex);
	++*flag;
	pthread_cond_broadcast(&g->poked);
	pthread_mutex_unlock(&g->mutex);
}

void gpu_interrupt(struct gpu *g)
{
	poke(g, &g->interrupts);
}

void gpu_skip(struct gpu *g)
{
	poke(g, &g->skips);
}

void gpu_progress(struct gpu *g, struct gpu_progress *p)
{
	*p = (struct gpu_progress){.job = {.name = ""}};
	pthread_mutex_lock(&g->mutex);
	if (g->running && g->running->job_count) {
		uint64_t now = clock_mono_us(), iteration, at;

		p->job = *g->running;
		p->fraction = fraction_at(&p->job, now);
		p->eta_seconds = (double)p->job.duration_us / 1e6 * (1.0 - p->fraction);
		iteration = iteration_us(&p->job);
		at = position(&p->job, now);
		if (at >= p->job.duration_us)
			at = p->job.duration_us ? p->job.duration_us - 1 : 0;
		p->iteration = (uint32_t)(at / iteration);
		p->step = (uint32_t)((double)(at % iteration) / (double)iteration * p->job.steps);
	}
	pthread_mutex_unlock(&g->mutex);
}

unsigned gpu_model(struct gpu *g)
{
	unsigned model;

	pthread_mutex_lock(&g->mutex);
	model = g->model;
	pthread_mutex_unlock(&g->mutex);
	return model;
}

void gpu_set_model(struct gpu *g, unsigned model)
{
	pthread_mutex_lock(&g->mutex);
	g->model = model;
	pthread_mutex_unlock(&g->mutex);
}
