/* `slotgate top`: asks the admin address each second, and draws. */
#include "gateway/command/top.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/loop.h"
#include "base/str.h"
#include "gateway/command/admin_client.h"
#include "gateway/command/terminal.h"
#include "gateway/command/top_screen.h"

static const char home[] = "\033[H", clear_rest[] = "\033[J", line_end[] = "\033[K\n";
static const char begin_screen[] = "\033[?1049h\033[?25l", end_screen[] = "\033[?25h\033[?1049l";

struct top {
	struct loop *loop;
	struct admin_client admin;
	struct timer timer;
	struct io keys;
	struct http_exchange *asking;
	bool once, is_terminal;
	int status;
	struct termios before; /* how the terminal was */
	bool is_raw;
	struct json *services;
};

/* --- the terminal ----------------------------------------------------------------------------- */

static void take_terminal(struct top *t)
{
	if (!t->is_terminal || t->once)
		return;
	t->is_raw = tcgetattr(STDIN_FILENO, &t->before) == 0;
	if (t->is_raw) {
		struct termios raw = t->before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	terminal_write(begin_screen, sizeof(begin_screen) - 1);
}

static void give_terminal_back(struct top *t)
{
	if (!t->is_terminal || t->once)
		return;
	terminal_write(end_screen, sizeof(end_screen) - 1);
	if (t->is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &t->before);
}

/* --- asking and drawing ----------------------------------------------------------------------- */

static void ask(struct top *t, const char *path, http_client_fn *fn);

static void stop(struct top *t, int status)
{
	t->status = status;
	loop_stop(t->loop);
}

static void draw(struct top *t, const struct json *history)
{
	struct str frame;
	struct frame_look look = terminal_look();
	look.is_over = t->is_terminal && !t->once;
	look.lines = look.is_over ? look.lines : 0;
	str_init(&frame);
	if (look.is_over)
		str_add_text(&frame, home);
	top_draw(&frame, t->services, history, look);
	bool has_rest = frame.len && frame.at[frame.len - 1] == '\n';
	if (look.is_over)
		str_add_text(&frame, has_rest ? clear_rest : "");
	else if (!t->once)
		str_add_char(&frame, '\n'); /* the next one follows */
	if (!frame.failed && !terminal_write(frame.at, frame.len))
		stop(t, 1);
	str_release(&frame);
}

static void fail(struct top *t, const char *what, const char *why)
{
	if (t->once || !t->is_terminal) {
		admin_client_tell(&t->admin, what, why);
		stop(t, 1);
		return;
	}
	struct str text;
	str_init(&text);
	str_printf(&text, "%s%s%s: %s; trying again, q leaves%s", home, t->admin.base, what, why,
		   line_end);
	str_add_text(&text, clear_rest);
	terminal_write(text.at, text.len);
	str_release(&text);
	timer_set(&t->timer, loop_now_us(t->loop) + US_PER_S);
}

/* The answer as JSON; NULL: it has been told why it is none. */
static struct json *read_answer(struct top *t, const char *path, const struct http_client_result *r)
{
	char why[ADMIN_CLIENT_WHY_BYTES];
	t->asking = NULL;
	struct json *told = admin_client_read(r, why);
	if (!told)
		fail(t, path, why);
	return told;
}

static void on_history(void *owner, const struct http_client_result *r)
{
	struct top *t = owner;
	struct json *history = read_answer(t, "/v1/history", r);
	if (!history)
		return;
	if (t->once)
		stop(t, 0);
	draw(t, history);
	json_free(history);
	if (!t->once)
		timer_set(&t->timer, loop_now_us(t->loop) + US_PER_S);
}

static void on_services(void *owner, const struct http_client_result *r)
{
	struct top *t = owner;
	char path[64];
	struct json *services = read_answer(t, "/v1/services", r);
	if (!services)
		return;
	json_free(t->services);
	t->services = services;
	/* A little more than the minute that is shown. */
	snprintf(path, sizeof(path), "/v1/history?since=%lld",
		 (long long)((clock_wall_us() - 65 * US_PER_S) / US_PER_MS));
	ask(t, path, on_history);
}

static void ask(struct top *t, const char *path, http_client_fn *fn)
{
	t->asking = admin_client_ask(&t->admin, path, fn, t);
	if (!t->asking)
		fail(t, path, "out of memory");
}

static void on_timer(void *owner)
{
	struct top *t = owner;
	if (!t->asking)
		ask(t, "/v1/services", on_services);
}

static void on_signal(void *owner)
{
	stop(owner, 0);
}

static void on_resize(void *owner)
{
	struct top *t = owner;
	timer_set(&t->timer, loop_now_us(t->loop));
}

static void on_key(void *owner, unsigned what)
{
	struct top *t = owner;
	char key;
	(void)what;
	ssize_t n = read(STDIN_FILENO, &key, 1);
	if (n == 1 && (key == 'q' || key == 'Q'))
		stop(t, 0);
	else if (n == 0)
		io_watch(&t->keys, 0);
}

/* --- its words -------------------------------------------------------------------------------- */

static int read_words(struct top *t, int argc, char **argv)
{
	bool is_wrong;
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--once") == 0)
			t->once = true;
		else if (!admin_client_word(&t->admin, argc, argv, &i, &is_wrong))
			return is_wrong ? USAGE_STATUS
					: admin_client_misused(&t->admin, argv[i],
							       "unknown, or without its value");
	}
	return 0;
}

static bool start(struct top *t)
{
	t->loop = loop_new();
	t->admin.http = t->loop ? http_client_new(t->loop) : NULL;
	if (!t->admin.http || !timer_init(&t->timer, t->loop, on_timer, t))
		return false;
	if (!t->once && t->is_terminal && isatty(STDIN_FILENO))
		io_open_level(&t->keys, t->loop, STDIN_FILENO, IO_READ, on_key, t);
	return loop_on_signal(t->loop, SIGINT, on_signal, t) &&
	       loop_on_signal(t->loop, SIGTERM, on_signal, t) &&
	       loop_on_signal(t->loop, SIGWINCH, on_resize, t);
}

int top_run(int argc, char **argv)
{
	static struct top top;
	struct top *t = &top;
	t->keys.fd = -1;
	t->is_terminal = terminal_obeys();
	admin_client_init(&t->admin, "top");
	if (read_words(t, argc, argv))
		return USAGE_STATUS;
	if (!start(t))
		return admin_client_misused(&t->admin, "", "out of memory");
	take_terminal(t);
	timer_set(&t->timer, 0);
	loop_run(t->loop);
	give_terminal_back(t);
	http_client_cancel(t->asking);
	json_free(t->services);
	if (t->keys.fd >= 0)
		io_detach(&t->keys);
	timer_release(&t->timer);
	http_client_free(t->admin.http);
	loop_free(t->loop);
	return t->status;
}
