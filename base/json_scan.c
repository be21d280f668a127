/* The grammar of JSON, as a recursive descent of bounded depth that keeps nothing. */
#include "base/json_scan.h"

#include <stdbool.h>
#include <string.h>

/* Longer numbers are cut by the library. */
enum { NUMBER_MAX_BYTES = 63 };

struct scan {
	const char *at, *end;
	int depth_left;
	const char *error;
};

static bool fail(struct scan *s, const char *error)
{
	s->error = error;
	return false;
}

/* The next byte; 0 at the end (a NUL in the text is refused wherever it stands). */
static char peek(const struct scan *s)
{
	return s->at < s->end ? *s->at : '\0';
}

static bool take(struct scan *s, char c)
{
	if (peek(s) != c || s->at == s->end)
		return false;
	s->at++;
	return true;
}

static void skip_space(struct scan *s)
{
	while (s->at < s->end && memchr(" \t\r\n", *s->at, 4))
		s->at++;
}

/* What to say of a byte that does not fit: the text may simply have ended. */
static bool unexpected(struct scan *s, const char *error)
{
	return fail(s, s->at == s->end ? "the text ends too early" : error);
}

static size_t take_digits(struct scan *s)
{
	const char *from = s->at;
	while (peek(s) >= '0' && peek(s) <= '9')
		s->at++;
	return (size_t)(s->at - from);
}

static bool scan_number(struct scan *s)
{
	const char *from = s->at;
	take(s, '-');
	const char *digits = s->at;
	if (!take_digits(s))
		return unexpected(s, "expected a digit");
	if (*digits == '0' && s->at - digits > 1) {
		s->at = digits;
		return fail(s, "a number must not begin with 0");
	}
	if (take(s, '.') && !take_digits(s))
		return unexpected(s, "expected a digit after the point");
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			take(s, '-');
		if (!take_digits(s))
			return unexpected(s, "expected a digit in the exponent");
	}
	if (s->at - from > NUMBER_MAX_BYTES) {
		s->at = from;
		return fail(s, "a number of more than 63 digits");
	}
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits behind "\u"; -1 and an error. */
static int scan_hex4(struct scan *s)
{
	int code = 0;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(peek(s));
		if (digit < 0) {
			unexpected(s, "expected four hexadecimal digits after \\u");
			return -1;
		}
		s->at++;
		code = code * 16 + digit;
	}
	return code;
}

/* Behind a backslash. */
static bool scan_escape(struct scan *s)
{
	const char *from = s->at - 1;
	if (s->at < s->end && *s->at && strchr("\"\\/bfnrt", *s->at)) {
		s->at++;
		return true;
	}
	if (!take(s, 'u'))
		return unexpected(s, "an unknown escape in a string");
	int code = scan_hex4(s);
	if (code < 0)
		return false;
	const char *error = NULL;
	if (code == 0) {
		error = "\\u0000 is not supported";
	} else if (code >= 0xd800 && code < 0xe000) {
		bool pair = code < 0xdc00 && take(s, '\\') && take(s, 'u');
		int low = pair ? scan_hex4(s) : 0;
		if (low < 0)
			return false;
		if (low < 0xdc00 || low >= 0xe000)
			error = "half of a surrogate pair";
	}
	if (!error)
		return true;
	s->at = from;
	return fail(s, error);
}

static bool scan_string(struct scan *s)
{
	const char *from = s->at;
	if (!take(s, '"'))
		return unexpected(s, "expected a key in double quotes");
	while (s->at < s->end) {
		if (take(s, '"'))
			return true;
		if ((unsigned char)*s->at < 0x20)
			return fail(s, "a control character in a string (is its closing quote "
				       "missing?)");
		if (take(s, '\\')) {
			if (!scan_escape(s))
				return false;
		} else {
			s->at++;
		}
	}
	s->at = from;
	return fail(s, "a string without its closing quote");
}

static bool scan_word(struct scan *s)
{
	static const char *const words[] = {"true", "false", "null"};
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		size_t n = strlen(words[i]);
		if ((size_t)(s->end - s->at) >= n && memcmp(s->at, words[i], n) == 0) {
			s->at += n;
			return true;
		}
	}
	return unexpected(s, "expected a value");
}

static bool scan_value(struct scan *s);

static bool scan_member(struct scan *s)
{
	if (!scan_string(s))
		return false;
	skip_space(s);
	if (!take(s, ':'))
		return unexpected(s, "expected ':' after the key");
	skip_space(s);
	return scan_value(s);
}

/* Behind the opening bracket. */
static bool scan_items(struct scan *s, char close, bool (*scan_item)(struct scan *))
{
	if (s->depth_left-- == 0)
		return fail(s, "nested too deeply");
	skip_space(s);
	if (!take(s, close)) {
		do {
			skip_space(s);
			if (!scan_item(s))
				return false;
			skip_space(s);
		} while (take(s, ','));
		if (!take(s, close))
			return unexpected(s, close == '}' ? "expected ',' or '}'"
							  : "expected ',' or ']'");
	}
	s->depth_left++;
	return true;
}

static bool scan_value(struct scan *s)
{
	char c = peek(s);
	if (c == '"')
		return scan_string(s);
	if (take(s, '{'))
		return scan_items(s, '}', scan_member);
	if (take(s, '['))
		return scan_items(s, ']', scan_value);
	if (c == '-' || (c >= '0' && c <= '9'))
		return scan_number(s);
	return scan_word(s);
}

const char *json_scan(const char *text, size_t len, int max_depth, const char **at)
{
	struct scan s = {.at = text, .end = text + len, .depth_left = max_depth};
	skip_space(&s);
	if (s.at == s.end) {
		fail(&s, "the text is empty");
	} else if (scan_value(&s)) {
		skip_space(&s);
		if (s.at != s.end)
			fail(&s, "there is something behind the end of the value");
	}
	*at = s.at;
	return s.error;
}
