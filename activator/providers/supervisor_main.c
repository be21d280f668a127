/* The supervisor's own process: one thread that polls its socket and its keepers. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "activator/providers/keeper.h"
#include "activator/providers/supervisor_wire.h"
#include "base/clock.h"
#include "base/packet.h"

enum { PODS_MAX = 1024 };

/* How far a pod is, and how far slotgate has been told. */
enum stage { NOTHING, LAUNCHED, FAILED, ENDED };

struct held_pod {
	uint64_t id;  /* 0: a free place */
	pid_t keeper; /* 0: none, it failed here */
	int report;   /* the keeper's pipe; -1: ended */
	int64_t grace_us;
	int64_t kill_at_us; /* INT64_MAX: not stopping */
	enum stage stage, told;
	struct keeper_report news; /* gathered from its reports */
};

static struct {
	int socket; /* -1: slotgate has ended */
	struct held_pod pods[PODS_MAX];
	int count; /* places in use or used before */
	struct wire_start start;
	char packet[WIRE_MAX_BYTES];
} held;

static struct held_pod *find(uint64_t id)
{
	for (int i = 0; i < held.count; i++)
		if (held.pods[i].id == id)
			return &held.pods[i];
	return NULL;
}

static struct held_pod *new_place(void)
{
	struct held_pod *p = find(0);
	if (!p && held.count < PODS_MAX)
		p = &held.pods[held.count++];
	return p;
}

static bool is_keeper(pid_t pid)
{
	for (int i = 0; i < held.count; i++)
		if (held.pods[i].id && held.pods[i].keeper == pid)
			return true;
	return false;
}

/* --- telling slotgate ------------------------------------------------------------------------ */

static bool tell(const struct held_pod *p, enum stage stage)
{
	struct wire_head m = {
		.kind = stage == ENDED ? WIRE_EXITED : WIRE_STARTED,
		.id = p->id,
		.pid = stage == LAUNCHED ? p->news.pid : 0,
		.step = p->news.step,
		.error = stage == FAILED ? p->news.error : 0,
		.status = p->news.status,
	};
	return packet_send(held.socket, &m, sizeof(m), -1) || errno != EAGAIN;
}

/* True: slotgate knows all; a pod that is no more is forgotten then. */
static bool tell_news(struct held_pod *p)
{
	if (held.socket >= 0) {
		if (p->told == NOTHING && p->stage != NOTHING && p->stage != FAILED) {
			if (!tell(p, LAUNCHED))
				return false;
			p->told = LAUNCHED;
		}
		if (p->told < p->stage && !tell(p, p->stage))
			return false;
	}
	p->told = p->stage;
	if (p->stage >= FAILED && p->report < 0)
		*p = (struct held_pod){0};
	return true;
}

/* --- pods ------------------------------------------------------------------------------------ */

static void stop(struct held_pod *p, int64_t grace_us)
{
	int64_t at_us = clock_now_us() + (grace_us > 0 ? grace_us : 0);
	if (p->stage >= FAILED || at_us >= p->kill_at_us)
		return;
	if (p->kill_at_us == INT64_MAX)
		kill(p->keeper, KEEPER_STOP);
	p->kill_at_us = at_us;
}

static void fail(struct held_pod *p, int error)
{
	p->stage = FAILED;
	p->news.step = CHILD_STEP_FORK;
	p->news.error = error;
}

static void start(size_t len, int output)
{
	struct wire_start *s = &held.start;
	if (!wire_unpack_start(s, held.packet, len) || !s->id || find(s->id))
		return;
	struct held_pod *p = new_place(), none = {0};
	if (!p)
		p = &none;
	*p = (struct held_pod){
		.id = s->id, .report = -1, .grace_us = s->grace_us, .kill_at_us = INT64_MAX};
	if (p == &none || output < 0)
		fail(p, p == &none ? EAGAIN : EMFILE);
	else if ((p->keeper = keeper_start(s, output, &p->report)) < 0)
		fail(p, errno);
	if (p == &none)
		tell(p, FAILED);
}

static int orphans;

static void end_orphan(pid_t pid)
{
	if (is_keeper(pid))
		return;
	orphans++;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* A keeper that was killed has left its pod's processes to this one, which has no other children
 * but keepers. With each death, more may come to us. */
static void end_orphans(void)
{
	do
		orphans = 0;
	while (keeper_each_child(end_orphan) && orphans);
}

static void reap_keeper(struct held_pod *p)
{
	close(p->report);
	p->report = -1;
	waitpid(p->keeper, NULL, 0);
	p->keeper = 0;
	if (p->stage >= FAILED)
		return;
	end_orphans();
	if (p->stage == NOTHING)
		fail(p, ECANCELED);
	else
		p->stage = ENDED;
	p->news.status = SIGKILL;
}

static void read_report(struct held_pod *p)
{
	struct keeper_report r;
	ssize_t n = read(p->report, &r, sizeof(r));
	if (n < 0 && errno == EINTR)
		return;
	if (n != sizeof(r)) {
		reap_keeper(p);
		return;
	}
	p->stage = r.word == KEEPER_LAUNCHED ? LAUNCHED : r.word == KEEPER_FAILED ? FAILED : ENDED;
	if (p->stage != ENDED)
		p->news = r;
	else
		p->news.status = r.status;
}

/* --- the loop -------------------------------------------------------------------------------- */

static void slotgate_has_ended(void)
{
	close(held.socket);
	held.socket = -1;
	for (int i = 0; i < held.count; i++)
		if (held.pods[i].id)
			stop(&held.pods[i], held.pods[i].grace_us);
}

static void receive(void)
{
	for (;;) {
		int fd;
		ssize_t n = packet_receive(held.socket, held.packet, sizeof(held.packet), &fd);
		if (n < 0 && errno == EBADMSG)
			continue;
		if (n <= 0) {
			if (n == 0 || errno != EAGAIN)
				slotgate_has_ended();
			return;
		}
		struct wire_head head = {0};
		memcpy(&head, held.packet, (size_t)n < sizeof(head) ? (size_t)n : sizeof(head));
		struct held_pod *p = head.id ? find(head.id) : NULL;
		if (head.kind == WIRE_START)
			start((size_t)n, fd);
		else if (head.kind == WIRE_STOP && p)
			stop(p, head.grace_us);
		if (fd >= 0)
			close(fd);
	}
}

/* Kills those whose grace is over; until when the next one's lasts, for poll. */
static int end_graces(void)
{
	int64_t now_us = clock_now_us(), next_us = INT64_MAX;
	for (int i = 0; i < held.count; i++) {
		struct held_pod *p = &held.pods[i];
		if (!p->id || p->stage >= FAILED || p->kill_at_us < 0)
			continue;
		if (p->kill_at_us <= now_us) {
			kill(p->keeper, KEEPER_KILL);
			p->kill_at_us = -1; /* once */
		} else if (p->kill_at_us < next_us) {
			next_us = p->kill_at_us;
		}
	}
	if (next_us == INT64_MAX)
		return -1;
	int64_t ms = (next_us - now_us) / US_PER_MS + 1;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* Waits for the socket and the keepers, and does what they ask. */
static void turn(bool all_told)
{
	static struct pollfd polled[PODS_MAX + 1];
	int count = held.count;
	short wanted = all_told ? POLLIN : POLLIN | POLLOUT;
	polled[count] = (struct pollfd){.fd = held.socket, .events = wanted};
	for (int i = 0; i < count; i++)
		polled[i] = (struct pollfd){.fd = held.pods[i].id ? held.pods[i].report : -1,
					    .events = POLLIN};
	if (poll(polled, (nfds_t)count + 1, end_graces()) < 0)
		return;
	for (int i = 0; i < count; i++)
		if (polled[i].revents)
			read_report(&held.pods[i]);
	if (polled[count].revents & (POLLIN | POLLHUP | POLLERR))
		receive();
}

/* False: there are no more pods. */
static bool tell_all(bool *all_told)
{
	bool any = false;
	*all_told = true;
	for (int i = 0; i < held.count; i++) {
		if (held.pods[i].id && !tell_news(&held.pods[i]))
			*all_told = false;
		any |= held.pods[i].id != 0;
	}
	return any;
}

/* Not to be ended by signals to slotgate's terminal or service. KEEPER_STOP, KEEPER_KILL and
 * SIGCHLD stay blocked: they are for keepers, who take them when they wait for them. */
static void set_up_signals(void)
{
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	const int ignored[] = {SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR2};
	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigset_t blocked;
	sigemptyset(&blocked);
	sigaddset(&blocked, KEEPER_STOP);
	sigaddset(&blocked, KEEPER_KILL);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
}

static void set_up(int fd)
{
	setsid(); /* fails where slotgate has seen to it already */
	set_up_signals();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_NAME, "slotgate-superv");
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, 0);
	dup2(null, 1);
	keeper_close_all_but(fd, fd);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	held.socket = fd;
	unsetenv("NOTIFY_SOCKET"); /* no pod speaks for slotgate */
}

int supervisor_main(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);
	if (fd < 3 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 ||
	    type != SOCK_SEQPACKET)
		return 2;
	set_up(fd);
	bool all_told;
	while (tell_all(&all_told) || held.socket >= 0)
		turn(all_told);
	return 0;
}
