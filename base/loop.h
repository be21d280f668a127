/*
 * The event loop: one thread, turn by turn. In a turn it
 *   1. waits for descriptors, signals or the next timer (libevent),
 *   2. calls the io callbacks of what is ready, the patient ones last,
 *   3. calls the timers that are due,
 *   4. runs the tasks that were deferred meanwhile, until none is left.
 *
 * Step 4 is where objects wake each other and where they are freed: a callback may close and defer,
 * but never free what its caller may still touch.
 *
 * All structs are the caller's memory and must stay where they are while in use. Only libevent's
 * own headers are hidden behind this one.
 */
#ifndef SLOTGATE_BASE_LOOP_H
#define SLOTGATE_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/list.h"

struct loop;
struct event;

struct loop *loop_new(void); /* NULL: the kernel refused */
void loop_free(struct loop *);
void loop_run(struct loop *); /* until loop_stop */
void loop_stop(struct loop *);
void loop_settle(struct loop *); /* when it does not run: the deferred tasks alone */

/* Monotonic time, read once a turn (and again by loop_refresh_now). */
int64_t loop_now_us(const struct loop *);
int64_t loop_refresh_now(struct loop *);

/* --- descriptors ------------------------------------------------------------------------- */

enum {
	IO_READ = 1,   /* there may be bytes to read, or an error to be read */
	IO_WRITE = 2,  /* there may be room to write */
	IO_HANGUP = 4, /* the peer has closed its side, even if unread bytes are before it */
};

typedef void io_fn(void *owner, unsigned what);

struct io {
	int fd;	       /* -1: closed */
	uint8_t ready; /* for what; of a patient one, while it waits for the others */
	bool is_patient;
	bool hears_room; /* IO_WRITE, too */
	struct loop *loop;
	struct event *event;
	io_fn *fn;
	void *owner;
	struct list turn; /* while it waits */
};

/* Watches fd edge-triggered for all three: the owner reads and writes until EAGAIN. Registered
 * once, it costs no further system call. From here on io owns fd, also if it fails (no memory). */
bool io_open(struct io *, struct loop *, int fd, io_fn *, void *owner);

/* The same, but for IO_WRITE until io_hear_room: for a socket that was just accepted. It has room, and
 * if the kernel had that to tell, the socket would take its place among those that are ready before
 * its first bytes come, and then be read before others that got theirs earlier. */
bool io_open_to_read(struct io *, struct loop *, int fd, io_fn *, void *owner);

/* From now on tells of room, also of what there is already. False and errno: no memory, and nothing
 * is told any more. */
bool io_hear_room(struct io *);

/* The same, level-triggered, for `what` only; io_watch changes what is watched (0: nothing). */
bool io_open_level(struct io *, struct loop *, int fd, unsigned what, io_fn *, void *owner);
bool io_watch(struct io *, unsigned what);

/* From now on it is told after all others of a turn. */
void io_be_patient(struct io *);

/* Stops watching and gives the descriptor back to the caller. */
int io_detach(struct io *);

/* Stops watching and closes; harmless on a closed one. */
void io_close(struct io *);

/* --- timers ------------------------------------------------------------------------------ */

typedef void timer_fn(void *owner);

struct timer {
	struct heap_node node;
	struct loop *loop;
	timer_fn *fn;
	void *owner;
};

/* Reserves the timer's place in the heap, so that setting it cannot fail. False: no memory. */
bool timer_init(struct timer *, struct loop *, timer_fn *, void *owner);
void timer_release(struct timer *); /* clears it and gives the place back */
void timer_set(struct timer *, int64_t at_us);
void timer_clear(struct timer *);
bool timer_is_set(const struct timer *);

/* --- tasks ------------------------------------------------------------------------------- */

typedef void task_fn(void *owner);

struct task {
	struct list link;
	task_fn *fn;
	void *owner;
};

void task_init(struct task *, task_fn *, void *owner);

/* Runs it at the end of this turn. Deferring it again before it ran changes nothing. */
void loop_defer(struct loop *, struct task *);

/* Runs it at the end of the next turn, which will not wait: for work that is cut into pieces so
 * that the others get their turn. */
void loop_defer_to_next_turn(struct loop *, struct task *);
void task_cancel(struct task *);

/* --- signals ----------------------------------------------------------------------------- */

/* Calls fn(owner) in the loop's thread when the process gets this signal. */
bool loop_on_signal(struct loop *, int signal, timer_fn *, void *owner);

#endif
