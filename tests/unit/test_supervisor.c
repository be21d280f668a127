/* The supervisor, with real processes: nothing of a pod may outlive what it should not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "activator/providers/supervisor.h"
#include "activator/providers/supervisor_wire.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"
#include "tests/torture/failing.h"

static const int64_t LONG_US = 60 * US_PER_S;

/* A child and what is known of it. */
struct subject {
	struct child *child;
	struct child_event started, last;
	int starts, ends;
	int output; /* reading end */
	char text[4096];
	size_t len;
};

static struct loop *loop;
static struct supervisor *supervisor;
static struct timer pulse;

static void on_pulse(void *owner)
{
	(void)owner;
	loop_stop(loop);
}

static int set_up(void **state)
{
	(void)state;
	loop = loop_new();
	supervisor = supervisor_new(loop);
	assert_non_null(supervisor);
	return timer_init(&pulse, loop, on_pulse, NULL) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	pid_t pid = supervisor_pid(supervisor);
	supervisor_free(supervisor);
	if (pid)
		waitpid(pid, NULL, 0);
	timer_release(&pulse);
	loop_free(loop);
	return 0;
}

/* A few milliseconds of the loop's life. */
static void turn(void)
{
	timer_set(&pulse, clock_now_us() + 2 * US_PER_MS);
	loop_run(loop);
}

/* This process adopts what is orphaned above the supervisors, as init would. */
static bool is_gone(pid_t pid)
{
	waitpid(pid, NULL, WNOHANG);
	return kill(pid, 0) != 0 && errno == ESRCH;
}

#define WAIT_FOR(condition)                                                                        \
	for (int64_t until_us = clock_now_us() + test_patience_us(); !(condition); turn())         \
	assert_true(clock_now_us() < until_us)

static void on_event(void *owner, const struct child_event *event)
{
	struct subject *s = owner;
	if (event->kind == CHILD_STARTED) {
		s->starts++;
		s->started = *event;
		return;
	}
	s->ends++;
	s->last = *event;
	s->child = NULL;
}

static void start_spec(struct subject *s, struct child_spec *spec)
{
	int ends[2];
	*s = (struct subject){0};
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	s->output = ends[0];
	s->child = supervisor_start(supervisor, spec, ends[1], on_event, s);
	assert_non_null(s->child);
	assert_int_equal(s->starts + s->ends, 0);
}

static void start_shell(struct subject *s, const char *script)
{
	char sh[] = "sh", c[] = "-c", text[2048];
	snprintf(text, sizeof(text), "%s", script);
	char *argv[] = {sh, c, text, NULL};
	struct child_spec spec = {.argv = argv, .grace_us = 200 * US_PER_MS};
	start_spec(s, &spec);
}

static const char *read_all(struct subject *s)
{
	ssize_t n;
	while ((n = read(s->output, s->text + s->len, sizeof(s->text) - 1 - s->len)) > 0)
		s->len += (size_t)n;
	s->text[s->len] = '\0';
	return s->text;
}

static int lines(struct subject *s)
{
	int n = 0;
	for (const char *c = read_all(s); *c; c++)
		n += *c == '\n';
	return n;
}

/* The number on one of its lines, from 0. */
static pid_t pid_on_line(const struct subject *s, int line)
{
	const char *at = s->text;
	while (line-- > 0)
		at = strchr(at, '\n') + 1;
	return (pid_t)atol(at);
}

static void end(struct subject *s)
{
	WAIT_FOR(s->ends);
	assert_int_equal(s->ends, 1);
	read_all(s);
	close(s->output);
}

/* --- one process ----------------------------------------------------------------------------- */

static void runs_a_program_to_its_end(void **state)
{
	(void)state;
	struct subject s;
	assert_int_equal(supervisor_pid(supervisor), 0);
	start_shell(&s, "echo out; echo err >&2; echo $$; exit 3");
	end(&s);
	assert_int_equal(s.starts, 1);
	assert_int_equal(s.last.kind, CHILD_EXITED);
	assert_true(WIFEXITED(s.last.status));
	assert_int_equal(WEXITSTATUS(s.last.status), 3);
	assert_int_equal(pid_on_line(&s, 2), s.started.pid);
	assert_memory_equal(s.text, "out\nerr\n", 8);
}

static void says_why_it_cannot_start(void **state)
{
	(void)state;
	struct subject s;
	char nowhere[] = "/nowhere/to/be/found", slash[] = "/", true_[] = "true";
	char *missing[] = {nowhere, NULL}, *directory[] = {slash, NULL}, *fine[] = {true_, NULL};
	start_spec(&s, &(struct child_spec){.argv = missing});
	end(&s);
	assert_int_equal(s.last.kind, CHILD_FAILED);
	assert_int_equal(s.last.step, CHILD_STEP_EXEC);
	assert_int_equal(s.last.error, ENOENT);
	assert_int_equal(s.starts, 0);
	start_spec(&s, &(struct child_spec){.argv = directory});
	end(&s);
	assert_int_equal(s.last.error, EACCES);
	start_spec(&s, &(struct child_spec){.argv = fine, .directory = nowhere});
	end(&s);
	assert_int_equal(s.last.step, CHILD_STEP_DIRECTORY);
	assert_int_equal(s.last.error, ENOENT);
	char *huge = malloc(WIRE_MAX_BYTES);
	memset(huge, 'x', WIRE_MAX_BYTES - 1);
	huge[WIRE_MAX_BYTES - 1] = '\0';
	char *too_long[] = {true_, huge, NULL};
	start_spec(&s, &(struct child_spec){.argv = too_long});
	end(&s);
	free(huge);
	assert_int_equal(s.last.kind, CHILD_FAILED);
	assert_int_equal(s.last.error, E2BIG);
	start_shell(&s, "exit 0"); /* and it goes on */
	end(&s);
	assert_int_equal(s.last.kind, CHILD_EXITED);
}

static void gives_a_clean_environment(void **state)
{
	(void)state;
	struct subject s;
	char sh[] = "sh", c[] = "-c";
	char script[] = "echo $ONE-$TWO-$KEPT; pwd; readlink /proc/self/fd/0; "
			"ls /proc/$$/fd; "
			"while read a b; do test $a = SigBlk: && echo $b; done < /proc/$$/status; "
			"cut -d' ' -f5,6,7 /proc/$$/stat";
	char one[] = "ONE=1", two[] = "TWO=2 2", root[] = "/";
	char *argv[] = {sh, c, script, NULL}, *env[] = {one, two, NULL};
	setenv("KEPT", "kept", 1);
	int leak = open("/dev/null", O_RDONLY); /* not close-on-exec */
	start_spec(&s, &(struct child_spec){.argv = argv, .env = env, .directory = root});
	end(&s);
	close(leak);
	char expected[512];
	snprintf(expected, sizeof(expected),
		 "1-2 2-kept\n/\n/dev/null\n0\n1\n2\n0000000000000000\n%d %d 0\n",
		 (int)s.started.pid, (int)supervisor_pid(supervisor));
	assert_string_equal(s.text, expected);
	signal(SIGUSR2, SIG_IGN);
	start_shell(&s, "kill -USR2 $$; exit 0");
	end(&s);
	signal(SIGUSR2, SIG_DFL);
	assert_int_equal(WTERMSIG(s.last.status), SIGUSR2);
}

static void stops_with_grace(void **state)
{
	(void)state;
	struct subject s;
	start_shell(&s, "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done");
	WAIT_FOR(lines(&s) == 1);
	supervisor_stop(s.child, LONG_US);
	end(&s);
	assert_non_null(strstr(s.text, "bye\n"));
	assert_int_equal(WEXITSTATUS(s.last.status), 7);

	start_shell(&s, "trap '' TERM; echo up; while :; do sleep 0.01; done");
	WAIT_FOR(lines(&s) == 1);
	int64_t before_us = clock_now_us();
	supervisor_stop(s.child, LONG_US);
	supervisor_stop(s.child, 100 * US_PER_MS); /* the earlier end counts */
	supervisor_stop(s.child, LONG_US);
	end(&s);
	assert_true(clock_now_us() - before_us >= 100 * US_PER_MS);
	assert_int_equal(WTERMSIG(s.last.status), SIGKILL);

	start_shell(&s, "echo up; kill -STOP $$"); /* a stopped one is woken for SIGTERM */
	WAIT_FOR(lines(&s) == 1);
	supervisor_stop(s.child, LONG_US);
	end(&s);
	assert_int_equal(WTERMSIG(s.last.status), SIGTERM);
}

static void stops_one_that_has_hardly_started(void **state)
{
	(void)state;
	struct subject s;
	for (int i = 0; i < 20; i++) {
		start_shell(&s, "exec sleep 1000");
		supervisor_stop(s.child, 0);
		end(&s);
		assert_int_equal(s.last.kind, CHILD_EXITED);
	}
}

/* --- all of it ------------------------------------------------------------------------------- */

/* A leader, one in its group, one that left its session, one that did so and was orphaned: their
 * pids, one a line. All but the leader ignore SIGTERM. */
#define FAMILY                                                                                     \
	"echo $$; (trap '' TERM; sh -c 'echo $PPID'; while :; do sleep 1; done) & "                \
	"setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & "                     \
	"setsid sh -c '(trap \"\" TERM; env -i sh -c \"echo \\$\\$; exec sleep 1000\") & ' & "

static void start_family(struct subject *s, const char *then)
{
	char script[1024];
	snprintf(script, sizeof(script), "%s %s", FAMILY, then);
	start_shell(s, script);
	WAIT_FOR(lines(s) == 4 && s->starts);
}

static bool family_is_gone(const struct subject *s)
{
	for (int i = 0; i < 4; i++)
		if (!is_gone(pid_on_line(s, i)))
			return false;
	return true;
}

static void exited_means_that_nothing_is_left(void **state)
{
	(void)state;
	struct subject s, other;
	start_family(&other, "wait");
	start_family(&s, "read x < /dev/null; sleep 0.05; exit 5");
	end(&s);
	assert_true(family_is_gone(&s)); /* at this very moment */
	assert_int_equal(WEXITSTATUS(s.last.status), 5);
	for (int i = 0; i < 4; i++)
		assert_int_equal(kill(pid_on_line(&other, i), 0), 0); /* others are untouched */
	supervisor_stop(other.child, 0);
	end(&other);
	assert_true(family_is_gone(&other));
}

static void a_killed_supervisor_takes_all_with_it(void **state)
{
	(void)state;
	struct subject s, t;
	start_family(&s, "wait");
	start_family(&t, "trap '' TERM; wait; wait");
	pid_t first = supervisor_pid(supervisor);
	kill(first, SIGKILL);
	end(&s);
	end(&t);
	assert_int_equal(s.last.kind, CHILD_LOST);
	assert_int_equal(t.last.kind, CHILD_LOST);
	WAIT_FOR(family_is_gone(&s) && family_is_gone(&t));
	assert_int_equal(supervisor_pid(supervisor), 0);
	start_shell(&s, "exit 0"); /* a new one is started at need */
	end(&s);
	assert_int_equal(s.last.kind, CHILD_EXITED);
	assert_int_not_equal(supervisor_pid(supervisor), first);
}

static pid_t parent_of(pid_t pid)
{
	char path[64], text[512];
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	return (pid_t)atol(strrchr(text, ')') + 4);
}

static void a_killed_keeper_takes_its_pod_with_it(void **state)
{
	(void)state;
	struct subject s, other;
	start_family(&s, "wait");
	start_shell(&other, "echo up; exec sleep 1000");
	WAIT_FOR(lines(&other) == 1);
	kill(parent_of(s.started.pid), SIGKILL);
	end(&s);
	assert_int_equal(s.last.kind, CHILD_EXITED);
	assert_int_equal(WTERMSIG(s.last.status), SIGKILL);
	assert_true(family_is_gone(&s));
	assert_int_equal(other.ends, 0);
	supervisor_stop(other.child, LONG_US);
	end(&other);
	assert_int_equal(WTERMSIG(other.last.status), SIGTERM);
}

static void ignores_the_terminals_signals(void **state)
{
	(void)state;
	struct subject s;
	const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGPIPE};
	start_shell(&s, "echo up; exec sleep 1000");
	WAIT_FOR(lines(&s) == 1);
	pid_t pid = supervisor_pid(supervisor);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		kill(pid, signals[i]);
	assert_int_not_equal(getpgid(pid), getpgid(0));
	assert_int_not_equal(getsid(pid), getsid(0));
	assert_int_not_equal(getpgid(s.started.pid), getpgid(pid));
	struct subject t;
	start_shell(&t, "exit 0"); /* it still works */
	end(&t);
	assert_int_equal(supervisor_pid(supervisor), pid);
	assert_int_equal(s.ends, 0);
	supervisor_stop(s.child, 0);
	end(&s);
}

static void abandoned_ones_end_unheard(void **state)
{
	(void)state;
	struct subject s;
	start_family(&s, "wait");
	supervisor_abandon(s.child, 0);
	WAIT_FOR(family_is_gone(&s));
	assert_int_equal(s.ends, 0);
	close(s.output);
}

static void holds_many(void **state)
{
	(void)state;
	static struct subject many[100];
	for (int i = 0; i < 100; i++)
		start_shell(&many[i], i % 2 ? "exec sleep 1000" : "exit 1");
	for (int i = 1; i < 100; i += 2)
		supervisor_stop(many[i].child, LONG_US);
	for (int i = 0; i < 100; i++) {
		end(&many[i]);
		assert_int_equal(many[i].last.kind, CHILD_EXITED);
	}
}

static void runs_out_of_memory_at_every_place(void **state)
{
	(void)state;
	char sh[] = "true", *argv[] = {sh, NULL};
	for (int i = 0; i < 10; i++) {
		struct subject s = {0};
		int output = open("/dev/null", O_WRONLY | O_CLOEXEC);
		struct child_spec spec = {.argv = argv};
		mem_fail_after(i);
		s.child = supervisor_start(supervisor, &spec, output, on_event, &s);
		mem_fail_after(-1);
		if (s.child)
			WAIT_FOR(s.ends);
	}
}

/* --- slotgate is killed ---------------------------------------------------------------------- */

/* A stand-in of slotgate, a process of its own: starts a family and waits to be killed. Its
 * standard output is the family's. */
static int stand_in(void)
{
	loop = loop_new();
	supervisor = supervisor_new(loop);
	char sh[] = "sh", c[] = "-c", script[] = FAMILY "trap '' TERM; while :; do sleep 1; done";
	char *argv[] = {sh, c, script, NULL};
	struct child_spec spec = {.argv = argv, .grace_us = 100 * US_PER_MS};
	struct subject s = {0};
	supervisor_start(supervisor, &spec, dup(STDOUT_FILENO), on_event, &s);
	dprintf(STDOUT_FILENO, "%d\n", (int)supervisor_pid(supervisor));
	loop_run(loop);
	return 0;
}

static void nothing_outlives_a_killed_slotgate(void **state)
{
	(void)state;
	struct subject s = {0};
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t slotgate = fork();
	if (slotgate == 0) {
		dup2(ends[1], STDOUT_FILENO);
		execl("/proc/self/exe", "test", "stand-in", NULL);
		_exit(1);
	}
	close(ends[1]);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	s.output = ends[0];
	WAIT_FOR(lines(&s) == 5);
	kill(slotgate, SIGKILL);
	waitpid(slotgate, NULL, 0);
	for (int i = 0; i < 5; i++)
		WAIT_FOR(is_gone(pid_on_line(&s, i)));
	close(ends[0]);
}

/* --- the wire -------------------------------------------------------------------------------- */

static void malformed_starts_are_no_starts(void **state)
{
	(void)state;
	char a[] = "sh", b[] = "", d[] = "/tmp";
	char *argv[] = {a, b, NULL}, *env[] = {d, NULL};
	struct child_spec spec = {.argv = argv, .env = env, .directory = d, .grace_us = 5};
	struct str packet;
	str_init(&packet);
	assert_int_equal(wire_pack_start(&packet, 9, &spec), 0);
	struct wire_start *start = malloc(sizeof(*start));
	assert_true(wire_unpack_start(start, packet.at, packet.len));
	assert_int_equal(start->id, 9);
	assert_int_equal(start->grace_us, 5);
	assert_string_equal(start->argv[0], "sh");
	assert_string_equal(start->argv[1], "");
	assert_null(start->argv[2]);
	assert_string_equal(start->env[0], "/tmp");
	assert_string_equal(start->directory, "/tmp");
	for (size_t len = 0; len < packet.len; len++) {
		char *cut = malloc(len ? len : 1); /* so that a read past its end is seen */
		memcpy(cut, packet.at, len);
		assert_false(wire_unpack_start(start, cut, len));
		free(cut);
	}
	srand(1);
	for (int i = 0; i < 20000; i++) {
		char *bent = malloc(packet.len);
		memcpy(bent, packet.at, packet.len);
		for (int n = rand() % 4; n >= 0; n--)
			bent[(size_t)rand() % packet.len] ^= (char)(1 << rand() % 8);
		wire_unpack_start(start, bent, packet.len);
		free(bent);
	}
	free(start);
	str_release(&packet);
}

static void refuses_other_descriptors(void **state)
{
	(void)state;
	assert_int_equal(supervisor_main(0), 2);
	assert_int_equal(supervisor_main(9999), 2);
	int fd = open("/dev/null", O_RDONLY);
	assert_int_equal(supervisor_main(fd), 2);
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], SUPERVISOR_ARGUMENT) == 0)
		return supervisor_main(atoi(argv[2]));
	if (argc == 2 && strcmp(argv[1], "stand-in") == 0)
		return stand_in();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(runs_a_program_to_its_end),
		TEST(says_why_it_cannot_start),
		TEST(gives_a_clean_environment),
		TEST(stops_with_grace),
		TEST(stops_one_that_has_hardly_started),
		TEST(exited_means_that_nothing_is_left),
		TEST(a_killed_supervisor_takes_all_with_it),
		TEST(a_killed_keeper_takes_its_pod_with_it),
		TEST(ignores_the_terminals_signals),
		TEST(abandoned_ones_end_unheard),
		TEST(holds_many),
		TEST(runs_out_of_memory_at_every_place),
		TEST(nothing_outlives_a_killed_slotgate),
		cmocka_unit_test(malformed_starts_are_no_starts),
		cmocka_unit_test(refuses_other_descriptors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
