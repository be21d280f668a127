/* The parts of a request's target. */
#include "gateway/autoscalers/target.h"

#include <ctype.h>
#include <stdlib.h>

/* One byte, decoded ("%23" is '#'); returns how many bytes it took. */
static size_t decode(const char *at, size_t len, char *byte)
{
	char hex[3] = {0};
	*byte = *at;
	if (*at != '%' || len < 3 || !isxdigit((unsigned char)at[1]) ||
	    !isxdigit((unsigned char)at[2]))
		return 1;
	memcpy(hex, at + 1, 2);
	*byte = (char)strtol(hex, NULL, 16);
	return 3;
}

static bool decode_all(struct slice from, bool plus_is_space, char *to, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i < from.len; n++) {
		if (n == size - 1)
			return false;
		i += decode(from.at + i, from.len - i, &to[n]);
		if (plus_is_space && to[n] == '+' && from.at[i - 1] == '+')
			to[n] = ' ';
		if (!to[n])
			return false;
	}
	to[n] = '\0';
	return true;
}

struct slice target_path(struct slice target)
{
	const char *query = memchr(target.at, '?', target.len);
	return (struct slice){target.at, query ? (size_t)(query - target.at) : target.len};
}

bool target_next_segment(struct slice *path, char *segment, size_t size)
{
	if (!path->len || path->at[0] != '/')
		return false;
	const char *start = path->at + 1, *slash = memchr(start, '/', path->len - 1);
	size_t len = slash ? (size_t)(slash - start) : path->len - 1;
	path->at += len + 1;
	path->len -= len + 1;
	return len > 0 && decode_all((struct slice){start, len}, false, segment, size);
}

static bool take_pair(struct slice *query, struct slice *name, struct slice *value)
{
	if (!query->len)
		return false;
	const char *end = memchr(query->at, '&', query->len);
	size_t len = end ? (size_t)(end - query->at) : query->len;
	const char *is = memchr(query->at, '=', len);
	*name = (struct slice){query->at, is ? (size_t)(is - query->at) : len};
	*value = is ? (struct slice){is + 1, len - name->len - 1} : SLICE("");
	query->at += len + (end != NULL);
	query->len -= len + (end != NULL);
	return true;
}

static bool is_named(struct slice key, const char *name)
{
	char plain[64];
	return decode_all(key, true, plain, sizeof(plain)) && strcmp(plain, name) == 0;
}

enum target_answer target_query(struct slice target, const char *name, char *value, size_t size)
{
	size_t path = target_path(target).len;
	if (path == target.len)
		return TARGET_ABSENT;
	struct slice query = {target.at + path + 1, target.len - path - 1}, key, text;
	while (take_pair(&query, &key, &text))
		if (is_named(key, name))
			return decode_all(text, true, value, size) ? TARGET_FOUND : TARGET_BAD;
	return TARGET_ABSENT;
}
