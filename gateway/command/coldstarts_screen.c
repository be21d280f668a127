/* Cold starts as waterfalls, in text. */
#include "gateway/command/coldstarts_screen.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum { NAME_COLUMNS = 26, TIME_COLUMNS = 10, BAR_MIN = 10, BAR_MAX = 100, LABEL = 160 };

static double number(const struct json *at, const char *key)
{
	double value = 0;
	json_number(json_get(at, key), &value);
	return value;
}

static const char *text_of(const struct json *at, const char *key)
{
	const char *text = json_text(json_get(at, key));
	return text ? text : "";
}

static bool is_true(const struct json *at, const char *key)
{
	bool is = false;
	return json_bool(json_get(at, key), &is) && is;
}

/* --- one span -------------------------------------------------------------------------------- */

static const char *style_of(const char *phase)
{
	static const struct {
		const char *phase, *style;
	} styles[] = {{"order", VIOLET},    {"create", VIOLET}, {"trigger", YELLOW},
		      {"schedule", YELLOW}, {"prepare", CYAN},	{"pull_start", BLUE},
		      {"pull", BLUE},	    {"start", GREEN},	{"listen", GREEN},
		      {"ready", GREEN},	    {"check", CYAN},	{"request", VIOLET},
		      {"answer", GREEN}};
	for (size_t i = 0; i < sizeof(styles) / sizeof(*styles); i++)
		if (strcmp(styles[i].phase, phase) == 0)
			return styles[i].style;
	return FAINT;
}

/* "pull", or "prepare + pull_start" of which nobody told the border. */
static const char *label_of(const struct json *phases, char label[LABEL])
{
	size_t n = 0;
	label[0] = '\0';
	JSON_EACH(it, phases) {
		const char *phase = json_text(it);
		int wrote =
			snprintf(label + n, LABEL - n, "%s%s", n ? " + " : "", phase ? phase : "?");
		if (wrote < 0 || n + (size_t)wrote >= LABEL)
			break;
		n += (size_t)wrote;
	}
	return label;
}

static int bar_columns(const struct frame *f)
{
	int left = f->look.columns - NAME_COLUMNS - TIME_COLUMNS - 1;
	return left < BAR_MIN ? BAR_MIN : left > BAR_MAX ? BAR_MAX : left;
}

/* What has taken any time has a place of its own. */
static void draw_bar(struct frame *f, double from, double took, double whole, char mark,
		     const char *style)
{
	char bar[BAR_MAX + 1];
	int columns = bar_columns(f);
	if (took <= 0)
		return;
	double scale = whole > 0 ? columns / whole : 0;
	int begin = (int)fmin(fmax(from * scale, 0), columns - 1);
	int end = (int)fmin(fmax((from + took) * scale, 0), columns);
	if (end <= begin)
		end = begin + 1;
	for (int i = 0; i < end; i++)
		bar[i] = i < begin ? ' ' : mark;
	bar[end] = '\0';
	frame_put(f, style, bar);
}

static void draw_row(struct frame *f, const char *label, const char *style, double from,
		     double took, double whole, char mark)
{
	char time[FRAME_SECONDS_BYTES];
	/* A label that is too long for its cell has a line of its own. */
	frame_put(f, NULL, "  ");
	if (strlen(label) >= NAME_COLUMNS - 2) {
		frame_put(f, style, label);
		frame_end_line(f);
		label = "";
		frame_put(f, NULL, "  ");
	}
	frame_format_seconds(took, time);
	frame_cell(f, style, label, NAME_COLUMNS - 2);
	frame_cell(f, NULL, time, TIME_COLUMNS);
	draw_bar(f, from, took, whole, mark, style);
	frame_end_line(f);
}

static void draw_span(struct frame *f, const struct json *span, double whole)
{
	char label[LABEL];
	const struct json *phases = json_get(span, "phases");
	bool is_known = json_count(phases) == 1;
	label_of(phases, label);
	draw_row(f, label, is_known ? style_of(label) : FAINT, number(span, "from"),
		 number(span, "seconds"), whole, is_known ? '#' : '?');
}

/* --- one cold start -------------------------------------------------------------------------- */

static void draw_head(struct frame *f, const struct json *start)
{
	char when[CLOCK_TEXT_BYTES], time[FRAME_SECONDS_BYTES];
	const char *state = text_of(start, "state"), *node = text_of(start, "node");
	double at_ms;
	bool has_time = json_number(json_get(start, "at"), &at_ms);
	if (has_time)
		clock_format((int64_t)at_ms * US_PER_MS, when);
	frame_format_seconds(number(start, "seconds"), time);
	frame_put(f, BOLD, text_of(start, "pod"));
	frame_put_f(f, strcmp(state, "gone") == 0 ? RED : NULL, "  %.20s, %s", state,
		    has_time ? time : "of which no time is told");
	if (has_time)
		frame_put_f(f, FAINT, "  from %s", when);
	frame_end_line(f);
	bool is_told = *node || number(start, "imageBytes") > 0 || number(start, "restarts") > 0 ||
		       is_true(start, "imageWasThere") || is_true(start, "nodeAdded");
	if (!is_told)
		return;
	frame_put(f, NULL, " ");
	if (*node || is_true(start, "nodeAdded"))
		frame_put_f(f, FAINT, " node %.64s%s", *node ? node : "unknown",
			    is_true(start, "nodeAdded") ? " (added)" : "");
	if (number(start, "imageBytes") > 0)
		frame_put_f(f, FAINT, " image %.1f GB", number(start, "imageBytes") / 1e9);
	if (is_true(start, "imageWasThere"))
		frame_put(f, FAINT, " image was there");
	if (number(start, "restarts") > 0)
		frame_put_f(f, RED, " %.0f restarts", number(start, "restarts"));
	frame_end_line(f);
}

static void draw_start(struct frame *f, const struct json *start)
{
	double whole, spent = 0;
	bool goes_on = strcmp(text_of(start, "state"), "starting") == 0;
	draw_head(f, start);
	if (!json_number(json_get(start, "seconds"), &whole))
		return;
	JSON_EACH(span, json_get(start, "spans")) {
		draw_span(f, span, whole);
		spent = number(span, "from") + number(span, "seconds");
	}
	if (goes_on) {
		char label[LABEL];
		const char *since = text_of(start, "since");
		snprintf(label, sizeof(label), "since %.20s", *since ? since : "it was seen");
		draw_row(f, label, FAINT, spent, whole - spent, whole, '.');
	}
	draw_row(f, goes_on ? "so far" : "in all", BOLD, 0, whole, 0, ' ');
	if (*text_of(start, "why")) {
		frame_put(f, RED, "  ");
		frame_put(f, RED, text_of(start, "why"));
		frame_end_line(f);
	}
}

/* --- all of them ----------------------------------------------------------------------------- */

static const struct json *item(const struct json *list, size_t n)
{
	JSON_EACH(it, list)
		if (!n--)
			return it;
	return NULL;
}

static void draw_service(struct frame *f, const struct json *service, size_t last)
{
	const struct json *starts = json_get(service, "coldStarts");
	size_t count = json_count(starts);
	if (f->lines)
		frame_end_line(f);
	frame_put(f, BOLD, text_of(service, "name"));
	if (!count)
		frame_put(f, FAINT, ": no pod has been started");
	frame_end_line(f);
	for (size_t i = count < last ? count : last; i > 0; i--) {
		frame_end_line(f);
		draw_start(f, item(starts, i - 1));
	}
}

bool coldstarts_draw(struct str *out, const struct json *told, struct coldstarts_choice choice,
		     struct frame_look look)
{
	struct frame f;
	bool found = !choice.service;
	frame_init(&f, out, look);
	JSON_EACH(service, json_get(told, "services")) {
		if (choice.service && strcmp(choice.service, text_of(service, "name")) != 0)
			continue;
		found = true;
		draw_service(&f, service, choice.last);
	}
	return found;
}
