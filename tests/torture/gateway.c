/*
 * slotgate short of memory: linked into slotgate-torture alone. From SIGRTMIN+1 on, one allocation
 * in SLOTGATE_FAIL_EVERY fails, until SIGRTMIN+2. What start-up and configuration must have fails
 * too, and ends the process: so it is shown that no client and no pod can ask for such memory.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/torture/failing.h"

static long period = 50, calls_before, failures_before;

static void on_start(int signal_number)
{
	(void)signal_number;
	calls_before = mem_calls();
	failures_before = mem_failures();
	mem_fail_every(period);
}

static void on_stop(int signal_number)
{
	(void)signal_number;
	char line[128];
	mem_fail_every(0);
	int len = snprintf(line, sizeof(line), "torture: of %ld allocations %ld failed\n",
			   mem_calls() - calls_before, mem_failures() - failures_before);
	if (write(STDERR_FILENO, line, (size_t)len) < 0)
		_exit(1);
}

__attribute__((constructor)) static void listen_for_signals(void)
{
	const char *every = getenv("SLOTGATE_FAIL_EVERY");
	if (every && strtol(every, NULL, 10) > 0)
		period = strtol(every, NULL, 10);
	signal(SIGRTMIN + 1, on_start);
	signal(SIGRTMIN + 2, on_stop);
}
