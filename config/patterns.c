/*
 * Which pattern a request matches.
 *
 * Servers decode and tidy a path before they route it, each in its way. So that no spelling of a
 * route gets past its pattern, a path that is not in normal form is compared twice: as it was sent,
 * and normalised (decoded once, without dot segments and repeated slashes, with and without its
 * last slash). Matching one of them is matching, where that is the safe side; where a match lets a
 * request in, all must match.
 */
#include <string.h>

#include "config/config.h"
#include "config/parts.h"

/* A normalised path longer than this is taken for a match: no route is so long, and a match is the
 * safe side (it is blocked, or takes a slot). */
enum { NORMAL_MAX = 4096 };

/* --- wildcards --------------------------------------------------------------------------- */

/* Piece by piece, each at the first place where it fits: linear in the path for each piece. */
static bool wildcard_matches(const char *pattern, struct slice text)
{
	size_t n = strcspn(pattern, "*");
	if (pattern[n] == '\0')
		return slice_is(text, pattern);
	if (text.len < n || memcmp(text.at, pattern, n) != 0)
		return false;
	const char *at = text.at + n, *end = text.at + text.len;
	for (pattern += n + 1;; pattern += n + 1) {
		n = strcspn(pattern, "*");
		if (pattern[n] == '\0')
			return (size_t)(end - at) >= n && memcmp(end - n, pattern, n) == 0;
		at = memmem(at, (size_t)(end - at), pattern, n);
		if (!at)
			return false;
		at += n;
	}
}

/* --- normal form ------------------------------------------------------------------------- */

static struct slice without_query(struct slice path)
{
	const char *query = memchr(path.at, '?', path.len);
	return query ? (struct slice){path.at, (size_t)(query - path.at)} : path;
}

/* Behind a slash: whether the segment there is "", "." or ".." (which a normal path has not). */
static bool is_odd_segment(const char *at, const char *end)
{
	size_t dots = 0;
	while (dots < 2 && at + dots < end && at[dots] == '.')
		dots++;
	return at + dots == end || at[dots] == '/';
}

static bool has_odd_segment(struct slice path)
{
	const char *end = path.at + path.len;
	for (const char *c = path.at; c < end; c++)
		if (*c == '/' && is_odd_segment(c + 1, end))
			return true;
	return false;
}

/* Whether normalising a path would leave it as it is. */
static bool is_normal(struct slice path)
{
	if (!path.len || path.at[0] != '/' || memchr(path.at, '%', path.len) ||
	    memchr(path.at, '#', path.len))
		return false;
	return path.len == 1 || !has_odd_segment(path);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes one byte off a path, decoded. */
static char next_byte(const char **at, const char *end)
{
	const char *c = *at;
	if (*c == '%' && end - c > 2 && hex_digit(c[1]) >= 0 && hex_digit(c[2]) >= 0) {
		*at += 3;
		return (char)(hex_digit(c[1]) * 16 + hex_digit(c[2]));
	}
	*at += 1;
	return *c;
}

struct normal {
	char path[NORMAL_MAX + 1]; /* one more for the slash of an unfinished segment */
	size_t len;
};

/* At the end of a segment: drops it if it is "" or ".", and for ".." the one before it as well. It
 * begins behind the last slash, and the path always begins with one. */
static void close_segment(struct normal *n)
{
	const char *slash = memrchr(n->path, '/', n->len);
	size_t begin = (size_t)(slash - n->path) + 1;
	struct slice segment = {slash + 1, n->len - begin};
	if (slice_is(segment, "..")) {
		n->len = begin - 1;
		slash = memrchr(n->path, '/', n->len);
		n->len = slash ? (size_t)(slash - n->path) + 1 : 1;
	} else if (slice_is(segment, ".")) {
		n->len = begin;
	} else if (segment.len) {
		n->path[n->len++] = '/';
	}
}

/* Where the path of a target begins: "http://host/x" is what a proxy is sent. */
static const char *path_begin(struct slice target)
{
	const char *end = target.at + target.len;
	const char *scheme_end = memmem(target.at, target.len, "://", 3);
	if (!target.len || *target.at == '/' || !scheme_end)
		return target.at;
	const char *slash = memchr(scheme_end + 3, '/', (size_t)(end - scheme_end - 3));
	return slash ? slash : end;
}

/* The normal form, ending in a slash if the path does. False: it is too long. */
static bool normalise(struct slice target, struct normal *n)
{
	const char *at = path_begin(target), *end = target.at + target.len;
	const char *fragment = memchr(at, '#', (size_t)(end - at));
	if (fragment)
		end = fragment;
	n->path[0] = '/';
	n->len = 1;
	while (at < end) {
		char c = next_byte(&at, end);
		if (c == '/')
			close_segment(n);
		else
			n->path[n->len++] = c;
		if (n->len > NORMAL_MAX)
			return false;
	}
	/* A last "." or ".." stands for the directory, and ends in its slash. */
	const char *last = memrchr(n->path, '/', n->len);
	struct slice segment = {last + 1, (size_t)(n->path + n->len - last - 1)};
	if (slice_is(segment, ".") || slice_is(segment, ".."))
		close_segment(n);
	return true;
}

/* --- matching ---------------------------------------------------------------------------- */

/* A path in the forms that are compared. */
struct forms {
	struct slice sent;
	struct slice normal; /* NULL: the path is in normal form */
	bool too_long;
};

static bool path_matches(const char *pattern, const struct forms *f)
{
	if (f->too_long || wildcard_matches(pattern, f->sent))
		return true;
	if (!f->normal.at)
		return false;
	struct slice bare = f->normal;
	if (bare.len > 1 && bare.at[bare.len - 1] == '/')
		bare.len--;
	return wildcard_matches(pattern, f->normal) || wildcard_matches(pattern, bare);
}

/* No server that reads the path in its own way is led elsewhere. */
static bool path_surely_matches(const char *pattern, const struct forms *f)
{
	struct forms normal = {.sent = f->normal.at ? f->normal : f->sent, .normal = f->normal};
	return !f->too_long && wildcard_matches(pattern, f->sent) && path_matches(pattern, &normal);
}

static struct forms forms_of(struct slice path, struct normal *normal)
{
	struct forms f = {.sent = without_query(path)};
	if (!is_normal(f.sent)) {
		f.too_long = !normalise(f.sent, normal);
		f.normal = (struct slice){normal->path, normal->len};
	}
	return f;
}

/* A pod may take "post" for POST: a job under that name is a job all the same. */
static bool method_matches(const struct slot_pattern *p, struct slice method)
{
	return strcmp(p->method, "*") == 0 || slice_is_nocase(method, p->method);
}

/* Many pods answer a HEAD by doing all that a GET does, but for the body. */
static bool does_the_same(const struct slot_pattern *p, struct slice method)
{
	return method_matches(p, method) ||
	       (strcmp(p->method, "GET") == 0 && slice_is_nocase(method, "HEAD"));
}

const struct slot_pattern *slot_pattern_match(const struct slot_pattern *patterns, size_t count,
					      struct slice method, struct slice path)
{
	struct normal normal;
	struct forms f = forms_of(path, &normal);
	for (const struct slot_pattern *p = patterns; p < patterns + count; p++)
		if (does_the_same(p, method) && path_matches(p->path, &f))
			return p;
	return NULL;
}

bool slot_pattern_surely_matches(const struct slot_pattern *patterns, size_t count,
				 struct slice method, struct slice path)
{
	struct normal normal;
	struct forms f = forms_of(path, &normal);
	for (const struct slot_pattern *p = patterns; p < patterns + count; p++)
		if (method_matches(p, method) && path_surely_matches(p->path, &f))
			return true;
	return false;
}

const char *pattern_fault(const char *path)
{
	if (*path != '/' && *path != '*')
		return "its path must begin with \"/\" or \"*\"";
	if (strchr(path, '?'))
		return "paths are compared without their query: end it before the \"?\"";
	if (strpbrk(path, "%#"))
		return "paths are compared decoded: write it without \"%\" and \"#\"";
	struct slice bare = slice_of(path);
	if (bare.len && bare.at[bare.len - 1] == '/')
		bare.len--;
	if (has_odd_segment(bare))
		return "paths are compared in normal form: write it without \"//\" and dot "
		       "segments";
	return NULL;
}
