/*
 * The table of options: every key that a configuration may hold, with its type, range, default and
 * a sentence of help. Whatever is a single value is read, defaulted, compared, freed and documented
 * from here; only lists and one-ofs have code of their own (config/service.c, config/config.c), and
 * of those the table knows the name, the length and the default.
 *
 * To add an option: a field in config/config.h and a row in config/options_table.c.
 */
#ifndef SLOTGATE_CONFIG_OPTIONS_H
#define SLOTGATE_CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/fault.h"
#include "config/forms.h"

enum option_type {
	OPTION_INT,	 /* int64_t */
	OPTION_NUMBER,	 /* double */
	OPTION_PERCENT,	 /* double; the percentage itself */
	OPTION_FRACTION, /* double; a percentage, kept as 0..1 */
	OPTION_DURATION, /* int64_t microseconds */
	OPTION_SIZE,	 /* int64_t bytes */
	OPTION_BOOL,	 /* bool */
	OPTION_EITHER,	 /* bool; the two words of `values`, the second of which is true */
	OPTION_WORD,	 /* char *; one of the words of `values` */
	OPTION_TEXT,	 /* char *, or NULL */
	OPTION_TRUE,	 /* nothing is kept: the key's presence says it, and it must be true */
	OPTION_LIST,	 /* read by code; min and max are its length, `values` what it lists */
	OPTION_OBJECT,	 /* read by code */
};

struct option {
	const char *path; /* dotted, within its scope */
	enum option_type type;
	size_t offset;	      /* of the field in the scope's struct */
	double min, max;      /* in the field's unit, both allowed */
	const char *fallback; /* the default, as written in a configuration without quotes; NULL:
				 nothing (0, false, NULL). Of a list: its JSON */
	const char *values;   /* of OPTION_EITHER and OPTION_WORD: "a|b"; of OPTION_LIST: a noun */
	form_check *form;     /* of OPTION_TEXT */
	bool zero_too;	      /* 0 is allowed besides, where `min` is more */
	bool required;	      /* wherever the object around it is given */
	bool fixed;	      /* a reload cannot change it */
	const char *help;
};

/* One kind of object that stands in the configuration, once or in a list. */
enum scope_id {
	SCOPE_TOP,
	SCOPE_LISTENER,
	SCOPE_SERVICE,
	SCOPE_SLOT,
	SCOPE_CERTIFICATE,
	SCOPE_KEY_FILE,
	SCOPE_KEY,
	SCOPE_COUNT
};

struct scope {
	const char *prefix; /* "services[]." */
	const char *about;
	const struct option *options; /* those of one object stand together */
	size_t count;
};

extern const struct scope option_scopes[SCOPE_COUNT]; /* config/options_table.c */

/* Sets every field of the scope's struct that the table knows. They must not own anything. */
void options_set_defaults(enum scope_id, void *base);

/* Reads an object over the defaults; unknown and repeated keys, wrong types, values out of range
 * and missing required ones become faults, and leave the field as it was. */
void options_read(enum scope_id, void *base, const struct json *, const struct place *,
		  struct str *faults);

/* Frees the texts. */
void options_release(enum scope_id, void *base);

/* A line for each fixed option in which the two differ. */
void options_add_changes(enum scope_id, const void *old, const void *now, const struct place *,
			 struct str *lines);

/* The row of a path. NULL: no such option. */
const struct option *option_find(enum scope_id, const char *path);

/* What may stand there: "a duration from 1s to 1h"; and the field's value. */
void option_add_expected(struct str *, const struct option *);
void option_add_value(struct str *, const struct option *, const void *base);

/* The whole table as Markdown: config/OPTIONS.md, and `slotgate help options`. */
void options_write_markdown(struct str *);

#endif
