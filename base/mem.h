/*
 * Memory. Two kinds of call, by who can cause them:
 *
 *  - mem_alloc, mem_zalloc, mem_resize, mem_copy return NULL when memory is short. All that a
 *    client or a pod can cause uses these, and refuses that one request.
 *  - mem_must_* end the process with a message. Only start-up and configuration use these: there
 *    is nobody to refuse yet.
 *
 * Everything is given back with mem_free.
 */
#ifndef SLOTGATE_BASE_MEM_H
#define SLOTGATE_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

void *mem_alloc(size_t bytes);
void *mem_zalloc(size_t bytes);
void *mem_resize(void *old, size_t bytes);
void *mem_copy(const void *from, size_t bytes);
void mem_free(void *);

void *mem_must(void *); /* gives what it is given, if that is not NULL */
void *mem_must_zalloc(size_t bytes);
void *mem_must_resize(void *old, size_t bytes);
char *mem_must_strdup(const char *);
char *mem_must_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * For tests, and defined by them in tests/torture/failing.c: slotgate as it is built for use does
 * not contain the two, and so cannot be told to fail.
 */

/* Whether this allocation fails. */
bool mem_is_to_fail(void) __attribute__((weak));
/* The allocation after `count` more fails, once. Negative: none does. */
void mem_fail_after(long count);

#endif
