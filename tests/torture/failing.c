/* Which allocations fail. */
#include "tests/torture/failing.h"

#include <stdatomic.h>

static atomic_long fail_after = -1, fail_every, calls, failures;

void mem_fail_after(long count)
{
	fail_after = count;
}

void mem_fail_every(long period)
{
	fail_every = period;
}

long mem_calls(void)
{
	return calls;
}

long mem_failures(void)
{
	return failures;
}

bool mem_is_to_fail(void)
{
	long call = ++calls, every = fail_every;
	bool fails = every && call % every == 0;
	if (fail_after >= 0)
		fails |= fail_after-- == 0;
	failures += fails;
	return fails;
}
