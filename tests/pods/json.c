/* json: reads JSON in place and quotes strings; it builds no tree. */
#include "json.h"

#include <stdlib.h>
#include <string.h>

/* Bounds the recursion of scan_value: a hostile body may be nothing but brackets. */
#define DEPTH_MAX 64

struct scan {
	const char *at;
	const char *end;
	int depth;
	bool checked; /* json_parse has been here: strings need no second look */
};

static bool scan_value(struct scan *s);

static void skip_space(struct scan *s)
{
	while (s->at < s->end && memchr(" \t\r\n", *s->at, 4))
		s->at++;
}

static bool take(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

static bool scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
		return false;
	s->at += n;
	return true;
}

static bool scan_digits(struct scan *s)
{
	const char *start = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return s->at > start;
}

static bool scan_number(struct scan *s)
{
	take(s, '-');
	if (!take(s, '0') && !scan_digits(s))
		return false;
	if (take(s, '.') && !scan_digits(s))
		return false;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			take(s, '-');
		return scan_digits(s);
	}
	return true;
}

static bool scan_escape(struct scan *s)
{
	if (take(s, 'u')) {
		for (int i = 0; i < 4; i++, s->at++)
			if (s->at == s->end || !*s->at || !strchr("0123456789abcdefABCDEF", *s->at))
				return false;
		return true;
	}
	if (s->at == s->end || !memchr("\"\\/bfnrt", *s->at, 8))
		return false;
	s->at++;
	return true;
}

/* To the closing quote, at memchr's speed: a request may hold megabytes of base64. */
static bool skip_string(struct scan *s)
{
	const char *start = s->at, *quote;

	while ((quote = memchr(s->at, '"', (size_t)(s->end - s->at)))) {
		size_t backslashes = 0;

		while (quote - backslashes > start && quote[-1 - (ptrdiff_t)backslashes] == '\\')
			backslashes++;
		s->at = quote + 1;
		if (backslashes % 2 == 0)
			return true;
	}
	return false;
}

static bool scan_string(struct scan *s)
{
	if (!take(s, '"'))
		return false;
	if (s->checked)
		return skip_string(s);
	while (s->at < s->end) {
		if ((unsigned char)*s->at < 0x20)
			return false;
		if (take(s, '"'))
			return true;
		if (*s->at++ == '\\' && !scan_escape(s))
			return false;
	}
	return false;
}

static bool scan_pair(struct scan *s)
{
	skip_space(s);
	if (!scan_string(s))
		return false;
	skip_space(s);
	return take(s, ':') && scan_value(s);
}

static bool scan_list(struct scan *s, char close, bool (*scan_item)(struct scan *))
{
	bool ok;

	if (++s->depth > DEPTH_MAX)
		return false;
	s->at++;
	skip_space(s);
	if (take(s, close)) {
		s->depth--;
		return true;
	}
	do {
		ok = scan_item(s);
		skip_space(s);
	} while (ok && take(s, ','));
	s->depth--;
	return ok && take(s, close);
}

static bool scan_value(struct scan *s)
{
	skip_space(s);
	if (s->at == s->end)
		return false;
	switch (*s->at) {
	case '{':
		return scan_list(s, '}', scan_pair);
	case '[':
		return scan_list(s, ']', scan_value);
	case '"':
		return scan_string(s);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		return scan_number(s);
	}
}

bool json_parse(const char *text, size_t len, struct json *value, size_t *fault)
{
	struct scan s = {.at = text, .end = text + len};
	bool ok;

	skip_space(&s);
	value->at = s.at;
	ok = scan_value(&s);
	value->len = (size_t)(s.at - value->at);
	skip_space(&s);
	*fault = (size_t)(s.at - text);
	return ok && s.at == s.end;
}

static bool starts_with(struct json v, char c)
{
	return v.at && v.len && v.at[0] == c;
}

bool json_is_object(struct json v)
{
	return starts_with(v, '{');
}

bool json_is_null(struct json v)
{
	return !v.at || starts_with(v, 'n');
}

bool json_is_true(struct json v)
{
	return starts_with(v, 't');
}

bool json_is_string(struct json v)
{
	return starts_with(v, '"');
}

bool json_string_equals(struct json v, const char *text)
{
	size_t n = strlen(text);

	return json_is_string(v) && v.len == n + 2 && memcmp(v.at + 1, text, n) == 0;
}

bool json_number(struct json v, double *number)
{
	char copy[64];
	char *end;

	if (json_is_string(v)) {
		v.at++;
		v.len -= 2;
	}
	if (!v.at || !v.len || v.len >= sizeof(copy) || !memchr("-0123456789", v.at[0], 11))
		return false;
	memcpy(copy, v.at, v.len);
	copy[v.len] = '\0';
	*number = strtod(copy, &end);
	return *end == '\0';
}

struct json_walk json_members(struct json object)
{
	if (!json_is_object(object))
		return (struct json_walk){NULL, NULL};
	return (struct json_walk){object.at + 1, object.at + object.len};
}

bool json_next(struct json_walk *walk, struct json *key, struct json *value)
{
	struct scan s = {.at = walk->at, .end = walk->end, .checked = true};

	if (!s.at)
		return false;
	skip_space(&s);
	key->at = s.at;
	if (!scan_string(&s))
		return false; /* the closing brace of an empty object */
	key->len = (size_t)(s.at - key->at);
	skip_space(&s);
	take(&s, ':');
	skip_space(&s);
	value->at = s.at;
	scan_value(&s);
	value->len = (size_t)(s.at - value->at);
	skip_space(&s);
	walk->at = take(&s, ',') ? s.at : NULL;
	return true;
}

struct json json_member(struct json object, const char *key)
{
	struct json_walk walk = json_members(object);
	struct json found = {NULL, 0}, name, value;

	while (json_next(&walk, &name, &value))
		if (json_string_equals(name, key))
			found = value;
	return found;
}

void json_quote(struct buf *out, const char *text, size_t len)
{
	size_t plain = 0;

	buf_add(out, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buf_add(out, text + plain, i - plain);
		if (c < 0x20)
			buf_printf(out, "\\u%04x", c);
		else
			buf_printf(out, "\\%c", c);
		plain = i + 1;
	}
	buf_add(out, text + plain, len - plain);
	buf_add(out, "\"", 1);
}
