/*
 * Faults of a configuration: one line each, beginning with the JSON path of what is wrong
 * ("services[0].queue.maxRequests: ...").
 *
 * A place is a link of a chain towards the root; a reader puts its own on the stack in front of its
 * caller's, so that a path costs nothing until a fault needs it.
 */
#ifndef SLOTGATE_CONFIG_FAULT_H
#define SLOTGATE_CONFIG_FAULT_H

#include <stddef.h>

#include "base/json.h"
#include "base/str.h"

struct place {
	const struct place *up; /* NULL: the root */
	const char *key;	/* a member; it may be a dotted path. NULL: an item */
	size_t index;
};

#define PLACE_KEY(up, key)    (&(const struct place){(up), (key), 0})
#define PLACE_ITEM(up, index) (&(const struct place){(up), NULL, (index)})

void place_add(struct str *, const struct place *);

void fault_at(struct str *faults, const struct place *, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The one object that a file's text is; NULL: a line says why, with the name and the place.
 * `shape`: as the fault shows it ("{...}"). The caller frees it. */
struct json *fault_or_object(struct str *faults, const char *file_name, struct slice text,
			     const char *shape);

/* A line about a text: `"text": fault`. */
void fault_at_text(struct str *faults, const struct place *, const char *text, const char *fault);

/* A line about what should be a text and is none. */
void fault_no_text(struct str *faults, const struct place *, const struct json *);

/* Text as it stands in a message: quoted, escaped and not too long. */
void fault_quote(struct str *, const char *text);

/* A value, the same. */
void fault_describe(struct str *, const struct json *);

/* How far two names are apart (changes of a character, case not counted); SIZE_MAX: too far for one
 * to be meant by the other. */
size_t fault_distance(const char *written, struct slice known);

#endif
