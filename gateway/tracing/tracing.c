/* Batches of spans for an OpenTelemetry collector. */
#include "gateway/tracing/tracing.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/http_client.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

static const int64_t SLICE_US = 60;
static const int64_t PAUSE_US = US_PER_S;	   /* before the second attempt; it doubles */
static const int64_t PAUSE_MAX_US = 60 * US_PER_S; /* though the collector asks for more */
static const int64_t FAREWELL_US = 2 * US_PER_S;

enum { ATTEMPTS_MAX = 5, ANSWER_BYTES_MAX = 64 << 10, HEADERS_MAX = 104, INSTANCE_DIGITS = 32 };

enum tracing_state {
	TRACING_IDLE,
	TRACING_WRITING,
	TRACING_WRITTEN,
	TRACING_SENDING,
	TRACING_PAUSING,
};

/* What becomes of spans. */
enum fate { EXPORTED, QUEUE_FULL, UNREACHABLE, REFUSED, NO_MEMORY, TURNED_OFF, FATES };

struct tracing {
	struct loop *loop;
	struct http_client *http;
	const struct tracing_config *config;
	enum tracing_state state;
	struct list waiting;
	int64_t waiting_spans;
	struct str batch;
	int64_t batch_spans; /* in it */
	int slices, attempts;
	int64_t longest_slice_us;
	struct http_exchange *exchange;
	struct timer timer; /* of the interval, or of the pause */
	struct task task;
	int64_t wall_us; /* see wall_of */
	bool is_faulty;	 /* which has been told in the log */
	struct metrics_counter *fates[FATES];
	struct span_resource resource;
	char instance[INSTANCE_DIGITS + 1], host[256];
	void (*done)(void *owner); /* it ends */
	void *owner;
};

static void move_on(struct tracing *t, enum tracing_state to)
{
	t->state = to;
}

const struct tracing_config *tracing_config(const struct tracing *t)
{
	return t->config;
}

static void count(struct tracing *t, enum fate fate, int64_t spans)
{
	metrics_add(t->fates[fate], (uint64_t)spans);
}

/* --- the end of a batch ---------------------------------------------------------------------- */

static void begin_batch(struct tracing *t);

static int64_t now_of(const struct tracing *t)
{
	return loop_now_us(t->loop);
}

static void wait_for_more(struct tracing *t)
{
	if (t->state != TRACING_IDLE || !t->config)
		return;
	if (t->waiting_spans >= t->config->batch_spans || (t->done && t->waiting_spans))
		begin_batch(t);
	else if (t->waiting_spans && !timer_is_set(&t->timer))
		timer_set(&t->timer, now_of(t) + t->config->interval_us);
}

static struct span *take_first(struct tracing *t)
{
	struct span *s = LIST_FIRST(&t->waiting, struct span, link);
	list_remove(&s->link);
	t->waiting_spans -= span_count(s);
	return s;
}

static void drop_waiting(struct tracing *t, enum fate fate)
{
	while (!list_is_empty(&t->waiting)) {
		struct span *s = take_first(t);
		count(t, fate, span_count(s));
		mem_free(s);
	}
}

static void end_batch(struct tracing *t, enum fate fate)
{
	count(t, fate, t->batch_spans);
	if (t->done && fate != EXPORTED)
		drop_waiting(t, fate); /* there is no time to try each batch */
	t->batch_spans = 0;
	t->attempts = 0;
	str_release(&t->batch);
	move_on(t, TRACING_IDLE);
	wait_for_more(t);
	if (t->done && t->state == TRACING_IDLE) {
		void (*done)(void *) = t->done;
		t->done = NULL;
		done(t->owner);
	}
}

/* Once for each time that it begins. */
static void tell(struct tracing *t, bool is_faulty, int status, const char *why)
{
	if (is_faulty && !t->is_faulty && status)
		log_warn("tracing: the collector at %s answers %d: spans may be lost",
			 t->config->url, status);
	else if (is_faulty && !t->is_faulty)
		log_warn("tracing: the collector at %s cannot be reached: %s", t->config->url, why);
	else if (!is_faulty && t->is_faulty)
		log_info("tracing: the collector at %s takes spans again", t->config->url);
	t->is_faulty = is_faulty;
}

/* It may take some spans and refuse others: {"partialSuccess": {"rejectedSpans": "3"}}. */
static int64_t rejected_of(struct slice body)
{
	struct json_error error;
	struct json *root = body.len ? json_parse(body.at, body.len, &error) : NULL;
	const struct json *value = json_find(root, "partialSuccess.rejectedSpans");
	const char *text = json_text(value);
	double number = 0;
	json_number(value, &number);
	for (; text && *text >= '0' && *text <= '9' && number < 1e9; text++)
		number = number * 10 + (*text - '0');
	json_free(root);
	return number > 0 && number < 1e9 ? (int64_t)number : 0;
}

static bool may_try_again(const struct http_client_result *r)
{
	return r->error != HTTP_CLIENT_OK || r->status == 429 || r->status == 502 ||
	       r->status == 503 || r->status == 504;
}

static int64_t pause_us(const struct tracing *t, const struct http_client_result *r)
{
	int64_t asked_us = r->retry_after_us < PAUSE_MAX_US ? r->retry_after_us : PAUSE_MAX_US;
	int64_t own_us = PAUSE_US << (t->attempts - 1);
	return asked_us > own_us ? asked_us : own_us;
}

static void on_answer(void *owner, const struct http_client_result *r)
{
	struct tracing *t = owner;
	bool is_taken = r->error == HTTP_CLIENT_OK && r->status / 100 == 2;
	t->exchange = NULL;
	tell(t, !is_taken, r->status, r->text);
	if (is_taken) {
		int64_t rejected = rejected_of(r->body);
		if (rejected > t->batch_spans)
			rejected = t->batch_spans;
		count(t, REFUSED, rejected);
		t->batch_spans -= rejected;
		end_batch(t, EXPORTED);
	} else if (!may_try_again(r)) {
		end_batch(t, REFUSED);
	} else if (t->attempts >= ATTEMPTS_MAX || t->done) {
		end_batch(t, UNREACHABLE);
	} else {
		move_on(t, TRACING_PAUSING);
		timer_set(&t->timer, now_of(t) + pause_us(t, r));
	}
}

/* --- sending --------------------------------------------------------------------------------- */

static void send_batch(struct tracing *t)
{
	const struct tracing_config *c = t->config;
	const char *headers[HEADERS_MAX] = {"Content-Type: application/json"};
	struct str bearer;
	size_t n = 1;
	str_init(&bearer);
	for (char **h = c->headers; *h && n < HEADERS_MAX - 2; h++)
		headers[n++] = *h;
	if (c->token.len) {
		str_printf(&bearer, "Authorization: Bearer %s", c->token.at);
		headers[n++] = bearer.at;
	}
	struct http_client_trust trust = {.ca = {c->ca_text.at, c->ca_text.len}};
	bool is_quick = t->done && FAREWELL_US < c->timeout_us;
	struct http_client_request request = {
		.method = "POST",
		.url = c->url,
		.trust = strncmp(c->url, "https", 5) == 0 ? &trust : NULL,
		.headers = headers,
		.body = {t->batch.at, t->batch.len},
		.timeout_us = is_quick ? FAREWELL_US : c->timeout_us,
		.max_body_bytes = ANSWER_BYTES_MAX,
		.cut_body = true,
		.keep_alive = true,
	};
	move_on(t, TRACING_SENDING);
	t->attempts++;
	t->exchange = bearer.failed ? NULL : http_client_start(t->http, &request, on_answer, t);
	str_release(&bearer);
	if (!t->exchange)
		end_batch(t, NO_MEMORY);
}

/* --- writing --------------------------------------------------------------------------------- */

static bool is_full(const struct tracing *t)
{
	return list_is_empty(&t->waiting) || t->batch_spans >= t->config->batch_spans;
}

static void write_some(struct tracing *t)
{
	int64_t start_us = clock_now_us();
	while (!is_full(t) && clock_now_us() - start_us < SLICE_US) {
		struct span *s = take_first(t);
		if (t->batch_spans)
			str_add_char(&t->batch, ',');
		span_write(&t->batch, s);
		t->batch_spans += span_count(s);
		mem_free(s);
	}
}

static void write_slice(struct tracing *t)
{
	int64_t busy_us = clock_thread_us();
	write_some(t);
	if (is_full(t)) {
		span_write_tail(&t->batch);
		move_on(t, TRACING_WRITTEN);
	}
	int64_t took_us = clock_thread_us() - busy_us;
	t->slices++;
	if (took_us > t->longest_slice_us)
		t->longest_slice_us = took_us;
	loop_defer_to_next_turn(t->loop, &t->task);
}

/* In a turn of its own: all of the batch is copied once more. */
static void send_written(struct tracing *t)
{
	int64_t busy_us = clock_thread_us();
	if (t->batch.failed) {
		end_batch(t, NO_MEMORY);
		return;
	}
	int64_t spans = t->batch_spans;
	size_t bytes = t->batch.len;
	send_batch(t);
	log_debug("tracing: %lld spans (%zu bytes) in %d slices, the longest took %lld us; sent in "
		  "%lld us",
		  (long long)spans, bytes, t->slices, (long long)t->longest_slice_us,
		  (long long)(clock_thread_us() - busy_us));
}

static void begin_batch(struct tracing *t)
{
	move_on(t, TRACING_WRITING);
	timer_clear(&t->timer);
	str_init(&t->batch);
	t->slices = 0;
	t->longest_slice_us = 0;
	t->resource.service = t->config->service_name;
	span_write_head(&t->batch, &t->resource);
	loop_defer_to_next_turn(t->loop, &t->task);
}

static void on_task(void *owner)
{
	struct tracing *t = owner;
	if (t->state == TRACING_WRITING)
		write_slice(t);
	else if (t->state == TRACING_WRITTEN)
		send_written(t);
}

static void on_timer(void *owner)
{
	struct tracing *t = owner;
	if (t->state == TRACING_PAUSING)
		send_batch(t);
	else if (t->state == TRACING_IDLE && t->config && t->waiting_spans)
		begin_batch(t);
}

/* --- records --------------------------------------------------------------------------------- */

/* What lies between the two clocks. That they are read one after the other is no step of theirs:
 * the same moment is to be the same in all records. */
static int64_t wall_of(struct tracing *t)
{
	int64_t now_us = clock_wall_us() - clock_now_us();
	if (llabs(now_us - t->wall_us) > US_PER_MS)
		t->wall_us = now_us;
	return t->wall_us;
}

void *tracing_record(struct tracing *t, enum span_kind kind, size_t size)
{
	struct span *s = mem_zalloc(size);
	if (!s) {
		count(t, NO_MEMORY, 1);
		return NULL;
	}
	list_init(&s->link);
	s->kind = kind;
	s->wall_us = wall_of(t);
	return s;
}

void tracing_submit(struct tracing *t, struct span *s)
{
	int spans = span_count(s);
	bool is_off = !t->config;
	if (is_off || t->waiting_spans + spans > t->config->max_spans) {
		count(t, is_off ? TURNED_OFF : QUEUE_FULL, spans);
		mem_free(s);
		return;
	}
	list_push_back(&t->waiting, &s->link);
	t->waiting_spans += spans;
	wait_for_more(t);
}

/* --- life ------------------------------------------------------------------------------------ */

struct tracing *tracing_new(struct loop *loop, struct http_client *http,
			    struct metrics_registry *metrics, const char *version)
{
	static const char *const fates[FATES] = {
		[EXPORTED] = "exported", [QUEUE_FULL] = "queue_full", [UNREACHABLE] = "unreachable",
		[REFUSED] = "refused",	 [NO_MEMORY] = "no_memory",   [TURNED_OFF] = "turned_off",
	};
	struct tracing *t = mem_zalloc(sizeof(*t));
	if (!t)
		return NULL;
	t->loop = loop;
	t->http = http;
	list_init(&t->waiting);
	str_init(&t->batch);
	task_init(&t->task, on_task, t);
	if (!timer_init(&t->timer, loop, on_timer, t)) {
		mem_free(t);
		return NULL;
	}
	for (int i = 0; i < FATES; i++)
		t->fates[i] = metrics_counter(metrics, METRIC_TRACE_SPANS, &fates[i]);
	crypto_random_hex(t->instance, INSTANCE_DIGITS);
	if (gethostname(t->host, sizeof(t->host) - 1) != 0)
		t->host[0] = '\0';
	t->resource = (struct span_resource){
		.version = version, .instance = t->instance, .host = t->host, .pid = getpid()};
	return t;
}

void tracing_configure(struct tracing *t, const struct tracing_config *c)
{
	t->config = c->endpoint ? c : NULL;
	if (t->config) {
		if (t->state == TRACING_IDLE)
			timer_clear(&t->timer); /* of another interval, perhaps */
		wait_for_more(t);
		return;
	}
	http_client_cancel(t->exchange);
	t->exchange = NULL;
	timer_clear(&t->timer);
	task_cancel(&t->task);
	drop_waiting(t, TURNED_OFF);
	end_batch(t, TURNED_OFF);
}

void tracing_shutdown(struct tracing *t, void (*done)(void *owner), void *owner)
{
	t->done = done;
	t->owner = owner;
	if (t->state == TRACING_PAUSING) {
		timer_clear(&t->timer);
		send_batch(t);
	} else if (t->state == TRACING_IDLE) {
		end_batch(t, EXPORTED); /* of nothing: what waits goes now */
	}
}

void tracing_free(struct tracing *t)
{
	if (!t)
		return;
	http_client_cancel(t->exchange);
	task_cancel(&t->task);
	timer_release(&t->timer);
	drop_waiting(t, TURNED_OFF);
	str_release(&t->batch);
	mem_free(t);
}
