/* The end of a target that has found something. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

void fuzz_fail(const char *file, int line, const char *what, long long a, long long b)
{
	fprintf(stderr, "%s:%d: broken: %s (%lld, %lld)\n", file, line, what, a, b);
	abort();
}
