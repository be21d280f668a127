/* The event loop over libevent: the only file that includes it. */
#include "base/loop.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { SIGNALS_MAX = 8 };

struct signal_watch {
	struct loop *loop;
	struct event *event;
	timer_fn *fn;
	void *owner;
};

struct loop {
	struct event_base *base;
	/*
	 * Wakes the wait when the first timer is due. A timerfd of our own: libevent's timers are
	 * as coarse as the kernel's tick (4 ms), or, made precise, cost a system call each turn.
	 */
	int alarm_fd;
	struct event *alarm;
	int64_t alarm_us; /* when it is set to go off; INT64_MAX: not set */
	int64_t now_us;
	bool now_is_old; /* the wait is over, and the clock has not been read since */
	struct heap timers;
	size_t timers_reserved;
	struct list patient; /* ios that are ready */
	struct list tasks, next_tasks;
	bool stopping;
	struct signal_watch signals[SIGNALS_MAX];
	int signal_count;
};

static void on_alarm(evutil_socket_t fd, short what, void *arg)
{
	struct loop *loop = arg;
	uint64_t times;
	(void)what;
	if (read(fd, &times, sizeof(times)) == sizeof(times))
		loop->alarm_us = INT64_MAX;
}

struct loop *loop_new(void)
{
	struct loop *loop = mem_must_zalloc(sizeof(*loop));
	struct event_config *config = event_config_new();
	if (config) {
		event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
		/* Edge triggers and early hang-ups are what clients that leave are seen by. */
		event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE);
		loop->base = event_base_new_with_config(config);
		event_config_free(config);
	}
	loop->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (loop->base && loop->alarm_fd >= 0)
		loop->alarm =
			event_new(loop->base, loop->alarm_fd, EV_READ | EV_PERSIST, on_alarm, loop);
	if (!loop->alarm || event_add(loop->alarm, NULL) != 0) {
		mem_free(loop);
		return NULL;
	}
	loop->alarm_us = INT64_MAX;
	heap_init(&loop->timers);
	list_init(&loop->patient);
	list_init(&loop->tasks);
	list_init(&loop->next_tasks);
	loop_refresh_now(loop);
	return loop;
}

void loop_free(struct loop *loop)
{
	for (int i = 0; i < loop->signal_count; i++)
		event_free(loop->signals[i].event);
	event_free(loop->alarm);
	close(loop->alarm_fd);
	event_base_free(loop->base);
	heap_release(&loop->timers);
	mem_free(loop);
}

int64_t loop_now_us(const struct loop *loop)
{
	return loop->now_us;
}

int64_t loop_refresh_now(struct loop *loop)
{
	loop->now_is_old = false;
	return loop->now_us = clock_now_us();
}

static void set_alarm(struct loop *loop)
{
	const struct heap_node *first = heap_top(&loop->timers);
	if (!first || first->key >= loop->alarm_us)
		return;
	int64_t at_us = first->key > 0 ? first->key : 1; /* 0 would unset it */
	struct itimerspec at = {
		.it_value = {.tv_sec = at_us / US_PER_S, .tv_nsec = at_us % US_PER_S * 1000}};
	timerfd_settime(loop->alarm_fd, TFD_TIMER_ABSTIME, &at, NULL);
	loop->alarm_us = first->key;
}

static void run_patient(struct loop *loop)
{
	while (!list_is_empty(&loop->patient)) {
		struct io *io = LIST_FIRST(&loop->patient, struct io, turn);
		unsigned ready = io->ready;
		list_remove(&io->turn);
		io->ready = 0;
		io->fn(io->owner, ready);
	}
}

static void run_timers(struct loop *loop)
{
	for (;;) {
		struct heap_node *first = heap_top(&loop->timers);
		if (!first || first->key > loop->now_us)
			return;
		struct timer *t = HEAP_OWNER(first, struct timer, node);
		heap_remove(&loop->timers, first);
		t->fn(t->owner);
	}
}

static void run_tasks(struct loop *loop)
{
	while (!list_is_empty(&loop->tasks)) {
		struct task *t = LIST_FIRST(&loop->tasks, struct task, link);
		list_remove(&t->link);
		t->fn(t->owner);
	}
}

void loop_run(struct loop *loop)
{
	loop->stopping = false;
	loop_refresh_now(loop);
	run_tasks(loop);
	while (!loop->stopping) {
		bool busy = !list_is_empty(&loop->next_tasks);
		set_alarm(loop);
		loop->now_is_old = true;
		event_base_loop(loop->base, EVLOOP_ONCE | (busy ? EVLOOP_NONBLOCK : 0));
		if (loop->now_is_old)
			loop_refresh_now(loop);
		LIST_EACH(t, &loop->next_tasks, struct task, link) {
			list_remove(&t->link);
			list_push_back(&loop->tasks, &t->link);
		}
		run_patient(loop);
		run_timers(loop);
		run_tasks(loop);
	}
}

void loop_settle(struct loop *loop)
{
	run_tasks(loop);
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}

/* --- descriptors --- */

static void on_io(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	struct io *io = arg;
	unsigned what = 0;
	if (io->loop->now_is_old)
		loop_refresh_now(io->loop);
	what |= events & EV_READ ? IO_READ : 0;
	what |= events & EV_WRITE ? IO_WRITE : 0;
	what |= events & EV_CLOSED ? IO_HANGUP : 0;
	if (!io->is_patient) {
		io->fn(io->owner, what);
		return;
	}
	io->ready |= (uint8_t)what;
	if (!list_is_linked(&io->turn))
		list_push_back(&io->loop->patient, &io->turn);
}

enum { EDGES = EV_READ | EV_CLOSED | EV_ET | EV_PERSIST };

static bool start(struct io *io, short events)
{
	list_init(&io->turn);
	io->event = event_new(io->loop->base, io->fd, events, on_io, io);
	if (io->event && event_add(io->event, NULL) == 0)
		return true;
	io_close(io);
	return false;
}

bool io_open(struct io *io, struct loop *loop, int fd, io_fn *fn, void *owner)
{
	*io = (struct io){.fd = fd, .loop = loop, .fn = fn, .owner = owner, .hears_room = true};
	return start(io, EDGES | EV_WRITE);
}

bool io_open_to_read(struct io *io, struct loop *loop, int fd, io_fn *fn, void *owner)
{
	*io = (struct io){.fd = fd, .loop = loop, .fn = fn, .owner = owner};
	return start(io, EDGES);
}

bool io_hear_room(struct io *io)
{
	io->hears_room = true;
	event_del(io->event);
	event_assign(io->event, io->loop->base, io->fd, EDGES | EV_WRITE, on_io, io);
	if (event_add(io->event, NULL) == 0)
		return true;
	errno = ENOMEM;
	return false;
}

static short level_events(unsigned what)
{
	short events = EV_PERSIST;
	events |= what & IO_READ ? EV_READ : 0;
	events |= what & IO_WRITE ? EV_WRITE : 0;
	return events;
}

bool io_open_level(struct io *io, struct loop *loop, int fd, unsigned what, io_fn *fn, void *owner)
{
	*io = (struct io){.fd = fd, .loop = loop, .fn = fn, .owner = owner};
	return start(io, level_events(what));
}

bool io_watch(struct io *io, unsigned what)
{
	event_del(io->event);
	event_assign(io->event, io->loop->base, io->fd, level_events(what), on_io, io);
	return !what || event_add(io->event, NULL) == 0;
}

void io_be_patient(struct io *io)
{
	io->is_patient = true;
}

int io_detach(struct io *io)
{
	int fd = io->fd;
	if (io->event) {
		event_free(io->event);
		list_remove(&io->turn);
	}
	io->event = NULL;
	io->fd = -1;
	return fd;
}

void io_close(struct io *io)
{
	int fd = io_detach(io);
	if (fd >= 0)
		close(fd);
}

/* --- timers --- */

bool timer_init(struct timer *t, struct loop *loop, timer_fn *fn, void *owner)
{
	*t = (struct timer){.loop = loop, .fn = fn, .owner = owner};
	if (!heap_reserve(&loop->timers, loop->timers_reserved + 1)) {
		t->loop = NULL;
		return false;
	}
	loop->timers_reserved++;
	return true;
}

void timer_release(struct timer *t)
{
	if (!t->loop)
		return;
	timer_clear(t);
	t->loop->timers_reserved--;
	t->loop = NULL;
}

void timer_set(struct timer *t, int64_t at_us)
{
	heap_set(&t->loop->timers, &t->node, at_us);
}

void timer_clear(struct timer *t)
{
	if (t->loop)
		heap_remove(&t->loop->timers, &t->node);
}

bool timer_is_set(const struct timer *t)
{
	return t->node.place != 0;
}

/* --- tasks --- */

void task_init(struct task *t, task_fn *fn, void *owner)
{
	list_init(&t->link);
	t->fn = fn;
	t->owner = owner;
}

void loop_defer(struct loop *loop, struct task *t)
{
	if (!list_is_linked(&t->link))
		list_push_back(&loop->tasks, &t->link);
}

void loop_defer_to_next_turn(struct loop *loop, struct task *t)
{
	if (!list_is_linked(&t->link))
		list_push_back(&loop->next_tasks, &t->link);
}

void task_cancel(struct task *t)
{
	list_remove(&t->link);
}

/* --- signals --- */

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	(void)number, (void)what;
	const struct signal_watch *w = arg;
	if (w->loop->now_is_old)
		loop_refresh_now(w->loop);
	w->fn(w->owner);
}

bool loop_on_signal(struct loop *loop, int number, timer_fn *fn, void *owner)
{
	assert(loop->signal_count < SIGNALS_MAX);
	struct signal_watch *w = &loop->signals[loop->signal_count];
	*w = (struct signal_watch){.loop = loop, .fn = fn, .owner = owner};
	w->event = evsignal_new(loop->base, number, on_signal, w);
	if (!w->event || evsignal_add(w->event, NULL) != 0)
		return false;
	loop->signal_count++;
	return true;
}
