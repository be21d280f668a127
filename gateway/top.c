/* `slotgate top`: asks the admin address each second, and draws. */
#include "gateway/top.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/http_client.h"
#include "base/json.h"
#include "base/loop.h"
#include "base/str.h"
#include "gateway/top_screen.h"

enum {
	USAGE = 2,
	URL_BYTES = 512,
	HEADER_BYTES = 4200,
	SECRET_BYTES = 4096,
	MOST_BYTES = 16 << 20
};

static const char home[] = "\033[H", clear_rest[] = "\033[J", line_end[] = "\033[K\n";
static const char begin_screen[] = "\033[?1049h\033[?25l", end_screen[] = "\033[?25h\033[?1049l";

struct top {
	struct loop *loop;
	struct http_client *http;
	struct timer timer;
	struct io keys;
	struct http_exchange *asking;
	char base[URL_BYTES];
	char authorization[HEADER_BYTES];
	bool once, is_terminal;
	int status;
	struct termios before; /* how the terminal was */
	bool is_raw;
	struct json *services;
};

/* --- the terminal ----------------------------------------------------------------------------- */

static struct top_look look_of(const struct top *t)
{
	const char *plain = getenv("NO_COLOR");
	struct winsize size = {0};
	struct top_look look = {.columns = 100};
	if (t->is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col) {
		look.columns = size.ws_col;
		look.lines = t->once ? 0 : size.ws_row;
	}
	look.colour = t->is_terminal && !(plain && *plain);
	return look;
}

static void write_all(const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, bytes, len);
		if (n <= 0)
			return;
		bytes += n;
		len -= (size_t)n;
	}
}

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
	write_all(begin_screen, sizeof(begin_screen) - 1);
}

static void give_terminal_back(struct top *t)
{
	if (!t->is_terminal || t->once)
		return;
	write_all(end_screen, sizeof(end_screen) - 1);
	if (t->is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &t->before);
}

/* --- asking and drawing ------------------------------------------------------------------------ */

static void ask(struct top *t, const char *path, http_client_fn *fn);

static void stop(struct top *t, int status)
{
	t->status = status;
	loop_stop(t->loop);
}

static void draw(struct top *t, const struct json *history)
{
	struct str frame;
	bool on_screen = t->is_terminal && !t->once;
	str_init(&frame);
	if (on_screen)
		str_add_text(&frame, home);
	top_draw(&frame, t->services, history, look_of(t), on_screen ? line_end : "\n");
	if (on_screen)
		str_add_text(&frame, clear_rest);
	if (!frame.failed)
		write_all(frame.at, frame.len);
	str_release(&frame);
}

static void fail(struct top *t, const char *what, const char *why)
{
	if (t->once || !t->is_terminal) {
		fprintf(stderr, "slotgate: %s%s: %s%s\n", t->base, what, why,
			strstr(why, "secret") ? ""
					      : "; is slotgate running, and is this its admin "
						"address (--admin)?");
		stop(t, 1);
		return;
	}
	struct str text;
	str_init(&text);
	str_printf(&text, "%s%s%s: %s; trying again, q leaves%s", home, t->base, what, why,
		   line_end);
	str_add_text(&text, clear_rest);
	write_all(text.at, text.len);
	str_release(&text);
	timer_set(&t->timer, loop_now_us(t->loop) + US_PER_S);
}

/* The answer as JSON; NULL: it has been told why it is none. */
static struct json *read_answer(struct top *t, const char *path, const struct http_client_result *r)
{
	struct json_error fault;
	char why[64];
	t->asking = NULL;
	if (r->error != HTTP_CLIENT_OK) {
		fail(t, path, *r->text ? r->text : "no answer");
		return NULL;
	}
	if (r->status == 401) {
		fail(t, path, "asks for a secret: give --token-file FILE");
		return NULL;
	}
	snprintf(why, sizeof(why), "answers %d", r->status);
	struct json *told = r->status == 200 ? json_parse(r->body.at, r->body.len, &fault) : NULL;
	if (!told)
		fail(t, path, r->status == 200 ? fault.message : why);
	return told;
}

static void on_history(void *owner, const struct http_client_result *r)
{
	struct top *t = owner;
	struct json *history = read_answer(t, "/v1/history", r);
	if (!history)
		return;
	draw(t, history);
	json_free(history);
	if (t->once)
		stop(t, 0);
	else
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
	char url[URL_BYTES + 64];
	const char *headers[] = {*t->authorization ? t->authorization : NULL, NULL};
	snprintf(url, sizeof(url), "%s%s", t->base, path);
	t->asking = http_client_start(t->http,
				      &(struct http_client_request){.url = url,
								    .headers = headers,
								    .timeout_us = 5 * US_PER_S,
								    .max_body_bytes = MOST_BYTES,
								    .keep_alive = true},
				      fn, t);
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

static int misused(const char *why, const char *word, const char *between)
{
	fprintf(stderr, "slotgate: top: %s%s%s; see 'slotgate help'\n", word, between, why);
	return USAGE;
}

static int read_secret(struct top *t, const char *path)
{
	struct str text;
	str_init(&text);
	int error = file_read(path, SECRET_BYTES, &text);
	size_t len = error || !text.at ? 0 : strcspn(text.at, " \t\r\n");
	if (len)
		snprintf(t->authorization, sizeof(t->authorization), "Authorization: Bearer %.*s",
			 (int)len, text.at);
	str_release(&text);
	return len ? 0 : misused(error ? strerror(error) : "there is no secret in it", path, ": ");
}

static int read_words(struct top *t, int argc, char **argv)
{
	const char *admin = "127.0.0.1:9090";
	for (int i = 0; i < argc; i++) {
		bool has_value = i + 1 < argc;
		if (strcmp(argv[i], "--once") == 0)
			t->once = true;
		else if (strcmp(argv[i], "--admin") == 0 && has_value)
			admin = argv[++i];
		else if (strcmp(argv[i], "--token-file") == 0 && has_value) {
			if (read_secret(t, argv[++i]))
				return USAGE;
		} else
			return misused("unknown, or without its value", argv[i], ": ");
	}
	bool is_url = strncmp(admin, "http://", 7) == 0 || strncmp(admin, "https://", 8) == 0;
	size_t len = strlen(admin);
	while (len && admin[len - 1] == '/')
		len--;
	if (!len || len > URL_BYTES - 16)
		return misused("not an address", admin, ": ");
	snprintf(t->base, sizeof(t->base), "%s%.*s", is_url ? "" : "http://", (int)len, admin);
	return 0;
}

static bool start(struct top *t)
{
	t->loop = loop_new();
	t->http = t->loop ? http_client_new(t->loop) : NULL;
	if (!t->http || !timer_init(&t->timer, t->loop, on_timer, t))
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
	t->is_terminal = isatty(STDOUT_FILENO);
	if (read_words(t, argc, argv))
		return USAGE;
	if (!start(t))
		return misused("out of memory", "", "");
	take_terminal(t);
	timer_set(&t->timer, 0);
	loop_run(t->loop);
	give_terminal_back(t);
	http_client_cancel(t->asking);
	json_free(t->services);
	if (t->keys.fd >= 0)
		io_detach(&t->keys);
	timer_release(&t->timer);
	http_client_free(t->http);
	loop_free(t->loop);
	return t->status;
}
