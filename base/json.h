/*
 * JSON, read strictly (RFC 8259): one value and nothing behind it, no comments, no control
 * characters in strings, no broken surrogates, and no NUL, not even escaped, so that every string
 * is a C string. A byte order mark is skipped.
 *
 * A document is read-only and owns all its values. Duplicate keys are kept and seen by iterating;
 * json_get finds the first.
 */
#ifndef SLOTGATE_BASE_JSON_H
#define SLOTGATE_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>

enum { JSON_MAX_BYTES = 16 << 20, JSON_MAX_DEPTH = 64 };

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_TEXT, JSON_LIST, JSON_OBJECT };

struct json;

struct json_error {
	const char *message;
	size_t line, column; /* of the first fault, from 1, in characters; 0: not about a place */
};

/* NULL: the error says why. */
struct json *json_parse(const char *text, size_t len, struct json_error *);
void json_free(struct json *document); /* NULL is harmless */

enum json_type json_type(const struct json *);
bool json_is(const struct json *, enum json_type); /* false for NULL */

/* The value, if it is one of that type; else false, or NULL. NULL is harmless. */
bool json_bool(const struct json *, bool *value);
bool json_number(const struct json *, double *value);
const char *json_text(const struct json *);

/* Members of an object and items of a list, in the document's order. NULL: no (more) of them. */
const struct json *json_first(const struct json *parent);
const struct json *json_next(const struct json *);
const char *json_key(const struct json *member);
size_t json_count(const struct json *parent);

/* A member by its exact key, or by a dotted path through objects ("state.job_count"). */
const struct json *json_get(const struct json *object, const char *key);
const struct json *json_find(const struct json *object, const char *path);

#define JSON_EACH(it, parent)                                                                      \
	for (const struct json *it = json_first(parent); it; it = json_next(it))

#endif
