/* What Knative's autoscaler is told. */
#include "gateway/autoscalers/knative.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/autoscalers/knative_messages.h"
#include "gateway/autoscalers/websocket_client.h"
#include "gateway/backend.h"
#include "gateway/gateway.h"

static const int64_t INTERVAL_US = US_PER_S;

/* What wakes a first pod without taking a slot: something, and less than any target. */
static const double BESIDE = 0.01;

/* Services that are told of in one message, and in one turn. */
enum { AT_ONCE = 32, NAME_BYTES = 256 };

struct knative {
	struct gateway *gateway;
	struct websocket_client *socket; /* NULL: nobody is told */
	struct timer timer;
	struct task task, news;
	uint64_t told_up_to; /* the number of a backend; 0: none in this interval */
	bool is_faulty;	     /* which has been told in the log */
	bool has_stopped;
	char pod[NAME_BYTES];
	struct metrics_counter *sent, *lost;
};

/* --- one service ----------------------------------------------------------------------------- */

static bool is_ours(const struct backend *b)
{
	return b->config->revision.name && !b->is_retired;
}

static void begin_interval(struct backend *b, const struct demand *d, int64_t now_us)
{
	struct knative_report *r = &b->knative;
	r->told = 0;
	r->concurrency_us = d->concurrency_us;
	r->since_us = now_us;
}

/* Requests until now are nobody's business. */
static void forget(struct backend *b)
{
	b->knative.is_spoken_of = b->knative.is_news = false;
	b->knative.told = 0;
	b->knative.arrived = b->arrived;
}

static void add(struct knative *k, struct str *message, struct backend *b, double concurrency,
		double requests)
{
	knative_add_stat(message, &(struct knative_stat){
					  .name_space = b->config->revision.name_space,
					  .revision = b->config->revision.name,
					  .pod = k->pod,
					  .concurrency = concurrency,
					  .requests = requests,
				  });
}

static void hand_over(struct knative *k, struct str *message)
{
	bool ok = !message->failed && message->len &&
		  websocket_client_send(k->socket, (struct slice){message->at, message->len});
	if (message->failed || message->len)
		metrics_count(ok ? k->sent : k->lost);
	str_release(message);
}

/* The first request cannot wait for the interval's end. What is said of it now is left out then. */
static void tell_at_once(struct knative *k, struct backend *b)
{
	struct knative_report *r = &b->knative;
	struct demand d;
	struct str message;
	str_init(&message);
	demand_read(b, &d);
	double now = d.concurrency > 0 ? 1 : BESIDE;
	if (!r->is_spoken_of)
		begin_interval(b, &d, loop_now_us(k->gateway->loop));
	r->is_spoken_of = true;
	r->told += now;
	add(k, &message, b, now, 1);
	hand_over(k, &message);
}

static void add_interval(struct knative *k, struct str *message, struct backend *b)
{
	struct knative_report *r = &b->knative;
	int64_t now_us = loop_now_us(k->gateway->loop);
	struct demand d;
	demand_read(b, &d);
	bool is_needed = d.is_active || d.ready_pods > 0;
	if (!r->is_spoken_of) {
		begin_interval(b, &d, now_us);
		r->arrived = b->arrived;
		r->is_spoken_of = is_needed;
		return;
	}
	double took_us = (double)(now_us > r->since_us ? now_us - r->since_us : 1);
	double average = (d.concurrency_us - r->concurrency_us) / took_us;
	double requests = (double)(b->arrived - r->arrived) - (r->told > 0);
	if (average < BESIDE && d.is_active)
		average = BESIDE;
	add(k, message, b, average > r->told ? average - r->told : 0, requests > 0 ? requests : 0);
	r->is_spoken_of = is_needed || average > 0;
	r->arrived = b->arrived;
	begin_interval(b, &d, now_us);
}

/* Once in an interval is enough. */
static void on_changed(void *owner, bool is_active)
{
	struct backend *b = owner;
	struct knative *k = b->gateway->knative;
	if (!is_active || !knative_is_connected(k) || b->knative.told > 0)
		return;
	b->knative.is_news = true;
	loop_defer(k->gateway->loop, &k->news); /* the ledger is not to be looked at from here */
}

static void on_gone(void *owner)
{
	struct backend *b = owner;
	b->knative.is_spoken_of = false;
}

void knative_report_init(struct knative_report *r, struct backend *b)
{
	list_init(&r->watch.link);
	r->watch.owner = b;
	r->watch.changed = on_changed;
	r->watch.gone = on_gone;
}

void knative_report_release(struct knative_report *r)
{
	demand_unwatch(&r->watch);
}

/* --- all of them ----------------------------------------------------------------------------- */

/* Backends stand in the order of their numbers. */
static void tell_some(struct knative *k)
{
	struct str message;
	int count = 0;
	bool more = false;
	str_init(&message);
	LIST_EACH(b, &k->gateway->backends, struct backend, link) {
		if (b->number <= k->told_up_to || !is_ours(b))
			continue;
		more = count == AT_ONCE;
		if (more)
			break;
		add_interval(k, &message, b);
		k->told_up_to = b->number;
		count++;
	}
	hand_over(k, &message);
	if (more)
		loop_defer_to_next_turn(k->gateway->loop, &k->task);
}

static void on_task(void *owner)
{
	struct knative *k = owner;
	if (knative_is_connected(k))
		tell_some(k);
}

static void on_news(void *owner)
{
	struct knative *k = owner;
	LIST_EACH(b, &k->gateway->backends, struct backend, link) {
		if (b->knative.is_news && is_ours(b) && knative_is_connected(k))
			tell_at_once(k, b);
		b->knative.is_news = false;
	}
}

static void on_timer(void *owner)
{
	struct knative *k = owner;
	timer_set(&k->timer, loop_now_us(k->gateway->loop) + INTERVAL_US);
	k->told_up_to = 0;
	on_task(k);
}

/* Whoever was lost has forgotten, or is another one: what is active is news. */
static void tell_who_is_active(struct knative *k)
{
	LIST_EACH(b, &k->gateway->backends, struct backend, link) {
		forget(b);
		if (is_ours(b) && service_is_active(backend_service(b)))
			tell_at_once(k, b);
	}
	timer_set(&k->timer, loop_now_us(k->gateway->loop) + INTERVAL_US);
}

static void on_socket(void *owner, bool is_open, const char *why)
{
	struct knative *k = owner;
	const char *server = websocket_client_server(k->socket);
	if (is_open) {
		log_info("knative: connected to the autoscaler at %s", server);
		tell_who_is_active(k);
	} else if (!k->is_faulty) {
		log_warn("knative: the autoscaler at %s is not told anything: %s", server, why);
	}
	k->is_faulty = !is_open;
}

/* --- life ------------------------------------------------------------------------------------ */

static void hang_up(struct knative *k)
{
	websocket_client_free(k->socket);
	k->socket = NULL;
	k->is_faulty = false;
	timer_clear(&k->timer);
	task_cancel(&k->task);
	task_cancel(&k->news);
}

static void watch(struct backend *b, bool wanted)
{
	struct demand_watch *w = &b->knative.watch;
	if (wanted == list_is_linked(&w->link))
		return;
	forget(b);
	if (wanted)
		demand_watch(b, w);
	else
		demand_unwatch(w);
}

void knative_configure(struct knative *k)
{
	struct gateway *gw = k->gateway;
	const char *server = gw->config->knative.autoscaler;
	if (k->has_stopped)
		return;
	LIST_EACH(b, &gw->backends, struct backend, link)
		watch(b, server && is_ours(b));
	if (k->socket && (!server || strcmp(server, websocket_client_server(k->socket)) != 0))
		hang_up(k);
	if (server && !k->socket)
		k->socket =
			websocket_client_new(gw->loop, gw->providers.http, server, on_socket, k);
	if (server && !k->socket)
		log_error("knative: the autoscaler is not told anything: out of memory");
}

void knative_stop(struct knative *k)
{
	k->has_stopped = true;
	hang_up(k);
	LIST_EACH(b, &k->gateway->backends, struct backend, link)
		watch(b, false);
}

bool knative_is_connected(const struct knative *k)
{
	return k->socket && websocket_client_is_open(k->socket);
}

struct knative *knative_new(struct gateway *gw)
{
	struct knative *k = mem_zalloc(sizeof(*k));
	if (!k)
		return NULL;
	k->gateway = gw;
	task_init(&k->task, on_task, k);
	task_init(&k->news, on_news, k);
	if (!timer_init(&k->timer, gw->loop, on_timer, k)) {
		mem_free(k);
		return NULL;
	}
	if (gethostname(k->pod, sizeof(k->pod) - 1) != 0)
		memcpy(k->pod, "slotgate", sizeof("slotgate"));
	k->sent = metrics_counter(gw->metrics, METRIC_KNATIVE_REPORTS, (const char *[]){"sent"});
	k->lost = metrics_counter(gw->metrics, METRIC_KNATIVE_REPORTS, (const char *[]){"lost"});
	return k;
}

void knative_free(struct knative *k)
{
	if (!k)
		return;
	hang_up(k);
	timer_release(&k->timer);
	mem_free(k);
}
