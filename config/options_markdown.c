/* The table of options as Markdown. */
#include <string.h>

#include "config/options.h"

enum { CELL_MAX = 40 }; /* a longer default stands below its table */

/* Shown below the table: a default that would burst its cell. */
static bool is_long(const struct option *o)
{
	return o->fallback && strlen(o->fallback) > CELL_MAX;
}

static void add_default(struct str *s, const struct option *o)
{
	bool quoted = o->type == OPTION_DURATION || o->type == OPTION_TEXT ||
		      o->type == OPTION_WORD || o->type == OPTION_EITHER ||
		      (o->type == OPTION_SIZE && strchr(o->fallback ? o->fallback : "", 'B'));
	if (o->required)
		str_add_text(s, "required");
	else if (is_long(o))
		str_add_text(s, "see below");
	else if (o->fallback)
		str_printf(s, quoted ? "`\"%s\"`" : "`%s`", o->fallback);
}

static void add_option(struct str *s, const struct option *o)
{
	str_printf(s, "| `%s` | ", o->path);
	option_add_expected(s, o);
	str_add_text(s, " | ");
	add_default(s, o);
	str_printf(s, " | %s | %s |\n", o->fixed ? "no" : "yes", o->help);
}

static void add_scope(struct str *s, const struct scope *scope)
{
	str_add_text(s, "\n## ");
	if (*scope->prefix)
		str_printf(s, "`%.*s`: ", (int)strlen(scope->prefix) - 1, scope->prefix);
	str_printf(s, "%s\n\n", scope->about);
	str_add_text(s, "| key | value | default | reload | meaning |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < scope->count; i++)
		add_option(s, &scope->options[i]);
	for (size_t i = 0; i < scope->count; i++) {
		const struct option *o = &scope->options[i];
		if (is_long(o))
			str_printf(s, "\nThe default of `%s`:\n\n```json\n%s\n```\n", o->path,
				   o->fallback);
	}
}

void options_write_markdown(struct str *s)
{
	str_add_text(s,
		     "# Options\n\n"
		     "Made by `slotgate help options` from `config/options_table.c`; do not "
		     "edit.\n\n"
		     "The configuration is one JSON object. A key with dots stands for objects in "
		     "objects: `queue.maxWait` is `{\"queue\": {\"maxWait\": ...}}`. A duration is "
		     "a text with a unit (`\"1500ms\"`, `\"300s\"`, `\"2m\"`, `\"1h\"`), a size a "
		     "number of bytes or a text (`\"64KiB\"`, `\"1MiB\"`, `\"2GiB\"`). *reload*: "
		     "whether a reload may change it. *required*: wherever the object around it is "
		     "given.\n");
	for (size_t i = 0; i < SCOPE_COUNT; i++)
		add_scope(s, &option_scopes[i]);
}
