/* The thread that does what may block. */
#include "base/worker.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"

struct worker {
	struct loop *loop;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	struct list todo, finished; /* guarded by the mutex */
	bool stopping;
	struct io bell; /* an eventfd: something is finished */
};

static void *work_on(void *arg)
{
	struct worker *w = arg;
	pthread_mutex_lock(&w->mutex);
	for (;;) {
		while (list_is_empty(&w->todo) && !w->stopping)
			pthread_cond_wait(&w->wake, &w->mutex);
		if (list_is_empty(&w->todo))
			break;
		struct work *job = LIST_FIRST(&w->todo, struct work, link);
		list_remove(&job->link);
		pthread_mutex_unlock(&w->mutex);
		job->run(job);
		pthread_mutex_lock(&w->mutex);
		list_push_back(&w->finished, &job->link);
		eventfd_write(w->bell.fd, 1);
	}
	pthread_mutex_unlock(&w->mutex);
	return NULL;
}

static struct work *take_finished(struct worker *w)
{
	struct work *job = NULL;
	pthread_mutex_lock(&w->mutex);
	if (!list_is_empty(&w->finished)) {
		job = LIST_FIRST(&w->finished, struct work, link);
		list_remove(&job->link);
	}
	pthread_mutex_unlock(&w->mutex);
	return job;
}

static void on_bell(void *owner, unsigned what)
{
	(void)what;
	struct worker *w = owner;
	eventfd_t count;
	eventfd_read(w->bell.fd, &count);
	for (struct work *job; (job = take_finished(w));)
		job->done(job);
}

struct worker *worker_new(struct loop *loop)
{
	struct worker *w = mem_must_zalloc(sizeof(*w));
	w->loop = loop;
	list_init(&w->todo);
	list_init(&w->finished);
	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->wake, NULL);
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fd < 0 || !io_open_level(&w->bell, loop, fd, IO_READ, on_bell, w)) {
		mem_free(w);
		return NULL;
	}
	/* Signals belong to the loop's thread. */
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	int failed = pthread_create(&w->thread, NULL, work_on, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (failed) {
		io_close(&w->bell);
		mem_free(w);
		return NULL;
	}
	return w;
}

void worker_free(struct worker *w)
{
	pthread_mutex_lock(&w->mutex);
	w->stopping = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->mutex);
	pthread_join(w->thread, NULL);
	for (struct work *job; (job = take_finished(w));)
		job->done(job);
	io_close(&w->bell);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->mutex);
	mem_free(w);
}

void worker_submit(struct worker *w, struct work *job)
{
	pthread_mutex_lock(&w->mutex);
	list_push_back(&w->todo, &job->link);
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->mutex);
}
