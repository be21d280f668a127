/*
 * Text. A `slice` is a view of somebody else's bytes; a `str` is a growing buffer of its own.
 *
 * A str that runs out of memory turns `failed` and stays as it was; check once, at the end.
 */
#ifndef SLOTGATE_BASE_STR_H
#define SLOTGATE_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const char *at;
	size_t len;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})

struct slice slice_of(const char *text);
bool slice_is(struct slice, const char *text);	      /* the same bytes */
bool slice_is_nocase(struct slice, const char *text); /* the same but for ASCII case */
bool slice_starts(struct slice, const char *prefix);
struct slice slice_trim(struct slice); /* without spaces and tabs around it */

/* Takes the next element off a comma-separated list; false at its end. */
bool slice_next_in_list(struct slice *list, struct slice *element);

struct str {
	char *at; /* NUL-terminated once anything was added */
	size_t len, capacity;
	bool failed, must;
};

void str_init(struct str *);
void str_init_must(struct str *); /* without memory the process ends: see mem_must_* */
void str_release(struct str *);
void str_clear(struct str *);
bool str_reserve(struct str *, size_t more);
bool str_fit(struct str *, size_t len); /* an empty one's first room, no larger than that needs */

/* Heads are made of many small pieces: those that fit are copied here and now. */
static inline void str_add(struct str *s, const void *bytes, size_t len)
{
	if (s->failed || (s->len + len >= s->capacity && !str_reserve(s, len)))
		return;
	if (len)
		memcpy(s->at + s->len, bytes, len);
	s->len += len;
	s->at[s->len] = '\0';
}

static inline void str_add_text(struct str *s, const char *text)
{
	str_add(s, text, strlen(text));
}

static inline void str_add_slice(struct str *s, struct slice v)
{
	str_add(s, v.at, v.len);
}

static inline void str_add_char(struct str *s, char c)
{
	str_add(s, &c, 1);
}

void str_add_u64(struct str *, uint64_t);
void str_add_json(struct str *, const char *text, size_t len); /* quoted and escaped */
void str_printf(struct str *, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
