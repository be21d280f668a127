/* Tables of units, and numbers with one of them. */
#include "config/units.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define EXACT_MAX 9007199254740992.0 /* 2^53: above it doubles skip whole numbers */

struct unit {
	const char *name;
	double factor;
};

/* Largest first; the last one is what a value is shown in when none divides it. */
static const struct unit durations[] = {
	{"h", 3600.0 * US_PER_S},
	{"m", 60.0 * US_PER_S},
	{"s", US_PER_S},
	{"ms", US_PER_MS},
	{NULL, 0},
};
static const struct unit sizes[] = {
	{"TiB", 1099511627776.0},
	{"GiB", 1073741824.0},
	{"MiB", 1048576.0},
	{"KiB", 1024.0},
	{"", 1.0},
	{NULL, 0},
};

bool units_is_whole(double n)
{
	return n >= -EXACT_MAX && n <= EXACT_MAX && n == (double)(int64_t)n;
}

static bool parse(const struct unit *units, const char *text, double *value)
{
	static const char digits[] = "0123456789";
	size_t n = strspn(text, digits);
	if (!n)
		return false;
	if (text[n] == '.') {
		size_t fraction = strspn(text + n + 1, digits);
		if (!fraction)
			return false;
		n += 1 + fraction;
	}
	for (const struct unit *u = units; u->name; u++) {
		if (strcmp(text + n, u->name) == 0) {
			*value = strtod(text, NULL) * u->factor;
			return true;
		}
	}
	return false;
}

static void add(struct str *s, const struct unit *units, double value)
{
	const struct unit *u = units;
	while (u[1].name && (value == 0 || !units_is_whole(value / u->factor)))
		u++;
	str_printf(s, "%.15g%s", value / u->factor, u->name);
}

bool units_parse_duration(const char *text, double *us)
{
	if (!parse(durations, text, us))
		return false;
	if (*us < EXACT_MAX) /* 0.1 has no exact double; anything larger is out of every range */
		*us = (double)(int64_t)(*us + 0.5);
	return true;
}

bool units_parse_size(const char *text, double *bytes)
{
	return parse(sizes, text, bytes) && units_is_whole(*bytes);
}

void units_add_duration(struct str *s, double us)
{
	if (us == 0)
		str_add_text(s, "0s");
	else
		add(s, durations, us);
}

void units_add_size(struct str *s, double bytes)
{
	add(s, sizes, bytes);
}
