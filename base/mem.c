/* Memory, with one place where tests make an allocation fail. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool fails(void)
{
	return mem_is_to_fail && mem_is_to_fail();
}

void *mem_alloc(size_t bytes)
{
	return fails() ? NULL : malloc(bytes ? bytes : 1);
}

void *mem_zalloc(size_t bytes)
{
	return fails() ? NULL : calloc(1, bytes ? bytes : 1);
}

void *mem_resize(void *old, size_t bytes)
{
	return fails() ? NULL : realloc(old, bytes ? bytes : 1);
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

void *mem_must(void *p)
{
	if (!p) {
		fputs("slotgate: out of memory while starting or configuring\n", stderr);
		abort();
	}
	return p;
}

void *mem_must_zalloc(size_t bytes)
{
	return mem_must(mem_zalloc(bytes));
}

void *mem_must_resize(void *old, size_t bytes)
{
	return mem_must(mem_resize(old, bytes));
}

char *mem_must_strdup(const char *s)
{
	return mem_must(mem_copy(s, strlen(s) + 1));
}

char *mem_must_printf(const char *format, ...)
{
	va_list args;
	char *text = NULL;
	va_start(args, format);
	if (fails() || vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	return mem_must(text);
}
