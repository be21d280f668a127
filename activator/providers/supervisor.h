/*
 * Local processes, held outside the gateway: no pod outlives slotgate, even if it is killed, and
 * the large, threaded gateway never forks.
 *
 *   slotgate ==socket== supervisor --+-- keeper --- pod's leader --- ...
 *                                    +-- keeper --- pod's leader --- ...
 *
 * The supervisor is slotgate's own binary, started at need with a hidden argument: it knows which
 * pods there are and when their grace ends. Each pod has a keeper, a fork of the supervisor that
 * adopts whatever the pod's processes leave behind (PR_SET_CHILD_SUBREAPER), also those that left
 * its process group or session. So "exited" means that nothing of this pod computes any more: when
 * the leader ends, the keeper kills all that is left and waits until it is dead.
 *
 *  - slotgate ends or is killed: the socket ends; pods get SIGTERM, and SIGKILL after their grace.
 *  - The supervisor is killed: each keeper is told by the kernel and kills its pod.
 *  - A keeper is killed: the kernel kills the leader, the supervisor adopts and kills the rest.
 *
 * Supervisor and pods are a session of their own: a Ctrl-C in slotgate's terminal does not reach
 * them, so that slotgate can drain first.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_SUPERVISOR_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_SUPERVISOR_H

#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"

struct supervisor;
struct child; /* a process under supervision, from supervisor_start to its last event */

/* What main() compares its first argument with; it then returns supervisor_main(atoi(argv[2])). */
#define SUPERVISOR_ARGUMENT "__supervise"
int supervisor_main(int fd);

struct supervisor *supervisor_new(struct loop *); /* NULL: no memory. Starts no process yet. */

/* No events any more; what still runs is ended in the background, with its grace. Not from inside
 * an event. NULL is harmless. */
void supervisor_free(struct supervisor *);

struct child_spec {
	char *const *argv;     /* NULL-terminated; the first is looked up in PATH */
	char *const *env;      /* "NAME=value", added to slotgate's own; NULL-terminated, or NULL */
	const char *directory; /* NULL: slotgate's own */
	int64_t grace_us;      /* from SIGTERM to SIGKILL when slotgate ends */
};

enum child_event_kind {
	CHILD_STARTED, /* the program runs, as `pid`: also its process group */
	CHILD_FAILED,  /* it could not be started: `step` and `error`. The last event. */
	CHILD_EXITED,  /* it and all it started are gone; `status` as of wait(). The last event. */
	CHILD_LOST,    /* the supervisor is gone, and so is this. The last event. */
};

enum child_step { CHILD_STEP_SUPERVISOR, CHILD_STEP_FORK, CHILD_STEP_DIRECTORY, CHILD_STEP_EXEC };

struct child_event {
	enum child_event_kind kind;
	enum child_step step;
	int error; /* an errno */
	int status;
	pid_t pid;
};

/* Comes from the loop, never from inside a call here. After the last event the child is dead. */
typedef void child_fn(void *owner, const struct child_event *);

/* Starts the program with its standard output and error to `output`, which is taken over, and
 * standard input from nothing. NULL: no memory. */
struct child *supervisor_start(struct supervisor *, const struct child_spec *, int output,
			       child_fn *, void *owner);

/* SIGTERM to its process group, and after the grace SIGKILL to all of it. Again: the earlier of the
 * two ends of grace counts. */
void supervisor_stop(struct child *, int64_t grace_us);

/* Stops it without anybody hearing of it. The child is dead to the caller. */
void supervisor_abandon(struct child *, int64_t grace_us);

/* --- handing over: another slotgate goes on with the same supervisor process and its children - */

struct supervisor_state {
	int fd; /* of the socket to it; -1: none runs */
	pid_t pid;
	uint64_t last_id; /* that a child was given */
};

uint64_t supervisor_child_id(const struct child *);
pid_t supervisor_child_pid(const struct child *);

/* Stops listening to it until supervisor_go_on: what it says is for whoever reads then. False: it
 * has still to be told something. The descriptor stays the supervisor's. */
bool supervisor_pause(struct supervisor *, struct supervisor_state *);
void supervisor_go_on(struct supervisor *);
bool supervisor_is_paused(const struct supervisor *); /* start nothing now */

/* It is another's: its socket is closed here, and its children are no more than memory. */
void supervisor_let_go(struct supervisor *);

/* On the other side: takes the descriptor over, also if it fails (no memory). */
bool supervisor_adopt(struct supervisor *, const struct supervisor_state *);
struct child *supervisor_adopt_child(struct supervisor *, uint64_t id, pid_t, child_fn *,
				     void *owner);

/* 0: none runs. */
pid_t supervisor_pid(const struct supervisor *);

#endif
