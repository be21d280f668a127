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

/* No regular distance: what is tried again and again would then fail each time. */
static bool is_hit(uint64_t call, uint64_t every)
{
	return (call * UINT64_C(0x9e3779b97f4a7c15) >> 33) % every == 0;
}

bool mem_is_to_fail(void)
{
	long call = ++calls, every = fail_every;
	bool fails = every && is_hit((uint64_t)call, (uint64_t)every);
	if (fail_after >= 0)
		fails |= fail_after-- == 0;
	failures += fails;
	return fails;
}
