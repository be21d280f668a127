/* List and watch. */
#include "activator/providers/kubernetes_watch.h"

#include <stdio.h>
#include <string.h>

#include "activator/providers/kubernetes_client.h"
#include "base/clock.h"

enum { STATUS_GONE = 410, STATUS_OK = 200 };

static const int64_t REST_US = 500 * US_PER_MS, REST_MAX_US = 30 * US_PER_S;

/* A server sends a bookmark about every minute: one that says nothing for longer is not there. */
static const int64_t SILENCE_US = 150 * US_PER_S, SLACK_US = 10 * US_PER_S;

/* The head of a watch's answer comes at once, whatever there is to say. */
static const int64_t ANSWER_US = 30 * US_PER_S;

/* A watch that ends sooner than this without an event has failed, whatever its status. */
static const int64_t SHORT_US = US_PER_S;

void kube_watch_init(struct kube_watch *w, const struct kube_sink *sink, void *owner,
		     int64_t timeout_s, uint64_t seed)
{
	*w = (struct kube_watch){.sink = sink,
				 .owner = owner,
				 .page_items = KUBE_PAGE_ITEMS,
				 .timeout_s = timeout_s,
				 .random = seed | 1};
	str_init(&w->line);
}

void kube_watch_release(struct kube_watch *w)
{
	str_release(&w->line);
}

/* xorshift64: from half of what is given to the whole. */
static int64_t jitter(struct kube_watch *w, int64_t us)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return us / 2 + (int64_t)(w->random % (uint64_t)(us / 2 + 1));
}

/* --- rest ------------------------------------------------------------------------------------ */

static void rest(struct kube_watch *w, int64_t until_us)
{
	w->state = KUBE_RESTING;
	w->rest_until_us = until_us;
	str_clear(&w->line);
}

static void fail(struct kube_watch *w, const char *why, int64_t now_us)
{
	int64_t us = REST_US;
	for (int i = 0; i < w->failures && us < REST_MAX_US; i++)
		us *= 2;
	if (us > REST_MAX_US)
		us = REST_MAX_US;
	w->failures++;
	w->faults++;
	snprintf(w->why, sizeof(w->why), "%s", why && *why ? why : "the connection ended");
	rest(w, now_us + jitter(w, us));
}

static void succeed(struct kube_watch *w)
{
	w->failures = 0;
	w->why[0] = '\0';
}

/* Its version is too old, or the token of its next page: all is listed anew, soon. */
static void start_over(struct kube_watch *w, int64_t now_us)
{
	w->is_current = false;
	w->next_page[0] = '\0';
	/* Served once it may be at once, but not in a circle. */
	bool is_circle = w->failures > 0 || now_us - w->began_us < SHORT_US;
	int shift = w->failures < 6 ? w->failures : 6;
	w->failures++; /* until the list is there */
	rest(w, now_us + (is_circle ? jitter(w, REST_US << shift) : 0));
}

/* --- asking ---------------------------------------------------------------------------------- */

static void ask_list(struct kube_watch *w, struct str *query)
{
	w->state = KUBE_LISTING;
	w->lists += !w->next_page[0];
	str_printf(query, "limit=%d", w->page_items);
	if (!w->next_page[0])
		return;
	str_add_text(query, "&continue=");
	kube_add_encoded(query, w->next_page);
}

static void ask_watch(struct kube_watch *w, struct str *query)
{
	w->state = KUBE_FOLLOWING;
	w->watches++;
	w->is_garbled = w->is_gone = w->is_open = w->heard = false;
	str_printf(query,
		   "watch=true&allowWatchBookmarks=true&timeoutSeconds=%lld&resourceVersion=",
		   (long long)w->timeout_s);
	kube_add_encoded(query, w->version);
}

/* One that stands, though nothing has happened yet, has not failed. */
static bool is_to_prove_itself(const struct kube_watch *w)
{
	return w->state == KUBE_FOLLOWING && w->is_open && w->failures;
}

enum kube_ask kube_watch_next(struct kube_watch *w, int64_t now_us, struct str *query)
{
	if (is_to_prove_itself(w) && now_us - w->began_us >= SHORT_US)
		succeed(w);
	if (w->state != KUBE_RESTING || now_us < w->rest_until_us)
		return KUBE_ASK_NOTHING;
	w->began_us = w->heard_us = now_us;
	if (w->is_current) {
		ask_watch(w, query);
		return KUBE_ASK_WATCH;
	}
	ask_list(w, query);
	return KUBE_ASK_LIST;
}

int64_t kube_watch_deadline_us(const struct kube_watch *w)
{
	int64_t patience_us = w->timeout_s * US_PER_S + SLACK_US;
	if (w->state == KUBE_RESTING)
		return w->rest_until_us;
	if (w->state == KUBE_LISTING)
		return INT64_MAX; /* its request has a limit of its own */
	if (!w->is_open)
		return w->began_us + ANSWER_US;
	if (is_to_prove_itself(w))
		return w->began_us + SHORT_US;
	return w->heard_us + (patience_us < SILENCE_US ? patience_us : SILENCE_US);
}

bool kube_watch_is_silent(const struct kube_watch *w, int64_t now_us)
{
	return w->state == KUBE_FOLLOWING && !is_to_prove_itself(w) &&
	       now_us >= kube_watch_deadline_us(w);
}

/* --- lists ----------------------------------------------------------------------------------- */

void kube_watch_listed(struct kube_watch *w, int status, const struct json *document,
		       const char *why, int64_t now_us)
{
	struct kube_list list;
	if (status == STATUS_GONE) {
		start_over(w, now_us);
		return;
	}
	if (status != STATUS_OK || !kube_list_read(document, &list)) {
		if (status == KUBE_TOO_LONG && w->page_items > 1)
			w->page_items /= 2; /* an object may have a megabyte */
		w->next_page[0] = '\0';
		fail(w, status == STATUS_OK && !*why ? "its list is no list" : why, now_us);
		return;
	}
	if (!w->next_page[0])
		w->sink->listing(w->owner);
	JSON_EACH(it, list.items)
		w->sink->put(w->owner, it);
	memcpy(w->next_page, list.next, sizeof(w->next_page));
	rest(w, now_us);
	if (w->next_page[0])
		return;
	memcpy(w->version, list.version, sizeof(w->version));
	w->is_current = w->is_synced = true;
	succeed(w);
	w->sink->synced(w->owner);
}

/* --- watches --------------------------------------------------------------------------------- */

static void on_fault(struct kube_watch *w, const struct json *object)
{
	struct kube_status status;
	kube_status_read(object, &status);
	w->is_gone = status.code == STATUS_GONE;
	w->is_garbled = !w->is_gone;
	snprintf(w->why, sizeof(w->why), "%s", status.message);
}

static void on_event(struct kube_watch *w, const struct kube_event *e)
{
	if (e->kind == KUBE_FAULT) {
		on_fault(w, e->object);
		return;
	}
	if (e->kind == KUBE_ADDED)
		w->sink->put(w->owner, e->object);
	else if (e->kind == KUBE_GONE)
		w->sink->gone(w->owner, e->object);
	memcpy(w->version, e->version, sizeof(w->version));
	w->heard = true;
	succeed(w);
}

static void on_line(struct kube_watch *w, const char *text, size_t len)
{
	struct json_error error;
	struct kube_event event;
	if (len && text[len - 1] == '\r')
		len--;
	if (!len)
		return;
	struct json *document = json_parse(text, len, &error);
	if (document && kube_event_read(document, &event))
		on_event(w, &event);
	else
		w->is_garbled = true;
	json_free(document);
}

/* Whole lines are read where they are; what is left of one is kept. */
bool kube_watch_feed(struct kube_watch *w, int status, struct slice bytes, int64_t now_us)
{
	w->heard_us = now_us;
	if (status != STATUS_OK) {
		if (w->line.len + bytes.len <= KUBE_REFUSAL_BYTES_MAX)
			str_add(&w->line, bytes.at, bytes.len);
		return true;
	}
	w->is_open = true;
	while (bytes.len && !w->is_garbled && !w->is_gone) {
		const char *end = memchr(bytes.at, '\n', bytes.len);
		size_t n = end ? (size_t)(end - bytes.at) : bytes.len;
		if (w->line.len + n > KUBE_LINE_BYTES_MAX) {
			w->is_garbled = true;
			snprintf(w->why, sizeof(w->why), "an event is longer than 4 MiB");
			break;
		}
		if (!end || w->line.len)
			str_add(&w->line, bytes.at, n);
		if (w->line.failed) {
			w->is_garbled = true;
			break;
		}
		if (end && w->line.len)
			on_line(w, w->line.at, w->line.len);
		else if (end)
			on_line(w, bytes.at, n);
		if (end)
			str_clear(&w->line);
		n += end != NULL;
		bytes.at += n;
		bytes.len -= n;
	}
	return !w->is_garbled && !w->is_gone;
}

struct slice kube_watch_refusal(const struct kube_watch *w, int status)
{
	bool is_any = status && status != STATUS_OK && !w->line.failed;
	return (struct slice){w->line.at, is_any ? w->line.len : 0};
}

void kube_watch_ended(struct kube_watch *w, int status, const char *why, int64_t now_us)
{
	bool is_short = now_us - w->began_us < SHORT_US && !w->heard;
	if (status == STATUS_GONE || w->is_gone) {
		start_over(w, now_us);
	} else if (w->is_garbled) {
		char text[sizeof(w->why)];
		snprintf(text, sizeof(text), "%s", w->why[0] ? w->why : "it says what is no event");
		/* Whatever it was, a list says what is true now. */
		w->is_current = false;
		fail(w, text, now_us);
	} else if (status == STATUS_OK && !*why && !is_short) {
		succeed(w);
		rest(w, now_us);
	} else {
		fail(w, why, now_us);
	}
}
