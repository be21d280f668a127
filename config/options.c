/* Reads, defaults, compares and frees single values by the table. */
#include "config/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/map.h"
#include "base/mem.h"
#include "config/units.h"

#define EACH_OPTION(o, scope)                                                                      \
	for (const struct option *o = (scope)->options; o < (scope)->options + (scope)->count; o++)

/* --- words: "a|b|c" ---------------------------------------------------------------------- */

/* Takes the next word off; false at the end. */
static bool next_word(const char **words, struct slice *word)
{
	if (!**words)
		return false;
	size_t n = strcspn(*words, "|");
	*word = (struct slice){*words, n};
	*words += n + ((*words)[n] == '|');
	return true;
}

/* The place of a text among the words; -1: it is none of them. */
static int word_index(const char *words, const char *text)
{
	struct slice word;
	for (int i = 0; next_word(&words, &word); i++)
		if (slice_is(word, text))
			return i;
	return -1;
}

static void add_words(struct str *s, const char *words)
{
	struct slice word;
	const char *between = "";
	while (next_word(&words, &word)) {
		str_printf(s, "%s\"%.*s\"", between, (int)word.len, word.at);
		between = strchr(words, '|') ? ", " : " or ";
	}
}

/* --- fields ------------------------------------------------------------------------------ */

static void *field(const struct option *o, void *base)
{
	return (char *)base + o->offset;
}

static const void *const_field(const struct option *o, const void *base)
{
	return (const char *)base + o->offset;
}

static bool is_text(const struct option *o)
{
	return o->type == OPTION_TEXT || o->type == OPTION_WORD;
}

static void set_number(const struct option *o, void *base, double n)
{
	if (o->type == OPTION_INT || o->type == OPTION_DURATION || o->type == OPTION_SIZE)
		*(int64_t *)field(o, base) = (int64_t)n;
	else
		*(double *)field(o, base) = o->type == OPTION_FRACTION ? n / 100 : n;
}

static void set_text(const struct option *o, void *base, const char *text)
{
	char **to = field(o, base);
	mem_free(*to);
	*to = mem_must_strdup(text);
}

/* The number that a text stands for under the option's type. */
static bool text_to_number(const struct option *o, const char *text, double *n)
{
	if (o->type == OPTION_DURATION)
		return units_parse_duration(text, n);
	return o->type == OPTION_SIZE && units_parse_size(text, n);
}

static void set_default(const struct option *o, void *base)
{
	double n;
	if (is_text(o))
		*(char **)field(o, base) = o->fallback ? mem_must_strdup(o->fallback) : NULL;
	else if (o->type == OPTION_LIST || !o->fallback)
		return;
	else if (o->type == OPTION_BOOL)
		*(bool *)field(o, base) = strcmp(o->fallback, "true") == 0;
	else if (o->type == OPTION_EITHER)
		*(bool *)field(o, base) = word_index(o->values, o->fallback) == 1;
	else
		set_number(o, base,
			   text_to_number(o, o->fallback, &n) ? n : strtod(o->fallback, NULL));
}

void options_set_defaults(enum scope_id id, void *base)
{
	EACH_OPTION(o, &option_scopes[id])
		set_default(o, base);
}

void options_release(enum scope_id id, void *base)
{
	EACH_OPTION(o, &option_scopes[id]) {
		if (is_text(o)) {
			char **text = field(o, base);
			mem_free(*text);
			*text = NULL;
		}
	}
}

const struct option *option_find(enum scope_id id, const char *path)
{
	EACH_OPTION(o, &option_scopes[id])
		if (strcmp(o->path, path) == 0)
			return o;
	return NULL;
}

/* --- what may stand there, and what does ------------------------------------------------- */

static void add_number(struct str *s, const struct option *o, double n)
{
	if (o->type == OPTION_DURATION)
		units_add_duration(s, n);
	else if (o->type == OPTION_SIZE)
		units_add_size(s, n);
	else
		str_printf(s, "%.15g", n);
}

void option_add_expected(struct str *s, const struct option *o)
{
	static const char *const nouns[] = {
		[OPTION_INT] = "a whole number",
		[OPTION_NUMBER] = "a number",
		[OPTION_PERCENT] = "a percentage",
		[OPTION_FRACTION] = "a percentage",
		[OPTION_DURATION] = "a duration",
		[OPTION_SIZE] = "a size",
		[OPTION_BOOL] = "true or false",
		[OPTION_TEXT] = "a text",
		[OPTION_TRUE] = "true",
		[OPTION_LIST] = "a list",
		[OPTION_OBJECT] = "an object",
		[OPTION_EITHER] = "",
		[OPTION_WORD] = "",
	};
	if (o->zero_too)
		str_add_text(s, "0, or ");
	str_add_text(s, nouns[o->type]);
	if (o->type == OPTION_EITHER || o->type == OPTION_WORD) {
		add_words(s, o->values);
	} else if (o->max != 0) {
		str_add_text(s, o->type == OPTION_LIST ? " of " : " from ");
		add_number(s, o, o->min);
		str_add_text(s, " to ");
		add_number(s, o, o->max);
	}
	if (o->type == OPTION_LIST)
		str_printf(s, " %s", o->values);
}

void option_add_value(struct str *s, const struct option *o, const void *base)
{
	const void *from = const_field(o, base);
	struct slice word = {"", 0};
	const char *words = o->values;
	switch (o->type) {
	case OPTION_INT:
	case OPTION_DURATION:
	case OPTION_SIZE:
		add_number(s, o, (double)*(const int64_t *)from);
		break;
	case OPTION_NUMBER:
	case OPTION_PERCENT:
		add_number(s, o, *(const double *)from);
		break;
	case OPTION_FRACTION:
		add_number(s, o, *(const double *)from * 100);
		break;
	case OPTION_BOOL:
		str_add_text(s, *(const bool *)from ? "true" : "false");
		break;
	case OPTION_EITHER:
		for (int i = 0; i <= *(const bool *)from; i++)
			next_word(&words, &word);
		str_add_slice(s, word);
		break;
	case OPTION_WORD:
	case OPTION_TEXT:
		str_add_text(s, *(char *const *)from ? *(char *const *)from : "nothing");
		break;
	case OPTION_TRUE:
	case OPTION_LIST:
	case OPTION_OBJECT:
		break;
	}
}

void options_add_changes(enum scope_id id, const void *old, const void *now, const struct place *at,
			 struct str *lines)
{
	struct str before, after;
	str_init_must(&before);
	str_init_must(&after);
	EACH_OPTION(o, &option_scopes[id]) {
		if (!o->fixed || o->type >= OPTION_TRUE)
			continue;
		str_clear(&before);
		str_clear(&after);
		option_add_value(&before, o, old);
		option_add_value(&after, o, now);
		if (strcmp(before.at, after.at) != 0)
			fault_at(lines, PLACE_KEY(at, o->path),
				 "a reload cannot change it from %s to %s: restart slotgate",
				 before.at, after.at);
	}
	str_release(&before);
	str_release(&after);
}

/* --- reading ----------------------------------------------------------------------------- */

struct reader {
	const struct scope *scope;
	void *base;
	struct str *faults;
};

static void wrong(struct reader *r, const struct option *o, const struct json *value,
		  const struct place *at, const char *remedy)
{
	struct str text;
	str_init_must(&text);
	option_add_expected(&text, o);
	str_add_text(&text, ", not ");
	fault_describe(&text, value);
	fault_at(r->faults, at, "must be %s%s", text.at, remedy);
	str_release(&text);
}

static void read_number(struct reader *r, const struct option *o, const struct json *value,
			const struct place *at)
{
	char remedy[80] = "";
	const char *text = json_text(value);
	double n = 0;
	bool ok = text ? text_to_number(o, text, &n) : json_number(value, &n);
	if (o->type == OPTION_DURATION && ok && !text) {
		snprintf(remedy, sizeof(remedy), ": say the unit, as in \"%.15gs\" or \"%.15gms\"",
			 n, n);
		ok = false;
	} else if (o->type == OPTION_DURATION && text && !ok) {
		snprintf(remedy, sizeof(remedy),
			 ": write it as \"1500ms\", \"300s\", \"2m\" or \"1h\"");
	} else if (o->type == OPTION_SIZE && !ok) {
		snprintf(remedy, sizeof(remedy),
			 ": write it as 65536, \"64KiB\", \"1MiB\" or \"2GiB\"");
	} else if (o->type == OPTION_SIZE || o->type == OPTION_INT) {
		ok = ok && units_is_whole(n);
	}
	if (ok && ((n >= o->min && n <= o->max) || (n == 0 && o->zero_too)))
		set_number(o, r->base, n);
	else
		wrong(r, o, value, at, remedy);
}

static void read_text(struct reader *r, const struct option *o, const struct json *value,
		      const struct place *at)
{
	const char *text = json_text(value);
	if (!text || (o->values && word_index(o->values, text) < 0)) {
		wrong(r, o, value, at, "");
		return;
	}
	const char *fault = o->form ? o->form(text) : NULL;
	if (fault)
		fault_at_text(r->faults, at, text, fault);
	else if (o->type == OPTION_EITHER)
		*(bool *)field(o, r->base) = word_index(o->values, text) == 1;
	else
		set_text(o, r->base, text);
}

static void read_option(struct reader *r, const struct option *o, const struct json *value,
			const struct place *at)
{
	bool b = false, ok = true;
	double n = (double)json_count(value);
	switch (o->type) {
	case OPTION_INT:
	case OPTION_NUMBER:
	case OPTION_PERCENT:
	case OPTION_FRACTION:
	case OPTION_DURATION:
	case OPTION_SIZE:
		read_number(r, o, value, at);
		break;
	case OPTION_EITHER:
	case OPTION_WORD:
	case OPTION_TEXT:
		read_text(r, o, value, at);
		break;
	case OPTION_BOOL:
		ok = json_bool(value, field(o, r->base));
		break;
	case OPTION_TRUE:
		ok = json_bool(value, &b) && b;
		break;
	case OPTION_LIST:
		ok = json_is(value, JSON_LIST) && n >= o->min && n <= o->max;
		break;
	case OPTION_OBJECT:
		ok = json_is(value, JSON_OBJECT);
		break;
	}
	if (!ok)
		wrong(r, o, value, at, "");
}

/* The part of an option's path behind a prefix, up to the next dot; empty: it is not below it. */
static struct slice segment(const struct option *o, struct slice prefix)
{
	if (strncmp(o->path, prefix.at, prefix.len) != 0)
		return SLICE("");
	const char *rest = o->path + prefix.len;
	return (struct slice){rest, strcspn(rest, ".")};
}

static const struct option *find(const struct scope *scope, struct slice prefix, const char *key)
{
	EACH_OPTION(o, scope) {
		struct slice name = segment(o, prefix);
		if (name.len && slice_is(name, key))
			return o;
	}
	return NULL;
}

/* The known name that was probably meant: a neighbour, or the same name in another object. */
static struct slice suggest(const struct scope *scope, struct slice prefix, const char *key)
{
	struct slice best = SLICE("");
	size_t least = SIZE_MAX;
	EACH_OPTION(o, scope) {
		struct slice name = segment(o, prefix);
		size_t distance = name.len ? fault_distance(key, name) : SIZE_MAX;
		if (distance < least) {
			least = distance;
			best = name;
		}
	}
	if (best.len)
		return best;
	EACH_OPTION(o, scope) {
		const char *dot = strrchr(o->path, '.');
		if (dot && strcasecmp(dot + 1, key) == 0)
			return slice_of(o->path);
	}
	return best;
}

static void unknown_key(struct reader *r, struct slice prefix, const char *key,
			const struct place *at)
{
	struct slice meant = suggest(r->scope, prefix, key);
	if (meant.len) {
		fault_at(r->faults, at, "unknown key; did you mean \"%.*s\"?", (int)meant.len,
			 meant.at);
		return;
	}
	struct str known;
	struct slice last = SLICE("");
	str_init_must(&known);
	EACH_OPTION(o, r->scope) {
		struct slice name = segment(o, prefix);
		if (!name.len || (name.len == last.len && memcmp(name.at, last.at, name.len) == 0))
			continue;
		str_add_text(&known, last.len ? ", " : "");
		str_add_slice(&known, name);
		last = name;
	}
	fault_at(r->faults, at, "unknown key; known here are %s", known.at);
	str_release(&known);
}

static void read_object(struct reader *r, struct slice prefix, const struct json *object,
			const struct place *at);

static void read_member(struct reader *r, struct slice prefix, const struct json *member,
			const struct place *at)
{
	const struct option *o = find(r->scope, prefix, json_key(member));
	if (!o) {
		unknown_key(r, prefix, json_key(member), at);
		return;
	}
	size_t end = prefix.len + segment(o, prefix).len;
	if (o->path[end] == '\0')
		read_option(r, o, member, at);
	else
		read_object(r, (struct slice){o->path, end + 1}, member, at);
}

static void read_object(struct reader *r, struct slice prefix, const struct json *object,
			const struct place *at)
{
	if (!json_is(object, JSON_OBJECT)) {
		wrong(r, &(const struct option){.type = OPTION_OBJECT}, object, at, "");
		return;
	}
	struct map seen;
	map_init(&seen);
	JSON_EACH(it, object) {
		const struct place *here = PLACE_KEY(at, json_key(it));
		if (map_get(&seen, json_key(it))) {
			fault_at(r->faults, here, "given twice");
			continue;
		}
		map_put(&seen, json_key(it), r);
		read_member(r, prefix, it, here);
	}
	map_release(&seen);
	EACH_OPTION(o, r->scope) {
		struct slice name = segment(o, prefix);
		bool here = name.len && name.at[name.len] == '\0';
		if (here && o->required && !json_get(object, name.at))
			fault_at(r->faults, PLACE_KEY(at, name.at), "required");
	}
}

void options_read(enum scope_id id, void *base, const struct json *object, const struct place *at,
		  struct str *faults)
{
	struct reader r = {&option_scopes[id], base, faults};
	read_object(&r, SLICE(""), object, at);
}
