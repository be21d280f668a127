/* A pod's command and environment, with {port} and {index} filled in. */
#include "activator/providers/process_spec.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* NULL: no memory. */
static char *fill_in(const char *text, int port, int index)
{
	struct str out;
	str_init(&out);
	str_add(&out, "", 0);
	for (const char *c = text; *c;) {
		if (starts_with(c, "{port}")) {
			str_printf(&out, "%d", port);
			c += strlen("{port}");
		} else if (starts_with(c, "{index}")) {
			str_printf(&out, "%d", index);
			c += strlen("{index}");
		} else {
			str_add_char(&out, *c++);
		}
	}
	char *filled = out.failed ? NULL : mem_copy(out.at ? out.at : "", out.len + 1);
	str_release(&out);
	return filled;
}

static void free_texts(char **texts)
{
	for (char **t = texts; t && *t; t++)
		mem_free(*t);
	mem_free(texts);
}

/* NULL: no memory. */
static char **fill_in_all(char *const *texts, int port, int index)
{
	size_t count = 0;
	while (texts && texts[count])
		count++;
	char **filled = mem_zalloc((count + 1) * sizeof(*filled));
	for (size_t i = 0; filled && i < count; i++) {
		filled[i] = fill_in(texts[i], port, index);
		if (!filled[i]) {
			free_texts(filled);
			return NULL;
		}
	}
	return filled;
}

bool process_spec_init(struct process_spec *spec, const struct process_pods_config *config,
		       int port, int index)
{
	spec->argv = fill_in_all(config->command, port, index);
	spec->env = fill_in_all(config->env, port, index);
	spec->child = (struct child_spec){
		.argv = spec->argv,
		.env = spec->env,
		.directory = config->directory,
		.grace_us = config->stop_grace_us,
	};
	if (spec->argv && spec->env)
		return true;
	process_spec_release(spec);
	return false;
}

void process_spec_release(struct process_spec *spec)
{
	free_texts(spec->argv);
	free_texts(spec->env);
	spec->argv = spec->env = NULL;
}
