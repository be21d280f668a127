/* Reads Accept headers. */
#include "metrics/accept.h"

#include <string.h>
#include <strings.h>

enum { QUALITY_MAX = 1000 };

/* How closely a range describes a type; the closest one counts. */
enum fit { FIT_NONE, FIT_ANY, FIT_MAIN_TYPE, FIT_TYPE, FIT_VERSION };

/* Takes what is before the next separator, trimmed; false at the end. */
static bool next_part(struct slice *rest, char separator, struct slice *part)
{
	if (!rest->len)
		return false;
	const char *end = memchr(rest->at, separator, rest->len);
	size_t n = end ? (size_t)(end - rest->at) : rest->len;
	size_t used = end ? n + 1 : n;
	*part = slice_trim((struct slice){rest->at, n});
	rest->at += used;
	rest->len -= used;
	return true;
}

/* "0.5" in thousandths; what is no quality is none. */
static int parse_quality(struct slice s)
{
	if (!s.len || s.len > 5 || (s.at[0] != '0' && s.at[0] != '1'))
		return 0;
	int quality = (s.at[0] - '0') * QUALITY_MAX;
	if (s.len > 1 && s.at[1] != '.')
		return 0;
	int unit = QUALITY_MAX / 10;
	for (size_t i = 2; i < s.len; i++, unit /= 10) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return 0;
		quality += (s.at[i] - '0') * unit;
	}
	return quality > QUALITY_MAX ? 0 : quality;
}

static struct slice unquote(struct slice s)
{
	bool quoted = s.len >= 2 && s.at[0] == '"' && s.at[s.len - 1] == '"';
	return quoted ? (struct slice){s.at + 1, s.len - 2} : s;
}

static enum fit fit_type(struct slice range, const char *type)
{
	if (slice_is_nocase(range, type))
		return FIT_TYPE;
	if (slice_is(range, "*/*"))
		return FIT_ANY;
	size_t main_len = (size_t)(strchr(type, '/') - type) + 1; /* with the slash */
	bool is_main = range.len == main_len + 1 && range.at[main_len] == '*' &&
		       strncasecmp(range.at, type, main_len) == 0;
	return is_main ? FIT_MAIN_TYPE : FIT_NONE;
}

/* Reads one range with its parameters. */
static enum fit fit_range(struct slice range, const char *type, const char *version, int *quality)
{
	struct slice part;
	*quality = QUALITY_MAX;
	if (!next_part(&range, ';', &part))
		return FIT_NONE;
	enum fit fit = fit_type(part, type);
	while (fit != FIT_NONE && next_part(&range, ';', &part)) {
		struct slice name = {0};
		if (!next_part(&part, '=', &name))
			continue;
		struct slice value = unquote(slice_trim(part));
		if (slice_is_nocase(name, "q"))
			*quality = parse_quality(value);
		else if (slice_is_nocase(name, "version"))
			fit = fit == FIT_TYPE && slice_is(value, version) ? FIT_VERSION : FIT_NONE;
	}
	return fit;
}

static int best_quality(struct slice accept, const char *type, const char *version,
			enum fit at_least)
{
	struct slice range;
	enum fit best = FIT_NONE;
	int best_quality_yet = 0;
	while (slice_next_in_list(&accept, &range)) {
		int quality;
		enum fit fit = fit_range(range, type, version, &quality);
		if (fit < at_least || fit < best)
			continue;
		if (fit > best || quality > best_quality_yet)
			best_quality_yet = quality;
		best = fit;
	}
	return best_quality_yet;
}

int accept_quality(struct slice accept, const char *type, const char *version)
{
	if (!slice_trim(accept).len)
		return QUALITY_MAX;
	return best_quality(accept, type, version, FIT_ANY);
}

int accept_quality_by_name(struct slice accept, const char *type, const char *version)
{
	return best_quality(accept, type, version, FIT_TYPE);
}
