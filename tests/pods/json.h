/*
 * json: reads JSON in place and quotes strings; it builds no tree.
 *
 * A value is a slice of the text. json_parse checks the whole text once; the other functions take
 * slices that came from it and so need not look for errors again.
 */
#ifndef DEMO_POD_JSON_H
#define DEMO_POD_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

struct json {
	const char *at; /* NULL = absent */
	size_t len;
};

/* Where walking through an object's members has got to; start with json_members. */
struct json_walk {
	const char *at;
	const char *end;
};

/* On failure returns false with the offset of the fault in *fault. */
bool json_parse(const char *text, size_t len, struct json *value, size_t *fault);

bool json_is_object(struct json v);
bool json_is_null(struct json v); /* null or absent */
bool json_is_true(struct json v);
bool json_is_string(struct json v);
bool json_string_equals(struct json v, const char *text); /* escapes are not decoded */
/* A number, or as pydantic allows a string that is one. */
bool json_number(struct json v, double *number);

struct json_walk json_members(struct json object);
bool json_next(struct json_walk *walk, struct json *key, struct json *value);
/* The member's value (the last, where a key is repeated), or an absent one. */
struct json json_member(struct json object, const char *key);

void json_quote(struct buf *out, const char *text, size_t len);

#endif
