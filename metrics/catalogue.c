/* The catalogue of metrics as a table, and as a page for people. */
#include "metrics/catalogue.h"

#include <assert.h>
#include <string.h>

#define LABELS(...)                                                                                \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define NO_LABELS LABELS(NULL)
#define METRIC(id, kind, scale, name, labels, help)                                                \
	[METRIC_##id] = {name, METRIC_KIND_##kind, METRIC_SCALE_##scale, labels, help},

static const struct metric_info catalogue[METRIC_COUNT] = {
#include "metrics/catalogue.def"
};

const struct metric_info *catalogue_get(enum metric m)
{
	assert(m < METRIC_COUNT);
	return &catalogue[m];
}

const char *catalogue_kind_name(enum metric_kind kind)
{
	static const char *const names[] = {
		[METRIC_KIND_COUNTER] = "counter",
		[METRIC_KIND_GAUGE] = "gauge",
		[METRIC_KIND_HISTOGRAM] = "histogram",
	};
	return names[kind];
}

size_t catalogue_label_count(enum metric m)
{
	const struct metric_info *info = catalogue_get(m);
	size_t n = 0;
	while (info->labels[n])
		n++;
	return n;
}

int catalogue_label_index(enum metric m, const char *label)
{
	const struct metric_info *info = catalogue_get(m);
	for (int i = 0; info->labels[i]; i++)
		if (strcmp(info->labels[i], label) == 0)
			return i;
	return -1;
}

static void write_row(struct str *out, const struct metric_info *info)
{
	str_printf(out, "| `%s` | %s | ", info->name, catalogue_kind_name(info->kind));
	for (size_t i = 0; info->labels[i]; i++)
		str_printf(out, "%s`%s`", i ? ", " : "", info->labels[i]);
	str_printf(out, " | %s |\n", info->help);
}

void catalogue_write_markdown(struct str *out)
{
	str_add_text(out, "# Metrics\n\n"
			  "Served at `/metrics` of the admin address. This page is printed from "
			  "`metrics/catalogue.def`; edit that.\n\n"
			  "Times are seconds, sizes bytes. A label with too many values folds the "
			  "surplus into `other`.\n\n"
			  "| Metric | Kind | Labels | What it counts |\n"
			  "|---|---|---|---|\n");
	for (size_t m = 0; m < METRIC_COUNT; m++)
		write_row(out, &catalogue[m]);
}
