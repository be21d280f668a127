/* W3C Trace Context, levels 1 and 2. */
#include "gateway/tracing/trace_context.h"

#include <string.h>

#include "base/crypto.h"

enum {
	VERSION_AT = 0,
	TRACE_AT = 3,
	SPAN_AT = 36,
	FLAGS_AT = 53,
	VERSION_00_BYTES = 55,
	KEY_MAX = 256,
	VALUE_MAX = 256,
	MEMBERS_MAX = 32,
};

/* --- traceparent ----------------------------------------------------------------------------- */

/* Lower case only: anything else is no id. */
static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *at, uint8_t *to, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		int high = digit(at[2 * i]), low = digit(at[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		to[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool is_zero(const uint8_t *id, size_t bytes)
{
	while (bytes && !id[bytes - 1])
		bytes--;
	return bytes == 0;
}

/* Of a version to come, what version 00 knows is read, and the rest ignored. */
static bool has_good_length(uint8_t version, struct slice s)
{
	if (version == 0xff)
		return false;
	if (version == 0)
		return s.len == VERSION_00_BYTES;
	return s.len == VERSION_00_BYTES || s.at[VERSION_00_BYTES] == '-';
}

bool trace_context_parse(struct slice s, struct trace_context *c)
{
	uint8_t version;
	s = slice_trim(s);
	return s.len >= VERSION_00_BYTES && s.at[TRACE_AT - 1] == '-' && s.at[SPAN_AT - 1] == '-' &&
	       s.at[FLAGS_AT - 1] == '-' && read_hex(s.at + VERSION_AT, &version, 1) &&
	       has_good_length(version, s) && read_hex(s.at + TRACE_AT, c->trace, TRACE_ID_BYTES) &&
	       read_hex(s.at + SPAN_AT, c->span, SPAN_ID_BYTES) &&
	       read_hex(s.at + FLAGS_AT, &c->flags, 1) && !is_zero(c->trace, TRACE_ID_BYTES) &&
	       !is_zero(c->span, SPAN_ID_BYTES);
}

bool trace_context_read(const struct http_head *head, struct trace_context *c)
{
	const struct http_header *found = NULL;
	for (size_t i = 0; i < head->count; i++) {
		if (head->headers[i].id != HEADER_TRACEPARENT)
			continue;
		if (found)
			return false;
		found = &head->headers[i];
	}
	if (!found || !trace_context_parse(found->value, c))
		return false;
	c->flags &= TRACE_IS_SAMPLED | TRACE_IS_RANDOM; /* the others have no meaning yet */
	return true;
}

static char *add_hex(char *to, const uint8_t *bytes, size_t count)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < count; i++) {
		*to++ = digits[bytes[i] >> 4];
		*to++ = digits[bytes[i] & 15];
	}
	return to;
}

void trace_context_format(const struct trace_context *c, char text[TRACEPARENT_BYTES])
{
	memcpy(text, "00-", 3);
	char *at = add_hex(text + TRACE_AT, c->trace, TRACE_ID_BYTES);
	*at++ = '-';
	at = add_hex(at, c->span, SPAN_ID_BYTES);
	*at++ = '-';
	at = add_hex(at, &c->flags, 1);
	*at = '\0';
}

/* --- new ones -------------------------------------------------------------------------------- */

void trace_new_span_id(uint8_t id[SPAN_ID_BYTES])
{
	do
		crypto_random(id, SPAN_ID_BYTES);
	while (is_zero(id, SPAN_ID_BYTES));
}

/* The last seven bytes are the random ones that all who sample agree to look at. */
static bool is_chosen(const uint8_t trace[TRACE_ID_BYTES], double ratio)
{
	const double all = 72057594037927936.0; /* 2^56 */
	uint64_t number = 0;
	for (size_t i = TRACE_ID_BYTES - 7; i < TRACE_ID_BYTES; i++)
		number = number << 8 | trace[i];
	return (double)number >= (1 - ratio) * all;
}

struct trace_context trace_context_new(double ratio)
{
	struct trace_context c = {.flags = TRACE_IS_RANDOM};
	do
		crypto_random(c.trace, TRACE_ID_BYTES);
	while (is_zero(c.trace, TRACE_ID_BYTES));
	trace_new_span_id(c.span);
	if (ratio > 0 && is_chosen(c.trace, ratio))
		c.flags |= TRACE_IS_SAMPLED;
	return c;
}

/* --- tracestate ------------------------------------------------------------------------------ */

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_key_byte(char c)
{
	return c && (is_lower(c) || (c >= '0' && c <= '9') || strchr("_-*/@", c));
}

static bool is_good_member(struct slice m)
{
	const char *equals = memchr(m.at, '=', m.len);
	size_t key = equals ? (size_t)(equals - m.at) : 0;
	if (key == 0 || key > KEY_MAX || !(is_lower(*m.at) || (*m.at >= '0' && *m.at <= '9')))
		return false;
	for (size_t i = 0; i < key; i++)
		if (!is_key_byte(m.at[i]))
			return false;
	struct slice value = {equals + 1, m.len - key - 1};
	for (size_t i = 0; i < value.len; i++)
		if (value.at[i] < ' ' || value.at[i] > '~' || value.at[i] == '=')
			return false;
	return value.len > 0 && value.len <= VALUE_MAX;
}

bool trace_state_is_good(const struct http_head *head)
{
	int members = 0;
	for (size_t i = 0; i < head->count; i++) {
		struct slice list = head->headers[i].value, member;
		if (head->headers[i].id != HEADER_TRACESTATE)
			continue;
		while (slice_next_in_list(&list, &member))
			if (++members > MEMBERS_MAX || !is_good_member(member))
				return false;
	}
	return true;
}

void trace_state_read(const struct http_head *head, char text[TRACESTATE_BYTES])
{
	size_t len = 0;
	for (size_t i = 0; i < head->count; i++) {
		struct slice list = head->headers[i].value, member;
		if (head->headers[i].id != HEADER_TRACESTATE)
			continue;
		while (slice_next_in_list(&list, &member)) {
			size_t comma = len > 0;
			if (len + comma + member.len >= TRACESTATE_BYTES)
				continue;
			if (comma)
				text[len++] = ',';
			memcpy(text + len, member.at, member.len);
			len += member.len;
		}
	}
	text[len] = '\0';
}
