/* Lists and watches, asked. */
#include "activator/providers/kubernetes_follow.h"

#include <string.h>

#include "base/clock.h"

static const int64_t LIST_TIMEOUT_US = 60 * US_PER_S, SLACK_US = 30 * US_PER_S;

static void run(void *owner);

static int64_t now_of(const struct kube_follower *f)
{
	return loop_now_us(f->loop);
}

static void tell(struct kube_follower *f)
{
	f->changed(f->owner);
	loop_defer(f->loop, &f->task);
}

static void on_list(void *owner, const struct http_client_result *result)
{
	struct kube_follower *f = owner;
	struct kube_answer answer;
	f->exchange = NULL;
	kube_answer_read(f->client, result, &answer);
	int status = result->error == HTTP_CLIENT_TOO_LONG ? KUBE_TOO_LONG : answer.status;
	kube_answer_note_refusal(&answer, &f->refused_us, now_of(f));
	kube_watch_listed(&f->watch, status, answer.document, answer.why, now_of(f));
	json_free(answer.document);
	tell(f);
}

static void on_end(void *owner, const struct http_client_result *result)
{
	struct kube_follower *f = owner;
	struct kube_answer answer;
	struct http_client_result whole = *result; /* its body came in pieces */
	f->exchange = NULL;
	whole.body = kube_watch_refusal(&f->watch, result->status);
	kube_answer_read(f->client, &whole, &answer);
	kube_watch_ended(&f->watch, answer.status, answer.why, now_of(f));
	json_free(answer.document);
	tell(f);
}

static void cut(struct kube_follower *f, int status, const char *why)
{
	http_client_cancel(f->exchange);
	f->exchange = NULL;
	kube_watch_ended(&f->watch, status, why, now_of(f));
}

static void on_piece(void *owner, int status, struct slice bytes)
{
	struct kube_follower *f = owner;
	if (!kube_watch_feed(&f->watch, status, bytes, now_of(f)))
		cut(f, status, "");
	tell(f);
}

static void ask(struct kube_follower *f, enum kube_ask what, const struct str *query)
{
	bool is_list = what == KUBE_ASK_LIST;
	struct str path;
	str_init(&path);
	str_printf(&path, "%s%c%s", f->path.at, strchr(f->path.at, '?') ? '&' : '?', query->at);
	struct kube_request r = {
		.path = path.at,
		.timeout_us = is_list ? LIST_TIMEOUT_US : f->watch.timeout_s * US_PER_S + SLACK_US,
		.piece = is_list ? NULL : on_piece,
	};
	if (!path.failed && !query->failed)
		f->exchange = kube_client_send(f->client, &r, is_list ? on_list : on_end, f);
	str_release(&path);
	if (f->exchange)
		return;
	if (is_list)
		kube_watch_listed(&f->watch, 0, NULL, "no memory to ask", now_of(f));
	else
		kube_watch_ended(&f->watch, 0, "no memory to ask", now_of(f));
}

static void run(void *owner)
{
	struct kube_follower *f = owner;
	struct str query;
	if (!f->is_on)
		return;
	if (kube_watch_is_silent(&f->watch, now_of(f))) {
		cut(f, 0, "the watch has gone silent");
		f->changed(f->owner);
	}
	str_init(&query);
	enum kube_ask what = kube_watch_next(&f->watch, now_of(f), &query);
	if (what != KUBE_ASK_NOTHING)
		ask(f, what, &query);
	str_release(&query);
	int64_t at_us = kube_watch_deadline_us(&f->watch);
	if (at_us == INT64_MAX)
		timer_clear(&f->timer);
	else
		timer_set(&f->timer, at_us);
}

bool kube_follower_init(struct kube_follower *f, struct loop *loop, struct kube_client *client,
			const struct kube_sink *sink, void (*changed)(void *owner), void *owner)
{
	*f = (struct kube_follower){
		.client = client, .loop = loop, .changed = changed, .owner = owner};
	str_init(&f->path);
	task_init(&f->task, run, f);
	kube_watch_init(&f->watch, sink, owner, 1, (uint64_t)loop_now_us(loop) ^ (uintptr_t)f);
	return timer_init(&f->timer, loop, run, f);
}

void kube_follower_stop(struct kube_follower *f)
{
	f->is_on = false;
	http_client_cancel(f->exchange);
	f->exchange = NULL;
	timer_clear(&f->timer);
	task_cancel(&f->task);
}

void kube_follower_release(struct kube_follower *f)
{
	kube_follower_stop(f);
	timer_release(&f->timer);
	kube_watch_release(&f->watch);
	str_release(&f->path);
}

void kube_follower_start(struct kube_follower *f, const char *path, int64_t timeout_s)
{
	const struct kube_sink *sink = f->watch.sink;
	uint64_t seed = f->watch.random;
	f->watch.timeout_s = timeout_s;
	if (f->is_on && f->path.len && strcmp(f->path.at, path) == 0)
		return;
	kube_follower_stop(f);
	str_release(&f->path);
	str_add_text(&f->path, path);
	kube_watch_release(&f->watch);
	kube_watch_init(&f->watch, sink, f->owner, timeout_s, seed);
	f->is_on = !f->path.failed;
	loop_defer(f->loop, &f->task);
}

void kube_follower_hurry(struct kube_follower *f)
{
	if (f->watch.state != KUBE_RESTING)
		return;
	f->watch.rest_until_us = now_of(f);
	loop_defer(f->loop, &f->task);
}
