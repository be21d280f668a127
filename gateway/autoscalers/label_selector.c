/* Reads label selectors as k8s.io/apimachinery/pkg/labels does. */
#include "gateway/autoscalers/label_selector.h"

struct scan {
	const char *at, *end;
};

static const struct slice NO_LABEL = {NULL, 0};

static void skip_spaces(struct scan *s)
{
	while (s->at < s->end && *s->at && strchr(" \t\r\n", *s->at))
		s->at++;
}

static bool take(struct scan *s, const char *token)
{
	size_t n = strlen(token);
	skip_spaces(s);
	if ((size_t)(s->end - s->at) < n || memcmp(s->at, token, n) != 0)
		return false;
	s->at += n;
	return true;
}

/* Empty: there is none here. */
static struct slice take_word(struct scan *s)
{
	static const char ends[] = " \t\r\n=!(),<>";
	skip_spaces(s);
	const char *start = s->at;
	while (s->at < s->end && *s->at && !strchr(ends, *s->at))
		s->at++;
	return (struct slice){start, (size_t)(s->at - start)};
}

static bool is_same(struct slice a, struct slice b)
{
	return a.at && a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

/* "(a, b)". False: it is none. */
static bool take_set(struct scan *s, struct slice value, bool *has_value)
{
	*has_value = false;
	if (!take(s, "("))
		return false;
	do
		*has_value |= is_same(value, take_word(s));
	while (take(s, ","));
	return take(s, ")");
}

static enum label_selection selection(bool fits)
{
	return fits ? LABELS_FIT : LABELS_DIFFER;
}

static enum label_selection take_requirement(struct scan *s, label_find_fn *find, const void *arg)
{
	bool is_unwanted = take(s, "!"), has_value;
	struct slice key = take_word(s);
	if (!key.len)
		return LABELS_UNCLEAR;
	struct slice value = find(arg, key);
	if (is_unwanted)
		return selection(!value.at);
	if (take(s, "!="))
		return selection(!is_same(value, take_word(s)));
	if (take(s, "==") || take(s, "="))
		return selection(is_same(value, take_word(s)));
	struct slice word = take_word(s);
	if (!word.len)
		return selection(value.at != NULL);
	bool is_in = slice_is(word, "in");
	if ((!is_in && !slice_is(word, "notin")) || !take_set(s, value, &has_value))
		return LABELS_UNCLEAR;
	return selection(has_value == is_in);
}

enum label_selection label_selector_look(struct slice selector, label_find_fn *find,
					 const void *arg)
{
	enum label_selection all = LABELS_FIT;
	selector = slice_trim(selector);
	if (!selector.len)
		return LABELS_FIT;
	struct scan s = {selector.at, selector.at + selector.len};
	do {
		enum label_selection one = take_requirement(&s, find, arg);
		if (one == LABELS_UNCLEAR)
			return one;
		if (one == LABELS_DIFFER)
			all = one;
	} while (take(&s, ","));
	skip_spaces(&s);
	return s.at == s.end ? all : LABELS_UNCLEAR;
}

struct slice label_find_in_text(const void *arg, struct slice key)
{
	struct slice labels = slice_of(arg), label;
	while (slice_next_in_list(&labels, &label)) {
		const char *is = memchr(label.at, '=', label.len);
		size_t n = is ? (size_t)(is - label.at) : label.len;
		if (n == key.len && memcmp(label.at, key.at, n) == 0)
			return is ? (struct slice){is + 1, label.len - n - 1} : SLICE("");
	}
	return NO_LABEL;
}
