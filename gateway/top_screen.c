/* What `slotgate top` shows, as text. */
#include "gateway/top_screen.h"

#include <stdio.h>
#include <string.h>

enum { TROUBLES_SHOWN = 5, NAME_COLUMNS = 30, STATE_COLUMNS = 12, SLOTS_SHOWN = 16, CELL = 160 };

#define BOLD   "1"
#define FAINT  "2"
#define RED    "31"
#define GREEN  "32"
#define YELLOW "33"
#define BLUE   "34"
#define VIOLET "35"

struct frame {
	struct str *out;
	struct top_look look;
	const char *line_end;
	int room;  /* columns left in this line */
	int lines; /* written */
};

/* --- writing ---------------------------------------------------------------------------------- */

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* As much of a text as there is room for; what could steer a terminal is shown as '?'. */
static void put(struct frame *f, const char *style, const char *text)
{
	bool styled = style && f->look.colour;
	if (styled)
		str_printf(f->out, "\033[%sm", style);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (!is_continuation(*text) && --f->room < 0)
			break;
		str_add_char(f->out, c < 0x20 || c == 0x7f ? '?' : *text);
	}
	if (f->room < 0)
		f->room = 0;
	if (styled)
		str_add_text(f->out, "\033[0m");
}

__attribute__((format(printf, 3, 4))) static void put_f(struct frame *f, const char *style,
							const char *format, ...)
{
	char text[CELL];
	va_list list;
	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	put(f, style, text);
}

/* A cell of a table, which ends where the next begins. */
static void put_cell(struct frame *f, const char *style, const char *text, int width)
{
	int before = f->room, room = f->room - width;
	f->room = before < width - 1 ? before : width - 1;
	int given = f->room;
	put(f, style, text);
	int used = given - f->room;
	f->room = before - used;
	while (f->room > 0 && f->room > room)
		put(f, NULL, " ");
}

static void end_line(struct frame *f)
{
	str_add_text(f->out, f->line_end);
	f->room = f->look.columns;
	f->lines++;
}

static bool has_room(const struct frame *f, int lines)
{
	return !f->look.lines || f->lines + lines < f->look.lines;
}

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

static void format_seconds(double s, char text[16])
{
	if (s < 0.9995)
		snprintf(text, 16, "%.0f ms", s * 1000);
	else
		snprintf(text, 16, s < 99.5 ? "%.1f s" : "%.0f s", s);
}

/* --- a service -------------------------------------------------------------------------------- */

static void draw_percentiles(struct frame *f, const struct json *history, const struct json *point,
			     const char *title, const char *prefix)
{
	static const char *const names[] = {"50", "90", "95", "99"};
	put_cell(f, FAINT, title, 11);
	for (int i = 0; i < 4; i++) {
		char column[16], value[16] = "-";
		double s;
		snprintf(column, sizeof(column), "%s%s", prefix, names[i]);
		if (point_number(history, point, column, &s))
			format_seconds(s, value);
		put_f(f, FAINT, "P%s ", names[i]);
		put_cell(f, NULL, value, 10);
	}
	end_line(f);
}

static void draw_head(struct frame *f, const struct json *service)
{
	long long at_work = number(service, "slots.granted") + number(service, "slots.working") +
			    number(service, "slots.draining") +
			    number(service, "slots.confirming") +
			    number(service, "slots.quarantined");
	long long most = number(service, "scale.maxScale");
	put(f, BOLD, text_of(service, "name"));
	end_line(f);
	put_f(f, NULL, "queue      %lld waiting of at most %lld", number(service, "queue.waiting"),
	      number(service, "queue.maxRequests"));
	end_line(f);
	put_f(f, NULL, "slots      %lld at work, %lld free", at_work,
	      number(service, "slots.free"));
	end_line(f);
	put_f(f, NULL, "pods       %lld ready, %lld starting, %lld wanted",
	      number(service, "scale.ready"), number(service, "scale.starting"),
	      number(service, "scale.desired"));
	if (most)
		put_f(f, NULL, ", at most %lld", most);
	end_line(f);
	const char *failure = text_of(json_get(service, "scale"), "failure");
	if (*failure) {
		put(f, RED, "no pod can be started: ");
		put(f, RED, failure);
		end_line(f);
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
	put_cell(f, FAINT, "answers", 11);
	for (int i = 0; i < 5; i++)
		put_f(f, NULL, "%s%.0f %s", i ? ", " : "", sums[i], titles[i]);
	put(f, FAINT, " in a minute");
	end_line(f);
}

static void draw_troubles(struct frame *f, const struct json *past)
{
	int shown = 0;
	JSON_EACH(trouble, json_get(past, "troubles")) {
		if (shown++ == TROUBLES_SHOWN || !has_room(f, 2))
			return;
		put(f, RED, text_of(trouble, "kind"));
		put(f, NULL, ": ");
		put(f, NULL, text_of(trouble, "what"));
		put_f(f, FAINT, " x %lld ", number(trouble, "count"));
		put(f, FAINT, text_of(trouble, "pod"));
		end_line(f);
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
	put_cell(f, NULL, text_of(pod, "name"), NAME_COLUMNS);
	put_cell(f, style, state, STATE_COLUMNS);
	put_cell(f, FAINT, since, 10);
	put_cell(f, style, bar, SLOTS_SHOWN + 2);
	if (!used)
		put(f, FAINT, text_of(pod, "lastAnswer"));
	end_line(f);
}

static void draw_pods(struct frame *f, const struct json *pods)
{
	size_t left = json_count(pods);
	if (!left) {
		put(f, FAINT, "no pods");
		end_line(f);
	}
	JSON_EACH(pod, pods) {
		if (!has_room(f, left > 1 ? 2 : 1)) {
			put_f(f, FAINT, "and %zu more pods", left);
			end_line(f);
			return;
		}
		draw_pod(f, pod);
		left--;
	}
}

void top_draw(struct str *out, const struct json *services, const struct json *history,
	      struct top_look look, const char *line_end)
{
	struct frame f = {.out = out, .look = look, .line_end = line_end, .room = look.columns};
	enum { LINES_AT_LEAST = 9 };
	size_t left = json_count(json_get(services, "services"));
	JSON_EACH(service, json_get(services, "services")) {
		if (!has_room(&f, LINES_AT_LEAST) && f.lines) {
			if (has_room(&f, 1)) {
				put_f(&f, FAINT, "and %zu more services", left);
				end_line(&f);
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
		if (--left && has_room(&f, 1))
			end_line(&f);
	}
}
