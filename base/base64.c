/* Base64. */
#include "base/base64.h"

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(struct slice text, struct str *bytes)
{
	uint32_t bits = 0;
	size_t digits = 0, padding = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];
		int value = value_of(c);
		if (c == '\n' || c == '\r')
			continue;
		padding += c == '=';
		if ((value < 0 && c != '=') || (padding && c != '=') || padding > 2)
			return false;
		bits = bits << 6 | (uint32_t)(value < 0 ? 0 : value);
		if (++digits % 4)
			continue;
		const char three[] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};
		str_add(bytes, three, 3 - padding);
	}
	return digits % 4 == 0;
}
