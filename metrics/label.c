/* Escapes the values of labels. */
#include "metrics/label.h"

#include <stdint.h>

#define REPLACEMENT "\xEF\xBF\xBD"

/* How many continuation bytes a first byte asks for; -1: it cannot begin a character. */
static int continuation_bytes(unsigned char c)
{
	if (c < 0x80)
		return 0;
	if (c >= 0xC2 && c < 0xE0)
		return 1;
	if (c >= 0xE0 && c < 0xF0)
		return 2;
	if (c >= 0xF0 && c < 0xF5)
		return 3;
	return -1;
}

/* The length of the UTF-8 character at `at`; 0 if there is none. Stops at the text's NUL. */
static size_t character_length(const char *at)
{
	static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
	int more = continuation_bytes((unsigned char)*at);
	if (more < 0)
		return 0;
	uint32_t point = (unsigned char)*at & (more ? 0x3FU >> more : 0x7FU);
	for (int i = 1; i <= more; i++) {
		unsigned char c = (unsigned char)at[i];
		if ((c & 0xC0) != 0x80)
			return 0;
		point = point << 6 | (c & 0x3F);
	}
	bool surrogate = point >= 0xD800 && point < 0xE000;
	return point < smallest[more] || point > 0x10FFFF || surrogate ? 0 : (size_t)more + 1;
}

void label_escape(struct str *out, const char *value)
{
	str_add_text(out, ""); /* also an empty value is a text */
	while (*value) {
		size_t len = character_length(value);
		if (!len)
			str_add_text(out, REPLACEMENT);
		else if (*value == '\n')
			str_add_text(out, "\\n");
		else if (*value == '\\' || *value == '"')
			str_add(out, (char[]){'\\', *value}, 2);
		else
			str_add(out, value, len);
		value += len ? len : 1;
	}
}
