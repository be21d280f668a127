/* Memory, with one place where tests make an allocation fail. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long fail_after = -1;

void mem_fail_after(long count)
{
	fail_after = count;
}

static bool told_to_fail(void)
{
	return __builtin_expect(fail_after >= 0, 0) && fail_after-- == 0;
}

void *mem_alloc(size_t bytes)
{
	return told_to_fail() ? NULL : malloc(bytes ? bytes : 1);
}

void *mem_zalloc(size_t bytes)
{
	return told_to_fail() ? NULL : calloc(1, bytes ? bytes : 1);
}

void *mem_resize(void *old, size_t bytes)
{
	return told_to_fail() ? NULL : realloc(old, bytes ? bytes : 1);
}

void *mem_copy(const void *from, size_t bytes)
{
	void *to = mem_alloc(bytes);
	if (to && bytes)
		memcpy(to, from, bytes);
	return to;
}

void mem_free(void *p)
{
	free(p);
}

static void *must(void *p)
{
	if (!p) {
		fputs("slotgate: out of memory while starting or configuring\n", stderr);
		abort();
	}
	return p;
}

void *mem_must_zalloc(size_t bytes)
{
	return must(calloc(1, bytes ? bytes : 1));
}

void *mem_must_resize(void *old, size_t bytes)
{
	return must(realloc(old, bytes ? bytes : 1));
}

char *mem_must_strdup(const char *s)
{
	return must(strdup(s));
}

char *mem_must_printf(const char *format, ...)
{
	va_list args;
	char *text = NULL;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	return must(text);
}
