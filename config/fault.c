/* Wording of faults: where they are, and what stood there. */
#include "config/fault.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { QUOTED_MAX = 80, NAME_MAX_BYTES = 64 };

static bool is_plain_key(const char *key)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
	size_t n = strspn(key, plain);
	return n && n <= NAME_MAX_BYTES && key[n] == '\0';
}

void place_add(struct str *s, const struct place *at)
{
	if (!at)
		return;
	place_add(s, at->up);
	if (!at->key) {
		str_printf(s, "[%zu]", at->index);
	} else if (is_plain_key(at->key)) {
		if (at->up)
			str_add_char(s, '.');
		str_add_text(s, at->key);
	} else {
		str_add_char(s, '[');
		fault_quote(s, at->key);
		str_add_char(s, ']');
	}
}

struct json *fault_or_object(struct str *faults, const char *file_name, struct slice text,
			     const char *shape)
{
	struct json_error error;
	struct json *root = json_parse(text.at, text.len, &error);
	if (json_is(root, JSON_OBJECT))
		return root;
	str_add_text(faults, file_name);
	if (!root && error.line)
		str_printf(faults, ":%zu:%zu", error.line, error.column);
	if (root)
		str_printf(faults, ": must be one JSON object: %s\n", shape);
	else
		str_printf(faults, ": %s\n", error.message);
	json_free(root);
	return NULL;
}

void fault_at(struct str *faults, const struct place *at, const char *format, ...)
{
	char text[1024]; /* ample: what is quoted in a message is cut by fault_quote */
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	place_add(faults, at);
	str_printf(faults, ": %s\n", text);
}

void fault_at_text(struct str *faults, const struct place *at, const char *text, const char *fault)
{
	place_add(faults, at);
	str_add_text(faults, ": ");
	fault_quote(faults, text);
	str_printf(faults, ": %s\n", fault);
}

void fault_quote(struct str *s, const char *text)
{
	size_t n = strlen(text);
	if (n <= QUOTED_MAX) {
		str_add_json(s, text, n);
	} else {
		str_add_json(s, text, QUOTED_MAX);
		str_add_text(s, "...");
	}
}

void fault_describe(struct str *s, const struct json *value)
{
	bool b = false;
	double n = 0;
	switch (json_type(value)) {
	case JSON_NULL:
		str_add_text(s, "null");
		break;
	case JSON_BOOL:
		json_bool(value, &b);
		str_add_text(s, b ? "true" : "false");
		break;
	case JSON_NUMBER:
		json_number(value, &n);
		str_printf(s, "%.15g", n);
		break;
	case JSON_TEXT:
		fault_quote(s, json_text(value));
		break;
	case JSON_LIST:
		str_printf(s, "a list of %zu", json_count(value));
		break;
	case JSON_OBJECT:
		str_add_text(s, "an object");
		break;
	}
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;
	return least < c ? least : c;
}

void fault_no_text(struct str *faults, const struct place *at, const struct json *value)
{
	struct str text;
	str_init_must(&text);
	fault_describe(&text, value);
	fault_at(faults, at, "must be a text, not %s", text.at);
	str_release(&text);
}

size_t fault_distance(const char *written, struct slice known)
{
	size_t row[NAME_MAX_BYTES + 1]; /* of the edit distance's matrix (Levenshtein) */
	size_t len = strlen(written);
	if (known.len > NAME_MAX_BYTES || len > NAME_MAX_BYTES)
		return SIZE_MAX;
	for (size_t k = 0; k <= known.len; k++)
		row[k] = k;
	for (size_t w = 0; w < len; w++) {
		size_t diagonal = row[0];
		row[0] = w + 1;
		for (size_t k = 0; k < known.len; k++) {
			bool same = strncasecmp(&written[w], &known.at[k], 1) == 0;
			size_t replaced = diagonal + (same ? 0 : 1);
			diagonal = row[k + 1];
			row[k + 1] = min3(replaced, row[k] + 1, row[k + 1] + 1);
		}
	}
	size_t distance = row[known.len], longer = len > known.len ? len : known.len;
	return distance <= (longer + 2) / 3 && distance < longer ? distance : SIZE_MAX;
}
