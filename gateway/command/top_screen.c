/* What `slotgate top` shows, as text. */
#include "gateway/command/top_screen.h"

#include <stdio.h>
#include <string.h>

enum { TROUBLES_SHOWN = 5, NAME_COLUMNS = 30, STATE_COLUMNS = 12, SLOTS_SHOWN = 16 };

/* --- reading ---------------------------------------------------------------------------------- */

static long long number(const struct json *at, const char *path)
{
	double value = 0;
	json_number(json_find(at, path), &value);
	return (long long)value;
}

static const char *text_of(const struct json *at, const char *key)
{
	const char *text = json_text(json_get(at, key));
	return text ? text : "";
}

static const struct json *past_of(const struct json *history, const char *name)
{
	JSON_EACH(s, json_get(history, "services"))
		if (strcmp(text_of(s, "name"), name) == 0)
			return s;
	return NULL;
}

static const struct json *last_point(const struct json *past)
{
	const struct json *last = NULL;
	JSON_EACH(point, json_get(past, "points"))
		last = point;
	return last;
}

/* A point's number by its column's name. False: it has none. */
static bool point_number(const struct json *history, const struct json *point, const char *name,
			 double *value)
{
	const struct json *it = json_first(point);
	JSON_EACH(column, json_get(history, "columns")) {
		const char *title = json_text(column);
		if (!it)
			break;
		if (title && strcmp(title, name) == 0)
			return json_number(it, value);
		it = json_next(it);
	}
	return false;
}

/* --- a service -------------------------------------------------------------------------------- */

static void draw_percentiles(struct frame *f, const struct json *history, const struct json *point,
			     const char *title, const char *prefix)
{
	static const char *const names[] = {"50", "90", "95", "99"};
	frame_cell(f, FAINT, title, 11);
	for (int i = 0; i < 4; i++) {
		char column[16], value[FRAME_SECONDS_BYTES] = "-";
		double s;
		snprintf(column, sizeof(column), "%s%s", prefix, names[i]);
		if (point_number(history, point, column, &s))
			frame_format_seconds(s, value);
		frame_put_f(f, FAINT, "P%s ", names[i]);
		frame_cell(f, NULL, value, 10);
	}
	frame_end_line(f);
}

static void draw_head(struct frame *f, const struct json *service)
{
	long long at_work = number(service, "slots.granted") + number(service, "slots.working") +
			    number(service, "slots.draining") +
			    number(service, "slots.confirming") +
			    number(service, "slots.quarantined");
	long long most = number(service, "scale.maxScale");
	frame_put(f, BOLD, text_of(service, "name"));
	frame_end_line(f);
	frame_put_f(f, NULL, "queue      %lld waiting of at most %lld",
		    number(service, "queue.waiting"), number(service, "queue.maxRequests"));
	frame_end_line(f);
	frame_put_f(f, NULL, "slots      %lld at work, %lld free", at_work,
		    number(service, "slots.free"));
	frame_end_line(f);
	frame_put_f(f, NULL, "pods       %lld ready, %lld starting, %lld wanted",
		    number(service, "scale.ready"), number(service, "scale.starting"),
		    number(service, "scale.desired"));
	if (most)
		frame_put_f(f, NULL, ", at most %lld", most);
	frame_end_line(f);
	const char *failure = text_of(json_get(service, "scale"), "failure");
	if (*failure) {
		frame_put(f, RED, "no pod can be started: ");
		frame_put(f, RED, failure);
		frame_end_line(f);
	}
}

/* What of a minute's answers was good: the columns of its points, added up. */
static void draw_answers(struct frame *f, const struct json *history, const struct json *past)
{
	static const char *const names[] = {"ok", "clientErrors", "serverErrors", "aborted",
					    "refused"};
	static const char *const titles[] = {"good", "4xx", "5xx", "left early", "refused"};
	enum { MINUTE = 12 };
	double sums[5] = {0};
	size_t count = json_count(json_get(past, "points")), at = 0;
	JSON_EACH(point, json_get(past, "points")) {
		double value;
		if (at++ + MINUTE < count)
			continue;
		for (int i = 0; i < 5; i++)
			if (point_number(history, point, names[i], &value))
				sums[i] += value;
	}
	frame_cell(f, FAINT, "answers", 11);
	for (int i = 0; i < 5; i++)
		frame_put_f(f, NULL, "%s%.0f %s", i ? ", " : "", sums[i], titles[i]);
	frame_put(f, FAINT, " in a minute");
	frame_end_line(f);
}

static void draw_troubles(struct frame *f, const struct json *past)
{
	int shown = 0;
	JSON_EACH(trouble, json_get(past, "troubles")) {
		if (shown++ == TROUBLES_SHOWN || !frame_has_room(f, 2))
			return;
		frame_put(f, RED, text_of(trouble, "kind"));
		frame_put(f, NULL, ": ");
		frame_put(f, NULL, text_of(trouble, "what"));
		frame_put_f(f, FAINT, " x %lld ", number(trouble, "count"));
		frame_put(f, FAINT, text_of(trouble, "pod"));
		frame_end_line(f);
	}
}

/* --- pods ------------------------------------------------------------------------------------- */

static const char *state_of(const struct json *pod, const char **style)
{
	static const struct {
		const char *state, *style;
	} styles[] = {{"starting", YELLOW}, {"checking", YELLOW}, {"ejected", RED},
		      {"ready", BLUE},	    {"quarantined", RED}, {"withdrawn", VIOLET},
		      {"full", GREEN},	    {"removing", VIOLET}};
	const char *state = text_of(pod, "state");
	*style = FAINT;
	for (size_t i = 0; i < sizeof(styles) / sizeof(*styles); i++)
		if (strcmp(styles[i].state, state) == 0)
			*style = styles[i].style;
	bool is_open = strcmp(state, "ready") == 0 || strcmp(state, "full") == 0;
	if (!is_open)
		return state;
	if (!number(pod, "used"))
		return "idle";
	*style = GREEN;
	return number(pod, "slots.draining") ? "draining" : "working";
}

static void draw_pod(struct frame *f, const struct json *pod)
{
	const char *style, *state = state_of(pod, &style);
	long long used = number(pod, "used"), capacity = number(pod, "capacity");
	char bar[SLOTS_SHOWN + 1] = "", since[16];
	for (int i = 0; i < SLOTS_SHOWN && i < capacity; i++) {
		bar[i] = i < used ? '#' : '.';
		bar[i + 1] = '\0';
	}
	snprintf(since, sizeof(since), "%lld s", number(pod, "stateSeconds"));
	frame_cell(f, NULL, text_of(pod, "name"), NAME_COLUMNS);
	frame_cell(f, style, state, STATE_COLUMNS);
	frame_cell(f, FAINT, since, 10);
	frame_cell(f, style, bar, SLOTS_SHOWN + 2);
	if (!used)
		frame_put(f, FAINT, text_of(pod, "lastAnswer"));
	frame_end_line(f);
}

static void draw_pods(struct frame *f, const struct json *pods)
{
	size_t left = json_count(pods);
	if (!left) {
		frame_put(f, FAINT, "no pods");
		frame_end_line(f);
	}
	JSON_EACH(pod, pods) {
		if (!frame_has_room(f, left > 1 ? 2 : 1)) {
			frame_put_f(f, FAINT, "and %zu more pods", left);
			frame_end_line(f);
			return;
		}
		draw_pod(f, pod);
		left--;
	}
}

void top_draw(struct str *out, const struct json *services, const struct json *history,
	      struct frame_look look)
{
	struct frame f;
	enum { LINES_AT_LEAST = 9 };
	frame_init(&f, out, look);
	size_t left = json_count(json_get(services, "services"));
	JSON_EACH(service, json_get(services, "services")) {
		if (!frame_has_room(&f, LINES_AT_LEAST) && f.lines) {
			if (frame_has_room(&f, 1)) {
				frame_put_f(&f, FAINT, "and %zu more services", left);
				frame_end_line(&f);
			}
			return;
		}
		const struct json *past = past_of(history, text_of(service, "name"));
		draw_head(&f, service);
		draw_answers(&f, history, past);
		draw_percentiles(&f, history, last_point(past), "response", "p");
		draw_percentiles(&f, history, last_point(past), "waiting", "waitP");
		draw_percentiles(&f, history, last_point(past), "work", "workP");
		draw_troubles(&f, past);
		draw_pods(&f, json_get(service, "pods"));
		if (--left && frame_has_room(&f, 1))
			frame_end_line(&f);
	}
}
