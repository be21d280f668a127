/* What the pieces of HTTP/1 look like. */
#include "gateway/http/syntax.h"

#include <string.h>

enum { LENGTH_DIGITS_MAX = 18, PORT_MAX = 65535 };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alphanumeric(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(char c, const char *set)
{
	return c && strchr(set, c);
}

/* What a byte may stand in. */
enum { IN_TOKEN = 1, IN_TEXT = 2, IN_TARGET = 4, EVERYWHERE = 7 };

/* Every byte of a head is looked up here. */
static const unsigned char allowed[256] = {
	['\t'] = IN_TEXT,
	[' '] = IN_TEXT,
	['!'] = EVERYWHERE,
	['"'] = IN_TEXT | IN_TARGET,
	['#'] = IN_TOKEN | IN_TEXT,
	['$' ... '\''] = EVERYWHERE,
	['(' ... ')'] = IN_TEXT | IN_TARGET,
	['*' ... '+'] = EVERYWHERE,
	[','] = IN_TEXT | IN_TARGET,
	['-' ... '.'] = EVERYWHERE,
	['/'] = IN_TEXT | IN_TARGET,
	['0' ... '9'] = EVERYWHERE,
	[':' ... '@'] = IN_TEXT | IN_TARGET,
	['A' ... 'Z'] = EVERYWHERE,
	['[' ... ']'] = IN_TEXT | IN_TARGET,
	['^' ... 'z'] = EVERYWHERE,
	['{'] = IN_TEXT | IN_TARGET,
	['|'] = EVERYWHERE,
	['}'] = IN_TEXT | IN_TARGET,
	['~'] = EVERYWHERE,
	[0x80 ... 0xff] = IN_TEXT | IN_TARGET,
};

static bool may_stand(char c, unsigned where)
{
	return allowed[(unsigned char)c] & where;
}

static bool may_all_stand(struct slice s, unsigned where)
{
	unsigned char common = EVERYWHERE;
	for (size_t i = 0; i < s.len; i++)
		common &= allowed[(unsigned char)s.at[i]];
	return common & where;
}

bool syntax_is_token_byte(char c)
{
	return may_stand(c, IN_TOKEN);
}

bool syntax_is_token(struct slice s)
{
	return s.len > 0 && may_all_stand(s, IN_TOKEN);
}

bool syntax_is_text_byte(char c)
{
	return may_stand(c, IN_TEXT);
}

bool syntax_is_text(struct slice s)
{
	return may_all_stand(s, IN_TEXT);
}

bool syntax_is_target_byte(char c)
{
	return may_stand(c, IN_TARGET);
}

bool syntax_is_target(struct slice s)
{
	return s.len > 0 && may_all_stand(s, IN_TARGET);
}

static bool is_port(struct slice s)
{
	unsigned port = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_digit(s.at[i]))
			return false;
		port = port * 10 + (unsigned)(s.at[i] - '0');
		if (port > PORT_MAX)
			return false;
	}
	return true;
}

/* "[::1]", or whatever else RFC 3986 puts in brackets. */
static size_t bracketed_length(struct slice s)
{
	for (size_t i = 1; i < s.len; i++) {
		if (s.at[i] == ']')
			return i > 1 ? i + 1 : 0;
		if (!is_alphanumeric(s.at[i]) && !is_one_of(s.at[i], ":.%-_~"))
			return 0;
	}
	return 0;
}

/* A comma is legal in a name, but only ever stands between two that were joined. */
static size_t name_length(struct slice s)
{
	size_t n = 0;
	while (n < s.len && (is_alphanumeric(s.at[n]) || is_one_of(s.at[n], "-._~%!$&'()*+;=")))
		n++;
	return n;
}

bool syntax_is_host(struct slice s)
{
	if (!s.len)
		return true;
	size_t n = s.at[0] == '[' ? bracketed_length(s) : name_length(s);
	if (n == 0)
		return false;
	if (n == s.len)
		return true;
	return s.at[n] == ':' && is_port((struct slice){s.at + n + 1, s.len - n - 1});
}

bool syntax_is_length(struct slice s)
{
	size_t zeros = 0;
	for (size_t i = 0; i < s.len; i++)
		if (!is_digit(s.at[i]))
			return false;
	while (zeros < s.len && s.at[zeros] == '0')
		zeros++;
	return s.len > 0 && s.len - zeros <= LENGTH_DIGITS_MAX;
}
