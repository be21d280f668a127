/* slotgate's side of its supervisor: starts it, and speaks with it from the loop. */
#include "activator/providers/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "activator/providers/supervisor_wire.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"

struct supervisor {
	struct loop *loop;
	pid_t pid;	      /* 0: none runs */
	bool is_paused;	      /* another process may be about to go on with it */
	struct io io;	      /* closed: none runs */
	uint64_t last_id;     /* of a child, as the wire has it: none is used again */
	struct list running;  /* children that the supervisor process knows, or will */
	struct list ending;   /* children whose last event comes at the end of the turn */
	struct list outgoing; /* packets that the socket had no room for */
	struct task task;     /* gives those last events */
};

struct child {
	struct list link; /* on running or ending */
	struct supervisor *supervisor;
	uint64_t id;
	pid_t pid;    /* 0: not known to have started */
	child_fn *fn; /* NULL: abandoned */
	void *owner;
	struct child_event last; /* on ending */
};

struct outgoing {
	struct list link;
	int fd; /* -1: none */
	size_t len;
	char packet[];
};

/* --- children -------------------------------------------------------------------------------- */

static void child_free(struct child *c)
{
	list_remove(&c->link);
	mem_free(c);
}

static void give(struct child *c, const struct child_event *event)
{
	child_fn *fn = c->fn;
	void *owner = c->owner;
	if (event->kind != CHILD_STARTED)
		child_free(c); /* dead to its owner from here on */
	if (fn)
		fn(owner, event);
}

static void give_last_events(void *arg)
{
	struct supervisor *s = arg;
	while (!list_is_empty(&s->ending)) {
		struct child *c = LIST_FIRST(&s->ending, struct child, link);
		struct child_event last = c->last;
		give(c, &last);
	}
}

static void end_soon(struct child *c, const struct child_event *last)
{
	c->last = *last;
	list_remove(&c->link);
	list_push_back(&c->supervisor->ending, &c->link);
	loop_defer(c->supervisor->loop, &c->supervisor->task);
}

/* --- the process ----------------------------------------------------------------------------- */

static void drop_outgoing(struct outgoing *o)
{
	list_remove(&o->link);
	if (o->fd >= 0)
		close(o->fd);
	mem_free(o);
}

static void close_socket(struct supervisor *s)
{
	io_close(&s->io);
	while (!list_is_empty(&s->outgoing))
		drop_outgoing(LIST_FIRST(&s->outgoing, struct outgoing, link));
}

/* It has ended, or speaks nonsense. Its keepers are told so by the kernel, and kill what they keep;
 * the groups are killed from here too, in case a keeper went with it. */
static void lose(struct supervisor *s)
{
	log_error("the supervisor of local pods (process %d) is gone, and its pods with it",
		  (int)s->pid);
	close_socket(s);
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0); /* it closed its socket or was killed: this is short */
	s->pid = 0;
	struct child_event lost = {.kind = CHILD_LOST};
	while (!list_is_empty(&s->running)) {
		struct child *c = LIST_FIRST(&s->running, struct child, link);
		if (c->pid > 0)
			kill(-c->pid, SIGKILL);
		end_soon(c, &lost);
	}
}

static struct child *find(const struct supervisor *s, uint64_t id)
{
	LIST_EACH(c, &s->running, struct child, link)
		if (c->id == id)
			return c;
	return NULL;
}

/* False: the packet is not of this wire. */
static bool take(struct supervisor *s, const struct wire_head *m, size_t len)
{
	if (len != sizeof(*m) || (m->kind != WIRE_STARTED && m->kind != WIRE_EXITED))
		return false;
	struct child *c = find(s, m->id);
	if (!c)
		return true;
	enum child_event_kind kind = m->pid ? CHILD_STARTED : CHILD_FAILED;
	struct child_event event = {
		.kind = m->kind == WIRE_EXITED ? CHILD_EXITED : kind,
		.step = (enum child_step)m->step,
		.error = m->error,
		.status = m->status,
		.pid = m->pid ? m->pid : c->pid,
	};
	c->pid = event.pid;
	give(c, &event);
	return true;
}

/* False: the other end is gone. */
static bool flush(struct supervisor *s)
{
	while (!list_is_empty(&s->outgoing)) {
		struct outgoing *o = LIST_FIRST(&s->outgoing, struct outgoing, link);
		if (!packet_send(s->io.fd, o->packet, o->len, o->fd))
			return errno == EAGAIN;
		drop_outgoing(o);
	}
	io_watch(&s->io, IO_READ);
	return true;
}

static void on_socket(void *owner, unsigned what)
{
	struct supervisor *s = owner;
	if (what & IO_WRITE && !list_is_empty(&s->outgoing) && !flush(s)) {
		lose(s);
		return;
	}
	for (;;) {
		struct wire_head m;
		int fd;
		ssize_t n = packet_receive(s->io.fd, &m, sizeof(m), &fd);
		if (n < 0 && errno == EAGAIN)
			return;
		if (fd >= 0)
			close(fd);
		if (n <= 0 || !take(s, &m, (size_t)n)) {
			lose(s);
			return;
		}
	}
}

/* In a session of its own and with the terminal's signals blocked from its first moment. An errno.
 * The socket keeps its number there. */
static int spawn(pid_t *pid, int fd)
{
	char number[16];
	snprintf(number, sizeof(number), "%d", fd);
	char name[] = "slotgate", argument[] = SUPERVISOR_ARGUMENT;
	char *argv[] = {name, argument, number, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int error = posix_spawn_file_actions_init(&actions);
	if (error)
		return error;
	error = posix_spawnattr_init(&attributes);
	if (!error) {
		sigset_t all;
		sigfillset(&all);
		posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
		posix_spawnattr_setsigmask(&attributes, &all);
		/* Onto itself: that takes its close-on-exec away, there and only there. */
		error = posix_spawn_file_actions_adddup2(&actions, fd, fd);
		if (!error)
			error = posix_spawn(pid, "/proc/self/exe", &actions, &attributes, argv,
					    environ);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

/* An errno. */
static int launch(struct supervisor *s)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
		return errno;
	/* Watched first: a process that was started need not be taken back then. */
	int error = io_open_level(&s->io, s->loop, ends[0], IO_READ, on_socket, s) ? 0 : ENOMEM;
	pid_t pid = 0;
	if (!error)
		error = spawn(&pid, ends[1]);
	close(ends[1]);
	if (error) {
		io_close(&s->io);
		return error;
	}
	s->pid = pid;
	log_info("started process %d to supervise local pods", (int)pid);
	return 0;
}

/* --- speaking -------------------------------------------------------------------------------- */

/* An errno; the descriptor is taken over. */
static int speak(struct supervisor *s, const void *packet, size_t len, int fd)
{
	bool sent = list_is_empty(&s->outgoing) && packet_send(s->io.fd, packet, len, fd);
	int error = sent ? 0 : list_is_empty(&s->outgoing) ? errno : EAGAIN;
	if (error == EAGAIN) {
		struct outgoing *o = mem_alloc(sizeof(*o) + len);
		error = o ? 0 : ENOMEM;
		if (o) {
			*o = (struct outgoing){.fd = fd, .len = len};
			memcpy(o->packet, packet, len);
			list_init(&o->link);
			list_push_back(&s->outgoing, &o->link);
			io_watch(&s->io, IO_READ | IO_WRITE);
			return 0;
		}
	}
	if (fd >= 0)
		close(fd);
	return error;
}

static struct child *new_child(struct supervisor *s, uint64_t id, child_fn *fn, void *owner)
{
	struct child *c = mem_zalloc(sizeof(*c));
	if (!c)
		return NULL;
	list_init(&c->link);
	c->supervisor = s;
	c->fn = fn;
	c->owner = owner;
	c->id = id;
	return c;
}

struct child *supervisor_start(struct supervisor *s, const struct child_spec *spec, int output,
			       child_fn *fn, void *owner)
{
	struct child *c = new_child(s, s->last_id + 1, fn, owner);
	if (!c) {
		close(output);
		return NULL;
	}
	s->last_id++;
	list_push_back(&s->running, &c->link);
	struct child_event failed = {.kind = CHILD_FAILED, .step = CHILD_STEP_SUPERVISOR};
	if (!s->pid)
		failed.error = launch(s);
	struct str packet;
	str_init(&packet);
	if (!failed.error) {
		failed.step = CHILD_STEP_EXEC;
		failed.error = wire_pack_start(&packet, c->id, spec);
	}
	if (failed.error)
		close(output);
	else
		failed.error = speak(s, packet.at, packet.len, output);
	/* If it is gone, reading will tell, of this child too. */
	bool is_gone = s->pid && (failed.error == EPIPE || failed.error == ECONNRESET);
	if (failed.error && !is_gone)
		end_soon(c, &failed);
	str_release(&packet);
	return c;
}

void supervisor_stop(struct child *c, int64_t grace_us)
{
	struct supervisor *s = c->supervisor;
	struct wire_head m = {.kind = WIRE_STOP, .id = c->id, .grace_us = grace_us};
	if (s->pid && speak(s, &m, sizeof(m), -1) == ENOMEM && c->pid > 0)
		kill(-c->pid, SIGTERM); /* better than nothing: memory is short, and it is not */
}

void supervisor_abandon(struct child *c, int64_t grace_us)
{
	c->fn = NULL;
	supervisor_stop(c, grace_us);
}

pid_t supervisor_pid(const struct supervisor *s)
{
	return s->pid;
}

/* --- all of it ------------------------------------------------------------------------------- */

struct supervisor *supervisor_new(struct loop *loop)
{
	struct supervisor *s = mem_zalloc(sizeof(*s));
	if (!s)
		return NULL;
	s->loop = loop;
	s->io.fd = -1;
	list_init(&s->running);
	list_init(&s->ending);
	list_init(&s->outgoing);
	task_init(&s->task, give_last_events, s);
	return s;
}

void supervisor_free(struct supervisor *s)
{
	if (!s)
		return;
	close_socket(s);
	while (!list_is_empty(&s->running))
		child_free(LIST_FIRST(&s->running, struct child, link));
	while (!list_is_empty(&s->ending))
		child_free(LIST_FIRST(&s->ending, struct child, link));
	if (s->pid)
		waitpid(s->pid, NULL, WNOHANG);
	task_cancel(&s->task);
	mem_free(s);
}

/* --- handing over ---------------------------------------------------------------------------- */

uint64_t supervisor_child_id(const struct child *c)
{
	return c ? c->id : 0;
}

pid_t supervisor_child_pid(const struct child *c)
{
	return c ? c->pid : 0;
}

bool supervisor_pause(struct supervisor *s, struct supervisor_state *state)
{
	*state = (struct supervisor_state){
		.fd = s->pid ? s->io.fd : -1, .pid = s->pid, .last_id = s->last_id};
	if (!list_is_empty(&s->outgoing) || !list_is_empty(&s->ending))
		return false;
	s->is_paused = true;
	if (s->pid)
		io_watch(&s->io, 0);
	return true;
}

void supervisor_go_on(struct supervisor *s)
{
	s->is_paused = false;
	if (s->pid)
		io_watch(&s->io, IO_READ);
}

bool supervisor_is_paused(const struct supervisor *s)
{
	return s->is_paused;
}

void supervisor_let_go(struct supervisor *s)
{
	close_socket(s);
	s->pid = 0;
}

bool supervisor_adopt(struct supervisor *s, const struct supervisor_state *state)
{
	s->last_id = state->last_id;
	if (!io_open_level(&s->io, s->loop, state->fd, IO_READ, on_socket, s))
		return false;
	s->pid = state->pid;
	return true;
}

struct child *supervisor_adopt_child(struct supervisor *s, uint64_t id, pid_t pid, child_fn *fn,
				     void *owner)
{
	bool is_sane = s->pid && id && id <= s->last_id && !find(s, id);
	struct child *c = is_sane ? new_child(s, id, fn, owner) : NULL;
	if (!c)
		return NULL;
	c->pid = pid;
	list_push_back(&s->running, &c->link);
	return c;
}
