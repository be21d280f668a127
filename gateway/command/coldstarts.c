/* `slotgate coldstarts`: asks once, or reads a file, and draws. */
#include "gateway/command/coldstarts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/loop.h"
#include "gateway/command/admin_client.h"
#include "gateway/command/coldstarts_replay.h"
#include "gateway/command/coldstarts_screen.h"
#include "gateway/command/terminal.h"

enum { LAST_SHOWN = 8, FAILED = 1 };

static const char page[] = "/v1/coldstarts", standard_input[] = "/dev/stdin";

struct coldstarts_command {
	struct admin_client admin;
	struct loop *loop;
	struct coldstarts_choice choice;
	const char *file; /* NULL: the admin address is asked */
	bool as_json;
	int status;
};

/* --- its words ------------------------------------------------------------------------------- */

static bool take_word(struct coldstarts_command *c, int argc, char **argv, int *at)
{
	const char *word = argv[*at], *value = *at + 1 < argc ? argv[*at + 1] : NULL;
	char *end = NULL;
	if (strcmp(word, "--json") == 0) {
		c->as_json = true;
		return true;
	}
	if (value && strcmp(word, "--events") == 0) {
		c->file = strcmp(value, "-") == 0 ? standard_input : value;
	} else if (value && strcmp(word, "--service") == 0) {
		c->choice.service = value;
	} else if (value && strcmp(word, "--last") == 0) {
		long last = strtol(value, &end, 10);
		if (!*value || *end || last < 1)
			return false;
		c->choice.last = (size_t)last;
	} else {
		return false;
	}
	++*at;
	return true;
}

static int read_words(struct coldstarts_command *c, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		bool is_wrong = false;
		if (take_word(c, argc, argv, &i) ||
		    admin_client_word(&c->admin, argc, argv, &i, &is_wrong))
			continue;
		return is_wrong ? USAGE_STATUS
				: admin_client_misused(&c->admin, argv[i],
						       "unknown, or without its value");
	}
	return 0;
}

/* --- showing --------------------------------------------------------------------------------- */

static void show(struct coldstarts_command *c, const struct json *told)
{
	struct str frame;
	str_init(&frame);
	if (!coldstarts_draw(&frame, told, c->choice, terminal_look())) {
		fprintf(stderr, "slotgate: coldstarts: there is no service \"%s\"\n",
			c->choice.service);
		c->status = FAILED;
	}
	if (frame.failed)
		c->status = admin_client_misused(&c->admin, "", "out of memory");
	else if (!terminal_write(frame.at, frame.len))
		c->status = FAILED;
	str_release(&frame);
}

/* --- from a file ----------------------------------------------------------------------------- */

static int fault(const struct coldstarts_command *c, const char *why, const struct json_error *at)
{
	if (at && at->line)
		fprintf(stderr, "slotgate: coldstarts: %s:%zu:%zu: %s\n", c->file, at->line,
			at->column, why);
	else
		fprintf(stderr, "slotgate: coldstarts: %s: %s\n", c->file, why);
	return FAILED;
}

static int show_text(struct coldstarts_command *c, const struct str *text)
{
	struct json_error error = {0};
	if (text->failed)
		return fault(c, "out of memory", NULL);
	if (c->as_json)
		return terminal_write(text->at, text->len) ? 0 : FAILED;
	struct json *told = json_parse(text->at, text->len, &error);
	if (!told)
		return fault(c, error.message, NULL);
	show(c, told);
	json_free(told);
	return c->status;
}

static int replay(struct coldstarts_command *c)
{
	struct str text, out;
	struct json_error error = {0};
	char why[REPLAY_WHY_BYTES];
	str_init(&text);
	str_init(&out);
	int failed = file_read(c->file, JSON_MAX_BYTES, &text);
	struct json *document =
		failed ? NULL : json_parse(text.at ? text.at : "", text.len, &error);
	int status;
	if (failed)
		status = fault(c, failed == EFBIG ? "is longer than 16 MiB" : strerror(failed),
			       NULL);
	else if (!document)
		status = fault(c, error.message, &error);
	else if (!coldstarts_replay(document, c->file, &out, why))
		status = fault(c, why, NULL);
	else
		status = show_text(c, &out);
	json_free(document);
	str_release(&text);
	str_release(&out);
	return status;
}

/* --- from an admin address ------------------------------------------------------------------- */

static void on_answer(void *owner, const struct http_client_result *r)
{
	struct coldstarts_command *c = owner;
	char why[ADMIN_CLIENT_WHY_BYTES];
	struct json *told = admin_client_read(r, why);
	if (!told) {
		admin_client_tell(&c->admin, page, why);
		c->status = FAILED;
	} else if (!c->as_json) {
		show(c, told);
	} else if (!terminal_write(r->body.at, r->body.len)) {
		c->status = FAILED;
	}
	json_free(told);
	loop_stop(c->loop);
}

static int ask(struct coldstarts_command *c)
{
	c->loop = loop_new();
	c->admin.http = c->loop ? http_client_new(c->loop) : NULL;
	if (c->admin.http && admin_client_ask(&c->admin, page, on_answer, c))
		loop_run(c->loop);
	else
		c->status = admin_client_misused(&c->admin, "", "out of memory");
	http_client_free(c->admin.http);
	loop_free(c->loop);
	return c->status;
}

int coldstarts_run(int argc, char **argv)
{
	struct coldstarts_command c = {.choice = {.last = LAST_SHOWN}};
	admin_client_init(&c.admin, "coldstarts");
	int status = read_words(&c, argc, argv);
	if (status)
		return status;
	return c.file ? replay(&c) : ask(&c);
}
