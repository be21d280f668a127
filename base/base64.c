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

void base64_encode(struct slice bytes, struct str *text)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
		uint32_t bits = 0;
		char four[] = "====";
		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < n ? (unsigned char)bytes.at[i + k] : 0);
		for (size_t k = 0; k <= n; k++)
			four[k] = digits[bits >> (18 - 6 * k) & 63];
		str_add(text, four, 4);
	}
}
