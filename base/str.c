/* Slices and growing text. */
#include "base/str.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

enum { FIRST_CAPACITY = 256 };

struct slice slice_of(const char *text)
{
	return (struct slice){text, text ? strlen(text) : 0};
}

bool slice_is(struct slice s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

bool slice_is_nocase(struct slice s, const char *text)
{
	return s.len == strlen(text) && strncasecmp(s.at, text, s.len) == 0;
}

bool slice_starts(struct slice s, const char *prefix)
{
	size_t n = strlen(prefix);
	return s.len >= n && memcmp(s.at, prefix, n) == 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
	for (; s.len && is_blank(s.at[0]); s.at++)
		s.len--;
	while (s.len && is_blank(s.at[s.len - 1]))
		s.len--;
	return s;
}

bool slice_next_in_list(struct slice *list, struct slice *element)
{
	while (list->len) {
		const char *comma = memchr(list->at, ',', list->len);
		size_t n = comma ? (size_t)(comma - list->at) : list->len;
		*element = slice_trim((struct slice){list->at, n});
		size_t used = comma ? n + 1 : n;
		list->at += used;
		list->len -= used;
		if (element->len)
			return true;
	}
	return false;
}

void str_init(struct str *s)
{
	*s = (struct str){0};
}

void str_init_must(struct str *s)
{
	str_init(s);
	s->must = true;
}

void str_release(struct str *s)
{
	mem_free(s->at);
	str_init(s);
}

void str_clear(struct str *s)
{
	s->len = 0;
	s->failed = false;
	if (s->at)
		s->at[0] = '\0';
}

static bool resize(struct str *s, size_t capacity)
{
	char *at = s->must ? mem_must_resize(s->at, capacity) : mem_resize(s->at, capacity);
	if (!at) {
		s->failed = true;
		return false;
	}
	s->at = at;
	s->capacity = capacity;
	return true;
}

bool str_reserve(struct str *s, size_t more)
{
	if (s->failed)
		return false;
	if (s->len + more + 1 <= s->capacity)
		return true;
	size_t capacity = s->capacity ? s->capacity : FIRST_CAPACITY;
	while (capacity < s->len + more + 1)
		capacity *= 2;
	return resize(s, capacity);
}

bool str_fit(struct str *s, size_t len)
{
	assert(!s->at);
	return resize(s, len + 1);
}

void str_add_u64(struct str *s, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);
	do
		digits[--at] = (char)('0' + v % 10);
	while (v /= 10);
	str_add(s, digits + at, sizeof(digits) - at);
}

void str_add_json(struct str *s, const char *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	str_add_char(s, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c == '"' || c == '\\') {
			str_add(s, (char[]){'\\', (char)c}, 2);
		} else if (c < 0x20 || c >= 0x7f) {
			/* Bytes beyond ASCII become Latin-1 escapes: the line stays valid JSON
			 * whatever a client sends. */
			char e[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
			str_add(s, e, sizeof(e));
		} else {
			str_add(s, &text[i], 1);
		}
	}
	str_add_char(s, '"');
}

void str_printf(struct str *s, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0 || !str_reserve(s, (size_t)n))
		return;
	va_start(args, format);
	vsnprintf(s->at + s->len, (size_t)n + 1, format, args);
	va_end(args);
	s->len += (size_t)n;
}
