/* The keeper of one pod. Runs in forks of the supervisor, which has a single thread. */
#include "activator/providers/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

_Static_assert(KEEPER_STOP == SIGTERM && KEEPER_KILL == SIGUSR1, "the signals of keeper.h");

enum { OLD_DESCRIPTORS_MAX = 8192 };

struct fault {
	int32_t step, error;
};

bool keeper_each_child(void (*fn)(pid_t))
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	FILE *f = fopen(path, "re");
	if (!f)
		return false;
	int pid;
	while (fscanf(f, "%d", &pid) == 1)
		if (pid > 1)
			fn(pid);
	fclose(f);
	return true;
}

static void close_from_to(int low, int high)
{
	if (low > high || close_range((unsigned)low, (unsigned)high, 0) == 0)
		return;
	/* Before Linux 5.9. This process has few descriptors, and they are low. */
	for (int fd = low; fd <= high && fd < OLD_DESCRIPTORS_MAX; fd++)
		close(fd);
}

void keeper_close_all_but(int a, int b)
{
	int low = a < b ? a : b, high = a < b ? b : a;
	close_from_to(3, low - 1);
	close_from_to(low + 1, high - 1);
	close_from_to(high + 1, INT_MAX);
}

/* --- the leader ----------------------------------------------------------------------------- */

static void reset_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void fail(int pipe, enum child_step step)
{
	struct fault fault = {.step = step, .error = errno};
	ssize_t n = write(pipe, &fault, sizeof(fault));
	_exit(n == sizeof(fault) ? 127 : 126);
}

/* Descriptors 0 to 2, and 3 for the pipe that the exec closes; no others. */
static bool set_descriptors(int output, int *pipe)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* Clear of the places they go to, so that none is overwritten. */
	int out = fcntl(output, F_DUPFD_CLOEXEC, 10);
	int high = fcntl(*pipe, F_DUPFD_CLOEXEC, 10);
	if (null < 0 || out < 0 || high < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 ||
	    dup2(out, 2) < 0 || dup3(high, 3, O_CLOEXEC) < 0)
		return false;
	*pipe = 3;
	close_from_to(4, INT_MAX);
	return true;
}

static _Noreturn void run_leader(const struct wire_start *start, int output, int pipe, pid_t keeper)
{
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != keeper)
		_exit(126);
	reset_signals();
	if (!set_descriptors(output, &pipe))
		fail(pipe, CHILD_STEP_FORK);
	if (start->directory && chdir(start->directory) != 0)
		fail(pipe, CHILD_STEP_DIRECTORY);
	for (char *const *e = start->env; *e; e++)
		if (putenv(*e) != 0)
			fail(pipe, CHILD_STEP_FORK);
	execvp(start->argv[0], start->argv);
	fail(pipe, CHILD_STEP_EXEC);
}

/* The leader's pid; 0: it could not be started, and is gone again. */
static pid_t launch(const struct wire_start *start, int output, struct fault *fault)
{
	int ends[2];
	*fault = (struct fault){.step = CHILD_STEP_FORK};
	if (pipe2(ends, O_CLOEXEC) != 0) {
		fault->error = errno;
		return 0;
	}
	pid_t keeper = getpid(), leader = fork();
	if (leader == 0)
		run_leader(start, output, ends[1], keeper);
	if (leader < 0)
		fault->error = errno;
	close(ends[1]);
	if (leader > 0) {
		setpgid(leader, leader); /* as it does itself: whoever is first */
		ssize_t n;
		do
			n = read(ends[0], fault, sizeof(*fault));
		while (n < 0 && errno == EINTR);
	}
	close(ends[0]);
	if (leader < 0 || !fault->error)
		return leader < 0 ? 0 : leader;
	waitpid(leader, NULL, 0);
	return 0;
}

/* --- the keeper ----------------------------------------------------------------------------- */

static void kill_child(pid_t pid)
{
	kill(pid, SIGKILL);
}

/* Kills the leader's group and all adopted, and reaps until nobody is left. The leader has not been
 * reaped yet, so its pid still names its group. Its wait status. */
static int end_all(pid_t leader)
{
	int status = 0;
	kill(-leader, SIGKILL);
	for (;;) {
		/* With each death, its children may have come to us: look again. */
		bool listed = keeper_each_child(kill_child);
		int s;
		/* Without a list, at least those of the group can be waited for. */
		pid_t pid = waitpid(listed ? -1 : -leader, &s, 0);
		if (pid < 0 && errno != EINTR)
			return status;
		if (pid == leader)
			status = s;
	}
}

/* Reaps adopted processes; true: the leader has ended, and waits to be reaped. */
static bool leader_has_ended(pid_t leader)
{
	for (;;) {
		siginfo_t info = {0};
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || !info.si_pid)
			return false;
		if (info.si_pid == leader)
			return true;
		waitpid(info.si_pid, NULL, 0);
	}
}

static void watch_over(pid_t leader, const sigset_t *signals)
{
	for (;;) {
		int number = sigwaitinfo(signals, NULL);
		if (number == KEEPER_KILL)
			return;
		if (number == KEEPER_STOP) {
			/* A stopped one would not notice. In this order: what a process does at its
			 * end may stop its threads, as a leak check, and must not be woken. */
			kill(-leader, SIGCONT);
			kill(-leader, SIGTERM);
		}
		if (number == SIGCHLD && leader_has_ended(leader))
			return;
	}
}

static void report_word(int pipe, const struct keeper_report *report)
{
	ssize_t n;
	do
		n = write(pipe, report, sizeof(*report));
	while (n < 0 && errno == EINTR);
}

static _Noreturn void run_keeper(const struct wire_start *start, int output, int pipe,
				 pid_t supervisor)
{
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, KEEPER_STOP);
	sigaddset(&signals, KEEPER_KILL);
	sigaddset(&signals, SIGCHLD);
	prctl(PR_SET_PDEATHSIG, KEEPER_KILL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_NAME, "slotgate-keeper");
	if (getppid() != supervisor)
		_exit(1);
	keeper_close_all_but(output, pipe);
	struct fault fault;
	pid_t leader = launch(start, output, &fault);
	close(output);
	struct keeper_report report = {
		.word = leader ? KEEPER_LAUNCHED : KEEPER_FAILED,
		.pid = leader,
		.step = fault.step,
		.error = fault.error,
	};
	report_word(pipe, &report);
	if (leader) {
		watch_over(leader, &signals);
		report.status = end_all(leader);
		report.word = KEEPER_ENDED;
		report_word(pipe, &report);
	}
	_exit(0);
}

pid_t keeper_start(const struct wire_start *start, int output, int *report)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	pid_t supervisor = getpid(), keeper = fork();
	if (keeper == 0)
		run_keeper(start, output, ends[1], supervisor);
	int error = errno;
	close(ends[1]);
	if (keeper < 0)
		close(ends[0]);
	else
		*report = ends[0];
	errno = error;
	return keeper;
}
