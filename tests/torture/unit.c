/*
 * Every unit test as a torture test: with TORTURE_RUNS in its environment, a program of tests runs
 * each of them again and again, and each time another one of its allocations fails. What the test
 * then says does not matter: it may notice that something is missing. But nothing may crash, hang,
 * leak or trip an assertion of the code's own. Of a test that allocates more often than that, or
 * takes longer than TORTURE_SECONDS for all of it, a sample evenly spread is made to fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/torture/failing.h"

enum {
	CALLS_MAX = 20000, /* a test that makes more is one of scale: smaller ones do the same */
	PATIENCE_S = 60,   /* then a run hangs */
	TEST_SAYS_NO = 77, /* a child's exit status: the test has failed in its own words */
	OUTPUT_BYTES = 1 << 16, /* of what a child has said, its beginning */
};

struct suite {
	const char *name;
	CMFixtureFunction set_up, tear_down;
};

struct bounds {
	long runs;
	int64_t per_test_us;
};

enum outcome { PASSED, SAID_NO, DID_NOT_START, OUTCOMES, FAULTY = OUTCOMES };

int __real__cmocka_run_group_tests(const char *, const struct CMUnitTest *, size_t,
				   CMFixtureFunction, CMFixtureFunction);
int __wrap__cmocka_run_group_tests(const char *, const struct CMUnitTest *, size_t,
				   CMFixtureFunction, CMFixtureFunction);

static long *child_calls; /* shared */

/* Does not return. Leaks count only where the test has come to its end. */
static void run_in_child(const struct suite *s, const struct CMUnitTest *test, long fail_at,
			 FILE *output)
{
	setpgid(0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* as the parent may be: it is not inherited */
	dup2(fileno(output), STDOUT_FILENO);
	dup2(fileno(output), STDERR_FILENO);
	alarm(PATIENCE_S);
	long before = mem_calls();
	mem_fail_after(fail_at);
	int failed = __real__cmocka_run_group_tests(s->name, test, 1, s->set_up, s->tear_down);
	mem_fail_after(-1);
	*child_calls = mem_calls() - before;
	fflush(NULL);
	if (failed)
		_exit(TEST_SAYS_NO);
	exit(0);
}

static enum outcome judge(int status, const char *said)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return PASSED;
	/* cmocka catches what would have been a crash. */
	if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_SAYS_NO &&
	    !strstr(said, "failed with exception"))
		return SAID_NO;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
	    strstr(said, "out of memory while starting or configuring"))
		return DID_NOT_START;
	return FAULTY;
}

static enum outcome run(const struct suite *s, const struct CMUnitTest *test, long fail_at)
{
	static char said[OUTPUT_BYTES];
	int status;
	FILE *output = tmpfile();
	if (!output)
		abort();
	fflush(NULL);
	pid_t child = fork();
	if (child == 0)
		run_in_child(s, test, fail_at, output);
	if (child < 0 || waitpid(child, &status, 0) != child)
		abort();
	kill(-child, SIGKILL); /* what it has started */
	rewind(output);
	said[fread(said, 1, sizeof(said) - 1, output)] = '\0';
	fclose(output);
	enum outcome outcome = judge(status, said);
	if (outcome == FAULTY || (outcome && fail_at < 0)) {
		printf("# %s, allocation %ld: %s %d\n", test->name, fail_at,
		       WIFSIGNALED(status) ? "signal" : "exit status",
		       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		for (char *line = strtok(said, "\n"); line; line = strtok(NULL, "\n"))
			printf("# %s\n", line);
	}
	return outcome;
}

static long common_divisor(long a, long b)
{
	return b ? common_divisor(b, a % b) : a;
}

/* A step by which each of `calls` is come to once, and few of them already lie evenly spread. */
static long golden_step(long calls)
{
	long step = (long)((double)calls * 0.618033988749895) + 1;
	while (common_divisor(step, calls) > 1)
		step++;
	return step;
}

int64_t test_patience_us(void)
{
	return (getenv("TORTURE_RUNS") ? 6 : 20) * US_PER_S;
}

static bool torture(const struct suite *s, const struct CMUnitTest *test, int number,
		    const struct bounds *bounds)
{
	long outcomes[OUTCOMES + 1] = {0}, runs = 0;
	int64_t until_us = clock_now_us() + bounds->per_test_us;
	bool is_good = run(s, test, -1) == PASSED;
	long calls = *child_calls, step = calls ? golden_step(calls) : 0;
	while (is_good && calls <= CALLS_MAX && runs < calls && runs < bounds->runs &&
	       !outcomes[FAULTY] && (runs == 0 || clock_now_us() < until_us)) {
		outcomes[run(s, test, runs * step % calls)]++;
		runs++;
	}
	is_good &= !outcomes[FAULTY];
	printf("%sok %d - %s # of %ld allocations %ld failed: %ld passed, %ld said so, "
	       "%ld did not start\n",
	       is_good ? "" : "not ", number, test->name, calls, runs, outcomes[PASSED],
	       outcomes[SAID_NO], outcomes[DID_NOT_START]);
	fflush(stdout);
	return is_good;
}

int __wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t count,
				   CMFixtureFunction set_up, CMFixtureFunction tear_down)
{
	const char *runs = getenv("TORTURE_RUNS"), *seconds = getenv("TORTURE_SECONDS");
	struct bounds bounds = {runs ? strtol(runs, NULL, 10) : 0,
				(seconds ? strtol(seconds, NULL, 10) : 20) * US_PER_S};
	struct suite s = {name, set_up, tear_down};
	int bad = 0;
	if (!runs)
		return __real__cmocka_run_group_tests(name, tests, count, set_up, tear_down);
	child_calls = mmap(NULL, sizeof(*child_calls), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (child_calls == MAP_FAILED)
		abort();
	printf("1..%zu\n", count);
	for (size_t i = 0; i < count; i++)
		bad += !torture(&s, &tests[i], (int)i + 1, &bounds);
	return bad;
}
